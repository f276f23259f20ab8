"""VMIDs of VMs, handed out by generations (arch/arm64/kvm/vmid.c of Linux 6.12).

A VM's id is its generation and its VMID in one number: `generation << bits | VMID`. When
no VMID is left, the generation goes up by one and all TLBs are flushed once; a VM that was
active on a CPU at that moment keeps its VMID, any other gets one when it next runs.
"""

from __future__ import annotations

from nvtrap.errors import UsageError

MOST_BITS = 16  # VTTBR_EL2.VMID, DDI 0487
_TAKEN = 1


class Vmid:
    """What a VM holds of the allocator: its id, 0 as long as it never ran."""

    __slots__ = ("id",)

    def __init__(self) -> None:
        self.id = 0


class VmidAllocator:
    """The VMIDs of one machine with `cpus` CPUs and `bits` bits in a VMID.

    Raises `UsageError` when there are not more VMIDs than CPUs.
    """

    __slots__ = ("_bits", "_cursor", "_first", "_generation", "_taken", "active", "reserved")

    def __init__(self, bits: int, cpus: int) -> None:
        if not 1 <= bits <= MOST_BITS:
            raise UsageError(f"a VMID has {bits} bits, it has from 1 to {MOST_BITS}")
        if not 1 <= cpus < (1 << bits) - 1:
            raise UsageError(f"{cpus} CPUs do not fit {bits}-bit VMIDs")
        self._bits = bits
        self._first = 1 << bits
        self._generation = self._first
        self._taken = bytearray(self._first)
        self._cursor = 1
        self.active = [0] * cpus
        """The id that each CPU runs under; 0 after a rollover."""
        self.reserved = [0] * cpus
        """The id of each CPU that outlived the last rollover."""

    def split(self, vm: Vmid) -> tuple[int, int]:
        """(VMID, generation) of a VM."""
        return vm.id & self._first - 1, vm.id >> self._bits

    def update(self, vm: Vmid, cpu: int) -> bool:
        """Give `vm`, which enters on `cpu`, an id of this generation; true on a rollover.

        The kernel's fast path, for a CPU that is active, comes to the same without the
        lock.
        """
        rolled = False
        if (vm.id ^ self._generation) >> self._bits:
            rolled = self._renew(vm)
        self.active[cpu] = vm.id
        return rolled

    def clear_active(self, cpu: int) -> None:
        """No vCPU runs on `cpu` any more.

        It holds no VMID over a rollover then, but is not 0: an older reservation ends.
        """
        self.active[cpu] = self._first

    def _renew(self, vm: Vmid) -> bool:
        number = vm.id & self._first - 1
        if vm.id:
            again = self._generation | number
            if self._move_reservation(vm.id, again) or not self._taken[number]:
                self._taken[number] = _TAKEN
                vm.id = again
                return False
        number = self._taken.find(0, self._cursor)
        rolled = number < 0
        if rolled:
            self._roll_over()
            number = self._taken.find(0, 1)
        self._taken[number] = _TAKEN
        self._cursor = number
        vm.id = self._generation | number
        return rolled

    def _move_reservation(self, old: int, new: int) -> bool:
        """Every CPU that reserves `old` reserves `new` from now on; whether there was one."""
        if old not in self.reserved:
            return False
        self.reserved = [new if kept == old else kept for kept in self.reserved]
        return True

    def _roll_over(self) -> None:
        self._generation += self._first
        self._taken = bytearray(self._first)
        for cpu, active in enumerate(self.active):
            kept = active or self.reserved[cpu]
            self.reserved[cpu] = kept
            self._taken[kept & self._first - 1] = _TAKEN
        self.active = [0] * len(self.active)
