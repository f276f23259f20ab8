"""GICC of a GICv2 guest: the hardware's GICV, mapped where the guest expects its CPU interface.

KVM maps the two pages at the first run (vgic_v2_map_resources of Linux 6.12,
arch/arm64/kvm/vgic/vgic-v2.c), so that no access to them leaves the guest.
"""

from __future__ import annotations

from nvtrap.gic.v2.interface import FRAME
from nvtrap.kvm.vgic.vgic import GICV2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.kvm.vcpu import Vcpu
    from nvtrap.kvm.vgic.vgic import Vgic

WORD = 4


def is_mapped_at(vgic: Vgic, address: int) -> bool:
    """Whether a guest's access at this physical address reaches GICV."""
    return vgic.model == GICV2 and vgic.ready and vgic.cpu_base <= address < vgic.cpu_base + FRAME


def read(vcpu: Vcpu, address: int, size: int) -> int:
    """The guest loads `size` bytes (1, 2, 4, 8).

    The bus is 32 bits wide: 8 bytes are two accesses, less than 4 are the low part of
    the register that starts there. Registers start at multiples of 4.
    """
    interface = vcpu.lists.interface
    offset = address - vcpu.vgic.cpu_base
    value: int = interface.read(offset)
    if size > WORD:
        value |= interface.read(offset + WORD) << 32
    return value & (1 << 8 * size) - 1


def write(vcpu: Vcpu, address: int, size: int, value: int) -> None:
    """The guest stores `size` bytes, in the same way."""
    interface = vcpu.lists.interface
    offset = address - vcpu.vgic.cpu_base
    interface.write(offset, value & 0xFFFF_FFFF)
    if size > WORD:
        interface.write(offset + WORD, value >> 32 & 0xFFFF_FFFF)
