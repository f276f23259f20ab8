"""Recordings of the host for the tests of their judges, and ways to spoil them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from nvtrap.conform.kinds import JUDGES
from nvtrap.conform.verdicts import Score

VECTORS = Path(__file__).parents[2] / "vectors" / "host-core"
Path_ = tuple[str | int, ...]


@cache
def _lines(kind: str) -> list[str]:
    with gzip.open(VECTORS / f"{kind}.jsonl.gz", "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def recorded(kind: str) -> list[dict[str, Any]]:
    """The lines of one kind, each its own object."""
    return [json.loads(line) for line in _lines(kind)]


def judge(record: dict[str, Any]) -> Score:
    """The score of a line, by the judge of its kind."""
    module, name = JUDGES[record["kind"]]
    score: Score = getattr(import_module(module), name)(record)
    return score


def leaves(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """The ways to all values that are neither objects nor lists."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from leaves(inner, (*path, key))
    else:
        yield path


def at(value: Any, path: Path_) -> Any:
    """What stands at the end of a way."""
    for key in path:
        value = value[key]
    return value


def replaced(record: dict[str, Any], path: Path_, value: Any) -> dict[str, Any]:
    """The record with another value at the end of a way."""
    copy = deepcopy(record)
    at(copy, path[:-1])[path[-1]] = value
    return copy


def without(record: dict[str, Any], path: Path_) -> dict[str, Any]:
    """The record without the value at the end of a way."""
    copy = deepcopy(record)
    del at(copy, path[:-1])[path[-1]]
    return copy


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value - 1
    if isinstance(value, str) and value.startswith("0x"):
        return f"{int(value, 16) ^ 1:#x}"
    return f"{value}0"
