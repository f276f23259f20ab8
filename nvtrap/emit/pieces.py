"""What the C and the Rust of a table have in common: conditions, and how a state is bound.

The generated code works as `nvtrap.engine` does. A state is bound to words (one for each
slot of the table), to the bits that trap in each fine-grained group and direction, and
to those that are disabled; a decision reads these. See `nvtrap.engine.binding`.
"""

from __future__ import annotations

import re
from textwrap import wrap

from nvtrap import __version__
from nvtrap.emit.expressions import FALSE, TRUE, Expressions, all_of, any_of
from nvtrap.emit.json import digest
from nvtrap.emit.texts import at, comment
from nvtrap.table import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvtrap.emit.emission import Emission
    from nvtrap.table import Control, Group, Part

    Case = tuple[str, str, str]  # comment, constant, expression

ALL_BITS = (1 << 64) - 1
MOST_COLUMNS = 80


class Pieces:
    """The pieces in the spelling of one language.

    `arrow` stands between a reference and a member, `invert` before inverted bits;
    `feature` is the text of a feature's constant.
    """

    def __init__(self, emission: Emission, arrow: str, invert: str, feature: str) -> None:
        self.emission = emission
        self._table = emission.table
        self._arrow = arrow
        self._invert = invert
        access = f"access{arrow}"
        self._expressions = Expressions(self._word, access, emission.write_slot)
        self._of_state = Expressions(self._word, "", emission.write_slot)
        self._of_features = Expressions(
            lambda name: f"has(bound, {feature}{emission.features[name]})", ""
        )

    def _word(self, slot: int) -> str:
        return f"bound{self._arrow}words[{self.emission.words[slot]}]"

    # ---- conditions --------------------------------------------------------

    def controls(self) -> Iterator[Case]:
        """Whether each control is armed for an access."""
        emission = self.emission
        for control, constant in zip(emission.control_list, emission.controls, strict=True):
            said = f"{control.kind} {control.name}: {control.text}"
            yield f"{at(control.place)}: {comment(said)}", constant, self._armed(control)

    def _armed(self, control: Control) -> str:
        if not control.members:
            return self._single(control)
        return any_of([self._member(number) for number in control.members])

    def _member(self, number: int) -> str:
        member = self.emission.control_list[number]
        if member.members:  # only a table from elsewhere has combos in combos
            return self._single(member)
        if self._single(member) in (TRUE, FALSE):
            return self._single(member)
        return f"armed(bound, access, {self.emission.controls[number]})"

    def _single(self, control: Control) -> str:
        """A control by its own condition; in host EL0 only some take effect."""
        access = f"access{self._arrow}"
        direction = {
            READ | WRITE: TRUE,
            READ: f"({access}write == 0x0)",
            WRITE: f"({access}write != 0x0)",
        }.get(control.directions, FALSE)
        anywhere = control.host_el0 or self._table.host_el0 == ["false"]
        where = TRUE if anywhere else f"!{access}host_el0"
        return all_of([direction, where, self._expressions.condition(control.when)])

    def guards(self) -> Iterator[Case]:
        """The further conditions of parts, and those of memory; number 0 always holds."""
        texts = {self.emission.guards.number(p.guard): p.text for p in self.emission.parts}
        for number, guard in enumerate(self.emission.guards.all):
            if number:
                said = comment(texts.get(number, "memory"))
                yield said, str(number), self._expressions.condition(guard)

    def needs(self) -> Iterator[Case]:
        """What of the features each need wants; number 0 wants nothing."""
        for number, need in enumerate(self.emission.needs.all):
            if number:
                yield "", str(number), self._of_features.condition(need)

    # ---- binding -----------------------------------------------------------

    def hypervisor(self) -> str:
        """Whether the state is a hypervisor's context."""
        return self._of_state.condition(self._table.hypervisor)

    def host_el0(self) -> str:
        """Whether a hypervisor's context is host EL0."""
        return self._of_state.condition(self._table.host_el0)

    def registers(self) -> Iterator[str]:
        """The assignments of registers: without what the vCPU lacks."""
        for slot, member in self.emission.members.items():
            gone, value = self._gone(slot), f"state{self._arrow}registers.{member}"
            text = f"{value} & {self._invert}({gone})" if gone else value
            if any(absent.slot == slot and absent.ones for absent in self.emission.absent):
                text = f"({text}) | ones[{self.emission.words[slot]}]"
            yield f"{self._word(slot)} = {text};"

    def groups(self) -> Iterator[str]:
        """The assignments of what traps, and of what is disabled, group by group."""
        a = self._arrow
        for number, group in enumerate(self._table.groups):
            one_register = group.slots[0] == group.slots[1]
            for side in (0, 1):
                traps = self._traps(group, 0 if one_register else side)
                yield f"bound{a}traps[{number}][{side}] = {traps};"
            yield f"bound{a}disabled[{number}] = {self._disabled(group)};"

    def _traps(self, group: Group, side: int) -> str:
        slot = group.slots[side]
        text = self._word(slot)
        if group.negative[side]:
            text = f"({text} ^ {group.negative[side]:#x})"
        gone = self._gone(slot)
        if gone:
            text += f" & {self._invert}({gone})"
        defined = ALL_BITS if self._table.fine_by_position else group.defined[side]
        return text if defined == ALL_BITS else f"{text} & {defined:#x}"

    def _disabled(self, group: Group) -> str:
        texts = []
        if group.fgu:
            texts.append(f"state{self._arrow}fgu.{self.emission.fgu[group.fgu]}")
            if not self._table.disarm:
                texts += [self._lacking(slot) for slot in dict.fromkeys(group.slots)]
        return " | ".join(filter(None, texts)) or "0"

    def _gone(self, slot: int) -> str:
        """The bits of a register that the vCPU does not have."""
        sanitised = slot in self._table.sanitised
        texts = [f"state{self._arrow}res0.{self.emission.members[slot]}"] if sanitised else []
        if sanitised or self._table.disarm:
            texts.append(self._lacking(slot))
        return " | ".join(filter(None, texts))

    def _lacking(self, slot: int) -> str:
        if any(absent.slot == slot for absent in self.emission.absent):
            return f"lacking[{self.emission.words[slot]}]"
        return ""

    def special(self, name: str) -> str:
        """The word of a special slot, or an empty text where the table does not read it."""
        slot = self._table.slot(name)
        return "" if slot < 0 else self._word(slot)

    def features(self) -> Iterator[tuple[str, str]]:
        """(word, constant) of every feature that is a slot."""
        for slot, name in enumerate(self._table.slots):
            if name.startswith("FEAT_"):
                yield self._word(slot), self.emission.features[name]

    # ---- rows --------------------------------------------------------------

    def parts(self) -> Iterator[tuple[str, str]]:
        """(members, comment) of each part, members in the order of the structure."""
        for number, part in enumerate(self.emission.parts):
            said = f"{number}: {comment(self.emission.part_name(part))}, {at(part.place)}"
            yield ", ".join(map(str, self._part(part))), said

    def _part(self, part: Part) -> tuple[object, ...]:
        emission = self.emission
        return (
            "NONE" if part.is_fine else emission.controls[part.control],
            part.group if part.is_fine else "NONE",
            emission.guards.number(part.guard),
            max(part.index, 0),
            max(part.bit, 0),
            part.directions,
            part.levels,
            f"{part.ec:#x}",
        )

    def rules(self) -> Iterator[str]:
        """The members of each rule, in the order of the structure."""
        for record in self.emission.rules:
            offset, guard = record.memory or (0, "NONE")
            host_el0 = TRUE if record.host_el0 else FALSE
            parts = f"{record.start}, {record.fine}, {record.coarse}"
            yield f"{parts}, {offset:#x}, {guard}, {host_el0}"

    def range_comment(self, first: int, last: int, number: int) -> str:
        """The name of the encodings, and where their rule stands."""
        rule = self.emission.rules[number].rule
        places = dict.fromkeys(at(part.place) for part in (*rule.fine, *rule.coarse))
        if rule.local_place is not None:
            places[f"{at(rule.local_place)} ({comment(rule.local_reason)})"] = None
        said = ", ".join(places) or "memory"
        return f"{comment(self.emission.range_name(first, last))}: {said}"


def notice(emission: Emission) -> list[str]:
    """What stands at the top of every generated text."""
    return [
        f"{comment(emission.name)}: which accesses to system registers a nested hypervisor traps.",
        "",
        f"Generated by nvtrap {__version__} from the table {comment(emission.name)}; do not edit.",
        f"Source: sha256:{digest(emission)}",
    ]


def folded(text: str, indent: str) -> str:
    """An expression on as many lines as it takes, later ones indented further."""
    lines = wrap(text, MOST_COLUMNS, break_long_words=False, break_on_hyphens=False)
    return f"\n{indent}".join(lines)


def mentions(text: str, word: str) -> bool:
    """Whether a text has the identifier."""
    return re.search(rf"\b{word}\b", text) is not None
