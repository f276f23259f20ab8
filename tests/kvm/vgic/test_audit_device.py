"""What an audit against the kernel's functions looked at: orders of checks, frames, the bus.

Each case is steps as in recorded cases, and names the function of Linux 6.12 that decides.
"""

from __future__ import annotations

from errno import ENXIO
from typing import Any

import pytest

from nvtrap.conform.vgic_api import judge
from nvtrap.gic.parameters import USUAL
from nvtrap.kvm.host import Host
from nvtrap.kvm.vgic.device import Control, Device, Group
from nvtrap.kvm.vm import DeviceType, Vm
from tests.kvm.vgic.machines import GICD, GICR

Step = dict[str, Any]


def vm(*vcpus: int) -> Step:
    """A VM with these vCPUs."""
    return {"do": "create_vm", "vcpus": list(vcpus)}


def create(type: str, expect: Any = 0, name: str = "gic") -> Step:
    """KVM_CREATE_DEVICE."""
    return {"do": "create_device", "type": type, "name": name, "expect": expect}


def attr(do: str, group: str, attr: int, expect: Any = 0, dev: str = "gic", **more: Any) -> Step:
    """An attribute is set, got or asked for; `more` has numbers, or bad_pointer=True."""
    step = {"do": f"{do}_attr", "dev": dev, "group": group, "attr": hex(attr), "expect": expect}
    return step | {key: it if it is True else hex(it) for key, it in more.items()}


def ready(*vcpus: int) -> list[Step]:
    """A GICv3 that is initialised and has its addresses, with an ITS that has none."""
    return [
        vm(*vcpus),
        create("vgic_v3"),
        create("its", name="its"),
        attr("set", "NR_IRQS", 0, value=64),
        attr("set", "CTRL", Control.INIT),
        attr("set", "ADDR", 2, value=GICD),
        attr("set", "ADDR", 3, value=GICR),
    ]


def place_its(address: int, its: str = "its") -> Step:
    """An ITS gets its address."""
    return attr("set", "ADDR", 4, dev=its, value=address)


def load(address: int, expect: int) -> Step:
    """The guest loads a word."""
    where = {"vcpu": 0, "op": "mmio_r", "addr": hex(address), "size": 4}
    return {"do": "guest", **where, "expect": hex(expect)}


def run(id: int) -> Step:
    """KVM_RUN."""
    return {"do": "run_vcpu", "id": id, "expect": 0}


GICD_CTLR_VALUE, GITS_IIDR_VALUE = 0x50, 0x4B00_043B

CASES: list[tuple[str, str, list[Step]]] = [
    (
        "two ITSs at one address: the one that was placed first answers",
        "kvm_io_bus_register_dev",
        [
            *ready(0),
            create("its", name="other"),
            place_its(0x0808_0000),
            place_its(0x0808_0000, "other"),
            attr("set", "ITS_REGS", 0x80, dev="its", value=0x11),
            attr("set", "ITS_REGS", 0x80, dev="other", value=0x22),
            load(0x0808_0080, 0x11),
        ],
    ),
    (
        "an ITS that begins below the distributor hides it",
        "kvm_io_bus_get_first_dev",
        [
            *ready(0),
            place_its(GICD - 0x1_0000),
            load(GICD, 0),
            load(GICD - 0xFFFC, GITS_IIDR_VALUE),
        ],
    ),
    (
        "unless it was placed after the first run and covers it whole",
        "kvm_io_bus_register_dev",
        [
            *ready(0),
            run(0),
            place_its(GICD - 0x1_0000),
            load(GICD, GICD_CTLR_VALUE),
            load(GICD - 0xFFFC, GITS_IIDR_VALUE),
        ],
    ),
    (
        "of two that begin at one address the shorter answers",
        "kvm_io_bus_register_dev",
        [*ready(0), run(0), place_its(GICD), load(GICD, GICD_CTLR_VALUE)],
    ),
    (
        "the pointer is followed before the attribute is looked at",
        "kvm_vgic_addr",
        [
            *ready(0),
            attr("set", "ADDR", 77, "EFAULT", bad_pointer=True),
            attr("get", "ADDR", 77, "ENXIO", bad_pointer=True),
            attr("get", "ADDR", 5, "EFAULT", bad_pointer=True),
        ],
    ),
    (
        "a system register's value is read after the vCPUs are locked, others' before",
        "vgic_v3_attr_regs_access",
        [
            *ready(0),
            run(0),
            {"do": "vcpu_enter", "id": 0},
            attr("set", "CPU_SYSREGS", 0xC230, "EBUSY", bad_pointer=True),
            attr("set", "CPU_SYSREGS", 0xFFFF, "EBUSY", value=0),
            attr("set", "DIST_REGS", 0, "EFAULT", bad_pointer=True),
            attr("get", "DIST_REGS", 0, "EBUSY", bad_pointer=True),
            attr("get", "REDIST_REGS", 1 << 32, "EINVAL"),
            attr("set", "CTRL", Control.SAVE_PENDING_TABLES, "EBUSY"),
            {"do": "vcpu_leave", "id": 0},
            attr("set", "CPU_SYSREGS", 0xFFFF, "EFAULT", bad_pointer=True),
            attr("set", "CPU_SYSREGS", 0xFFFF, "ENOENT", value=0),
        ],
    ),
    (
        "levels: initialised first, then what is asked for, then the INTID",
        "vgic_v3_attr_regs_access",
        [
            vm(0),
            create("vgic_v3"),
            attr("get", "LEVEL_INFO", 1 << 10 | 3, "EBUSY"),
            attr("set", "CTRL", Control.INIT),
            attr("get", "LEVEL_INFO", 1 << 10, "EINVAL"),
            attr("get", "LEVEL_INFO", 33, "EINVAL"),
            attr("has", "LEVEL_INFO", 33),
            attr("has", "LEVEL_INFO", 1 << 10, "ENXIO"),
            attr("get", "LEVEL_INFO", 992, value_out=0),
        ],
    ),
    (
        "a vCPU that is refused keeps its place among the redistributors",
        "vgic_register_redist_iodev",
        [
            vm(0),
            create("vgic_v3"),
            attr("set", "ADDR", 5, value=3 << 52 | GICR),
            {"do": "add_vcpu", "id": 0, "expect": "EEXIST"},
            {"do": "add_vcpu", "id": 1, "expect": 0},
            attr("set", "CTRL", Control.INIT),
            attr("get", "REDIST_REGS", 8, value_out=0),
            attr("get", "REDIST_REGS", 1 << 32 | 8, value_out=0x110),
        ],
    ),
    (
        "an ITS register: alignment, vCPUs, address, register",
        "vgic_its_attr_regs_access",
        [
            *ready(0),
            attr("get", "ITS_REGS", 0x44, "EINVAL", dev="its"),
            attr("get", "ITS_REGS", 0x40, "ENXIO", dev="its"),
            attr("get", "ITS_REGS", 0x80, "ENXIO", dev="its"),
            {"do": "vcpu_enter", "id": 0},
            attr("get", "ITS_REGS", 0x44, "EINVAL", dev="its"),
            attr("get", "ITS_REGS", 0x40, "EBUSY", dev="its"),
            attr("set", "CTRL", 77, "EBUSY", dev="its"),
            {"do": "vcpu_leave", "id": 0},
            attr("set", "CTRL", 77, 0, dev="its"),
        ],
    ),
    (
        "a refused GICv2 leaves its limit of vCPUs behind, until a GICv3 is made",
        "kvm_vgic_create",
        [
            vm(*range(9)),
            create("vgic_v2", "E2BIG"),
            {"do": "add_vcpu", "id": 9, "expect": "EINVAL"},
            create("vgic_v3"),
            {"do": "add_vcpu", "id": 9, "expect": 0},
        ],
    ),
]


@pytest.mark.parametrize(("name", "function", "steps"), CASES, ids=[case[0] for case in CASES])
def test_the_kernel_decides_so(name: str, function: str, steps: list[Step]) -> None:
    """Every step of a case gives what the named function makes it give."""
    score = judge({"id": name, "host": "gicv3", "needs": ["v2_compat"], "steps": steps})
    assert score.problem == "", f"{function}: {score.problem}"


# The tables of registers of vgic-mmio-v3.c and vgic-mmio-v2.c: offset, length in bytes, and
# the bits that an array has for each INTID.
BITMAPS = [(offset, 0x80, 1) for offset in range(0x080, 0x400, 0x80)]
COMMON = [*BITMAPS, (0x400, 0x400, 8), (0x800, 0x400, 8), (0xC00, 0x100, 2)]
IN_SGI_BASE = [(offset, 4, 0) for offset in (*range(0x080, 0x400, 0x80), 0xD00, 0xE00)]
FRAMES = {
    "v3 distributor": (
        DeviceType.VGIC_V3,
        Group.DIST_REGS,
        [(0, 0x14, 0), *COMMON, (0xD00, 0x80, 1), (0x6000, 0x2000, 64), (0xFFD0, 0x30, 0)],
    ),
    "redistributor": (
        DeviceType.VGIC_V3,
        Group.REDIST_REGS,
        [(0, 0x10, 0), (0x14, 4, 0), (0x70, 0x10, 0), (0xA0, 8, 0), (0xB0, 8, 0), (0xC0, 4, 0)]
        + [(0xFFD0, 0x30, 0)]
        + [
            (0x1_0000 + offset, length, bits)
            for offset, length, bits in [*IN_SGI_BASE, (0x400, 32, 0), (0xC00, 8, 0)]
        ],
    ),
    "v2 distributor": (
        DeviceType.VGIC_V2,
        Group.DIST_REGS,
        [(0, 12, 0), *COMMON, (0xF00, 4, 0), (0xF10, 0x20, 0)],
    ),
    "v2 CPU interface": (
        DeviceType.VGIC_V2,
        Group.CPU_REGS,
        [(0, 12, 0), (0x1C, 4, 0), (0xD0, 16, 0), (0xFC, 4, 0)],
    ),
}


def is_there(table: list[tuple[int, int, int]], offset: int, irqs: int) -> bool:
    """Whether 32 bits can be accessed there (vgic_get_mmio_region)."""
    for start, length, bits in table:
        if start <= offset < start + length:
            return offset % 4 == 0 and (not bits or (offset - start) * 8 // bits < irqs)
    return False


def has_attr(device: Device, group: int, attr: int) -> bool:
    """Whether there is an attribute."""
    try:
        device.has_attr(group, attr)
    except OSError as error:
        if error.errno != ENXIO:
            raise
        return False
    return True


@pytest.mark.parametrize("irqs", [64, 96, 992])
@pytest.mark.parametrize("frame", FRAMES)
def test_registers_are_where_the_kernel_has_them(frame: str, irqs: int) -> None:
    """Elsewhere an attribute is not there, and an access reads 0 and changes nothing."""
    type, group, table = FRAMES[frame]
    machine = Vm(host=Host(USUAL, 3, True))
    machine.create_vcpu(0)
    gic = machine.create_device(type)
    assert isinstance(gic, Device)
    gic.set_attr(Group.NR_IRQS, 0, irqs)
    gic.set_attr(Group.CTRL, Control.INIT)
    for offset in [*range(0, 0x2_0000, 4), 0x82, 0x101, 0x403, 0x8000_0000, 0xFFFF_FFFC]:
        there = is_there(table, offset, irqs)
        assert has_attr(gic, group, offset) == there, hex(offset)
        if not there:
            gic.set_attr(group, offset, 0xFFFF_FFFF)
            assert gic.get_attr(group, offset) == 0
