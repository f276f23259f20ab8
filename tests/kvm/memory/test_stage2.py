"""L1's stage 2 walked by the host: every granule, every level, and any memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.arch.memory import Memory
from nvtrap.errors import AddressError
from nvtrap.kvm.memory.stage2 import Fault, Stage2, Translation, permission_fault

TG0 = {12: 0, 16: 1, 14: 2}
PS = {32: 0, 36: 1, 40: 2, 42: 3, 44: 4, 48: 5}
VALID_TABLE, VALID_BLOCK, VALID_PAGE = 0b11, 0b01, 0b11
READ_WRITE = 0b11 << 6
AF = 1 << 10
CONTIGUOUS = 1 << 52
XN, XN0 = 1 << 54, 1 << 53
TABLES = 0x8000_0000
WORDS = st.integers(0, (1 << 64) - 1)


def vtcr(page_bits: int, start: int, size: int, output: int = 48) -> int:
    """VTCR_EL2 for a granule, a start level, and bits of input and output."""
    sl0 = (2 if page_bits == 12 else 3) - start
    return PS[output] << 16 | TG0[page_bits] << 14 | sl0 << 6 | (64 - size)


def stage2(vtcr: int, vttbr: int = TABLES, *, big_endian: bool = False, limit: int = 48) -> Stage2:
    """Tables at a base."""
    return Stage2(vtcr, vttbr, big_endian=big_endian, ipa_limit=limit)


def mapped(
    page_bits: int, start: int, leaf: int, ipa: int, output: int, attributes: int = READ_WRITE | AF
) -> dict[int, int]:
    """The descriptors, address → word, that map one IPA at a level, tables 64K apart."""
    stride, words, base = page_bits - 3, {}, TABLES
    for level in range(start, leaf + 1):
        low = (3 - level) * stride + page_bits
        entries = stride + 4 if level == start else stride
        address = base + (ipa >> low & (1 << entries) - 1) * 8
        base += 0x100_0000
        kind = VALID_TABLE if level < leaf else VALID_PAGE if leaf == 3 else VALID_BLOCK
        words[address] = base | kind if level < leaf else output | kind | attributes
    return words


def walk(tables: Stage2, words: dict[int, int], ipa: int) -> Translation | Fault:
    """The walk of some words; no other can be read."""

    def read(address: int) -> int:
        if address not in words:
            raise AddressError(address)
        return words[address]

    return tables.walk(ipa, read)


def found(tables: Stage2, words: dict[int, int], ipa: int) -> Translation:
    """The walk of some words to what they map."""
    result = walk(tables, words, ipa)
    assert isinstance(result, Translation), vars_of(result)
    return result


def vars_of(fault: Fault | Translation) -> tuple[str, int, int]:
    """What a fault says."""
    assert isinstance(fault, Fault)
    return fault.name, fault.level, fault.errno


# Granule, start level, largest input size there, leaf level, bits of the leaf.
LEAVES = [
    (12, 0, 48, 1, 30),
    (12, 0, 48, 2, 21),
    (12, 0, 48, 3, 12),
    (12, 1, 43, 1, 30),
    (12, 1, 43, 3, 12),
    (12, 2, 34, 2, 21),
    (12, 2, 34, 3, 12),
    (14, 1, 48, 2, 25),
    (14, 1, 48, 3, 14),
    (14, 2, 40, 2, 25),
    (14, 3, 29, 3, 14),
    (16, 1, 48, 2, 29),
    (16, 1, 48, 3, 16),
    (16, 2, 46, 2, 29),
    (16, 2, 46, 3, 16),
    (16, 3, 33, 3, 16),
]


@pytest.mark.parametrize(("page_bits", "start", "size", "leaf", "bits"), LEAVES)
@pytest.mark.parametrize("big_endian", [False, True])
def test_every_leaf_of_every_granule_is_found(
    page_bits: int, start: int, size: int, leaf: int, bits: int, *, big_endian: bool
) -> None:
    """The output is the descriptor's, the low bits are the IPA's, in both byte orders."""
    ipa = 0x9234_5678_9ABC & (1 << size) - 1
    output = 0xABCD_EF01_2345 >> bits << bits
    words = mapped(page_bits, start, leaf, ipa, output)
    if big_endian:
        words = {
            at: int.from_bytes(word.to_bytes(8, "big"), "little") for at, word in words.items()
        }
    tables = stage2(vtcr(page_bits, start, size), big_endian=big_endian)
    result = found(tables, words, ipa)
    assert result.output == output | ipa & (1 << bits) - 1
    assert (result.block_size, result.level) == (1 << bits, leaf)
    assert (result.readable, result.writable, result.executable) == (True, True, True)


@given(st.dictionaries(WORDS, WORDS, max_size=4), WORDS, WORDS, WORDS, WORDS, st.integers(1, 52))
def test_a_walk_of_any_memory_ends_after_four_reads_at_most(
    words: dict[int, int], fill: int, vtcr: int, vttbr: int, ipa: int, limit: int
) -> None:
    """With a translation or a fault, in both byte orders, and nothing is raised."""
    for big_endian in (False, True):
        reads = []

        def read(address: int) -> int:
            reads.append(address)  # noqa: B023
            return words.get(address, fill)

        tables = stage2(vtcr, vttbr, big_endian=big_endian, limit=limit)
        result = tables.walk(ipa, read)
        assert len(reads) <= 4
        assert all(0 <= address < 1 << 48 and address % 8 == 0 for address in reads)
        if isinstance(result, Translation):
            assert 0 <= result.output < 1 << 48
            assert result.level in (1, 2, 3)
        else:
            assert result.level in (0, 1, 2, 3)
            assert bool(result.errno) == (result.fsc == 0 and result.name != "address_size")


def test_tables_in_ram_are_read_and_those_outside_are_an_error() -> None:
    """The reader is whatever gives words; memory that is not there ends the walk."""
    memory = Memory([(TABLES, 0x1000)])
    tables = stage2(vtcr(12, 2, 30))
    assert vars_of(tables.walk(0, lambda at: memory.read(at, 8))) == ("translation", 2, 0)
    memory.write(TABLES, 8, 0x4000_0000 | VALID_BLOCK | AF)
    result = tables.walk(0x1234, lambda at: memory.read(at, 8))
    assert isinstance(result, Translation)
    assert result.output == 0x4000_1234
    memory.write(TABLES, 8, 0x9000_0000 | VALID_TABLE)
    failed = tables.walk(0, lambda at: memory.read(at, 8))
    assert vars_of(failed) == ("table_read_failed", 0, -14)


@pytest.mark.parametrize(
    ("page_bits", "start", "sizes"),
    [
        (12, 0, range(43, 49)),
        (12, 1, range(31, 44)),
        (12, 2, range(25, 35)),
        (14, 1, range(41, 49)),
        (14, 2, range(26, 41)),
        (14, 3, range(25, 30)),
        (16, 1, range(43, 49)),
        (16, 2, range(30, 47)),
        (16, 3, range(25, 34)),
    ],
)
def test_sizes_that_a_start_level_takes(page_bits: int, start: int, sizes: range) -> None:
    """Any other is an error of the host, which warns if only the level does not fit."""
    for size in range(1, 65):
        tables = stage2(vtcr(page_bits, start, size))
        fits = vars_of(walk(tables, {}, 0))[0] == "table_read_failed"
        assert fits == (size in sizes), size
        assert tables.is_inconsistent == (25 <= size <= 48 and not fits)


@pytest.mark.parametrize("start", [-1, 0])
def test_level_zero_is_there_for_4k_only(start: int) -> None:
    """And level -1 for none."""
    for page_bits in (14, 16) if start == 0 else (12,):
        for size in range(25, 49):
            found = walk(stage2(vtcr(page_bits, start, size)), {}, 0)
            assert vars_of(found) == ("bad_configuration", 0, -14)


def test_the_reserved_granule_is_64k() -> None:
    """TG0 = 3."""
    words = mapped(16, 3, 3, 0x1_2345, 0x5_0000)
    assert found(stage2(3 << 14 | 5 << 16 | 64 - 32), words, 0x1_2345).output == 0x5_2345


@pytest.mark.parametrize(
    ("descriptor", "start", "fault"),
    [
        (0x0, 2, ("translation", 2, 0)),
        (0x2, 2, ("translation", 2, 0)),
        (VALID_BLOCK, 3, ("translation", 3, 0)),
        (VALID_PAGE, 3, ("access_flag", 3, 0)),
        (VALID_BLOCK, 2, ("access_flag", 2, 0)),
        (VALID_BLOCK | 1 << 36, 2, ("address_size", 2, 0)),
        (VALID_TABLE | 1 << 36, 2, ("address_size", 2, 0)),
    ],
)
def test_faults_of_a_descriptor(descriptor: int, start: int, fault: tuple[str, int, int]) -> None:
    """In the order valid, kind, address size, access flag."""
    tables = stage2(vtcr(14, start, 29 if start == 3 else 36, output=36))
    assert vars_of(walk(tables, {TABLES: descriptor}, 0)) == fault


def test_no_block_above_the_first_block_level() -> None:
    """Before its address is looked at."""
    for page_bits, start, size in ((12, 0, 48), (14, 1, 47), (16, 1, 47)):
        word = VALID_BLOCK | 1 << 47
        tables = stage2(vtcr(page_bits, start, size, output=32), 0)
        assert vars_of(walk(tables, {0: word}, 0)) == ("translation", start, 0)


def test_a_base_beyond_the_output_size_faults_before_any_read() -> None:
    """The host's limit counts like VTCR_EL2.PS."""
    for output, limit in ((36, 48), (48, 40)):
        tables = stage2(vtcr(12, 1, 40, output=output), 1 << 40, limit=limit)
        assert vars_of(walk(tables, {}, 0)) == ("address_size", 1, 0)


def test_a_base_is_aligned_to_its_tables() -> None:
    """Concatenated tables make one large one; lower bits of VTTBR_EL2, and its VMID, drop."""
    tables = stage2(vtcr(12, 1, 40), 0x1234 << 48 | TABLES | 0x1FFF)
    assert vars_of(walk(tables, {TABLES: 0}, 0)) == ("translation", 1, 0)
    last = {TABLES + 0x1FF8: 0}
    assert vars_of(walk(tables, last, (1 << 40) - 1)) == ("translation", 1, 0)


# ---- what KVM does otherwise ------------------------------------------------------


def test_ipa_above_the_input_size_is_ignored() -> None:
    """Where the architecture has a translation fault."""
    words = mapped(12, 2, 3, 0x5000, 0x7000)
    assert found(stage2(vtcr(12, 2, 30)), words, 0x5123 | 0xABC << 30).output == 0x7123


@pytest.mark.parametrize(("bit", "executable"), [(XN, False), (XN0, True), (XN | XN0, False)])
def test_bit_53_says_nothing_about_code(bit: int, *, executable: bool) -> None:
    """Bit 54 alone does."""
    words = mapped(12, 2, 3, 0, 0x7000, AF | bit)
    assert found(stage2(vtcr(12, 2, 30)), words, 0).executable is executable


@pytest.mark.parametrize(
    ("page_bits", "start", "size", "leaf", "bits"),
    [
        (12, 1, 40, 1, 34),
        (12, 1, 40, 3, 16),
        (14, 2, 40, 2, 30),
        (14, 2, 40, 3, 21),
        (16, 2, 42, 2, 34),
    ],
)
def test_a_contiguous_descriptor_leaves_more_bits_to_the_ipa(
    page_bits: int, start: int, size: int, leaf: int, bits: int
) -> None:
    """The size of the block stays that of one descriptor."""
    output = 0xFFFF_FFFF_F000 >> page_bits << page_bits
    words = mapped(page_bits, start, leaf, 0xFFF, output, AF | CONTIGUOUS)
    result = found(stage2(vtcr(page_bits, start, size)), words, 0xFFF)
    assert result.output == output >> bits << bits | 0xFFF
    assert result.block_size == 1 << (3 - leaf) * (page_bits - 3) + page_bits


# ---- whose fault it is --------------------------------------------------------------

DATA, CODE = 0x9200_0000, 0x8200_0000
WRITE, WALK = 1 << 6, 1 << 7


@pytest.mark.parametrize(
    ("esr", "needs"),
    [
        (DATA | 0xF, 1 << 6),
        (DATA | WRITE | 0xE, 1 << 7),
        (DATA | WALK | 0xD, 1 << 7),
        (DATA | WALK | WRITE | 0xC, 1 << 7),
    ],
)
def test_a_permission_that_l1_withholds_is_its_fault(esr: int, needs: int) -> None:
    """With the level of L1's leaf in the trap's syndrome; a table walk wants to write."""
    for rights in range(4):
        translation = Translation(0, 1 << 21, 2, rights << 6)
        expected = None if rights << 6 & needs else esr & ~0x3F | 0xE
        assert permission_fault(translation, esr) == expected


def test_code_needs_bit_54_clear() -> None:
    """Neither reading nor writing counts for an instruction fetch."""
    assert permission_fault(Translation(0, 4096, 3, READ_WRITE | XN), CODE | 0xF) == CODE | 0xF
    assert permission_fault(Translation(0, 4096, 3, 0), CODE | 0xF) is None


@given(st.integers(0, 63).filter(lambda fsc: fsc >> 2 != 3))
def test_other_faults_are_never_about_permission(fsc: int) -> None:
    """L0 just had not mapped it."""
    assert permission_fault(Translation(0, 4096, 3, XN), DATA | fsc) is None


def test_syndromes_for_l1_have_32_bits() -> None:
    """What ISS2 held is gone."""
    assert Fault("translation", 0x6).esr(0xFF << 32 | DATA | 0xF) == DATA | 0x6
    assert permission_fault(Translation(0, 4096, 3, 0), 0xFF << 32 | DATA | 0xF) == DATA | 0xF
