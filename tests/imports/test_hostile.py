"""Texts that are no tables, or mean harm: a line or findings, soon, and no traceback."""

from __future__ import annotations

import pytest

from nvtrap.errors import InputError
from nvtrap.imports import MOST_BYTES, import_linux
from tests.imports.sample import KERNEL, changed, imported

MANY = 10_000


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "it has no `enum trap_behaviour` and no `enum cgt_group_id`"),
        (b"int main(void) { return 0; }\n", "it has no `enum trap_behaviour`"),
        (b"/* enum trap_behaviour {", "it has no `enum trap_behaviour`"),
        (b'"enum trap_behaviour {}"', "it has no `enum trap_behaviour`"),
        (b"enum trap_behaviour {}; enum cgt_group_id {};", "`coarse_trap_bits[]`"),
        (KERNEL.replace("encoding_to_cgt", "other").encode(), "it has no `encoding_to_cgt[]`"),
        (b"\xff\xfe\x00", "byte 0 is not UTF-8"),
        (b"\0" * 100, "it is not text"),
        (b" " * (MOST_BYTES + 1), "it has more than 1 MiB"),
    ],
)
def test_what_is_no_such_text_is_said_in_one_line(raw: bytes, message: str) -> None:
    """With what is missing."""
    with pytest.raises(InputError) as caught:
        import_linux(raw, "some.c")
    assert message in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (".mask = HCR_TID1", f".mask = {'(' * MANY}HCR_TID1{')' * MANY}"),
        (".mask = HCR_TID1", f".mask = {'(' * MANY}"),
        (".mask = HCR_TID1", f".mask = {'~' * MANY}1"),
        (".mask = HCR_TID1", f".mask = {'BIT(' * MANY}"),
        (".mask = HCR_TID1", ".mask = 99999999999999999999999"),
        (".mask = HCR_TID1", ".mask = 0x"),
        (".mask = HCR_TID1", ".mask = 1_6"),
        (".mask = HCR_TID1", ".mask = BIT(64)"),
        (".mask = HCR_TID1", ".mask = GENMASK(1, 5)"),
        (".mask = HCR_TID1", ".mask ="),
        (".mask = HCR_TID1", "#define A\n.mask = A"),
        ("#define TC_FGT_BITS 3", "#define A B\n#define B A\n#define TC_CGT_BITS A\n"),
        ("SR_TRAP(SYS_FPMR", f"{'{' * MANY} SR_TRAP(SYS_FPMR"),
        ("SR_TRAP(SYS_FPMR", f"{'}' * MANY} SR_TRAP(SYS_FPMR"),
        ("SR_TRAP(SYS_FPMR", f"{'((' * MANY} SR_TRAP(SYS_FPMR"),
        ("SR_TRAP(SYS_FPMR", '" SR_TRAP(SYS_FPMR'),
        ("SR_TRAP(SYS_FPMR", "SR_TRAP(, SYS_FPMR"),
        ("SR_TRAP(SYS_FPMR", f"{'SR_TRAP(X, Y),' * MANY} SR_TRAP(SYS_FPMR"),
        (
            "SR_TRAP(SYS_FPMR",
            "SR_RANGE_TRAP(sys_reg(0,0,0,0,0), sys_reg(3,7,15,15,7), CGT_HCR_TVM)," * 1000
            + "SR_TRAP(SYS_FPMR",
        ),
        ("    CGT_HCR_TID1,\n", f"    CGT_HCR_TID1,\n{'CGT_X,' * MANY}"),
        ("    CGT_HCR_TID1,\n", "    CGT_HCR_TID1 = = 3,\n"),
        ("    CGT_HCR_TID1,\n", "    , 7, CGT_HCR_TID1,\n"),
        ("enum cgt_group_id {", "enum cgt_group_id { A }; enum cgt_group_id {"),
        ("coarse_trap_bits[] = {", "coarse_trap_bits[] = { [, [X] = {}, [Y] = { z },"),
    ],
)
def test_harmful_text_gives_findings(old: str, new: str) -> None:
    """Whatever it is, and whether or not something is left to write."""
    assert any(finding.is_error for finding in imported(changed(old, new)).findings)


@pytest.mark.parametrize(
    "text",
    [
        KERNEL.partition("encoding_to_fgt")[0],
        changed("enum cgt_group_id {", "/*"),
        changed("SR_TRAP(SYS_FPMR", "/* SR_TRAP(SYS_FPMR"),
        changed("enum cgt_group_id {", '"'),
        "enum cgt_group_id {" * MANY,
        "a[] = {" * MANY,
        "#" * MANY,
        "/*" * MANY,
        "\\\n" * MANY,
        '"' * MANY,
    ],
)
def test_harmful_text_that_has_no_tables(text: str) -> None:
    """One line, soon."""
    with pytest.raises(InputError) as caught:
        imported(text)
    assert "\n" not in caught.value.message


def test_many_encodings_are_bearable() -> None:
    """Each of very many entries is written once."""
    rows = "".join(
        f"SR_TRAP(sys_reg(1,{n >> 11 & 7},{n >> 7 & 15},{n >> 3 & 15},{n & 7}),CGT_HCR_TVM),"
        for n in range(0, 16384, 2)
    )
    result = imported(KERNEL.replace("    SR_TRAP(OP_TLBI", f"{rows}//").replace("SR_FGF", "//"))
    assert result.text.count("S1_7_") > 100


@pytest.mark.parametrize("display", ['a\nuse "./evil.trap"\n', "a\x1b[2J", "a\u202eb"])
def test_the_name_of_the_file_stays_in_its_comment(display: str) -> None:
    """A name with line ends or control characters adds nothing to the rules."""
    text = import_linux(KERNEL.encode(), display).text
    head = text.partition("\nuse ")[0]
    assert all(line.startswith("#") or not line for line in head.splitlines())
    assert text.isascii()


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends_are_the_same(end: str) -> None:
    """Lines are counted alike."""
    assert import_linux(KERNEL.replace("\n", end).encode(), "emulate-nested.c") == imported()
