"""The explanation of a decision as a tree: rich's on a terminal, indented text in a pipe."""

from __future__ import annotations

from nvtrap.arch import generic_name
from nvtrap.cli.terminal import console, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from nvtrap.cli.terminal import Line
    from nvtrap.engine.explain import Explanation, Reason, Step


def why_lines(explanation: Explanation) -> list[Line]:
    """The steps, two spaces deeper for parts, and again for the members of combos."""
    lines: list[Line] = [[(_question(explanation), "")]]
    for step in explanation.steps:
        lines.append([("  ", ""), *_step(step)])
        for reason in step.reasons:
            _add_lines(lines, reason, "    ")
    return lines


def _question(explanation: Explanation) -> str:
    encoding = generic_name(explanation.encoding)
    state = f"state {explanation.state!r}"
    return f"encoding {encoding}, {state}" if encoding else state


def _add_lines(lines: list[Line], reason: Reason, indent: str) -> None:
    lines += [[(indent, ""), *line] for line in _reason(reason)]
    for member in reason.members:
        _add_lines(lines, member, indent + "  ")


def why_tree(explanation: Explanation) -> None:
    """Draw the steps as a tree."""
    from rich.text import Text
    from rich.tree import Tree

    top = Tree(Text(_question(explanation), style="dim"), guide_style="dim")
    for step in explanation.steps:
        branch = top.add(_text(_step(step)))
        for reason in step.reasons:
            _add_branch(branch, reason)
    console().print(top, soft_wrap=False)  # folded lines keep their guides, none is cut


def _add_branch(branch: Tree, reason: Reason) -> None:
    first, *rest = _reason(reason)
    below = branch.add(_text(first))
    for line in rest:
        below.add(_text(line))
    for member in reason.members:
        _add_branch(below, member)


def _text(line: Line) -> Text:
    from rich.text import Text

    return Text.assemble(*((plain(text), style) for text, style in line))


def _step(step: Step) -> Line:
    style = "bold" if step.decided else ""
    mark = "=> " if step.decided else ""
    return [(f"{mark}{step.name}", style), (f": {step.verdict}", style or "dim")]


def _reason(reason: Reason) -> list[Line]:
    """One line for the part, one for each field it reads, one for what would change it."""
    verdict, style = ("armed", "green") if reason.armed else ("not armed", "dim")
    named = f"{reason.kind} {reason.name} "
    lines: list[Line] = [
        [
            (named, "bold"),
            (verdict, style),
            (f", traps {reason.directions}  ", ""),
            (str(reason.place), "dim"),
        ]
    ]
    if reason.condition:
        lines.append([(f"  when {reason.condition}", "")])
    for value in reason.values:
        given = "" if value.given else " (not given)"
        lines.append([(f"  {value.name} is {value.value:#x}{given}", "cyan")])
    if reason.changes:
        wishes = ", ".join(map(str, reason.changes))
        effect = "stop trapping" if reason.armed else "trap"
        lines.append([(f"  would {effect} with {wishes}", "")])
    return lines
