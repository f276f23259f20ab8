"""The file of a compiled table: what is written is read, anything else is refused."""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvtrap.arch import ENCODINGS, Access
from nvtrap.engine import STEPS, State, Table
from nvtrap.errors import NvtrapError, TableError
from nvtrap.table import CompiledTable, file
from nvtrap.table.conditions import DEEPEST
from tests.engine.helpers import SMALL, blob_of, examples
from tests.strategies import tables

HEADER = len(file.MAGIC) + 6
ACCESSES = ("REVIDR_EL1", "PIR_EL1", "CNT3_EL0", "ONE_EL1", "MEM_EL1", "WFX", "S3_0_C0_C0_7")


@pytest.fixture(scope="module")
def blob() -> bytes:
    """The file of the small table."""
    return blob_of(SMALL)


def sealed(body: bytes, version: int = file.VERSION) -> bytes:
    """A file with a valid checksum around a body."""
    crc = zlib.crc32(body).to_bytes(4, "little")
    return file.MAGIC + version.to_bytes(2, "little") + crc + body


def forged(sections: list[bytes]) -> bytes:
    """A file of any sections."""
    lengths = b"".join(len(section).to_bytes(4, "little") for section in sections)
    return sealed(lengths + b"".join(sections))


def with_section(blob: bytes, number: int, section: bytes) -> bytes:
    """The file with another section."""
    found = file.sections(blob)
    found[number] = section
    return forged(found)


def with_record(blob: bytes, path: tuple[str | int, ...], value: object) -> bytes:
    """The file with one value of its records replaced."""
    data = json.loads(file.sections(blob)[0])
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return with_section(blob, 0, json.dumps(data).encode())


def refused(blob: bytes) -> str:
    """The message with which a file is refused."""
    with pytest.raises(TableError) as caught:
        file.unpack(blob, Table)
    return caught.value.message


# ---- as it is written -------------------------------------------------------------


@settings(max_examples=examples(20))
@given(tables())
def test_what_is_packed_is_unpacked(text: str) -> None:
    """Packing the sections of a file again makes the same file, and it passes the check."""
    blob = blob_of(text)
    table = file.unpack(blob, CompiledTable)
    records, _, names, fields, features = file.sections(blob)
    again = file.pack(
        json.loads(records), table.rule_of, names.decode(), fields.decode(), features.decode()
    )
    assert again == blob
    assert file.unpack(blob, CompiledTable, trusted=True).rule_of == table.rule_of


def test_the_shipped_table_passes_the_check(linux: Table, cache_of_tests: Path) -> None:
    """What the compiler writes is what the check expects."""
    blobs = [file.read(str(path)) for path in cache_of_tests.glob("*/*.nvtable")]
    names = [file.unpack(blob, Table).name for blob in blobs]
    assert linux.name in names


def test_a_machine_of_other_byte_order(monkeypatch: pytest.MonkeyPatch, blob: bytes) -> None:
    """The index is little endian in the file whatever the machine is."""
    here = file.unpack(blob, CompiledTable)
    monkeypatch.setattr(sys, "byteorder", "big" if sys.byteorder == "little" else "little")
    there = file.unpack(blob, CompiledTable, trusted=True)
    assert bytes(there.rule_of)[::2] == bytes(here.rule_of)[1::2]


# ---- damaged ----------------------------------------------------------------------


def ends(blob: bytes) -> Iterator[int]:
    """Where the parts of a file end, and places around and between."""
    lengths = [
        int.from_bytes(blob[at : at + 4], "little")
        for at in range(HEADER, HEADER + 4 * file.SECTIONS, 4)
    ]
    at = HEADER + 4 * file.SECTIONS
    edges = [0, len(file.MAGIC), len(file.MAGIC) + 2, HEADER, at]
    for length in lengths:
        at += length
        edges.append(at)
    for edge in edges:
        yield from (edge - 1, edge, edge + 1)
    yield from Random(1).sample(range(len(blob)), 40)


def test_a_truncated_file_is_refused(blob: bytes) -> None:
    """Wherever it was cut off, and also where something follows."""
    for end in ends(blob):
        if 0 <= end < len(blob):
            assert refused(blob[:end])
    assert refused(blob + b"\0")


def test_an_altered_file_is_refused(blob: bytes) -> None:
    """Whatever byte was changed: the first hundred, and a sample of the others."""
    random = Random(2)
    for at in (*range(100), *random.sample(range(len(blob)), 200)):
        altered = bytearray(blob)
        altered[at] ^= 1 << random.randrange(8)
        assert refused(bytes(altered))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(junk: bytes) -> None:
    """Bytes are no table, alone or in a table's clothes."""
    for blob in (junk, file.MAGIC + junk, sealed(junk), forged([junk] * file.SECTIONS)):
        assert refused(blob)


@pytest.mark.parametrize(
    ("altered", "message"),
    [
        (lambda blob: b"NVTRAP" + blob[6:], "this is not a compiled table"),
        (
            lambda blob: sealed(blob[HEADER:], file.VERSION + 1),
            f"the compiled table has format version {file.VERSION + 1}, this nvtrap reads 1",
        ),
        (
            lambda blob: blob[:-1],
            "the compiled table is truncated or altered (its checksum differs)",
        ),
        (
            lambda blob: sealed(blob[HEADER:-1]),
            "the compiled table is malformed (its sections do not add up)",
        ),
        (
            lambda blob: with_section(blob, 1, b"no index"),
            "the compiled table is malformed (its index has another size)",
        ),
        (
            lambda blob: with_section(blob, 0, b"{}"),
            "the compiled table is malformed (a record has another shape)",
        ),
    ],
)
def test_the_reason_is_told(blob: bytes, altered: Callable[[bytes], bytes], message: str) -> None:
    """Not a table, another version, damaged, or malformed."""
    assert refused(altered(blob)) == message


# ---- forged -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"\0" * (2 * ENCODINGS - 2),
        b"\0" * (2 * ENCODINGS + 1),
        b"\0" * (2 * (ENCODINGS + file.MOST_NAMED) + 2),
        b"\0" * (1 << 24),
        b"\xff" * (2 * ENCODINGS),
    ],
    ids=["empty", "short", "odd", "long", "bomb", "no such rules"],
)
def test_a_forged_index_is_refused(blob: bytes, plain: bytes) -> None:
    """An index has a rule that is there for each encoding, and is not inflated beyond that."""
    assert refused(with_section(blob, 1, zlib.compress(plain)))


def nested(depth: int) -> list[Any]:
    """A condition that is `depth` deep."""
    condition: list[Any] = ["cmp", "==", ["f", 0, [[0, 1]]], ["k", 1]]
    for _ in range(depth):
        condition = ["not", condition]
    return condition


BAD_CONDITIONS: list[Any] = [
    None,
    [],
    "true",
    ["maybe"],
    ["true", 1],
    ["and"],
    ["not"],
    ["not", ["true"], ["true"]],
    ["or", ["true"], 1],
    ["cmp", "==", ["k", 1]],
    ["cmp", "=", ["k", 1], ["k", 1]],
    ["cmp", ["=="], ["k", 1], ["k", 1]],
    ["cmp", "==", ["k", 1.5], ["k", 1]],
    ["cmp", "==", ["k", True], ["k", 1]],
    ["cmp", "==", ["k", -1], ["k", 1]],
    ["cmp", "==", ["k", 1 << 64], ["k", 1]],
    ["cmp", "==", ["k", "__import__('os')"], ["k", 1]],
    ["cmp", "==", ["i", 0], ["k", 1]],
    ["cmp", "==", ["f", 99, [[0, 1]]], ["k", 1]],
    ["cmp", "==", ["f", -1, [[0, 1]]], ["k", 1]],
    ["cmp", "==", ["f", "HCR_EL2", [[0, 1]]], ["k", 1]],
    ["cmp", "==", ["f", 0, []], ["k", 1]],
    ["cmp", "==", ["f", 0, [[0, 0]]], ["k", 1]],
    ["cmp", "==", ["f", 0, [[0, 65]]], ["k", 1]],
    ["cmp", "==", ["f", 0, [[64, 1]]], ["k", 1]],
    ["cmp", "==", ["f", 0, [[-1, 1]]], ["k", 1]],
    ["cmp", "==", ["f", 0, [[0, 1], [0, 1]]], ["k", 1]],
    ["cmp", "==", ["f", 0, [[0]]], ["k", 1]],
    ["cmp", "==", ["f", 0, "bits"], ["k", 1]],
    nested(DEEPEST + 1),
]


@pytest.mark.parametrize("condition", BAD_CONDITIONS, ids=lambda c: str(c)[:50])
@pytest.mark.parametrize(
    "path",
    [
        ("hypervisor",),
        ("host_el0",),
        ("controls", 0, 6),
        ("parts", 0, 6),
        ("rules", -1, 3),
    ],
    ids=str,
)
def test_a_forged_condition_is_refused(
    blob: bytes, path: tuple[str | int, ...], condition: object
) -> None:
    """A condition has the known forms, numbers that fit, and ends some time."""
    value = [0, condition] if path[0] == "rules" else condition
    assert refused(with_record(blob, path, value))


def test_the_deepest_condition_can_be_decided(blob: bytes) -> None:
    """What passes the check is not too deep for the engine: 64 pieces within 100 levels."""
    pieces = [[bit, 1] for bit in range(64)]
    deepest: list[Any] = ["cmp", "<", ["f", 0, pieces], ["f", 1, pieces]]
    for level in range(DEEPEST):
        deepest = ["not", deepest] if level % 2 else ["and", deepest, ["true"]]
    forgery = blob
    for number in range(len(json.loads(file.sections(blob)[0])["controls"])):
        forgery = with_record(forgery, ("controls", number, 6), deepest)
    use(file.unpack(forgery, Table))


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (["cmp", "==", ["f", "HCR_EL2", [[0, 1]]], ["k", 5]], False),
        (["cmp", "!=", ["f", "HCR_EL2", [[0, 1]]], ["k", 5]], True),
        (["cmp", "<", ["f", "access.write", [[0, 1]]], ["k", 1]], True),
        (["cmp", "!=", ["k", 1], ["k", 1]], False),
        (["cmp", "<", ["i"], ["k", 0]], True),
        (["false"], False),
        (["or", ["false"], ["and", ["true"], ["true"]]], True),
    ],
    ids=str,
)
def test_a_condition_that_no_text_has_is_decided(
    blob: bytes, condition: list[Any], holds: bool
) -> None:
    """What the compiler would refuse or simplify still means what it says."""
    data = json.loads(file.sections(blob)[0])
    text = json.dumps(condition)
    for number, slot in enumerate(data["slots"]):
        text = text.replace(json.dumps(slot), str(number))
    forgery = with_record(blob, ("controls", 0, 6), json.loads(text))
    table = file.unpack(forgery, Table)
    access = Access("REVIDR_EL1")
    assert table.decide(State(), access).step == ("coarse" if holds else "none")
    assert table.explain(State(), access).outcome.step == ("coarse" if holds else "none")
    step = table.decide_all(State())[table.encoding("REVIDR_EL1")] & 15
    assert step == STEPS.index("coarse" if holds else "none")


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (("name",), [1, None]),
        (("additive",), [1, "yes", None]),
        (("slots",), [{}, "HCR_EL2", ["HCR_EL2"], [1] * 20]),
        (("slots", 0), [1, None, "CPTR_EL2"]),
        (("sanitised",), [[99], [-1], ["HCR_EL2"], [0.0], None]),
        (("files",), [[], [1], None]),
        (("sources",), [[[1]], [["a", -1, 0, ""]], [["a", 0, 0.5, ""]], {"a": 1}]),
        (("groups",), [[], [[]], {}, None]),
        (("groups", 0, 2, 0), ["MDCR_EL2", 1]),
        (("groups", 0, 3), [[0], [99, 0], [-1, 0], [0.5, 0], [0, 0, 0]]),
        (("groups", 0, 4), [[-1, 0], [1 << 64, 0], ["1", 0], [0]]),
        (("groups", 0, 6), [[], {"64": ["", ""]}, {"x": ["", ""]}, {"1": [""]}, {"1": [1, 2]}]),
        (("controls",), [[], {}, [[]]]),
        (("controls", 0, 0), [[99, 1], [0], [0, -1], [0, 1.5], None]),
        (("controls", 0, 1), [[["x", 99, [[0, 1]]]], [["x", 0, []]], [[1, 0, [[0, 1]]]], 7]),
        (("controls", 0, 3), ["thing", 1]),
        (("controls", 0, 4), [4, -1, True, "any"]),
        (("controls", 0, 5), [0, None]),
        (("controls", 0, 8), [[99], [-1], [0.5], "0", None]),
        (("parts",), [[], {}, [[]]]),
        (("parts", 0, 1), [99, -2, 0.5, "0", True]),
        (("parts", 0, 2), [99, -1, "0", 1.5]),
        (("parts", 0, 3), [64, -1, 1 << 70]),
        (("parts", 0, 4), [4, -1]),
        (("parts", 0, 5), [16, -1, 1.5]),
        (("parts", 0, 7), [1, None]),
        (("parts", 0, 8), [64, -1]),
        (("parts", 0, 9), [-2, 1 << 16, "0"]),
        (("rules",), [[], [[[], "", None, None]], [1], {}]),
        (("rules", 0), [[[0], "", None, None], [[], "no", None, None]]),
        (("rules", 1, 0), [[9999], [-1], [0.5], "x", None, {}]),
        (("rules", 1, 1), [1, None]),
        (("rules", 1, 2), [[99, 1], [0], 7]),
        (("rules", 1, 3), [[1], [1 << 16, ["true"]], [-1, ["true"]], 7]),
    ],
    ids=str,
)
def test_a_forged_record_is_refused(
    blob: bytes, path: tuple[str | int, ...], values: list[object]
) -> None:
    """Numbers out of range, of another kind, or records of another shape."""
    for value in values:
        assert refused(with_record(blob, path, value)), value


@pytest.mark.parametrize(
    ("number", "section"),
    [
        (0, b""),
        (0, b"[1, 2]"),
        (0, b"\xff"),
        (0, b"[" * 100_000),
        (0, b'{"name":' * 5000 + b"1" + b"}" * 5000),
        (0, b"1" * 10_000),
        (2, b""),
        (2, b"REVIDR_EL1 c006 r\n"),
        (2, b"\nREVIDR_EL1 c006 r"),
        (2, b"\nREVIDR_EL1 r\n"),
        (2, b"\nREVIDR_EL1 fffff r\n"),
        (2, b"\nREVIDR_EL1 c006 x\n"),
        (2, b"\nREVIDR EL1 c006 r\n"),
        (2, b"\n\xff\xfe c006 r\n"),
        (3, b"x"),
        (3, b"\nHCR_EL2\n"),
        (3, b"\nHCR_EL2 {\n"),
        (3, b"\nHCR_EL2 []\n"),
        (3, b'\nHCR_EL2 {"A": []}\n'),
        (3, b'\nHCR_EL2 {"A": [[null, [[0, 99]], ""]]}\n'),
        (3, b'\nHCR_EL2 {"A": [[null, [[0, 1]], 1]]}\n'),
        (3, b'\nHCR_EL2 {"A": [[["f"], [[0, 1]], ""]]}\n'),
        (3, b'\nHCR_EL2 {"A": [[["cmp", "==", ["f", 0, [[0, 1]]], ["k", 1]], [[0, 1]], ""]]}\n'),
        (4, b""),
        (4, b"[]"),
        (4, b"{}"),
        (4, b'{"predicates":{"FEAT_A":1},"profiles":{},"fields":{},"registers":[]}'),
        (4, b'{"predicates":{},"profiles":{"a":["a"]},"fields":{},"registers":[]}'),
        (4, b'{"predicates":{},"profiles":{"a":"b"},"fields":{},"registers":[]}'),
        (4, b'{"predicates":{},"profiles":{},"fields":{"R":[[["true"],-1,0]]},"registers":[]}'),
        (4, b'{"predicates":{},"profiles":{},"fields":{},"registers":[[["true"],[99999]]]}'),
        (4, b'{"predicates":{},"profiles":{},"fields":{},"registers":[[["true"],7]]}'),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_forged_section_is_refused(blob: bytes, number: int, section: bytes) -> None:
    """Sections are JSON or lines of the known form, and say only what fits the table."""
    assert refused(with_section(blob, number, section))


def paths(record: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a JSON value."""
    if above:
        yield above
    inner: list[Any] = []
    if isinstance(record, dict):
        inner = list(record.items())
    elif isinstance(record, list):
        inner = list(enumerate(record))
    for key, value in inner:
        yield from paths(value, (*above, key))


def use(table: Table) -> None:
    """Ask a table everything there is to ask."""
    states = [
        State(),
        State(dict.fromkeys(table.slots, (1 << 64) - 1), features=()),
        State({"HCR_EL2": 1 << 27}, el=0, fgu={"HFG": 1 << 58}),
    ]
    assert repr(table)
    for state in states:
        table.decide_all(state)
        for name in ACCESSES:
            for write in (False, True):
                with suppress(NvtrapError):
                    assert repr(table.decide(state, Access(name, write)))
                    assert table.explain(state, Access(name, write)).to_json()
    for register in table.slots:
        table.fields.of(register)
    list(table.names)
    table.features.of_id_registers({})
    for profile in table.features.profiles:
        table.features.named([profile])


JUNK: st.SearchStrategy[object] = (
    st.none()
    | st.booleans()
    | st.integers(-2, 70)
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.just([])
    | st.just({})
    | st.lists(st.integers(0, 3), max_size=4)
    | st.sampled_from(BAD_CONDITIONS)
)


@settings(max_examples=examples(100))
@given(st.sampled_from([0, 4]), st.data(), JUNK)
def test_a_forgery_is_refused_or_works(number: int, data: st.DataObject, junk: object) -> None:
    """With any one value replaced a table is refused, or answers every question."""
    record = json.loads(file.sections(SMALL_BLOB)[number])
    path = data.draw(st.sampled_from(list(paths(record))))
    record = deepcopy(record)
    place = record
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = junk
    with suppress(TableError):
        use(file.unpack(with_section(SMALL_BLOB, number, json.dumps(record).encode()), Table))


SMALL_BLOB = blob_of(SMALL)


def test_a_table_of_another_release_is_refused_not_stumbled_over(blob: bytes) -> None:
    """A trusted file whose records lack something is a table error as well."""
    data = json.loads(file.sections(blob)[0])
    del data["disarm"]
    with pytest.raises(TableError, match="another shape"):
        file.unpack(with_section(blob, 0, json.dumps(data).encode()), Table, trusted=True)


# ---- files ------------------------------------------------------------------------


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    """Folders are made, the mode is the user's, and nothing else is left."""
    path = tmp_path / "a" / "b" / "t.nvtable"
    file.write(str(path), b"one")
    file.write(str(path), b"two")
    assert file.read(str(path)) == b"two"
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the last step fails the draft is removed and the error is told."""
    path = tmp_path / "t.nvtable"
    file.write(str(path), b"one")

    def fail(*names: str) -> None:
        raise OSError(28, "No space left on device", *names)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        file.write(str(path), b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_read_is_a_table_error(tmp_path: Path) -> None:
    """Not there, a folder, or far too large."""
    for path in (tmp_path / "none.nvtable", tmp_path):
        with pytest.raises(TableError, match="cannot be read"):
            file.read(str(path))
    huge = tmp_path / "huge.nvtable"
    with huge.open("wb") as sparse:
        sparse.truncate(file.MOST_BYTES + 1)
    with pytest.raises(TableError, match="too large"):
        file.read(str(huge))
