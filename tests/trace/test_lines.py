"""Single lines: what tracers print, and what they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtrap.trace.scan import MOST_IN_A_LINE, MOST_OF_A_LINE, Piece, scan
from nvtrap.trace.tasks import FORWARDED, LOCAL, WAITING
from tests.trace.traces import ENTRY, STYLES, accessed, forwarded, ftrace, handled, trace_cmd

REVIDR = 0xC006 << 1


def shown(*lines: str | bytes) -> list[tuple[bytes, int, int]]:
    """(task, access, what is shown) of the traps in some lines, none of them damaged."""
    piece = scan_lines(*lines)
    assert piece.damage == []
    return [(task, access, what) for task, _, access, what in piece.traps.counts]


def scan_lines(*lines: str | bytes) -> Piece:
    """The lines as a piece of a trace."""
    raw = [line if isinstance(line, bytes) else line.encode() for line in lines]
    return scan(b"\n".join(raw), 10)


@pytest.mark.parametrize("comm", ["CPU 0/KVM", "a-1 2-b", "-", "<...>", "x: y", "[0]", "é", "7 8"])
@pytest.mark.parametrize("style", STYLES)
def test_a_task_is_known_by_its_number(style: str, comm: str) -> None:
    """Whatever its name."""
    line = STYLES[style]
    events = (("kvm_entry", "PC: 0x0"), handled(REVIDR), forwarded(REVIDR), ENTRY)
    lines = [line(comm, 4021, 3, 12.25, *event) for event in events]
    assert shown(*lines) == [(b"4021", REVIDR, FORWARDED)]
    assert shown(*(f"{text}\r" for text in lines)) == [(b"4021", REVIDR, FORWARDED)]


@pytest.mark.parametrize(
    ("before", "task"),
    [("", b""), ("kvm:", b""), ("[003] ", b"CPU 003"), ("  [003]  12.500000:   kvm:", b"CPU 003")],
)
def test_where_tasks_are_not_printed_events_are_their_cpu_s(before: str, task: bytes) -> None:
    """As by ftrace with the option `nocontext-info`, `perf script -F cpu,time,event,trace`."""
    events = (ENTRY, handled(REVIDR), accessed(REVIDR), ENTRY, ("sched_switch", "x"))
    assert shown(*(f"{before}{name}: {text}" for name, text in events)) == [(task, REVIDR, LOCAL)]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        "\r",
        "# tracer: nop",
        "#",
        "cpus=4",
        "version = 7",
        "CPU 3 is empty",
        "CPU:3 [LOST 1234 EVENTS]",
        "CPU:3 [12 EVENTS DROPPED]",
        "       CPU 0/KVM-1234    [003] .....  1.5: <stack trace>",
        " => kvm_handle_sys_reg",
        "=> handle_exit (ffff800080123456)",
        "\tffff800080123456 kvm_handle_sys_reg+0x20 ([kernel.kallsyms])",
        "            ffff800080123456 [unknown] (/usr/bin/qemu)",
        " 3)   0.500 us    |  kvm_vcpu_run();",
        "           <...>-1234    [003] .....  1.5: schedule <-do_idle",
        "          <idle>-0       [003] d....  1.5: sched_switch: prev_comm=kvm_entry: x",
        "           <...>-1234    [003] .....  1.5: kvm_exit: ",
        "           <...>-1234    [003] .....  1.5: kvm_exit:",
        "           <...>-1234    [003] .....  1.5: tracing_mark_write: hello",
        "# nvtrap_l1_state is explained in the manual",
    ],
)
def test_what_tracers_print_beside_the_events_is_passed_over(line: str) -> None:
    """Headers, stacks, other events, functions."""
    assert shown(line) == []


@pytest.mark.parametrize(
    "line",
    [
        b"\x00\x01\x02\xff",
        b"PK\x03\x04junk",
        b"{",
        b"hello world",
        b"34.567890: kvm_handle_sys_reg: HSR 0x623c0001",
        b"[003] .....  34.567890: kvm_handle_sys_reg: HSR 0x623c0001",
        b"       CPU 0/KVM-1234    [0",
        b"       CPU 0/KVM-1234    [003] .....  12",
        b"x" * (MOST_IN_A_LINE + 1),
        b"  CPU 0/KVM-1234 [003] ..... 1.5: kvm_handle_sys_reg: HSR 0x623c0001"
        + b" " * MOST_IN_A_LINE,
    ],
    ids=lambda line: repr(line)[:30],
)
def test_what_no_tracer_prints_is_damage(line: bytes) -> None:
    """Counted, and kept with its number."""
    piece = scan_lines("# tracer: nop", line, b"", line)
    assert piece.damaged == 2
    assert [(number, text) for number, text, _ in piece.damage] == [
        (2, line[:MOST_OF_A_LINE]),
        (4, line[:MOST_OF_A_LINE]),
    ]
    assert piece.traps.counts == {}


@pytest.mark.parametrize(
    ("event", "text", "reason"),
    [
        ("kvm_handle_sys_reg", "HSR 0x623c000", "not as the kernel prints it"),
        ("kvm_handle_sys_reg", "HSR 0x", "not as the kernel prints it"),
        ("kvm_handle_sys_reg", "", "not as the kernel prints it"),
        ("kvm_handle_sys_reg", "HSR 0x5a000000", "has EC 0x16"),
        ("kvm_handle_sys_reg", "hsr=99999999999999999999999", "does not fit the 64 bits"),
        ("kvm_handle_sys_reg", "pc=1", "lacks its field `hsr`"),
        ("kvm_forward_sysreg_trap", "ffff R (3,0,0,0,6", "not as the kernel prints it"),
        ("kvm_forward_sysreg_trap", "ffff X (3,0,0,0,6)", "not as the kernel prints it"),
        ("kvm_forward_sysreg_trap", "ffff R (3,0,0,0)", "not as the kernel prints it"),
        ("kvm_forward_sysreg_trap", "ffff R (3,0,0,0,16,7)", "this one 6"),
        ("kvm_forward_sysreg_trap", "ffff R (3,0,16,0,6)", "CRn is 16, it goes from 0 to 15"),
        ("kvm_forward_sysreg_trap", "sysreg=1 is_read=1", "`sysreg` is 0x1"),
        ("kvm_sys_access", "PC: 12 REVIDR_EL1 (3,0,0,0,6)", "not as the kernel prints it"),
        ("kvm_sys_access", "PC: 12 REVIDR_EL1 (3,0,0,0,8) read", "op2 is 8"),
        ("kvm_nested_eret", "elr_el2: 0x12 spsr_el2: 0x5", "not as the kernel prints it"),
        ("kvm_inject_nested_exception", "SYNC: esr_el2 0x1", "not as the kernel prints it"),
    ],
)
def test_texts_that_are_not_the_kernel_s_are_damage(event: str, text: str, reason: str) -> None:
    """With the reason; the task's other events count."""
    lines = [ftrace("x", 1, 0, 1.5, *e) for e in (ENTRY, forwarded(REVIDR), (event, text), ENTRY)]
    piece = scan_lines(*lines)
    assert [number for number, _, _ in piece.damage] == [3]
    assert reason in piece.damage[0][2]
    assert len(piece.traps.counts) == 1


def test_fields_stand_for_a_text_that_a_tool_could_not_print() -> None:
    """`trace-cmd report -R`, and what libtraceevent makes of `kvm_sys_access`."""
    packed = 3 << 19 | 6 << 5
    lines = [
        trace_cmd("x", 1, 0, 1.5, event, text)
        for event, text in (
            ENTRY,
            ("kvm_handle_sys_reg", " hsr=0x623c0001"),
            ENTRY,
            ("kvm_forward_sysreg_trap", f"pc=1844672 sysreg={packed} is_read=1"),
            ("kvm_nested_eret", "elr_el2=0x1 spsr_el2=0x5 target_mode=5 hcr_el2=0x10"),
            ("kvm_forward_sysreg_trap", f"pc=1844672 sysreg={packed} is_read=0"),
            (
                "kvm_inject_nested_exception",
                "esr_el2=0x623c0001 type=1 spsr_el2=0x5 pc=0 source_mode=5 hcr_el2=0x20",
            ),
            (
                "kvm_sys_access",
                "[FAILED TO PARSE] vcpu_pc=0xff is_write=1 name=0xff Op0=3 Op1=0 CRn=0 CRm=0 Op2=6",
            ),
            ENTRY,
        )
    ]
    piece = scan_lines(*lines)
    assert piece.damage == []
    assert list(piece.traps.counts) == [
        (b"1", (None, None, ()), REVIDR, WAITING),
        (b"1", (None, None, ()), REVIDR, FORWARDED),
        (b"1", (1, 0x10, ()), REVIDR | 1, FORWARDED),
        (b"1", (2, 0x20, ()), REVIDR | 1, LOCAL),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"1" * MOST_IN_A_LINE,
        b"1 " * (MOST_IN_A_LINE // 2),
        b"1" + b" " * MOST_IN_A_LINE,
        b"1 (" * (MOST_IN_A_LINE // 3),
        b"1 [" + b"1" * (MOST_IN_A_LINE - 8),
        b"x-1 [1] 1: kvm_handle_sys_reg: " + b"a" * (MOST_IN_A_LINE - 100),
        b"x-1 [1] 1: kvm_handle_sys_reg: " + b"a=1 " * (MOST_IN_A_LINE // 5),
        b"x-1 [1] 1: nvtrap_l1_state: " + b"A=1 " * (MOST_IN_A_LINE // 5),
    ],
    ids=lambda line: repr(line)[:40],
)
def test_no_line_takes_long(line: bytes) -> None:
    """The longest that may be, of what the patterns look for; in square time, minutes."""
    assert scan(b"\n".join([line] * 10), 1).lines == 10


@given(st.binary(max_size=400), st.integers(0, 10))
def test_any_bytes_are_a_trace(noise: bytes, most: int) -> None:
    """Garbage raises nothing, and is damage or nothing."""
    piece = scan(noise, most)
    assert piece.lines == noise.count(b"\n") + (noise[-1:] not in (b"", b"\n"))
    assert len(piece.damage) == min(most, piece.damaged) <= piece.lines


@given(st.data())
def test_any_change_of_a_line_is_damage_or_a_line(draw: st.DataObject) -> None:
    """Bytes of good lines replaced, removed, doubled: nothing is raised."""
    style = STYLES[draw.draw(st.sampled_from(sorted(STYLES)))]
    event = draw.draw(st.sampled_from([handled(REVIDR), forwarded(REVIDR), accessed(REVIDR)]))
    line = bytearray(style("CPU 0/KVM", 1234, 3, 1.5, *event).encode())
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(line) - 1))
        line[at : at + 1] = draw.draw(st.binary(max_size=2))
        if not line:
            break
    piece = scan(bytes(line), 10)
    assert piece.damaged <= piece.lines
