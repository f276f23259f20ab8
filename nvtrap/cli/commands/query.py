"""`nvtrap query`: one access."""

from __future__ import annotations

from nvtrap import Access, State, load
from nvtrap.arch import EC_SYSREG, ENCODINGS
from nvtrap.cli.terminal import OUTCOME_STYLES, show, wants_colour, warn
from nvtrap.errors import UsageError
from nvtrap.states import StateBuilder, features_of, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from nvtrap.cli.arguments import Parser
    from nvtrap.cli.terminal import Line
    from nvtrap.engine import Outcome, Table
    from nvtrap.engine.explain import Explanation

EXAMPLES = """\
  nvtrap query REVIDR_EL1 --set HCR_EL2.TID1=1
  nvtrap query -w S3_0_C1_C0_1 --set HCR_EL2.TACR=1 --el 1 --why
  nvtrap query 0x623c0001 --state l1.toml --json"""

EXIT_CODES = {"forward": 0, "local": 3, "undef": 4}
NO_PART = {
    "no-entry": "no rule of the table names it",
    "feature": "the register's feature is absent",
    "no-el2": "the vCPU has no EL2",
    "hyp-context": "the access comes from hypervisor context",
    "none": "no control of its rule is armed",
}


def add_arguments(parser: Parser) -> None:
    """Add what `query` takes."""
    add = parser.add_argument
    add(
        "register",
        metavar="REG",
        help="a name, an encoding such as S3_0_C0_C0_6 or 3,0,0,0,6, or an ESR value",
    )
    add("-w", "--write", action="store_true", help="ask about a write (default: a read)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="REG.FIELD=N",
        help="set a field, or a register with REG=N",
    )
    add("--state", metavar="FILE", help="the state as JSON or TOML (`-`: standard input)")
    add("--el", choices=("0", "1", "2"), metavar="N", help="the EL of the access (default: 1)")
    add("--no-nv", action="store_true", help="the vCPU has no EL2")
    add(
        "--res0",
        action="append",
        default=[],
        metavar="REG=N",
        help="bits of a register that the vCPU lacks",
    )
    add(
        "--fgu",
        action="append",
        default=[],
        metavar="KEY=N",
        help="disabled bits of a fine-grained group",
    )
    add(
        "--features",
        metavar="LIST",
        help="features and profiles, such as armv8.4,FEAT_NV2, or values of ID registers"
        " (default: all)",
    )
    parser.table_option()
    add("--why", action="store_true", help="every step, every control, and what would change it")
    add("--json", action="store_true", help="the answer and all of --why as JSON")
    add("--exit-code", action="store_true", help="exit 0 for forward, 3 for local, 4 for undef")


def run(arguments: Namespace) -> int:
    """Answer the question."""
    table = load(arguments.table, warn)
    access = access_of(arguments.register, arguments.write, table)
    state = _state(arguments, table)
    if arguments.json:
        from json import dumps

        print(dumps(table.explain(state, access).to_json(), indent=2))
    elif arguments.why:
        _show_why(table.explain(state, access))
    else:
        _show_answer(table, state, access)
    outcome = table.decide(state, access).outcome
    return EXIT_CODES[outcome] if arguments.exit_code else 0


def access_of(text: str, write: bool, table: Table) -> Access:
    """The access that the user names.

    An ESR value brings its own direction; what can only be written is written.
    """
    if text[:2].lower() == "0x" or text.isdigit():
        access = Access.from_esr(number(text, "an ESR value"))
        if write and not access.write:
            raise UsageError(f"ESR value `{text}` reports a read, `--write` asks about a write")
        return access
    encoding = table.encoding(text)
    name = table.names.of(encoding, write=False)
    only_write = bool(name) and not table.names.of(encoding, write=False, strict=True)
    return Access(encoding if encoding < ENCODINGS else name, write or only_write)


def _state(arguments: Namespace, table: Table) -> State:
    builder = StateBuilder(table)
    if arguments.state is not None:
        builder.read_file(arguments.state)
    for text in arguments.res0:
        builder.set_res0(*assignment(text))
    for text in arguments.fgu:
        builder.set_fgu(*assignment(text))
    builder.set_all([assignment(text) for text in arguments.set])
    if arguments.el is not None:
        builder.el = int(arguments.el)
    if arguments.no_nv:
        builder.nv = False
    if arguments.features is not None:
        builder.features = features_of(arguments.features, table)
    return builder.state()


def assignment(text: str) -> tuple[str, int]:
    """`REG.FIELD=N` as (place, value)."""
    place, equals, value = text.partition("=")
    if not equals or not place or not value:
        raise UsageError(f"`{text}` is no setting", "write REG.FIELD=N or REG=N")
    return place.strip(), number(value.strip(), f"`{place.strip()}`")


# ---- the answer -----------------------------------------------------------------


def _show_answer(table: Table, state: State, access: Access) -> None:
    """The answer alone: the explanation would take longer than everything before it."""
    from nvtrap.engine.missing import missing

    outcome = table.decide(state, access)
    name = table.name_of(table.encoding_of(access), access.write)
    show([_headline(name, outcome), *_notes(missing(table, state, outcome))])


def _headline(name: str, outcome: Outcome) -> Line:
    direction = "write" if outcome.write else "read"
    line: Line = [(f"{direction} {name}: ", "")]
    line.append((outcome.outcome, OUTCOME_STYLES[outcome.outcome]))
    line.append((_because(outcome), ""))
    if outcome.ec not in (0, EC_SYSREG):
        line.append((f", reported as EC {outcome.ec:#04x}", ""))
    if outcome.memory is not None:
        line.append((f", memory at VNCR_EL2 + {outcome.memory:#x}", ""))
    if outcome.place is not None:
        line.append((f"  {outcome.place}", "dim"))
    return line


def _because(outcome: Outcome) -> str:
    if outcome.control:
        word = "as disabled by" if outcome.outcome == "undef" else "by"
        return f" {word} {outcome.control} ({outcome.step})"
    reason = outcome.reason or NO_PART[outcome.step]
    return f" ({outcome.step}: {reason})"


def _notes(names: list[str]) -> list[Line]:
    if not names:
        return []
    were, them = ("was", "it") if len(names) == 1 else ("were", "them")
    text = f"note: {', '.join(names)} {were} not given and read as 0, the answer hangs on {them}"
    return [[(text, "italic")]]


# ---- why ------------------------------------------------------------------------


def _show_why(explanation: Explanation) -> None:
    if wants_colour():
        from nvtrap.cli.trees import why_tree

        show([_headline(explanation.name, explanation.outcome)])
        why_tree(explanation)
        show(_notes(explanation.not_given))
        return
    from nvtrap.cli.trees import why_lines

    show(
        [
            _headline(explanation.name, explanation.outcome),
            *why_lines(explanation),
            *_notes(explanation.not_given),
        ]
    )
