"""The canonical layout by example: what stands in a line, how far in, and in which column."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lang.formatting.helpers import formatted

# A line that says what is shown, the text, a line of dashes, and its layout.
CASES = """
======== only comments


# a


# b
--------
# a

# b
======== statements begin a line, and one empty line stays
use "a" use "b"


use table  c
--------
use "a"
use "b"

use table c
======== spaces in a term
trap X by A . B when  HCR_EL2 . { NV2 ,NV }==0b11 and ( EL<1 or not R [ 3 : 2 ] > 0 )
--------
trap X  by A.B when HCR_EL2.{NV2, NV} == 0b11 and (EL < 1 or not R[3:2] > 0)
======== traps share the column of their parts
trap A by X.Y
# why
trap read BCD,(3,0,1,0,0) .. E fine F [3] negative (when EL==1)
drop trap A

trap A1 by X.Y
--------
trap A                               by X.Y
# why
trap read BCD, (3, 0, 1, 0, 0) .. E  fine F[3] negative (when EL == 1)
drop trap A

trap A1  by X.Y
======== controls and conditions share theirs
control A.B traps any,also  in host EL0 , when R.F == 1
condition A.CD traps read when EL == 1
--------
control   A.B   traps any, also in host EL0, when R.F == 1
condition A.CD  traps read                   when EL == 1
======== a comment before words that hang together
control A.B traps any # why
# not
also  in host EL0 when R.F == 1
--------
control A.B  traps any  # why
        # not
        also in host EL0 when R.F == 1
======== expectations
expect read A local from EL0 when X=1,res0 Y=2
expect write BC forward by fine F.G when X=1
expect any D undef when fgu F.G=1
--------
expect read  A   local               from EL0 when X = 1, res0 Y = 2
expect write BC  forward by fine F.G          when X = 1
expect any   D   undef                        when fgu F.G = 1
======== line ends behind commas and before clauses stay
trap A,
B
by C.D
from EL1
--------
trap A,
     B
     by C.D
     from EL1
======== others go
trap
A
,B by C
.D
--------
trap A, B  by C.D
======== a block that was begun on a line is one
register R = S3_0_C0_C0_0 { A [ 1 ] is B negative
N<n: 0..3> [4+2 * n] requires not X }
--------
register R = S3_0_C0_C0_0 { A [1] is B negative  N<n: 0..3> [4 + 2*n] requires not X }
======== fields in columns
register R = S3_0_C0_C0_0 read-only requires F {

A [63:60,3] requires F else 1

BCD [1] negative
E [2] is X requires F
layout when A.B==0 { G [4] H [5] }
layout when A.B==1 {
G [4]
}

}
--------
register R = S3_0_C0_C0_0 read-only requires F {
    A [63:60, 3] requires F else 1

    BCD [1]      negative
    E   [2] is X requires F
    layout when A.B == 0 { G [4]  H [5] }
    layout when A.B == 1 {
        G [4]
    }
}
======== a comment opens its block
register R = S3_0_C0_C0_0 { A [1] # low
B [2] }
table t {}
--------
register R = S3_0_C0_C0_0 {
    A [1]  # low
    B [2]
}
table t {}
======== the clauses of a table
table a.b { # c
parts are additive limit controls 1 limit groups 2
absent fields read  as
zero sanitise A,
B }
--------
table a.b {  # c
    parts are additive  limit controls 1  limit groups 2
    absent fields read as zero  sanitise A,
             B
}
======== groups
fine group A { read R_EL2 write RW_EL2 fgu "A" }
fine group BC { any  LONG_EL2 fgu "B" }
--------
fine group A  { read R_EL2    write RW_EL2  fgu "A" }
fine group BC { any LONG_EL2  fgu "B" }
======== comments behind lines share a column, those above stand as far in
context a when EL == 1 # x
context abc when EL == 12 # y
  # z
trap A,  # first
# next
B by C.D
--------
context a    when EL == 1   # x
context abc  when EL == 12  # y
# z
trap A,  # first
     # next
     B  by C.D
======== words of the language as names
trap by, when, trap by when.from (unless at)
--------
trap by, when, trap  by when.from (unless at)
"""


def cases() -> Iterator[tuple[str, str, str]]:
    """(what it shows, text, layout) of each case."""
    for case in CASES.split("======== ")[1:]:
        text, layout = case.split("\n--------\n")
        title, text = text.split("\n", 1)
        yield title, text, layout


@pytest.mark.parametrize(
    ("text", "layout"), [case[1:] for case in cases()], ids=[case[0] for case in cases()]
)
def test_layout(text: str, layout: str) -> None:
    """The text gets that layout, and keeps it."""
    assert formatted(text) == layout
    assert formatted(layout) == layout


@pytest.mark.parametrize("text", ["", "\n", " \f\n\n\t"])
def test_a_text_of_nothing_is_empty(text: str) -> None:
    """Whatever space it has."""
    assert formatted(text) == ""


def test_a_long_line_is_broken_before_its_last_clause() -> None:
    """Then where it is full."""
    names = [f"REGISTER{number}_EL1" for number in range(9)]
    assert formatted(f"trap {', '.join(names)} by CONTROL.A from EL1").splitlines() == [
        f"trap {', '.join(names[:7])},",
        f"     {', '.join(names[7:])}",
        "     by CONTROL.A from EL1",
    ]


def test_a_block_too_long_for_a_line_is_opened() -> None:
    """With an item in each line."""
    fields = [f"FIELD{number} [{number}]" for number in range(9)]
    text = f"register R = S3_0_C0_C0_0 {{ {' '.join(fields)} }}"
    assert formatted(text).splitlines() == [
        "register R = S3_0_C0_C0_0 {",
        *(f"    {field}" for field in fields),
        "}",
    ]


def test_a_row_too_long_for_the_column_stays_out_of_it() -> None:
    """The others keep theirs, and do not move away for it."""
    long = ", ".join(f"S3_0_C0_C{number}_0" for number in range(5))
    parts = "by HCR.TID1, fine HFG.REVIDR_EL1"
    lines = formatted(
        f"trap A {parts} from EL1\ntrap {long} {parts}\ntrap BCD {parts}"
    ).splitlines()
    assert lines == [f"trap A    {parts} from EL1", f"trap {long}  {parts}", f"trap BCD  {parts}"]
