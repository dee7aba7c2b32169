"""What the last bits of a worker's numbers depend on: the code of psiprune and of libraries."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psiprune

#: Those that compute; others write files or draw.
_LIBRARIES = ("numpy", "scipy", "numba", "llvmlite", "physics-tenpy")
#: The names of psiprune's version and of a digest of its source files.
_VERSION, _CODE = "psiprune", "code of psiprune"


@cache
def versions_here() -> dict[str, str]:
    """The versions in this process, a digest of psiprune's own source files among them."""
    found = {_VERSION: version("psiprune"), _CODE: _digest(Path(psiprune.__file__).parent)}
    found["Python"] = platform.python_version()
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "(none)"
    return found


def _digest(package: Path) -> str:
    """SHA-256 of all source files of a package with their names, its first 12 digits."""
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(package).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def difference(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """The first that is another there, as what a worker "has"; "" if none is."""
    for name, own in ours.items():
        other = theirs.get(name, "(unknown)")
        if other != own:
            return (
                f"has {name} {other}, this is {own}, and their numbers may differ; start workers "
                "of one version"
            )
    return ""
