"""The reference in Markdown."""

from __future__ import annotations

import re

import pytest

from nvtrap import load
from nvtrap.emit import Emission, rendered
from tests.engine.helpers import SMALL, table_of


def page_of(emission: Emission) -> str:
    """The page of a table."""
    (text,) = rendered(emission, "markdown", "MIT", "").values()
    return text


@pytest.mark.parametrize("name", ["linux-6.12", "arch"])
def test_everything_is_on_the_page(name: str) -> None:
    """Every control and every named register with a rule, with the line of the rule."""
    emission = Emission(load(name))
    page = page_of(emission)
    for control in emission.control_list:
        (row,) = re.findall(rf"^\| `{re.escape(control.name)}` \| .*$", page, re.MULTILINE)
        assert f"| `{control.place}` |" in row
    for first, last, number in emission.ranges:
        row = re.search(
            rf"^\| `{re.escape(emission.range_name(first, last))}` \| .*$", page, re.MULTILINE
        )
        assert row is not None
        for part in emission.rules[number].rule.coarse:
            assert str(part.place) in page


def test_rows_have_the_cells_of_their_table() -> None:
    """Bars of conditions and reasons are escaped."""
    text = SMALL.replace('because "nothing there"', 'because "a | b `c` <d>"')
    width = 0
    for line in page_of(Emission(table_of(text))).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line))
        width = (width or cells) if line.startswith("|") else 0
        assert cells == width, line


def test_a_rule_is_told_in_words() -> None:
    """Directions, levels, guards, memory and gaps."""
    page = page_of(Emission(table_of(SMALL)))
    for words in (
        "| `GAP_EL1` | `S3_0_C9_C0_3` | nothing: nothing there |",
        "| `MDCR.BOTH` | combo | read, write | `MDCR.TPM \\| HCR.TID1` | `ONE_EL1` |",
        "memory at VNCR\\_EL2 + `0x10`",
        "`HFGRTR_EL2.nPIR` / `HFGWTR_EL2.nPIR`",
        "(also in host EL0)",
    ):
        assert words in page, words
