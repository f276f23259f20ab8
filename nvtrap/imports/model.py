"""What an import makes of a text: controls, groups and rules, ready to be written."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Control:
    """A control or condition. `when` is empty where it could not be translated."""

    name: str
    kind: str
    directions: str
    host_el0: bool
    when: str
    line: int


@dataclass(frozen=True, slots=True)
class Combo:
    """Controls any of which traps; `is_sound` says that all of them were translated."""

    name: str
    members: tuple[str, ...]
    is_sound: bool
    line: int


@dataclass(frozen=True, slots=True)
class Group:
    """A fine-grained group; `key` is what its disabled features are listed under, or empty."""

    name: str
    read: str
    write: str
    key: str


@dataclass(frozen=True, slots=True)
class Extent:
    """The encodings from `first` to `last`, with the names that were used for the two."""

    first: int
    last: int
    first_name: str
    last_name: str


@dataclass(slots=True)
class Trap:
    """What one part traps: `part` is all from `by` or `fine` on.

    `line`s are those of the entries. A part that is not sound can only be a comment.
    """

    part: str
    is_sound: bool = True
    extents: list[Extent] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Model:
    """Everything that is written, in order; `limits` are those of a table statement."""

    controls: list[Control] = field(default_factory=list)
    combos: list[Combo] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    coarse: list[Trap] = field(default_factory=list)
    fine: list[Trap] = field(default_factory=list)
    elsewhere: list[tuple[str, int]] = field(default_factory=list)
    sanitised: list[str] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=dict)
    has_host_el0: bool = False
