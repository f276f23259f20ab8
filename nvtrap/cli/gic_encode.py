"""`nvtrap gic encode`: fields as a register's value."""

from __future__ import annotations

from nvtrap.cli.gic_decode import print_json
from nvtrap.errors import UsageError
from nvtrap.gic import codecs
from nvtrap.states import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLES = """\
  nvtrap gic encode ICH_LR0_EL2 State=pending Priority=0xa0 Group=1 vINTID=27
  nvtrap gic encode GICD_ISENABLER1 Set_enable_bit5=1
  nvtrap gic encode ITS_COMMAND Command=MAPTI DeviceID=5 EventID=3 pINTID=8192 ICID=1"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add what `encode` takes."""
    add = parser.add_argument
    add("register", metavar="REG", help="its name")
    add(
        "fields",
        nargs="*",
        metavar="FIELD=N",
        help="a field's number or the name of its value; what is left out is 0",
    )
    add("--json", action="store_true", help="the value with all its fields as JSON")


def run(arguments: Namespace) -> int:
    """Encode; a command of the ITS is printed as its four doublewords."""
    fields: dict[str, int | str] = {}
    for text in arguments.fields:
        name, value = _assigned(text)
        if name.upper() in (known.upper() for known in fields):
            raise UsageError(f"`{name}` is given twice")
        fields[name] = value
    value = codecs.encode(arguments.register, fields)
    if arguments.json:
        print_json([codecs.decode(arguments.register, value).to_json()])
    else:
        width = codecs.find(arguments.register)[0].width
        words = range(0, width, 64)
        print(*(f"{value >> low & (1 << 64) - 1:#x}" for low in words))
    return 0


def _assigned(text: str) -> tuple[str, int | str]:
    """`FIELD=N` as (field, number or the name of a value)."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise UsageError(f"`{text}` is no field with a value", "write FIELD=N")
    return name, number(value, f"`{name}`") if value[0].isdigit() else value
