"""Stage-2 aborts that are not RAM: who gets them, and what an access loads and stores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.kvm.context import (
    AARCH32_DATA_ABORT,
    EL1_SYNC,
    EL2_SYNC,
    INCREMENT_PC,
    NOTHING_PENDING,
    Context,
    Features,
    Registers,
)
from nvtrap.kvm.exits.aborts import Abort
from nvtrap.kvm.exits.endian import is_big_endian
from nvtrap.kvm.exits.exceptions import adjust_pc, inject_data_abort
from nvtrap.kvm.exits.mmio import NO_SLOT, RAM, READ_ONLY, AbortHandler, Access, at_slot, early_end

DATA, CODE, IL = 0x9200_0000, 0x8200_0000, 1 << 25
WNR, S1PTW, CM, SF, SSE, ISV = 1 << 6, 1 << 7, 1 << 8, 1 << 15, 1 << 21, 1 << 24
TRANSLATION, ACCESS_FLAG, PERMISSION = 0x7, 0xB, 0xF
EL1H, EL2H, EL0T, USR, E = 0x3C5, 0x3C9, 0x3C0, 0x1D0, 1 << 9
EE, E0E = 1 << 25, 1 << 24
WORDS = st.integers(0, (1 << 64) - 1)


def syndrome(size: int, flags: int = 0, register: int = 1, fsc: int = TRANSLATION) -> int:
    """The ESR of a valid device access of so many bytes."""
    return DATA | ISV | (size.bit_length() - 1) << 22 | register << 16 | flags | fsc


def abort_at(esr: int, ipa: int, far: int = 0) -> Abort:
    """An abort at an IPA; bits 11:0 come from FAR."""
    return Abort(esr, far, ipa >> 8 & ~0xF)


def a_context(esr: int, *, pstate: int = EL1H, sctlr: int = 0, nv: bool = False) -> Context:
    """A vCPU that took an abort."""
    context = Context(Features(nv=nv), Registers(SCTLR_EL1=sctlr), pc=0x1000, pstate=pstate)
    context.esr = esr
    return context


def handler(slot: str = NO_SLOT, answer: bytes | None = None, **settings: object) -> AbortHandler:
    """What handles aborts of a VM with 40-bit IPAs on a 44-bit host."""
    limits = {"ia_bits": 40, "ipa_limit": 44, **settings}
    return AbortHandler(lambda _: slot, lambda _, __: answer, **limits)  # type: ignore[arg-type]


# ---- the access itself --------------------------------------------------------------


@given(st.sampled_from([1, 2, 4, 8]), WORDS, st.booleans(), st.booleans())
def test_what_is_stored_is_what_is_loaded(
    size: int, value: int, big_endian: bool, is_64bit: bool
) -> None:
    """A load of the stored bytes gives the value's low bits, in either byte order."""
    access = Access(syndrome(size, WNR | (SF if is_64bit or size == 8 else 0)), 0)
    data = access.stored(value, big_endian)
    assert len(data) == access.size == size
    assert access.loaded(data, big_endian) == value & (1 << 8 * size) - 1
    assert data == access.stored(value, not big_endian)[::-1]


@given(st.sampled_from([1, 2, 4]), WORDS, st.booleans())
def test_lost_sign_extension(size: int, value: int, is_64bit: bool) -> None:
    """Signed loads load as unsigned ones do, where the architecture extends the sign."""
    data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    flags = SF if is_64bit else 0
    signed, plain = Access(syndrome(size, SSE | flags), 0), Access(syndrome(size, flags), 0)
    assert signed.loaded(data, False) == plain.loaded(data, False) == int.from_bytes(data, "little")


def test_a_64_bit_load_without_sf_is_cut_before_it_is_swapped() -> None:
    """So that big-endian data loses its first half, not its last."""
    data = bytes(range(1, 9))
    assert Access(syndrome(8), 0).loaded(data, False) == 0x04030201
    assert Access(syndrome(8), 0).loaded(data, True) == 0x01020304_00000000


@pytest.mark.parametrize(
    ("pstate", "sctlr", "big"),
    [
        (EL1H, EE, True),
        (EL1H, E0E, False),
        (EL2H, EE, True),
        (EL0T, E0E, True),
        (EL0T, EE, False),
        (USR | E, 0, True),
        (USR, EE | E0E, False),
        (EL0T | E, 0, False),
    ],
)
def test_byte_order_of_a_mode(pstate: int, sctlr: int, *, big: bool) -> None:
    """SCTLR_EL1 decides for AArch64, for vEL2 too; PSTATE.E for AArch32."""
    assert is_big_endian(pstate, sctlr) is big


# ---- whose abort it is --------------------------------------------------------------


@pytest.mark.parametrize(
    ("fsc", "ipa", "outcome"),
    [
        (0x04, 1 << 44, "beyond_parange"),
        (0x2B, 1 << 44, "beyond_parange"),
        (0x07, (1 << 44) - 4096, "beyond_ipa_range"),
        (0x07, 1 << 40, "beyond_ipa_range"),
        (0x07, (1 << 40) - 4096, None),
        (0x0F, 1 << 50, None),
        (0x0B, 1 << 50, None),
        (0x10, 1 << 50, "sea"),
        (0x13, 0, "sea"),
        (0x17, 0, "sea"),
        (0x18, 0, "sea"),
        (0x1F, 0, "sea"),
        (0x11, 0, "efault"),
        (0x19, 0, "efault"),
        (0x00, 0, "efault"),
        (0x2A, 0, "efault"),
        (0x30, 1 << 50, "efault"),
    ],
)
def test_what_ends_before_the_address_is_looked_at(fsc: int, ipa: int, outcome: str | None) -> None:
    """Sizes for translation faults only, then what the memory or the host cannot."""
    assert early_end(abort_at(DATA | fsc, ipa), 40, 44) == outcome


@pytest.mark.parametrize(
    ("slot", "esr", "outcome"),
    [
        (RAM, DATA | CM | TRANSLATION, "ram_fault"),
        (RAM, DATA | ACCESS_FLAG, "access_flag"),
        (RAM, CODE | S1PTW | PERMISSION, "ram_fault"),
        (READ_ONLY, DATA | TRANSLATION, "ram_fault"),
        (READ_ONLY, DATA | WNR | TRANSLATION, "device"),
        (READ_ONLY, DATA | WNR | CM | TRANSLATION, "device"),
        (READ_ONLY, DATA | WNR | S1PTW | TRANSLATION, "ram_fault"),
        (READ_ONLY, DATA | S1PTW | PERMISSION, "s1ptw"),
        (READ_ONLY, CODE | WNR | PERMISSION, "ram_fault"),
        (READ_ONLY, CODE | S1PTW | PERMISSION, "instruction_no_memory"),
        (NO_SLOT, CODE | S1PTW | TRANSLATION, "instruction_no_memory"),
        (NO_SLOT, DATA | S1PTW | CM | TRANSLATION, "s1ptw"),
        (NO_SLOT, DATA | CM | TRANSLATION, "cmo_skip"),
        (NO_SLOT, DATA | ACCESS_FLAG, "device"),
    ],
)
def test_what_an_abort_is_at_its_memory(slot: str, esr: int, outcome: str) -> None:
    """Code, then the guest's tables, then cache maintenance, then a device."""
    assert at_slot(esr, slot) == outcome


@pytest.mark.parametrize(("esr", "ec"), [(DATA, 0x25), (CODE, 0x21)])
def test_no_memory_is_an_external_abort_at_the_full_address(esr: int, ec: int) -> None:
    """FAR is the IPA, with bits 11:0 of the guest's address."""
    context = a_context(esr | IL | TRANSLATION)
    handled = handler().handle(context, abort_at(context.esr, 1 << 41, 0xFFFF_0000_0000_0ABC))
    assert (handled.outcome, handled.ret) == ("beyond_ipa_range", 1)
    assert context.sysregs["FAR_EL1"] == 1 << 41 | 0xABC
    assert context.sysregs["ESR_EL1"] == ec << 26 | IL | 0x10
    adjust_pc(context)
    assert context.pc == 0x200


@pytest.mark.parametrize("esr", [CODE | TRANSLATION, DATA | S1PTW | TRANSLATION])
def test_code_and_tables_without_memory_abort_at_the_guests_address(esr: int) -> None:
    """FAR is the guest's own."""
    context = a_context(esr)
    handler().handle(context, abort_at(esr, 0x4000_0000, 0xFFFF_8000_1234_5678))
    assert context.sysregs["FAR_EL1"] == 0xFFFF_8000_1234_5678
    assert context.pending == EL1_SYNC


@pytest.mark.parametrize(("pstate", "told"), [(EL1H, 0x00), (EL2H, 0x10)])
def test_size_fault_in_esr_el1(pstate: int, told: int) -> None:
    """The status of a size fault never reaches ESR_EL2."""
    esr = DATA | IL | TRANSLATION
    context = a_context(esr, pstate=pstate, nv=True)
    context.sysregs["ESR_EL1"] = 0x3F
    assert handler().handle(context, abort_at(esr, 1 << 47)).outcome == "beyond_parange"
    level = "EL2" if pstate == EL2H else "EL1"
    assert context.sysregs[f"ESR_{level}"] & 0x3F == told
    assert context.sysregs["ESR_EL1"] & 0x3F == 0
    assert context.pending == (EL2_SYNC if pstate == EL2H else EL1_SYNC)


@pytest.mark.parametrize(("tcr", "fsr"), [(0, 0x08), (1 << 31, 1 << 9)])
def test_an_aarch32_guest_is_told_in_its_format(tcr: int, fsr: int) -> None:
    """The short one has no way to say size fault."""
    context = Context(Features(nv=False, el1_32bit=True), pstate=0x1D3)
    context.sysregs["TCR_EL1"] = tcr
    context.esr = DATA | IL | TRANSLATION
    handler().handle(context, abort_at(context.esr, 1 << 47))
    assert context.sysregs["ESR_EL1"] == fsr
    assert context.pending == AARCH32_DATA_ABORT


@pytest.mark.parametrize("claims", [True, False])
def test_a_memory_error_that_the_host_cannot_handle_is_an_serror(*, claims: bool) -> None:
    """Nothing else happens to the guest."""
    context = a_context(DATA | 0x10)
    handled = handler(claims_error=lambda: claims).handle(context, abort_at(context.esr, 0))
    assert (handled.outcome, handled.ret, handled.serror) == ("sea", 1, not claims)
    assert context.pending == NOTHING_PENDING


# ---- devices ----------------------------------------------------------------------


def test_a_store_carries_its_bytes_in_the_order_of_memory() -> None:
    """To user space, at the IPA with bits 11:0 of the guest's address."""
    esr = syndrome(4, WNR)
    context = a_context(esr, sctlr=EE)
    context.x[1] = 0x1122_3344_5566_7788
    aborts = handler()
    handled = aborts.handle(context, abort_at(esr, 0x1_2345_6000, 0xABC))
    assert (handled.outcome, handled.ret) == ("mmio_exit", 0)
    assert handled.exit is not None
    assert (handled.exit.address, handled.exit.data) == (0x1_2345_6ABC, b"\x55\x66\x77\x88")
    assert (context.pending, aborts.pending) == (NOTHING_PENDING, handled.exit.access)
    aborts.complete(context, b"")
    assert (context.pending, aborts.pending) == (INCREMENT_PC, None)


def test_a_device_of_the_host_answers_at_once() -> None:
    """The register is loaded and the instruction skipped; user space is not asked."""
    seen = []

    def device(access: Access, data: bytes) -> bytes:
        seen.append((access.address, access.size, access.is_write, data))
        return b"\x01\x02"

    esr = syndrome(2, register=30)
    context = a_context(esr)
    aborts = AbortHandler(lambda _: NO_SLOT, device)
    handled = aborts.handle(context, abort_at(esr, 0x9000_0000, 0x10))
    assert (handled.outcome, handled.ret) == ("mmio_in_kernel", 1)
    assert seen == [(0x9000_0010, 2, False, b"")]
    assert (context.x[30], aborts.pending) == (0x0201, None)
    adjust_pc(context)
    assert context.pc == 0x1004


def test_a_load_to_the_zero_register_loads_nothing() -> None:
    """Register 31 is XZR in a syndrome."""
    esr = syndrome(8, SF, register=31)
    context = a_context(esr)
    assert handler(answer=b"\xff" * 8).handle(context, abort_at(esr, 0)).ret == 1
    assert context.x == [0] * 31


def test_an_abort_from_user_space_replaces_the_answer() -> None:
    """The load is dropped, and the instruction not skipped, when an exception is queued."""
    esr = syndrome(8, SF)
    context, aborts = a_context(esr), handler()
    aborts.handle(context, abort_at(esr, 0))
    inject_data_abort(context, 0x1234)
    aborts.complete(context, b"\xff" * 8)
    assert (context.x[1], context.pending, aborts.pending) == (0, EL1_SYNC, None)
    aborts.complete(context, b"\xff" * 8)
    assert context.x[1] == 0


def test_the_abort_may_be_one_of_an_aarch32_el1() -> None:
    """Where the same bits mean other exceptions."""
    esr = syndrome(4)
    context = Context(Features(nv=False, el1_32bit=True), pstate=0x1D3)
    for exception, loaded in ((AARCH32_DATA_ABORT, 0), (NOTHING_PENDING, 0xFFFF_FFFF)):
        context.esr, context.pending, aborts = esr, NOTHING_PENDING, handler()
        aborts.handle(context, abort_at(esr, 0))
        context.pending = exception
        aborts.complete(context, b"\xff" * 4)
        assert context.x[1] == loaded


def test_without_a_syndrome_user_space_decides() -> None:
    """It is told what is sound in the syndrome if it wants to know, or gets an error."""
    esr = DATA | SF | WNR | 0x1F << 16 | ACCESS_FLAG
    context = a_context(esr)
    handled = handler(no_syndrome_to_user=True).handle(context, abort_at(esr, 0x5000, 0x123))
    assert (handled.outcome, handled.ret) == ("nisv_exit", 0)
    assert handled.exit is not None
    assert (handled.exit.iss, handled.exit.address) == (WNR | ACCESS_FLAG, 0x5123)
    handled = handler().handle(context, abort_at(esr, 0x5000))
    assert (handled.outcome, handled.ret) == ("enosys", -38)
    assert context.pending == NOTHING_PENDING


def test_an_abort_of_l2_goes_on_where_l1_maps_it() -> None:
    """The address that L1's tables give, with bits 11:0 of the guest's."""
    esr = syndrome(1, WNR)
    abort = abort_at(esr, 0x8000_0000, 0xFFF)
    context, aborts = a_context(esr, nv=True), handler()
    assert aborts.before_lookup(context, abort) is None
    handled = aborts.at(context, abort, 0x900_0000)
    assert handled.exit is not None
    assert handled.exit.address == 0x900_0FFF


OUTCOMES = {
    "beyond_parange": 1,
    "beyond_ipa_range": 1,
    "sea": 1,
    "efault": -14,
    "instruction_no_memory": 1,
    "s1ptw": 1,
    "cmo_skip": 1,
    "enosys": -38,
    "nisv_exit": 0,
    "mmio_exit": 0,
    "mmio_in_kernel": 1,
    "access_flag": 1,
    "ram_fault": 1,
}


@given(
    st.sampled_from([DATA, CODE]),
    st.integers(0, (1 << 26) - 1),
    WORDS,
    WORDS,
    st.integers(0, 0x1F).map(lambda mode: 0x3C0 | mode),
    st.sampled_from([NO_SLOT, READ_ONLY, RAM]),
    st.sampled_from([None, b"", b"\x80" * 8]),
)
def test_no_abort_is_too_strange(
    ec: int, iss: int, far: int, hpfar: int, pstate: int, slot: str, answer: bytes | None
) -> None:
    """Any syndrome and address have an outcome with its return code; PC moves or traps once."""
    context = a_context(ec | iss, pstate=pstate, nv=True)
    aborts = handler(slot, answer, no_syndrome_to_user=bool(far & 1))
    handled = aborts.handle(context, Abort(ec | iss, far, hpfar))
    assert OUTCOMES[handled.outcome] == handled.ret
    assert (handled.ret == 0) == (handled.exit is not None and handled.outcome != "mmio_in_kernel")
    assert (aborts.pending is not None) == (handled.outcome == "mmio_exit")
    aborts.complete(context, b"\xff")
    assert context.pending in (NOTHING_PENDING, INCREMENT_PC, EL1_SYNC, EL2_SYNC)
    adjust_pc(context)
    assert all(0 <= value < 1 << 64 for value in (context.pc, context.pstate, *context.x))
