"""Provenance of results: the versions, the machine and the git revision that produced them."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from psiprune.core.hardware import blas_kernels, gibbs_sums, processor, vector_instructions

#: The key under which a run's provenance lists later starts that differ from the first.
LATER = "later starts"
_PROCESSOR, _VECTORS, _BLAS = "processor", "vector instructions", "BLAS kernels"
_SUMS = "Gibbs sums"
#: Keys that folders of earlier versions may lack; such a value counts as the same.
_ADDED = ("llvmlite", _PROCESSOR, _VECTORS, _SUMS, _BLAS)
#: Keys that results do not depend on.
_IRRELEVANT = ("machine", _PROCESSOR)
_LIBRARIES = (
    *("numpy", "scipy", "numba", "llvmlite", "physics-tenpy"),
    *("xarray", "h5netcdf", "matplotlib"),
)


def describe_machine() -> dict[str, str]:
    """Return the versions, the machine and the git revision that results depend on."""
    facts = {"psiprune": version("psiprune"), "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            facts[library] = version(library)
        except PackageNotFoundError:
            facts[library] = "not installed"
    facts["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    model = processor()
    if model:
        facts[_PROCESSOR] = model
    facts |= arithmetic()
    facts["git"] = _revision(Path(__file__)) or "not a checkout"
    return facts


@cache
def arithmetic() -> dict[str, str]:
    """Return what the last bits of results depend on beside the versions: the CPU family.

    Raises:
        InputError: PSIPRUNE_SIMD asks for what this CPU or psiprune lacks.
    """
    return {_VECTORS: vector_instructions(), _SUMS: gibbs_sums(), _BLAS: blas_kernels()}


def code_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return changes that affect bits: "numpy 2.2.1, now 2.3.0; git 3c3d38b, now 7bf4cce".

    These are versions, the git revision, vector instructions and BLAS kernels, but not the number
    of cores or threads.
    """
    return _changes(_code(before), _code(after))


def same_start(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two starts used the same code on the same machine."""
    return not _differences(before, after)


def why_not_same_bits(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why two runs of the same settings need not agree to the bit; empty if they must.

    All starts of both runs are compared: versions, git revision, vector instructions, BLAS kernels.
    """
    starts = [_code(start) for run in (first, second) for start in (run, *run.get(LATER, ()))]
    reasons = []
    for name in dict.fromkeys(name for start in starts for name in start):
        values = list(dict.fromkeys(str(start.get(name, "not recorded")) for start in starts))
        if len(values) > 1:
            reasons.append(f"{name}: {' and '.join(values)}")
        elif name == "git" and values[0].endswith("-dirty"):
            reasons.append(f"git: {values[0]}, so the code of either is unknown")
    return tuple(reasons)


def facts_of(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return a run's provenance as name -> text, with what changed in later starts."""
    facts = {name: str(value) for name, value in provenance.items() if name != LATER}
    for number, start in enumerate(provenance.get(LATER, ()), 1):
        facts[f"later start {number}"] = _changes(provenance, start) or "same as the first"
    return facts


def other_stages(run: Mapping[str, Any], stages: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the stages of a run that other code or libraries made: name -> the differences.

    A stage may have been copied in, or made before the run was resumed by another revision.
    """
    others = {}
    for name, stage in stages.items():
        changes = [
            ", ".join(
                f"{key} {theirs}" for key, _, theirs in _differences(_code(run), _code(start))
            )
            for start in (stage, *stage.get(LATER, ()))
        ]
        if any(changes):
            others[name] = "; later start: ".join(change or "as the run" for change in changes)
    return others


def _code(start: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in start.items() if name not in (*_IRRELEVANT, LATER)}


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[tuple[str, object, object]]:
    return [
        (name, before.get(name, "unknown"), after.get(name, "unknown"))
        for name in dict.fromkeys((*before, *after))
        if name != LATER and before.get(name) != after.get(name)
        if name in before or name not in _ADDED
    ]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} {old}, now {new}" for name, old, new in _differences(before, after))


def _revision(file: Path) -> str:
    """Return git's description of the checkout that contains a file; empty if there is none.

    An environment may lie inside the checkout of another project, so git must track the file.
    """
    git = ("git", "-C", str(file.parent))
    try:
        tracked = subprocess.run(
            [*git, "ls-files", "--error-unmatch", file.name], capture_output=True, check=False
        )
        if tracked.returncode != 0:
            return ""
        described = subprocess.run(
            [*git, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        )
    except OSError:  # git is not installed
        return ""
    return described.stdout.strip()
