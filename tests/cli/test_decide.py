"""`nvtrap decide`: streams of traps."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from nvtrap.conform.lines import MOST_IN_A_LINE
from tests.cli.helpers import VECTORS, Nvtrap, Program, Run, loads, write_lines

REVIDR = "0x623c0001"
TID1 = {"HCR_EL2": "0x10000"}
FORWARD = {"outcome": "forward", "step": "coarse", "control": "HCR.TID1"}
LOCAL = {"outcome": "local", "step": "none", "control": None, "rule": None}


def answers(run: Run) -> list[dict[str, Any]]:
    """The lines that came out, each an object with the keys of the contract in their order."""
    found = []
    for line in run.lines:
        answer = loads(line)
        assert list(answer) in (["id", "outcome", "step", "control", "rule"], ["id", "error"])
        found.append(answer)
    assert any("error" in answer for answer in found) == (run.code == 1)
    return found


def decide(nvtrap: Nvtrap, *lines: object, code: int = 0) -> list[dict[str, Any]]:
    """The answers to some lines; texts and bytes stand as they are."""
    raw = [
        line
        if isinstance(line, bytes)
        else (line if isinstance(line, str) else json.dumps(line)).encode()
        for line in lines
    ]
    run = nvtrap("decide", "-", stdin=b"".join(line + b"\n" for line in raw))
    assert (run.code, run.err) == (code, "")
    return answers(run)


def outcomes(found: list[dict[str, Any]]) -> list[str]:
    """What became of each line: the outcome, or `error`."""
    return [answer.get("outcome", "error") for answer in found]


# ---- the contract -----------------------------------------------------------------


def test_a_line_is_answered_with_its_id_step_control_and_rule(nvtrap: Nvtrap) -> None:
    """A deciding part is named with its line, and nulls stand where no part decided."""
    armed, idle = decide(
        nvtrap, {"id": 7, "state": TID1, "esr": REVIDR}, {"id": 8, "state": {}, "esr": REVIDR}
    )
    assert armed.pop("rule").startswith("rules/linux/6.12/id.trap:")
    assert armed == {"id": 7, **FORWARD}
    assert idle == {"id": 8, **LOCAL}


def test_a_line_without_state_keeps_the_whole_context(nvtrap: Nvtrap) -> None:
    """Registers, EL, nv, masks: all stay until the next `state`."""
    ask = {"esr": REVIDR}
    contexts: list[dict[str, Any]] = [
        {"state": TID1},
        {"state": TID1, "el": 2},
        {"state": TID1, "nv": False},
        {"state": TID1, "res0": TID1},
        {"state": {}, "fgu": {"HFGxTR": hex(1 << 28)}},
        {"state": TID1},
    ]
    lines = [line for context in contexts for line in ({**context, **ask}, ask, ask)]
    expected = ["forward", "local", "local", "local", "undef", "forward"]
    assert outcomes(decide(nvtrap, *lines)) == [word for word in expected for _ in range(3)]


def test_the_first_line_needs_no_state(nvtrap: Nvtrap) -> None:
    """Before any `state` the defaults hold."""
    assert outcomes(decide(nvtrap, {"esr": REVIDR})) == ["local"]


@pytest.mark.parametrize("key", ["el", "nv", "res0", "fgu", "features"])
@pytest.mark.parametrize("value", [None, 1, True, {}, []])
def test_half_a_context_is_an_error(nvtrap: Nvtrap, key: str, value: object) -> None:
    """`el` and its like without `state` are refused, and the context stays."""
    found = decide(
        nvtrap,
        {"state": TID1, "esr": REVIDR},
        {"id": 1, "esr": REVIDR, key: value},
        {"esr": REVIDR},
        code=1,
    )
    assert outcomes(found) == ["forward", "error", "forward"]
    assert found[1] == {"id": 1, "error": f"`{key}` stands on a line without `state`"}


@pytest.mark.parametrize(
    "access",
    [
        {"esr": REVIDR},
        {"esr": int(REVIDR, 16)},
        {"esr": str(int(REVIDR, 16))},
        {"enc": [3, 0, 0, 0, 6], "dir": "R"},
        {"enc": [3, 0, 0, 0, 6], "dir": "read"},
        {"enc": "REVIDR_EL1", "dir": "R"},
        {"enc": "S3_0_C0_C0_6", "dir": "R"},
        {"esr": None, "enc": [3, 0, 0, 0, 6], "dir": "R"},
    ],
)
def test_every_form_of_an_access(nvtrap: Nvtrap, access: dict[str, Any]) -> None:
    """`esr`, or `enc` and `dir`."""
    assert outcomes(decide(nvtrap, {"state": TID1, **access})) == ["forward"]


def test_dir_tells_reads_from_writes(nvtrap: Nvtrap) -> None:
    """R and W, or in words."""
    ask = {"state": {"HCR_EL2": hex(1 << 26)}, "enc": [3, 0, 2, 0, 0]}
    lines = [{**ask, "dir": direction} for direction in ("R", "W", "read", "write")]
    assert outcomes(decide(nvtrap, *lines)) == ["local", "forward"] * 2


@pytest.mark.parametrize(
    "name",
    [0, 1, -5, 1.5, 10**400, True, None, "", "a", "é", "\n", "\ud800", "😀", [1, [2]], {"a": 1}],
    ids=lambda name: repr(name)[:20],
)
def test_an_id_comes_back_as_it_was(nvtrap: Nvtrap, name: object) -> None:
    """Of any JSON type, on good lines and bad ones."""
    good, bad = decide(nvtrap, {"id": name, "esr": REVIDR}, {"id": name, "esr": "none"}, code=1)
    assert good["id"] == bad["id"] == name
    assert type(good["id"]) is type(bad["id"]) is type(name)


def test_a_line_without_id_gets_null(nvtrap: Nvtrap) -> None:
    """So that every answer has the same keys."""
    assert decide(nvtrap, {"esr": REVIDR})[0]["id"] is None


def test_blank_lines_are_not_answered(nvtrap: Nvtrap) -> None:
    """Nor are the ends of lines of other systems part of them."""
    line = json.dumps({"id": 1, "esr": REVIDR}).encode()
    run = nvtrap("decide", "-", stdin=b"\n \t\n" + line + b"\r\n\r\n\n" + line)
    assert [answer["id"] for answer in answers(run)] == [1, 1]
    assert nvtrap("decide", "-", stdin=b"") == Run(0, "", "")


def test_other_keys_are_ignored(nvtrap: Nvtrap) -> None:
    """A recorded vector can be fed as it is."""
    assert outcomes(decide(nvtrap, {"esr": REVIDR, "expect": "undef", "more": [1]})) == ["local"]


def test_of_a_repeated_key_the_last_one_counts(nvtrap: Nvtrap) -> None:
    """As JSON parsers have it."""
    line = f'{{"id":1,"id":2,"state":{{}},"state":{json.dumps(TID1)},"esr":"{REVIDR}"}}'
    (answer,) = decide(nvtrap, line)
    assert (answer["id"], answer["outcome"]) == (2, "forward")


@pytest.mark.parametrize("packed", [False, True])
def test_files_pipes_and_standard_input(
    nvtrap: Nvtrap, program: Program, tmp_path: Path, packed: bool
) -> None:
    """Plain or gzipped, each way in gives the same answers, also a pipe by its name."""
    plain = json.dumps({"id": 1, "state": TID1, "esr": REVIDR}).encode() + b"\n\n"
    raw = gzip.compress(plain) + gzip.compress(plain) if packed else plain * 2
    (tmp_path / "traps").write_bytes(raw)
    found = answers(nvtrap("decide", "traps"))
    assert outcomes(found) == ["forward"] * 2
    assert answers(nvtrap("decide", "-", stdin=raw)) == found
    assert answers(program("decide", "-", stdin=raw)) == found
    assert answers(program.shell("nvtrap decide <(cat traps)", tmp_path)) == found
    assert answers(program.shell("cat traps | nvtrap decide -", tmp_path)) == found


def test_another_table_may_be_asked(nvtrap: Nvtrap, demo: Path) -> None:
    """`--table` takes a name or a path."""
    line = json.dumps({"state": {"HCR_EL2": 1 << 26}, "enc": "TTBR0_EL1", "dir": "W"}).encode()
    run = nvtrap("decide", "-", "--table", str(demo / "demo.trap"), stdin=line)
    assert answers(run)[0]["rule"] == "demo.trap:8"
    run = nvtrap("decide", "-", "--table", "nobody", stdin=line)
    assert (run.code, run.out) == (2, "")
    assert "unknown table `nobody`" in run.err


# ---- bad lines --------------------------------------------------------------------

HUGE = "9" * 4000
NESTED = "[" * 2000 + "]" * 2000


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "this is not JSON: expecting property name"),
        ("[]", "a line is one JSON object"),
        ("3", "a line is one JSON object"),
        ("null", "a line is one JSON object"),
        ('{"esr":1} x', "this is not JSON: extra data"),
        (b"\x00", "this is not JSON"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        (b'{"id":"\xe9"}', "byte 7 is not UTF-8"),
        (b'{"id":"\xed\xa0\x80"}', "byte 7 is not UTF-8"),
        (f'{{"esr":"{REVIDR}"}}'.encode("utf-16"), "is not UTF-8"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"a":' * 100_000, "it is nested too deeply"),
        ('{"id":NaN}', "`NaN` is no number"),
        ('{"id":[-Infinity]}', "`-Infinity` is no number"),
        ('{"id":1e400}', "`1e400` is too large a number"),
        ('{"id":' + "9" * 5000 + "}", "a number is too long"),
        ("{}", "a line needs `esr`, or `enc` and `dir`"),
        ('{"enc":[3,0,0,0,6]}', "a line needs `esr`, or `enc` and `dir`"),
        ('{"dir":"R"}', "a line needs `esr`, or `enc` and `dir`"),
        ('{"esr":true}', "`true` is no value for `esr`"),
        ('{"esr":1.0}', "`1.0` is no value for `esr`"),
        ('{"esr":"x"}', "`x` is no value for `esr`"),
        ('{"esr":""}', "`` is no value for `esr`"),
        ('{"esr":"' + "1" * 100 + '"}', "is no value for `esr`"),
        ('{"esr":-1}', "does not fit 64 bits"),
        ('{"esr":"0x1ffffffffffffffff"}', "does not fit 64 bits"),
        (f'{{"esr":{HUGE}}}', "does not fit 64 bits"),
        ('{"esr":0}', "ESR value `0x0` has EC 0x00"),
        ('{"enc":[3,0,0,0],"dir":"R"}', "`enc` is the five numbers"),
        ('{"enc":[3,0,0,0,true],"dir":"R"}', "`enc` is the five numbers"),
        ('{"enc":[3,0,0,0,6.0],"dir":"R"}', "`enc` is the five numbers"),
        ('{"enc":{},"dir":"R"}', "`enc` is the five numbers"),
        ('{"enc":[3,0,0,0,8],"dir":"R"}', "op2 is 8, it goes from 0 to 7"),
        ('{"enc":[-1,0,0,0,0],"dir":"R"}', "op0 is -1"),
        ('{"enc":"NOT_THERE","dir":"R"}', "unknown register `NOT_THERE`"),
        ('{"enc":"\\ud800","dir":"R"}', "unknown register"),
        ('{"enc":[3,0,0,0,6],"dir":"X"}', "`dir` is `X`, it is R or W"),
        ('{"enc":[3,0,0,0,6],"dir":["R"]}', '`dir` is `["R"]`, it is R or W'),
        ('{"state":null}', "`state` maps registers to values"),
        ('{"state":[]}', "`state` maps registers to values"),
        ('{"state":{"NOT_THERE":1}}', "unknown register `NOT_THERE`"),
        ('{"state":{"\\ud800":1}}', "unknown register"),
        ('{"state":{"HCR_EL2":-1}}', "does not fit 64 bits"),
        ('{"state":{"HCR_EL2":"-0x1"}}', "does not fit 64 bits"),
        (f'{{"state":{{"HCR_EL2":{HUGE}}}}}', "does not fit 64 bits"),
        ('{"state":{"HCR_EL2":true}}', "`true` is no value for `HCR_EL2`"),
        ('{"state":{"HCR_EL2":null}}', "`null` is no value for `HCR_EL2`"),
        ('{"state":{"HCR_EL2":1.5}}', "`1.5` is no value for `HCR_EL2`"),
        ('{"state":{"HCR_EL2":"ten"}}', "`ten` is no value for `HCR_EL2`"),
        ('{"state":{"HCR_EL2":{"TID1":1}}}', '`{"TID1": 1}` is no value for `HCR_EL2`'),
        ('{"state":{},"el":3}', "`el` is `3`, a trap comes from EL 0, 1 or 2"),
        ('{"state":{},"el":true}', "`el` is `true`"),
        ('{"state":{},"el":"1"}', "`el` is `1`"),
        ('{"state":{},"el":null}', "`el` is `null`"),
        (f'{{"state":{{}},"el":{HUGE}}}', "999…`, a trap comes from EL 0, 1 or 2"),
        ('{"state":{},"nv":1}', "`nv` is `1`, it is true or false"),
        ('{"state":{},"nv":null}', "`nv` is `null`"),
        ('{"state":{},"res0":null}', "`res0` maps registers to values"),
        ('{"state":{},"fgu":[]}', "`fgu` maps fine-grained groups to bits"),
        ('{"state":{},"fgu":{"HFGRTR":1}}', "unknown fine-grained group `HFGRTR`"),
        ('{"state":{},"features":"FEAT_RAS"}', "`features` is a list of names"),
        ('{"state":{},"features":[[]]}', "`features` is a list of names"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_bad_line_is_answered_and_the_stream_goes_on(
    nvtrap: Nvtrap, line: str | bytes, problem: str
) -> None:
    """With one `error` on one line; what cannot be understood changes no context."""
    good = {"state": TID1, "esr": REVIDR}
    before, bad, after = decide(nvtrap, good, line, {"id": "next", "esr": REVIDR}, code=1)
    assert before["outcome"] == after["outcome"] == "forward"
    assert list(bad) == ["id", "error"]
    assert problem in bad["error"]
    assert len(bad["error"]) < 4200


def test_a_context_holds_although_its_access_is_bad(nvtrap: Nvtrap) -> None:
    """A line with `state` starts a context, whatever else is wrong with it."""
    lines = [{"state": TID1, "esr": 0}, {"esr": REVIDR}]
    assert outcomes(decide(nvtrap, *lines, code=1)) == ["error", "forward"]


def test_a_line_that_is_too_long_is_one_bad_line(nvtrap: Nvtrap) -> None:
    """It is read over, whatever it holds, and the next one is answered."""
    long = b'{"id":"' + b"x" * (MOST_IN_A_LINE + (4 << 20)) + b'"}'
    good = {"state": TID1, "esr": REVIDR}
    bad, after = decide(nvtrap, long, good, code=1)
    assert bad == {"id": None, "error": "a line has at most 16 MiB"}
    assert after["outcome"] == "forward"


@pytest.mark.parametrize(
    "form",
    [
        '{{"id":{},"esr":"0x623c0001"}}',
        '{{"id":{}}}',
        '{{"esr":{}}}',
        '{{"enc":{},"dir":"R"}}',
        '{{"enc":[3,0,0,0,6],"dir":{}}}',
        '{{"esr":"0x623c0001","state":{{"HCR_EL2":{}}}}}',
        '{{"esr":"0x623c0001","state":{{}},"el":{}}}',
        '{{"esr":"0x623c0001","state":{{}},"features":{}}}',
    ],
)
def test_every_depth_of_nesting_is_survived(nvtrap: Nvtrap, form: str) -> None:
    """Also a depth that can just be read, but hardly be printed again."""
    depths = [*range(850, 1000, 3), 3000]
    lines = [form.format("[" * depth + "]" * depth) for depth in depths]
    run = nvtrap("decide", "-", stdin="\n".join(lines).encode())
    assert len(answers(run)) == len(depths)


def test_a_damaged_file_ends_the_stream(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """With 2; what was read before the damage has its answers."""
    line = json.dumps({"esr": REVIDR}).encode() + b"\n"
    numbers = random.Random(1)
    noise = b"".join(b'{"id":%d}\n' % numbers.getrandbits(60) for _ in range(20_000))
    packed = gzip.compress(line + noise)
    for length in (2, 3, 11, len(packed) // 2, len(packed) - 1):
        (tmp_path / "cut.gz").write_bytes(packed[:length])
        run = nvtrap("decide", "cut.gz")
        assert run.code == 2
        assert run.err == "nvtrap: `cut.gz` is damaged: it ends too early\n"
    assert len(run.lines) > 10_000
    (tmp_path / "junk.gz").write_bytes(packed + b"junk")
    assert "`junk.gz` is damaged: not a gzipped file" in nvtrap("decide", "junk.gz").err
    (tmp_path / "odd.gz").write_bytes(packed[:99] + b"\xff\xff\xff" + packed[102:])
    assert "`odd.gz` is damaged: " in nvtrap("decide", "odd.gz").err


@pytest.mark.parametrize(
    ("path", "problem"),
    [("missing", "no such file or directory"), (".", "is a directory"), ("", "no such file")],
)
def test_a_file_that_cannot_be_read_is_told(nvtrap: Nvtrap, path: str, problem: str) -> None:
    """With 2."""
    run = nvtrap("decide", path)
    assert run.code == 2
    assert f"`{path}` cannot be read: {problem}" in run.err


# ---- the other command ------------------------------------------------------------


def test_answers_equal_those_of_query(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """For recorded traps, `decide` and `query --json` say the same."""
    with gzip.open(VECTORS, "rt", encoding="utf-8") as file:
        vectors = [json.loads(line) for line in file]
    decided = answers(nvtrap("decide", str(write_lines(tmp_path / "traps", vectors))))
    for vector, answer in zip(vectors, decided, strict=True):
        state = {key: vector[key] for key in ("state", "el", "nv", "res0", "fgu") if key in vector}
        stdin = json.dumps(state).encode()
        told = nvtrap("query", vector["esr"], "--state", "-", "--json", stdin=stdin).json()
        assert answer == {"id": vector["id"], **{key: told[key] for key in list(answer)[1:]}}
        assert answer["outcome"] == vector["expect"]
