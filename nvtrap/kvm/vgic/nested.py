"""The nested VGIC: L1's list registers become L2's, by way of a shadow.

Linux, arch/arm64/kvm/vgic/vgic-v3-nested.c, in the two forms it has had. While L2 runs,
L1's ICH_* registers in its VNCR page are the source; loading L2 packs the live list
registers into a shadow and puts the host's interrupt in place of L1's where HW is set,
and what L2 did goes back to the page when L2 is put (to 6.18) or at every exit (since 6.19).
"""

from __future__ import annotations

from nvtrap.gic.virtual import lr as lrs
from nvtrap.gic.virtual.interface import HCR_EN, HCR_EOICOUNT
from nvtrap.gic.virtual.maintenance import (
    EOI,
    LRENP,
    LRENPIE,
    NP,
    NPIE,
    UIE,
    VGRP0DIE,
    VGRP0EIE,
    VGRP1DIE,
    VGRP1EIE,
    U,
    eisr,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping
    from typing import Protocol

    Registers = MutableMapping[str, int]

    class Mapping(Protocol):
        """How an interrupt of L1 is backed by the host."""

        @property
        def is_mapped(self) -> bool:
            """Whether a host interrupt stands behind it."""
            ...

        @property
        def host_intid(self) -> int:
            """Which one; 0 where there is none."""
            ...

        def deactivate(self) -> bool:
            """Clear the active state of L1's interrupt; whether it was active."""
            ...


# When L1's memory is brought up to date: when L2 is put, or at every exit from it.
AT_PUT = "put"
AT_EXIT = "exit"
FIRST_AT_EXIT = (6, 19)

_32_BITS = 0xFFFF_FFFF
# The kernel's field of pINTID has ten bits; the architecture's has three more above it.
PINTID_TEN_BITS = 0x3FF << lrs.PINTID_SHIFT
LAST_HW_INTID = 1019
VENG0, VENG1 = 1 << 0, 1 << 1
_ENABLES = 0xFE  # of the maintenance interrupts but EOI's, which has none
_LRS = tuple(f"ICH_LR{n}_EL2" for n in range(16))
_APRS = [tuple(f"ICH_AP{group}R{n}_EL2" for n in range(4)) for group in (0, 1)]


def writes_back_at(version: tuple[int, int]) -> str:
    """`AT_PUT` or `AT_EXIT`: what a kernel (major, minor) does."""
    return AT_EXIT if version >= FIRST_AT_EXIT else AT_PUT


def lr_name(n: int) -> str:
    """The name of L1's list register n (0..15)."""
    return _LRS[n]


# ---- what L1 reads of it ----------------------------------------------------------


def list_registers(l1: Registers, count: int) -> list[int]:
    """L1's `count` list registers as they lie in its memory."""
    return [l1[name] for name in _LRS[:count]]


def nested_elrsr(values: Iterable[int]) -> int:
    """ICH_ELRSR_EL2 as the kernel builds it: State is 0, whether or not an EOI is requested.

    The architecture leaves the latter out (see `nvtrap.gic.virtual.maintenance.elrsr`).
    """
    return sum(1 << n for n, lr in enumerate(values) if not lr & lrs.STATE)


def nested_misr(l1: Registers, count: int) -> int:
    """ICH_MISR_EL2 as the kernel builds it from L1's memory.

    It takes a list register that is pending and active for a pending one, where the
    architecture's silicon (`nvtrap.gic.virtual.maintenance.misr`) does not.
    """
    values = list_registers(l1, count)
    hcr, vmcr = l1["ICH_HCR_EL2"], l1["ICH_VMCR_EL2"]
    misr = EOI if eisr(values) else 0
    if hcr & UIE and sum(lr & lrs.STATE != 0 for lr in values) < 2:
        misr |= U
    if hcr & LRENPIE and hcr & HCR_EOICOUNT:
        misr |= LRENP
    if hcr & NPIE and not any(lr & lrs.PENDING_BIT for lr in values):
        misr |= NP
    misr |= hcr & (VGRP0EIE if vmcr & VENG0 else VGRP0DIE)
    misr |= hcr & (VGRP1EIE if vmcr & VENG1 else VGRP1DIE)
    return misr


def maintenance_level(l1: Registers, count: int) -> bool:
    """L1's maintenance interrupt: a line of its own, not the host's."""
    hcr = l1["ICH_HCR_EL2"]
    if not hcr & HCR_EN:
        return False
    if hcr & _ENABLES:
        return nested_misr(l1, count) != 0
    # EOIs ask by themselves; this is computed at every entry and exit.
    return any(lrs.requests_eoi(lr) for lr in list_registers(l1, count) if lr & lrs.EOI)


# ---- L2's list registers ----------------------------------------------------------


class NestedVgic:
    """What the host keeps for one vCPU while its L2 runs, one shadow per physical CPU.

    `l1` are L1's ICH_* registers by name, in its memory; `hardware` those of the CPU, by
    name. `lookup` finds the interrupt of L1 that a pINTID names, or None. `lr_map` is
    the set of L1's list registers that are loaded, `loaded` the same in the order in which
    the hardware has them, `shadow` their packed copies.
    """

    __slots__ = (
        "_cut",
        "apr_count",
        "aprs",
        "count",
        "hardware",
        "hcr",
        "host_traps",
        "l1",
        "loaded",
        "lookup",
        "lr_map",
        "shadow",
        "vmcr",
        "warnings",
        "writes_back",
    )

    def __init__(
        self,
        l1: Registers,
        hardware: Registers,
        lookup: Callable[[int], Mapping | None],
        *,
        count: int = 4,
        apr_count: int = 1,
        writes_back: str = AT_PUT,
        host_traps: int = 0,
    ) -> None:
        self.l1 = l1
        self.hardware = hardware
        self.lookup = lookup
        self.count = count
        self.apr_count = apr_count
        self.writes_back = writes_back
        self.host_traps = host_traps
        self.lr_map = self.hcr = self.vmcr = self.warnings = 0
        self.loaded: list[int] = []
        self.shadow: list[int] = []
        self.aprs: dict[str, int] = {}
        # Whether an active-priority register of L1's had more than its 32 bits.
        self._cut = False

    def load(self) -> None:
        """L2 is to run on this CPU: make the shadow and load it."""
        self._make_shadow()
        hardware = self.hardware
        hardware["ICH_VMCR_EL2"] = self.vmcr
        for names in _APRS:
            for name in names[: self.apr_count]:
                hardware[name] = self.aprs[name]
        used = len(self.shadow)
        for n, name in enumerate(_LRS[: self.count]):
            hardware[name] = self.shadow[n] if n < used else 0
        if self.writes_back == AT_PUT and (self.shadow or self.host_traps):
            hardware["ICH_HCR_EL2"] = self.hcr

    def _make_shadow(self) -> None:
        l1 = self.l1
        self.lr_map = 0
        self.loaded = []
        self.shadow = []
        for n, lr in enumerate(list_registers(l1, self.count)):
            if lr & lrs.STATE:
                self.lr_map |= 1 << n
                self.loaded.append(n)
                self.shadow.append(self._translated(lr))
        self.hcr = l1["ICH_HCR_EL2"] & _32_BITS
        if self.writes_back == AT_PUT:
            self.hcr |= self.host_traps
        self.vmcr = l1["ICH_VMCR_EL2"] & _32_BITS
        self.aprs = {name: l1[name] for names in _APRS for name in names}
        self._cut = max(self.aprs.values()) > _32_BITS
        if self._cut:
            self.aprs = {name: value & _32_BITS for name, value in self.aprs.items()}

    def _translated(self, lr: int) -> int:
        """L1's list register with the host's interrupt in place of L1's.

        HW goes when there is no such interrupt or the host has none behind it; then bit
        41 of a pINTID that stayed asks for an EOI maintenance interrupt.
        """
        if not lr & lrs.HW:
            return lr
        pintid = (lr & PINTID_TEN_BITS) >> lrs.PINTID_SHIFT
        mapping = self.lookup(pintid)
        if mapping is None:
            return lr & ~lrs.HW
        if not mapping.is_mapped or pintid > LAST_HW_INTID:
            lr &= ~lrs.HW
        host = mapping.host_intid << lrs.PINTID_SHIFT & PINTID_TEN_BITS
        return lr & ~PINTID_TEN_BITS | host

    def enter(self) -> None:
        """L2 is entered: since 6.19 ICH_HCR_EL2 is written each time, with the host's traps."""
        if self.writes_back == AT_EXIT:
            self.hardware["ICH_HCR_EL2"] = self.hcr | self.host_traps

    def sync(self) -> list[int]:
        """L2 has exited: emulate L1's HW bits; the L1 interrupts that became inactive.

        Since 6.19 states, VMCR and EOIcount go back to L1's memory as well, and the
        hardware is turned off.
        """
        deactivated = []
        at_exit = self.writes_back == AT_EXIT
        for place, n in enumerate(self.loaded):
            before = self.l1[_LRS[n]]
            is_live_hw = before & lrs.HW and before & lrs.STATE
            if not (is_live_hw or at_exit):
                continue
            after = self.hardware[_LRS[place]]
            if is_live_hw:
                deactivated += self._emulate_hw(before, after)
            if at_exit:
                self._write_back_state(n, after)
                self.shadow[place] = after
        if self.writes_back == AT_EXIT:
            self.vmcr = self.l1["ICH_VMCR_EL2"] = self.hardware["ICH_VMCR_EL2"] & _32_BITS
            self._write_back_eoicount(self.hardware["ICH_HCR_EL2"])
            self.hardware["ICH_HCR_EL2"] = 0
        return sorted(deactivated)

    def _emulate_hw(self, before: int, after: int) -> list[int]:
        """What hardware did to the host's interrupt, if it ended, is done to L1's."""
        pintid = (before & PINTID_TEN_BITS) >> lrs.PINTID_SHIFT
        mapping = self.lookup(pintid)
        if mapping is None:
            self.warnings += 1
            return []
        return [pintid] if not after & lrs.STATE and mapping.deactivate() else []

    def _write_back_state(self, n: int, hardware: int) -> None:
        """Only the state: HW, pINTID, EOI and priority stay L1's."""
        name = _LRS[n]
        self.l1[name] = self.l1[name] & ~lrs.STATE | hardware & lrs.STATE

    def _write_back_eoicount(self, hcr: int) -> None:
        own = self.l1["ICH_HCR_EL2"] & ~HCR_EOICOUNT
        self.l1["ICH_HCR_EL2"] = own | hcr & HCR_EOICOUNT
        self.hcr = self.hcr & ~HCR_EOICOUNT | hcr & HCR_EOICOUNT

    def put(self) -> None:
        """L2 leaves this CPU: the inverse of `load`."""
        hardware, l1 = self.hardware, self.l1
        used = len(self.shadow)
        for names in _APRS:
            for name in names[: self.apr_count]:
                l1[name] = hardware[name] & _32_BITS
            if self._cut:
                for name in names[self.apr_count :]:
                    l1[name] = self.aprs[name]
        if self.writes_back == AT_PUT:
            l1["ICH_VMCR_EL2"] = hardware["ICH_VMCR_EL2"] & _32_BITS
            self._put_eoicount()
            for place, n in enumerate(self.loaded):
                self._write_back_state(n, hardware[_LRS[place]])
            hardware["ICH_HCR_EL2"] = self.hcr & ~HCR_EN if used else 0
        for place in range(used):
            hardware[_LRS[place]] = 0
        self.lr_map = 0
        self.loaded = []
        self.shadow = []

    def _put_eoicount(self) -> None:
        """The count that L2 added is lost: up to 6.18 nothing brings it into the shadow.

        The copy from the shadow, which has what was loaded, drops bits above 31 of L1's value.
        """
        own = self.l1["ICH_HCR_EL2"]
        put = own & _32_BITS & ~HCR_EOICOUNT | self.hcr & HCR_EOICOUNT
        if put != own:
            self.l1["ICH_HCR_EL2"] = put

    def take_host_maintenance(self, hardware_misr: int) -> bool:
        """The host's own maintenance interrupt fires while L2 runs; L1's line after it.

        The hardware is turned off, so that the interrupt does not fire again at once.
        """
        self.hardware["ICH_HCR_EL2"] = self.hardware["ICH_HCR_EL2"] & ~HCR_EN
        return hardware_misr != 0
