"""The packages as users get them, built here and installed away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from tools import packages

ROOT = packages.ROOT
NEEDED_TO_BUILD = ("LICENSE", "README.md", "hatch_build.py", "pyproject.toml")
QUERY = ("query", "REVIDR_EL1", "--set", "HCR_EL2.TID1=1")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packages.build("sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packages.build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    return packages.install(wheel, tmp_path_factory.mktemp("installed") / "with space")


def _contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _copy_of_checkout(folder: Path) -> Path:
    """What a build needs, elsewhere."""
    for name in ("nvtrap", "rules", "grammar", "scenarios"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "shipped")
        )
    for name in NEEDED_TO_BUILD:
        shutil.copy(ROOT / name, folder / name)
    return folder


def _nvtrap(bin_folder: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in the empty folder `home`, its user's home and cache."""
    env = {"PATH": os.defpath, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    return subprocess.run(
        [str(bin_folder / "nvtrap"), *words],
        cwd=home,
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )


def test_wheel_holds_package_rules_grammar_and_tables(wheel: Path) -> None:
    """Every rule and grammar file is in the wheel as it is here, with the compiled tables."""
    contents = _contents(wheel)
    for folder in ("rules", "grammar", "scenarios"):
        for path in filter(Path.is_file, (ROOT / folder).rglob("*")):
            name = f"nvtrap/shipped/{path.relative_to(ROOT).as_posix()}"
            assert contents[name] == path.read_bytes()
    assert "nvtrap/shipped/tables/linux-6.12.nvtable" in contents
    assert "nvtrap/py.typed" in contents


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    """The wheel is the package and its metadata, without tests, tools or byte code."""
    names = list(_contents(wheel))
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"nvtrap"}
    assert not [name for name in names if "__pycache__" in name]


def test_sdist_holds_all_that_is_needed_to_work_on_it(sdist: Path) -> None:
    """The sdist has the sources, the tests, the tools, the texts and the compiled tables."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        ".ci/run",
        "LICENSE",
        "README.md",
        "grammar/trap.lark",
        "hatch_build.py",
        "nvtrap/__init__.py",
        "pyproject.toml",
        "rules/linux/6.12/linux-6.12.trap",
        "tables/linux-6.12.nvtable",
        "tests/packaging/test_wheel.py",
        "tools/run",
    } <= names
    assert not [name for name in names if name.startswith("nvtrap/shipped")]


def test_wheel_from_sdist_is_the_same(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    """A wheel built from the unpacked sdist, in another folder, is equal byte for byte."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    again = packages.build("wheel", tmp_path / "dist", unpacked)
    assert _contents(again) == _contents(wheel)
    assert again.read_bytes() == wheel.read_bytes()


def test_packages_name_no_path_of_the_building_machine(wheel: Path) -> None:
    """No file of the wheel says where it was built."""
    for name, content in _contents(wheel).items():
        assert str(ROOT).encode() not in content, name
        assert str(Path.home()).encode() + b"/" not in content, name


def test_installed_command_answers_from_its_own_files(installed: Path, tmp_path: Path) -> None:
    """A query elsewhere answers with the shipped rule and leaves nothing in the cache."""
    answer = _nvtrap(installed, tmp_path, *QUERY)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("read REVIDR_EL1: forward by HCR.TID1 (coarse)")
    assert "rules/linux/6.12/id.trap:" in answer.stdout
    assert answer.stderr == ""
    assert not list(tmp_path.iterdir())


def test_installed_package_is_the_one_imported(installed: Path, tmp_path: Path) -> None:
    """The new environment imports its own nvtrap, and finds its rules and grammar there."""
    code = "from nvtrap import places as p; print(p.__file__, p.rules_root(), p.grammar_root())"
    printed = packages.run(str(installed / "python"), "-I", "-c", code, cwd=tmp_path)
    assert str(ROOT) not in printed
    assert printed.count(f"{installed.parent}/lib/") == 3


def test_installed_command_lists_its_tables(installed: Path, tmp_path: Path) -> None:
    """The shipped tables are found by name without their rules being read."""
    answer = _nvtrap(installed, tmp_path, "tables")
    assert answer.returncode == 0, answer.stderr
    assert "linux-6.12" in answer.stdout
    assert not list(tmp_path.iterdir())


def test_installed_rules_compile(installed: Path, tmp_path: Path) -> None:
    """Rules of one's own that inherit from the shipped ones are sound in an installation."""
    (tmp_path / "mine.trap").write_text("use table linux-6.12\n", encoding="utf-8")
    answer = _nvtrap(installed, tmp_path, "check", "mine.trap")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_broken_rules_stop_the_build_at_their_line(tmp_path: Path) -> None:
    """A build with an error in the rules fails and names file, line and column."""
    copy = _copy_of_checkout(tmp_path / "copy")
    rules = copy / "rules" / "linux" / "6.12" / "id.trap"
    lines = rules.read_text(encoding="utf-8").count("\n")
    with rules.open("a", encoding="utf-8") as file:
        file.write("trap NO_SUCH_REGISTER by HCR.TID1\n")
    with pytest.raises(RuntimeError) as failure:
        packages.build("wheel", tmp_path / "dist", copy)
    assert f"rules/linux/6.12/id.trap:{lines + 1}:" in str(failure.value)
    assert "Traceback" not in str(failure.value)


def test_editable_installation_ships_nothing(tmp_path: Path) -> None:
    """An editable wheel points to the checkout, which gets no compiled tables."""
    copy = _copy_of_checkout(tmp_path / "copy")
    code = f"from hatchling.build import build_editable; build_editable({str(tmp_path)!r})"
    packages.run(sys.executable, "-c", code, cwd=copy)
    (wheel,) = tmp_path.glob("*.whl")
    contents = _contents(wheel)
    assert contents["_nvtrap.pth"].decode() == str(copy)
    assert not [name for name in contents if "shipped" in name]
    assert not (copy / "nvtrap" / "shipped").exists()
