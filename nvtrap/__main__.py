"""`python -m nvtrap` is the `nvtrap` command."""

from __future__ import annotations

import sys

from nvtrap.cli import main

if __name__ == "__main__":
    sys.exit(main())
