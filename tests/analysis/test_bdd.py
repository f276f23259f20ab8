"""`nvtrap.analysis.bdd` against truth tables."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nvtrap.analysis.bdd import FALSE, TRUE, Bdd

VARIABLES = 4
TABLES = st.lists(st.booleans(), min_size=1 << VARIABLES, max_size=1 << VARIABLES)


def function(bdd: Bdd, truth: list[bool]) -> int:
    """The node of a truth table: entry i is the value where variable k is bit k of i."""
    node = FALSE
    for number, value in enumerate(truth):
        if value:
            row = [
                bdd.variable(k) if number >> k & 1 else bdd.not_(bdd.variable(k))
                for k in range(VARIABLES)
            ]
            node = bdd.or_(node, bdd.and_(*row))
    return node


def values(bdd: Bdd, node: int) -> list[bool]:
    """The truth table of a node."""
    return [bdd.evaluate(node, lambda v, n=n: n >> v & 1) for n in range(1 << VARIABLES)]  # type: ignore[misc]


@given(TABLES, TABLES)
def test_connectives_are_those_of_truth_tables(one: list[bool], other: list[bool]) -> None:
    """And, or, exclusive or and not mean what they mean."""
    bdd = Bdd()
    a, b = function(bdd, one), function(bdd, other)
    pairs = list(zip(one, other, strict=True))
    assert values(bdd, bdd.and_(a, b)) == [x and y for x, y in pairs]
    assert values(bdd, bdd.or_(a, b)) == [x or y for x, y in pairs]
    assert values(bdd, bdd.xor(a, b)) == [x != y for x, y in pairs]
    assert values(bdd, bdd.not_(a)) == [not x for x in one]


@given(TABLES)
def test_equal_functions_are_the_same_node(truth: list[bool]) -> None:
    """However a function is put together, it has one node."""
    bdd = Bdd()
    node = function(bdd, truth)
    assert bdd.not_(bdd.not_(node)) == node
    assert (
        bdd.or_(bdd.and_(node, bdd.variable(0)), bdd.and_(node, bdd.not_(bdd.variable(0)))) == node
    )
    assert bdd.or_(node, bdd.not_(node)) == TRUE


@given(TABLES)
def test_the_cheapest_assignment_has_the_fewest_ones(truth: list[bool]) -> None:
    """No other satisfying assignment sets fewer variables; there is none for FALSE."""
    bdd = Bdd()
    chosen = bdd.cheapest(function(bdd, truth), lambda _: (0, 1))
    ones = [number.bit_count() for number, value in enumerate(truth) if value]
    assert (chosen is None) == (not ones)
    if chosen is not None:
        assert sum(chosen.values()) == min(ones)


@given(TABLES)
def test_minimal_sets_are_the_inclusion_minimal_ones(truth: list[bool]) -> None:
    """They are exactly the satisfying sets with no satisfying proper subset."""
    bdd = Bdd()
    found = [
        frozenset(k for k in range(VARIABLES) if number >> k & 1)
        for number, value in enumerate(truth)
        if value
    ]
    minimal = {one for one in found if not any(other < one for other in found)}
    listed = list(bdd.minimal_sets(function(bdd, truth)))
    assert set(listed) == minimal
    assert len(listed) == len(minimal)


@given(TABLES, st.sets(st.integers(0, VARIABLES - 1)))
def test_flipping_variables_negates_them(truth: list[bool], variables: set[int]) -> None:
    """The flipped function at an assignment is the function at the flipped assignment."""
    bdd = Bdd()
    mask = sum(1 << variable for variable in variables)
    flipped = bdd.flip(function(bdd, truth), variables)
    assert values(bdd, flipped) == [truth[n ^ mask] for n in range(1 << VARIABLES)]


@given(TABLES, st.integers(0, VARIABLES - 1), st.integers(0, 1))
def test_restricting_fixes_a_variable(truth: list[bool], variable: int, value: int) -> None:
    """The restricted function no longer hangs on the variable."""
    bdd = Bdd()
    restricted = bdd.restrict(function(bdd, truth), {variable: value})
    fixed = [truth[n & ~(1 << variable) | value << variable] for n in range(1 << VARIABLES)]
    assert values(bdd, restricted) == fixed
    assert variable not in bdd.support(restricted)
