"""Rule files come from strangers: whatever they say, reading them ends, with findings.

None of these texts is measured. Where a bound is missing they take minutes, gigabytes or
the stack, and the test run shows it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvtrap.analysis import check_paths
from nvtrap.compile import Compilation, Loader, compile_program, compile_text
from nvtrap.engine import State, Table
from nvtrap.lang.findings import MOST_FINDINGS, Finding
from nvtrap.places import rules_root
from nvtrap.table.file import unpack

REGISTER = "register A_EL2 = S3_4_C15_C0_0 { F [0]  G [1]  H [15:8] }\n"
CONTROL = REGISTER + "control A.F traps any when A_EL2.F == 1\n"
ADDITIVE = CONTROL + "table t { parts are additive }\n"
ARRAY = "register B<n: 0..1023>_EL1 = S3_0_C<n[9:6]>_C<0b0:n[5:3]>_<n[2:0]>"


def _codes(compilation: Compilation) -> set[str]:
    return {finding.code for finding in compilation.findings}


def _lines(findings: tuple[Finding, ...]) -> list[int]:
    return [finding.span.line for finding in findings]


def _condition(expression: str) -> str:
    return f"{REGISTER}condition A.B traps any when {expression}\n"


def _repeat(count: int, text: Callable[[int], str]) -> str:
    return "".join(text(number) for number in range(count))


# ---- texts that are refused --------------------------------------------------------

CHAIN = "register R0_EL2 = S3_4_C14_C0_0 { F [0] }\n" + _repeat(
    40,
    lambda n: (
        f"register R{n + 1}_EL2 = S3_4_C14_C{(n + 1) // 8}_{(n + 1) % 8} {{\n"
        f"  layout when R{n}_EL2.F == 0 {{ F [0] }}  layout when R{n}_EL2.F == 1 {{ F [1] }}\n}}\n"
    ),
)
MOVING = REGISTER + _repeat(
    40,
    lambda n: (
        f"register R{n}_EL2 = S3_4_C14_C{n // 8}_{n % 8} {{\n"
        "  layout when A_EL2.F == 0 { F [0] }  layout when A_EL2.F == 1 { F [1] }\n}\n"
    ),
)
DOUBLING = _repeat(7, lambda n: f"context c{n} when {' or '.join([f'context.c{n + 1}'] * 100)}\n")

REFUSED = {
    "nots": (_condition("not " * 10_000 + "A_EL2.F == 1"), "NV003"),
    "nots in brackets": (_condition("not (" * 10_000 + "A_EL2.F == 1" + ")" * 10_000), "NV003"),
    "a long number": (_condition("A_EL2.F == " + "1" * 100_000), "NV020"),
    "a long name": (f"trap {'X' * 500_000} by A.B\n", "NV006"),
    "names of long elements": (f"register {'X' * 500_000}<n: 0..1023> = S3_0_C0_C0_0\n", "NV006"),
    "a long line of one character": ("@" * 500_000, "NV001"),
    "an open brace": ("register A_EL2 = S3_4_C15_C0_0 {\n" + "  F [0]\n" * 1000, "NV001"),
    "an open quote": ('local A_EL2 because "' + "x" * 100_000, "NV001"),
    "brackets of an index": ("trap A" + "<a" * 200_000, "NV001"),
    "colons in an index": ("trap A<" + "a:" * 200_000, "NV001"),
    "stars": ("trap S" + "_*" * 200_000, "NV001"),
    "a wide expression": (_condition(" and ".join(["A_EL2.F == 1"] * 5000)), "NV006"),
    "layouts that hang on themselves": (
        CONTROL.replace("{ F [0]", "{ layout when A_EL2.F == 1 { F [0] }"),
        "NV026",
    ),
    "layouts upon layouts": (CHAIN + "control A.F traps any when R40_EL2.F == 1\n", "NV026"),
    "a product of layouts": (
        MOVING
        + "condition A.F traps any when "
        + " and ".join(f"R{n}_EL2.F == 1" for n in range(40)),
        "NV006",
    ),
    "many layouts": (
        "register B_EL2 = S3_4_C15_C0_1 {\n"
        + _repeat(5000, lambda n: f"  layout when A_EL2.H == {n % 256} {{ F{n} [0] }}\n")
        + "}\n"
        + REGISTER,
        "NV006",
    ),
    "contexts that double": (DOUBLING + "context c7 when EL == 1\n", "NV006"),
    "contexts in contexts": (
        _repeat(500, lambda n: f"context c{n} when context.c{n + 1}\n")
        + "context c500 when EL == 1\n",
        "NV003",
    ),
    "an index in many pieces": (
        f"register B<n: 0..1023>_EL1 = S3_0_C<{'0b1:' * 100_000}n[1:0]>_C0_0\n",
        "NV006",
    ),
    "arrays without end": (
        _repeat(
            200, lambda n: f"register B{n}X<n: 0..1023>_EL1 = S3_0_C<n[9:6]>_C<n[5:3]>_<n[2:0]>\n"
        ),
        "NV006",
    ),
    "arrays with many fields": (
        _repeat(
            8,
            lambda k: (
                ARRAY.replace("B<", f"B{k}X<").replace("S3_0", f"S3_{k}")
                + " {\n"
                + _repeat(64, lambda n: f"  F{n} [{n}]\n")
                + "}\n"
            ),
        ),
        "NV006",
    ),
    "fields on fields": (
        "register A_EL2 = S3_4_C15_C0_0 {\n"
        + _repeat(20_000, lambda n: f"F{n} [{n % 64}]\n")
        + "}",
        "NV026",
    ),
    "names of one encoding": (
        _repeat(5000, lambda n: f"register A{n} = S3_0_C1_C0_0\n"),
        "NV040",
    ),
    "instructions without encodings": (_repeat(3000, lambda n: f"instruction I{n}\n"), "NV006"),
    "profiles of profiles": (
        "feature FEAT_A\nprofile p0 = FEAT_A\n"
        + _repeat(300, lambda n: f"profile p{n + 1} = p{n}, p{n}\n"),
        "NV006",
    ),
    "many features": (_repeat(5000, lambda n: f"feature FEAT_{n}\n"), "NV006"),
    "wildcards, exclusive": (CONTROL + "trap S*_*_*_*_* by A.F\n" * 200, "NV006"),
    "wildcards, additive": (ADDITIVE + "trap S3_*_*_*_* by A.F\n" * 200, "NV006"),
    "wildcards in a list": (
        CONTROL + "trap " + ", ".join(["S*_*_*_*_*"] * 5000) + " by A.F\n",
        "NV006",
    ),
    "ranges in a list": (
        CONTROL + "trap " + ", ".join(["S0_0_C0_C0_0 .. S3_7_C15_C15_7"] * 10_000) + " by A.F\n",
        "NV006",
    ),
    "arrays in a list": (
        CONTROL + ARRAY + "\ntrap " + ", ".join(["B<n>_EL1"] * 5000) + " by A.F\n",
        "NV006",
    ),
    "parts on parts": (ADDITIVE + "trap S*_*_*_*_* by " + ", ".join(["A.F"] * 2000), "NV006"),
    "guards for each element": (
        CONTROL
        + ARRAY
        + "\ntrap B<n>_EL1 by A.F when "
        + " or ".join(f"access.index == {n}" for n in range(1024)),
        "NV006",
    ),
    "guards without end": (
        CONTROL
        + "register B_EL2 = S3_4_C15_C0_1 {\n"
        + _repeat(16, lambda n: f"  layout when A_EL2.H == {n} {{ F [{n}] }}\n")
        + "}\n"
        + _repeat(
            140,
            lambda n: (
                f"trap (3, 0, 15, {n // 8 % 16}, {n % 8}) by A.F when "
                + " or ".join(["B_EL2.F == 1"] * 40)
                + "\n"
            ),
        )
        * 2,
        "NV006",
    ),
    "combos in combos": (
        CONTROL + _repeat(3000, lambda n: f"combo C.C{n} = A.F | C.C{n + 1}\n"),
        "NV033",
    ),
    "a combo of everything": (CONTROL + "combo C.D = " + " | ".join(["A.F"] * 5000), "NV006"),
    "locals on locals": ('local S3_*_*_*_* because "x"\n' * 60, "NV040"),
    "unknown names": (_repeat(5000, lambda n: f"trap FOO{n}_EL1 by A.B{n}\n"), "NV010"),
    "broken statements": ("trap trap\n" * 20_000, "NV001"),
    "tables": ("table t {}\n" * 5000, "NV045"),
    "clauses": ("table t {" + "parts are additive " * 5000 + "}", "NV040"),
    "unknown tables": (_repeat(5000, lambda n: f"use table a{n}\n"), "NV006"),
    "missing files": (_repeat(5000, lambda n: f'use "a{n}"\n'), "NV006"),
    "a long path": ('use "' + "a/" * 200_000 + '"\n', "NV004"),
    "registers to read": (
        _repeat(
            1025,
            lambda n: (
                f"register R{n} = ({n // 512}, 0, {n // 32 % 16}, {n // 8 % 4}, {n % 8})"
                f" {{ F [0] }}\ncontrol A.B{n} traps any when R{n}.F == 1\n"
            ),
        ),
        "NV006",
    ),
    "an escape sequence": ('use "\x1b]0;x\x07"\n\x1b[2J\n', "NV001"),
}


@pytest.mark.parametrize(("text", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_text_is_refused(text: str, code: str) -> None:
    """What is too much, too deep or too long is said so; the findings are printable."""
    compilation = compile_text(text)
    assert code in _codes(compilation)
    assert not compilation.is_sound
    assert len(compilation.findings) <= MOST_FINDINGS + 1
    for finding in compilation.findings:
        assert finding.message.isprintable()
        assert len(finding.message) <= 400


# ---- texts that are accepted -------------------------------------------------------


def _alternating(depth: int) -> str:
    if not depth:
        return "A_EL2.F == 1"
    return f"({_alternating(depth - 1)} {'and' if depth % 2 else 'or'} A_EL2.G == {depth % 2})"


ACCEPTED = {
    "nothing": "",
    "comments": "# only this\n" * 5000,
    "spaces": (" " * 1000 + "\n") * 500,
    "brackets": _condition("(" * 10_000 + "A_EL2.F == 1" + ")" * 10_000),
    "nots": _condition("not (" * 62 + "A_EL2.F == 1 and A_EL2.G == 1" + ")" * 62),
    "ands and ors": _condition(_alternating(62)),
    "as wide as it goes": _condition(" and ".join(["A_EL2.F == 1"] * 1024)),
    "a requirement that hangs on itself": (
        "feature FEAT_A\nregister A_EL2 = S3_4_C15_C0_0 requires FEAT_A { F [0] requires FEAT_A }\n"
        "condition A.B traps any when A_EL2.F == 1\n"
    ),
    "a NUL of its own kind": "# \u2400\n",
    "many guards": ADDITIVE
    + _repeat(200, lambda n: f"trap A_EL2 by A.F when A_EL2.H == {n} and EL == 1\n"),
    "many groups": REGISTER
    + _repeat(1000, lambda n: f'fine group G{n} {{ any A_EL2  fgu "a" }}\n')
    + "trap A_EL2 fine G0.F\n",
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_text_is_accepted(text: str) -> None:
    """What is odd but within bounds compiles, to a table that loads and decides."""
    use = "trap ACTLR_EL1 by A.B\n" if "A.B" in text else ""
    actlr = "register ACTLR_EL1 = S3_0_C1_C0_1\n"
    compilation = compile_text(actlr + text + use)
    assert [finding.message for finding in compilation.findings if finding.is_error] == []
    table = unpack(compilation.blob, Table)
    assert len(table.decide_all(State())) == 1 << 16


# ---- files ---------------------------------------------------------------------------


def _check(folder: Path, **files: str | bytes) -> tuple[Finding, ...]:
    """The findings of a folder with the files, whose names lack their ending."""
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / f"{name}.trap").write_bytes(raw)
    return check_paths([str(folder)]).findings


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# " + b"x" * 5_000_000, "is larger than 1 MiB"),
        (b"trap \0", "has a NUL character"),
        (b"# \xff\n", "is not UTF-8: byte 2 is 0xff"),
        (b"\xff\xfet\0", "is not UTF-8: byte 0 is 0xff"),
    ],
    ids=["5 MB", "NUL", "invalid UTF-8", "UTF-16"],
)
def test_file_that_is_no_rule_text(tmp_path: Path, content: bytes, message: str) -> None:
    """A file that is too large or no text is one finding."""
    (finding,) = _check(tmp_path, a=content)
    assert finding.code == "NV002"
    assert message in finding.message


def test_text_that_is_no_rule_text() -> None:
    """Text from elsewhere than a file has the same bounds."""
    assert _codes(compile_text("#" * (1 << 20) + "#")) == {"NV002"}
    assert _codes(compile_text('use "a\0b"')) == {"NV002"}
    assert _codes(compile_text("# \ud800")) == {"NV002"}


def test_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """A file may begin with a byte order mark, which is in no column."""
    (finding,) = _check(tmp_path, a=b"\xef\xbb\xbftrp X by A.B\n")
    assert str(finding.span).endswith("a.trap:1:1")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_line_ends(tmp_path: Path, end: str) -> None:
    """Lines are counted alike whatever ends them, and a comment ends with its line."""
    text = end.join(["# comment", "", "feature X", "# comment", "trp", ""])
    assert _lines(_check(tmp_path, a=text.encode())) == [3, 5]


def test_cycle_of_files(tmp_path: Path) -> None:
    """Files that use each other in a ring are told of it."""
    findings = _check(tmp_path, a='use "./b.trap"', b='use "./c.trap"', c='use "./a.trap"')
    assert "NV005" in {finding.code for finding in findings}


def test_folder_that_uses_itself(tmp_path: Path) -> None:
    """A file that uses its own folder uses itself."""
    assert [finding.code for finding in _check(tmp_path, a='use "."')] == ["NV005"]


@pytest.mark.parametrize("depth", [32, 33, 200])
def test_chain_of_files(tmp_path: Path, depth: int) -> None:
    """A chain of uses is followed 32 levels down and no further."""
    for number in range(depth):
        (tmp_path / f"{number}.trap").write_text(f'use "./{number + 1}.trap"\n')
    (tmp_path / f"{depth}.trap").touch()
    program = Loader().load(str(tmp_path / "0.trap"))
    codes = [finding.code for finding in program.report.findings]
    assert codes == ([] if depth == 32 else ["NV006"])


def test_too_many_files(tmp_path: Path) -> None:
    """A program has at most 256 files."""
    (tmp_path / "parts").mkdir()
    for number in range(300):
        (tmp_path / "parts" / f"{number}.trap").touch()
    main = tmp_path / "main.trap"
    main.write_text('use "./parts"\n')
    program = Loader().load(str(main))
    assert [finding.code for finding in program.report.findings] == ["NV006"]
    assert len(program.files) == 256


def test_too_much_text(tmp_path: Path) -> None:
    """The files of a program have at most 8 MiB, give or take one file."""
    for number in range(12):
        (tmp_path / f"{number:02}.trap").write_text("#" * 1_000_000)
    main = tmp_path / "main.trap"
    main.write_text("".join(f'use "./{number:02}.trap"\n' for number in range(12)))
    program = Loader().load(str(main))
    assert {finding.code for finding in program.report.findings} == {"NV006"}
    assert len(program.files) < 11


@pytest.mark.parametrize(
    "target",
    ["../secret.trap", "../../../../../../../../etc/passwd", "/etc/passwd", "./link.trap", "./way"],
)
def test_files_outside_are_not_found(tmp_path: Path, target: str) -> None:
    """Neither `..` nor an absolute path nor a link leads out of the folder."""
    (tmp_path / "secret.trap").write_text("register SECRET = S3_0_C0_C0_0\n")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.trap").symlink_to(tmp_path / "secret.trap")
    (inside / "way").symlink_to(tmp_path)
    (inside / "main.trap").write_text(f'use "{target}"\n')
    program = Loader().load(str(inside / "main.trap"))
    assert [finding.code for finding in program.report.findings] == ["NV004"]
    assert len(program.files) == 1


def test_links_in_a_folder_do_not_lead_out(tmp_path: Path) -> None:
    """A link among the files of a checked folder is not read when it leads elsewhere."""
    (tmp_path / "secret").write_text("password: hunter2\n")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.trap").symlink_to(tmp_path / "secret")
    (finding,) = check_paths([str(inside)]).findings
    assert finding.code == "NV002"
    assert "hunter2" not in finding.message + finding.help


def test_links_within_a_folder_are_followed(tmp_path: Path) -> None:
    """A link to a file of the same folder is that file."""
    (tmp_path / "a.trap").write_text("feature X\n")
    (tmp_path / "b.trap").symlink_to(tmp_path / "a.trap")
    assert [finding.code for finding in check_paths([str(tmp_path)]).findings] == ["NV016"]


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    """A folder with the name of a rule file is no table."""
    (tmp_path / "a.trap").mkdir()
    program = Loader().load(str(tmp_path / "a.trap"))
    assert [finding.code for finding in program.report.findings] == ["NV002"]


def test_pipe_in_place_of_a_file(tmp_path: Path) -> None:
    """A pipe, which nobody writes to, is not waited for."""
    os.mkfifo(tmp_path / "a.trap")
    assert [finding.code for finding in check_paths([str(tmp_path)]).findings] == ["NV002"]


def test_link_to_itself(tmp_path: Path) -> None:
    """A link that leads nowhere is a file that cannot be read."""
    (tmp_path / "a.trap").symlink_to("a.trap")
    program = Loader().load(str(tmp_path / "a.trap"))
    assert [finding.code for finding in program.report.findings] == ["NV002"]


# ---- many mistakes ----------------------------------------------------------------------

TEN = """\
trp REVIDR_EL1 by HCR.TID1
register HCR_EL2 = S3_4_C1_C1_9
feature NV2
control HCR.TID1 traps read when HCR_EL2.TID1 = 1
condition A.B traps any when FEAT_NONE
combo A.C = A.B | A.D
fine group HFG { any HFGRTR_EL2 }
trap S3_0_C0_C0_6 by A.E
trap S3_0_C0_C0_7 .. S3_0_C0_C0_6 by A.B
local S3_0_C0_C16_0 because "no such CRm"
use "./nowhere.trap"
expect read REVIDR_EL1 forwrd
"""


def test_each_mistake_is_found_at_its_line() -> None:
    """Twelve lines with a mistake each give a finding each, in order."""
    assert sorted(set(_lines(compile_text(TEN).findings))) == list(range(1, 13))


def test_broken_lines_in_a_row_are_all_found() -> None:
    """A statement that cannot be told as one does not hide the next."""
    text = "trp A by B.C\ntarp A by B.C\ntrap A by B\nlocal A\n\n  foo\nbar\n"
    assert _lines(compile_text(text).findings) == [1, 2, 3, 6, 7]


def test_broken_statement_leaves_the_others() -> None:
    """What is around a broken statement is compiled, and its mistakes are found."""
    found = compile_text(f"{REGISTER}trap A_EL2\ncontrol A.F traps any when A_EL2.X == 1\n")
    assert [finding.code for finding in found.findings] == ["NV001", "NV011"]


# ---- random changes ---------------------------------------------------------------------

SHIPPED = sorted(Path(rules_root(), "linux", "6.12").glob("*.trap")) + sorted(
    Path(rules_root(), "registers").glob("*.trap")
)
WORDS = re.findall(
    r"\S+",
    """{ } ( ) <n> <0..99> * .. , | " # not and trap drop replace when fine HCR_EL2. EL
    access.index 0b2 0x [64] context.hypervisor S3_*_*_*_* FEAT_NV2 = ==""",
)
SCRAPS = st.sampled_from([*WORDS, " ", "\n", "\r", "\t", "\0", "é", "\u202e"])


@st.composite
def _mutated(draw: st.DrawFn) -> tuple[Path, str]:
    """A shipped file, and its text with a few places changed."""
    path = draw(st.sampled_from(SHIPPED))
    text = path.read_text(encoding="utf-8")
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 12)))
        kind = draw(st.sampled_from(["cut", "copy", "insert", "swap"]))
        if kind == "cut":
            text = text[:at] + text[end:]
        elif kind == "copy":
            there = draw(st.integers(0, len(text)))
            text = text[:there] + text[at : end + 40] + text[there:]
        elif kind == "insert":
            text = text[:at] + draw(SCRAPS) + text[at:]
        else:
            text = text[:at] + text[at:end][::-1] + text[end:]
    return path, text


_LOADER = Loader()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(_mutated())
def test_changed_rules_give_findings_and_nothing_else(changed: tuple[Path, str]) -> None:
    """Whatever becomes of a shipped file, compiling it raises nothing."""
    path, text = changed
    program = _LOADER.load_text(text, path.name, str(path.parent))
    compilation = compile_program(program)
    for finding in compilation.findings:
        assert 1 <= finding.span.line <= finding.span.source.text.count("\n") + 1
    if compilation.is_sound:
        unpack(compilation.blob, Table)
