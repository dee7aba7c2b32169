"""Provenance of results: the versions, the processor and the git revision that produced them."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: The key under which a run's provenance lists later starts that differ from the first.
LATER = "later starts"
#: The key of the processor's name, which folders of earlier versions do not have.
_PROCESSOR = "processor"
_CPUS = Path("/proc/cpuinfo")
_LIBRARIES = ("numpy", "scipy", "numba", "physics-tenpy", "xarray", "h5netcdf", "matplotlib")


def describe_machine() -> dict[str, str]:
    """Return the versions, the machine and the git revision that results depend on."""
    facts = {"psiprune": version("psiprune"), "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            facts[library] = version(library)
        except PackageNotFoundError:
            facts[library] = "not installed"
    facts["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    model = _processor()
    if model:
        facts[_PROCESSOR] = model
    facts["git"] = _revision(Path(__file__)) or "not a checkout"
    return facts


def code_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return changes of code and libraries: "numpy 2.2.1, now 2.3.0; git 3c3d38b, now 7bf4cce".

    Not of the machine: results do not depend on the number of cores or threads.
    """
    return _changes(_code(before), _code(after))


def same_start(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two starts used the same code on the same machine.

    Folders of earlier versions do not name the processor; it then counts as the same.
    """
    unknown = {_PROCESSOR: after[_PROCESSOR]} if _PROCESSOR in after else {}
    return {**unknown, **before, LATER: None} == {**after, LATER: None}


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
    return {name: value for name, value in start.items() if name not in ("machine", _PROCESSOR)}


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[tuple[str, object, object]]:
    return [
        (name, before.get(name, "unknown"), after.get(name, "unknown"))
        for name in dict.fromkeys((*before, *after))
        if name != LATER and before.get(name) != after.get(name)
    ]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} {old}, now {new}" for name, old, new in _differences(before, after))


def _processor() -> str:
    """Return the processor model from Linux, else from Python; empty if neither knows it."""
    try:
        lines = _CPUS.read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


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
