"""The house: who may import whom, what is public, and what is said about it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from inspect import getdoc, getmembers, isclass
from itertools import takewhile
from pathlib import Path

import pytest

from nvtrap import errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nvtrap"
MODULES = sorted(PACKAGE.rglob("*.py"))

# arch ← table ← {compile, engine}, lang ← compile, {compile, engine} ← analysis; arch ← gic,
# {engine, gic} ← kvm; `conform`, `emit`, `sim` and `trace` stand between these and `cli`,
# which may import anything and is imported by nothing.
BASE = {"errors", "places"}
ALLOWED = {
    "errors": set[str](),
    "places": set[str](),
    "inputs": {"errors"},
    "sources": BASE,
    "streams": {"errors", "inputs"},
    "arch": BASE,
    "table": BASE | {"arch"},
    "lang": BASE | {"arch"},
    "compile": BASE | {"arch", "lang", "sources", "table"},
    "engine": BASE | {"arch", "table"},
    "states": BASE | {"engine", "inputs", "table"},
    "store": BASE | {"compile", "engine", "sources", "table"},
    "analysis": BASE
    | {"arch", "compile", "engine", "lang", "sources", "states", "store", "table", "revisions"},
    "gic": BASE | {"arch", "inputs"},
    "kvm": BASE | {"arch", "engine", "gic", "inputs", "states", "store", "table"},
    "conform": BASE
    | {"arch", "engine", "gic", "inputs", "kvm", "states", "store", "streams", "table"},
    "emit": BASE | {"arch", "engine", "table"},
    "sim": BASE | {"arch", "engine", "gic", "inputs", "kvm", "states", "store", "table"},
    "trace": BASE | {"arch", "engine", "inputs", "states", "store", "streams", "table"},
}


def home(path: Path) -> str:
    """The package or top-level module that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import from the package, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nvtrap"):
            if node.module == "nvtrap":
                yield from ((node.lineno, name.name) for name in node.names)
            else:
                yield node.lineno, (node.module or "").split(".")[1]
        elif isinstance(node, ast.Import):
            for name in node.names:
                if name.name.startswith("nvtrap."):
                    yield node.lineno, name.name.split(".")[1]


def test_imports_go_one_way() -> None:
    """No module imports one above it, not even inside a function or for types."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {home(path)} imports {module}"
        for path in MODULES
        if home(path) in ALLOWED
        for line, module in imported(path)
        if module not in {*ALLOWED[home(path)], home(path), "__version__"}
    ]
    assert wrong == []


def test_nothing_imports_the_command_line() -> None:
    """`cli` is on top."""
    importers = {home(path) for path in MODULES for _, module in imported(path) if module == "cli"}
    assert importers <= {"cli", "__main__"}


# ---- public names -----------------------------------------------------------------

PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")
)


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each by the alphabet: the linter's order."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_there_and_sorted(package: str) -> None:
    """What a package exports can be imported, stands once, and in order."""
    module = import_module(package)
    names = list(getattr(module, "__all__", ()))
    assert names == sorted(set(names), key=order)
    for name in names:
        assert getattr(module, name) is not None


def test_the_package_imports_names_when_they_are_used() -> None:
    """A name that is none is an attribute error, as everywhere."""
    nvtrap = import_module("nvtrap")
    with pytest.raises(AttributeError, match="module `nvtrap` has no attribute `nothing`"):
        nvtrap.nothing  # noqa: B018


# ---- what is said -----------------------------------------------------------------


def undocumented(path: Path) -> Iterator[str]:
    """Public functions, classes and methods without a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if ast.get_docstring(tree) is None and path.read_text(encoding="utf-8").strip():
        yield f"{path.relative_to(ROOT)}:1"
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef):
            for inner in node.body:
                if _is_public(inner, node) and ast.get_docstring(inner) is None:  # type: ignore[arg-type]
                    yield f"{path.relative_to(ROOT)}:{inner.lineno}"


def _is_public(node: ast.stmt, inside: ast.Module | ast.ClassDef) -> bool:
    """Whether it is public; methods that a base class calls by rule are its own business."""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
        return False
    if isinstance(inside, ast.Module):
        return True
    bases = {base.id for base in inside.bases if isinstance(base, ast.Name)}
    bases |= {
        base.value.id
        for base in inside.bases
        if isinstance(base, ast.Subscript) and isinstance(base.value, ast.Name)
    }
    return not inside.name.startswith("_") and "Transformer" not in bases


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_public_is_documented(path: Path) -> None:
    """Every module, and every public function, class and method, says what it is."""
    assert list(undocumented(path)) == []


def drawn_tree() -> dict[str, str]:
    """Class → its parent, as the docstring of the errors draws them."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (getdoc(errors) or "").splitlines():
        depth = len(list(takewhile(lambda char: char in " │├└─", line)))
        name = line[depth:].split(" ")[0]
        if not name.endswith("Error"):
            continue
        while above and above[-1][0] >= depth:
            above.pop()
        parents[name] = above[-1][1] if above else "Exception"
        above.append((depth, name))
    return parents


def test_the_tree_of_exceptions_is_as_drawn() -> None:
    """The docstring draws exactly the classes of the module, each below its base."""
    real = {
        name: found.__bases__[0].__name__
        for name, found in getmembers(errors, isclass)
        if issubclass(found, Exception) and found.__module__ == errors.__name__
    }
    assert drawn_tree() == real
    assert len(real) > 4


def test_every_exception_of_the_package_is_in_the_tree() -> None:
    """Whatever a module defines to raise is an `NvtrapError`."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found = getattr(import_module(module), node.name)
                assert issubclass(found, errors.NvtrapError), node.name


def test_an_error_carries_what_it_is_about() -> None:
    """Message, help and exit code; an unknown name also the closest ones."""
    error = errors.UnknownNameError("register", "hcr_el3", ["HCR_EL2", "VBAR_EL1"])
    assert str(error) == error.message == "unknown register `hcr_el3`"
    assert (error.help, error.close, error.exit_code) == ("did you mean `HCR_EL2`?", ["HCR_EL2"], 2)
    assert isinstance(error, ValueError)
    assert errors.UnknownNameError("table", "x").help == ""
    assert errors.did_you_mean(["A", "B"]) == "did you mean `A` or `B`?"
    found = errors.RulesError("bad", [1])
    assert (found.findings, found.exit_code, found.help) == ([1], 1, "")


# ---- what a query costs -----------------------------------------------------------

QUERY = """
import sys
import nvtrap
table = nvtrap.load("linux-6.12")
state = nvtrap.State({"HCR_EL2": 1 << 16})
access = nvtrap.Access("REVIDR_EL1")
assert table.decide(state, access).outcome == "forward"
assert table.decide_all(state)
assert table.explain(state, access).not_given == ["HFGRTR_EL2"][:0]
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
HEAVY = {"argparse", "dataclasses", "inspect", "lark", "numpy", "pyroaring", "rich"}


def test_deciding_imports_nothing_heavy(linux: object) -> None:
    """Loading a compiled table and asking it takes none of the heavy libraries."""
    assert linux is not None  # it is in the cache
    result = subprocess.run(
        [sys.executable, "-c", QUERY], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert HEAVY.isdisjoint(result.stdout.split())


def test_importing_the_package_imports_nothing_of_it() -> None:
    """Names are imported when first used."""
    code = "import sys, nvtrap; print(*(n for n in sys.modules if n.startswith('nvtrap')))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["nvtrap"]
