"""Expectations run as tests: which are run, against which table, and how often."""

from __future__ import annotations

from pathlib import Path

import pytest

from nvtrap.analysis.testing import run_expectations
from nvtrap.compile import Compilation, compile_program
from nvtrap.compile.program import Program
from nvtrap.errors import InputError, UsageError
from tests.compile.helpers import PRELUDE

TABLE = PRELUDE + "table t {}\ncontrol D.T traps any when D_EL2.T == 1\n"
RULES = "trap X_EL1 by C.A\ntrap Y_EL1 by C.B\ntrap R_EL1 by D.T, fine F.X_EL1\n"
MET = "expect read X_EL1 forward by C.A when C_EL2.A = 1\n"
ALSO_MET = "expect write Y_EL1 local when C_EL2.B = 1\n"
NOT_MET = "expect read Y_EL1 local when C_EL2.B = 1\n"
SENSELESS = "expect read Z_EL1 local\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder with a table in `t.trap`."""
    monkeypatch.chdir(tmp_path)
    Path("t.trap").write_text(TABLE + RULES + MET, encoding="utf-8")


def write(name: str, text: str) -> None:
    """A file in the current folder."""
    Path(name).write_text(text, encoding="utf-8")


def ran(*paths: str, wanted: str = "") -> list[tuple[str, str, bool]]:
    """(table, file, passed) of each case."""
    results = run_expectations(paths, wanted=wanted)
    assert results.findings == []
    return [(case.table, case.name.partition(":")[0], case.passed) for case in results.cases]


def test_a_table_runs_its_own() -> None:
    """The expectations of the file."""
    assert ran("t.trap") == [("t", "t.trap", True)]


def test_a_test_file_runs_its_own_in_the_table_it_uses() -> None:
    """And not those of the table, which hold for that."""
    write("more.trap", f'use "t.trap"\n{ALSO_MET}{NOT_MET}{SENSELESS}')
    expected = [("t", "more.trap", passed) for passed in (True, False, False)]
    assert ran("more.trap") == expected
    assert ran("t.trap", "more.trap") == [("t", "t.trap", True), *expected]
    assert ran(".") == [("t", "t.trap", True), *expected]


def test_a_test_file_of_a_shipped_table() -> None:
    """It says `use table`."""
    write("own.trap", "use table linux-6.12\nexpect read REVIDR_EL1 local\n")
    assert ran("own.trap") == [("linux-6.12", "own.trap", True)]


def test_a_problem_says_what_was_expected() -> None:
    """As a finding of a check does; a name that nobody knows gets help."""
    write("more.trap", f'use "t.trap"\n{NOT_MET}expect read X_EL0 local\n')
    met, wrong, senseless = run_expectations(["t.trap", "more.trap"]).cases
    assert met.verdict.problem == ""
    assert wrong.verdict.problem == "expected local, the read is forward by `C.B` (t.trap:25)"
    assert wrong.name == "more.trap:2: read Y_EL1 local when C_EL2.B = 1"
    assert senseless.verdict.problem == "unknown register `X_EL0`"
    assert "`X_EL1`" in senseless.verdict.help
    assert (senseless.verdict.encoding, senseless.verdict.decided) == (-1, ())


def test_test_files_share_their_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is compiled once, and what they reach is counted together."""
    compiled = []

    def compile_and_count(program: Program) -> Compilation:
        compiled.append(program)
        return compile_program(program)

    monkeypatch.setattr("nvtrap.analysis.testing.compile_program", compile_and_count)
    for number in range(3):
        write(f"more{number}.trap", f'use "t.trap"\n{ALSO_MET}')
    results = run_expectations(["."])
    assert len(results.cases) == 4
    assert len(compiled) == len(results.coverages) == 1


def test_tables_of_the_same_name_are_not_shared() -> None:
    """Nor are those that the same files make in another order or under other clauses."""
    write("other.trap", TABLE + RULES.replace("X_EL1 by C.A", "X_EL1 by C.B") + MET)
    write("both.trap", 'use "t.trap"\ntable t { hypervisor context when EL == 1 }\n' + MET)
    assert ran("t.trap", "other.trap", "both.trap") == [
        ("t", "t.trap", True),
        ("t", "other.trap", False),
        ("t", "both.trap", False),
    ]


def test_an_expectation_is_run_once_in_a_table() -> None:
    """Although a fragment is looked at by itself and as part of a test file."""
    write("a.trap", PRELUDE + RULES.replace("D.T", "C.nP") + MET)
    write("b.trap", f'use "a.trap"\n{ALSO_MET}')
    assert ran("a.trap", "b.trap") == [("a.trap", "a.trap", True), ("a.trap", "b.trap", True)]


def test_files_with_errors_are_told_and_others_are_run() -> None:
    """A file that does not parse, and one whose rules are wrong, have findings."""
    write("no.trap", "trap trap\n" + MET)
    write("wrong.trap", f'use "t.trap"\ntrap X_EL1 by C.Z\n{MET}')
    results = run_expectations(["."])
    assert [case.name.partition(":")[0] for case in results.cases] == ["t.trap"]
    assert [(f.code, f.span.source.display) for f in results.findings] == [
        ("NV001", "no.trap"),
        ("NV012", "wrong.trap"),
    ]
    assert results.files == ["no.trap", "t.trap", "wrong.trap"]


def test_warnings_are_no_errors_of_a_run() -> None:
    """An unused control is the business of `check`."""
    write("t.trap", TABLE + MET.replace("forward by C.A", "local"))
    assert ran("t.trap") == [("t", "t.trap", True)]


@pytest.mark.parametrize(
    ("wanted", "count"), [("", 3), ("X_EL1", 1), ("^more", 2), (r":\d+: write", 1), ("Q", 0)]
)
def test_a_pattern_picks_by_file_and_text(wanted: str, count: int) -> None:
    """A regular expression, found anywhere in the name."""
    write("more.trap", f'use "t.trap"\n{ALSO_MET}{NOT_MET}')
    assert len(ran("t.trap", "more.trap", wanted=wanted)) == count


@pytest.mark.parametrize("wanted", ["(", "[", "*", "(?P<a", "a{2,1}", "\\"])
def test_a_pattern_that_is_none_is_told(wanted: str) -> None:
    """Before anything is run."""
    with pytest.raises(UsageError, match="is no regular expression"):
        run_expectations(["missing.trap"], wanted=wanted)


def test_a_path_that_is_not_there_is_told() -> None:
    """As `check` tells it."""
    with pytest.raises(InputError, match="does not exist"):
        run_expectations(["missing.trap"])
