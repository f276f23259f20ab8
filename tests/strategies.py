"""Random tables as text, valid by construction, and random states for them.

The catalogue has a few registers of every kind; what is drawn is their fields, what traps,
and when. Bits lie low or at the top, so that random values are often near the interesting
ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from hypothesis import strategies as st

from nvtrap.engine import State

CONTROL_REGISTERS = ("CA_EL2", "CB_EL2", "CC_EL2")
FINE_REGISTERS = ("FR_EL2", "FW_EL2", "FI_EL2")
FEATURES = ("FEAT_P", "FEAT_Q")
FGU_KEYS = ("RW", "ONE")
DIRECTIONS = ("any", "any", "read", "write")
HEADER = """\
feature FEAT_P
feature FEAT_Q
register TA_EL1 = S3_0_C2_C0_0
register TB_EL1 = (3, 0, 2, 0, 1){requires}
register TR_EL1 = S3_0_C2_C0_2 read-only
register TW_EL1 = S3_0_C2_C0_3 write-only
register TX_EL1 = S3_0_C2_C1_0 read-only
register TY_EL1 = S3_0_C2_C1_0 write-only
register AR<n: 0..5>_EL1 = S2_0_C0_C<n>_4
register BR<n: 2..9>_EL0 = S3_3_C14_C<0b10:n[3:2]>_<n[1:0]>{requires}
instruction DC_X = S1_0_C7_C6_1
instruction WFX
"""


class Draw(Protocol):
    """What hypothesis hands to a composite strategy."""

    def __call__(self, strategy: st.SearchStrategy[Any], /) -> Any: ...


@dataclass(frozen=True)
class Target:
    """Text for a set of encodings; no two atoms of all targets share an encoding."""

    text: str
    atoms: frozenset[str]
    indexed: bool = False
    directions: str = "rw"


def _target(text: str, atoms: str, *, indexed: bool = False, directions: str = "rw") -> Target:
    return Target(text, frozenset(atoms.split()), indexed, directions)


TARGETS = (
    _target("TA_EL1", "ta"),
    _target("S3_0_C2_C0_1", "tb"),
    _target("TB_EL1", "tb"),
    _target("TR_EL1", "tr", directions="r"),
    _target("TW_EL1", "tw", directions="w"),
    _target("TX_EL1", "xy"),
    _target("AR<n>_EL1", "a0 a1 a2 a3 a4 a5", indexed=True),
    _target("AR<1..3>_EL1", "a1 a2 a3", indexed=True),
    _target("AR4_EL1", "a4", indexed=True),
    _target("AR<5>_EL1", "a5", indexed=True),
    _target("(2, 0, 0, 2, 4)", "a2", indexed=True),
    _target("AR0_EL1 .. AR3_EL1", "a0 a1 a2 a3 between"),
    _target("S2_0_C0_C*_4", "a0 a1 a2 a3 a4 a5 rest"),
    _target("BR<n>_EL0", "b2 b3 b4-9", indexed=True),
    _target("BR<4..9>_EL0", "b4-9", indexed=True),
    _target("BR2_EL0 .. S3_3_C14_C8_3", "b2 b3", indexed=True),
    _target("S3_0_C0_C4_6 .. (3, 0, 0, 5, 1)", "range"),
    _target("S3_1_*_C15_7", "wild"),
    _target("DC_X", "dc", directions="w"),
    _target("WFX", "wfx", directions="w"),
)
# fmt: off
ACCESSES = [
    "TA_EL1", "TB_EL1", "TR_EL1", "TX_EL1", "TW_EL1", "AR0_EL1", "AR1_EL1", "AR2_EL1", "AR3_EL1",
    "AR4_EL1", "AR5_EL1", "BR2_EL0", "BR3_EL0", "BR4_EL0", "BR7_EL0", "BR9_EL0", "DC_X", "WFX",
    "S2_0_C0_C1_5", "S2_0_C0_C4_5", "S2_0_C0_C9_4", "S3_0_C0_C4_5", "S3_0_C0_C4_6",
    "S3_0_C0_C5_0", "S3_0_C0_C5_1", "S3_0_C0_C5_2", "S3_1_C9_C15_7",
]
# fmt: on


@dataclass(frozen=True)
class Named:
    """A field that expressions may name; a field of several layouts has its least width."""

    register: str
    name: str
    width: int
    layout: str = ""

    @property
    def text(self) -> str:
        """How a rule names it."""
        return f"{self.register}.{self.name}"


@dataclass(frozen=True)
class Part:
    """A part of a statement, what identifies it, and the book it is kept in."""

    text: str
    what: str
    place: dict[str, set[str]]


@dataclass
class Table:
    """A table being put together; `text` is the result."""

    draw: Draw
    lines: list[str] = field(default_factory=list)
    fields: list[Named] = field(default_factory=list)
    controls: dict[str, str] = field(default_factory=dict)
    indexed: set[str] = field(default_factory=set)
    contexts: list[str] = field(default_factory=list)
    fine: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    additive: bool = False
    coarse_at: dict[str, set[str]] = field(default_factory=dict)
    fine_at: dict[str, set[str]] = field(default_factory=dict)

    def pick(self, *options: Any) -> Any:
        """One of the options; the first is the simplest."""
        return self.draw(st.sampled_from(options))

    def often(self) -> bool:
        """True half of the time."""
        return bool(self.draw(st.booleans()))

    def rarely(self) -> bool:
        """True one time in five."""
        return bool(self.pick(False, False, False, False, True))

    # ---- the catalogue -----------------------------------------------------

    def requires(self, *, absent: bool = True) -> str:
        """A `requires`, or nothing."""
        if not self.pick(False, False, True):
            return ""
        when = self.pick("FEAT_P", "FEAT_Q", "FEAT_P and FEAT_Q", "FEAT_P or not FEAT_Q")
        value = self.pick("", " else 1", " else 0") if absent else ""
        return f" requires {when}{value}"

    def catalogue(self) -> None:
        """The registers with their fields, and the fine-grained groups."""
        self.lines.append(HEADER.format(requires=self.requires(absent=False)))
        top = f"E2H [15]{self.requires()}\nTGE [14]{self.requires()}\nSPLIT [63:62, 12]"
        self.fields += [Named("CA_EL2", "E2H", 1), Named("CA_EL2", "TGE", 1)]
        self.fields.append(Named("CA_EL2", "SPLIT", 3))
        body = "\n".join([top, *self._packed("CA_EL2", "a", 0, 10)])
        self.lines.append(f"register CA_EL2 = S3_4_C1_C0_0 {{\n{body}\n}}")
        self._moving()
        body = "\n".join(self._packed("CC_EL2", "c", 0, 8))
        self.lines.append(f"register CC_EL2 = S3_4_C1_C0_2 {{\n{body}\nT<n: 0..3> [16 + 2*n]\n}}")
        self.fields += [Named("CC_EL2", f"T{number}", 1) for number in (0, 3)]
        self._groups()

    def _packed(self, register: str, prefix: str, start: int, end: int) -> list[str]:
        """Fields of one to three bits between two bits."""
        lines: list[str] = []
        while start < end and len(lines) < 4:
            width = self.pick(1, 1, 1, 2, 3)
            name = f"{prefix}{start}"
            bits = f"{start + width - 1}:{start}" if width > 1 else f"{start}"
            alias = ""
            if self.rarely():
                alias = f" is {name}x"
                self.fields.append(Named(register, f"{name}x", width))
            lines.append(f"{name} [{bits}]{alias}{self.requires()}")
            self.fields.append(Named(register, name, width))
            start += width + self.pick(0, 1, 2)
        return lines

    def _moving(self) -> None:
        """CB_EL2, whose fields may move with CA_EL2.

        The moving ones require nothing: see `test_known_differences`.
        """
        lines = self._packed("CB_EL2", "b", 0, 6)
        if self.often():
            guards = ["CA_EL2.E2H == 0", "CA_EL2.E2H == 1", "CA_EL2.TGE == 1 and CA_EL2.SPLIT != 2"]
            for guard in guards[: self.pick(2, 1, 3)]:
                inside = [
                    f"m{n} [{8 + n * 3 + self.pick(0, 1, 2)}]"
                    for n in range(2)
                    if not self.rarely()
                ]
                lines.append(f"layout when {guard} {{ {' '.join(inside)} }}")
                self.fields += [Named("CB_EL2", line.split()[0], 1, guard) for line in inside]
        body = "\n".join(lines)
        self.lines.append(f"register CB_EL2 = S3_4_C1_C0_1 {{\n{body}\n}}")

    def _groups(self) -> None:
        """A group of two registers, whose bits may be in one of them alone, and one of one."""
        sides: dict[str, list[str]] = {"FR_EL2": [], "FW_EL2": []}
        for bit in range(5):
            for register in self.pick(("FR_EL2", "FW_EL2"), ("FR_EL2",), ("FW_EL2",)):
                sides[register].append(f"f{bit} [{bit}]{self._polarity()}{self.requires()}")
                self.fields.append(Named(register, f"f{bit}", 1))
            self.fine["FG", bit] = [f"FG.f{bit}", f"FG[{bit}]"]
        single = [f"g{bit} [{bit}]{self._polarity()}{self.requires()}" for bit in range(3)]
        single.append(f"EV<n: 0..9> [16 + n]{self._polarity()}")
        for bit in range(3):
            self.fine["FI", bit] = [f"FI.g{bit}", f"FI[{bit}]"]
        self.fine["FI", 16] = ["FI.EV<n>"]
        for number, (register, lines) in enumerate([*sides.items(), ("FI_EL2", single)]):
            body = "\n".join(lines)
            self.lines.append(f"register {register} = S3_4_C1_C1_{number} {{\n{body}\n}}")
        keys = [f' fgu "{key}"' if self.often() else "" for key in FGU_KEYS]
        self.lines.append(f"fine group FG {{ read FR_EL2 write FW_EL2{keys[0]} }}")
        self.lines.append(f"fine group FI {{ any FI_EL2{keys[1]} }}")

    def _polarity(self) -> str:
        return str(self.pick("", " negative", " positive"))

    # ---- expressions -------------------------------------------------------

    def expression(self, *, depth: int = 2, state_only: bool = False, index: bool = False) -> str:
        """Anything that holds or not."""
        kind = self.pick("compare", "compare", "flag", "and", "or", "not")
        if kind == "compare" or depth == 0:
            return self.comparison(index=index)
        if kind == "flag":
            return self._flag(state_only=state_only)
        parts = [
            self.expression(depth=depth - 1, state_only=state_only, index=index)
            for _ in range(1 if kind == "not" else self.pick(2, 3))
        ]
        return f"not ({parts[0]})" if kind == "not" else f"({f' {kind} '.join(parts)})"

    def _flag(self, *, state_only: bool) -> str:
        flags = [*FEATURES, "context.nv", *self.contexts]
        if not state_only:
            flags += ["access.read", "access.write", "context.hypervisor", "context.host_EL0"]
        return str(self.pick(*flags))

    def comparison(self, *, index: bool = False) -> str:
        """Two terms, the number of bits of one fitting the other."""
        left, width = self._term(index=index)
        op = self.pick("==", "==", "!=", "<", "<=", ">", ">=")
        if self.rarely():
            return f"{left} {op} {self._term(index=index)[0]}"
        number = self.draw(st.integers(0, (1 << min(width, 6)) - 1))
        return f"{number} {op} {left}" if self.rarely() else f"{left} {op} {number:#x}"

    def _term(self, *, index: bool) -> tuple[str, int]:
        kind = self.pick("field", "field", "field", "joined", "bits", "word", "EL", "index")
        if kind == "index" and index:
            return "access.index", 16
        if kind == "EL":
            return "EL", 2
        if kind == "word":
            return self.pick(*CONTROL_REGISTERS), 64
        if kind == "bits":
            low = self.draw(st.integers(0, 15))
            high = low + self.pick(0, 1, 3)
            text = f"[{high}:{low}]" if high > low else f"[{low}]"
            return f"{self.pick(*CONTROL_REGISTERS, *FINE_REGISTERS)}{text}", high - low + 1
        if kind == "joined":
            return self._joined()
        one = self.pick(*self.fields)
        return one.text, one.width

    def _joined(self) -> tuple[str, int]:
        """Several fields of CA_EL2, none with another name of the same bits."""
        fields = [f for f in self.fields if f.register == "CA_EL2" and not f.name.endswith("x")]
        chosen = self.draw(st.permutations(fields))[: self.pick(2, 3)]
        return f"CA_EL2.{{{', '.join(f.name for f in chosen)}}}", sum(f.width for f in chosen)

    # ---- what traps --------------------------------------------------------

    def make_controls(self) -> None:
        """Named contexts, controls, conditions and combos."""
        for number in range(self.pick(0, 1, 2)):
            self.lines.append(f"context k{number} when {self.expression(state_only=True)}")
            self.contexts.append(f"context.k{number}")
        for number in range(self.pick(3, 4, 5)):
            self._control(f"K.c{number}")
        for number in range(self.pick(0, 1, 2)):
            members = self.draw(
                st.lists(st.sampled_from(list(self.controls)), min_size=1, max_size=3, unique=True)
            )
            members = [name for name in members if not name.startswith("M")]
            if members:
                name = f"M.m{number}"
                self.lines.append(f"combo {name} = {' | '.join(members)}")
                self.controls[name] = "".join(self.controls[member] for member in members)
                if self.indexed.intersection(members):
                    self.indexed.add(name)

    def _control(self, name: str) -> None:
        direction = self.pick(*DIRECTIONS)
        host = " also in host EL0" if self.rarely() else ""
        if self.often():
            one = self.pick(*[f for f in self.fields if not f.layout])
            value = self.draw(st.integers(0, (1 << one.width) - 1))
            kind, when = "control", f"{one.text} == {value}"
        else:
            index = self.rarely()
            kind, when = "condition", self.expression(index=index)
            if "access.index" in when:
                self.indexed.add(name)
        self.lines.append(f"{kind} {name} traps {direction}{host} when {when}")
        self.controls[name] = {"any": "rw", "read": "r", "write": "w"}[direction]

    # ---- rules -------------------------------------------------------------

    def make_rules(self) -> None:
        """Traps, some of them replaced or dropped again, and deliberate gaps."""
        for _ in range(self.pick(6, 2, 9, 14)):
            self._trap()
        for _ in range(self.pick(0, 0, 1, 2)):
            self._change()
        free = [t for t in TARGETS if not self._has_any(t, self.coarse_at, self.fine_at)]
        if free and self.often():
            self.lines.append(f'local {self.pick(*free).text} because "nobody knows"')

    def _has_any(self, target: Target, *places: dict[str, set[str]]) -> bool:
        return any(place.get(atom) for place in places for atom in target.atoms)

    def _trap(self) -> None:
        kinds = self.pick(("coarse",), ("fine",), ("coarse", "fine"))
        targets: list[Target] = []
        for _ in range(self.pick(1, 2, 3, 4)):
            taken = frozenset[str]().union(*(t.atoms for t in targets))
            free = [t for t in TARGETS if self._is_free(t, kinds) and not t.atoms & taken]
            if free:
                targets.append(self.pick(*free))
        direction = self.pick(*DIRECTIONS)
        if targets:
            self._say(
                "trap", direction, targets, [self._part(k, targets, direction) for k in kinds]
            )

    def _is_free(self, target: Target, kinds: tuple[str, ...]) -> bool:
        places = [self.coarse_at if kind == "coarse" else self.fine_at for kind in kinds]
        return self.additive or not self._has_any(target, *places)

    def _part(self, kind: str, targets: list[Target], direction: str) -> Part | None:
        indexed = all(target.indexed for target in targets)
        find = self._coarse if kind == "coarse" else self._fine
        part = find(targets, direction, indexed=indexed)
        if part is None or not self.rarely():
            return part
        when = self.expression(index=indexed)
        return replace(part, text=f"{part.text} ({self.pick('unless', 'when')} {when})")

    def _coarse(self, targets: list[Target], direction: str, *, indexed: bool) -> Part | None:
        traps = {"any": "rw", "read": "r", "write": "w"}[direction]
        names = [
            name
            for name, directions in self.controls.items()
            if all(set(t.directions) & set(directions) & set(traps) for t in targets)
            and (indexed or name not in self.indexed)
            and not any(name in self.coarse_at.get(a, ()) for t in targets for a in t.atoms)
        ]
        if not names:
            return None
        name = self.pick(*names)
        return Part(name, name, self.coarse_at)

    def _fine(self, targets: list[Target], direction: str, *, indexed: bool) -> Part | None:
        traps = {"any": "rw", "read": "r", "write": "w"}[direction]
        if not all(set(t.directions) & set(traps) for t in targets):
            return None
        bits = [
            (group, bit)
            for group, bit in self.fine
            if (indexed or bit != 16)
            and not any(
                f"{group}{bit}" in self.fine_at.get(a, ()) for t in targets for a in t.atoms
            )
        ]
        if not bits:
            return None
        group, bit = self.pick(*bits)
        return Part(f"fine {self.pick(*self.fine[group, bit])}", f"{group}{bit}", self.fine_at)

    def _say(
        self, verb: str, direction: str, targets: list[Target], parts: list[Part | None]
    ) -> bool:
        """Write the statement down, unless one of its parts was not to be found."""
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            return False
        for part in found:
            for atom in frozenset[str]().union(*(target.atoms for target in targets)):
                part.place.setdefault(atom, set()).add(part.what)
        texts = ", ".join(part.text for part in found)
        said = "" if direction == "any" else f" {direction}"
        words = [f"{verb}{said} {', '.join(target.text for target in targets)}"]
        words.append(texts if texts.startswith("fine") else f"by {texts}")
        if self.rarely():
            words.append(self.pick("from EL0", "from EL1", "from EL0, EL2", "from EL1, EL3"))
        if self.rarely():
            indexed = all(target.indexed for target in targets)
            words.append(f"when {self.expression(index=indexed)}")
        if self.rarely():
            words.append("reported as 0x7")
        self.lines.append(" ".join(words))
        return True

    def _change(self) -> None:
        """Replace or drop parts that something before has given."""
        kind = self.pick("coarse", "fine")
        place = self.coarse_at if kind == "coarse" else self.fine_at
        held = [t for t in TARGETS if all(place.get(atom) for atom in t.atoms)]
        if not held:
            return
        target = self.pick(*held)
        for atom in target.atoms:
            place[atom] = set()
        if self.often() and self._say(
            "replace trap", "any", [target], [self._part(kind, [target], "any")]
        ):
            return
        what = "by K.c0" if kind == "coarse" else "fine FG[0]"
        self.lines.append(f"drop trap {target.text} {what}")

    # ---- the table ---------------------------------------------------------

    def make(self) -> str:
        """The text of the whole table."""
        self.additive = self.often()
        self.catalogue()
        self.make_controls()
        self.make_rules()
        clauses = [f"parts are {'additive' if self.additive else 'exclusive'}"]
        clauses += self._clauses()
        self.lines.append("table random {\n" + "\n".join(clauses) + "\n}")
        return "\n".join(self.lines) + "\n"

    def _clauses(self) -> list[str]:
        clauses = [
            self.pick("fine bits by name", "fine bits by position"),
            self.pick("absent fields disarm", "absent fields read as zero"),
        ]
        hypervisor = self.pick("EL == 2 or CA_EL2.TGE == 1", "EL == 2", "random", "")
        host = self.pick("EL == 0 and CA_EL2.TGE == 1", "", "EL == 0", "random")
        for clause, when in (("hypervisor context", hypervisor), ("host EL0", host)):
            if when:
                said = self.expression(state_only=True) if when == "random" else when
                clauses.append(f"{clause} when {said}")
        registers = (*CONTROL_REGISTERS, *FINE_REGISTERS)
        sanitised = self.draw(st.lists(st.sampled_from(registers), unique=True))
        if sanitised:
            clauses.append(f"sanitise {', '.join(sanitised)}")
        return clauses


@st.composite
def tables(draw: Draw) -> str:
    """The text of a table."""
    return Table(draw).make()


def _values() -> st.SearchStrategy[int]:
    """Values near the interesting bits: the low 28 and the top two."""
    low = st.integers(0, (1 << 28) - 1) | st.integers(0, 15) | st.sampled_from([0, (1 << 28) - 1])
    return st.builds(lambda bits, top: bits | top << 62, low, st.sampled_from([0, 1, 2, 3]))


def _maps(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, int]]:
    return st.dictionaries(st.sampled_from(names), _values(), max_size=len(names))


def states() -> st.SearchStrategy[State]:
    """States for random tables; most vCPUs have EL2 and all features."""
    registers = (*CONTROL_REGISTERS, *FINE_REGISTERS)
    features = st.sets(st.sampled_from(FEATURES))
    return st.builds(
        lambda registers, el, nv, res0, fgu, features: State(
            registers, el=el, nv=nv, res0=res0, fgu=fgu, features=features
        ),
        st.fixed_dictionaries({}, optional={name: _values() for name in registers}),
        st.sampled_from([1, 0, 2, 0, 1]),
        st.sampled_from([True, True, True, True, False]),
        st.just({}) | _maps(registers),
        st.just({}) | st.just({}) | _maps(FGU_KEYS),
        st.none() | st.none() | features,
    )
