"""What a query costs before it begins: the modules it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.helpers import ROOT, Program

HEAVY = {
    "lark",
    "rich",
    "numpy",
    "dataclasses",
    "pyroaring",
    "inspect",
    "typing",
    "pathlib",
    "nvtrap.lang",
    "nvtrap.compile",
    "nvtrap.analysis",
}
SCRIPT = """\
import sys
sys.path.insert(0, sys.argv[1])
from nvtrap.cli import main
code = main(sys.argv[2:])
print(*sorted(sys.modules), file=sys.stderr)
sys.exit(code)
"""


def modules(folder: Path, *words: str) -> set[str]:
    """The modules that a fresh process has imported when the command ends.

    Without `site`, whose start-up files may import anything.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", SCRIPT, str(ROOT), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "words",
    [
        ["REVIDR_EL1"],
        ["-w", "tlbi vae1is", "--set", "HCR_EL2.TTLB=1", "--set", "CPTR_EL2.TTA=1"],
        ["0x623c0001", "--el", "0", "--res0", "HCR_EL2=1", "--fgu", "HFGxTR=1"],
        ["REVIDR_EL1", "--why"],
        ["REVIDR_EL1", "--json"],
        ["CNTP_CTL_EL0", "--state", "state.json"],
        ["TTBR0_EL1", "--table", "demo.trap"],
    ],
    ids=" ".join,
)
def test_a_query_imports_nothing_heavy(program: Program, demo: Path, words: list[str]) -> None:
    """From the cache, a query needs none of the libraries that cost start-up time."""
    (demo / "state.json").write_text('{"HCR_EL2": {"E2H": 1}, "el": 0}', encoding="utf-8")
    assert program("query", *words, folder=demo).code == 0  # fills the cache
    assert modules(demo, "query", *words) & HEAVY == set()
