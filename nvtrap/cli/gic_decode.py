"""`nvtrap gic decode`: register values the way a person reads them, and layouts."""

from __future__ import annotations

from fnmatch import fnmatchcase

from nvtrap.cli.terminal import show, show_table
from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.gic import codecs
from nvtrap.states import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from nvtrap.gic.codecs import Decoded, Register

EXAMPLES = """\
  nvtrap gic decode ICH_LR0_EL2 0x50a000000000001b
  nvtrap gic decode ICH_HCR_EL2=0x5 ICH_LR0_EL2=0x50a000000000001b
  nvtrap gic decode ITS_COMMAND 0x50000000a 0x200000000003 1 0
  nvtrap gic decode ICH_LR_EL2
  nvtrap gic decode --list 'ICH_*'"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add what `decode` takes."""
    add = parser.add_argument
    add(
        "words",
        nargs="*",
        metavar="REG",
        help="a register and its value, REG=N for each of several, or a register alone"
        " for its layout; a command of the ITS has four values, DW0 first",
    )
    add("--list", action="store_true", help="the registers there are, or those of a pattern")
    add("--names", action="store_true", help="their names only, one a line, without the <n>")
    add("--json", action="store_true", help="as JSON")


def run(arguments: Namespace) -> int:
    """Decode, or show layouts."""
    words = arguments.words
    if arguments.list or arguments.names:
        _list(words, arguments)
    elif not words:
        raise UsageError("there is nothing to decode", "name a register, --list has them all")
    elif len(words) == 1 and "=" not in words[0]:
        _show_layout(codecs.find(words[0])[0], arguments)
    else:
        decoded = _decoded(words)
        if arguments.json:
            print_json([one.to_json() for one in decoded])
        else:
            _show(decoded)
    return 0


def print_json(data: object) -> None:
    """Print plain data."""
    from json import dumps

    print(dumps(data, indent=2))


# ---- values -----------------------------------------------------------------------


def _decoded(words: list[str]) -> list[Decoded]:
    if not any("=" in word for word in words):
        return [_one(words[0], words[1:])]
    decoded = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"`{word}` is no value of a register", "write REG=N for each")
        decoded.append(_one(name, value.split(",")))
    return decoded


def _one(name: str, values: list[str]) -> Decoded:
    register, _ = codecs.find(name)
    words = max(1, register.width // 64)
    if len(values) != words:
        many = "four values, DW0 to DW3" if words > 1 else "one value"
        raise UsageError(f"`{name}` takes {many}, not {len(values)}")
    whole = 0
    for position, text in enumerate(values):
        whole |= number(text, f"`{name}`") << 64 * position
    return codecs.decode(name, whole)


def _show(decoded: list[Decoded]) -> None:
    for position, one in enumerate(decoded):
        if position:
            print()
        show([[(one.name, "bold"), (f": {one.sentence}", "")]])
        show_table(["field", "bits", "value", "meaning"], _rows(one))
        reserved = [one.register.where(msb, lsb) for msb, lsb in one.res0_runs()]
        if reserved:
            text = f"note: reserved bits are set: {', '.join(reserved)}"
            show([[(text, "italic")]])


def _rows(one: Decoded) -> list[list[str]]:
    rows = []
    for field in one.fields:
        value = codecs.number_text(field.value)
        meaning = "" if field.meaning == value else field.meaning
        rows.append([field.name, one.register.where(field.msb, field.lsb), value, meaning])
    return rows


# ---- layouts ----------------------------------------------------------------------


def _layout(register: Register) -> list[dict[str, str]]:
    return [
        {
            "field": field.name,
            "bits": register.where(field.msb, field.lsb),
            "when": codecs.condition(register, field),
            "meaning": field.explain(),
        }
        for field in register.fields
    ]


def _described(register: Register) -> dict[str, object]:
    indexes = register.indexes
    return {
        "register": register.name,
        "about": register.about,
        "width": register.width,
        "n": [indexes[0], indexes[-1]] if indexes else [],
        "fields": _layout(register),
    }


def _show_layout(register: Register, arguments: Namespace) -> None:
    if arguments.json:
        print_json([_described(register)])
        return
    n = f", n from {register.indexes[0]} to {register.indexes[-1]}" if register.indexes else ""
    show([[(register.name, "bold"), (f": {register.about} ({register.width} bits{n})", "")]])
    rows = _layout(register)
    columns = ["field", "bits", "when", "meaning"]
    if not any(row["when"] for row in rows):
        columns.remove("when")
    show_table(columns, [[row[column] for column in columns] for row in rows])


def _list(patterns: list[str], arguments: Namespace) -> None:
    found = _matching(patterns)
    if arguments.json:
        print_json([_described(register) for register in found])
    elif arguments.names:
        for register in found:
            print(register.name.replace("<n>", ""))
    else:
        rows = [[register.name, str(register.width), register.about] for register in found]
        show_table(["register", "bits", "what it is"], rows)


def _matching(patterns: list[str]) -> list[Register]:
    """The registers of any of the patterns, all where there is none.

    Raises `UnknownNameError` for a pattern that fits none.
    """
    known = list(codecs.registers())
    if not patterns:
        return known
    found = []
    for pattern in patterns:
        wanted = pattern.upper()
        fitting = [one for one in known if fnmatchcase(one.name.upper(), wanted)]
        if not fitting:
            fitting = [codecs.find(pattern)[0]] if not set(pattern) & set("*?[") else []
        if not fitting:
            raise UnknownNameError("register", pattern)
        found += fitting
    return list(dict.fromkeys(found))
