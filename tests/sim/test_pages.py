"""The page of the language: its examples run and hold, and it leaves nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nvtrap.places import grammar_root
from nvtrap.sim import Runner, parse

PAGE = Path(grammar_root(), "sim.md").read_text(encoding="utf-8")
GRAMMAR = Path(grammar_root(), "sim.lark").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sim\n(.*?)```", PAGE, re.DOTALL)
BEHIND = next(example for example in EXAMPLES if example.startswith('scenario "an example"'))


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_holds(example: str) -> None:
    """By itself, or behind the lines that the page says."""
    text = example if example.startswith("scenario") else BEHIND + example
    runner = Runner(parse("example", text))
    assert [record.to_json() for record in runner.run()]
    assert runner.summary.holds


def test_every_word_of_the_grammar_is_on_the_page() -> None:
    """Keywords are told in code, alone or in a form."""
    words = set(re.findall(r'"([A-Za-z0-9]+)"', GRAMMAR)) - {"byte"}
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`|```sim.*?```", PAGE, re.DOTALL))))
    assert sorted(words - told) == []
