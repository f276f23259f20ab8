"""Which files a program has, and how they are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nvtrap.compile import Loader, find_table, table_files
from nvtrap.compile.program import Program, read_text
from nvtrap.places import rules_root


def _load(folder: Path, **files: str) -> Program:
    """The program of `main` among the files."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.trap"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Loader().load(str(folder / "main.trap"))


def _names(program: Program) -> list[str]:
    return [os.path.basename(file.source.path) for file in program.files]


def _codes(program: Program) -> list[str]:
    return [finding.code for finding in program.report.findings]


def test_used_files_come_first_and_once(tmp_path: Path) -> None:
    """What is used counts before what uses it, however often it is used."""
    program = _load(
        tmp_path,
        main='use "./b.trap"\nuse "./a.trap"',
        a='use "./c.trap"',
        b='use "./c.trap"',
        c="",
    )
    assert _names(program) == ["c.trap", "b.trap", "a.trap", "main.trap"]
    assert _codes(program) == []


def test_folder_is_used_in_order_of_name(tmp_path: Path) -> None:
    """Only rule files count, and a folder said twice is one."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "readme.txt").write_text("not a rule file")
    program = _load(tmp_path, main='use "./parts"\nuse "parts"', parts__b="", parts__a="")
    assert _names(program) == ["a.trap", "b.trap", "main.trap"]
    assert program.paths[-2:] == [str(tmp_path / "parts" / name) for name in ("a.trap", "b.trap")]


def test_path_is_beside_the_file_that_says_it(tmp_path: Path) -> None:
    """A used file uses others from where it lies."""
    program = _load(tmp_path, main='use "parts/a.trap"', parts__a='use "./b.trap"', parts__b="")
    assert _names(program) == ["b.trap", "a.trap", "main.trap"]


def test_shipped_rules_are_found_by_path_and_by_table(tmp_path: Path) -> None:
    """The rules root is searched behind the folder, tables by their names."""
    program = _load(tmp_path, main='use "registers/el2.trap"\nuse table linux-6.12')
    assert _codes(program) == []
    assert "linux-6.12.trap" in _names(program)


def test_expectations_of_a_used_table_are_its_own(tmp_path: Path) -> None:
    """A table's tests hold for that table, not for one that changes it; others are kept."""
    program = _load(
        tmp_path,
        main='use "./old.trap"\nuse "./part.trap"\ntable new { }\nexpect read C local',
        old='use "./rules.trap"\ntable old { }\nexpect read A local',
        rules="expect read B local",
        part="expect read D local",
    )
    assert [expect.span.text.split()[1] for expect in program.expectations] == ["D", "C"]


def test_what_leads_nowhere_is_found(tmp_path: Path) -> None:
    """Missing files and unknown tables are found where they are used."""
    program = _load(tmp_path, main='use "./none.trap"\nuse table none-1.0\nuse "./a.trap"', a="")
    assert _codes(program) == ["NV004", "NV015"]
    assert _names(program) == ["a.trap", "main.trap"]


def test_main_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing main file is a finding of a program without files."""
    program = Loader().load(str(tmp_path / "none.trap"))
    assert _codes(program) == ["NV002"]
    assert program.files == []


def test_findings_of_a_file_are_those_of_each_program(tmp_path: Path) -> None:
    """A file is parsed once; every program that uses it has its findings."""
    (tmp_path / "a.trap").write_text("trp\n")
    (tmp_path / "b.trap").write_text('use "./a.trap"\n')
    loader = Loader()
    assert [_codes(loader.load(str(tmp_path / name))) for name in ("a.trap", "b.trap")] == [
        ["NV001"],
        ["NV001"],
    ]


def test_file_alone_can_be_looked_at(tmp_path: Path) -> None:
    """A peek reads one file and follows nothing."""
    (tmp_path / "a.trap").write_text('use "./none.trap"\n')
    loader = Loader()
    peeked = loader.peek(str(tmp_path / "a.trap"))
    assert peeked is not None
    assert len(peeked.statements) == 1
    assert loader.peek(str(tmp_path / "none.trap")) is None


def test_other_roots_can_be_reached(tmp_path: Path) -> None:
    """A loader with roots lets files use what lies there."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "b.trap").touch()
    main = tmp_path / "a" / "main.trap"
    main.write_text('use "../b/b.trap"\n')
    assert _codes(Loader().load(str(main))) == ["NV004"]
    assert _codes(Loader([str(tmp_path / "b")]).load(str(main))) == []


def test_shipped_file_reaches_shipped_files_only() -> None:
    """The rules root is all that a shipped table can use."""
    program = Loader().load(f"{rules_root()}/linux/6.12/linux-6.12.trap")
    assert _codes(program) == []
    assert all(path.startswith(os.path.realpath(rules_root())) for path in program.paths)


def test_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever keeps a folder from being listed is told."""

    def listdir(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    (tmp_path / "parts").mkdir()
    monkeypatch.setattr(os, "listdir", listdir)
    program = _load(tmp_path, main='use "./parts"')
    (finding,) = program.report.findings
    assert finding.message == "`./parts` cannot be read: permission denied"


def test_text_and_problem_exclude_each_other(tmp_path: Path) -> None:
    """A file is read or its problem told."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(b"\xef\xbb\xbf# \r\n")
    bad.write_bytes(b"\x80")
    assert read_text(str(good)) == ("# \n", "")
    text, problem = read_text(str(bad))
    assert text == ""
    assert problem.endswith("is not UTF-8: byte 0 is 0x80")


def test_tables_are_known_by_their_main_files() -> None:
    """A table's main file has its name and says it."""
    assert "linux-6.12" in table_files()
    found = find_table("linux-6.12")
    assert found is not None
    assert found.endswith("linux-6.12.trap")
    assert find_table("none-1.0") is None
