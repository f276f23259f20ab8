"""The C header of a table: what a caller fills in, and what it gets."""

from __future__ import annotations

import re

from nvtrap.arch import ENCODINGS
from nvtrap.emit.pieces import notice
from nvtrap.emit.texts import constants
from nvtrap.engine import STEPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from nvtrap.emit.emission import Emission


def header(emission: Emission, licence: str) -> str:
    """The header."""
    upper = emission.prefix.upper()
    return filled(
        _HEADER,
        emission,
        licence=licence,
        notice=block(notice(emission)),
        instructions=_instructions(emission),
        registers=_members(emission.members.values()),
        fgu=_members(emission.fgu.values()),
        features=lines_of(f"{upper}_{feature}," for feature in emission.features.values()),
        feature_words=str((len(emission.features) + 63) // 64 or 1),
        words=str(len(emission.words) or 1),
        groups=str(len(emission.table.groups) or 1),
        steps=lines_of(f"{step}," for step in steps(upper)),
    )


def filled(text: str, emission: Emission, **texts: str) -> str:
    """The text with `@name@` filled in; `@p@` and `@P@` are the prefix of the names."""
    texts |= {"p": emission.prefix, "P": emission.prefix.upper()}
    return re.sub("@([A-Za-z_]+)@", lambda found: texts[found[1]], text)


def block(lines: Iterable[str]) -> str:
    """The lines as a comment in the kernel's style."""
    return "/*\n" + "".join(f" * {line}".rstrip() + "\n" for line in lines) + " */"


def lines_of(lines: Iterable[str]) -> str:
    """The lines, a tab before each."""
    return "\n".join(f"\t{line}" for line in lines)


def _members(names: Iterable[str]) -> str:
    return lines_of(f"uint64_t {name};" for name in list(names) or ["unused"])


def steps(upper: str) -> list[str]:
    """The constants of the steps, in the engine's order."""
    return [f"{upper}_STEP_{step.upper().replace('-', '_')}" for step in STEPS]


def instructions(emission: Emission) -> dict[str, int]:
    """Constant → number of the instructions that have no encoding."""
    named = {name: number for name, number, _ in emission.table.names if number >= ENCODINGS}
    spelled = constants("INSTRUCTION_", named)
    return {spelled[name]: number for name, number in named.items()}


def _instructions(emission: Emission) -> str:
    numbers = instructions(emission)
    if not numbers:
        return ""
    p, upper = emission.prefix, emission.prefix.upper()
    lines = lines_of(f"{upper}_{name} = {number:#x}," for name, number in numbers.items())
    about = "/* Instructions without an encoding have numbers behind all encodings. */"
    return f"\n{about}\nenum {p}_instruction {{\n{lines}\n}};\n"


_HEADER = """\
/* SPDX-License-Identifier: @licence@ */
@notice@
#ifndef @P@_H
#define @P@_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#endif

/* The number of an encoding, its operands in the order in which instructions have them. */
#define @P@_ENCODING(op0, op1, crn, crm, op2) \\
	(((uint32_t)(op0) << 14) | ((uint32_t)(op1) << 11) | ((uint32_t)(crn) << 7) | \\
		((uint32_t)(crm) << 3) | (uint32_t)(op2))
@instructions@
/* One value for each register that the table reads. */
struct @p@_registers {
@registers@
};

/* The bits of disabled features, for each group of fine-grained traps. */
struct @p@_fgu {
@fgu@
};

/* The features that matter to the table. */
enum @p@_feature {
@features@
	@P@_FEATURES
};

/* A bit for each: feature F is bit F % 64 of word F / 64. */
struct @p@_features {
	uint64_t present[@feature_words@];
};

/* What the hypervisor has programmed, and what the vCPU is. */
struct @p@_state {
	struct @p@_registers registers;
	struct @p@_registers res0;	/* the bits that the vCPU lacks */
	struct @p@_fgu fgu;
	const struct @p@_features *features;	/* NULL: all */
	uint8_t el;	/* that of the access: 0, 1 or 2 */
	bool nv;	/* the vCPU has EL2 */
};

/* A state made ready for decisions by @p@_bind(). */
struct @p@_bound {
	uint64_t words[@words@];
	uint64_t traps[@groups@][2];
	uint64_t disabled[@groups@];
	struct @p@_features features;
	bool all_features;
	bool nv;
	uint8_t el;
	uint8_t context;
};

enum @p@_outcome {
	@P@_LOCAL,
	@P@_FORWARD,
	@P@_UNDEF,
};

/* What decided, in the order of the decision. */
enum @p@_step {
@steps@
};

#define @P@_NO_PART 0xffffU

struct @p@_decision {
	enum @p@_outcome outcome;
	enum @p@_step step;
	uint16_t part;	/* the number of the deciding part, see the table's comments */
	uint8_t ec;	/* the exception class of a forwarded trap, otherwise 0 */
	int32_t memory;	/* the offset from VNCR_EL2 of what is memory instead, otherwise -1 */
};

void @p@_bind(struct @p@_bound *bound, const struct @p@_state *state);
struct @p@_decision @p@_decide(const struct @p@_bound *bound, uint32_t encoding, bool write);

#endif
"""
