"""Generated C and Rust, compiled natively and held against the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings

from nvtrap import load
from nvtrap.emit import Emission
from nvtrap.engine import STEPS, State
from tests.emit.drivers import c_program, hold, hold_randomly, random_accesses, rust_program
from tests.engine.helpers import SMALL, examples, table_of
from tests.strategies import ACCESSES, states, tables

Compiler = Callable[[Emission, Path], Path]
LANGUAGES = pytest.mark.parametrize("compiler", [c_program, rust_program])
# Without features of their own, and with them.
SHIPPED = {
    "linux-6.12": {*STEPS} - {"feature"},
    "arch": {*STEPS} - {"fgu"},
}


@LANGUAGES
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_tables_decide_as_the_engine_does(
    compiler: Compiler, name: str, tmp_path: Path
) -> None:
    """100,000 random cases: outcome, step, deciding part, exception class and memory."""
    table = load(name)
    program = compiler(Emission(table), tmp_path)
    steps = hold_randomly(program, table, states=400, accesses=250, seed=7)
    assert steps == SHIPPED[name]


@LANGUAGES
def test_the_small_table_decides_as_the_engine_does(compiler: Compiler, tmp_path: Path) -> None:
    """It has what the shipped ones lack: host EL0, features with a key, every kind of guard."""
    table = table_of(SMALL)
    program = compiler(Emission(table), tmp_path)
    assert hold_randomly(program, table, states=500, accesses=40, seed=1) == {*STEPS}


@LANGUAGES
@pytest.mark.parametrize("text", ["table none {}\n", ""])
def test_a_table_of_nothing_compiles(compiler: Compiler, text: str, tmp_path: Path) -> None:
    """No registers, groups, controls or features: no empty array, no unused parameter."""
    table = table_of(text)
    program = compiler(Emission(table), tmp_path)
    assert hold_randomly(program, table, states=2, accesses=20, seed=2) == {"no-entry"}


# The folder is emptied by nobody: every example overwrites the files of the one before.
@settings(max_examples=examples(12))
@given(text=tables(), situations=states())
def test_random_tables_in_c(
    tmp_path_factory: pytest.TempPathFactory, text: str, situations: State
) -> None:
    """Whatever rules say, the C compiles without a warning and decides as the engine does."""
    table = table_of(text)
    emission = Emission(table)
    program = c_program(emission, tmp_path_factory.mktemp("random"))
    named = [(table.encoding(name), write) for name in ACCESSES for write in (False, True)]
    hold(program, emission, [(situations, named)])
    hold_randomly(program, table, states=60, accesses=40, seed=3)


AWKWARD = """
register IF = S3_0_C15_C0_0 { A [0] }
register If_ = S3_0_C15_C0_1 { A [63:60, 3:0] }
register UINT64_T = S3_0_C15_C0_2 { A [0] }
register REG<n: 0..2> = S3_0_C15_C1_<n>
instruction NONE
instruction PARTS
control A_B.C traps any when IF.A == 1
condition A.B_C traps any when If_.A >= 0x7f and UINT64_T.A <= 1
condition A.b_c traps any when access.index < If_.A
trap REG0 by A_B.C
trap REG<1..2> by A.b_c
trap NONE, PARTS by A.B_C
table struct {
    hypervisor context when EL == 2
}
"""


@LANGUAGES
def test_names_that_mean_something_elsewhere(compiler: Compiler, tmp_path: Path) -> None:
    """Keywords, types, names of the generated code, and names that differ in case alone."""
    table = table_of(AWKWARD)
    emission = Emission(table)
    assert len(set(emission.members.values())) == len(emission.members) == 3
    program = compiler(emission, tmp_path)
    accesses = random_accesses(emission, Random(4), 200)
    hold(program, emission, [(State({"If_": 0xF << 60}), accesses), (State({"IF": 1}), accesses)])
