"""Encodings, their names and texts, and the syndromes that report them."""

from __future__ import annotations

from contextlib import suppress
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.arch import (
    EC_SYSREG,
    ENCODINGS,
    Access,
    decode_sysreg,
    encode,
    encode_sysreg,
    exception_class,
    generic_name,
    operands,
    parse_encoding,
)
from nvtrap.engine import Table
from nvtrap.errors import UsageError

ALL = range(ENCODINGS)
DIRECTIONS = (False, True)


def test_every_encoding_is_its_five_operands() -> None:
    """Packing and unpacking are inverse, and op2 counts fastest."""
    every = list(product(range(4), range(8), range(16), range(16), range(8)))
    assert [operands(encoding) for encoding in ALL] == every
    assert [encode(*numbers) for numbers in every] == list(ALL)


def test_every_encoding_has_a_name_and_a_tuple() -> None:
    """`S3_0_C1_C0_1` and `(3, 0, 1, 0, 1)` are read back as the encoding they are of."""
    names = [generic_name(encoding) for encoding in ALL]
    assert [parse_encoding(name) for name in names] == list(ALL)
    assert [parse_encoding(str(operands(encoding))) for encoding in ALL] == list(ALL)
    assert len({*names}) == ENCODINGS
    assert generic_name(encode(3, 0, 1, 0, 1)) == "S3_0_C1_C0_1"
    assert generic_name(ENCODINGS) == ""


def test_every_access_has_a_syndrome() -> None:
    """Every encoding and direction comes back from its ESR value, whatever Rt is."""
    seen = set()
    for encoding in ALL:
        for write in DIRECTIONS:
            esr = encode_sysreg(encoding, write, encoding & 31)
            assert decode_sysreg(esr) == (encoding, write)
            seen.add(esr & ~0x3E0)
    assert len(seen) == 2 * ENCODINGS


def test_a_syndrome_of_the_manual() -> None:
    """MRS X5, ACTLR_EL1 is reported as 0x622200A3: op2, op1, CRn, Rt, CRm, direction."""
    esr = 0x18 << 26 | 1 << 25 | 3 << 20 | 1 << 17 | 0 << 14 | 1 << 10 | 5 << 5 | 0 << 1 | 1
    assert encode_sysreg(encode(3, 0, 1, 0, 1), write=False, rt=5) == esr
    assert exception_class(esr) == EC_SYSREG


@given(st.integers(0, ENCODINGS - 1), st.booleans(), st.integers(0, 31), st.integers(0))
def test_what_is_not_the_access_is_ignored(encoding: int, write: bool, rt: int, above: int) -> None:
    """Rt and everything above bit 31 of an ESR value do not matter."""
    esr = encode_sysreg(encoding, write, rt) | (above << 32) % (1 << 64)
    assert decode_sysreg(esr) == (encoding, write)
    assert Access.from_esr(esr) == Access(encoding, write)


@pytest.mark.parametrize(
    ("esr", "message"),
    [
        (-1, "ESR value `-0x1` does not fit 64 bits"),
        (1 << 64, "ESR value `0x10000000000000000` does not fit 64 bits"),
        (0x07 << 26, "ESR value `0x1c000000` has EC 0x07"),
        (0, "ESR value `0x0` has EC 0x00"),
    ],
)
def test_another_syndrome_is_refused(esr: int, message: str) -> None:
    """Only a 64-bit value with EC 0x18 reports a system-register access."""
    with pytest.raises(UsageError) as caught:
        decode_sysreg(esr)
    assert caught.value.message == message


@pytest.mark.parametrize(("encoding", "rt"), [(-1, 0), (ENCODINGS, 0), (0, 32), (0, -1)])
def test_a_syndrome_of_nothing_is_refused(encoding: int, rt: int) -> None:
    """An ESR value reports 16 bits of encoding and 5 of Rt."""
    with pytest.raises(UsageError):
        encode_sysreg(encoding, write=False, rt=rt)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((4, 0, 0, 0, 0), "op0 is 4, it goes from 0 to 3"),
        ((0, 8, 0, 0, 0), "op1 is 8, it goes from 0 to 7"),
        ((0, 0, 16, 0, 0), "CRn is 16, it goes from 0 to 15"),
        ((0, 0, 0, 16, 0), "CRm is 16, it goes from 0 to 15"),
        ((0, 0, 0, 0, 8), "op2 is 8, it goes from 0 to 7"),
        ((0, -1, 0, 0, 0), "op1 is -1, it goes from 0 to 7"),
    ],
)
def test_operands_have_their_bits(numbers: tuple[int, int, int, int, int], message: str) -> None:
    """An operand that does not fit is named with its bounds, however it was written."""
    with pytest.raises(UsageError) as caught:
        encode(*numbers)
    assert caught.value.message == message
    if min(numbers) >= 0:
        with pytest.raises(UsageError, match="is no encoding"):
            parse_encoding("S{}_{}_C{}_C{}_{}".format(*numbers))
        with pytest.raises(UsageError, match="is no encoding"):
            parse_encoding(str(numbers))


@pytest.mark.parametrize(
    "text", ["s3_0_c1_c0_1", " S3_0_C1_C0_1 ", "3,0,1,0,1", "[3, 0, 1, 0, 1]", "(3,0,1,0,1)"]
)
def test_spellings_of_an_encoding(text: str) -> None:
    """Case, spaces and brackets do not matter."""
    assert parse_encoding(text) == encode(3, 0, 1, 0, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "HCR_EL2",
        "A_B_C_D_E",
        "S3_0_1_C0_1",
        "S3_0_C1_0_1",
        "T3_0_C1_C0_1",
        "S3_0_C1_C0",
        "S3_0_C1_C0_1_2",
        "S_0_C1_C0_1",
        "S3_0_C1_C0_1111",
        "S3_0_C-1_C0_1",
        "S3_0_C¹_C0_1",
        "3,0,1,0",
        "3,0,1,0,x",
        "3,0,1,0,+1",
    ],
)
def test_what_is_no_encoding_is_left_to_others(text: str) -> None:
    """A text of neither form may still be a name."""
    assert parse_encoding(text) is None


@given(st.text(max_size=24) | st.text("Ss30_,C1() ", max_size=24))
def test_no_text_surprises(text: str) -> None:
    """Any text is an encoding, none, or one with an operand out of range."""
    with suppress(UsageError):
        encoding = parse_encoding(text)
        assert encoding is None or encoding in ALL


# ---- accesses ---------------------------------------------------------------------


def test_accesses_are_equal_by_what_they_mean() -> None:
    """However the encoding was written, it is the same access; a name is another."""
    numbered, generic = Access(encode(3, 0, 1, 0, 1)), Access("S3_0_C1_C0_1")
    named = Access("ACTLR_EL1")
    assert numbered == generic
    assert hash(numbered) == hash(generic)
    assert numbered != named
    assert numbered != Access(generic.encoding, write=True)
    assert numbered != "read S3_0_C1_C0_1"


@pytest.mark.parametrize(
    ("access", "said"),
    [
        (Access(encode(3, 0, 1, 0, 1)), "read S3_0_C1_C0_1"),
        (Access("(3, 0, 1, 0, 1)", write=True), "write S3_0_C1_C0_1"),
        (Access("ACTLR_EL1"), "read ACTLR_EL1"),
        (Access(""), "read "),
    ],
)
def test_an_access_prints_as_it_is_asked_for(access: Access, said: str) -> None:
    """Direction and register, as on the command line."""
    assert repr(access) == said
    assert said.startswith(f"{access.direction} ")


@pytest.mark.parametrize("encoding", [-1, ENCODINGS])
def test_an_access_has_an_encoding(encoding: int) -> None:
    """A number beyond 16 bits is no encoding."""
    with pytest.raises(UsageError, match="does not fit 16 bits"):
        Access(encoding)


# ---- the catalogue ----------------------------------------------------------------


def test_names_and_encodings_of_the_catalogue(linux: Table) -> None:
    """Every name is found, in any case, and is the name of its encoding for its directions."""
    for name, encoding, flags in linux.names:
        assert linux.names.find(name) == encoding
        assert linux.names.spelled(name.lower()) == name
        assert "r" in flags or "w" in flags
        for flag, write in (("r", False), ("w", True)):
            if flag in flags:
                assert linux.name_of(encoding, write) == name
        if encoding < ENCODINGS:
            assert linux.encoding(generic_name(encoding)) == encoding


def test_two_registers_may_share_an_encoding(linux: Table) -> None:
    """Of DBGDTRRX_EL0 and DBGDTRTX_EL0 the direction says which one is meant."""
    encoding = linux.names.find("DBGDTRRX_EL0")
    assert linux.names.find("DBGDTRTX_EL0") == encoding
    assert linux.name_of(encoding, write=False) == "DBGDTRRX_EL0"
    assert linux.name_of(encoding, write=True) == "DBGDTRTX_EL0"


def test_an_encoding_without_a_name_has_its_generic_one(linux: Table) -> None:
    """What the catalogue does not know still has a name."""
    assert linux.name_of(encode(3, 7, 15, 15, 7)) == "S3_7_C15_C15_7"


def test_a_direction_that_no_register_has(linux: Table) -> None:
    """The name is the other direction's, unless that is not asked for."""
    encoding = linux.names.find("REVIDR_EL1")
    assert linux.names.of(encoding, write=True) == "REVIDR_EL1"
    assert linux.names.of(encoding, write=True, strict=True) == ""
