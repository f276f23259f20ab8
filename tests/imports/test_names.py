"""The kernel's names, its constants, and bits in the words of the catalogue."""

from __future__ import annotations

import pytest

from nvtrap.arch import generic_name, parse_encoding
from nvtrap.compile import Loader, catalogue
from nvtrap.errors import UsageError
from nvtrap.imports import constants, ctext
from nvtrap.imports.controls import control_name
from nvtrap.imports.ctext import NotUnderstoodError, Token
from nvtrap.imports.fields import FieldNames
from nvtrap.imports.names import Names
from nvtrap.lang.findings import Report
from nvtrap.lang.source import Source


def tokens(text: str) -> list[Token]:
    """The tokens of a piece of C."""
    return ctext.read(Source("x.c", "x.c", text), Report()).tokens


@pytest.fixture(scope="module", name="known")
def _known() -> catalogue.Catalogue:
    program = Loader().load_text('use "registers"\n', "use", ".")
    return catalogue.build(program.statements, Report())


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("SYS_REVIDR_EL1", "REVIDR_EL1"),
        ("OP_TLBI_VAE1NXS", "TLBI_VAE1NXS"),
        ("SYS_APIAKEYLO_EL1", "APIAKeyLo_EL1"),
        ("SYS_TRCACATR(3)", "TRCACATR3"),
        ("SYS_AMEVCNTR0_EL0(2)", "AMEVCNTR02_EL0"),
        ("SYS_BRBINF_EL1(7)", "BRBINF7_EL1"),
        ("SYS_AMEVCNTVOFF0n_EL2(0)", "AMEVCNTVOFF00_EL2"),
        ("SYS_DBGBVRn_EL1(15)", "DBGBVR15_EL1"),
        ("SYS_SPMEVFILT2Rn_EL0(0x1)", "SPMEVFILT2R1_EL0"),
        ("SYS_FPMR", "FPMR"),
        ("sys_reg(3, 0, 0, 7, 7)", "S3_0_C0_C7_7"),
        ("sys_insn(1, 0, 8, 7, 1)", "S1_0_C8_C7_1"),
    ],
)
def test_encodings(known: catalogue.Catalogue, written: str, name: str) -> None:
    """Prefixes, letters of either case, and an array's number as an argument."""
    encoding, spelled = Names(known, Report()).encoding(tokens(written))
    assert spelled == ("" if name.startswith("S") and name[1].isdigit() else name)
    expected = parse_encoding(name) if not spelled else known.elements[name].encoding
    assert generic_name(encoding) == generic_name(expected or 0)


@pytest.mark.parametrize(
    "written", ["SYS_NOT_EL1", "SYS_DBGBVRn_EL1(16)", "SYS_DBGBVRn_EL1(n)", "3", "X(1)(2)", "a b"]
)
def test_encodings_that_are_none(known: catalogue.Catalogue, written: str) -> None:
    """Each is told."""
    with pytest.raises(UsageError):
        Names(known, Report()).encoding(tokens(written))


@pytest.mark.parametrize(
    ("name", "register", "value"),
    [
        ("HCR_TID1", "HCR_EL2", 1 << 16),
        ("HCR_EL2_TID1", "HCR_EL2", 1 << 16),
        ("HCR_TPC", "HCR_EL2", 1 << 23),
        ("HCR_ENSCXT", "HCR_EL2", 1 << 53),
        ("HCR_TAC", "HCR_EL2", 1 << 21),
        ("MDCR_EL2_E2PB_SHIFT", "MDCR_EL2", 12),
        ("MDCR_EL2_HPMN_MASK", "MDCR_EL2", 31),
        ("MDCR_EL2_HPMN_WIDTH", "MDCR_EL2", 5),
        ("HCRX_EL2_EnFPM", "HCRX_EL2", 1 << 23),
        ("ICH_HCR_TC", "ICH_HCR_EL2", 1 << 10),
        ("ICH_HCR_EL2_TC", "ICH_HCR_EL2", 1 << 10),
        ("CNTHCTL_EL1PCTEN", "CNTHCTL_EL2", 1),
        ("CNTHCTL_EL1TVT", "CNTHCTL_EL2", 1 << 13),
        ("CPTR_EL2_TTA", "CPTR_EL2", 1 << 20),
        ("CPACR_ELx_TTA", "CPTR_EL2", 1 << 28),
        ("CPACR_EL1_E0POE", "CPTR_EL2", 1 << 29),
    ],
)
def test_bits(known: catalogue.Catalogue, name: str, register: str, value: int) -> None:
    """Long and short names of a register, aliases, layouts, shifts and masks."""
    assert FieldNames(known, Report()).constant(tokens(name)[0], register) == value


@pytest.mark.parametrize(
    ("register", "mask", "value", "text"),
    [
        ("HCR_EL2", 1 << 16, 1 << 16, "HCR_EL2.TID1 == 1"),
        ("HCR_EL2", 1 << 23, 0, "HCR_EL2.TPCP == 0"),
        ("HCR_EL2", 0xF << 42, 1 << 42, "HCR_EL2.{NV2, AT, NV1, NV} == 0b0001"),
        ("MDCR_EL2", 0x1F, 3, "MDCR_EL2.HPMN == 0b00011"),
        ("MDCR_EL2", 0x3, 1, "MDCR_EL2[1:0] == 0b01"),
        ("CPTR_EL2", 1 << 20, 1 << 20, "CPTR_EL2[20] == 1"),
        ("CPTR_EL2", 1 << 29 | 1 << 20, 1 << 20, "CPTR_EL2[29] == 0 and CPTR_EL2[20] == 1"),
    ],
)
def test_conditions(
    known: catalogue.Catalogue, register: str, mask: int, value: int, text: str
) -> None:
    """Whole fields by name, what moves or is part of a field by number."""
    assert FieldNames(known, Report()).condition(register, mask, value) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("0x1fUL", 31),
        ("010", 8),
        ("0b11", 3),
        ("BIT(3) | BIT_ULL(63)", 1 << 63 | 8),
        ("1UL << 4 | 2", 18),
        ("(1 | 2) & ~1", 2),
        ("GENMASK(5, 4)", 48),
        ("1 << 2 + 1", 8),
        ("6 ^ 3", 5),
        ("0x80 >> 3", 16),
        ("UL(7) - 2", 5),
        ("1 << 64", 0),
        ("~0", (1 << 64) - 1),
        ("A + 1", 43),
    ],
)
def test_constants(text: str, value: int) -> None:
    """C's operators on bits, in C's order."""
    assert constants.evaluate(tokens(text), lambda _: 42) == value


@pytest.mark.parametrize("text", ["1 |", "| 1", "(1", "1)", "1 2", "X(1)", "BIT(64)", "BIT()", "?"])
def test_what_is_no_constant(text: str) -> None:
    """Each is told with its place."""
    with pytest.raises(NotUnderstoodError) as caught:
        constants.evaluate(tokens(text), lambda _: 42)
    assert caught.value.span.line == 1


@pytest.mark.parametrize(
    ("id_", "name"),
    [
        ("CGT_HCR_TID1", "HCR.TID1"),
        ("CGT_ICH_HCR_TC_TDIR", "ICH_HCR.TC_TDIR"),
        ("CGT_HCR_IMO_FMO_ICH_HCR_TC", "HCR.IMO_FMO_ICH_HCR_TC"),
        ("CGT_X", "CGT.X"),
        ("CGT_HCR_1", "HCR._1"),
    ],
)
def test_names_of_controls(id_: str, name: str) -> None:
    """The kernel's id with its register before the point."""
    assert control_name(id_) == name
