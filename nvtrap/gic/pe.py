"""One PE as the GIC sees it: system-register accesses, interrupt routing, the two interfaces."""

from __future__ import annotations

from functools import partial

from nvtrap.errors import UsageError
from nvtrap.gic import access
from nvtrap.gic.access import (
    HCR_FMO,
    HCR_IMO,
    HCR_NV,
    HCR_NV2,
    HCR_TGE,
    HCR_VF,
    HCR_VI,
    SCR_EEL2,
    SCR_FIQ,
    SCR_IRQ,
    SCR_NS,
)
from nvtrap.gic.registers import REGISTERS
from nvtrap.gic.virtual import ich, maintenance
from nvtrap.gic.virtual.interface import VirtualInterface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from nvtrap.arch.memory import Memory
    from nvtrap.gic.parameters import Parameters
    from nvtrap.gic.physical.interface import PhysicalInterface

    Read = Callable[[], int]
    Write = Callable[[int], None]

# ISR_EL1: what is pending (DDI 0487, D24.2.82).
ISR_F, ISR_I = 1 << 6, 1 << 7
SCTLR_NMI = 1 << 61
_64_BITS = (1 << 64) - 1
# The bits of HCR_EL2 and SCR_EL3 on which hangs what an access reaches.
_ROUTING_HCR = HCR_FMO | HCR_IMO | HCR_TGE | HCR_NV | HCR_NV2
_ROUTING_SCR = SCR_NS | SCR_IRQ | SCR_FIQ | SCR_EEL2
_VNCR_BADDR = ((1 << 57) - 1) & ~0xFFF


class PE:
    """Registers of a PE that reach the GIC, and its physical and virtual interfaces.

    `index` is the PE's number in the machine. `mrs` and `msr` are the instructions; the
    attributes `hcr_el2`, `scr_el3` and `vncr_el2` are the registers' values.
    """

    __slots__ = (
        "_memory",
        "_reads",
        "_writes",
        "hcr_el2",
        "index",
        "parameters",
        "physical",
        "scr_el3",
        "sctlr",
        "virtual",
        "vncr_el2",
    )

    def __init__(
        self, parameters: Parameters, index: int, physical: PhysicalInterface, memory: Memory
    ) -> None:
        self.parameters = parameters
        self.index = index
        self.physical = physical
        self.virtual = VirtualInterface(parameters, physical.deactivate_by_hardware)
        self._memory = memory
        self.hcr_el2 = self.scr_el3 = self.vncr_el2 = 0
        self.sctlr = [0, 0, 0, 0]  # SCTLR_EL1 to SCTLR_EL3, by EL
        self._forget()

    def _forget(self) -> None:
        """Accesses are resolved anew: something on which they hang has changed."""
        self._reads: dict[int, dict[str | int, Read]] = {0: {}, 1: {}, 2: {}, 3: {}}
        self._writes: dict[int, dict[str | int, Write]] = {0: {}, 1: {}, 2: {}, 3: {}}

    @staticmethod
    def has(register: str) -> bool:
        """Whether `register` names one that the GIC or its routing has; others are not here."""
        return register in REGISTERS or register in _OWN

    # ---- instructions ---------------------------------------------------------------

    def mrs(self, register: str | int, el: int) -> int:
        """Read a system register, by name or encoding, from EL `el` (0..3); 64 bits.

        Raises `access.Undefined` or `access.Trapped` when the architecture takes an
        exception, `UsageError` for an EL or a register that is not there to ask about.
        """
        try:
            read = self._reads[el][register]
        except (KeyError, TypeError):
            read = self._resolve(register, el, False)
            self._reads[el][register] = read
        return read()

    def peek(self, register: str, el: int) -> int | None:
        """What `mrs` reads; None where it would end in an exception."""
        try:
            return self.mrs(register, el)
        except access.ExceptionTaken:
            return None

    def msr(self, register: str | int, el: int, value: int) -> None:
        """Write 64 bits to a system register; what they exceed is cut off. Raises as `mrs` does."""
        try:
            write = self._writes[el][register]
        except (KeyError, TypeError):
            write = self._resolve(register, el, True)
            self._writes[el][register] = write
        write(value)

    def _resolve(self, register: str | int, el: int, write: bool) -> Callable[..., Any]:
        if type(el) is not int or not 0 <= el <= 3:
            raise UsageError(f"`{el!r:.20}` is no EL, they go from 0 to 3")
        if el == 3 and self.parameters.security_states == 1:
            raise UsageError("there is no EL3 with one security state")
        if isinstance(register, str) and register in _OWN:
            return self._own(register, el, write)
        return access.resolve(self, register, el, write)

    def _own(self, register: str, el: int, write: bool) -> Callable[..., Any]:
        lowest, read_it, write_it = _OWN[register]
        if el < lowest or (write and write_it is None):
            return access.undefined(self, el)
        return partial(write_it, self) if write and write_it else partial(read_it, self, el)

    # ---- routing --------------------------------------------------------------------

    @property
    def el2_enabled(self) -> bool:
        """Whether EL2 is enabled in the security state of EL1 and EL0."""
        if self.parameters.security_states == 1:
            return True
        return bool(self.scr_el3 & (SCR_NS | SCR_EEL2))

    @property
    def is_secure(self) -> bool:
        """Whether banked registers are those of Secure state: SCR_EL3.NS is 0, at EL3 as well."""
        return self.parameters.security_states == 2 and not self.scr_el3 & SCR_NS

    def write_hcr(self, value: int) -> None:
        """Write HCR_EL2."""
        value &= _64_BITS
        if (value ^ self.hcr_el2) & _ROUTING_HCR:
            self._forget()
        self.hcr_el2 = value

    def write_scr(self, value: int) -> None:
        """Write SCR_EL3."""
        value &= _64_BITS
        if (value ^ self.scr_el3) & _ROUTING_SCR:
            self._forget()
        self.scr_el3 = value

    def write_ich_hcr(self, value: int) -> None:
        """Write ICH_HCR_EL2, whose trap bits decide what becomes of other accesses."""
        before = self.virtual.hcr
        ich.WRITES["ICH_HCR_EL2"](self.virtual, value)
        if (before ^ self.virtual.hcr) & access.TRAP_BITS:
            self._forget()

    def write_sctlr(self, el: int, value: int) -> None:
        """Write SCTLR_EL<el>, of which the GIC looks at NMI, bit 61 (FEAT_NMI)."""
        self.sctlr[el] = value & _64_BITS
        self._take_nmis()

    def _take_nmis(self) -> None:
        has = self.parameters.nmi
        levels = sum(1 << el for el in (1, 2, 3) if has and self.sctlr[el] & SCTLR_NMI)
        self.physical.nmi_levels = levels
        self.virtual.nmi_enabled = bool(levels & 1 << 1)

    def read_vncr(self, offset: int) -> int:
        """The doubleword at VNCR_EL2 + `offset`, to which NV2 redirects a register's reads."""
        return self._memory.read((self.vncr_el2 & _VNCR_BADDR) + offset, 8)

    def write_vncr(self, offset: int, value: int) -> None:
        """Store the doubleword at VNCR_EL2 + `offset`."""
        self._memory.write((self.vncr_el2 & _VNCR_BADDR) + offset, 8, value)

    # ---- interrupts -----------------------------------------------------------------

    def maintenance(self) -> bool:
        """Whether the maintenance interrupt's line is high."""
        return maintenance.signalled(self.virtual)

    def isr(self, el: int) -> int:
        """ISR_EL1 as EL `el` reads it: bit 7 an IRQ, bit 6 a FIQ is pending.

        At EL1 with HCR_EL2.IMO or FMO set that interrupt is the virtual one, which
        HCR_EL2.VI and VF also make pending.
        """
        irq, fiq = self.physical.signalled(el, self.is_secure)
        if el == 1 and self.el2_enabled and self.hcr_el2 & (HCR_IMO | HCR_FMO):
            virtual_irq, virtual_fiq = self.virtual.signalled()
            if self.hcr_el2 & HCR_IMO:
                irq = virtual_irq or bool(self.hcr_el2 & HCR_VI)
            if self.hcr_el2 & HCR_FMO:
                fiq = virtual_fiq or bool(self.hcr_el2 & HCR_VF)
        return (ISR_I if irq else 0) | (ISR_F if fiq else 0)

    # ---- snapshots ------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that changes, as plain data; the physical interface too."""
        return {
            "hcr_el2": self.hcr_el2,
            "scr_el3": self.scr_el3,
            "vncr_el2": self.vncr_el2,
            "sctlr": list(self.sctlr),
            "virtual": self.virtual.state(),
            "physical": self.physical.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` gave."""
        for name in ("hcr_el2", "scr_el3", "vncr_el2"):
            setattr(self, name, state[name] & _64_BITS)
        self.sctlr = [state["sctlr"][el] & _64_BITS for el in range(4)]
        self.virtual.load(state["virtual"])
        self.physical.load(state["physical"])
        self._forget()


def _read_hcr(pe: PE, _el: int) -> int:
    return pe.hcr_el2


def _read_scr(pe: PE, _el: int) -> int:
    return pe.scr_el3


def _read_vncr(pe: PE, _el: int) -> int:
    return pe.vncr_el2


def _write_vncr(pe: PE, value: int) -> None:
    pe.vncr_el2 = value & _64_BITS


def _read_sctlr(level: int, pe: PE, _el: int) -> int:
    return pe.sctlr[level]


def _write_sctlr(level: int, pe: PE, value: int) -> None:
    pe.write_sctlr(level, value)


# Registers of the PE that belong to no GIC: (lowest EL, read from an EL, write).
_OWN: dict[str, tuple[int, Callable[[PE, int], int], Callable[[PE, int], None] | None]] = {
    "HCR_EL2": (2, _read_hcr, PE.write_hcr),
    "SCR_EL3": (3, _read_scr, PE.write_scr),
    "VNCR_EL2": (2, _read_vncr, _write_vncr),
    "ISR_EL1": (1, PE.isr, None),
    **{f"SCTLR_EL{n}": (n, partial(_read_sctlr, n), partial(_write_sctlr, n)) for n in (1, 2, 3)},
}
