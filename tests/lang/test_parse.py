"""From text to the syntax tree."""

from __future__ import annotations

from typing import TypeVar

import pytest

from nvtrap.lang import nodes
from nvtrap.lang.findings import Report
from nvtrap.lang.parse import parse
from nvtrap.lang.source import Source

T = TypeVar("T")


def _parse(text: str) -> tuple[tuple[nodes.Statement, ...], list[str]]:
    report = Report()
    file = parse(Source("a.trap", "a.trap", text), report)
    found = [f"{f.span.line}:{f.span.column} {f.message}" for f in report.findings]
    return file.statements, found


def _one(text: str, kind: type[T]) -> T:
    """The only statement of a text without findings."""
    (statement,), found = _parse(text)
    assert found == []
    assert isinstance(statement, kind)
    return statement


def _shape(expr: nodes.Expr) -> str:
    """An expression with every bracket written."""
    if isinstance(expr, nodes.Negation):
        return f"not({_shape(expr.part)})"
    if isinstance(expr, nodes.Both | nodes.Either):
        word = "and" if isinstance(expr, nodes.Both) else "or"
        return f"{word}({', '.join(map(_shape, expr.parts))})"
    return expr.span.text


def _when(expression: str) -> nodes.Expr:
    return _one(f"condition A.B traps any when {expression}", nodes.Control).when


# ---- what exists -----------------------------------------------------------------


def test_feature_with_and_without_predicate() -> None:
    """A feature may be only a name."""
    assert _one("feature FEAT_X", nodes.Feature).when is None
    assert _one("feature FEAT_X = A.B >= 2", nodes.Feature).when is not None


def test_profile_names_its_members() -> None:
    """Members are features and profiles, in order."""
    profile = _one("profile armv8.4 = armv8.3, FEAT_X", nodes.Profile)
    assert profile.name.text == "armv8.4"
    assert [member.text for member in profile.members] == ["armv8.3", "FEAT_X"]


@pytest.mark.parametrize(
    ("word", "modes"),
    [
        ("", (True, True)),
        (" read-write", (True, True)),
        (" read-only", (True, False)),
        (" write-only", (False, True)),
    ],
)
def test_modes_of_registers(word: str, modes: tuple[bool, bool]) -> None:
    """A register is read and written unless it says otherwise."""
    register = _one(f"register A = S3_0_C0_C0_0{word}", nodes.Register)
    assert (register.readable, register.writable) == modes


@pytest.mark.parametrize(
    ("word", "modes"),
    [
        ("", (False, True)),
        (" write-only", (False, True)),
        (" read-only", (True, False)),
        (" read-write", (True, True)),
    ],
)
def test_modes_of_instructions(word: str, modes: tuple[bool, bool]) -> None:
    """An instruction is written unless it says otherwise."""
    instruction = _one(f"instruction A = S1_0_C7_C1_0{word}", nodes.Register)
    assert (instruction.readable, instruction.writable) == modes
    assert instruction.is_instruction


def test_instruction_without_encoding() -> None:
    """An instruction may be known by its name alone."""
    assert _one("instruction WFI", nodes.Register).encoding is None


def test_fields_of_every_kind() -> None:
    """Bits, ranges, pieces, strides, second names, polarity, requirements and layouts."""
    register = _one(
        """register A<n: 0..3> = (3, 0, 0, 0, 1) requires FEAT_A {
            B      [0]
            C      [7:4, 1]    is CC negative requires FEAT_B else 1
            D<n: 0..3> [8 + 2*n]
            E<n: 0..3> [16 + n] positive
            layout when H.I == 1 { F [20] }
        }""",
        nodes.Register,
    )
    b, c, d, e = register.fields
    assert isinstance(register.encoding, nodes.Operands)
    assert register.encoding.numbers == (3, 0, 0, 0, 1)
    assert isinstance(b.bits, nodes.Pieces)
    assert b.bits.ranges == ((0, 0),)
    assert isinstance(c.bits, nodes.Pieces)
    assert c.bits.ranges == ((7, 4), (1, 1))
    assert c.alias is not None
    assert (c.alias.text, c.negative, e.negative) == ("CC", True, False)
    assert c.requires is not None
    assert c.requires.absent == 1
    assert isinstance(d.bits, nodes.Stride)
    assert (d.bits.base, d.bits.step, d.bits.index.text) == (8, 2, "n")
    assert isinstance(e.bits, nodes.Stride)
    assert (e.bits.base, e.bits.step) == (16, 1)
    assert [field.name.text for field in register.layouts[0].fields] == ["F"]


# ---- what traps --------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [" also in host EL0", ", also in host EL0,", ", also  in\nhost EL0"]
)
def test_host_el0(words: str) -> None:
    """The words may be set off by commas."""
    control = _one(f"control A.B traps read{words} when A.B == 1", nodes.Control)
    assert control.host_el0
    assert (control.direction, control.is_condition) == ("read", False)


def test_combo_and_group() -> None:
    """Members stand between bars, the registers of a group behind their direction."""
    combo = _one("combo A.B = A.C | A.D", nodes.Combo)
    assert [member.text for member in combo.members] == ["A.C", "A.D"]
    group = _one('fine group G { read R write W fgu "key" }', nodes.Group)
    assert [(s.direction, s.register.text) for s in group.sides] == [("read", "R"), ("write", "W")]
    assert group.fgu == "key"


def test_context_is_a_named_expression() -> None:
    """The name stands alone, without `context.`."""
    assert _one("context late when EL == 1", nodes.Context).name.text == "late"


# ---- rules -------------------------------------------------------------------------


def test_trap_with_everything() -> None:
    """Directions, sets, parts, filters, levels, guard and exception class."""
    trap = _one(
        "trap read A, B<n>, C .. (3, 0, 0, 0, 1), S3_*_C11_*_*"
        " by X.Y (when EL == 1), fine G.F negative (unless EL == 0), fine G[3]"
        " from EL0, EL2 when EL != 3 reported as 0x19",
        nodes.Trap,
    )
    x, f, bit = trap.parts
    assert (trap.verb, trap.direction, trap.levels, trap.ec) == ("trap", "read", (0, 2), 0x19)
    assert [item.span.text for item in trap.sets[:2]] == ["A", "B<n>"]
    assert trap.sets[2].last is not None
    assert isinstance(x, nodes.Coarse)
    assert x.filter is not None
    assert not x.filter.unless
    assert isinstance(f, nodes.Fine)
    assert isinstance(f.field, nodes.Name)
    assert f.filter is not None
    assert (f.polarity, f.filter.unless) == ("negative", True)
    assert isinstance(bit, nodes.Fine)
    assert bit.field == 3
    assert trap.guard is not None


@pytest.mark.parametrize(
    ("text", "verb", "parts"),
    [
        ("trap A fine G.F, B.C", "trap", 2),
        ("replace trap A by B.C", "replace", 1),
        ("drop trap A", "drop", 0),
        ("drop trap write A by B.C, fine G.F", "drop", 2),
    ],
)
def test_verbs(text: str, verb: str, parts: int) -> None:
    """A rule is entered, replaced or dropped."""
    trap = _one(text, nodes.Trap)
    assert (trap.verb, len(trap.parts)) == (verb, parts)


def test_local_and_memory() -> None:
    """A reason is the text between the quotes, an offset a number."""
    assert _one('local write A because "a # reason"', nodes.Local).reason == "a # reason"
    assert _one("memory A at 0x110 when EL == 1", nodes.Memory).offset == 0x110


# ---- tables and tests ----------------------------------------------------------------


def test_table_with_every_clause() -> None:
    """Clauses stand in any order; names of registers and limits add up."""
    table = _one(
        """table a-1.2 {
            limit groups 3 limit controls 5
            absent fields read  as zero
            fine bits by position
            sanitise A sanitise B, C
            host EL0 when EL == 0
            hypervisor context when EL == 2
            parts are additive
        }""",
        nodes.Table,
    )
    assert (table.name.text, table.additive) == ("a-1.2", True)
    assert (table.fine_by_position, table.absent_read_as_zero) == (True, True)
    assert [name.text for name in table.sanitised] == ["A", "B", "C"]
    assert [(limit.what, limit.most) for limit in table.limits] == [("groups", 3), ("controls", 5)]
    assert table.hypervisor is not None
    assert table.host_el0 is not None


def test_table_with_no_clause() -> None:
    """Without clauses a table is exclusive, by name, and absent fields disarm."""
    table = _one("table t { }", nodes.Table)
    flags = table.additive, table.fine_by_position, table.absent_read_as_zero
    assert flags == (False, False, False)
    assert table.hypervisor is None


def test_uses() -> None:
    """A path stands in quotes, a table's name does not."""
    assert _one('use "a b"', nodes.Use).target == "a b"
    assert _one("use table linux-6.12", nodes.Use).is_table


def test_expectation_with_everything() -> None:
    """Direction, register, outcome, control, EL and settings of every kind."""
    expect = _one(
        "expect any (3, 0, 0, 0, 6) forward by fine G.F from EL0"
        " when A = 0x10, A.B = 1, nv = 0, res0 A = 2, fgu G.F = 1",
        nodes.Expect,
    )
    assert (expect.outcome, expect.by, expect.level) == ("forward", "fine G.F", 0)
    assert [(setting.what, setting.value) for setting in expect.settings] == [
        ("value", 16),
        ("value", 1),
        ("value", 0),
        ("res0", 2),
        ("fgu", 1),
    ]


def test_expectation_with_nothing() -> None:
    """The EL is 1, and nothing is set."""
    expect = _one("expect read A local", nodes.Expect)
    assert (expect.by, expect.level, expect.settings) == ("", 1, ())


# ---- expressions -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("A.B == 1 or A.C == 1 and A.D == 1", "or(A.B == 1, and(A.C == 1, A.D == 1))"),
        ("not A.B == 1 and A.C == 1", "and(not(A.B == 1), A.C == 1)"),
        ("not (A.B == 1 and A.C == 1)", "not(and(A.B == 1, A.C == 1))"),
        ("(A.B == 1 or A.C == 1) and FEAT_X", "and(or(A.B == 1, A.C == 1), FEAT_X)"),
        ("not not FEAT_X", "not(not(FEAT_X))"),
        ("EL < 1 or EL <= 2 or EL > 3", "or(EL < 1, EL <= 2, EL > 3)"),
    ],
)
def test_precedence(text: str, shape: str) -> None:
    """`not` binds closer than `and`, and that closer than `or`."""
    assert _shape(_when(text)) == shape


@pytest.mark.parametrize(
    ("term", "kind"),
    [
        ("1", nodes.Number),
        ("EL", nodes.Word),
        ("A.B", nodes.Fields),
        ("A.{B, C}", nodes.Fields),
        ("A[3]", nodes.Bits),
        ("A[5:3]", nodes.Bits),
    ],
)
def test_terms(term: str, kind: type[nodes.Term]) -> None:
    """Every term may stand on either side."""
    when = _when(f"{term} != {term}")
    assert isinstance(when, nodes.Comparison)
    assert isinstance(when.left, kind)
    assert isinstance(when.right, kind)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("010", 10),
        ("0x1F", 31),
        ("0XFf", 255),
        ("0b101", 5),
        ("0x0b1", 0xB1),
        ("0xb1", 0xB1),
        ("0xffffffffffffffff", (1 << 64) - 1),
    ],
)
def test_numbers(text: str, value: int) -> None:
    """Numbers are decimal, hexadecimal or binary; only the prefix says which."""
    when = _when(f"A == {text}")
    assert isinstance(when, nodes.Comparison)
    assert isinstance(when.right, nodes.Number)
    assert when.right.value == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("register A = S3_0_C0_C0_0 { F [0] requires FEAT_A else 2 }", "reads as 0 or as 1"),
        ("trap A by B.C reported as 64", "an exception class has 6 bits, `64` does not fit"),
        ("memory A at 4", "`4` is no offset of a register in memory"),
        ("memory A at 0x1000", "`0x1000` is no offset of a register in memory"),
        ("expect read A local when B = 0x10000000000000000", "does not fit 64 bits"),
        ("table t { fine bits by name fine bits by name }", "says `fine bits by` twice"),
        ('fine group G { any A fgu "a" fgu "b" }', "group `G` has two keys"),
    ],
)
def test_what_a_node_cannot_hold(text: str, message: str) -> None:
    """Numbers beyond their range, and clauses said twice, are found while parsing."""
    _, (found,) = _parse(text)
    assert message in found


def test_spans_point_at_words() -> None:
    """Every name keeps the place where it stands."""
    trap = _one("trap\n  REVIDR_EL1 by\n  HCR.TID1", nodes.Trap)
    (part,) = trap.parts
    assert (trap.sets[0].first.span.line, trap.sets[0].first.span.column) == (2, 3)
    assert (part.span.text, str(part.span)) == ("HCR.TID1", "a.trap:3:3")


# ---- broken text -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("registr A = S3_0_C0_C0_0", "did you mean `register`?"),
        ("register A = S3_0_C0_C0_0 readonly", "did you mean `read-only`?"),
        ("control A.B trap any when A.B == 1", "did you mean `traps`?"),
        ("control A.B traps all when A.B == 1", ""),
        ("control A.B traps any when A.B = 1", "a comparison is written `==`"),
        (
            "control A_B traps any when A.B == 1",
            "a control is named in two parts, such as `HCR.TID1`",
        ),
        ("expect read A local when B == 1", "a setting is written with one `=`"),
        ("expect read A locl", "did you mean `local`?"),
        ("trap A, by B.C", "there is a comma too many before `by`"),
        ("trap A fine G.F by B.C", "the coarse part comes first: `by …, fine …`"),
        ("trap A B.C", "a control follows `by`, a fine-grained bit follows `fine`"),
        ("trap A B by C.D", "names are separated by commas"),
        ("trap A by B.C unless EL == 1", "a filter stands in brackets: `(unless …)`"),
        ("local A because reason", "put the text in quotes"),
        ("use registers", "put the text in quotes"),
        ("table t { parts are inclusive }", "did you mean `exclusive`?"),
        ("table t { limit control 3 }", "did you mean `controls`?"),
    ],
)
def test_advice(text: str, help: str) -> None:
    """The help of a syntax error names the likeliest slip."""
    report = Report()
    parse(Source("a", "a", text), report)
    assert [finding.help for finding in report.findings] == [help]


def test_statements_before_and_after_a_broken_one_are_kept() -> None:
    """A broken statement costs itself only, in whatever line it stands."""
    text = "feature FEAT_A\ntrp X\nfeature FEAT_B\nfeature = 1\n  feature FEAT_C\n"
    statements, found = _parse(text)
    assert [s.span.text for s in statements] == ["FEAT_A", "FEAT_B", "FEAT_C"]
    assert [line.partition(" ")[0] for line in found] == ["2:1", "4:9"]


def test_broken_block_costs_its_statement() -> None:
    """Where lines above the mistake are no statement of their own, they go with it."""
    statements, found = _parse("register A = S3_0_C0_C0_0 {\n  F [0]\n  G 1\n}\nfeature FEAT_B\n")
    assert [s.span.text for s in statements] == ["FEAT_B"]
    assert len(found) == 1


def test_end_of_text_is_told_as_such() -> None:
    """A statement that is cut off is found at the end of its text."""
    _, (found,) = _parse("trap A by  \n\n")
    assert found == "1:10 expected `fine` or a name, found the end of the statement"
