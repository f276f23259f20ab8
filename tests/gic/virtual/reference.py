"""A second, naive virtual CPU interface: list registers as named fields, no bit tricks.

Written from the descriptions of the registers (IHI 0069, 12.3 and 12.4) to check the
model against; it knows 5 to 7 preemption bits, no direct injection and no NMIs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SPURIOUS = 1023


@dataclass
class ListRegister:
    """The fields of one list register."""

    pending: bool = False
    active: bool = False
    hw: bool = False
    group: int = 0
    priority: int = 0
    pintid: int = 0
    eoi: bool = False
    vintid: int = 0

    @property
    def live(self) -> bool:
        """Whether State is not 0."""
        return self.pending or self.active


@dataclass
class Reference:
    """The virtual interface, with lists of active (number, group) in place of bit sets."""

    list_registers: int
    priority_bits: int
    preemption_bits: int
    intid_bits: int
    lrs: list[ListRegister] = field(default_factory=list)
    enable: bool = False
    enables: dict[str, bool] = field(default_factory=dict)
    eoicount: int = 0
    pmr: int = 0
    bpr: list[int] = field(default_factory=list)
    cbpr: bool = False
    eoimode: bool = False
    groups: list[bool] = field(default_factory=lambda: [False, False])
    active: set[tuple[int, int]] = field(default_factory=set)
    deactivated: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lrs = [ListRegister() for _ in range(self.list_registers)]
        self.bpr = [7 - self.preemption_bits, 8 - self.preemption_bits]

    # ---- a hypervisor's writes ------------------------------------------------------

    def write_lr(self, n: int, value: int) -> None:
        """Take the fields out of a register value."""
        hw = bool(value >> 61 & 1)
        unimplemented = 8 - self.priority_bits
        self.lrs[n] = ListRegister(
            pending=bool(value >> 62 & 1),
            active=bool(value >> 63 & 1),
            hw=hw,
            group=value >> 60 & 1,
            priority=(value >> 48 & 0xFF) >> unimplemented << unimplemented,
            pintid=value >> 32 & 0x1FFF if hw else 0,
            eoi=not hw and bool(value >> 41 & 1),
            vintid=value % (1 << self.intid_bits),
        )

    def read_lr(self, n: int) -> int:
        """Put the fields together again."""
        lr = self.lrs[n]
        value = lr.vintid + (lr.priority << 48) + (lr.group << 60)
        value += (lr.pending << 62) + (lr.active << 63) + (lr.hw << 61)
        return value + ((lr.pintid << 32) if lr.hw else (lr.eoi << 41))

    def write_hcr(self, value: int) -> None:
        """En, the enables by their names, EOIcount."""
        self.enable = bool(value & 1)
        names = ("U", "LRENP", "NP", "VGrp0E", "VGrp0D", "VGrp1E", "VGrp1D")
        self.enables = {name: bool(value >> 1 + n & 1) for n, name in enumerate(names)}
        self.eoicount = value >> 27 & 31

    def write_bpr(self, group: int, value: int) -> None:
        """The binary point of a group, not below its minimum."""
        self.bpr[group] = max(value, 7 - self.preemption_bits + group)

    # ---- what is derived ------------------------------------------------------------

    def group_priority(self, priority: int, group: int) -> int:
        """The part of a priority that counts for preemption."""
        subpriority_bits = self.bpr[0] + 1 if group == 0 or self.cbpr else self.bpr[1]
        return priority >> subpriority_bits << subpriority_bits

    def best(self) -> ListRegister | None:
        """The highest-priority pending interrupt of the enabled groups, the first of equals."""
        if not self.enable:
            return None
        waiting = [lr for lr in self.lrs if lr.pending and not lr.active and self.groups[lr.group]]
        return min(waiting, key=lambda lr: lr.priority, default=None)

    def running(self) -> int:
        """The running priority."""
        return min((priority for priority, _ in self.active), default=0xFF)

    def signals(self, lr: ListRegister) -> bool:
        """Whether an interrupt gets through mask and running priority."""
        if lr.priority >= self.pmr:
            return False
        running = self.group_priority(self.running(), lr.group)
        return not self.active or self.group_priority(lr.priority, lr.group) < running

    def misr(self) -> dict[str, bool]:
        """ICH_MISR_EL2 by its fields' names."""
        wants = self.enables
        return {
            "EOI": any(not lr.live and not lr.hw and lr.eoi for lr in self.lrs),
            "U": wants["U"] and sum(lr.live for lr in self.lrs) <= 1,
            "LRENP": wants["LRENP"] and self.eoicount > 0,
            "NP": wants["NP"] and all(lr.active or not lr.pending for lr in self.lrs),
            "VGrp0E": wants["VGrp0E"] and self.groups[0],
            "VGrp0D": wants["VGrp0D"] and not self.groups[0],
            "VGrp1E": wants["VGrp1E"] and self.groups[1],
            "VGrp1D": wants["VGrp1D"] and not self.groups[1],
        }

    def eisr(self) -> int:
        """ICH_EISR_EL2."""
        return sum(1 << n for n, lr in enumerate(self.lrs) if not lr.live and not lr.hw and lr.eoi)

    def elrsr(self) -> int:
        """ICH_ELRSR_EL2."""
        return sum(1 << n for n, lr in enumerate(self.lrs) if not lr.live and (lr.hw or not lr.eoi))

    # ---- a guest's accesses ---------------------------------------------------------

    def iar(self, group: int) -> int:
        """ICV_IAR<group>_EL1."""
        lr = self.best()
        if lr is None or lr.group != group or not self.signals(lr):
            return SPURIOUS
        lr.pending, lr.active = False, True
        self.active.add((self.group_priority(lr.priority, group), group))
        return lr.vintid

    def hppir(self, group: int) -> int:
        """ICV_HPPIR<group>_EL1."""
        lr = self.best()
        return SPURIOUS if lr is None or lr.group != group else lr.vintid

    def eoir(self, group: int, intid: int) -> None:
        """ICV_EOIR<group>_EL1."""
        if 1020 <= intid <= 1023 or not self.active:
            return
        dropped = min(self.active)
        self.active.remove(dropped)
        lr = self._held(intid)
        if lr is None:
            if intid < 8192 and not self.eoimode:
                self.eoicount = (self.eoicount + 1) % 32
            return
        matches = lr.group == group and self.group_priority(lr.priority, group) == dropped[0]
        if matches and (intid >= 8192 or not self.eoimode):
            self._deactivate(lr)

    def dir(self, intid: int) -> None:
        """ICV_DIR_EL1."""
        if not self.eoimode or intid >= 8192 or 1020 <= intid <= 1023:
            return
        lr = self._held(intid)
        if lr is None:
            self.eoicount = (self.eoicount + 1) % 32
        else:
            self._deactivate(lr)

    def _held(self, intid: int) -> ListRegister | None:
        return next((lr for lr in self.lrs if lr.active and lr.vintid == intid), None)

    def _deactivate(self, lr: ListRegister) -> None:
        lr.active = False
        if lr.hw:
            self.deactivated.append(lr.pintid)
