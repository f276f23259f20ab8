"""The layouts: whole, without overlaps, and as others have them."""

from __future__ import annotations

import gzip
import json
import re
from itertools import combinations
from pathlib import Path

import pytest

from nvtrap import Table, load
from nvtrap.errors import UnknownNameError, UsageError
from nvtrap.gic.codecs import Field, Register, find
from tests.gic.codecs.helpers import ALL, NAMES

# ICC_, ICH_ and ICV_ registers of Arm's own model (Sail, v9.4): field → [msb, lsb].
MODEL = Path(__file__).parents[2] / "vectors" / "arch" / "gic-fields-v9.4.json.gz"
FIELDS: dict[str, dict[str, list[int]]] = json.loads(gzip.decompress(MODEL.read_bytes()))

MEMORY_MAPPED = [
    line
    for line in Path(__file__).with_name("model.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]

each_register = pytest.mark.parametrize("register", ALL, ids=lambda register: register.name)


@pytest.fixture(scope="module")
def arch() -> Table:
    """The architecture's table, for its catalogue."""
    return load("arch")


def positions(register: Register) -> dict[str, tuple[int, int]]:
    """Field → (msb, lsb), arrays element by element."""
    found = {}
    for field in register.fields:
        if not field.each:
            found[field.name] = (field.msb, field.lsb)
            continue
        stem = field.name.partition("<")[0]
        for number in range(field.width // field.each):
            low = field.lsb + number * field.each
            found[f"{stem}{number}"] = (low + field.each - 1, low)
    return found


def together(one: Field, other: Field) -> bool:
    """Whether a value can have both."""
    if one.when is None or other.when is None:
        return True
    return one.when[0] != other.when[0] or bool(set(one.when[1]) & set(other.when[1]))


@each_register
def test_fields_lie_inside_and_apart(register: Register) -> None:
    """No field leaves the register, none overlaps another that is there with it."""
    assert register.fields
    for field in register.fields:
        assert 0 <= field.lsb <= field.msb < register.width
        assert not field.each or field.width % field.each == 0
        assert all(0 <= value < 1 << field.width for value in field.values)
        assert 0 <= field.default < 1 << field.width
        if field.when is not None:
            selector = register.selector(field.when[0])
            assert all(0 <= value < 1 << selector.width for value in field.when[1])
    for one, other in combinations(register.fields, 2):
        if together(one, other):
            assert one.name != other.name
            assert not one.mask & other.mask, (one.name, other.name)


@each_register
def test_fields_stand_in_the_order_of_the_manual(register: Register) -> None:
    """From the highest bit down; a command's from DW0 on."""
    words = [field.lsb // 64 for field in register.fields]
    assert words == sorted(words)
    tops = [field.msb for field in register.fields]
    assert register.width > 64 or tops == sorted(tops, reverse=True)


def test_every_name_is_there_once() -> None:
    """All families have their registers, under names of their own."""
    found = [register.name for register in ALL]
    assert len(found) == len(set(found)) > 200
    for name in NAMES:
        register, index = find(name)
        assert register.spelled(index) == name
    for prefix in ("ICH", "ICC", "ICV", "GICD", "GICR", "GITS", "ITS", "LPI"):
        assert any(name.startswith(f"{prefix}_") for name in found)


@pytest.mark.parametrize("name", FIELDS)
def test_layouts_are_those_of_the_model(name: str) -> None:
    """Every field where Arm's model has it, and none that the model does not have.

    The model has no name for a list register's EOI bit, which lies inside pINTID, and
    none for what is IMPLEMENTATION DEFINED.
    """
    register, _ = find(re.sub(r"_(S|NS)$", "", name))
    ours = {field: list(bits) for field, bits in positions(register).items()}
    assert FIELDS[name].items() <= ours.items()
    more = ours.keys() - FIELDS[name].keys()
    assert all(field == "EOI" or (field[0] == "P" and "AP" in name) for field in more)


@pytest.mark.parametrize("line", MEMORY_MAPPED)
def test_layouts_in_memory_are_those_of_the_model(line: str) -> None:
    """Where the model has a field of a memory-mapped register."""
    name, width, *fields = line.split()
    register, _ = find(name)
    ours = positions(register)
    assert register.width == int(width)
    for field in fields:
        spelled, _, bits = field.partition("=")
        high, _, low = bits.partition(":")
        assert ours[spelled] == (int(high), int(low)), spelled


def test_layouts_are_those_of_the_catalogue(arch: Table) -> None:
    """Names, and fields where the rules' catalogue has them."""
    catalogue = [entry[0] for entry in arch.names if entry[0].startswith(("ICC_", "ICH_"))]
    compared = 0
    for name in catalogue:
        register, index = find(name)
        assert register.spelled(index) == name
        ours = positions(register)
        for field, layouts in arch.fields.of(name).items():
            for layout in layouts:
                high, _, low = layout["bits"].partition(":")
                assert ours[field] == (int(high), int(low or high)), (name, field)
                compared += 1
    assert compared > 30
    aarch64 = re.compile(r"IC[CH]_.*_EL[123]")
    for register in ALL:
        if aarch64.fullmatch(register.name):
            spelled = [register.spelled(n) for n in register.indexes or [None]]
            assert set(spelled) <= set(catalogue)
            assert arch.encoding(spelled[0]) is not None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ich_lr0_el2", ("ICH_LR<n>_EL2", 0)),
        (" ICH_LR15_EL2 ", ("ICH_LR<n>_EL2", 15)),
        ("ICH_LR_EL2", ("ICH_LR<n>_EL2", None)),
        ("ICH_LRn_EL2", ("ICH_LR<n>_EL2", None)),
        ("ICH_LR<n>_EL2", ("ICH_LR<n>_EL2", None)),
        ("ICH_LR3", ("ICH_LR<n>", 3)),
        ("ICH_LRC3", ("ICH_LRC<n>", 3)),
        ("ICH_AP1R2_EL2", ("ICH_AP1R<n>_EL2", 2)),
        ("ICC_HSRE", ("ICC_HSRE", None)),
        ("GICD_ISENABLER3", ("GICD_ISENABLER<n>", 3)),
        ("GICD_ISENABLER3E", ("GICD_ISENABLER<n>E", 3)),
        ("GICD_IROUTER1019", ("GICD_IROUTER<n>", 1019)),
        ("GICR_ISENABLER0", ("GICR_ISENABLER0", None)),
        ("GICR_VPENDBASER_v4p1", ("GICR_VPENDBASER_v4p1", None)),
    ],
)
def test_names_are_found(name: str, found: tuple[str, int | None]) -> None:
    """In any case, with an index or without."""
    register, index = find(name)
    assert (register.name, index) == found


@pytest.mark.parametrize(
    "name",
    [
        *("", "ICH", "ICH_", "ICH_LRX_EL2", "ICH_LR01_EL2", "ICH_LR-1_EL2", "ICH_LR٣_EL2"),
        *("HCR_EL2", "GICD_ISENABLER3EE", "GICR_ISENABLER1", f"ICH_LR{'9' * 9999}_EL2"),
    ],
)
def test_names_that_are_none_are_told(name: str) -> None:
    """Whatever they are."""
    with pytest.raises(UnknownNameError, match="unknown register"):
        find(name)


@pytest.mark.parametrize(
    ("name", "range_"),
    [
        ("ICH_LR16_EL2", "0 to 15"),
        ("ICH_AP0R4_EL2", "0 to 3"),
        ("GICD_IROUTER31", "32 to 1019"),
        ("GICR_ISENABLER0E", "1 to 2"),
        ("GITS_BASER8", "0 to 7"),
    ],
)
def test_an_index_beyond_the_array_is_told_with_its_range(name: str, range_: str) -> None:
    """It is no misspelt name."""
    with pytest.raises(UsageError, match=f"there is no `{name}`") as caught:
        find(name)
    assert caught.value.help.endswith(range_)


def test_misspelt_registers_get_suggestions() -> None:
    """The closest are in the help."""
    with pytest.raises(UnknownNameError) as caught:
        find("ICH_VMRC_EL2")
    assert "`ICH_VMCR_EL2`" in caught.value.help
