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
#: The key of the processor's name, which folders of earlier versions do not have.
_PROCESSOR = "processor"
#: Where Linux describes them.
_CPUS = Path("/proc/cpuinfo")
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
    model = _processor()
    if model:
        found[_PROCESSOR] = model
    found["git"] = _revision(Path(__file__)) or "not a checkout"
    return found


def code_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Which code or library is another: "numpy 2.2.1, now 2.3.0; git 3c3d38b, now 7bf4cce".

    Not the machine: the numbers of cores and of threads have no part in the numbers.
    """
    return _changes(_code(before), _code(after))


def same_start(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two starts are by the same code on the same machine.

    Folders of earlier versions do not name the processor; then any may be the same.
    """
    unknown = {_PROCESSOR: after[_PROCESSOR]} if _PROCESSOR in after else {}
    return {**unknown, **before, LATER: None} == {**after, LATER: None}


def _code(start: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in start.items() if name not in ("machine", _PROCESSOR)}


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


def other_stages(run: Mapping[str, Any], stages: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The stages of a run that other code or libraries made: name -> what differs from the run's.

    A stage may have been copied in, or made before the run was taken up by another revision.
    """
    found = {}
    for name, stage in stages.items():
        starts = [_differing(run, start) for start in (stage, *stage.get(LATER, ()))]
        if any(starts):
            found[name] = "; later start: ".join(words or "as the run" for words in starts)
    return found


def _differing(run: Mapping[str, Any], stage: Mapping[str, Any]) -> str:
    """What of a stage's code is not the run's: "numpy 2.2.1, git 3c3d38b"."""
    theirs, ours = _code(stage), _code(run)
    names = [name for name in dict.fromkeys((*theirs, *ours)) if name != LATER]
    return ", ".join(
        f"{name} {theirs.get(name, 'unknown')}"
        for name in names
        if theirs.get(name) != ours.get(name)
    )


def _processor() -> str:
    """The model of the processor as Linux names it, else as Python does; empty if neither does."""
    try:
        lines = _CPUS.read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


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
