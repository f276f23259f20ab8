"""What becomes of one MRS or MSR of a GIC register: UNDEFINED, trapped, virtual or physical.

The order of the tests is that of the access pseudocode of the registers (IHI 0069, 12.2
to 12.4): first whether the register is there, then traps to EL2 by ICH_HCR_EL2 and
HCR_EL2, then the virtual register, then traps to EL3, then the physical register.
ICC_SRE_ELx.SRE and .Enable are 1 here, as in an implementation without memory-mapped
CPU interfaces.
"""

from __future__ import annotations

from functools import partial

from nvtrap.arch.encoding import parse_encoding
from nvtrap.arch.esr import IL, encode_sysreg
from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.gic.physical import icc
from nvtrap.gic.registers import (
    BY_ENCODING,
    COMMON,
    DIRECTION,
    GROUP0,
    GROUP1,
    HYPERVISOR,
    MONITOR,
    READ,
    REGISTERS,
    SGI,
    WRITE,
    Register,
)
from nvtrap.gic.virtual import ich, icv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from nvtrap.gic.parameters import Parameters
    from nvtrap.gic.pe import PE

HCR_FMO, HCR_IMO = 1 << 3, 1 << 4
HCR_VF, HCR_VI = 1 << 6, 1 << 7
HCR_TGE = 1 << 27
HCR_NV, HCR_NV2 = 1 << 42, 1 << 45
SCR_NS, SCR_IRQ, SCR_FIQ, SCR_EEL2 = 1 << 0, 1 << 1, 1 << 2, 1 << 18

# Which bits of ICH_HCR_EL2 trap a family's accesses from EL1 to EL2.
_TRAPPING = {
    GROUP0: ich.HCR_TALL0,
    GROUP1: ich.HCR_TALL1,
    COMMON: ich.HCR_TC,
    DIRECTION: ich.HCR_TC | ich.HCR_TDIR,
    SGI: ich.HCR_TC,
}
# Which bits of HCR_EL2, either of them, make a family virtual at EL1; SGIs trap instead.
_VIRTUAL = {
    GROUP0: HCR_FMO,
    GROUP1: HCR_IMO,
    COMMON: HCR_FMO | HCR_IMO,
    DIRECTION: HCR_FMO | HCR_IMO,
    SGI: HCR_FMO | HCR_IMO,
}
# Which bits of SCR_EL3, all of them, send a family's physical accesses to EL3.
_MONITORED = {
    GROUP0: SCR_FIQ,
    GROUP1: SCR_IRQ,
    COMMON: SCR_FIQ | SCR_IRQ,
    DIRECTION: SCR_FIQ | SCR_IRQ,
    SGI: SCR_FIQ | SCR_IRQ,
}
TRAP_BITS = ich.HCR_TC | ich.HCR_TALL0 | ich.HCR_TALL1 | ich.HCR_TDIR
ESR_UNKNOWN = IL


class ExceptionTaken(Exception):  # noqa: N818  (what a PE takes, not an error of ours)
    """An access that ends in an exception, taken to EL `el` (1..3); it has no other effect."""

    def __init__(self, el: int) -> None:
        super().__init__(f"taken to EL{el}")
        self.el = el


class Undefined(ExceptionTaken):
    """The access is UNDEFINED: EC 0, reported in ESR_EL<el>."""

    @property
    def esr(self) -> int:
        """The syndrome: EC and ISS 0, IL 1."""
        return ESR_UNKNOWN


class Trapped(ExceptionTaken):
    """The access is trapped: EC 0x18 with the access in the ISS."""

    def __init__(self, el: int, register: Register, write: bool) -> None:
        super().__init__(el)
        self.register = register
        self.write = write

    @property
    def esr(self) -> int:
        """The syndrome of the access with X0 as its transfer register (Rt = 0)."""
        return encode_sysreg(self.register.encoding, self.write)


def register_named(name: object) -> Register | None:
    """The register of a name, an encoding as a number or `S3_0_C12_C8_0`.

    None for an encoding that the GIC's part of the space has not allocated. Raises
    `UnknownNameError` for what is no register of the GIC, `UsageError` for what is no name.
    """
    if isinstance(name, str):
        found = REGISTERS.get(name)
        encoding = None if found else parse_encoding(name)
        if found or encoding is None:
            return found or _unknown(name)
        name = encoding
    if type(name) is not int:
        raise UsageError("a register is given by its name or its encoding")
    if name not in BY_ENCODING and not _is_of_the_gic(name):
        return _unknown(f"{name:#x}")
    return BY_ENCODING.get(name)


def _unknown(name: str) -> NoReturn:
    raise UnknownNameError("register of the GIC", name, REGISTERS)


def _is_of_the_gic(encoding: int) -> bool:
    """Whether an encoding lies at CRn 12, CRm 8 to 15 of op0 3: nothing else is there."""
    return encoding >> 14 == 3 and encoding >> 7 & 15 == 12 and encoding >> 6 & 1 == 1


def resolve(pe: PE, name: object, el: int, write: bool) -> Callable[..., Any]:
    """What carries out an access from EL `el` in the PE's present configuration.

    A function without arguments for a read, of the value for a write; for an access
    that cannot be made, one that raises `Undefined` or `Trapped`. Holds until HCR_EL2,
    SCR_EL3 or the trap bits of ICH_HCR_EL2 change.
    """
    register = register_named(name)
    if register is None or el == 0 or not _is_there(pe, register, el, write):
        return undefined(pe, el)
    if register.family == HYPERVISOR:
        return _hypervisor(pe, register, el, write)
    if register.family == MONITOR:
        return _physical(pe, register, el, write) if el == 3 else undefined(pe, el)
    is_virtual = _is_virtual(pe, register, el)
    if el == 1 and pe.el2_enabled:
        trap = _TRAPPING.get(register.family, 0) & pe.virtual.hcr
        if trap or (is_virtual and register.family == SGI):
            return _trap(2, register, write)
    if is_virtual:
        return _bound(icv, register, write, pe.virtual)
    return _physical(pe, register, el, write)


def _is_virtual(pe: PE, register: Register, el: int) -> bool:
    """Whether EL1 reaches the virtual interface by this register: HCR_EL2.{IMO, FMO}."""
    routed = _VIRTUAL.get(register.family, 0) & pe.hcr_el2
    return el == 1 and pe.el2_enabled and routed != 0


def _hypervisor(pe: PE, register: Register, el: int, write: bool) -> Callable[..., Any]:
    """ICH_*_EL2 and ICC_SRE_EL2: at EL1 they are nested virtualisation's business."""
    if el == 1:
        if not (pe.el2_enabled and pe.hcr_el2 & HCR_NV):
            return undefined(pe, el)
        if pe.hcr_el2 & HCR_NV2 and register.vncr >= 0:
            return partial(pe.write_vncr if write else pe.read_vncr, register.vncr)
        return _trap(2, register, write)
    if el == 3 and not pe.el2_enabled and register.name == "ICC_SRE_EL2":
        return undefined(pe, el)
    if register.name == "ICC_SRE_EL2":
        return _physical(pe, register, el, write)
    if write and register.name == "ICH_HCR_EL2":
        return pe.write_ich_hcr
    return _bound(ich, register, write, pe.virtual)


def _physical(pe: PE, register: Register, el: int, write: bool) -> Callable[..., Any]:
    monitored = _MONITORED.get(register.family, 0)
    is_monitored = monitored and monitored & pe.scr_el3 == monitored
    if el < 3 and pe.parameters.security_states == 2 and is_monitored:
        return _trap(3, register, write)
    return _bound(icc, register, write, pe.physical, icc.View(el, pe.is_secure, pe.scr_el3))


def _is_there(pe: PE, register: Register, el: int, write: bool) -> bool:
    """Whether the register is implemented and has the direction."""
    name, parameters = register.name, pe.parameters
    if not register.access & (WRITE if write else READ):
        return False
    if register.family == MONITOR:
        return parameters.security_states == 2
    if name.startswith("ICH_LR"):
        return int(name[6:].partition("_")[0]) < parameters.list_registers
    if name[4:6] == "AP":
        is_virtual = name.startswith("ICH") or _is_virtual(pe, register, el)
        return _has_apr(parameters, int(name[8]), is_virtual)
    return name != "ICC_NMIAR1_EL1" or parameters.nmi


def _has_apr(parameters: Parameters, n: int, is_virtual: bool) -> bool:
    """1, 2 or 4 registers a group with 5, 6 or 7 preemption bits (IHI 0069, 12.4.2)."""
    bits = parameters.virtual_preemption_bits if is_virtual else parameters.physical_preemption_bits
    return n < 1 << max(0, bits - 5)


def undefined(pe: PE, el: int) -> Callable[..., Any]:
    """What raises `Undefined` for an access from EL `el`: taken there, from EL0 to EL1 or EL2."""
    from_host = pe.el2_enabled and pe.hcr_el2 & HCR_TGE
    taken_to = el or (2 if from_host else 1)

    def raise_it(_value: int = 0) -> NoReturn:
        raise Undefined(taken_to)

    return raise_it


def _trap(el: int, register: Register, write: bool) -> Callable[..., Any]:
    def raise_it(_value: int = 0) -> NoReturn:
        raise Trapped(el, register, write)

    return raise_it


def _bound(module: Any, register: Register, write: bool, *first: object) -> Callable[..., Any]:
    """The register's function with the interface, and the view, filled in."""
    table = module.WRITES if write else module.READS
    function = table[register.name]
    if isinstance(function, partial):
        return partial(function.func, *function.args, *first)
    return partial(function, *first)
