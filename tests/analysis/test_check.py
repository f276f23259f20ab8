"""Checking files and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from nvtrap.analysis import check_paths
from nvtrap.errors import InputError
from nvtrap.places import rules_root
from tests.compile.helpers import PRELUDE

RULES = f"{PRELUDE}trap X_EL1 by C.A\ntrap Y_EL1 by C.nP\ntrap read R_EL1 by C.B\n"


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _write(**files: str) -> None:
    for name, text in files.items():
        path = Path(f"{name.replace('__', '/')}.trap")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_shipped_rules_are_sound() -> None:
    """All that is shipped has no finding, and its expectations are met."""
    checked = check_paths([rules_root()])
    assert [finding.message for finding in checked.findings] == []
    assert "linux-6.12" in checked.tables
    assert checked.expectations > 40
    assert not checked.has_errors


def test_file_that_a_table_uses_is_checked_with_it() -> None:
    """A part is no file of its own, so what it lacks alone is no finding."""
    _write(
        t='use "./defs.trap"\nuse "./part.trap"\ntable t { }',
        part="trap X_EL1 by C.A",
        defs=PRELUDE,
    )
    checked = check_paths(["."])
    assert {finding.code for finding in checked.findings} == {"NV035"}
    assert checked.files == ("defs.trap", "part.trap", "t.trap")
    assert checked.tables == ("t",)


def test_file_that_none_uses_is_checked_alone() -> None:
    """What no table brings in is still looked at."""
    _write(t=f"{RULES}table t {{ }}", other="trp\n", sub__deep="feature X\n")
    checked = check_paths(["."])
    assert [str(finding.span) for finding in checked.findings] == [
        "other.trap:1:1",
        "sub/deep.trap:1:9",
    ]
    assert checked.has_errors


def test_table_that_another_uses_keeps_its_own_check() -> None:
    """The expectations of a used table are run, in that table."""
    _write(
        a='use "./b.trap"\ntable a { }\nreplace trap X_EL1 by C.nP\nexpect read X_EL1 forward',
        b=f"{RULES}table b {{ }}\nexpect read X_EL1 local",
    )
    checked = check_paths(["."])
    assert [finding.message for finding in checked.findings if finding.is_error] == []
    assert (checked.tables, checked.expectations) == (("a", "b"), 2)


def test_expectation_that_fails_is_a_finding() -> None:
    """A failed test is an error at its place."""
    _write(t=f"{RULES}table t {{ }}\nexpect read X_EL1 forward\n")
    (finding,) = check_paths(["t.trap"]).findings
    assert finding.code == "NV046"


def test_expectations_wait_for_sound_rules() -> None:
    """Rules with errors are not run."""
    _write(t=f"{RULES}table t {{ }}\ntrap Z_EL1 by C.A\nexpect read X_EL1 forward\n")
    checked = check_paths(["t.trap"])
    assert [finding.code for finding in checked.findings] == ["NV010"]
    assert checked.expectations == 0


def test_findings_of_a_shared_file_are_told_once() -> None:
    """Two tables that use one broken file have one finding between them."""
    _write(a='use "./c.trap"\ntable a { }', b='use "./c.trap"\ntable b { }', c="trp\n")
    assert len(check_paths(["."]).findings) == 1


def test_folders_may_use_each_other() -> None:
    """Folders that are checked together are one world; other roots can be named."""
    _write(one__a='use "../two/b.trap"', two__b="")
    assert check_paths(["one", "two"]).findings == ()
    assert check_paths(["one"], ["two"]).findings == ()
    assert [finding.code for finding in check_paths(["one"]).findings] == ["NV004"]


def test_paths_said_twice_are_checked_once() -> None:
    """A file may be named and lie in a named folder."""
    _write(a="trp\n")
    assert check_paths(["a.trap", "a.trap"]).files == ("a.trap",)


def test_missing_path_is_no_finding() -> None:
    """What is not there cannot be checked, nor a folder without rules."""
    with pytest.raises(InputError, match="`none` does not exist"):
        check_paths(["none"])
    Path("empty").mkdir()
    with pytest.raises(InputError, match="`empty` has no rule files"):
        check_paths(["empty"])
