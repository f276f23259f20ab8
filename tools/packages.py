"""Builds the project's packages and installs them outside the checkout.

Needs no network: the new environment reaches the libraries of the one that runs this.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def build(target: str, folder: Path, root: Path = ROOT) -> Path:
    """Build the `wheel` or the `sdist` of the project at `root` into `folder`; its path.

    Raises `RuntimeError`, which says what was printed, when the build fails.
    """
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder), cwd=root)
    suffix = ".whl" if target == "wheel" else ".tar.gz"
    (package,) = folder.glob(f"nvtrap-*{suffix}")
    return package


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel into a new environment at `folder`; the path of its `bin`.

    Its libraries are those of the running environment, except nvtrap itself.
    """
    run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel))
    site = run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    libraries = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (Path(site.strip()) / "libraries.pth").write_text("\n".join(libraries), encoding="utf-8")
    return python.parent


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command and return what it printed.

    Raises `RuntimeError`, which says what was printed, when it fails.
    """
    done = subprocess.run(
        command,
        cwd=cwd,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed:\n{done.stdout}")
    return done.stdout
