"""The build hook: compiles the shipped tables and puts them into the wheel and the sdist.

In the wheel they are `nvtrap/shipped/tables/NAME.nvtable`, which is what an installed
nvtrap reads. In the sdist they are `tables/NAME.nvtable`, for those who want the tables
alone: beside the rules they must not hide what an edited rule says, so a wheel built
from the sdist compiles them again. An editable installation gets none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = {"wheel": "nvtrap/shipped/tables", "sdist": "tables"}


class TablesHook(BuildHookInterface[Any]):
    """Adds the compiled tables; rules with errors stop the build."""

    PLUGIN_NAME = "custom"
    _drafts: TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile every shipped table and have it included."""
        if version == "editable":
            return
        self._drafts = TemporaryDirectory(prefix="nvtrap-")
        for name, blob in self._tables():
            draft = os.path.join(self._drafts.name, name)
            with open(draft, "wb") as file:
                file.write(blob)
            build_data["force_include"][draft] = f"{FOLDERS[self.target_name]}/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what `initialize` left."""
        del version, build_data, artifact_path
        if self._drafts is not None:
            self._drafts.cleanup()

    def _tables(self) -> Iterator[tuple[str, bytes]]:
        """(file name, content) of each shipped table, compiled by the nvtrap beside this file."""
        sys.path.insert(0, self.root)
        from nvtrap.compile import compiled, table_files
        from nvtrap.errors import RulesError
        from nvtrap.table.file import SUFFIX

        for name, path in sorted(table_files().items()):
            try:
                yield name + SUFFIX, compiled(path, to_ship=True)
            except RulesError as error:
                self.app.abort(f"the table `{name}` does not compile: {error.message}")
