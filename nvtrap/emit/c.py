"""A table as C11: a header with the state and the decision, and a file with the table.

In the kernel's style, and in need of nothing but the header: no libc, no allocation. A
state is bound once (RES0 bits, features, polarities, the context); then every access
costs a binary search and the conditions of its rule.
"""

from __future__ import annotations

from nvtrap.arch import ENCODINGS, operands
from nvtrap.emit.c_header import block, filled, lines_of
from nvtrap.emit.expressions import FALSE, outermost
from nvtrap.emit.pieces import Pieces, folded, mentions, notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nvtrap.emit.emission import Emission
    from nvtrap.emit.pieces import Case

TABS = "\t\t\t"


def source(emission: Emission, licence: str, header_name: str) -> str:
    """The file with the table and the functions; `header_name` is what it includes."""
    undefined = filled(_UNDEFINED, emission) if emission.undefined else ""
    pieces = Pieces(emission, "->", "~", f"{emission.prefix.upper()}_")
    return "\n".join(
        [
            f"// SPDX-License-Identifier: {licence}\n{block(notice(emission))}",
            f'#include "{header_name}"\n',
            _types(emission),
            _tables(emission, pieces),
            _FIND,
            _conditions(emission, pieces),
            _bind(emission, pieces),
            filled(_DECIDE, emission, undefined=undefined),
        ]
    )


# ---- the tables -------------------------------------------------------------------


def _types(emission: Emission) -> str:
    words = lines_of(f"{word}," for word in emission.words)
    controls = lines_of(f"{control}," for control in emission.controls)
    return f"""\
#define NONE 0xffffU
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum context {{ NO_CONTEXT, HYPERVISOR, HOST_EL0 }};

enum word {{
{words}
	WORDS
}};

enum control {{
{controls}
	CONTROLS
}};

struct access {{
	uint64_t write;
	uint64_t index;
	bool host_el0;
}};

/* Encodings from `first`, with the number of what holds for them. */
struct range {{
	uint32_t first;
	uint16_t more;
	uint16_t number;
}};

struct part {{
	uint16_t control;
	uint16_t group;
	uint16_t guard;
	uint16_t index;
	uint8_t bit;
	uint8_t directions;
	uint8_t levels;
	uint8_t ec;
}};

struct rule {{
	uint32_t start;
	uint16_t fine;
	uint16_t coarse;
	uint16_t memory;
	uint16_t memory_guard;
	bool host_el0;
}};
"""


def _tables(emission: Emission, pieces: Pieces) -> str:
    upper = emission.prefix.upper()
    parts = [f"{{ {members} }},\t/* {said} */" for members, said in pieces.parts()]
    ranges = [
        f"{_range(first, last, number)}\t/* {pieces.range_comment(first, last, number)} */"
        for first, last, number in emission.ranges
    ]
    lists = folded(", ".join(map(str, emission.lists)) or "0", "\t")
    return "\n".join(
        [
            f"#define SR(op0, op1, crn, crm, op2) {upper}_ENCODING(op0, op1, crn, crm, op2)",
            "#define RANGE(first, last, n) { (first), (uint16_t)((last) - (first)), (n) }",
            "",
            _array("struct part parts", parts or ["{ 0 },"]),
            f"static const uint16_t lists[] = {{\n\t{lists}\n}};\n",
            _array("struct rule rules", [f"{{ {members} }}," for members in pieces.rules()]),
            # The last range of each array is behind every encoding, so that none is empty.
            _array("struct range ranges", [*ranges, "{ 0xffffffffU, 0, 0 },"]),
            _feature_tables(emission),
        ]
    )


def _range(first: int, last: int, number: int) -> str:
    return f"RANGE({_encoding(first)}, {_encoding(last)}, {number}),"


def _encoding(encoding: int) -> str:
    if encoding >= ENCODINGS:
        return f"{encoding:#x}"
    return f"SR({', '.join(map(str, operands(encoding)))})"


def _array(what: str, lines: Sequence[str]) -> str:
    return f"static const {what}[] = {{\n{lines_of(lines)}\n}};\n"


def _feature_tables(emission: Emission) -> str:
    text = ""
    if emission.absent:
        rows = [
            f"{{ {a.mask:#x}, {a.ones:#x}, {emission.words[a.slot]}, {a.need} }},"
            for a in emission.absent
        ]
        text += "struct absent {\n\tuint64_t mask;\n\tuint64_t ones;\n\tuint16_t word;\n"
        text += "\tuint16_t need;\n};\n\n" + _array("struct absent absent", rows)
    if emission.undefined:
        ranges = [_range(*row) for row in emission.undefined]
        text += "\n" * bool(text)
        text += _array("struct range undefined", [*ranges, "{ 0xffffffffU, 0, 0 },"])
    return text


_FIND = """\
static unsigned int find(const struct range *array, unsigned int count, uint32_t encoding)
{
	unsigned int low = 0, high = count;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (encoding < array[middle].first)
			high = middle;
		else if (encoding - array[middle].first > array[middle].more)
			low = middle + 1;
		else
			return array[middle].number;
	}
	return 0;
}
"""


# ---- the conditions ---------------------------------------------------------------


def _conditions(emission: Emission, pieces: Pieces) -> str:
    bound = f"const struct {emission.prefix}_bound *bound"
    access = "const struct access *access"
    text = _switch(f"armed({bound}, {access}, unsigned int control)", pieces.controls(), "false")
    text += "\n"
    text += _switch(f"holds({bound}, {access}, unsigned int guard)", pieces.guards(), "true")
    if not emission.features:
        return text
    has = f"""
static uint64_t has({bound}, unsigned int feature)
{{
	if (bound->all_features)
		return 1;
	return (bound->features.present[feature / 64] >> (feature % 64)) & 1;
}}
"""
    if not emission.absent and not emission.undefined:
        return text + has
    return f"{text}{has}\n{_switch(f'met({bound}, unsigned int need)', pieces.needs(), 'true')}"


def _switch(head: str, cases: Iterable[Case], otherwise: str) -> str:
    """A function that answers by number."""
    lines = []
    for said, constant, expression in cases:
        lines += [f"\t/* {said} */"] * bool(said)
        lines += [f"\tcase {constant}:", f"\t\treturn {folded(outermost(expression), TABS)};"]
    lines += ["\tdefault:", f"\t\treturn {otherwise};"]
    body = "\n".join(lines)
    unused = [f"\t(void){name};\n" for name in ("bound", "access") if name in head]
    unused = [line for line in unused if not mentions(body, line[7:-2])]
    name = head.rpartition(" ")[2].rstrip(")")
    return f"static bool {head}\n{{\n{''.join(unused)}\tswitch ({name}) {{\n{body}\n\t}}\n}}\n"


# ---- the functions ----------------------------------------------------------------


def _bind(emission: Emission, pieces: Pieces) -> str:
    p, upper = emission.prefix, emission.prefix.upper()
    special = [
        ("EL", "state->el"),
        ("access.write", "0"),
        ("context.nv", "state->nv"),
        ("context.hypervisor", "0"),
        ("context.host_EL0", "0"),
    ]
    known = [
        f"{pieces.special(name)} = {value};" for name, value in special if pieces.special(name)
    ]
    known += [f"{word} = has(bound, {upper}_{name});" for word, name in pieces.features()]
    after = [
        f"\t{pieces.special(name)} = bound->context {test};\n"
        for name, test in (
            ("context.hypervisor", "!= NO_CONTEXT"),
            ("context.host_EL0", "== HOST_EL0"),
        )
        if pieces.special(name)
    ]
    lines = [folded(line, TABS) for line in (*pieces.registers(), *known, *pieces.groups())]
    hypervisor, host = outermost(pieces.hypervisor()), pieces.host_el0()
    context = "HYPERVISOR" if host == FALSE else f"{folded(host, TABS)} ? HOST_EL0 : HYPERVISOR"
    return f"""\
void {p}_bind(struct {p}_bound *bound, const struct {p}_state *state)
{{
{_lacking(emission)}	bound->nv = state->nv;
	bound->el = state->el & 3;
	bound->all_features = !state->features;
	bound->features = state->features ? *state->features : (struct {p}_features){{ {{ 0 }} }};
{_lacks(emission)}{lines_of(lines)}
	bound->context = NO_CONTEXT;
	if ({folded(hypervisor, TABS)})
		bound->context = {context};
{"".join(after)}}}
"""


def _lacking(emission: Emission) -> str:
    if not emission.absent:
        return ""
    ones = any(absent.ones for absent in emission.absent)
    return f"\tuint64_t lacking[WORDS] = {{ 0 }}{', ones[WORDS] = { 0 }' if ones else ''};\n\n"


def _lacks(emission: Emission) -> str:
    if not emission.absent:
        return ""
    ones = any(absent.ones for absent in emission.absent)
    second = "\t\t\tones[absent[i].word] |= absent[i].ones;\n" * ones
    return f"""\
	for (unsigned int i = 0; !bound->all_features && i < COUNT(absent); i++) {{
		if (!met(bound, absent[i].need)) {{
			lacking[absent[i].word] |= absent[i].mask;
{second}		}}
	}}
"""


_UNDEFINED = """\
	if (!bound->all_features && !met(bound, find(undefined, COUNT(undefined), encoding))) {
		decision.outcome = @P@_UNDEF;
		decision.step = @P@_STEP_FEATURE;
		return decision;
	}
"""

_DECIDE = """\
static bool traps(const struct @p@_bound *bound, const struct part *part,
			struct access *access)
{
	access->index = part->index;
	if (!((part->directions >> access->write) & 1) || !((part->levels >> bound->el) & 1))
		return false;
	if (part->control != NONE)
		return armed(bound, access, part->control) && holds(bound, access, part->guard);
	if (access->host_el0 || !((bound->traps[part->group][access->write] >> part->bit) & 1))
		return false;
	return holds(bound, access, part->guard);
}

/* The first of some parts that traps. */
static unsigned int first(const struct @p@_bound *bound, uint32_t start, unsigned int count,
				struct access *access)
{
	for (uint32_t i = start; i < start + count; i++) {
		if (traps(bound, &parts[lists[i]], access))
			return lists[i];
	}
	return NONE;
}

/* The first fine part of a rule whose feature is disabled. */
static unsigned int disabled(const struct @p@_bound *bound, const struct rule *rule)
{
	for (uint32_t i = rule->start; i < rule->start + rule->fine; i++) {
		const struct part *part = &parts[lists[i]];

		if ((bound->disabled[part->group] >> part->bit) & 1)
			return lists[i];
	}
	return NONE;
}

static enum @p@_step step_of(const struct @p@_bound *bound, const struct rule *rule,
				struct access *access, unsigned int *part)
{
	if (!rule->fine && !rule->coarse)
		return @P@_STEP_NO_ENTRY;
	*part = disabled(bound, rule);
	if (*part != NONE)
		return @P@_STEP_FGU;
	if (!bound->nv)
		return @P@_STEP_NO_EL2;
	if (bound->context == HYPERVISOR || (access->host_el0 && !rule->host_el0))
		return @P@_STEP_HYP_CONTEXT;
	*part = first(bound, rule->start, rule->fine, access);
	if (*part != NONE)
		return @P@_STEP_FINE;
	*part = first(bound, rule->start + rule->fine, rule->coarse, access);
	return *part != NONE ? @P@_STEP_COARSE : @P@_STEP_NONE;
}

/* Whether FEAT_NV2 makes memory of an access that stays local. */
static bool is_memory(const struct @p@_bound *bound, const struct rule *rule,
			const struct access *access)
{
	if (rule->memory_guard == NONE || !bound->nv || bound->context != NO_CONTEXT)
		return false;
	return holds(bound, access, rule->memory_guard);
}

struct @p@_decision @p@_decide(const struct @p@_bound *bound, uint32_t encoding, bool write)
{
	const struct rule *rule = &rules[find(ranges, COUNT(ranges), encoding)];
	struct access access = { write, 0, bound->context == HOST_EL0 };
	struct @p@_decision decision = { @P@_LOCAL, @P@_STEP_NO_ENTRY, NONE, 0, -1 };
	unsigned int part = NONE;

@undefined@	decision.step = step_of(bound, rule, &access, &part);
	decision.part = (uint16_t)part;
	switch (decision.step) {
	case @P@_STEP_FGU:
		decision.outcome = @P@_UNDEF;
		break;
	case @P@_STEP_FINE:
	case @P@_STEP_COARSE:
		decision.outcome = @P@_FORWARD;
		decision.ec = parts[part].ec;
		break;
	case @P@_STEP_NO_ENTRY:
	case @P@_STEP_NONE:
		if (is_memory(bound, rule, &access))
			decision.memory = rule->memory;
		break;
	default:
		break;
	}
	return decision;
}
"""
