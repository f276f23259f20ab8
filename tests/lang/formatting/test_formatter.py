"""What holds of every layout: it is stable, says the same, and keeps every comment."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.compile import compile_text
from nvtrap.compile.lower import Lowering
from nvtrap.errors import NvtrapError
from nvtrap.lang.findings import Report
from nvtrap.lang.formatting import format_source, formatter, meaning
from nvtrap.lang.formatting.columns import WIDTH
from nvtrap.lang.parse import parse
from nvtrap.places import rules_root
from tests.lang.formatting.helpers import commented, comments, disturbed, formatted, source
from tests.strategies import tables

SHIPPED = sorted(Path(rules_root()).rglob("*.trap"))
SEEDS = st.integers(0, 1 << 32)
ITEMS = ("A", "S3_0_C15_C15_7", "ID_PFR0_EL1 .. S3_0_C0_C7_7", "(3, 0, 1, 2, 3)", "B<n>" + "C" * 60)
SOME = [path for number, path in enumerate(SHIPPED) if number % 7 == 0]


def name(path: Path) -> str:
    """A shipped file as tests are called."""
    return str(path.relative_to(rules_root()))


def table_of(text: str) -> bytes:
    """The compiled table of a text, in which every rule stands in line 0."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lowering, "_place", lambda *_: [0, 0])
        compilation = compile_text(text)
    assert compilation.blob
    return compilation.blob


def tree(text: str) -> object:
    """The syntax tree of a text, without places."""
    return meaning(parse(source(text), Report()).statements)


@pytest.mark.parametrize("path", SHIPPED, ids=name)
def test_shipped_rules_are_formatted(path: Path) -> None:
    """`nvtrap fmt rules` has nothing to do."""
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text


@pytest.mark.parametrize("path", SHIPPED, ids=name)
def test_disturbed_rules_find_their_layout_again(path: Path) -> None:
    """Other spaces, tabs, empty lines and line ends inside a term are taken out."""
    text = path.read_text(encoding="utf-8")
    for seed in range(3):
        changed = disturbed(text, Random(seed))
        assert changed != text
        assert formatted(changed) == text


@pytest.mark.parametrize("path", SOME, ids=name)
def test_comments_stay_wherever_they_stand(path: Path) -> None:
    """Behind and above any token; the tree is that of the text without them."""
    text = path.read_text(encoding="utf-8")
    for seed in range(3):
        changed = commented(text, Random(seed))
        result = formatted(changed)
        assert comments(result) == comments(changed) != []
        assert formatted(result) == result
        assert tree(result) == tree(text)


@settings(max_examples=40)
@given(tables(), SEEDS)
def test_a_formatted_table_is_the_same_table(text: str, seed: int) -> None:
    """The compiled tables are equal byte by byte, whatever the layout was."""
    result = formatted(text)
    assert formatted(result) == result
    assert formatted(disturbed(result, Random(seed))) == result
    assert table_of(result) == table_of(text)


@settings(max_examples=40)
@given(tables(), SEEDS)
def test_generated_tables_keep_their_comments(text: str, seed: int) -> None:
    """And formatting them again changes nothing."""
    changed = commented(text, Random(seed))
    result = formatted(changed)
    assert comments(result) == comments(changed)
    assert formatted(result) == result
    assert tree(result) == tree(text)


@given(st.lists(st.sampled_from(ITEMS), min_size=1, max_size=60), st.integers(0, 120))
def test_long_lines_are_broken_once(items: list[str], length: int) -> None:
    """A line that was broken stays as it is the next time; none is longer than it has to be."""
    text = f'local {", ".join(items)} because "{"x" * length}"'
    result = formatted(text)
    assert formatted(result) == result
    assert tree(result) == tree(text)
    assert all(
        len(line) <= WIDTH or line.startswith("      because") for line in result.split("\n")
    )


@pytest.mark.parametrize(
    "text",
    ["trap X by\n", "trap X by A.B }\n", "control A.B traps any when EL == 99999999999999999999\n"],
)
def test_what_does_not_parse_has_no_layout(text: str) -> None:
    """What is wrong is reported."""
    report = Report()
    assert format_source(source(text), report) is None
    assert report.has_errors


@pytest.mark.parametrize(
    "wrong", ["trap X by A.C  # c\n", "trap X by A.B\n", "trap X by A.B  # d\n", "trap X by\n"]
)
def test_a_layout_that_says_something_else_is_refused(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it in a name or in a comment."""
    monkeypatch.setattr(formatter, "_laid_out", lambda _: wrong)
    with pytest.raises(NvtrapError, match="would change what it says"):
        format_source(source("trap X by A.B # c\n"), Report())
