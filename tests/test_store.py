"""Loading tables: shipped ones, files, and the cache of what was compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest

import nvtrap.compile
from nvtrap import Access, State, Table, load, places, sources, store
from nvtrap.compile import compile_text
from nvtrap.errors import RulesError, TableError, UnknownNameError
from nvtrap.table import file

ROOT = Path(__file__).parent.parent
RULES = """
use "parts"
register R_EL2 = S3_4_C1_C1_0 {{ A [{bit}] }}
register X_EL1 = S3_0_C1_C1_0
control K.a traps any when R_EL2.A == 1
trap X_EL1 by K.a
table t {{ parts are additive }}
"""
PART = "register {name} = S3_0_C2_C2_{number}\ncontrol K.p{number} traps any when R_EL2.A == 1\n"
BIT_0 = State({"R_EL2": 1})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test; folder and file are made by who needs them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nvtrap"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A rule file that uses a folder with one file."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "one.trap").write_text(PART.format(name="P_EL1", number=1))
    path = tmp_path / "t.trap"
    path.write_text(RULES.format(bit=0))
    return path


@pytest.fixture
def only_cached(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes every further compilation a failure."""

    def refuse(path: str, **settings: object) -> bytes:
        raise AssertionError(f"{path} is compiled again {settings}")

    return lambda: monkeypatch.setattr(nvtrap.compile, "compiled", refuse)


def step(table: Table) -> str:
    """Whether the table forwards X_EL1 on bit 0 of R_EL2."""
    return table.decide(BIT_0, Access("X_EL1")).step


def cached_file(cache: Path) -> Path:
    """The one file in the cache."""
    (found,) = cache.iterdir()
    return found


def no_warning(message: str) -> None:
    """Take no warning."""
    raise AssertionError(message)


# ---- the cache --------------------------------------------------------------------


def test_a_table_is_compiled_once(rules: Path, only_cached: Callable[[], None]) -> None:
    """The second time the table comes from the cache, and is the same."""
    first = load(str(rules), warn=no_warning)
    only_cached()
    second = load(str(rules), warn=no_warning)
    assert step(first) == step(second) == "coarse"
    assert (second.name, second.key) == ("t", str(rules))


def test_another_way_to_the_file_is_the_same_table(
    rules: Path, only_cached: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path and a link lead to the same cached table."""
    load(str(rules))
    only_cached()
    monkeypatch.chdir(rules.parent)
    rules.with_name("link.trap").symlink_to(rules)
    assert step(load("t.trap")) == step(load("link.trap")) == "coarse"


def test_a_touched_file_is_not_compiled_again(rules: Path, only_cached: Callable[[], None]) -> None:
    """Another time with the same content changes nothing; nor does it for a folder."""
    load(str(rules))
    for path in (rules, rules.parent / "parts", rules.parent / "parts" / "one.trap"):
        os.utime(path, ns=(1, 1))
    only_cached()
    assert step(load(str(rules))) == "coarse"


def test_a_changed_file_of_the_same_size_is_noticed(rules: Path) -> None:
    """When the time differs the content counts."""
    assert step(load(str(rules))) == "coarse"
    rules.write_text(RULES.format(bit=1))
    os.utime(rules, ns=(1, 1))
    assert step(load(str(rules))) == "none"


def test_a_file_added_to_a_used_folder_is_noticed(rules: Path) -> None:
    """A folder counts by the rule files in it, whatever else comes and goes."""
    assert load(str(rules)).names.spelled("Q_EL1") is None
    added = rules.parent / "parts" / "two.trap"
    added.write_text(PART.format(name="Q_EL1", number=2))
    assert load(str(rules)).names.spelled("Q_EL1") == "Q_EL1"
    added.unlink()
    assert load(str(rules)).names.spelled("Q_EL1") is None


def test_other_files_in_a_used_folder_do_not_matter(
    rules: Path, only_cached: Callable[[], None]
) -> None:
    """A file that is no rule file is not a change."""
    load(str(rules))
    (rules.parent / "parts" / "notes.txt").write_text("not a rule")
    only_cached()
    assert step(load(str(rules))) == "coarse"


def test_a_used_file_that_is_gone_is_noticed(rules: Path) -> None:
    """A source that is not there any more is a change."""
    load(str(rules))
    (rules.parent / "parts" / "one.trap").unlink()
    assert load(str(rules)).names.spelled("P_EL1") is None


def test_another_compiler_makes_the_table_again(
    rules: Path, monkeypatch: pytest.MonkeyPatch, only_cached: Callable[[], None]
) -> None:
    """A cached table of another version of the tool is not used."""
    load(str(rules))
    only_cached()
    monkeypatch.setattr(store, "tool_stamp", lambda: "another")
    with pytest.raises(AssertionError, match="is compiled again"):
        load(str(rules))


def damaged(blob: bytes) -> bytes:
    """The file with a byte changed."""
    return blob[:-1] + bytes([blob[-1] ^ 1])


def of_old_shape(blob: bytes) -> bytes:
    """The file as another release might have written it, with a valid checksum."""
    found = file.sections(blob)
    lengths = b"".join(len(part).to_bytes(4, "little") for part in (b"{}", *found[1:]))
    body = lengths + b"{}" + b"".join(found[1:])
    crc = crc32(body).to_bytes(4, "little")
    return blob[: len(file.MAGIC) + 2] + crc + body


@pytest.mark.parametrize(
    "spoil",
    [damaged, lambda blob: blob[: len(blob) // 2], lambda _: b"", lambda _: b"x", of_old_shape],
    ids=["altered", "truncated", "empty", "junk", "old"],
)
def test_a_damaged_cached_table_is_made_again(
    rules: Path, cache: Path, spoil: Callable[[bytes], bytes]
) -> None:
    """The user is told once, gets the right answer, and the next time all is well."""
    load(str(rules))
    path = cached_file(cache)
    path.write_bytes(spoil(path.read_bytes()))
    said: list[str] = []
    assert step(load(str(rules), warn=said.append)) == "coarse"
    (message,) = said
    assert message.startswith(f"the cached table `{path}` was made again: ")
    assert step(load(str(rules), warn=no_warning)) == "coarse"


def test_a_cached_table_of_something_else_is_not_used(
    rules: Path, cache: Path, tmp_path: Path
) -> None:
    """A file that lies where another's would is recognised by its key."""
    other = tmp_path / "other.trap"
    other.write_text(RULES.format(bit=1))
    load(str(other))
    blob = cached_file(cache).read_bytes()
    cached_file(cache).unlink()
    load(str(rules))
    cached_file(cache).write_bytes(blob)
    assert step(load(str(rules))) == "coarse"


def test_a_cache_that_cannot_be_written_costs_time_only(
    rules: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the cache should be is a file, or writing is refused: the answer is the same."""
    cache.parent.mkdir()
    cache.write_text("not a folder")
    assert step(load(str(rules), warn=no_warning)) == "coarse"
    cache.unlink()

    def refuse(path: str, blob: bytes) -> None:
        raise PermissionError(13, "Permission denied", f"{path} {len(blob)}")

    monkeypatch.setattr(store, "write", refuse)
    assert step(load(str(rules), warn=no_warning)) == "coarse"


def test_a_read_only_cache_is_read(rules: Path, cache: Path) -> None:
    """A folder that cannot be written to, with the table or without."""
    load(str(rules))
    cache.chmod(0o555)
    assert step(load(str(rules), warn=no_warning)) == "coarse"
    rules.write_text(RULES.format(bit=1))
    assert step(load(str(rules), warn=no_warning)) == "none"
    cache.chmod(0o755)


def test_two_processes_may_build_at_once(rules: Path, cache: Path) -> None:
    """Each gets the table, one whole file is left, and no draft of it."""
    code = (
        "import sys; from nvtrap import load, Access, State\n"
        f"table = load({str(rules)!r}, warn=sys.exit)\n"
        "print(table.decide(State({'R_EL2': 1}), Access('X_EL1')).step)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate()[0] for process in running]
    assert said == ["coarse\n"] * 3
    assert cached_file(cache).suffix == file.SUFFIX
    assert step(load(str(rules), warn=no_warning)) == "coarse"


# ---- names and paths --------------------------------------------------------------


def test_a_shipped_table_goes_by_its_name(only_cached: Callable[[], None]) -> None:
    """It is compiled once as well, and its name is among the names."""
    assert load("linux-6.12").name == "linux-6.12"
    assert "linux-6.12" in store.table_names()
    only_cached()
    assert load("linux-6.12").name == "linux-6.12"


def test_an_unknown_table_is_told_with_the_closest() -> None:
    """A name that is nearly one suggests it."""
    with pytest.raises(UnknownNameError) as caught:
        load("linux-6.21")
    assert caught.value.message == "unknown table `linux-6.21`"
    assert caught.value.help == "did you mean `linux-6.12`?"


@pytest.mark.parametrize("name", ["no/such.trap", "none.trap", "none.nvtable", ".", "a\0/b"])
def test_a_path_that_is_no_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing there, or a folder, is no table."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TableError, UnknownNameError)):
        load(name)
    with pytest.raises(TableError, match="is a folder"):
        load(f"{tmp_path}/")


def test_a_file_that_cannot_be_read(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason of the system is told."""

    def refuse(*words: object) -> None:
        raise PermissionError(13, "Permission denied", str(words))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(TableError, match=r"cannot be read: Permission denied"):
        load(str(rules))


def test_a_compiled_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    """Whatever it is called; it is told by its first bytes or its ending."""
    blob = compile_text(RULES.format(bit=0).replace('use "parts"', "")).blob
    for name in ("t.nvtable", "t.bin"):
        path = tmp_path / name
        path.write_bytes(blob)
        assert step(load(str(path))) == "coarse"
    path.write_bytes(damaged(blob))
    with pytest.raises(TableError) as caught:
        load(str(path))
    assert caught.value.message.startswith(f"`{path}`: the compiled table is truncated")
    (tmp_path / "t.nvtable").write_text("table t { }")
    with pytest.raises(TableError, match="this is not a compiled table"):
        load(str(tmp_path / "t.nvtable"))


def test_rules_with_errors_are_told_with_their_place(tmp_path: Path) -> None:
    """The first finding is in the message, and all are with the error."""
    path = tmp_path / "bad.trap"
    path.write_text("trap X_EL1 by K.a\ntrap Y_EL1 by K.b\n")
    with pytest.raises(RulesError) as caught:
        load(str(path))
    assert f"{path}:1:6: NV010 unknown register `X_EL1` (and " in caught.value.message
    assert len(caught.value.findings) == 4
    assert caught.value.exit_code == 1


def test_an_installed_package_has_compiled_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only_cached: Callable[[], None]
) -> None:
    """They are found by name in the folder of shipped tables, nothing else is."""
    blob = compile_text(RULES.format(bit=0).replace('use "parts"', "")).blob
    (tmp_path / "t.nvtable").write_bytes(blob)
    (tmp_path / "notes.txt").write_text("no table")
    monkeypatch.setattr(store, "shipped_tables", lambda: str(tmp_path))
    only_cached()
    assert store.table_names() == ["t"]
    assert step(load("t")) == "coarse"
    with pytest.raises(UnknownNameError):
        load("linux-6.12")
    (tmp_path / "t.nvtable").write_bytes(damaged(blob))
    with pytest.raises(TableError):
        load("t")


# ---- places and fingerprints --------------------------------------------------------


@pytest.mark.parametrize("value", [None, "", "relative/cache"])
def test_the_cache_is_below_the_home_folder(
    value: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """XDG_CACHE_HOME counts when it is an absolute path, as its specification says."""
    monkeypatch.setenv("HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert places.cache_root() == str(tmp_path / ".cache" / "nvtrap")


def test_paths_are_shown_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the rules, below the current folder, or as they are."""
    monkeypatch.chdir(tmp_path)
    rule = os.path.join(places.rules_root(), "linux", "a.trap")
    assert places.display_path(rule) == os.path.join("rules", "linux", "a.trap")
    assert places.display_path(str(tmp_path / "b" / "c.trap")) == os.path.join("b", "c.trap")
    assert places.display_path(str(tmp_path.parent / "d.trap")) == str(tmp_path.parent / "d.trap")


def test_an_installed_package_has_its_files_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules, grammar and tables are those in the package when it has them."""
    monkeypatch.setattr(places, "_SHIPPED", str(tmp_path))
    assert places.shipped_tables() is None
    assert places.rules_root() == str(ROOT / "rules")
    for name in ("rules", "grammar", "tables"):
        (tmp_path / name).mkdir()
    assert places.rules_root() == str(tmp_path / "rules")
    assert places.grammar_root() == str(tmp_path / "grammar")
    assert places.shipped_tables() == str(tmp_path / "tables")


def test_a_fingerprint_is_of_what_a_source_says(tmp_path: Path) -> None:
    """A file's content, a folder's rule files."""
    path = tmp_path / "a.trap"
    path.write_text("one")
    known = [sources.fingerprint(str(path)), sources.fingerprint(str(tmp_path))]
    assert sources.unchanged(known)
    (tmp_path / "notes.txt").write_text("not a rule")
    assert sources.unchanged(known)
    path.write_text("two")
    os.utime(path, ns=(1, 1))
    assert not sources.unchanged(known[:1])
    assert sources.unchanged(known[1:])
    path.unlink()
    assert not sources.unchanged(known[:1])
    assert not sources.unchanged(known[1:])


def test_the_stamp_of_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package stamps its version, a checkout also the compiler's last change."""
    assert sources.tool_stamp().startswith(f"{nvtrap.__version__}+")
    monkeypatch.setattr(sources, "shipped_tables", lambda: "somewhere")
    assert sources.tool_stamp() == nvtrap.__version__
