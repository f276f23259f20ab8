"""Where the frames of a GICv3 are: the distributor, and the redistributors in their regions.

Linux 6.12, arch/arm64/kvm/vgic/vgic-mmio-v3.c and vgic-v3.c.
"""

from __future__ import annotations

from errno import E2BIG, EBUSY, EEXIST, EINVAL, ENXIO

from nvtrap.kvm.errno import refuse
from nvtrap.kvm.vgic.mmio import Frame
from nvtrap.kvm.vgic.vgic import GICV2, UNDEFINED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vm import Vm

K64 = 0x1_0000
DISTRIBUTOR = K64
REDISTRIBUTOR = 2 * K64
END = 1 << 64


class Region:
    """Redistributors side by side from `base` on.

    `count` is how many have room; 0 is a legacy region, which has room for all. `index`
    is its number, `free_index` the place of the next redistributor in it.
    """

    __slots__ = ("base", "count", "free_index", "index")

    def __init__(self, index: int, base: int, count: int) -> None:
        self.index = index
        self.base = base
        self.count = count
        self.free_index = 0

    def size(self, vm: Vm) -> int:
        """Its size in bytes; a legacy region grows with the vCPUs."""
        return (self.count or len(vm.vcpus)) * REDISTRIBUTOR

    @property
    def is_full(self) -> bool:
        """Whether there is no place left."""
        return self.count != 0 and self.free_index >= self.count


def check_range(vm: Vm, known: int, base: int, alignment: int, size: int) -> None:
    """Check an address that is to be set where `known` is now (vgic_check_iorange).

    Raises `OSError`: EEXIST if it was set, EINVAL for its alignment and for a wrap around
    the end of 64 bits, E2BIG when it leaves the VM's address space.
    """
    if known != UNDEFINED:
        refuse(EEXIST)
    if base % alignment or size % alignment or base + size >= END + (size == 0):
        refuse(EINVAL)
    if base >> vm.ipa_bits or base + size > 1 << vm.ipa_bits:
        refuse(E2BIG)


def add_region(vm: Vm, index: int, base: int, count: int) -> None:
    """Make a region and place in it the vCPUs that have no redistributor yet.

    `count` of 0 makes a legacy region. Raises `OSError` as vgic_v3_set_redist_base.
    """
    vgic = vm.vgic
    size = (count or len(vm.vcpus)) * REDISTRIBUTOR
    if base + size >= END + (size == 0):
        refuse(EINVAL)
    _check_succession(vm, index, count)
    if not count and vgic.dist_base != UNDEFINED and _overlap(base, size, vgic.dist_base):
        refuse(EINVAL)
    if overlaps_a_region(vm, base, size):
        refuse(EINVAL)
    check_range(vm, UNDEFINED, base, K64, size)
    region = Region(index, base, count)
    vgic.regions.append(region)
    try:
        for vcpu in vm.vcpus:
            place(vcpu)
    except OSError:
        for vcpu in vm.vcpus:
            if vcpu.region is region:
                displace(vcpu)
        vgic.regions.remove(region)
        raise


def _check_succession(vm: Vm, index: int, count: int) -> None:
    """Regions come in the order of their index, and legacy ones stand alone."""
    regions = vm.vgic.regions
    if not regions:
        if index != 0:
            refuse(EINVAL)
        return
    last = regions[-1]
    if not count:
        refuse(EINVAL if last.count else EEXIST)
    if index != last.index + 1:
        refuse(EINVAL)


def _overlap(base: int, size: int, other: int, other_size: int = DISTRIBUTOR) -> bool:
    return base + size > other and base < other + other_size


def overlaps_a_region(vm: Vm, base: int, size: int) -> bool:
    """Whether [base, base + size) overlaps with redistributors (vgic_v3_rdist_overlap)."""
    return any(_overlap(base, size, region.base, region.size(vm)) for region in vm.vgic.regions)


def place(vcpu: Vcpu) -> None:
    """Give a vCPU its redistributor in the first region with room; nothing if there is none.

    Raises `OSError` EINVAL when what was set so far does not fit together
    (vgic_register_redist_iodev).
    """
    from nvtrap.kvm.vgic.redist_v3 import REGISTERS

    vm = vcpu.vm
    region = next((region for region in vm.vgic.regions if not region.is_full), None)
    if vcpu.redistributor is not None or region is None:
        return
    if not is_sound(vm):
        refuse(EINVAL)
    base = region.base + region.free_index * REDISTRIBUTOR
    frame = Frame(REGISTERS, base, REDISTRIBUTOR, vcpu)
    vm.bus.register(frame)
    vcpu.redistributor = frame
    vcpu.region, vcpu.region_index = region, region.free_index
    region.free_index += 1


def displace(vcpu: Vcpu) -> None:
    """Take the redistributor away again; its place in the region stays taken."""
    if vcpu.redistributor is not None:
        vcpu.vm.bus.unregister(vcpu.redistributor)
    vcpu.redistributor = None
    vcpu.region = None


def is_sound(vm: Vm) -> bool:
    """Whether the addresses that were set fit together (vgic_v3_check_base)."""
    dist = vm.vgic.dist_base
    if dist != UNDEFINED and dist + DISTRIBUTOR >= END:
        return False
    for region in vm.vgic.regions:
        try:
            check_range(vm, UNDEFINED, region.base, K64, region.size(vm))
        except OSError:
            return False
    return dist == UNDEFINED or not overlaps_a_region(vm, dist, DISTRIBUTOR)


def map_resources(vm: Vm) -> None:
    """At the first run: are the addresses there, and right? Once (kvm_vgic_map_resources).

    Raises `OSError`, and the VM is dead then: ENXIO for an address that is missing,
    EINVAL for those that overlap, EBUSY for a GICv3 that was not initialised.
    """
    if vm.vgic.ready:
        return
    try:
        if vm.vgic.model == GICV2:
            from nvtrap.kvm.vgic.device_v2 import map_resources as map_v2

            map_v2(vm)
        else:
            _map_v3(vm)
    except OSError:
        vm.dead = True
        raise
    vm.vgic.ready = True


def _map_v3(vm: Vm) -> None:
    from nvtrap.kvm.vgic.dist_v3 import REGISTERS

    vgic = vm.vgic
    if any(vcpu.redistributor is None for vcpu in vm.vcpus) or vgic.dist_base == UNDEFINED:
        refuse(ENXIO)
    if not is_sound(vm):
        refuse(EINVAL)
    if not vgic.initialized:
        refuse(EBUSY)
    vm.bus.register(Frame(REGISTERS, vgic.dist_base, DISTRIBUTOR))
