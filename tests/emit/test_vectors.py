"""Test vectors in C: run against the generated C, and against one that is wrong."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from nvtrap import load
from nvtrap.emit import Emission, rendered
from nvtrap.emit.vectors import vectors
from tests.emit.drivers import LICENCE, WARNINGS
from tests.engine.helpers import SMALL, table_of

MAIN = """\
#include <stdio.h>
#include "vectors.h"

int main(void)
{{
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < {upper}_VECTORS; i++)
		wrong += !{p}_vector_holds(&{p}_vectors[i]);
	printf("%u %u", wrong, (unsigned int){upper}_VECTORS);
	return 0;
}}
"""


def run(emission: Emission, other: Emission, folder: Path) -> tuple[int, int]:
    """(wrong, all): the vectors of a table, run against the C of another of its name."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    p = emission.prefix
    for ending, text in rendered(other, "c", LICENCE, "table.h").items():
        (folder / f"table{ending}").write_text(text, encoding="utf-8")
    (text,) = rendered(emission, "vectors", LICENCE, "table.h").values()
    (folder / "vectors.h").write_text(text, encoding="utf-8")
    (folder / "main.c").write_text(MAIN.format(p=p, upper=p.upper()), encoding="utf-8")
    command = ["gcc", *WARNINGS, "table.c", "main.c", "-o", "main"]
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run(["./main"], cwd=folder, capture_output=True, text=True, check=True)
    wrong, count = map(int, done.stdout.split())
    return wrong, count


@pytest.mark.parametrize("name", ["linux-6.12", "arch"])
def test_the_generated_table_passes_its_vectors(name: str, tmp_path: Path) -> None:
    """Every one, and every part of the table that anything can decide is in one."""
    emission = Emission(load(name))
    wrong, count = run(emission, emission, tmp_path)
    found = list(vectors(emission))
    assert (wrong, count) == (0, len(found))
    deciding = {
        emission.part_number(vector.outcome.part) for vector in found if vector.outcome.part
    }
    assert len(deciding) > 0.9 * len(emission.parts)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("HCR_EL2.TID1 == 1", "HCR_EL2.TID1 == 0"),
        ("trap DC_X fine HFGI.DC", "trap DC_X fine HFGI.DC (unless HCR_EL2.NV == 0)"),
        ("trap TRCID_EL1 by", "trap read TRCID_EL1 by"),
        ("reported as 0x7", "reported as 0x8"),
        ("at 0x10 when", "at 0x18 when"),
        ("hypervisor context when EL == 2 or", "hypervisor context when"),
    ],
)
def test_vectors_notice_another_table(old: str, new: str, tmp_path: Path) -> None:
    """A change of behaviour makes some vector fail."""
    assert old in SMALL
    right, changed = (Emission(table_of(text)) for text in (SMALL, SMALL.replace(old, new)))
    wrong, count = run(right, changed, tmp_path)
    assert 0 < wrong < count


def test_a_table_without_rules_has_one_vector_a_context(tmp_path: Path) -> None:
    """And its header compiles: nothing has an entry."""
    emission = Emission(table_of("table none {}\n"))
    assert {vector.outcome.step for vector in vectors(emission)} == {"no-entry"}
    assert run(emission, emission, tmp_path) == (0, 8)
