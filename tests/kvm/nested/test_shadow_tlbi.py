"""TLBI instructions of L1: which ones concern stage 2, whom they reach, and how far."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.arch.encoding import encode
from nvtrap.arch.memory import PAGE_SIZE
from nvtrap.kvm.memory.mmu import LOAD
from nvtrap.kvm.nested import tlbi
from nvtrap.kvm.nested.shadow import Shadow
from nvtrap.kvm.nested.tlbi import ALL_FEATURES, DONE, TLBIOS, TLBIRANGE, TTL, UNDEF, WARNED, XS
from tests.kvm.nested.mmus import BLOCK, RAM_BASE, L1Tables, Machine

NAMES = {
    "IPAS2E1IS": (8, 0, 1),
    "RIPAS2E1IS": (8, 0, 2),
    "IPAS2LE1IS": (8, 0, 5),
    "RIPAS2LE1IS": (8, 0, 6),
    "ALLE1OS": (8, 1, 4),
    "VMALLS12E1OS": (8, 1, 6),
    "ALLE1IS": (8, 3, 4),
    "VMALLS12E1IS": (8, 3, 6),
    "IPAS2E1OS": (8, 4, 0),
    "IPAS2E1": (8, 4, 1),
    "RIPAS2E1": (8, 4, 2),
    "RIPAS2E1OS": (8, 4, 3),
    "IPAS2LE1OS": (8, 4, 4),
    "IPAS2LE1": (8, 4, 5),
    "RIPAS2LE1": (8, 4, 6),
    "RIPAS2LE1OS": (8, 4, 7),
    "ALLE1": (8, 7, 4),
    "VMALLS12E1": (8, 7, 6),
}
TABLES = RAM_BASE + 0x10_0000
VTTBR = TABLES | 5 << 48
L2 = 0x4000_0000


def tlbi_encoding(name: str) -> int:
    """The encoding of a TLBI by its name."""
    nxs = name.endswith("NXS")
    crn, crm, op2 = NAMES[name.removesuffix("NXS")]
    return encode(1, 4, crn + nxs, crm, op2)


def mapped(level: int, pages: list[int], **options: int) -> tuple[Machine, Shadow]:
    """An L2 of which L1 mapped every page, at a level, and which touched some of them."""
    machine = Machine(**options)
    l1 = L1Tables(machine, TABLES)
    for page in pages:
        l1.map(L2 + page, RAM_BASE + 2 * BLOCK + page, level)
    vcpu = machine.run_l2(VTTBR)
    for page in pages:
        assert isinstance(vcpu.access(L2 + page, LOAD), int)
    assert isinstance(vcpu.mmu, Shadow)
    return machine, vcpu.mmu


def left(shadow: Shadow) -> list[int]:
    """What is still mapped, from L2 on."""
    return [ipa - L2 for ipa, _, _ in shadow.table.leaves()]


def test_every_tlbi_of_stage_2_is_known_and_no_other_instruction() -> None:
    """All 2^16 encodings: what is named here in both CRn, and nothing else."""
    known = {}
    for name in NAMES:
        what: str | None = "VMID" if name.startswith("VM") else "all"
        if "IPA" in name:
            what = "range" if name.startswith("R") else "IPA"
        known[tlbi_encoding(name)] = known[tlbi_encoding(name + "NXS")] = what
    found = {n: what for n in range(1 << 16) if (what := tlbi.decode(n)) is not None}
    assert found == known


@pytest.mark.parametrize(
    ("feature", "missing"),
    [
        (XS, {name + "NXS" for name in NAMES}),
        (TTL, set()),
        (
            TLBIOS,
            {"ALLE1OS", "VMALLS12E1OS", "IPAS2E1OS", "IPAS2LE1OS"},
        ),
        (
            TLBIRANGE,
            {"RIPAS2E1IS", "RIPAS2LE1IS", "RIPAS2E1OS", "RIPAS2LE1OS"},
        ),
    ],
)
def test_what_a_missing_feature_leaves_undefined(feature: str, missing: set[str]) -> None:
    """As the kernel has it, which lets the plain RIPAS2E1 through without ranges."""
    machine = Machine()
    names = [*NAMES, *(name + "NXS" for name in NAMES)]
    features = ALL_FEATURES - {feature}
    undefined = {
        name
        for name in names
        if tlbi.invalidate(machine.shadows, tlbi_encoding(name), 0, 0, features) == UNDEF
    }
    extra = {name + "NXS" for name in missing if feature != XS}
    assert undefined == missing | extra


PAGES = [0, PAGE_SIZE, 4 * PAGE_SIZE, BLOCK]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (L2 >> 12, PAGES[1:]),
        (L2 + PAGE_SIZE >> 12, [0, *PAGES[2:]]),
        # TTL says level 2, or 1, of 4K.
        (0b0110 << 44 | L2 + PAGE_SIZE >> 12, [BLOCK]),
        (0b0101 << 44 | L2 + PAGE_SIZE >> 12, []),
        # Nothing there that could tell: the largest block.
        (L2 + 2 * PAGE_SIZE >> 12, []),
        (L2 + (1 << 30) >> 12, PAGES),
        # A TTL of level 0, or one of another granule.
        (0b0100 << 44 | L2 >> 12, []),
        (0b1111 << 44 | L2 + PAGE_SIZE >> 12, [BLOCK]),
    ],
)
def test_a_tlbi_by_ipa_reaches_as_far_as_a_block_there_can(value: int, expected: list[int]) -> None:
    """By its TTL, by what the shadow notes of L1's mapping, or by L1's granule."""
    machine, shadow = mapped(3, PAGES)
    assert tlbi.invalidate(machine.shadows, tlbi_encoding("IPAS2E1IS"), value, VTTBR) == DONE
    assert left(shadow) == expected


def test_a_block_of_l1_goes_whole_though_the_host_mapped_it_in_pages() -> None:
    """Its level is noted in each page."""
    machine, shadow = mapped(2, [0, BLOCK])
    vcpu = machine.vcpu
    for page in (1, 7, 511):
        vcpu.access(L2 + page * PAGE_SIZE, LOAD)
    ipas2le1 = tlbi_encoding("IPAS2LE1")
    assert tlbi.invalidate(machine.shadows, ipas2le1, L2 + 7 * PAGE_SIZE >> 12, VTTBR) == DONE
    assert left(shadow) == [BLOCK]


def test_a_ttl_is_not_believed_without_the_feature() -> None:
    """The bits are then not there for L1."""
    machine, shadow = mapped(3, PAGES)
    value = 0b0101 << 44 | L2 + PAGE_SIZE >> 12
    features = ALL_FEATURES - {TTL}
    encoding = tlbi_encoding("IPAS2E1")
    assert tlbi.invalidate(machine.shadows, encoding, value, VTTBR, features) == DONE
    assert left(shadow) == [0, *PAGES[2:]]


@pytest.mark.parametrize(
    ("granule", "scale", "num", "expected"),
    [
        (1, 0, 0, PAGES[2:]),  # 2 pages of 4K
        (1, 0, 1, PAGES[2:]),
        (1, 0, 2, [BLOCK]),
        (1, 1, 7, [BLOCK]),  # 512 pages
        (2, 0, 0, [BLOCK]),
        (3, 0, 0, [BLOCK]),
        (0, 1, 0, []),  # 64K: 128 << 16
    ],
)
def test_a_range_is_its_pages_whatever_its_ttl(
    granule: int, scale: int, num: int, expected: list[int]
) -> None:
    """(NUM + 1) * 2^(5 * SCALE + 1) granules; the reserved granule is 64K."""
    machine, shadow = mapped(3, PAGES)
    shift = {0: 16, 1: 12, 2: 14, 3: 16}[granule]
    value = granule << 46 | scale << 44 | num << 39 | L2 >> shift | 0b01 << 37
    assert tlbi.invalidate(machine.shadows, tlbi_encoding("RIPAS2E1IS"), value, VTTBR) == DONE
    assert left(shadow) == expected


def test_a_range_beyond_all_addresses_makes_the_kernel_warn() -> None:
    """What lies in the shadow's addresses goes; nothing is raised."""
    machine, shadow = mapped(3, PAGES)
    value = 3 << 46 | 3 << 44 | 31 << 39 | (1 << 37) - 1
    assert tlbi.invalidate(machine.shadows, tlbi_encoding("RIPAS2E1"), value, VTTBR) == WARNED
    assert left(shadow) == PAGES


@pytest.mark.parametrize(
    ("name", "own", "same", "other"),
    [
        ("VMALLS12E1", False, False, True),
        ("ALLE1IS", False, False, False),
        ("IPAS2E1", False, False, True),
    ],
)
def test_a_tlbi_by_vmid_reaches_every_context_of_the_vmid(
    name: str, own: bool, same: bool, other: bool
) -> None:
    """Also one with other tables, or without stage 2; ALLE1 reaches all."""
    machine = Machine(vcpus=2)
    shadows = []
    for vttbr, hcr in ((VTTBR, 1), (VTTBR, 0), (VTTBR ^ 3 << 48, 1)):
        L1Tables(machine, TABLES).map(L2, RAM_BASE)
        vcpu = machine.run_l2(vttbr, hcr=hcr)
        vcpu.access(L2 if hcr else RAM_BASE, LOAD)
        assert isinstance(vcpu.mmu, Shadow)
        shadows.append(vcpu.mmu)
    ipa = RAM_BASE if name == "IPAS2E1" else 0
    tlbi.invalidate(machine.shadows, tlbi_encoding(name), ipa >> 12, VTTBR)
    tlbi.invalidate(machine.shadows, tlbi_encoding(name), L2 >> 12, VTTBR)
    assert [bool(list(shadow.table.leaves())) for shadow in shadows] == [own, same, other]


def test_a_stage_1_tlbi_is_not_handled_here() -> None:
    """VAE1IS and VAE2IS concern no stage 2."""
    machine, shadow = mapped(3, PAGES)
    for op1 in (0, 4):
        assert tlbi.invalidate(machine.shadows, encode(1, op1, 8, 3, 1), 0, VTTBR) is None
    assert left(shadow) == PAGES


@given(st.integers(0, (1 << 16) - 1), st.integers(0, (1 << 64) - 1), st.integers(0, 7))
def test_nothing_that_l1_can_write_raises(encoding: int, value: int, vtcr: int) -> None:
    """Any encoding, any operand, any granule."""
    machine = Machine()
    machine.shadows.put(machine.shadows.get(VTTBR, vtcr << 14, 1))
    for name in NAMES:
        tlbi.invalidate(machine.shadows, tlbi_encoding(name), value, VTTBR)
    tlbi.invalidate(machine.shadows, encoding, value, VTTBR)
