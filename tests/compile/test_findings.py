"""Findings as people read them, those of hostile sizes, and many in one file.

Beside the fixtures, `rendered/` holds each finding as `nvtrap check` prints it, with the
line and its carets. After a change of wording or place these texts are made again with
`NVTRAP_UPDATE=1 pytest tests/compile/test_findings.py`, and the difference is reviewed.
The shorter texts beside the fixtures themselves are those of `tests/lang/test_findings.py`.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from nvtrap.analysis import check_paths
from nvtrap.cli.formats.text import render
from nvtrap.compile import expressions, lower
from nvtrap.lang import nodes
from nvtrap.lang.findings import CODES, Finding
from nvtrap.lang.source import Source, Span
from nvtrap.places import grammar_root

FIXTURES = Path(__file__).parents[1] / "fixtures" / "findings"
RENDERED = FIXTURES / "rendered"
ERRORS = sorted(path.stem for path in FIXTURES.glob("err_*.trap"))
SOUND = sorted(path.stem for path in FIXTURES.glob("ok_*.trap"))

INTERNAL = {name for name, _ in inspect.getmembers(nodes, inspect.isclass)} | {
    *("None", "NoneType", "True", "False", "str", "int", "bool", "dict", "tuple", "bytes"),
    *("Token", "Tree", "Traceback", "UsageError", "ValueError", "KeyError", "TypeError"),
}
# Spelled by nvtrap and not by the author: a place, an encoding, the form of one.
OWN_WORDS = re.compile(r"\([\w./]+:\d+\)|S\d_\d_C\d+_C\d+_\d|S<op0>_<op1>_C<CRn>_C<CRm>_<op2>")
NAME = re.compile(r"\b[A-Za-z]\w*_\w+\b")
MARK = re.compile(r"# (NV\d{3})$")


def _code(name: str) -> str:
    return name.split("_")[1].upper()


def _hold_style(finding: Finding) -> None:
    """Assert the style of a finding's texts; only a list behind a colon goes unquoted."""
    for text in (finding.message, finding.help, *(label.text for label in finding.labels)):
        bare = re.sub(r"`[^`]*`", "`", text)
        assert len(text.splitlines()) <= 1, text
        assert not text.endswith((".", " ", ":", ",")), text
        assert text.count("`") % 2 == 0, text
        assert not set("\"'") & set(bare.replace("'s ", "")), text
        assert not INTERNAL & set(re.findall(r"\w+", bare)), text
        head = OWN_WORDS.sub("", bare).partition(":")[0]
        assert not NAME.search(head) or head.startswith("its fields are "), text
        first = text[:1]
        assert not first or first == "`" or first.islower() or first.isdigit(), text


# ---- fixtures ----------------------------------------------------------------------


def test_codes_fixtures_and_page_agree() -> None:
    """Each code has a fixture that gives it, one that does not, and a section by its name."""
    page = Path(grammar_root(), "findings.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (NV\d{3}) (\S+)$", page, re.MULTILINE))
    assert sections == {code: kind.name for code, kind in CODES.items()}
    assert {_code(name) for name in ERRORS} == set(CODES)
    assert {_code(name) for name in SOUND} == set(CODES)


def test_page_says_which_codes_are_warnings() -> None:
    """The introduction names the warnings, and their sections say that they are."""
    page = Path(grammar_root(), "findings.md").read_text(encoding="utf-8")
    intro, *sections = page.split("\n## ")
    warnings = {kind.name for kind in CODES.values() if kind.severity == "warning"}
    assert {name for name in re.findall(r"`([a-z-]+)`", intro) if name in _names()} == warnings
    told = {section.split()[1] for section in sections if "A warning." in section}
    assert told == warnings


def _names() -> set[str]:
    return {kind.name for kind in CODES.values()}


@pytest.mark.parametrize("name", ERRORS)
def test_finding_is_printed_with_its_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `err_*` fixture gives its code alone, in style, and prints as it did at review."""
    monkeypatch.chdir(FIXTURES)
    checked = check_paths([f"{name}.trap"])
    golden = RENDERED / f"{name}.txt"
    if os.environ.get("NVTRAP_UPDATE"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(render(checked), encoding="utf-8")
    for finding in checked.findings:
        _hold_style(finding)
    assert {finding.code for finding in checked.findings} == {_code(name)}
    assert render(checked) == golden.read_text(encoding="utf-8")


def test_every_printed_text_has_its_fixture() -> None:
    """No text is left behind by a fixture that is gone."""
    assert sorted(path.stem for path in RENDERED.iterdir()) == ERRORS


@pytest.mark.parametrize("name", SOUND)
def test_sound_fixture_prints_nothing_but_the_summary(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An `ok_*` fixture has no finding."""
    monkeypatch.chdir(FIXTURES)
    printed = render(check_paths([f"{name}.trap"]))
    assert printed.count("\n") == 1
    assert printed.endswith(": no findings\n")


def test_ten_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every marked line gives its code, and no other line gives any."""
    monkeypatch.chdir(FIXTURES)
    lines = Path("ten_mistakes.trap").read_text(encoding="utf-8").splitlines()
    marks = ((number, MARK.search(line)) for number, line in enumerate(lines, 1))
    wanted = [(number, mark[1]) for number, mark in marks if mark]
    assert len(wanted) == 10
    findings = check_paths(["ten_mistakes.trap"]).findings
    assert [(finding.span.line, finding.code) for finding in findings] == wanted
    for finding in findings:
        _hold_style(finding)


# ---- as much as allowed, and one more ------------------------------------------------


def _combo(count: int) -> str:
    members = [f"A.M{number}" for number in range(count)]
    conditions = "".join(f"condition {member} traps any when EL == 1\n" for member in members)
    return f"{conditions}combo A.ALL = {' | '.join(members)}\n"


def _arrays(count: int, block: str = "") -> str:
    """Arrays of 1,024 registers."""
    return "".join(
        f"register A{number}X<n: 0..1023>_EL1 ="
        f" S{number >> 4}_{number >> 1 & 7}_C<0b{number & 1}:n[9:7]>_C<n[6:3]>_<n[2:0]>{block}\n"
        for number in range(count)
    )


def _fields(arrays: int) -> str:
    """65,536 fields with each array."""
    return _arrays(arrays, " {" + "".join(f" F{bit} [{bit}]" for bit in range(64)) + " }")


def _layouts(register: str, count: int) -> str:
    """A register whose field moves through so many layouts, at encoding `register`."""
    layouts = "".join(
        f"    layout when MODE_EL2.M == {number} {{ F [{number}] }}\n" for number in range(count)
    )
    return f"register R{register}_EL2 = S3_4_C15_C1_{register} {{\n{layouts}}}\n"


MODE = "register MODE_EL2 = S3_4_C15_C0_0 { M [7:0] }\n"


def _layouts_of_three(count: int) -> str:
    """A condition over fields of 4, 4 and `count` layouts."""
    registers = _layouts("1", 4) + _layouts("2", 4) + _layouts("3", count)
    all_three = " and ".join(f"R{number}_EL2.F == 1" for number in (1, 2, 3))
    return f"{MODE}{registers}condition A.B traps any when {all_three}\n"


def _comparisons(count: int) -> str:
    return f"condition A.B traps any when {' or '.join(['EL == 1'] * count)}\n"


def _slots(count: int) -> str:
    names = [f"FEAT_{number}" for number in range(count)]
    halves = names[:512], names[512:]
    features = "".join(f"feature {name}\n" for name in names)
    return features + "".join(
        f"condition A.B{number} traps any when {' or '.join(half)}\n"
        for number, half in enumerate(halves)
    )


def _contexts(depth: int) -> str:
    """`depth` steps of a named context below 48 of a condition."""
    outer = "".join("EL == 0 and (EL == 1 or (" for _ in range(24))
    inner = "EL == 2"
    for number in range(depth):
        inner = f"EL == 1 {'and' if number % 2 else 'or'} ({inner})"
    return f"context c when {inner}\ncondition A.B traps any when {outer}context.c{')' * 48}\n"


BOUNDS: dict[str, tuple[str, int, Callable[[int], str]]] = {
    "depth with contexts": ("NV003", 47, _contexts),
    "features": ("NV006", 4096, lambda n: "".join(f"feature FEAT_{i}\n" for i in range(n))),
    "profiles": (
        "NV006",
        256,
        lambda n: "feature FEAT_A\n" + "".join(f"profile p{i} = FEAT_A\n" for i in range(n)),
    ),
    "instructions": ("NV006", 1024, lambda n: "".join(f"instruction I{i}\n" for i in range(n))),
    "arrays of registers": ("NV006", 32, _arrays),
    "arrays of fields": ("NV006", 4, _fields),
    "members of a combo": ("NV006", 64, _combo),
    "layouts of an expression": ("NV006", 4, _layouts_of_three),
    "comparisons of an expression": ("NV006", 1024, _comparisons),
    "registers and features read": ("NV006", 1024, _slots),
    "bytes": ("NV002", 1 << 20, lambda n: "#" * n),
    "uses": ("NV006", 4096, lambda n: 'use "./nothing.trap"\n' * n),
    "syntax errors": ("NV001", 100, lambda n: "trap\n" * n),
}


@pytest.mark.parametrize("bound", BOUNDS)
def test_bound_is_kept(bound: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as is allowed gives no such finding; one more gives one, and ends there."""
    code, most, text = BOUNDS[bound]
    monkeypatch.chdir(tmp_path)
    Path("nothing.trap").touch()
    Path("main.trap").write_text(text(most), encoding="utf-8")
    inside = check_paths(["main.trap"]).findings
    Path("main.trap").write_text(text(most + 1), encoding="utf-8")
    beyond = check_paths(["main.trap"]).findings
    assert len(inside) == (most if code == "NV001" else 0)
    assert len(beyond) == len(inside) + 1
    assert {finding.code for finding in beyond} == {code}
    for finding in beyond:
        _hold_style(finding)


def _write(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")


def _many_files(count: int) -> None:
    """A program of so many files."""
    names = [f"f{number}.trap" for number in range(count - 1)]
    for name in names:
        Path(name).touch()
    _write("main.trap", "".join(f'use "./{name}"\n' for name in names))


def _deep_files(count: int) -> None:
    """A file with so many levels of `use` below it."""
    for number in range(1, count):
        _write(f"f{number}.trap", f'use "./f{number + 1}.trap"\n')
    Path(f"f{count}.trap").touch()
    _write("main.trap", 'use "./f1.trap"\n')


def _large_files(count: int) -> None:
    """So many files of the largest size, and a small one behind them."""
    for number in range(count):
        _write(f"f{number}.trap", "#" * (1 << 20))
    uses = "".join(f'use "./f{number}.trap"\n' for number in range(count))
    Path("last.trap").touch()
    _write("main.trap", uses + 'use "./last.trap"\n')


@pytest.mark.parametrize(
    ("build", "most"), [(_many_files, 256), (_deep_files, 32), (_large_files, 7)]
)
def test_bounds_of_a_program_are_kept(
    build: Callable[[int], None], most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program has so many files, levels and bytes; one more is one finding."""
    monkeypatch.chdir(tmp_path)
    build(most)
    assert check_paths(["main.trap"]).findings == ()
    build(most + 1)
    (finding,) = check_paths(["main.trap"]).findings
    assert finding.code == "NV006"
    _hold_style(finding)


@pytest.mark.parametrize(
    ("module", "bound", "most", "line", "code"),
    [
        (lower, "MOST_RULES", 2, 'local S3_0_C15_C0_{n} because "x"\n', "NV036"),
        (expressions, "MOST_COMPARISONS", 2, "condition A.B{n} traps any when EL == 1\n", "NV006"),
    ],
)
def test_bound_of_a_whole_table_is_kept(
    module: ModuleType,
    bound: str,
    most: int,
    line: str,
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bounds that take long to reach are lowered for the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, bound, most)
    for count in (most, most + 1):
        _write("main.trap", "".join(line.format(n=number) for number in range(count)))
        findings = check_paths(["main.trap"]).findings
        assert [finding.code for finding in findings] == [code] * (count - most)
        for finding in findings:
            _hold_style(finding)


@pytest.mark.parametrize(
    ("message", "help"),
    [
        ("Unknown register `A`", ""),
        ("unknown register `A`.", ""),
        ("unknown register\n`A`", ""),
        ("unknown register A_EL1", ""),
        ("unknown register 'A'", ""),
        ("unknown register `A", ""),
        ("expected a Name", ""),
        ("the register is None", ""),
        ("unknown register `A`", "write A_EL1"),
    ],
)
def test_style_is_held(message: str, help: str) -> None:
    """Each breach of the style is one to `_hold_style`."""
    finding = Finding("NV010", message, Span(Source("a", "a", "x"), 0, 1), help)
    with pytest.raises(AssertionError):
        _hold_style(finding)


# ---- files that are no rule text ------------------------------------------------------


def _link(folder: Path) -> Iterator[str]:
    (folder / "outside.trap").touch()
    (folder / "given" / "link.trap").symlink_to(folder / "outside.trap")
    yield "`given/link.trap` leads out of the folder"


def _pipe(folder: Path) -> Iterator[str]:
    os.mkfifo(folder / "given" / "pipe.trap")
    yield "`given/pipe.trap` is not a file"


def _dangling(folder: Path) -> Iterator[str]:
    (folder / "given" / "gone.trap").symlink_to(folder / "given" / "nowhere.trap")
    yield "`given/nowhere.trap` cannot be read: no such file or directory"


@pytest.mark.parametrize("build", [_link, _pipe, _dangling])
def test_what_lies_among_rule_files_is_told(
    build: Callable[[Path], Iterator[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be read as rule text is a finding, and nobody waits for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "given").mkdir()
    (message,) = build(tmp_path)
    (finding,) = check_paths(["given"]).findings
    assert (finding.code, finding.message) == ("NV002", message)
    _hold_style(finding)
