"""`nvtrap vgic show`: the interrupts and the list registers after the steps of a case."""

from __future__ import annotations

from nvtrap.cli.cases import cases, field_name, field_text, file_arguments
from nvtrap.cli.terminal import show, show_table
from nvtrap.errors import UsageError
from nvtrap.kvm.vgic import view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from nvtrap.cli.cases import Case
    from nvtrap.cli.terminal import Line
    from nvtrap.kvm.vm import Vm

EXAMPLES = """\
  nvtrap vgic show cases.jsonl --case v2-banked
  nvtrap vgic show cases.jsonl.gz --case v2-banked --after 9 --json"""
# Fields that stand in no column of their own, but in the last one where they say something.
NOTES = ("targets", "senders", "active_sender", "sender", "host", "host_active")


def add_arguments(parser: ArgumentParser) -> None:
    """Add what `show` takes."""
    file_arguments(parser)
    add = parser.add_argument
    add("--after", type=int, metavar="N", help="after the first N steps, instead of all")
    add("--json", action="store_true", help="a line of JSON for each case")


def run(arguments: Namespace) -> int:
    """Show what the cases come to."""
    from json import dumps

    after = arguments.after
    if after is not None and after < 0:
        raise UsageError(f"`{after}` is no number of steps")
    for case in cases(arguments.file, arguments.case):
        done = len(case.steps) if after is None else min(after, len(case.steps))
        for number in range(done):
            case.run(number)
        vm = case.runner.made
        if arguments.json:
            print(dumps({"case": case.id, "steps": done} | ({} if vm is None else _seen(vm))))
        else:
            _show(case, done, vm)
    return 0


def _seen(vm: Vm) -> dict[str, Any]:
    """Everything worth showing, as plain data."""
    return {
        "gic": view.gic(vm),
        "interrupts": {
            name: view.interrupt(vm, irq)
            for name, irq in view.interrupts(vm)
            if view.is_touched(vm, irq)
        },
        "list_registers": {str(vcpu.id): view.list_registers(vcpu) for vcpu in vm.vcpus},
        "interfaces": {str(vcpu.id): view.interface(vcpu) for vcpu in vm.vcpus},
    }


def _show(case: Case, done: int, vm: Vm | None) -> None:
    show([[(case.id, "bold"), (f" after {done} of {len(case.steps)} steps", "")]])
    if vm is None:
        show([[("no VM", "dim")]])
        return
    seen = _seen(vm)
    show([_gic(seen["gic"])])
    if seen["interrupts"]:
        _show_fields("interrupt", seen["interrupts"])
    registers = {
        f"LR{n} of vCPU {id}": fields
        for id, found in seen["list_registers"].items()
        for n, fields in enumerate(found)
    }
    if registers:
        _show_fields("list register", registers)
    interfaces = {f"vCPU {id}": fields for id, fields in seen["interfaces"].items()}
    if interfaces:
        _show_fields("CPU interface", interfaces)


def _gic(fields: view.Fields) -> Line:
    """`GICv2, 64 INTIDs, initialized, enabled, distributor at 0x8000000`."""
    if fields["model"] is None:
        return [("no GIC", "dim")]
    said = [f"GICv{fields['model']}", f"{fields['intids']} INTIDs"]
    said += [name for name in ("initialized", "enabled", "dead") if fields[name]]
    said += [
        f"{field_name(name)} at {fields[name]:#x}"
        for name in ("distributor", "cpu_interface")
        if fields[name] is not None
    ]
    return [(", ".join(said), "")]


def _show_fields(heading: str, things: dict[str, view.Fields]) -> None:
    """A row for each thing and a column for each field, notes in the last one."""
    columns = [field for field in next(iter(things.values())) if field not in NOTES]
    rows = []
    for name, fields in things.items():
        notes = [
            f"{field_name(field)} {field_text(field, fields[field])}"
            for field in NOTES
            if _says_something(field, fields.get(field))
        ]
        cells = [field_text(field, fields[field]) for field in columns]
        rows.append([name, *cells, ", ".join(notes)])
    show([[("", "")]])
    show_table([heading, *columns, ""], rows)


def _says_something(field: str, value: object) -> bool:
    return (
        value is not None
        and value is not False
        and value != []
        and (field, value) != ("targets", 0)
    )
