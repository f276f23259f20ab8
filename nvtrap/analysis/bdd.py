"""Binary decision diagrams: boolean functions with one node for each distinct function.

Two functions are equal exactly when their nodes are, so "do these tables ever differ" is
a comparison of numbers, not a search. Variables are small integers, asked in their order;
nodes 0 and 1 are the constants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

FALSE = 0
TRUE = 1
_LEAF = 1 << 30

# What a variable costs when it is 0 and when it is 1.
Weights = Callable[[int], tuple[int, int]]


class Bdd:
    """A manager: makes functions and answers questions about them."""

    def __init__(self) -> None:
        self._nodes: list[tuple[int, int, int]] = [(_LEAF, 0, 0), (_LEAF, 1, 1)]
        self._unique: dict[tuple[int, int, int], int] = {}
        self._memo: dict[tuple[int, int, int], int] = {}

    def variable(self, number: int) -> int:
        """The function that is true when variable `number` is 1."""
        return self._node(number, FALSE, TRUE)

    def _node(self, variable: int, low: int, high: int) -> int:
        """A node of a function: none is needed where the variable does not matter."""
        return low if low == high else self._kept((variable, low, high))

    def _kept(self, key: tuple[int, int, int]) -> int:
        """The one node with this variable and these branches, a new one if need be."""
        node = self._unique.get(key)
        if node is None:
            node = self._unique[key] = len(self._nodes)
            self._nodes.append(key)
        return node

    # ---- connectives -------------------------------------------------------

    def ite(self, test: int, then: int, other: int) -> int:
        """`then` where `test` is true, `other` elsewhere."""
        if test <= TRUE:
            return then if test else other
        if then == other:
            return then
        if then == TRUE and other == FALSE:
            return test
        key = test, then, other
        found = self._memo.get(key)
        if found is None:
            nodes = self._nodes
            variable = min(nodes[test][0], nodes[then][0], nodes[other][0])
            low = self.ite(*(self._branch(node, variable, 1) for node in key))
            high = self.ite(*(self._branch(node, variable, 2) for node in key))
            found = self._memo[key] = self._node(variable, low, high)
        return found

    def _branch(self, node: int, variable: int, side: int) -> int:
        record = self._nodes[node]
        return record[side] if record[0] == variable else node

    def not_(self, node: int) -> int:
        """Where `node` is false."""
        return self.ite(node, FALSE, TRUE)

    def and_(self, *nodes: int) -> int:
        """Where all are true."""
        result = TRUE
        for node in nodes:
            result = self.ite(result, node, FALSE)
        return result

    def or_(self, *nodes: int) -> int:
        """Where any is true."""
        result = FALSE
        for node in nodes:
            result = self.ite(result, TRUE, node)
        return result

    def xor(self, one: int, other: int) -> int:
        """Where they differ."""
        return self.ite(one, self.not_(other), other)

    def any_of(self, nodes: Iterable[int]) -> int:
        """Where at least one is true."""
        return self.or_(*nodes)

    # ---- questions ---------------------------------------------------------

    def evaluate(self, node: int, value: Callable[[int], int]) -> bool:
        """The function's value when variable n is `value(n)`."""
        while node > TRUE:
            variable, low, high = self._nodes[node]
            node = high if value(variable) else low
        return node == TRUE

    def support(self, node: int) -> set[int]:
        """The variables that the function hangs on."""
        seen: set[int] = set()
        todo, found = [node], set()
        while todo:
            node = todo.pop()
            if node > TRUE and node not in seen:
                seen.add(node)
                variable, low, high = self._nodes[node]
                found.add(variable)
                todo += [low, high]
        return found

    def restrict(self, node: int, values: dict[int, int]) -> int:
        """The function with some variables fixed."""
        memo: dict[int, int] = {}

        def walk(node: int) -> int:
            if node <= TRUE:
                return node
            if node not in memo:
                variable, low, high = self._nodes[node]
                if variable in values:
                    memo[node] = walk(high if values[variable] else low)
                else:
                    memo[node] = self._node(variable, walk(low), walk(high))
            return memo[node]

        return walk(node)

    def flip(self, node: int, variables: set[int]) -> int:
        """The function with some variables negated."""
        memo: dict[int, int] = {}

        def walk(node: int) -> int:
            if node <= TRUE:
                return node
            if node not in memo:
                variable, low, high = self._nodes[node]
                low, high = walk(low), walk(high)
                flipped = (high, low) if variable in variables else (low, high)
                memo[node] = self._node(variable, *flipped)
            return memo[node]

        return walk(node)

    def cheapest(self, node: int, weights: Weights) -> dict[int, int] | None:
        """The assignment of least cost that makes the function true; None if there is none.

        Variables that are not in it can have any value.
        """
        if node == FALSE:
            return None
        costs = self._costs(node, weights)
        chosen = {}
        while node > TRUE:
            variable, low, high = self._nodes[node]
            at_low, at_high = weights(variable)
            one = costs[high] + at_high < costs[low] + at_low
            chosen[variable] = int(one)
            node = high if one else low
        return chosen

    def _costs(self, node: int, weights: Weights) -> dict[int, float]:
        costs: dict[int, float] = {FALSE: float("inf"), TRUE: 0}
        for at in self._upwards(node):
            variable, low, high = self._nodes[at]
            at_low, at_high = weights(variable)
            costs[at] = min(costs[low] + at_low, costs[high] + at_high)
        return costs

    def _upwards(self, node: int) -> list[int]:
        """The inner nodes below `node`, children first: nodes are made bottom up."""
        seen: set[int] = set()
        todo = [node]
        while todo:
            at = todo.pop()
            if at > TRUE and at not in seen:
                seen.add(at)
                todo += self._nodes[at][1:]
        return sorted(seen)

    def minimal_sets(self, node: int) -> Iterator[frozenset[int]]:
        """The inclusion-minimal sets of variables whose being 1 makes the function true.

        Every other variable is 0 in such an assignment.
        """
        yield from self._members(self._minimal(node, {}))

    def _minimal(self, node: int, memo: dict[int, int]) -> int:
        """The function whose assignments are the minimal ones of `node` (Rauzy's minsol)."""
        if node <= TRUE:
            return node
        if node not in memo:
            variable, low, high = self._nodes[node]
            below = self._minimal(low, memo)
            above = self._without(self._minimal(high, memo), below, {})
            memo[node] = self._set_node(variable, below, above)
        return memo[node]

    def _set_node(self, variable: int, low: int, high: int) -> int:
        """A node of a family of sets: no member takes `variable` when `high` is empty."""
        return low if high == FALSE else self._kept((variable, low, high))

    def _without(self, family: int, small: int, memo: dict[tuple[int, int], int]) -> int:
        """The sets of `family` that contain no set of `small`."""
        if family == FALSE or small == TRUE:
            return FALSE
        if small == FALSE or family == TRUE:
            return family
        key = family, small
        if key not in memo:
            variable, low, high = self._nodes[family]
            other, small_low, small_high = self._nodes[small]
            if variable < other:
                low, high = self._without(low, small, memo), self._without(high, small, memo)
                memo[key] = self._set_node(variable, low, high)
            elif variable > other:
                memo[key] = self._without(family, small_low, memo)
            else:
                above = self._without(high, small_low, memo)
                above = self._without(above, small_high, memo)
                low = self._without(low, small_low, memo)
                memo[key] = self._set_node(variable, low, above)
        return memo[key]

    def _members(self, family: int) -> Iterator[frozenset[int]]:
        todo: list[tuple[int, frozenset[int]]] = [(family, frozenset())]
        while todo:
            node, taken = todo.pop()
            if node == TRUE:
                yield taken
            elif node != FALSE:
                variable, low, high = self._nodes[node]
                todo += [(low, taken), (high, taken | {variable})]
