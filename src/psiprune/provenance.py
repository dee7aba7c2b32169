"""Where numbers come from: the versions, the processor and the git revision behind them."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: The key of a run's provenance under which those of later starts stand, where they differ.
LATER = "later starts"

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


def code_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Which code or library is another: "numpy 2.2.1, now 2.3.0; git 3c3d38b, now 7bf4cce".

    Not the machine: the numbers of cores and of threads have no part in the numbers.
    """
    return _changes({**before, "machine": None}, {**after, "machine": None})


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{name} {before.get(name, 'unknown')}, now {after.get(name, 'unknown')}"
        for name in dict.fromkeys((*before, *after))
        if name != LATER and before.get(name) != after.get(name)
    )


def facts_of(provenance: Mapping[str, Any]) -> dict[str, str]:
    """A run's provenance as name -> words, with what later starts had changed."""
    later = provenance.get(LATER, ())
    told = [_changes(provenance, start) or "as at first" for start in later]
    facts = {name: str(value) for name, value in provenance.items() if name != LATER}
    return {**facts, **{f"later start {k}": words for k, words in enumerate(told, 1)}}


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
