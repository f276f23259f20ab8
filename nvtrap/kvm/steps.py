"""Runs the steps of a recorded case: user space's system calls and the guest's instructions.

A step is an object with `do`; numbers in texts are hexadecimal with `0x`. What each step
takes stands at its function.
"""

from __future__ import annotations

from errno import errorcode

from nvtrap.errors import AddressError, UnknownNameError, UsageError
from nvtrap.gic.access import Undefined
from nvtrap.inputs import shown
from nvtrap.kvm.host import Host
from nvtrap.kvm.step_members import group_of, hex_bytes, members, number, text, word
from nvtrap.kvm.vcpu import OUTSIDE
from nvtrap.kvm.vgic.device import U64
from nvtrap.kvm.vgic.routing import IrqchipRoute, MsiRoute
from nvtrap.kvm.vm import DeviceType, Vm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.device import Device
    from nvtrap.kvm.vgic.routing import Irqfd, Route

    Step = dict[str, Any]

UNDEFINED = "UNDEF"
TO_USER_SPACE = "EXIT_MMIO"
TYPES = {
    "vgic_v2": DeviceType.VGIC_V2,
    "vgic_v3": DeviceType.VGIC_V3,
    "its": DeviceType.ITS,
    "none0": 0,
    "bogus": 0x7FFF_FFFF,
}
SIZES = (1, 2, 4, 8)
MOST_BYTES = 1 << 20


class Result:
    """What a step gave.

    `outcome` is 0 or another number for success, the name of an errno, "UNDEF" for an
    UNDEFINED instruction, or "EXIT_MMIO" for an access that user space would be asked
    about; `value` is what was read (a number, bytes of memory as hex), None for nothing.
    """

    __slots__ = ("outcome", "value")

    def __init__(self, outcome: int | str = 0, value: int | str | None = None) -> None:
        self.outcome = outcome
        self.value = value

    def __repr__(self) -> str:
        return f"Result({self.outcome!r}, {self.value!r})"


class Runner:
    """Runs steps one after the other on one VM, which `create_vm` makes on `host`.

    `devices` go by the names that steps gave them, `irqfds` by their GSI, the newest of
    each; `saved` holds values that steps kept for later ones.
    """

    __slots__ = ("devices", "host", "irqfds", "made", "saved")

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or Host()
        self.made: Vm | None = None
        self.devices: dict[str, Device] = {}
        self.irqfds: dict[int, Irqfd] = {}
        self.saved: dict[str, int] = {}

    @property
    def vm(self) -> Vm:
        """The VM; raises `UsageError` before `create_vm`."""
        if self.made is None:
            raise UsageError("no VM was created yet, `create_vm` comes first")
        return self.made

    def run(self, step: Step) -> Result:
        """Carry out a step.

        Raises `UsageError` for a step that is none or lacks something.
        """
        if type(step) is not dict:
            raise UsageError(f"a step is `{shown(step)}`, it is an object")
        do = step.get("do")
        function = _STEPS.get(do) if isinstance(do, str) else None
        if function is None:
            raise UnknownNameError("step", shown(do), _STEPS)
        try:
            return function(self, step) or Result()
        except OSError as error:
            return Result(errorcode[error.errno or 0])
        except Undefined:
            return Result(UNDEFINED)

    def value(self, step: Step) -> int:
        """The `value` of a step: a number, or one made of a saved one.

        `{var, clear, or}` is (the saved value & ~clear) | or.
        """
        value = step.get("value")
        if not isinstance(value, dict):
            return word(step, "value")
        name = text(value, "var")
        if name not in self.saved:
            raise UnknownNameError("saved value", name, self.saved)
        clear = word(value, "clear") if "clear" in value else 0
        extra = word(value, "or") if "or" in value else 0
        return (self.saved[name] & ~clear | extra) & U64

    def read(self, step: Step, value: int) -> Result:
        """The result of a read, which is kept if the step says so."""
        if "save_as" in step:
            self.saved[text(step, "save_as")] = value
        return Result(0, value)

    def device(self, step: Step) -> Device:
        """The device that a step names."""
        name = text(step, "dev")
        if name not in self.devices:
            raise UnknownNameError("device", name, self.devices)
        return self.devices[name]

    def vcpu(self, step: Step, key: str = "id") -> Vcpu:
        """The vCPU whose id a step names."""
        id = number(step, key)
        vcpu = self.vm.vcpu_by_id(id)
        if vcpu is None:
            raise UsageError(f"there is no vCPU {id}")
        return vcpu


# ---- user space ---------------------------------------------------------------------


def _create_vm(runner: Runner, step: Step) -> None:
    """`vcpus` are ids, `ram` pairs of base and size, `ipa_bits` is 40 unless given."""
    ram = []
    for pair in members(step, "ram", 1024):
        if type(pair) is not list or len(pair) != 2:
            raise UsageError(f"`ram` has `{shown(pair)}`, it is a base and a size")
        ram.append((word({"base": pair[0]}, "base"), word({"size": pair[1]}, "size")))
    bits = number(step, "ipa_bits") if "ipa_bits" in step else 40
    vm = Vm(bits, ram, runner.host)
    runner.made = vm
    runner.devices, runner.irqfds, runner.saved = {}, {}, {}
    for id in members(step, "vcpus", 512):
        vm.create_vcpu(id)


def _add_vcpu(runner: Runner, step: Step) -> None:
    runner.vm.create_vcpu(number(step, "id"), bool(step.get("powered_off")))


def _create_device(runner: Runner, step: Step) -> None:
    name = text(step, "type")
    if name not in TYPES:
        raise UnknownNameError("type of a device", name, TYPES)
    device = runner.vm.create_device(TYPES[name], bool(step.get("test")))
    if device is not None:
        runner.devices[text(step, "name") if "name" in step else name] = device


def _create_irqchip(runner: Runner, _step: Step) -> None:
    runner.vm.create_irqchip()


def _set_device_addr(runner: Runner, step: Step) -> None:
    runner.vm.set_device_addr(word(step, "id"), word(step, "addr"))


def _has_attr(runner: Runner, step: Step) -> None:
    runner.device(step).has_attr(group_of(step), word(step, "attr"))


def _set_attr(runner: Runner, step: Step) -> None:
    is_bad = step.get("bad_pointer") or "value" not in step
    value = None if is_bad else runner.value(step)
    runner.device(step).set_attr(group_of(step), word(step, "attr"), value)


def _get_attr(runner: Runner, step: Step) -> Result:
    before = word(step, "value_in") if "value_in" in step else 0
    buffer = None if step.get("bad_pointer") else before
    value = runner.device(step).get_attr(group_of(step), word(step, "attr"), buffer)
    return runner.read(step, value)


def _irq_line(runner: Runner, step: Step) -> None:
    runner.vm.irq_line(word(step, "irq"), number(step, "level"))


def _signal_msi(runner: Runner, step: Step) -> Result:
    devid = word(step, "devid") if "devid" in step else 0
    flags = word(step, "flags") if "flags" in step else 0
    address, data = word(step, "addr"), word(step, "data")
    return Result(runner.vm.signal_msi(address, data, devid, flags))


def _set_gsi_routing(runner: Runner, step: Step) -> None:
    runner.vm.set_gsi_routing([_route(entry) for entry in members(step, "entries", 8192)])


def _route(entry: Step) -> Route:
    """An entry of KVM_SET_GSI_ROUTING: `type` is "irqchip" or "msi"."""
    if type(entry) is not dict:
        raise UsageError(f"a route is `{shown(entry)}`, it is an object")
    kind, gsi = text(entry, "type"), word(entry, "gsi")
    flags = word(entry, "flags") if "flags" in entry else 0
    if kind == "irqchip":
        return IrqchipRoute(gsi, word(entry, "pin"), word(entry, "irqchip"), flags)
    if kind != "msi":
        raise UnknownNameError("type of a route", kind, ("irqchip", "msi"))
    devid = word(entry, "devid") if "devid" in entry else 0
    return MsiRoute(gsi, word(entry, "addr"), word(entry, "data"), devid, flags)


def _irqfd_assign(runner: Runner, step: Step) -> None:
    gsi = number(step, "gsi")
    runner.irqfds[gsi] = runner.vm.irqfd(gsi)


def _irqfd_write(runner: Runner, step: Step) -> None:
    gsi = number(step, "gsi")
    if gsi not in runner.irqfds:
        raise UsageError(f"no eventfd is bound to GSI {gsi}")
    runner.irqfds[gsi].write()


def _run_vcpu(runner: Runner, step: Step) -> None:
    runner.vcpu(step).run()


def _vcpu_enter(runner: Runner, step: Step) -> None:
    runner.vcpu(step).enter()


def _vcpu_leave(runner: Runner, step: Step) -> None:
    runner.vcpu(step).exit()


def _mem_w(runner: Runner, step: Step) -> None:
    try:
        runner.vm.memory.write_bytes(word(step, "addr"), hex_bytes(step, "data"))
    except AddressError as error:
        raise UsageError(error.message) from None


def _mem_r(runner: Runner, step: Step) -> Result:
    length = number(step, "len")
    if not 0 <= length <= MOST_BYTES:
        raise UsageError(f"`len` is `{length}`, it goes from 0 to {MOST_BYTES}")
    try:
        return Result(0, runner.vm.memory.read_bytes(word(step, "addr"), length).hex())
    except AddressError as error:
        raise UsageError(error.message) from None


# ---- the guest ----------------------------------------------------------------------


def _hw_line(runner: Runner, step: Step) -> None:
    """The guest moves the line of a timer: the vCPU runs for it."""
    vcpu, intid = runner.vcpu(step, "vcpu"), number(step, "intid")
    timer = next((timer for timer in vcpu.timers if timer.intid == intid), None)
    if timer is None:
        raise UsageError(f"vCPU {vcpu.id} has no timer with PPI {intid}")
    level = bool(number(step, "level"))
    _in_guest(vcpu, lambda: timer.set_line(level))


def _guest(runner: Runner, step: Step) -> Result | None:
    """One instruction between an entry and an exit, `op` says which."""
    vcpu = runner.vcpu(step, "vcpu")
    op = text(step, "op")
    if op not in _OPS:
        raise UnknownNameError("guest operation", op, _OPS)
    result: Result | None = _in_guest(vcpu, lambda: _OPS[op](runner, vcpu, step))
    return result


def _in_guest(vcpu: Vcpu, instruction: Callable[[], Any]) -> Any:
    """Run an instruction; a vCPU that is outside enters the guest for it."""
    if vcpu.mode is not OUTSIDE:
        return instruction()
    vcpu.enter()
    try:
        return instruction()
    finally:
        vcpu.exit()


def _mrs(runner: Runner, vcpu: Vcpu, step: Step) -> Result:
    return runner.read(step, vcpu.mrs(text(step, "reg")))


def _msr(runner: Runner, vcpu: Vcpu, step: Step) -> None:
    vcpu.msr(text(step, "reg"), runner.value(step))


def _mmio_r(runner: Runner, vcpu: Vcpu, step: Step) -> Result:
    value = vcpu.read(word(step, "addr"), _size(step))
    return Result(TO_USER_SPACE) if value is None else runner.read(step, value)


def _mmio_w(runner: Runner, vcpu: Vcpu, step: Step) -> Result:
    answered = vcpu.write(word(step, "addr"), _size(step), runner.value(step))
    return Result(0 if answered else TO_USER_SPACE)


def _wfi(_runner: Runner, vcpu: Vcpu, _step: Step) -> Result:
    return Result(0, int(vcpu.wfi()))


def _size(step: Step) -> int:
    size = number(step, "size")
    if size not in SIZES:
        raise UsageError(f"`size` is `{size}`, it is 1, 2, 4 or 8 bytes")
    return size


_OPS: dict[str, Callable[[Runner, Vcpu, Step], Result | None]] = {
    "mrs": _mrs,
    "msr": _msr,
    "mmio_r": _mmio_r,
    "mmio_w": _mmio_w,
    "wfi": _wfi,
}
_STEPS: dict[str, Callable[[Runner, Step], Result | None]] = {
    "create_vm": _create_vm,
    "add_vcpu": _add_vcpu,
    "create_device": _create_device,
    "create_irqchip": _create_irqchip,
    "set_device_addr": _set_device_addr,
    "has_attr": _has_attr,
    "set_attr": _set_attr,
    "get_attr": _get_attr,
    "irq_line": _irq_line,
    "signal_msi": _signal_msi,
    "set_gsi_routing": _set_gsi_routing,
    "irqfd_assign": _irqfd_assign,
    "irqfd_write": _irqfd_write,
    "run_vcpu": _run_vcpu,
    "vcpu_enter": _vcpu_enter,
    "vcpu_leave": _vcpu_leave,
    "mem_w": _mem_w,
    "mem_r": _mem_r,
    "hw_line": _hw_line,
    "guest": _guest,
}
