"""What a test run reaches as an lcov tracefile, which coverage services read.

The records are those of geninfo(1): `SF`, `DA:line,hits`, `LF` and `LH` for each file.
"""

from __future__ import annotations

from nvtrap.cli.terminal import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvtrap.analysis.testing import Results


def render(results: Results) -> str:
    """The whole tracefile; a line counts for all the tables that have it."""
    files: dict[str, dict[int, int]] = {}
    for coverage in results.coverages:
        for (file, line), hits in coverage.lines.items():
            known = files.setdefault(file, {})
            known[line] = known.get(line, 0) + hits
    return "".join(_file(name, files[name]) for name in sorted(files))


def _file(name: str, lines: dict[int, int]) -> str:
    records = [f"DA:{line},{hits}" for line, hits in sorted(lines.items())]
    reached = sum(map(bool, lines.values()))
    head = ["TN:nvtrap", f"SF:{plain(name)}"]
    tail = [f"LF:{len(lines)}", f"LH:{reached}", "end_of_record", ""]
    return "\n".join([*head, *records, *tail])
