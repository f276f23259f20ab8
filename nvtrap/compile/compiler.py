"""Rule text → findings and a compiled table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nvtrap import __version__
from nvtrap.compile import catalogue as catalogues
from nvtrap.compile import checks
from nvtrap.compile import controls as controls_of
from nvtrap.compile.expressions import Resolver, Slots
from nvtrap.compile.lower import Lowering, TooManyRulesError
from nvtrap.compile.program import Loader, Program, Snapshot
from nvtrap.compile.rules import Rules
from nvtrap.errors import RulesError
from nvtrap.lang import nodes
from nvtrap.lang.findings import Finding, Label, Report
from nvtrap.lang.source import Span
from nvtrap.sources import fingerprint, tool_stamp
from nvtrap.table.conditions import FALSE


@dataclass(frozen=True, slots=True)
class Compilation:
    """What came of a program: findings, and the table's file when nothing is wrong.

    `name` is empty for a file without a `table` statement, which is checked only.
    `expectations` are the tests in the text, not yet run.
    """

    findings: tuple[Finding, ...]
    name: str = ""
    blob: bytes = b""
    expectations: tuple[nodes.Expect, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether there is no error among the findings."""
        return not any(finding.is_error for finding in self.findings)


def compile_path(path: str, roots: Sequence[str] = ()) -> Compilation:
    """Compile the rule file at `path`; `use` may reach `roots` as well."""
    return compile_program(Loader(roots).load(path))


def compile_text(text: str, display: str = "text", folder: str = ".") -> Compilation:
    """Compile rule text; `display` is its name in findings."""
    return compile_program(Loader().load_text(text, display, folder))


def compile_program(program: Program, key: str = "", *, to_ship: bool = False) -> Compilation:
    """Compile the files of a program; `key` is kept in the table for a cache to know it by."""
    report = program.report
    statements = program.statements
    table = _table(statements, program, report)
    disarm = not table.absent_read_as_zero
    catalogue = catalogues.build(statements, report)
    slots = Slots()
    resolver = Resolver(catalogue, slots, report, disarm=disarm)
    _check_predicates(statements, Resolver(catalogue, Slots(), report, disarm=False))
    controls = controls_of.build(statements, catalogue, resolver, slots, report)
    rules = Rules(catalogue, controls, resolver, report, additive=table.additive, disarm=disarm)
    rules.add_all(statements)
    checks.check_entries(rules.entries, catalogue, report)
    polarities = checks.check_polarities(rules.entries, controls, report)
    checks.check_limits(table, rules.entries, controls, slots, report)
    is_table = any(isinstance(statement, nodes.Table) for statement in statements)
    if is_table and not report.has_errors:
        checks.check_unused(controls, report)
    tool = __version__ if to_ship else tool_stamp()
    settings = {**_settings(table, resolver), "key": key, "tool": tool}
    sanitised = [n.text for n in table.sanitised if catalogue.has_register(n, report)]
    if report.has_errors:
        return Compilation(tuple(report.findings))
    lowering = Lowering(catalogue, controls, slots)
    sources = [] if to_ship else _sources(program)
    try:
        blob = lowering.blob(settings, sanitised, rules.entries, polarities, sources)
    except TooManyRulesError as error:
        report.add("NV036", error.message, table.span, error.help)
        return Compilation(tuple(report.findings))
    name = table.name.text if is_table else ""
    return Compilation(tuple(report.findings), name, blob, tuple(program.expectations))


def compiled(
    path: str, key: str = "", *, to_ship: bool = False, snapshot: Snapshot | None = None
) -> bytes:
    """The table file that the rules at `path` compile to; `key` as in `compile_program`.

    A table `to_ship` names no paths of the machine that built it; rules of a `snapshot`
    are those of another time. Raises `RulesError` when the rules have errors.
    """
    result = compile_program(Loader(snapshot=snapshot).load(path), key, to_ship=to_ship)
    errors = [finding for finding in result.findings if finding.is_error]
    if errors:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise RulesError(f"{first.span}: {first.code} {first.message}{more}", errors)
    return result.blob


def _settings(table: nodes.Table, resolver: Resolver) -> dict[str, Any]:
    hypervisor, host_el0 = (
        FALSE if expr is None else resolver.of_state(expr)
        for expr in (table.hypervisor, table.host_el0)
    )
    return {
        "name": table.name.text,
        "additive": table.additive,
        "fine_by_position": table.fine_by_position,
        "disarm": not table.absent_read_as_zero,
        "hypervisor": hypervisor,
        "host_el0": host_el0,
    }


def _table(statements: Sequence[nodes.Statement], program: Program, report: Report) -> nodes.Table:
    """The table statement that counts: the main file's, else an inherited one's rules."""
    tables = [statement for statement in statements if isinstance(statement, nodes.Table)]
    own = [table for table in tables if table.span.source is program.root]
    for extra in own[1:]:
        report.add(
            "NV045",
            "a file says one table",
            extra.span,
            "",
            Label(own[0].span, "the first one is here"),
        )
    if own or tables:
        return (own or tables[::-1])[0]
    span = Span(program.root, 0, 0)
    return nodes.Table(nodes.Name("", span), False, None, None, (), True, True, (), span)


def _check_predicates(statements: Sequence[nodes.Statement], resolver: Resolver) -> None:
    """Resolve what features, registers and fields depend on, for the sake of the findings."""
    for statement in statements:
        if isinstance(statement, nodes.Feature) and statement.when is not None:
            resolver.check_registers(statement.when)
        elif isinstance(statement, nodes.Context):
            resolver.resolve(statement.when)
        elif isinstance(statement, nodes.Register):
            _check_register(statement, resolver)


def _check_register(register: nodes.Register, resolver: Resolver) -> None:
    for layout in register.layouts:
        resolver.check_registers(layout.when)
    layouts = [field for layout in register.layouts for field in layout.fields]
    fields = [*register.fields, *layouts]
    for requires in (register.requires, *(field.requires for field in fields)):
        if requires is not None:
            resolver.check_features(requires.when)


def _sources(program: Program) -> list[list[Any]]:
    """[path, size, mtime in ns, sha256] of each file and folder that was read."""
    return [fingerprint(path) for path in program.paths]
