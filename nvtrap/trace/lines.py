"""The lines of ftrace, `trace-cmd report` and `perf script`.

Of a line only the task, the event and where its text begins matter::

    CPU 0/KVM-1234    [003] d..1.  1234.567890: kvm_entry: PC: …             ftrace
    CPU 0/KV-1234      3d..1.   12us+: kvm_entry: PC: …                      … latency-format
    CPU 0/KVM-1234  [003]  1234.567890: kvm_entry:            PC: …          trace-cmd report
    CPU 0/KVM  1230/1234 [003]  1234.567890:          kvm:kvm_entry: PC: …   perf script

The task's name may hold anything, also spaces and dashes; what ends it is its number, the
CPU and the time behind it (Linux, kernel/trace/trace_output.c; libtraceevent; perf).
"""

from __future__ import annotations

import re

# Task number and event. Numbers are bounded and runs taken whole, so that no line takes long.
EVENT = re.compile(
    rb"""
    .*?  (?:\d{1,10}+/)? (\d{1,10}+) \s++  (?:\(\s*+[-\d]++\)\s++)?+   # [process/]task, [group]
    (?:\[\d++\] | \d++(?=[.a-zA-Z]))                              # CPU
    (?:\s*+[^\s:\[]{4,8}+(?!\ ?:))? \s++                          # flags
    [\d.]++ (?:us.)?+ \ ?: \s++                                   # time
    (?:\(\+[\d.]++\)\s++)?+ (?:\d++\s++)?+                        # time since; perf: period
    (?:kvm:)?+ (?:(\w++):(?:\s++|$))?+                            # event
    """,
    re.VERBOSE | re.DOTALL,
).match
# Where tasks are not shown: a CPU, or nothing.
BARE_EVENT = re.compile(
    rb"(?:\s*+\[(\d++)\]\s++(?:\d[\d.]*+:\s++)?+)?+(?:kvm:)?+(\w++):(?:\s++|$)"
).match
COMMENT = re.compile(rb"\s*+(?:\#\s*+|$)").match
LOST = re.compile(rb"CPU:\d++ \[.*(?:LOST|DROPPED)").match
# What tracers print beside events: about the file, stacks, graphs of functions.
OTHER = re.compile(
    rb"""
    (?:cpus|version)\s?=\s?\d | CPU\s\d+\sis\sempty
    | \s*+ (?: => | <(?:user\s)?stack\strace> | \d++\)\s )
    | \s++ [0-9a-f]{4,16}+ \s
    """,
    re.VERBOSE,
).match
