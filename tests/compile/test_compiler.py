"""From a path or a text to a table, or to what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from nvtrap.compile import compile_path, compile_text, compiled, lower
from nvtrap.engine import Table
from nvtrap.errors import RulesError
from nvtrap.table.file import unpack
from tests.compile.helpers import PRELUDE, codes, findings

RULES = f"{PRELUDE}trap X_EL1 by C.A\ntrap Y_EL1 by C.nP\ntrap read R_EL1 by C.B\n"


def test_file_without_table_is_checked_only() -> None:
    """Rules without a `table` have no name, and no warning for a control they do not use."""
    compilation = compile_text(PRELUDE)
    assert (compilation.name, compilation.findings) == ("", ())
    assert compilation.is_sound


def test_file_with_table_has_its_name(tmp_path: Path) -> None:
    """A table is compiled under the name that it says, and knows its sources."""
    path = tmp_path / "t.trap"
    path.write_text(f"table t-1 {{ }}\n{RULES}")
    compilation = compile_path(str(path))
    assert compilation.name == "t-1"
    table = unpack(compilation.blob, Table)
    assert [source[0] for source in table.sources] == [str(path)]


def test_text_has_no_sources(tmp_path: Path) -> None:
    """Text that was never a file is in no list of files to watch; what it uses is."""
    (tmp_path / "a.trap").write_text(RULES)
    compilation = compile_text('use "./a.trap"\ntable t { }\n', "main.trap", str(tmp_path))
    table = unpack(compilation.blob, Table)
    assert [source[0] for source in table.sources] == [str(tmp_path / "a.trap")]


def test_errors_leave_no_table() -> None:
    """With an error there is no blob and no name."""
    compilation = compile_text(f"table t {{ }}\n{RULES}trap Z_EL1 by C.A\n")
    assert (compilation.name, compilation.blob, compilation.is_sound) == ("", b"", False)


def test_warnings_leave_a_table() -> None:
    """A warning keeps nothing from being compiled."""
    compilation = compile_text(f"table t {{ }}\n{PRELUDE}trap X_EL1 by C.A\n")
    assert compilation.is_sound
    assert {finding.code for finding in compilation.findings} == {"NV035"}


def test_compiled_gives_the_table_or_raises(tmp_path: Path) -> None:
    """`compiled` raises the first error, with its place, and counts the others."""
    path = tmp_path / "t.trap"
    path.write_text(f"table t {{ }}\n{RULES}")
    assert unpack(compiled(str(path), "key"), Table).key == "key"
    path.write_text("trap A by B.C\n")
    with pytest.raises(RulesError, match=r"t\.trap:1:6: NV010 unknown register `A` \(and 1 more\)"):
        compiled(str(path))
    path.write_text("feature A\n")
    with pytest.raises(RulesError, match="NV016") as caught:
        compiled(str(path))
    assert "more" not in caught.value.message


def test_shipped_table_names_no_machine(tmp_path: Path) -> None:
    """A table to be shipped has no sources."""
    path = tmp_path / "t.trap"
    path.write_text(f"table t {{ }}\n{RULES}")
    assert unpack(compiled(str(path), to_ship=True), Table).sources == []


def test_table_of_the_main_file_counts(tmp_path: Path) -> None:
    """A used table lends its rules; name and clauses are the main file's."""
    (tmp_path / "old.trap").write_text(f"table old {{ parts are additive }}\n{RULES}")
    (tmp_path / "new.trap").write_text('use "./old.trap"\ntable new { }\n')
    (tmp_path / "none.trap").write_text('use "./old.trap"\n')
    new, inherited = (compile_path(str(tmp_path / name)) for name in ("new.trap", "none.trap"))
    assert (new.name, inherited.name) == ("new", "old")
    assert not unpack(new.blob, Table).additive
    assert unpack(inherited.blob, Table).additive


def test_one_table_in_a_file() -> None:
    """A second table of a file is refused, and the first one counts."""
    compilation = compile_text(f"table t {{ }}\n{RULES}table u {{ }}\n")
    assert [finding.message for finding in compilation.findings] == ["a file says one table"]


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ("limit controls 3  limit groups 1  limit filters 1", []),
        ("limit controls 2", ["NV036 the table has 3 controls, its word can number 2"]),
        ("limit groups 0", ["NV036 the table has 1 groups, its word can number 0"]),
        ("limit filters 0", ["NV036 the table has 1 filters, its word can number 0"]),
    ],
)
def test_limits(limits: str, found: list[str]) -> None:
    """Controls, groups and different filters of fine parts are counted."""
    rules = "trap W_EL1 fine F.X_EL1 (when EL == 1)\n"
    assert findings(f"table t {{ {limits} }}\n{rules}", RULES) == found


def test_sanitised_registers_exist() -> None:
    """What is sanitised is a register."""
    assert codes("table t { sanitise Z_EL2 }", RULES) == ["NV010"]


def test_more_rules_than_the_index_can_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with too many different rules is refused, not truncated."""
    monkeypatch.setattr(lower, "MOST_RULES", 2)
    (found,) = findings("table t { }", RULES)
    assert found == "NV036 the table has more than 2 different rules"
