"""The GIC model: a guest's acknowledge and EOI, and fresh machines."""

from __future__ import annotations

import gzip
import json
from itertools import cycle, islice
from pathlib import Path

from nvtrap.conform.sequences import Operation, Runner
from nvtrap.gic import Machine
from tools.benchmarks import measure
from tools.benchmarks.bench import Bench
from tools.benchmarks.figures import Measured, figure

SEQUENCES = Path(__file__).parents[2] / "tests/vectors/qemu-gic/sequences.jsonl.gz"
OPERATIONS = 50
MACHINES = 500


@figure("virtual acknowledge + EOI, 4 list registers", "pairs/s", scale="code", least=300_000)
def gic_pairs(bench: Bench) -> Measured:
    """Write ICH_LR0_EL2, read ICC_IAR1_EL1, write ICC_EOIR1_EL1, by the registers' names."""
    del bench
    pe = Machine().pes[0]
    pe.msr("HCR_EL2", 2, 0x8000_0018)
    pe.msr("ICH_HCR_EL2", 2, 1)
    pe.msr("ICH_VMCR_EL2", 2, 0xF84C_0002)
    pair = (
        'msr("ICH_LR0_EL2", 2, 0x50a000000000001b); mrs("ICC_IAR1_EL1", 1); '
        'msr("ICC_EOIR1_EL1", 1, 27)'
    )
    return Measured(1e9 / measure.loop_ns(pair, {"msr": pe.msr, "mrs": pe.mrs}))


@figure("fresh machines, 50 recorded operations each", "machines/s", scale="code", least=2_000)
def gic_machines(bench: Bench) -> Measured:
    """A machine out of reset and 50 operations of a recorded sequence, again and again."""
    del bench
    with gzip.open(SEQUENCES) as lines:
        recorded = [json.loads(line)["ops"] for line in lines]
    long = [ops[:OPERATIONS] for ops in recorded if len(ops) >= OPERATIONS]
    programs = [[Operation(op) for op in ops] for ops in islice(cycle(long), MACHINES)]

    def run_all() -> None:
        for program in programs:
            run = Runner().run
            for operation in program:
                run(operation)

    return Measured(MACHINES / measure.call_s(run_all))
