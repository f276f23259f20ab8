"""All encodings at once.

One function computes the step of every rule; `bytes.translate` spreads that over the
encodings, page by page, a page being as many encodings as have at most 256 rules.
"""

from __future__ import annotations

from nvtrap.arch.encoding import ENCODINGS
from nvtrap.engine.binding import NO_CONTEXT
from nvtrap.engine.programs import FEATURE, FGU, HYP_CONTEXT, NO_EL2, NO_ENTRY, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from nvtrap.engine.table import Bound, Table
    from nvtrap.table.model import Part

# numpy widens indexes to eight bytes; in chunks that stays within the cache.
CHUNK = 1 << 17


class Bulk:
    """Decides for all encodings of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._pages = list(_pages(table.rule_of[:ENCODINGS]))
        self._all_rules = _all_rules(table)
        self._has_parts = [table.rule(n).has_parts for n in range(table.rule_count)]

    def steps(self, bound: Bound) -> bytes:
        """The steps of all encodings, writes in the upper half of each byte."""
        by_rule = self._by_rule(bound)
        steps = b"".join(
            page.translate(bytes(map(by_rule.__getitem__, rules)).ljust(256, b"\0"))
            for page, rules in self._pages
        )
        return _with_undefined(steps, bound.undefined) if bound.undefined else steps

    def many(self, bound: Bound, encodings: Any, writes: Any) -> Any:
        """The steps of many accesses."""
        steps = self.steps(bound)
        reads = steps.translate(_READS)
        both = reads + steps.translate(_WRITES)
        if hasattr(encodings, "dtype"):
            return _take(both, encodings, writes)
        if isinstance(writes, bool | int):
            half = both[ENCODINGS:] if writes else reads
            return bytes(map(half.__getitem__, encodings))
        return bytes(
            [
                both[encoding | (ENCODINGS if write else 0)]
                for encoding, write in zip(encodings, writes, strict=True)
            ]
        )

    def _by_rule(self, bound: Bound) -> bytes:
        """The steps of each rule, both directions in a byte."""
        table = self._table
        if bound.state.nv and bound.context == NO_CONTEXT:
            steps = self._all_rules(bound.words)
        else:
            steps = self._elsewhere(bound)
        if not bound.has_fgu:
            return steps
        undef = FGU | FGU << 4
        return bytes(
            undef if has_parts and table.fgu_program(number)(bound.words) else step
            for number, (step, has_parts) in enumerate(zip(steps, self._has_parts, strict=True))
        )

    def _elsewhere(self, bound: Bound) -> bytes:
        """Without EL2 or in a hypervisor context, where rules hardly ever apply."""
        if not bound.state.nv:
            step = NO_EL2 | NO_EL2 << 4
            return bytes(step if has_parts else NO_ENTRY for has_parts in self._has_parts)
        step = HYP_CONTEXT | HYP_CONTEXT << 4
        return bytes(
            bound.step(number, False) | bound.step(number, True) << 4
            if has_parts and self._table.acts_in_host_el0(number)
            else step * has_parts
            for number, has_parts in enumerate(self._has_parts)
        )


def _with_undefined(steps: bytes, undefined: frozenset[int]) -> bytes:
    patched = bytearray(steps)
    for encoding in undefined:
        if encoding < ENCODINGS:
            patched[encoding] = FEATURE | FEATURE << 4
    return bytes(patched)


_READS = bytes(step & 15 for step in range(256))
_WRITES = bytes(step >> 4 for step in range(256))


def _take(both: bytes, encodings: Any, writes: Any) -> Any:
    import numpy as np

    table = np.frombuffer(both, dtype=np.uint8)
    taken = np.empty(len(encodings), dtype=np.uint8)
    if isinstance(writes, bool | int):
        table = table[ENCODINGS:] if writes else table[:ENCODINGS]
    for start in range(0, len(encodings), CHUNK):
        chunk = encodings[start : start + CHUNK]
        if not isinstance(writes, bool | int):
            chunk = chunk.astype(np.intp) | writes[start : start + CHUNK].astype(np.intp) << 16
        np.take(table, chunk, out=taken[start : start + CHUNK], mode="clip")
    return taken


def _pages(rule_of: memoryview[int]) -> Iterator[tuple[bytes, bytes | Sequence[int]]]:
    """(local rule number of each encoding, rule of each local number), in order."""
    todo = [(0, ENCODINGS)]
    while todo:
        start, end = todo.pop()
        rules = sorted(set(rule_of[start:end]))
        if len(rules) > 256:
            middle = (start + end) // 2
            todo += [(middle, end), (start, middle)]
            continue
        local = {rule: number for number, rule in enumerate(rules)}
        yield bytes(map(local.__getitem__, rule_of[start:end])), rules


class _Unpacked(Writer):
    """Code for all rules in one function: words are locals, and so is each control."""

    def __init__(self, table: Table) -> None:
        super().__init__(table, "v{}")
        self.controls: dict[str, str] = {}

    def _coarse(self, part: Part, write: bool, host_el0: bool) -> str:
        source = super()._coarse(part, write, host_el0)
        if source in ("True", "False"):
            return source
        return self.controls.setdefault(source, f"c{len(self.controls)}")


def _all_rules(table: Table) -> Callable[[tuple[int, ...]], bytes]:
    """The function from the words of a bound state to the steps of every rule."""
    writer = _Unpacked(table)
    rules = [_both_directions(writer, table, number) for number in range(table.rule_count)]
    size = len(table.slots) + 1 + 3 * len(table.groups)
    lines = [", ".join(f"v{word}" for word in range(size)) + ", = v"]
    lines += [f"{name} = {source}" for source, name in writer.controls.items()]
    lines.append("return bytes((" + ",".join(rules) + ",))")
    names: dict[str, Any] = {"__builtins__": {}, "bytes": bytes}
    exec("def all_rules(v):\n  " + "\n  ".join(lines), names)
    made: Callable[[tuple[int, ...]], bytes] = names["all_rules"]
    return made


def _both_directions(writer: Writer, table: Table, number: int) -> str:
    rule = table.rule(number)
    if not rule.has_parts:
        return str(NO_ENTRY)
    read, write = writer.rule(rule, False), writer.rule(rule, True)
    if read == write:
        return f"17*({read})"
    return f"({read})|({write})<<4"
