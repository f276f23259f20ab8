"""Traces held against a table: what is counted, and what contradicts it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap import State, Table
from nvtrap.arch.esr import encode_sysreg
from nvtrap.trace import Report
from tests.trace.traces import (
    ENTRY,
    STYLES,
    accessed,
    counts_of,
    data,
    forwarded,
    ftrace,
    handled,
    injected,
    made,
    report_of,
    returned,
)

TID1 = 1 << 16
TGE = 1 << 27
Event = tuple[str, str]


@pytest.fixture
def revidr(linux: Table) -> int:
    """A read of REVIDR_EL1, which HCR_EL2.TID1 forwards."""
    return linux.encoding("REVIDR_EL1") << 1


def trace_of(*events: Event, pid: int = 1234) -> bytes:
    """The events of one task."""
    lines = [ftrace("CPU 0/KVM", pid, 0, 1.5 + n, *event) for n, event in enumerate(events)]
    return "".join(f"{line}\n" for line in lines).encode()


def verdict(report: Report) -> tuple[int, list[int]]:
    """(traps, lines that disagree)."""
    assert report.disagreements == len(report.apart)
    return report.traps, [line for line, _ in report.apart]


# ---- whole runs ------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_every_tool_s_trace_gives_the_truth(linux: Table, style: str) -> None:
    """Each trap is decided in the context that the trace shows, each contradiction found."""
    for seed in range(2):
        run = made(linux, seed, 600, STYLES[style])
        report = report_of(linux, run.raw)
        traps = sum(run.counts.values())
        assert (report.lines, report.damaged) == (len(run.lines), 0)
        assert report.traps + report.unshown == traps
        assert report.unshown <= 4  # the last of each task
        assert [line for line, _ in report.apart] == run.apart
        assert sum((run.counts - counts_of(report)).values()) == report.unshown
        assert len(run.apart) > 5


def test_only_the_first_disagreements_are_kept_all_are_counted(linux: Table) -> None:
    """In the order of the trace, whatever the register."""
    run = made(linux, 5, 2000, wrong=0.5)
    report = report_of(linux, run.raw, most=7)
    assert [line for line, _ in report.apart] == run.apart[:7]
    assert report.disagreements == len(run.apart) > 7
    assert sum(row.apart for row in report.rows.values()) == len(run.apart)


# ---- what shows what -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hcr", "shows", "line"),
    [
        (TID1, ["forward"], None),
        (TID1, ["forward", "inject"], None),
        (TID1, ["inject"], None),
        (TID1, ["access"], 3),
        (TID1, [], 2),
        (0, ["access"], None),
        (0, [], None),
        (0, ["forward"], 3),
        (0, ["forward", "inject"], 3),
        (0, ["inject"], 3),
        (0, ["access", "inject"], None),
    ],
)
@pytest.mark.parametrize("entered", [True, False])
def test_what_a_trap_s_events_show(
    linux: Table, revidr: int, hcr: int, shows: list[str], line: int | None, entered: bool
) -> None:
    """A forward or the injected syndrome; a local access, whatever its handler injects."""
    texts = {
        "forward": forwarded(revidr),
        "inject": injected(encode_sysreg(revidr >> 1, write=False), 5, hcr),
        "access": accessed(revidr),
    }
    events = [returned(5, hcr), handled(revidr), *(texts[word] for word in shows)]
    raw = trace_of(*events, *[ENTRY] * entered)
    assert verdict(report_of(linux, raw)) == (1, [line] if line else [])


def test_events_stand_for_a_trap_that_was_not_recorded(linux: Table, revidr: int) -> None:
    """Where `kvm_handle_sys_reg` was not enabled, or is another access's."""
    esr = encode_sysreg(revidr >> 1, write=False)
    alone = [forwarded(revidr), accessed(revidr), forwarded(revidr), injected(esr, 5, TID1)]
    report = report_of(linux, trace_of(returned(5, TID1), *alone, injected(esr, 5, 0)))
    assert verdict(report) == (4, [3, 6])
    other = handled(linux.encoding("MIDR_EL1") << 1)
    report = report_of(linux, trace_of(returned(5, TID1), other, forwarded(revidr), ENTRY))
    assert verdict(report) == (2, [])


def test_an_interrupt_s_injection_shows_no_forwarding(linux: Table, revidr: int) -> None:
    """Nor does an exception with another syndrome, or the same value as an IRQ."""
    esr = encode_sysreg(revidr >> 1, write=False)
    for event in (injected(esr, 5, TID1, "IRQ"), injected(0x5A00_0000, 5, TID1)):
        report = report_of(linux, trace_of(returned(5, TID1), handled(revidr), event))
        assert verdict(report) == (1, [2])


def test_coprocessor_registers_are_not_compared(linux: Table) -> None:
    """`kvm_sys_access` of an AArch32 guest has op0 0."""
    text = "PC: 8000 SCTLR (0,0,1,0,0) read"
    assert verdict(report_of(linux, trace_of(("kvm_sys_access", text)))) == (0, [])


def test_an_undefined_access_shows_nothing(linux: Table, revidr: int) -> None:
    """A register of a disabled feature: an UNDEF has no event, a local access has one."""
    bit = next(
        i for i in range(64) if linux.groups[0].bit_name(i, False) == "HFGRTR_EL2.REVIDR_EL1"
    )
    state = State(fgu={linux.groups[0].fgu: 1 << bit})
    for event, lines in ((ENTRY, []), (accessed(revidr), [2]), (forwarded(revidr), [2])):
        report = report_of(linux, trace_of(handled(revidr), event), given=state)
        assert verdict(report) == (1, lines)
        assert {row.outcome for row in report.rows.values()} == {"undef"}


# ---- contexts ----------------------------------------------------------------------------


def test_the_given_state_holds_until_one_is_traced(linux: Table, revidr: int) -> None:
    """EL and HCR_EL2 of an ERET replace those given, other registers stay."""
    given = State({"HCR_EL2": TID1, "HFGRTR_EL2": 0})
    raw = trace_of(accessed(revidr), returned(5, 0), accessed(revidr), returned(5, TID1))
    report = report_of(linux, raw, given=given)
    assert verdict(report) == (2, [1])
    assert report.apart[0][1].state == given


@pytest.mark.parametrize(
    ("spsr", "hcr", "forwards"),
    [
        (0x5, TID1, True),
        (0x4, TID1, True),
        (0x0, TID1, True),
        (0x3C5, TID1, True),
        (0x9, TID1, False),
        (0x8, TID1, False),
        (0x0, TID1 | TGE, False),
        (0x10, TID1, True),
        (0x13, TID1, True),
        (0x1A, TID1, False),
        (0xD, TID1, False),
    ],
)
def test_l1_in_hypervisor_context_gets_no_traps(
    linux: Table, revidr: int, spsr: int, hcr: int, forwards: bool
) -> None:
    """The mode to which an ERET went, or from which an exception came, decides."""
    report = report_of(linux, trace_of(returned(spsr, hcr), forwarded(revidr)))
    assert verdict(report) == (1, [] if forwards else [2])
    esr = encode_sysreg(revidr >> 1, write=False)
    report = report_of(linux, trace_of(handled(revidr), injected(esr, spsr, hcr)))
    assert verdict(report) == (1, [] if forwards else [2])


def test_an_injected_exception_is_followed_by_hypervisor_context(linux: Table, revidr: int) -> None:
    """L1 runs until its ERET; what it touches is local."""
    events = [injected(0, 5, TID1, "IRQ"), accessed(revidr), returned(5, TID1), accessed(revidr)]
    assert verdict(report_of(linux, trace_of(*events))) == (2, [4])


def test_tasks_have_their_own_contexts(linux: Table, revidr: int) -> None:
    """However they interleave, and whatever CPU they are on."""
    one = trace_of(returned(5, TID1), handled(revidr), accessed(revidr)).splitlines(keepends=True)
    two = trace_of(returned(5, 0), handled(revidr), accessed(revidr), pid=77).splitlines(
        keepends=True
    )
    raw = b"".join(line for pair in zip(one, two, strict=True) for line in pair)
    assert verdict(report_of(linux, raw)) == (2, [5])


# ---- traced states -------------------------------------------------------------------------

MARKS = {
    "trace_marker": ("tracing_mark_write", "nvtrap_l1_state: "),
    "trace_printk": ("kvm_arch_vcpu_load", "nvtrap_l1_state: "),
    "trace-cmd": ("bprint", "              kvm_arch_vcpu_load: nvtrap_l1_state: "),
    "an event": ("nvtrap_l1_state", ""),
}


@pytest.mark.parametrize("way", MARKS)
def test_states_in_the_trace_hold_for_their_task(linux: Table, revidr: int, way: str) -> None:
    """From there on; another task has its own, `pid` names it or all."""
    event, text = MARKS[way]
    state = (event, f"{text}HFGRTR_EL2=0x{1 << 39:x}, MDCR_EL2=0")
    bit = next(
        i for i in range(64) if linux.groups[0].bit_name(i, False) == "HFGRTR_EL2.REVIDR_EL1"
    )
    state = (event, f"{text}HFGRTR_EL2={1 << bit:#x}, MDCR_EL2=0 el=1")
    for pid, lines in (("", [2, 5]), (" pid=77", [2, 4]), (" pid=*", [2])):
        marked = (state[0], state[1] + pid)
        raw = trace_of(returned(5, 0), forwarded(revidr), marked, forwarded(revidr))
        raw += trace_of(forwarded(revidr), pid=77)
        assert verdict(report_of(linux, raw)) == (3, lines)


@pytest.mark.parametrize("sign", ["# ", "#", "   #  "])
def test_a_comment_s_state_holds_for_all(linux: Table, revidr: int, sign: str) -> None:
    """Also for tasks that come later; an ERET replaces its EL and HCR_EL2."""
    comment = f"{sign}nvtrap_l1_state: HCR_EL2=0x10000 el=0\n".encode()
    raw = comment + trace_of(forwarded(revidr), returned(5, 0), forwarded(revidr))
    raw += comment + trace_of(forwarded(revidr)) + trace_of(forwarded(revidr), pid=2)
    report = report_of(linux, raw)
    assert verdict(report) == (4, [4])
    assert repr(report.apart[0][1].state) == "EL1, HCR_EL2=0x0"


def test_names_of_registers_are_known_or_told(linux: Table, revidr: int) -> None:
    """In any case of letters; what nothing goes by is named."""
    state = ("nvtrap_l1_state", "hcr_el2=0x10000 mdcr_el2=1 HRC_EL2=1")
    report = report_of(linux, trace_of(state, forwarded(revidr)))
    assert verdict(report) == (1, [])
    assert report.unknown == {"HRC_EL2"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("HCR_EL2", "a state is `REG=N`"),
        ("HCR_EL2=", "a state is `REG=N`"),
        ("HCR_EL2=1 junk", "a state is `REG=N`"),
        ("HCR_EL2=x", "`x` is no number for `HCR_EL2`"),
        ("HCR_EL2=0x1ffffffffffffffff", "does not fit the 64 bits of `HCR_EL2`"),
        ("el=3", "`el` is 3"),
        ("MDCR_EL2=" + "9" * 100, "does not fit the 64 bits of `MDCR_EL2`"),
    ],
)
def test_a_bad_state_is_damage(linux: Table, text: str, reason: str) -> None:
    """And changes nothing."""
    report = report_of(linux, trace_of(("nvtrap_l1_state", text)))
    assert report.damaged == 1
    assert reason in report.damage[0][2]


# ---- notes -----------------------------------------------------------------------------------


def test_registers_that_nobody_gave_are_named(linux: Table, revidr: int) -> None:
    """Those on which disagreements hang."""
    report = report_of(linux, trace_of(returned(5, 0), forwarded(revidr)))
    assert report.lacks == ["HFGRTR_EL2"]
    given = State({"HFGRTR_EL2": 0})
    assert report_of(linux, trace_of(forwarded(revidr)), given=given).lacks == ["HCR_EL2"]


def test_after_lost_events_a_trap_that_waits_is_not_judged(linux: Table, revidr: int) -> None:
    """Its end may be among them; one whose end was seen is."""
    lost = b"CPU:3 [LOST 1234 EVENTS]\n"
    before = trace_of(returned(5, TID1), handled(revidr))
    report = report_of(linux, before + lost + trace_of(ENTRY, handled(revidr), ENTRY))
    assert verdict(report) == (1, [5])
    assert (report.lost, report.unshown) == (1, 1)
    for text in (b"CPU:3 [1234 EVENTS DROPPED]\n", b"CPU:0 [EVENTS DROPPED]\n"):
        report = report_of(linux, trace_of(handled(revidr), forwarded(revidr)) + text)
        assert verdict(report) == (1, [2])
        assert (report.lost, report.unshown) == (1, 0)


def test_the_last_trap_of_a_task_is_judged_where_nothing_would_follow(
    linux: Table, revidr: int
) -> None:
    """A trace that records entries would show one."""
    raw = trace_of(returned(5, TID1), handled(revidr))
    assert verdict(report_of(linux, raw)) == (1, [2])
    report = report_of(linux, raw + trace_of(ENTRY, pid=1))
    assert verdict(report) == (0, [])
    assert report.unshown == 1


# ---- the law -----------------------------------------------------------------------------------

ACCESSES = st.sampled_from([0xC006 << 1, 0xC006 << 1 | 1, 0xC081 << 1])
HCRS = st.sampled_from([0, TID1, TGE, 1 << 21])
SPSRS = st.sampled_from([0, 5, 9])
EVENTS = st.one_of(
    ACCESSES.map(handled),
    ACCESSES.map(forwarded),
    ACCESSES.map(accessed),
    st.builds(returned, SPSRS, HCRS),
    st.builds(
        injected,
        ACCESSES.map(lambda access: encode_sysreg(access >> 1, bool(access & 1))),
        SPSRS,
        HCRS,
        st.sampled_from(["SYNC", "IRQ"]),
    ),
    st.just(ENTRY),
    st.sampled_from(
        [
            ("nvtrap_l1_state", "HCR_EL2=0x10000"),
            ("nvtrap_l1_state", "HFGRTR_EL2=0x1"),
            ("nvtrap_l1_state", "el=0 HFGRTR_EL2=0x20000 pid=2"),
            ("tracing_mark_write", "nvtrap_l1_state: HCR_EL2=0x200000 pid=*"),
            ("kvm_handle_sys_reg", "HSR 0x6"),
        ]
    ),
)
LINES = st.one_of(
    st.builds(lambda pid, event: trace_of(event, pid=pid), st.sampled_from([1, 2]), EVENTS),
    st.sampled_from(
        [
            b"CPU:1 [LOST 5 EVENTS]\n",
            b"# nvtrap_l1_state: MDCR_EL2=1 el=2\n",
            b"\x00\xff\n",
            b"\n",
        ]
    ),
)


@settings(max_examples=300)
@given(st.lists(LINES, max_size=12), st.sampled_from([0, 2, 1000]))
def test_a_trace_gives_the_same_report_wherever_it_is_cut(
    linux: Table, lines: list[bytes], most: int
) -> None:
    """Whatever events follow one another: in two pieces, in three, and in one for each line."""
    whole = data(report_of(linux, b"".join(lines), most=most))
    assert data(report_of(linux, *lines, most=most)) == whole
    for at in range(len(lines)):
        parts = lines[:at], lines[at : at + 3], lines[at + 3 :]
        assert data(report_of(linux, *map(b"".join, parts), most=most)) == whole
        parts = lines[:at], lines[at:], []
        assert data(report_of(linux, *map(b"".join, parts), most=most)) == whole


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A line of any tool with some bytes replaced, removed or added, or as it should be."""
    style = STYLES[draw(st.sampled_from(sorted(STYLES)))]
    line = bytearray(style("CPU 0/KVM", draw(ACCESSES) & 7, 1, 1.5, *draw(EVENTS)).encode())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(line)))
        line[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b" ", b": ", b".", b"7"])
        )
    return bytes(line) + b"\n"


@settings(max_examples=300)
@given(st.lists(damaged(), max_size=20))
def test_a_line_is_read_alike_whatever_stands_before_it(linux: Table, lines: list[bytes]) -> None:
    """What a piece has seen makes it faster, and nothing else; not even of damaged lines."""
    assert data(report_of(linux, b"".join(lines))) == data(report_of(linux, *lines))


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_real_trace_gives_the_same_report_in_pieces(linux: Table, size: int) -> None:
    """Of so many lines each."""
    lines = made(linux, 9, 500).raw.splitlines(keepends=True)
    parts = [b"".join(lines[n : n + size]) for n in range(0, len(lines), size)]
    assert data(report_of(linux, *parts)) == data(report_of(linux, b"".join(lines)))
