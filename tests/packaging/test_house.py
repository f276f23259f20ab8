"""The rules of the house, each on a small tree that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import house

LONG_FUNCTION = "def long() -> None:\n" + "    print()\n" * 60
MANY_MIDDLING = "".join(f"def f{n}() -> None:\n" + "    print()\n" * 11 for n in range(3))
EXCEPT = "try:\n    print()\nexcept:\n    print()\n"
# Put together here, so that this file keeps the rule that it tests.
MACHINE_PATH = f"x = '/{'home'}/me/project'\n"


def _breaches(root: Path, name: str, text: str) -> list[str]:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return list(house.breaches(root))


@pytest.mark.parametrize(
    ("text", "breach"),
    [
        ("\n" * 601, "nvtrap/a.py:1: has 601 lines, at most 600"),
        ("\n" * 251, "nvtrap: the median file has 251 lines, at most 250"),
        (LONG_FUNCTION, "nvtrap/a.py:1: long has 61 lines, at most 60"),
        (MANY_MIDDLING, "nvtrap: the median function has 12 lines, at most 10"),
        (EXCEPT, "nvtrap/a.py:3: bare except"),
        (MACHINE_PATH, "nvtrap/a.py:1: names a path of one machine"),
    ],
)
def test_each_rule_has_its_breach(tmp_path: Path, text: str, breach: str) -> None:
    """A tree that breaks a rule is told so, with the place."""
    assert breach in _breaches(tmp_path, "nvtrap/a.py", text)


@pytest.mark.parametrize("name", ["rules/a.trap", "tools/a", ".ci/run", "README.md"])
def test_machine_paths_are_found_outside_the_package(tmp_path: Path, name: str) -> None:
    """A path of one machine is a breach in every file of the project."""
    assert _breaches(tmp_path, name, MACHINE_PATH) == [f"{name}:1: names a path of one machine"]


@pytest.mark.parametrize("name", [".venv/a.py", "build/a.py", "env/lib/a.py", ".git/config"])
def test_what_is_not_the_projects_is_left_out(tmp_path: Path, name: str) -> None:
    """Environments, builds and the repository's own files are not looked into."""
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    assert _breaches(tmp_path, name, MACHINE_PATH) == []


def test_files_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    """A binary file is no breach."""
    (tmp_path / "vectors.gz").write_bytes(b"\x1f\x8b\xff\xfe")
    assert list(house.breaches(tmp_path)) == []


@pytest.mark.parametrize(("text", "code"), [("x = 1\n", 0), (EXCEPT, 1)])
def test_exit_code_says_whether_there_was_a_breach(tmp_path: Path, text: str, code: int) -> None:
    """The script ends with 1 after a breach, else with 0."""
    (tmp_path / "nvtrap").mkdir()
    (tmp_path / "nvtrap" / "a.py").write_text(text, encoding="utf-8")
    assert house.main([str(tmp_path)]) == code
