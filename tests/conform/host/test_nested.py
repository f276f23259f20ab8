"""Excursions to L2: the recorded ones, and lines that are none."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.conform.host.nested import judge_excursion, judge_status
from nvtrap.conform.verdicts import Score
from nvtrap.errors import UsageError

RECORDED = Path(__file__).parents[2] / "vectors/nested-vgic/excursions.jsonl.gz"


def recorded() -> list[dict[str, Any]]:
    """Every line."""
    with gzip.open(RECORDED) as lines:
        return [json.loads(line) for line in lines]


LINES = recorded()
EXCURSION = next(line for line in LINES if line["kind"] == "excursion" and "maint" in line)
STATUS = next(line for line in LINES if line["kind"] == "status")


def judged(line: dict[str, Any]) -> Score:
    """The score of a line of either kind."""
    return (judge_excursion if line["kind"] == "excursion" else judge_status)(line)


def test_every_recorded_excursion_and_status_passes() -> None:
    """Both forms of the kernel, 4 to 16 list registers, 5 to 7 preemption bits."""
    assert len(LINES) == 900
    assert [line["id"] for line in LINES if judged(line).problem] == []


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything that is no object or list."""
    if isinstance(value, dict):
        return [leaf for key in value for leaf in leaves(value[key], (*path, key))]
    if isinstance(value, list):
        return [leaf for n, item in enumerate(value) for leaf in leaves(item, (*path, n))]
    return [path]


SCORED = ("load", "hw_entry", "sync", "maint", "put", "hw_final", "status", "mi")


@pytest.mark.parametrize("line", [EXCURSION, STATUS], ids=lambda line: str(line["kind"]))
def test_every_scored_value_counts(line: dict[str, Any]) -> None:
    """Any of them changed is a failure that names it; what the kernel loses is not scored."""
    paths = [path for path in leaves(line) if path[0] in SCORED and "hw_eoicount" not in path]
    assert paths
    for path in paths:
        changed = json.loads(json.dumps(line))
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        old = holder[path[-1]]
        holder[path[-1]] = (
            1 - old if old in (0, 1) else "0x123" if isinstance(old, str) else old + 1
        )
        assert str(path[-2] if isinstance(path[-1], int) else path[-1]) in judged(changed).problem


@given(st.sampled_from(leaves(EXCURSION)), st.none() | st.integers() | st.text(max_size=5))
def test_a_broken_line_gets_a_verdict_or_a_sentence(path: tuple[Any, ...], value: Any) -> None:
    """Never anything else."""
    broken = json.loads(json.dumps(EXCURSION))
    holder = broken
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    with suppress(UsageError):
        assert isinstance(judge_excursion(broken).problem, str)


@pytest.mark.parametrize("key", ["l1", "irqs", "hw_after", "load", "put", "nr_lr", "version"])
def test_a_missing_member_is_named(key: str) -> None:
    """By its name."""
    with pytest.raises(UsageError, match=f"the line has no `{key}`"):
        judge_excursion({name: value for name, value in EXCURSION.items() if name != key})
