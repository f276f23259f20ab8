"""What all tests share: a cache of their own, and the shipped table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from nvtrap import Table, load

# Random tests repeat themselves, unless a number of examples asks for new ones.
EXAMPLES = int(os.environ.get("NVTRAP_EXAMPLES", "0"))
settings.register_profile(
    "nvtrap", deadline=None, database=None, derandomize=not EXAMPLES, print_blob=True
)
settings.load_profile("nvtrap")


@pytest.fixture(scope="session", autouse=True)
def cache_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of compiled tables apart from the user's own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def linux(cache_of_tests: Path) -> Table:
    """The shipped table of Linux 6.12."""
    assert cache_of_tests.is_dir()
    return load("linux-6.12")
