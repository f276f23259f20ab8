"""Rule text in its canonical layout, held against what was given."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

from nvtrap.errors import NvtrapError
from nvtrap.lang.findings import Report
from nvtrap.lang.formatting.breaking import rows
from nvtrap.lang.formatting.columns import lines
from nvtrap.lang.formatting.layout import plan
from nvtrap.lang.formatting.tokens import tokens
from nvtrap.lang.parse import parse
from nvtrap.lang.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.lang import nodes
    from nvtrap.lang.formatting.tokens import Token


def format_source(source: Source, report: Report) -> str | None:
    """The text of a source in its canonical layout; none when it does not parse.

    What is wrong with it is reported. Raises `NvtrapError` should the layout change the syntax
    tree or lose a comment, which would be an error in this package.
    """
    own = Report()
    file = parse(source, own)
    for finding in own.findings:
        report.include(finding)
    if own.has_errors:
        return None
    found = tokens(source)
    text = _laid_out(found)
    if text != source.text:
        _verify(file, _comments(found), text)
    return text


def _laid_out(found: list[Token]) -> str:
    return "".join(f"{line}\n" for line in lines(list(rows(plan(found), found))))


def _verify(file: nodes.File, comments: list[str], text: str) -> None:
    """Raise if a text is not what the file was: its tree, and its comments in their order."""
    report = Report()
    source = Source(file.source.path, file.source.display, text)
    again = parse(source, report)
    same = not report.findings and meaning(again.statements) == meaning(file.statements)
    if not same or _comments(tokens(source)) != comments:
        problem = f"the layout of `{source.display}` would change what it says"
        raise NvtrapError(problem, "this is an error in nvtrap; the file is left as it is")


def _comments(found: list[Token]) -> list[str]:
    return [comment for token in found for comment in token.comments]


def meaning(node: object) -> object:
    """A syntax tree (or a tuple of them) without places, to be compared."""
    if isinstance(node, tuple):
        return tuple(map(meaning, node))
    if not is_dataclass(node):
        return node
    values = (getattr(node, field.name) for field in fields(node) if field.name != "span")
    return type(node).__name__, *map(meaning, values)
