"""Excursions to L2 as the kernel's nested VGIC makes them, and reads of L1's status registers.

``{"kind": "excursion"}`` has L1's registers, what the hardware has when L2 exits, and what
the kernel loads, synchronises and puts back; ``{"kind": "status"}`` has L1's registers and
the status registers that the kernel builds from them.
"""

from __future__ import annotations

from nvtrap.conform.host.fields import Fields, compare, word
from nvtrap.errors import UsageError
from nvtrap.gic.virtual.maintenance import eisr
from nvtrap.inputs import shown
from nvtrap.kvm.vgic.nested import (
    AT_EXIT,
    AT_PUT,
    NestedVgic,
    list_registers,
    lr_name,
    maintenance_level,
    nested_elrsr,
    nested_misr,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nvtrap.conform.verdicts import Score

MOST_LIST_REGISTERS = 16
MOST_SPIS = 988
MOST_DIGITS = 8
LAST_INTID = (1 << 24) - 1
HCR_EN = 1
PRIVATE = 32
FIRST_LPI = 8192
# The members of an excursion that are compared whole.
SCORED = ("load", "hw_entry", "sync", "hw_final", "status", "mi")


class Irq:
    """An interrupt of L1 as a line describes it."""

    __slots__ = ("active", "host_intid", "is_mapped")

    def __init__(self, is_mapped: bool = False, host_intid: int = 0, active: bool = False) -> None:
        self.is_mapped = is_mapped
        self.host_intid = host_intid
        self.active = active

    def deactivate(self) -> bool:
        """Clear the active state; whether it was set."""
        was, self.active = self.active, False
        return was


def judge_status(record: dict[str, Any]) -> Score:
    """The score of a read of L1's status registers."""
    line = Fields(record)
    count = line.number("nr_lr", 1, MOST_LIST_REGISTERS)
    expected = {"status": line.inner("status").values, "mi": line.number("mi", 0, 1)}
    return compare(expected, _status(_image(line.inner("l1"), count), count))


def judge_excursion(record: dict[str, Any]) -> Score:
    """The score of one excursion to L2; what the kernel loses of EOIcount is not scored."""
    excursion = Excursion(record)
    line = Fields(record)
    expected = {key: line.inner(key).values for key in SCORED}
    expected["put"] = {"l1": line.inner("put").inner("l1").values}
    if "maint" in record:
        expected["maint"] = record["maint"]
    return compare(expected, excursion.run())


class Excursion:
    """One excursion: load, enter, what L2 did, exit, put."""

    def __init__(self, record: dict[str, Any]) -> None:
        """Read the line. Raises `UsageError` when it is not of the form above."""
        line = Fields(record)
        self.count = line.number("nr_lr", 1, MOST_LIST_REGISTERS)
        self.version = line.choice("version", (AT_PUT, AT_EXIT))
        self.apr_count = 1 << line.number("pre_bits", 5, 7) - 5
        self.l1 = _image(line.inner("l1"), self.count)
        self.after = line.inner("hw_after")
        self.hardware = dict.fromkeys(self.l1, 0)
        self.nested = NestedVgic(
            self.l1,
            self.hardware,
            _irqs(line).get,
            count=self.count,
            apr_count=self.apr_count,
            writes_back=self.version,
            host_traps=line.word("host_trap_bits"),
        )

    def run(self) -> dict[str, Any]:
        """Everything a line may say about the excursion."""
        nested = self.nested
        before, line_before = self._status()
        nested.load()
        load = self._load()
        nested.enter()
        entry = self._hardware()
        self._l2_runs()
        result: dict[str, Any] = {"load": load, "hw_entry": entry, "sync": self._sync()}
        if self.version == AT_PUT and self.hardware["ICH_HCR_EL2"] & HCR_EN:
            line = nested.take_host_maintenance(self.after.word("misr"))
            result["maint"] = {"mi": int(line), "hw_hcr": hex(self.hardware["ICH_HCR_EL2"])}
        nested.put()
        result["put"] = {"l1": _shown_image(self.l1, self.count)}
        result["hw_final"] = {
            "hcr": hex(self.hardware["ICH_HCR_EL2"]),
            "lr": [hex(lr) for lr in list_registers(self.hardware, self.count)],
        }
        status, line_after = self._status()
        result["status"] = {"before": before, "after": status}
        result["mi"] = {"before": line_before, "after": line_after}
        return result

    def _status(self) -> tuple[dict[str, str], int]:
        status = _status(self.l1, self.count)
        return status["status"], status["mi"]

    def _load(self) -> dict[str, Any]:
        nested = self.nested
        return {
            "hcr": hex(nested.hcr),
            "vmcr": hex(nested.vmcr),
            "ap0r": [hex(nested.aprs[f"ICH_AP0R{n}_EL2"]) for n in range(4)],
            "ap1r": [hex(nested.aprs[f"ICH_AP1R{n}_EL2"]) for n in range(4)],
            "lr": [hex(lr) for lr in nested.shadow],
            "lr_map": hex(nested.lr_map),
            "used_lrs": len(nested.shadow),
        }

    def _hardware(self) -> dict[str, Any]:
        hardware, implemented = self.hardware, range(self.apr_count)
        return {
            "hcr": hex(hardware["ICH_HCR_EL2"]),
            "vmcr": hex(hardware["ICH_VMCR_EL2"]),
            "ap0r": [hex(hardware[f"ICH_AP0R{n}_EL2"]) for n in implemented],
            "ap1r": [hex(hardware[f"ICH_AP1R{n}_EL2"]) for n in implemented],
        }

    def _l2_runs(self) -> None:
        """Set the hardware to what it is when L2 exits."""
        hardware, after = self.hardware, self.after
        hardware["ICH_HCR_EL2"] = after.word("hcr")
        hardware["ICH_VMCR_EL2"] = after.word("vmcr")
        for n, lr in enumerate(_words(after, "lr", len(self.nested.shadow))):
            hardware[lr_name(n)] = lr
        for group in (0, 1):
            for n, value in enumerate(_words(after, f"ap{group}r", self.apr_count)):
                hardware[f"ICH_AP{group}R{n}_EL2"] = value

    def _sync(self) -> dict[str, Any]:
        deactivated = self.nested.sync()
        sync: dict[str, Any] = {"deactivated": deactivated, "warns": self.nested.warnings}
        if self.version == AT_EXIT:
            sync["l1"] = _shown_image(self.l1, self.count)
            sync["mi"] = int(maintenance_level(self.l1, self.count))
        return sync


def _status(l1: dict[str, int], count: int) -> dict[str, Any]:
    values = list_registers(l1, count)
    return {
        "status": {
            "ICH_MISR_EL2": hex(nested_misr(l1, count)),
            "ICH_EISR_EL2": hex(eisr(values)),
            "ICH_ELRSR_EL2": hex(nested_elrsr(values)),
        },
        "mi": int(maintenance_level(l1, count)),
    }


# ---- reading lines ----------------------------------------------------------------


def _words(fields: Fields, key: str, count: int) -> list[int]:
    values = fields.items(key, count)
    if len(values) != count:
        raise UsageError(f"`{fields.path}{key}` has {len(values)} numbers, not {count}")
    return [word(value, fields.path + key) for value in values]


def _image(image: Fields, count: int) -> dict[str, int]:
    """L1's registers by name."""
    registers = {name: image.word(name) for name in ("ICH_HCR_EL2", "ICH_VMCR_EL2")}
    for group in (0, 1):
        for n, value in enumerate(_words(image, f"ICH_AP{group}R", 4)):
            registers[f"ICH_AP{group}R{n}_EL2"] = value
    for n, value in enumerate(_words(image, "ICH_LR", count)):
        registers[lr_name(n)] = value
    return registers


def _shown_image(l1: dict[str, int], count: int) -> dict[str, Any]:
    return {
        "ICH_HCR_EL2": hex(l1["ICH_HCR_EL2"]),
        "ICH_VMCR_EL2": hex(l1["ICH_VMCR_EL2"]),
        "ICH_AP0R": [hex(l1[f"ICH_AP0R{n}_EL2"]) for n in range(4)],
        "ICH_AP1R": [hex(l1[f"ICH_AP1R{n}_EL2"]) for n in range(4)],
        "ICH_LR": [hex(lr) for lr in list_registers(l1, count)],
    }


def _irqs(line: Fields) -> dict[int, Irq]:
    """L1's interrupts: SGIs, PPIs and SPIs are there anyway, LPIs when they are listed.

    What is listed between the last SPI and the first LPI is not there for all that.
    """
    irqs = {intid: Irq() for intid in range(PRIVATE + line.number("nr_spis", 0, MOST_SPIS))}
    listed = line.inner("irqs")
    for text in listed.values:
        if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
            raise UsageError(f"`irqs` has `{shown(text)}`, which is no INTID")
        facts = listed.inner(text)
        host = facts.number("hwintid", 0, LAST_INTID)
        irq = Irq(facts.flag("hw"), host, facts.flag("active"))
        if int(text) in irqs or int(text) >= FIRST_LPI:
            irqs[int(text)] = irq
    return irqs
