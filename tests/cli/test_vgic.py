"""`nvtrap vgic`: cases of steps are run and shown."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import Nvtrap, Program

GICD, GICC = 0x800_0000, 0x801_0000
V2: list[dict[str, Any]] = [
    {"do": "create_vm", "vcpus": [0, 1]},
    {"do": "create_device", "type": "vgic_v2", "name": "gic"},
    {"do": "set_attr", "dev": "gic", "group": "ADDR", "attr": "0x0", "value": hex(GICD)},
    {"do": "set_attr", "dev": "gic", "group": "ADDR", "attr": "0x1", "value": hex(GICC)},
    {"do": "set_attr", "dev": "gic", "group": "ADDR", "attr": "0x1", "value": "0x0", "expect": 0},
    {
        "do": "set_attr",
        "dev": "gic",
        "group": "DIST_REGS",
        "attr": "0x0",
        "what": "GICD_CTLR",
        "value": "0x1",
    },
    {
        "do": "guest",
        "vcpu": 1,
        "op": "mmio_w",
        "reg": "GICD_SGIR",
        "addr": hex(GICD + 0xF00),
        "size": 4,
        "value": "0x10003",
    },
    {"do": "guest", "vcpu": 0, "op": "mmio_w", "addr": hex(GICC + 4), "size": 4, "value": "0xff"},
    {"do": "guest", "vcpu": 0, "op": "mmio_w", "addr": hex(GICC), "size": 4, "value": "0x1"},
    {"do": "guest", "vcpu": 0, "op": "mrs", "reg": "ISR_EL1", "expect": "0x80"},
    {
        "do": "guest",
        "vcpu": 0,
        "op": "mmio_r",
        "addr": hex(GICC + 12),
        "size": 4,
        "expect": "0x402",
    },
]
V3: list[dict[str, Any]] = [
    {"do": "create_vm", "vcpus": [0]},
    {"do": "create_device", "type": "vgic_v3", "name": "gic"},
    {"do": "irq_line", "irq": "0x1000020", "level": 1, "expect": "EBUSY"},
    {"do": "set_attr", "dev": "gic", "group": "CTRL", "attr": "0x0"},
    {"do": "irq_line", "irq": "0x1000020", "level": 1},
    {"do": "get_attr", "dev": "gic", "group": "DIST_REGS", "attr": "0x204", "value_out": "0x1"},
]


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A file with three cases: of a GICv2 and a GICv3, and one that does not begin."""
    path = tmp_path / "three.jsonl"
    lines = [
        {"id": "v2", "host": "gicv2", "steps": V2},
        {"id": "v3", "host": "gicv3", "steps": V3},
        {"id": "none", "host": "gicv3", "steps": []},
    ]
    path.write_text("\n\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return path


def test_each_step_is_printed_with_what_it_changed(nvtrap: Nvtrap, cases: Path) -> None:
    """Results, and where one is not what was expected."""
    run = nvtrap("vgic", "run", str(cases))
    assert (run.code, run.err) == (1, "")
    assert run.lines[:3] == [
        "v2",
        "   0  create_vm vcpus=[0, 1]",
        "   1  create_device type=vgic_v2 name=gic",
    ]
    assert "      GIC: cpu interface none → 0x8010000" in run.lines
    assert "   4  set_attr gic ADDR 0x1 value=0x0  → EEXIST  expected 0, got EEXIST" in run.lines
    assert "   5  set_attr gic DIST_REGS 0x0 value=0x1 (GICD_CTLR)" in run.lines
    sent = run.lines.index("   6  vCPU 1 mmio_w addr=0x8000f00 size=4 value=0x10003 (GICD_SGIR)")
    assert (
        "      SGI 3 of vCPU 0: state inactive → pending, latch no → yes, listed none → 0, "
        "senders none → 1"
    ) in run.lines[sent:]
    assert "   9  vCPU 0 mrs ISR_EL1  → 0x80" in run.lines
    assert (
        "  10  vCPU 0 mmio_r addr=0x801000c size=4  → 0x403  expected 0x402, got 0x403" in run.lines
    )
    assert "      vCPU 0: GICH_APR 0x0 → 0x1" in run.lines
    assert run.lines[-1] == "none"


def test_a_case_that_is_as_expected_is_no_failure(nvtrap: Nvtrap, cases: Path) -> None:
    """Exit code 0; the id chooses it, also from a packed file."""
    run = nvtrap("vgic", "run", str(cases), "--case", "v3")
    assert (run.code, run.err, run.lines[0]) == (0, "", "v3")
    assert "   2  irq_line irq=0x1000020 level=1  → EBUSY" in run.lines
    assert "   5  get_attr gic DIST_REGS 0x204  → 0x1" in run.lines
    packed = cases.with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(cases.read_bytes()))
    assert nvtrap("vgic", "run", str(packed), "--case", "v3") == run


def test_json_has_a_line_for_each_step(nvtrap: Nvtrap, cases: Path) -> None:
    """With outcome, value, what is wrong and what changed."""
    run = nvtrap("vgic", "run", str(cases), "--json")
    steps = [json.loads(line) for line in run.lines]
    assert len(steps) == len(V2) + len(V3)
    assert steps[1] == {
        "case": "v2",
        "step": 1,
        "do": "create_device",
        "outcome": 0,
        "changes": {"GIC": {"model": [None, 2]}},
    }
    assert steps[4]["outcome"] == "EEXIST"
    assert steps[4]["problem"] == "expected 0, got EEXIST"
    assert steps[10]["value"] == "0x403"
    assert steps[10]["changes"]["SGI 3 of vCPU 0"]["senders"] == [[1], []]
    assert [step["case"] for step in steps[-len(V3) :]] == ["v3"] * len(V3)


def test_show_has_a_row_for_what_was_touched(nvtrap: Nvtrap, cases: Path) -> None:
    """Interrupts that are not at reset, all list registers, the CPU interfaces."""
    run = nvtrap("vgic", "show", str(cases), "--case", "v2")
    assert (run.code, run.err) == (0, "")
    assert run.lines[:2] == [
        "v2 after 11 of 11 steps",
        (
            "GICv2, 256 INTIDs, initialized, enabled, distributor at 0x8000000, "
            "cpu interface at 0x8010000"
        ),
    ]
    rows = [line.split() for line in run.lines]
    assert sum(row[:1] == ["LR0"] for row in rows) == 2
    assert ["LR0", "of", "vCPU", "0", "0x20000403", "3", "active"] in [row[:7] for row in rows]
    interrupts = [line for line in run.lines if line.startswith(("SGI", "PPI", "SPI"))]
    assert len(interrupts) == 1
    assert interrupts[0].startswith("SGI 3 of vCPU 0  active")
    assert interrupts[0].endswith("active sender 1")


def test_show_stops_after_some_steps(nvtrap: Nvtrap, cases: Path) -> None:
    """None of them, some, or more than there are."""
    shown = nvtrap("vgic", "show", str(cases), "--case", "v2", "--after", "7").lines
    assert shown[0] == "v2 after 7 of 11 steps"
    assert any(line.startswith("SGI 3 of vCPU 0  pending") for line in shown)
    assert nvtrap("vgic", "show", str(cases), "--case", "v2", "--after", "0").lines == [
        "v2 after 0 of 11 steps",
        "no VM",
    ]
    assert nvtrap("vgic", "show", str(cases), "--case", "v2", "--after", "1").lines[1] == "no GIC"
    far = nvtrap("vgic", "show", str(cases), "--case", "v3", "--after", "99").lines
    assert far[0] == "v3 after 6 of 6 steps"
    assert any(line.startswith("SPI 32") for line in far)


def test_show_as_json(nvtrap: Nvtrap, cases: Path) -> None:
    """A line for each case, numbers as numbers."""
    lines = nvtrap("vgic", "show", str(cases), "--json").lines
    v2, v3, none = map(json.loads, lines)
    assert list(v2["interrupts"]) == ["SGI 3 of vCPU 0"]
    assert v2["interrupts"]["SGI 3 of vCPU 0"]["active_sender"] == 1
    assert v2["list_registers"]["0"][0]["sender"] == 1
    assert v2["list_registers"]["0"][1]["sender"] is None
    assert v2["interfaces"]["0"] == {"GICH_VMCR": 0xF84C_0001, "GICH_APR": 1}
    assert (v3["gic"]["model"], v3["gic"]["distributor"]) == (3, None)
    spi = v3["interrupts"]["SPI 32"]
    assert (spi["state"], spi["trigger"], spi["listed"]) == ("pending", "edge", None)
    assert none == {"case": "none", "steps": 0}


def test_interrupts_at_reset_are_not_shown(nvtrap: Nvtrap, tmp_path: Path) -> None:
    """Right after INIT there is none of either model; a group that was changed is one."""
    path = tmp_path / "reset.jsonl"
    init = {"do": "set_attr", "dev": "gic", "group": "CTRL", "attr": "0x0"}
    group = {"do": "set_attr", "dev": "gic", "group": "DIST_REGS", "attr": "0x84"}
    for host, model, word in (("gicv2", "vgic_v2", "0x0"), ("gicv3", "vgic_v3", "0xfffffffd")):
        create = {"do": "create_device", "type": model, "name": "gic"}
        steps = [V3[0], create, init, group | {"value": word}]
        path.write_text(json.dumps({"id": 1, "host": host, "steps": steps}), encoding="utf-8")
        found = [
            list(json.loads(nvtrap("vgic", "show", str(path), "--json", *after).out)["interrupts"])
            for after in (("--after", "3"), ())
        ]
        assert found == [[], [] if host == "gicv2" else ["SPI 33"]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[]", "a line is one JSON object"),
        ("{}x", "this is not JSON: extra data at line 1, column 3"),
        ('{"host": "gicv9"}', "`host` is `gicv9`, it is gicv3 or gicv2"),
        ('{"steps": 7}', "`steps` is `7`, it is a list of at most 65536"),
        ('{"steps": [7]}', "steps[0]: a step is `7`, it is an object"),
        ('{"steps": [{"do": "fly"}]}', "steps[0]: unknown step `fly`"),
        ('{"steps": [{"do": "add_vcpu", "id": 0}]}', "steps[0]: no VM was created yet"),
        (
            '{"steps": [{"do": "create_vm"}, {"do": "mem_r", "addr": "0x0", "len": -1}]}',
            "steps[1]: `len` is `-1`",
        ),
    ],
)
@pytest.mark.parametrize("command", ["run", "show"])
def test_what_is_no_case_is_refused_with_its_place(
    nvtrap: Nvtrap, command: str, line: str, message: str
) -> None:
    """Exit code 2 and one sentence."""
    run = nvtrap("vgic", command, "-", stdin=line.encode())
    assert run.code == 2
    assert run.err.startswith(f"nvtrap: -:1: {message}")


def test_an_expectation_that_is_no_value_is_refused(nvtrap: Nvtrap) -> None:
    """By `run`, which compares; `show` does not look at it."""
    step = {"do": "guest", "vcpu": 0, "op": "mrs", "reg": "ISR_EL1", "expect": "many"}
    line = json.dumps({"steps": [V3[0], step]}).encode()
    run = nvtrap("vgic", "run", "-", stdin=line)
    assert run.code == 2
    assert run.err.startswith("nvtrap: -:1: steps[1]: `expect` is `many`")
    assert nvtrap("vgic", "show", "-", stdin=line).code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "{file}", "--case", "v4"], "`{file}` has no case with the id `v4`"),
        (["show", "{file}", "--after", "-1"], "`-1` is no number of steps"),
        (["show", "{file}", "--afterwards", "1"], "unknown option `--afterwards`"),
        (["dance"], "`dance` is no value for `COMMAND`"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_wrong_words_are_refused(
    nvtrap: Nvtrap, cases: Path, words: list[str], message: str
) -> None:
    """In one line, with help where there is some."""
    run = nvtrap("vgic", *(word.format(file=cases) for word in words))
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("nvtrap: " + message.format(file=cases))


def test_on_a_terminal_it_is_a_table(program: Program, cases: Path) -> None:
    """Painted where there is room for it."""
    run = program.on_terminal("vgic", "show", str(cases), "--case", "v3", columns=160)
    assert run.code == 0
    assert re.search(r"\x1b\[1m *interrupt", run.out)
    assert "SPI 32" in run.out
