"""What the machine formats are held against.

The JSON schemas are reductions in our own words of what the formats' owners publish (the
SARIF 2.1.0 standard, GitLab's page on code quality reports), to what nvtrap writes;
`junit.json` has the elements and attributes of the schema that Jenkins' xUnit plugin reads
(junit-10), reduced likewise. Being closed, they accept nothing that the originals refuse.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

FOLDER = Path(__file__).parent
POINT = re.compile(r"(?P<outcome>ok|not ok) (?P<number>\d+) - (?P<name>.+)")


def read(name: str) -> Any:
    """The schema in a file of this folder."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def hold_json(document: Any, name: str) -> None:
    """Assert that a document is as a schema says."""
    schema = read(name)
    Draft202012Validator.check_schema(schema)
    errors = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(document)
    ]
    assert errors == []


def hold_junit(text: str) -> ET.Element:
    """Assert that a report has the elements it may have, and counts them rightly."""
    root = ET.fromstring(text.encode())  # noqa: S314
    assert root.tag == "testsuites"
    known = read("junit.json")
    for element in root.iter():
        allowed = known[element.tag]
        assert set(allowed["required"]) <= element.attrib.keys()
        assert element.attrib.keys() <= {*allowed["required"], *allowed["optional"]}
        assert {child.tag for child in element} <= set(allowed["children"])
        if allowed["children"]:
            assert not (element.text or "").strip()
    for counted in (root, *root.findall("testsuite")):
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
            assert counted.get(name) == str(len(list(counted.iter(tag))))
    return root


def hold_tap(text: str) -> list[tuple[bool, str, list[dict[str, Any]]]]:
    """Assert that a text is TAP 14; the result is (ok, description, diagnostics) of its points."""
    version, plan, *lines = text.splitlines()
    assert version == "TAP version 14"
    points: list[tuple[bool, str, list[dict[str, Any]]]] = []
    is_inside = False
    for line in lines:
        if is_inside:
            is_inside = line != "  ..."
            _take(line, points[-1][2])
        elif line == "  ---":
            is_inside = True
        else:
            found = POINT.fullmatch(line)
            assert found, line
            assert int(found["number"]) == len(points) + 1
            assert not re.search(r"(?<!\\)(?:\\\\)*#", found["name"])
            name = re.sub(r"\\([\\#])", r"\1", found["name"])
            points.append((found["outcome"] == "ok", name, []))
    assert not is_inside
    assert plan == f"1..{len(points)}"
    return points


def _take(line: str, details: list[dict[str, Any]]) -> None:
    """One line of a diagnostic: a list of mappings from words to JSON values."""
    if line == "  ...":
        return
    found = re.fullmatch(r"  ([- ]) ([a-z]+): (.*)", line)
    assert found, line
    if found[1] == "-":
        details.append({})
    details[-1][found[2]] = json.loads(found[3])
