"""Where numbers come from: the versions, the processor and the git revision behind them."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = ("numpy", "scipy", "numba", "physics-tenpy", "xarray", "h5netcdf", "matplotlib")


def describe_machine() -> dict[str, str]:
    """Versions, processor and git revision behind a run's numbers."""
    found = {"psiprune": version("psiprune"), "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    found["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    found["git"] = _revision(Path(__file__)) or "not a checkout"
    return found


def _revision(file: Path) -> str:
    """What git calls the checkout that holds a file; empty if none does.

    An environment within another project's checkout lies in that one without being part of it, so
    the file has to be one that git knows.
    """
    git = ("git", "-C", str(file.parent))
    try:
        known = subprocess.run(
            [*git, "ls-files", "--error-unmatch", file.name], capture_output=True, check=False
        )
        if known.returncode != 0:
            return ""
        described = subprocess.run(
            [*git, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        )
    except OSError:  # no git on this machine
        return ""
    return described.stdout.strip()
