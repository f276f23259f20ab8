"""The syntax tree of rule text: what was written, before names mean anything.

Every node has the `span` it was written in. Numbers are values, names are `Name`s
with their own span, so that a finding can point at the very word.
"""

from __future__ import annotations

from dataclasses import dataclass

from nvtrap.lang.source import Source, Span


@dataclass(frozen=True, slots=True)
class Name:
    """A word, possibly with an index between angle brackets."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Path:
    """`HCR.TID1`: the name of a control."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Operands:
    """`(3, 0, 1, 0, 1)`: an encoding written as its five numbers."""

    numbers: tuple[int, int, int, int, int]
    span: Span


# ---- expressions ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    """A number in any base."""

    value: int
    span: Span


@dataclass(frozen=True, slots=True)
class Word:
    """A bare name used as a value: `EL`, or a whole register."""

    name: Name
    span: Span


@dataclass(frozen=True, slots=True)
class Fields:
    """`HCR_EL2.TID1` or `HCR_EL2.{NV2, NV}`: fields of one register, high one first."""

    register: Name
    fields: tuple[Name, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Bits:
    """`CPTR_EL2[29]` or `[29:28]`: bits as they stand, whatever the layout."""

    register: Name
    msb: int
    lsb: int
    span: Span


Term = Number | Word | Fields | Bits


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left op right`, op one of == != < <= > >=."""

    op: str
    left: Term
    right: Term
    span: Span
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Flag:
    """`FEAT_NV2`, `access.write`, `context.nv`: something that holds or not."""

    text: str
    span: Span
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Both:
    """`a and b and …`."""

    parts: tuple[Expr, ...]
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class Either:
    """`a or b or …`."""

    parts: tuple[Expr, ...]
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class Negation:
    """`not a`."""

    part: Expr
    span: Span
    depth: int


Expr = Comparison | Flag | Both | Either | Negation


# ---- what exists ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Feature:
    """`feature FEAT_X = …`; without a predicate the feature is only a name."""

    name: Name
    when: Expr | None
    span: Span


@dataclass(frozen=True, slots=True)
class Profile:
    """`profile armv8.4 = armv8.3, FEAT_X, …`: a named set of features."""

    name: Name
    members: tuple[Name, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Requires:
    """`requires FEAT_X else 1`: `absent` is how the bits read without the feature."""

    when: Expr
    absent: int
    span: Span


@dataclass(frozen=True, slots=True)
class Pieces:
    """`[63:60, 3]`: (msb, lsb) ranges, high part first."""

    ranges: tuple[tuple[int, int], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Stride:
    """`[18 + 2*n]`: the bit of element n of a field array."""

    base: int
    step: int
    index: Name
    span: Span


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a register; `alias` is a second name rules may use for it."""

    name: Name
    bits: Pieces | Stride
    alias: Name | None
    negative: bool
    requires: Requires | None
    span: Span


@dataclass(frozen=True, slots=True)
class Layout:
    """Fields that exist only while a condition holds."""

    when: Expr
    fields: tuple[Field, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Register:
    """A register, an array of registers, or (`is_instruction`) an instruction.

    An instruction outside the system encoding space has no encoding.
    """

    name: Name
    encoding: Name | Operands | None
    readable: bool
    writable: bool
    requires: Requires | None
    fields: tuple[Field, ...]
    layouts: tuple[Layout, ...]
    is_instruction: bool
    span: Span


# ---- what traps -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Control:
    """A control or (`is_condition`) a condition: what arms it and what it traps."""

    path: Path
    direction: str
    host_el0: bool
    when: Expr
    is_condition: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Combo:
    """Several controls, any of which traps."""

    path: Path
    members: tuple[Path, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Side:
    """The register of a fine-grained group for one direction."""

    direction: str
    register: Name
    span: Span


@dataclass(frozen=True, slots=True)
class Group:
    """A fine-grained group: its registers, and the key of its disabled features."""

    name: Name
    sides: tuple[Side, ...]
    fgu: str
    span: Span


@dataclass(frozen=True, slots=True)
class Context:
    """A named condition: `context.NAME` in expressions."""

    name: Name
    when: Expr
    span: Span


# ---- rules ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetItem:
    """One register, array, wildcard or encoding, or a range from `first` to `last`."""

    first: Name | Operands
    last: Name | Operands | None
    span: Span


@dataclass(frozen=True, slots=True)
class Filter:
    """`(unless …)` or `(when …)` behind a part."""

    unless: bool
    when: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Coarse:
    """The coarse part of a rule: a control, condition or combo by name."""

    path: Path
    filter: Filter | None
    span: Span


@dataclass(frozen=True, slots=True)
class Fine:
    """The fine part of a rule: a bit of a group, by field name or by number."""

    group: Name
    field: Name | int
    polarity: str
    filter: Filter | None
    span: Span


@dataclass(frozen=True, slots=True)
class Trap:
    """`trap`, `replace trap` or `drop trap` (`verb`) for a set of encodings."""

    verb: str
    direction: str
    sets: tuple[SetItem, ...]
    parts: tuple[Coarse | Fine, ...]
    levels: tuple[int, ...]
    guard: Expr | None
    ec: int
    span: Span


@dataclass(frozen=True, slots=True)
class Local:
    """A deliberate gap and its reason."""

    direction: str
    sets: tuple[SetItem, ...]
    reason: str
    span: Span


@dataclass(frozen=True, slots=True)
class Memory:
    """What FEAT_NV2 turns into memory, at `offset` from VNCR_EL2, when the guard holds."""

    sets: tuple[SetItem, ...]
    offset: int
    guard: Expr | None
    span: Span


# ---- tables and tests -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that the table's word can number of `what`."""

    what: str
    most: int
    span: Span


@dataclass(frozen=True, slots=True)
class Table:
    """What a table is, apart from its rules."""

    name: Name
    additive: bool
    hypervisor: Expr | None
    host_el0: Expr | None
    sanitised: tuple[Name, ...]
    fine_by_position: bool
    absent_read_as_zero: bool
    limits: tuple[Limit, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Use:
    """`use "path"`, or `use table NAME` (`is_table`)."""

    target: str
    is_table: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Assign:
    """One setting of an expectation.

    `what` is `value`, `res0` or `fgu`; `place` names the register, field or group.
    """

    what: str
    place: Name
    member: Name | None
    value: int
    span: Span


@dataclass(frozen=True, slots=True)
class Expect:
    """A test: what becomes of one access in one state, and by which control."""

    direction: str
    register: Name | Operands
    outcome: str
    by: str
    level: int
    settings: tuple[Assign, ...]
    span: Span


Statement = (
    Feature
    | Profile
    | Register
    | Control
    | Combo
    | Group
    | Context
    | Trap
    | Local
    | Memory
    | Table
    | Use
    | Expect
)


@dataclass(frozen=True, slots=True)
class File:
    """The statements of one file, in order."""

    source: Source
    statements: tuple[Statement, ...]
