"""The text of a kernel's tables → rule text.

What KVM does around its tables is not in their text, but how new the text is can be told
from it: the registers that are sanitised, the UNDEFs of disabled features and host EL0
came with names that it mentions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from nvtrap.compile import Loader, catalogue, compile_text
from nvtrap.errors import InputError, UsageError
from nvtrap.imports import ctext, tables
from nvtrap.imports.controls import HOST, Controls
from nvtrap.imports.ctext import NotUnderstoodError
from nvtrap.imports.entries import Entries
from nvtrap.imports.fields import FieldNames
from nvtrap.imports.groups import FILTERS
from nvtrap.imports.model import Group, Model
from nvtrap.imports.names import Names
from nvtrap.imports.rules import write
from nvtrap.imports.tables import Tables
from nvtrap.lang.findings import Finding, Report, printable
from nvtrap.lang.source import Source, one_line_end

MOST_BYTES = 1 << 20
TABLE_NAME = re.compile(r"[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*")
LIMITS = {"controls": "TC_CGT_BITS", "groups": "TC_FGT_BITS", "filters": "TC_FGF_BITS"}
# Registers that KVM reads through masks of the bits that the vCPU has: those it keeps in
# memory for the guest (since 6.9), and some more since the names beside them came.
MASKED = (
    "HCR_EL2",
    "HCRX_EL2",
    "ICH_HCR_EL2",
    "HFGRTR_EL2",
    "HFGWTR_EL2",
    "HFGITR_EL2",
    "HDFGRTR_EL2",
    "HDFGWTR_EL2",
    "HAFGRTR_EL2",
    "HFGRTR2_EL2",
    "HFGWTR2_EL2",
    "HFGITR2_EL2",
    "HDFGRTR2_EL2",
    "HDFGWTR2_EL2",
)
MASKS = ("sysreg_masks", "kvm_get_sysreg_res0", "kvm_get_sysreg_resx")
MASKED_SINCE = {"MDCR_EL2": HOST, "CNTHCTL_EL2": "CGT_CNTHCTL_EL1TVT"}
DISABLED = "fgu"


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a text: rule text, and what could not be translated.

    `text` is empty when it would not compile; with findings it lacks what they are about.
    """

    text: str
    findings: tuple[Finding, ...]


def import_linux(raw: bytes, display: str, name: str = "linux-import") -> Imported:
    """Translate the text of a kernel's `arch/arm64/kvm/emulate-nested.c`.

    `display` is how people are told of the file, `name` that of the table. Raises
    `InputError` when it is no such text and `UsageError` when `name` names no table.
    """
    if TABLE_NAME.fullmatch(name) is None:
        help = "small letters and digits, with dots and hyphens between, such as linux-6.12"
        raise UsageError(f"`{name}` is no name of a table", help)
    report = Report()
    source = Source(display, printable(display), _text(raw, display))
    found = tables.find(ctext.read(source, report), report)
    words = catalogue.build(
        Loader().load_text('use "registers"\n', "use", ".").statements, Report()
    )
    names = Names(words, report)
    model = _model(found, names, report)
    text = write(model, names, name, display, report.findings)
    unsound = [
        finding for finding in compile_text(text, f"{name}.trap").findings if finding.is_error
    ]
    if not unsound:
        return Imported(text, tuple(report.findings))
    return Imported("", (*report.findings, *unsound))


def _text(raw: bytes, display: str) -> str:
    if len(raw) > MOST_BYTES:
        most = f"it has more than {MOST_BYTES >> 20} MiB"
        raise InputError(f"`{display}` is no table of nested traps: {most}")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
        raise InputError(f"`{display}` is no table of nested traps: {reason}") from None
    if "\0" in text:
        raise InputError(f"`{display}` is no table of nested traps: it is not text")
    return one_line_end(text)


def _model(found: Tables, names: Names, report: Report) -> Model:
    fields = FieldNames(names.catalogue, report)
    controls = Controls(found, names, fields, report)
    entries = Entries(controls, names, fields, report)
    entries.add_all(found.coarse, found.fine)
    model = Model(
        coarse=list(entries.coarse.values()),
        fine=list(entries.fine.values()),
        elsewhere=_elsewhere(found, entries, report),
        controls=list(controls.controls()),
        combos=list(controls.combos()),
        groups=[_keyed(group, found) for group in entries.groups.values()],
        limits=_limits(found, report),
    )
    model.has_host_el0 = any(control.host_el0 for control in model.controls)
    model.sanitised = _sanitised(model, found)
    return model


def _elsewhere(found: Tables, entries: Entries, report: Report) -> list[tuple[str, int]]:
    listed = []
    for call in found.elsewhere:
        try:
            listed.append((entries.elsewhere(call), call.span.line))
        except NotUnderstoodError as error:
            error.report(report)
    return listed


def _keyed(group: Group, found: Tables) -> Group:
    """The group, without a key where the kernel has no UNDEFs by disabled features yet."""
    return group if found.mentions(DISABLED) else replace(group, key="")


def _sanitised(model: Model, found: Tables) -> list[str]:
    """The registers that the rules read and KVM masks."""
    if not found.mentions(*MASKS):
        return []
    conditions = [control.when for control in model.controls] + list(FILTERS.values())
    read = set(re.findall(r"\b[A-Z][A-Z0-9_]*_EL\d\b", " ".join(conditions)))
    read.update(register for group in model.groups for register in (group.read, group.write))
    masked = [*MASKED, *(r for r, since in MASKED_SINCE.items() if found.mentions(since))]
    return [register for register in masked if register in read]


def _limits(found: Tables, report: Report) -> dict[str, int]:
    """What fits into the kernel's word for an encoding; 0 stands for none in each."""
    limits = {}
    for what, name in LIMITS.items():
        tokens = found.text.defines.get(name)
        try:
            if tokens is not None:
                bits = found.known.value(tokens)
                limits[what] = (1 << min(bits, 16)) - 1
        except NotUnderstoodError as error:
            error.report(report)
    return limits
