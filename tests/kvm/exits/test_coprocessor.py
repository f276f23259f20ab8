"""AArch32 coprocessor accesses: where they go, and what they move."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.arch.aarch32 import CoprocessorAccess, decode_coprocessor, encode_coprocessor
from nvtrap.arch.encoding import encode
from nvtrap.arch.esr import EC_CP10_ID, EC_CP14_32, EC_CP14_64, EC_CP14_LS, EC_CP15_32, EC_CP15_64
from nvtrap.errors import UsageError
from nvtrap.kvm.context import EL1_SYNC, INCREMENT_PC, NOTHING_PENDING, Context
from nvtrap.kvm.exits.coprocessor import (
    AARCH64,
    COPROCESSOR,
    RAZ,
    TABLE,
    UNDEF,
    Route,
    handle_coprocessor,
    merged,
    part,
    route,
    write_back,
    written_value,
)
from nvtrap.kvm.exits.coprocessor_tables import CP14, CP14_64, CP15, CP15_64, HI, LO, Entry, table
from tests.kvm.contexts import WORDS


def esr(ec: int, *operands: int, write: bool = False, rt: int = 1, rt2: int | None = None) -> int:
    """The syndrome of an access."""
    opc1, crn, crm, opc2 = operands
    return encode_coprocessor(
        ec, CoprocessorAccess(opc1, crn, crm, opc2, write=write, rt=rt, rt2=rt2)
    )


def trapped(syndrome: int) -> Context:
    """A guest that trapped with it, X1 and X2 telling each other apart."""
    context = Context(pstate=0x10)
    context.esr = syndrome
    context.x[1], context.x[2] = 0x1111_1111_AAAA_AAAA, 0x2222_2222_BBBB_BBBB
    return context


@pytest.mark.parametrize(
    ("registers", "ec"),
    [(CP14, EC_CP14_32), (CP15, EC_CP15_32), (CP14_64, EC_CP14_64), (CP15_64, EC_CP15_64)],
)
def test_every_register_of_a_table_is_found(
    registers: dict[tuple[int, int, int, int], Entry], ec: int
) -> None:
    """By the syndrome of its access, either way."""
    for operands, entry in registers.items():
        for write in (False, True):
            rt2 = 2 if ec in (EC_CP14_64, EC_CP15_64) else None
            found = route(esr(ec, *operands, write=write, rt2=rt2))
            assert (found.where, found.entry) == (TABLE, entry)


def test_tables_have_what_the_kernel_has() -> None:
    """102, 2, 133 and 9 registers; thirty-one event counters and sixteen breakpoints."""
    assert list(map(len, (CP14, CP14_64, CP15, CP15_64))) == [102, 2, 133, 9]
    assert [CP14[0, 0, n, 4].index for n in range(16)] == list(range(16))
    assert (CP15[0, 14, 11, 6].accessor, (0, 14, 11, 7) in CP15) == ("access_pmu_evcntr", False)
    assert (CP15[0, 9, 12, 6].half, CP15[0, 9, 14, 4].half) == (LO, HI)
    assert CP15[0, 12, 12, 5].accessor == "access_gic_sre"
    assert CP15[0, 6, 0, 2].register == "FAR_EL1"


def test_a_table_is_in_order_and_without_duplicates() -> None:
    """A search needs that, so it is checked when the program starts."""
    entry = Entry("trap_raz_wi")
    for second in ((0, 0, 0, 0), (0, 0, 0, 1)):
        with pytest.raises(AssertionError, match="comes after"):
            table([((0, 0, 0, 1), entry), (second, entry)])


def test_id_registers_go_to_their_aarch64_encoding() -> None:
    """c1 to c3 of CP15 c0; beyond they are zero, and none is written."""
    for crm in range(1, 16):
        found = route(esr(EC_CP15_32, 0, 0, crm, 5))
        assert (found.where, found.encoding) == (
            AARCH64 if crm <= 3 else RAZ,
            encode(3, 0, 0, crm, 5),
        )
        assert route(esr(EC_CP15_32, 0, 0, crm, 5, write=True)).where == UNDEF
    assert route(esr(EC_CP15_32, 0, 0, 0, 1)).where == TABLE


def test_vmrs_goes_to_the_media_registers() -> None:
    """Three of the sixteen, only read."""
    found = {n: route(esr(EC_CP10_ID, 7, n, 0, 0)) for n in range(16)}
    assert {n: r.encoding for n, r in found.items() if r.where == AARCH64} == {
        7: encode(3, 0, 0, 3, 0),
        6: encode(3, 0, 0, 3, 1),
        5: encode(3, 0, 0, 3, 2),
    }
    assert route(esr(EC_CP10_ID, 7, 7, 0, 0, write=True)).where == UNDEF


@given(st.integers(0, (1 << 25) - 1), st.sampled_from(sorted(COPROCESSOR)))
def test_every_syndrome_has_a_route(iss: int, ec: int) -> None:
    """Nothing raises; LDC and STC are undefined."""
    found = route(ec << 26 | iss)
    assert found.where in (TABLE, AARCH64, RAZ, UNDEF)
    assert (found.entry is not None) == (found.where == TABLE)
    assert ec != EC_CP14_LS or found.where == UNDEF
    context = trapped(ec << 26 | iss)
    assert handle_coprocessor(context, lambda *_: None) in (UNDEF, RAZ)


def test_another_class_has_none() -> None:
    """It is the caller's error."""
    with pytest.raises(UsageError, match="EC 0x18 is no access to a coprocessor"):
        route(0x18 << 26)


# ---- what is moved -------------------------------------------------------------------


def test_a_write_takes_a_register_or_two_words() -> None:
    """All 64 bits of Xt, or Rt below Rt2."""
    one = trapped(esr(EC_CP15_32, 0, 1, 0, 0, write=True))
    assert written_value(one, decode_coprocessor(one.esr)) == one.x[1]
    two = trapped(esr(EC_CP15_64, 0, 0, 2, 0, write=True, rt2=2))
    assert written_value(two, decode_coprocessor(two.esr)) == 0xBBBB_BBBB_AAAA_AAAA


def test_a_read_of_two_words_into_one_register_leaves_the_upper() -> None:
    """Rt2 is written last."""
    context = trapped(esr(EC_CP15_64, 0, 0, 2, 0, rt=1, rt2=1))
    write_back(context, decode_coprocessor(context.esr), 0x5555_5555_6666_6666)
    assert context.x[1] == 0x5555_5555


@given(WORDS, WORDS, st.sampled_from([LO, HI, "DIRECT"]))
def test_a_half_is_written_and_read_alone(old: int, written: int, half: str) -> None:
    """The other half stays; what is read is what was written there."""
    entry = Entry("access_vm_reg", half, "FAR_EL1")
    mask, shift = entry.mask
    new = merged(entry, old, written)
    assert (new ^ old) & ~mask == 0
    assert part(entry, new) == written & mask >> shift


def test_an_access_is_emulated_and_skipped() -> None:
    """The accessor is given the route, the access and what is written."""
    seen: list[tuple[str, bool, int]] = []

    def accessor(found: Route, access: CoprocessorAccess, value: int) -> int:
        assert found.entry is not None
        seen.append((found.entry.accessor, access.write, value))
        return 0x77

    write = trapped(esr(EC_CP15_32, 0, 1, 0, 0, write=True))
    read = trapped(esr(EC_CP15_32, 0, 1, 0, 0))
    assert handle_coprocessor(write, accessor) == handle_coprocessor(read, accessor) == TABLE
    assert seen == [("access_vm_reg", True, write.x[1]), ("access_vm_reg", False, 0)]
    assert read.x[1] == 0x77
    assert write.pending == read.pending == INCREMENT_PC


def test_what_an_accessor_refuses_is_undefined() -> None:
    """And reads nothing."""
    context = trapped(esr(EC_CP15_32, 0, 1, 0, 0))
    before = list(context.x)
    assert handle_coprocessor(context, lambda *_: None) == UNDEF
    assert (context.x, context.pending) == (before, EL1_SYNC)


def test_a_zero_id_register_is_read_for_ever() -> None:
    """The kernel writes the zero and forgets to move the PC."""
    context = trapped(esr(EC_CP15_32, 0, 0, 9, 0))
    assert handle_coprocessor(context, lambda *_: None) == RAZ
    assert (context.x[1], context.pending) == (0, NOTHING_PENDING)
