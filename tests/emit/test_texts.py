"""Names, comments, expressions and licence lines of generated code."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.emit import Emission, checked_licence, rendered
from nvtrap.emit.expressions import Expressions, outermost
from nvtrap.emit.texts import comment, identifiers
from nvtrap.engine import Table
from nvtrap.errors import TableError, UsageError
from nvtrap.table.conditions import evaluate
from nvtrap.table.file import pack, sections, unpack
from tests.engine.helpers import SMALL, blob_of

WORDS = (0, 1, 0x8000_0000_0000_0001, (1 << 64) - 1)


@given(st.lists(st.text(max_size=6) | st.sampled_from(["int", "INT", "fn", "n1", "1", "a", "A"])))
def test_identifiers_are_identifiers(names: list[str]) -> None:
    """Whatever the names are, theirs are lower-case words of ASCII, and no two alike."""
    found = identifiers(names)
    assert found.keys() == {*names}
    assert len({*found.values()}) == len(found)
    for word in found.values():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", word, re.ASCII)
        assert word not in ("int", "fn")


@given(st.text())
def test_comments_end_where_they_should(text: str) -> None:
    """No text opens or closes a comment, starts a line, or turns the direction of writing."""
    said = comment(text)
    assert said.isprintable()
    assert "*/" not in said
    assert "/*" not in said


def _conditions() -> st.SearchStrategy[list[Any]]:
    bits = st.lists(st.integers(0, 63), min_size=1, max_size=4, unique=True)
    field = st.builds(
        lambda slot, lsbs: ["f", slot, [[lsb, 1] for lsb in lsbs]], st.integers(0, 2), bits
    )
    wide = st.builds(
        lambda slot, lsb: ["f", slot, [[lsb, 64 - lsb]]], st.integers(0, 2), st.integers(0, 63)
    )
    number = st.builds(
        lambda number: ["k", number], st.integers(0, 9) | st.integers(0, (1 << 64) - 1)
    )
    term = field | wide | number | st.just(["i"])
    compare = st.builds(
        lambda op, left, right: ["cmp", op, left, right],
        st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
        term,
        term,
    )
    return st.recursive(
        compare | st.just(["true"]) | st.just(["false"]),
        lambda inner: (
            st.builds(
                lambda kind, parts: [kind, *parts],
                st.sampled_from(["and", "or"]),
                st.lists(inner, min_size=1, max_size=3),
            )
            | st.builds(lambda part: ["not", part], inner)
        ),
        max_leaves=6,
    )


@given(_conditions(), st.lists(st.sampled_from(WORDS), min_size=3, max_size=3), st.integers(0, 99))
def test_expressions_mean_what_conditions_mean(
    condition: list[Any], words: list[int], index: int
) -> None:
    """Read as Python they come to the same, and nothing is compared that is always so."""
    text = outermost(Expressions(lambda slot: f"words[{slot}]", "access.").condition(condition))
    assert not re.search(r">= 0x0\b(?!\w)|< 0x0\b", text)
    python = text.replace("&&", " and ").replace("||", " or ")
    python = re.sub(r"!(?!=)", " not ", python).replace("access.index", str(index))
    python = python.replace("true", "True").replace("false", "False")
    # In Python `not` binds weaker than a comparison, which here always stands in brackets.
    found = eval(python, {"words": words})
    assert found == evaluate(condition, lambda slot: words[slot], index)


@pytest.mark.parametrize(
    "text",
    ["MIT", "GPL-2.0-only WITH Linux-syscall-note", "(MIT OR Apache-2.0) AND LicenseRef-x.1+"],
)
def test_licences_are_spdx_expressions(text: str) -> None:
    """Names, operators and brackets."""
    assert checked_licence(text) == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "MIT OR", "OR MIT", "MIT MIT", "(MIT", "MIT)", "()", "MIT */ int x;", "MIT\n#x",
     "-->", "é", "M" * 201],
)  # fmt: skip
def test_other_licences_are_refused(text: str) -> None:
    """Nothing but an expression gets into a generated file."""
    with pytest.raises(UsageError, match="is no SPDX licence expression"):
        checked_licence(text)


# ---- tables from elsewhere --------------------------------------------------------


def altered(old: str, new: str) -> Table:
    """The small table, one text of its records another."""
    from json import loads

    blob = blob_of(SMALL)
    records, _, *catalogue = sections(blob)
    text = records.decode()
    assert old in text
    table = unpack(blob, Table)
    packed = pack(loads(text.replace(old, new)), table.rule_of, *(c.decode() for c in catalogue))
    return unpack(packed, Table)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"small.trap"', '"*/ #error \\n#error"'),
        ('"HCR.TID1"', '"*/\\n#error"'),
        ('"nothing there"', '"*/ --> | ` \\u202e\\n# x"'),
        ('"name":"small"', '"name":"*/ x"'),
        ('"HFG"', '"\\" x"'),
    ],
)
def test_texts_of_a_hostile_table_stay_in_comments(old: str, new: str) -> None:
    """Names and reasons of a table file reach neither code nor the line below."""
    emission = Emission(altered(old, new))
    for form in ("c", "rust", "vectors"):
        for text in rendered(emission, form, "MIT", "x.h").values():
            outside = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
            assert "#error" not in outside
            assert '" x' not in outside
            assert "\u202e" not in text
    (page,) = rendered(emission, "markdown", "MIT", "").values()
    assert page.count("-->") == 1
    assert "\n# x" not in page


def test_an_index_that_no_access_has_is_refused() -> None:
    """A condition that counts on an array's index, at a register of none."""
    with pytest.raises(TableError, match="the index of an access that has none"):
        Emission(altered('["k",1]', '["i"]'))
