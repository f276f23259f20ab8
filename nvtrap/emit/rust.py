"""A table as one Rust module that needs nothing but `core`, and no unsafe code.

It does what the C does, see `nvtrap.emit.c`: `State::bind`, then `Bound::decide`.
"""

from __future__ import annotations

from nvtrap.arch import ENCODINGS, operands
from nvtrap.emit.c_header import instructions
from nvtrap.emit.expressions import FALSE, outermost
from nvtrap.emit.pieces import Pieces, folded, mentions, notice
from nvtrap.engine import STEPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nvtrap.emit.emission import Emission
    from nvtrap.emit.pieces import Case


def render(emission: Emission, licence: str) -> str:
    """The module."""
    pieces = Pieces(emission, ".", "!", "")
    return "\n".join(
        [
            f"// SPDX-License-Identifier: {licence}",
            *(f"//! {line}".rstrip() for line in notice(emission)),
            "\n#![allow(dead_code, non_snake_case)]\n",
            _PUBLIC.format(
                members=_members(emission.members.values()),
                fgu=_members(emission.fgu.values()),
                features=_constants(emission),
                feature_words=_feature_words(emission),
                steps=_lines(_camel(step) + "," for step in STEPS),
                instructions=_instructions(emission),
                words=len(emission.words),
                groups=len(emission.table.groups),
            ),
            _TYPES,
            _numbers("usize", emission.words),
            _numbers("u16", emission.controls),
            _tables(emission, pieces),
            _conditions(emission, pieces),
            _bind(emission, pieces),
            _DECIDE.replace("    @undefined@\n", _UNDEFINED if emission.undefined else ""),
        ]
    )


def _lines(lines: Iterable[str], indent: str = "    ") -> str:
    return "\n".join(f"{indent}{line}" for line in lines)


def _members(names: Iterable[str]) -> str:
    return _lines(f"pub {name}: u64," for name in names)


def _camel(step: str) -> str:
    return "".join(word.capitalize() for word in step.split("-"))


def _feature_words(emission: Emission) -> int:
    return (len(emission.features) + 63) // 64


def _constants(emission: Emission) -> str:
    names = enumerate(emission.features.values())
    return "".join(f"pub const {name}: usize = {number};\n" for number, name in names)


def _numbers(kind: str, names: Iterable[str]) -> str:
    return "".join(f"const {name}: {kind} = {number};\n" for number, name in enumerate(names))


def _instructions(emission: Emission) -> str:
    return "".join(
        f"pub const {name}: u32 = {number:#x};\n" for name, number in instructions(emission).items()
    )


_PUBLIC = """\
/// The number of an encoding, its operands in the order in which instructions have them.
pub const fn encoding(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> u32 {{
    op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
}}

// Instructions without an encoding have numbers behind all encodings.
{instructions}
/// One value for each register that the table reads.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {{
{members}
}}

/// The bits of disabled features, for each group of fine-grained traps.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fgu {{
{fgu}
}}

// The features that matter to the table.
{features}
/// A bit for each feature: F is bit F % 64 of word F / 64.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {{
    pub present: [u64; {feature_words}],
}}

/// What the hypervisor has programmed, and what the vCPU is.
///
/// `res0` are the bits that the vCPU lacks, `features` its features (`None`: all), `el` is
/// that of the access (0, 1 or 2), `nv` says that the vCPU has EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {{
    pub registers: Registers,
    pub res0: Registers,
    pub fgu: Fgu,
    pub features: Option<Features>,
    pub el: u8,
    pub nv: bool,
}}

impl Default for State {{
    fn default() -> Self {{
        State {{
            registers: Registers::default(),
            res0: Registers::default(),
            fgu: Fgu::default(),
            features: None,
            el: 1,
            nv: true,
        }}
    }}
}}

/// A state made ready for decisions by `State::bind`.
#[derive(Clone, Copy, Debug)]
pub struct Bound {{
    words: [u64; {words}],
    traps: [[u64; 2]; {groups}],
    disabled: [u64; {groups}],
    features: Option<Features>,
    nv: bool,
    el: u8,
    context: Context,
}}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {{
    Local,
    Forward,
    Undef,
}}

/// What decided, in the order of the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {{
{steps}
}}

/// `part` is the number of the deciding part (see the table's comments), `ec` the exception
/// class of a forwarded trap, otherwise 0; `memory` is the offset from VNCR_EL2 of what is
/// memory instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {{
    pub outcome: Outcome,
    pub step: Step,
    pub part: Option<u16>,
    pub ec: u8,
    pub memory: Option<u16>,
}}
"""

_TYPES = """\
const NONE: u16 = 0xffff;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    None,
    Hypervisor,
    HostEl0,
}

struct Access {
    write: u64,
    index: u64,
    host_el0: bool,
}

/// `(first, last, number)`: what holds for the encodings.
type Range = (u32, u32, u16);

struct Part {
    control: u16,
    group: u16,
    guard: u16,
    index: u16,
    bit: u8,
    directions: u8,
    levels: u8,
    ec: u8,
}

struct Rule {
    start: u32,
    fine: u16,
    coarse: u16,
    memory: u16,
    memory_guard: u16,
    host_el0: bool,
}

const fn part(
    control: u16, group: u16, guard: u16, index: u16, bit: u8, directions: u8, levels: u8, ec: u8,
) -> Part {
    Part { control, group, guard, index, bit, directions, levels, ec }
}

const fn rule(
    start: u32, fine: u16, coarse: u16, memory: u16, memory_guard: u16, host_el0: bool,
) -> Rule {
    Rule { start, fine, coarse, memory, memory_guard, host_el0 }
}
"""


# ---- the tables -------------------------------------------------------------------


def _tables(emission: Emission, pieces: Pieces) -> str:
    parts = [f"part({members}), // {said}" for members, said in pieces.parts()]
    rules = [f"rule({members})," for members in pieces.rules()]
    ranges = [f"{_range(*row)} // {pieces.range_comment(*row)}" for row in emission.ranges]
    lists = [folded(", ".join(map(str, emission.lists)), "    ")] * bool(emission.lists)
    text = [
        _array("PARTS", "Part", parts),
        _array("LISTS", "u16", lists),
        _array("RULES", "Rule", rules),
        _array("RANGES", "Range", ranges),
    ]
    if emission.absent:
        rows = [
            f"({emission.words[a.slot]}, {a.need}, {a.mask:#x}, {a.ones:#x}),"
            for a in emission.absent
        ]
        text += ["/// `(word, need, mask, ones)`: bits that a feature brings."]
        text += [_array("ABSENT", "(usize, u16, u64, u64)", rows)]
    if emission.undefined:
        text.append(_array("UNDEFINED", "Range", [_range(*row) for row in emission.undefined]))
    return "\n".join(text)


def _array(name: str, kind: str, lines: Sequence[str]) -> str:
    return f"static {name}: &[{kind}] = &[\n{_lines(lines)}\n];\n"


def _range(first: int, last: int, number: int) -> str:
    return f"({_encoding(first)}, {_encoding(last)}, {number}),"


def _encoding(number: int) -> str:
    if number >= ENCODINGS:
        return f"{number:#x}"
    return f"encoding({', '.join(map(str, operands(number)))})"


# ---- the conditions ---------------------------------------------------------------


def _conditions(emission: Emission, pieces: Pieces) -> str:
    access = "bound: &Bound, access: &Access"
    text = _match(f"armed({access}, control: u16)", pieces.controls(), "false")
    text += "\n" + _match(f"holds({access}, guard: u16)", pieces.guards(), "true")
    if not emission.features:
        return text
    text += _HAS
    if emission.absent or emission.undefined:
        text += "\n" + _match("met(bound: &Bound, need: u16)", pieces.needs(), "true")
    return text


_HAS = """
fn has(bound: &Bound, feature: usize) -> u64 {
    match bound.features {
        Some(features) => (features.present[feature / 64] >> (feature % 64)) & 1,
        None => 1,
    }
}
"""


def _match(head: str, cases: Iterable[Case], otherwise: str) -> str:
    """A function that answers by number."""
    lines = []
    for said, constant, expression in cases:
        lines += [f"// {said}"] * bool(said)
        lines += [f"{constant} => {folded(outermost(expression), ' ' * 12)},"]
    body = _lines([*lines, f"_ => {otherwise},"], " " * 8)
    for name in ("bound", "access"):
        if not mentions(body, name):
            head = head.replace(f"{name}:", f"_{name}:")
    name = head.rpartition(", ")[2].partition(":")[0]
    return f"fn {head} -> bool {{\n    match {name} {{\n{body}\n    }}\n}}\n"


# ---- the functions ----------------------------------------------------------------


def _bind(emission: Emission, pieces: Pieces) -> str:
    words = {
        pieces.special("EL"): "u64::from(state.el)",
        pieces.special("context.nv"): "u64::from(state.nv)",
        **{word: f"has(bound, {name})" for word, name in pieces.features()},
    }
    known = [f"{word} = {value};" for word, value in words.items() if word]
    after = [
        f"        {pieces.special(name)} = u64::from(bound.context {test});\n"
        for name, test in (
            ("context.hypervisor", "!= Context::None"),
            ("context.host_EL0", "== Context::HostEl0"),
        )
        if pieces.special(name)
    ]
    size = len(emission.words), len(emission.table.groups)
    context, host = "Context::Hypervisor", outermost(pieces.host_el0())
    if host != FALSE:
        context = f"if {folded(host, ' ' * 16)} {{ Context::HostEl0 }} else {{ {context} }}"
    lines = [folded(line, " " * 12) for line in (*pieces.registers(), *known, *pieces.groups())]
    return f"""\
impl State {{
    /// The state made ready for decisions.
    pub fn bind(&self) -> Bound {{
        let state = self;
        let bound = &mut Bound {{
            words: [0; {size[0]}],
            traps: [[0; 2]; {size[1]}],
            disabled: [0; {size[1]}],
            features: state.features,
            nv: state.nv,
            el: state.el & 3,
            context: Context::None,
        }};
{_lacks(emission)}{_lines(lines, " " * 8)}
        if {folded(outermost(pieces.hypervisor()), " " * 12)} {{
            bound.context = {context};
        }}
{"".join(after)}        *bound
    }}
}}
"""


def _lacks(emission: Emission) -> str:
    if not emission.absent:
        return ""
    size, ones = len(emission.words), any(absent.ones for absent in emission.absent)
    declared = f"        let mut ones = [0; {size}];\n" * ones
    added = "                    ones[word] |= reads_as;\n" * ones
    reads_as = "reads_as" if ones else "_"
    return f"""\
        let mut lacking = [0; {size}];
{declared}        if bound.features.is_some() {{
            for &(word, need, mask, {reads_as}) in ABSENT {{
                if !met(bound, need) {{
                    lacking[word] |= mask;
{added}                }}
            }}
        }}
"""


_UNDEFINED = """\
        if self.features.is_some() && !met(self, find(UNDEFINED, encoding)) {
            return Decision {
                outcome: Outcome::Undef,
                step: Step::Feature,
                part: None,
                ec: 0,
                memory: None,
            };
        }
"""

_DECIDE = """\
fn find(ranges: &[Range], encoding: u32) -> u16 {
    let behind = ranges.partition_point(|range| range.0 <= encoding);
    match behind.checked_sub(1).map(|at| &ranges[at]) {
        Some(range) if encoding <= range.1 => range.2,
        _ => 0,
    }
}

impl Bound {
    /// What becomes of an access.
    pub fn decide(&self, encoding: u32, write: bool) -> Decision {
    @undefined@
        let rule = &RULES[usize::from(find(RANGES, encoding))];
        let mut access = Access {
            write: u64::from(write),
            index: 0,
            host_el0: self.context == Context::HostEl0,
        };
        let (step, part) = self.step(rule, &mut access);
        let outcome = match step {
            Step::Fgu => Outcome::Undef,
            Step::Fine | Step::Coarse => Outcome::Forward,
            _ => Outcome::Local,
        };
        let ec = match part {
            Some(part) if outcome == Outcome::Forward => PARTS[usize::from(part)].ec,
            _ => 0,
        };
        let memory = match step {
            Step::NoEntry | Step::None if self.is_memory(rule, &access) => Some(rule.memory),
            _ => None,
        };
        Decision { outcome, step, part, ec, memory }
    }

    fn step(&self, rule: &Rule, access: &mut Access) -> (Step, Option<u16>) {
        let start = rule.start as usize;
        let (fine, coarse) = LISTS[start..][..usize::from(rule.fine) + usize::from(rule.coarse)]
            .split_at(usize::from(rule.fine));
        if fine.is_empty() && coarse.is_empty() {
            return (Step::NoEntry, None);
        }
        if let Some(&part) = fine.iter().find(|&&part| self.is_disabled(part)) {
            return (Step::Fgu, Some(part));
        }
        if !self.nv {
            return (Step::NoEl2, None);
        }
        if self.context == Context::Hypervisor || (access.host_el0 && !rule.host_el0) {
            return (Step::HypContext, None);
        }
        if let Some(&part) = fine.iter().find(|&&part| self.traps(part, access)) {
            return (Step::Fine, Some(part));
        }
        match coarse.iter().find(|&&part| self.traps(part, access)) {
            Some(&part) => (Step::Coarse, Some(part)),
            None => (Step::None, None),
        }
    }

    fn is_disabled(&self, part: u16) -> bool {
        let part = &PARTS[usize::from(part)];
        (self.disabled[usize::from(part.group)] >> part.bit) & 1 != 0
    }

    fn traps(&self, part: u16, access: &mut Access) -> bool {
        let part = &PARTS[usize::from(part)];
        access.index = u64::from(part.index);
        if (part.directions >> access.write) & 1 == 0 || (part.levels >> self.el) & 1 == 0 {
            return false;
        }
        let armed = if part.control != NONE {
            armed(self, access, part.control)
        } else {
            let traps = self.traps[usize::from(part.group)][access.write as usize];
            !access.host_el0 && (traps >> part.bit) & 1 != 0
        };
        armed && holds(self, access, part.guard)
    }

    /// Whether FEAT_NV2 makes memory of an access that stays local.
    fn is_memory(&self, rule: &Rule, access: &Access) -> bool {
        rule.memory_guard != NONE
            && self.nv
            && self.context == Context::None
            && holds(self, access, rule.memory_guard)
    }
}
"""
