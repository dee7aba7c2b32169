"""A run folder: one configuration, its provenance, and a lock against a second writer."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from psiprune.core.exceptions import InputError
from psiprune.core.settings import Settings
from psiprune.core.text import shortened
from psiprune.io.checkpoint import clear_outlived
from psiprune.io.lock import locked, refuse_locked
from psiprune.io.netcdf import clear_drafts, write_bytes
from psiprune.io.paths import side_file
from psiprune.io.provenance import LATER, code_changes, describe_machine, same_start
from psiprune.io.toml import read_toml
from psiprune.io.work_status import note_kept

_LOG = logging.getLogger(__name__)
_LOCK = ".lock"
#: What settings with checksums are of.
_CHECKSUMS = {
    "shots_sha256": "shots",
    "readout_sha256": "readout errors",
    "positions_sha256": "positions",
}
#: What a start that was stopped at once, or met a full disk, leaves at most.
_STOPPED = re.compile(
    r"\.lock(\.[0-9a-f]{8}\.owner)?|\.(config\.toml|\.lock\.[0-9a-f]{8}\.owner)\.[0-9a-f]{8}\.draft"
)
_DRAFT = re.compile(r"\..+\.[0-9a-f]{8}\.draft")
#: The folders that experiments, reconstructions, papers and sweeps write to in those of their runs;
#: any other belongs to the user, or is a run that cleans up itself.
_FOLDERS = (
    *("h=*", "h=*/seed-*", "h=*/seed-*/*"),
    *("choice", "ensemble", "path", "observed", "observables", "figures", "derived"),
    *("state/*", "shots/*", "dense/*", "point/*"),
)


def default_folder(name: str, settings: Settings) -> Path:
    """Return runs/NAME-HASH: one folder per configuration, so the same command finds its run."""
    return Path("runs") / f"{name}-{hashlib.sha256(_toml(settings)).hexdigest()[:8]}"


@contextmanager
def open_run(folder: str | os.PathLike[str], settings: Settings) -> Iterator[Path]:
    """Start a run in a folder or resume it, locked against a second writer while open.

    Raises:
        InputError: the folder holds a run of another configuration or other files, or another
            process writes to it; nothing in it was changed.
        OSError: the folder cannot be made or written.
    """
    ours = _toml(settings)

    def check(path: Path) -> None:
        if (path / "config.toml").exists():
            _check_same(path / "config.toml", tomllib.loads(ours.decode()), type(settings))

    with _claimed(folder, check) as path:
        if not (path / "config.toml").exists():
            write_bytes(path / "config.toml", ours)
        _record_start(path / "provenance.json")
        yield path


@contextmanager
def open_growing_run(folder: str | os.PathLike[str], settings: Settings) -> Iterator[Path]:
    """Open a run that other configurations may extend; config.toml is that of the latest.

    Files in the folder must then be named by what they depend on.

    Raises:
        InputError: the folder holds a run of another kind or other files, or another process
            writes to it; nothing in it was changed.
        OSError: the folder cannot be made or written.
    """

    def check(path: Path) -> None:
        config = path / "config.toml"
        if config.exists():
            try:
                type(settings)(**read_toml(config))
            except InputError as error:
                raise InputError(
                    f"{config}: not a run of this kind ({error}); give another folder"
                ) from None

    with _claimed(folder, check) as path:
        # Only explicit values: defaults that depend on a point's size would become fixed settings.
        write_bytes(path / "config.toml", _toml(settings, explicit=True))
        _record_start(path / "provenance.json")
        yield path


@contextmanager
def _claimed(folder: str | os.PathLike[str], check: Callable[[Path], None]) -> Iterator[Path]:
    """Make the folder of a run if necessary, lock it, and remove what killed starts have left.

    All reasons to refuse the folder are checked before anything in it is changed, and once more
    under the lock, as another process may have begun a run in between.
    """
    path = Path(folder)
    _check_acceptable(path, check)
    note_kept()
    path.mkdir(parents=True, exist_ok=True)
    with locked(path / _LOCK, path, "run", keep=True):
        _check_acceptable(path, check)
        _LOG.info("%s: %s", path, "resuming" if (path / "config.toml").exists() else "a new run")
        _clear_leftovers(path)
        yield path
        _LOG.info("%s: done", path)


def _check_acceptable(path: Path, check: Callable[[Path], None]) -> None:
    """Raise `InputError` unless a run may be begun or resumed in a folder; change nothing."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file, but a run needs a folder; give another name")
    if path.exists() and not (path / "config.toml").exists():
        other = next((f.name for f in sorted(path.iterdir()) if not _STOPPED.fullmatch(f.name)), "")
        if other:
            raise InputError(
                f"{path}: holds files but no run (no config.toml), such as {other}; give another "
                "folder"
            )
    if (path / "provenance.json").exists():
        _read_same_version(path / "provenance.json")
    check(path)


def _clear_leftovers(run: Path) -> None:
    """Delete the drafts and outlived checkpoints of killed starts, but no file of anyone else."""
    for folder in [run, *(found for pattern in _FOLDERS for found in run.glob(pattern))]:
        linked = folder.resolve() != run.resolve() / folder.relative_to(run)
        if folder.is_dir() and not linked:
            for file in folder.iterdir():
                if _DRAFT.fullmatch(file.name):
                    file.unlink(missing_ok=True)
            clear_outlived(folder)


def refuse_busy(folder: str | os.PathLike[str]) -> None:
    """Raise `InputError` at once, before anything is loaded, if another process writes to a run."""
    refuse_locked(Path(folder) / _LOCK, Path(folder), "run")


@contextmanager
def one_writer(file: Path) -> Iterator[None]:
    """Lock a file that will be written against a second writer; the lock is removed at the end.

    Raises:
        InputError: another process is writing it.
        OSError: its folder cannot be written.
    """
    with locked(side_file(file, "lock"), file, "file", keep=False):
        clear_drafts(file)
        yield


def in_use(folder: Path) -> bool:
    """Whether a process is writing to a run; the folder is not changed."""
    try:
        refuse_busy(folder)
    except InputError:
        return True
    return False


def _record_start(file: Path) -> None:
    """Write the provenance of a new run, or add that of this start if it differs.

    A start by the same code on the same machine leaves the file unchanged.
    """
    ours = describe_machine()
    if not file.exists():
        _write_json(file, ours)
        return
    first = _read_same_version(file)
    changed = code_changes(first, ours)
    if changed:
        _LOG.warning(
            "%s: started with %s; results from now on may differ in the last bits from those of an "
            "uninterrupted run",
            file.parent,
            changed,
        )
    starts = [first, *first.get(LATER, ())]
    if not same_start(starts[-1], ours):
        _write_json(file, {**first, LATER: [*starts[1:], ours]})


def read_provenance(file: Path) -> dict[str, Any]:
    """Return the provenance of a run by any version of psiprune.

    Raises:
        InputError: the file cannot be read, or is not a provenance.
    """
    try:
        provenance = dict(json.loads(file.read_text()))
        provenance["psiprune"]
        if not all(isinstance(start, dict) for start in provenance.get(LATER, [])):
            raise TypeError(f"{LATER!r} must be a list of objects")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: cannot be read: {error!r}; give another folder") from None
    return provenance


def _read_same_version(file: Path) -> dict[str, Any]:
    """Return the provenance of a run; refuse to resume that of another version."""
    ours, provenance = version("psiprune"), read_provenance(file)
    if provenance["psiprune"] != ours:
        raise InputError(
            f"{file}: the existing run was made by psiprune {provenance['psiprune']}, this is "
            f"{ours}, and their numbers may differ; give another folder"
        )
    return provenance


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    write_bytes(file, (json.dumps(content, indent=2) + "\n").encode())


def _check_same(config: Path, ours: Mapping[str, Any], kind: type[Settings]) -> None:
    """Raise `InputError` unless the configuration in a folder is `ours`, of this kind."""
    theirs = read_toml(config)
    if theirs != ours and not config.with_name("provenance.json").exists():
        raise InputError(
            f"{config}: not written by psiprune (there is no provenance.json), so {config.parent} "
            "is not a psiprune run folder; choose another folder"
        )
    if unknown := sorted(theirs.keys() - kind.model_fields.keys()):
        raise InputError(
            f"{config}: has {unknown[0]}, so it belongs to a run of another command, which "
            f"`psiprune info {config.parent}` describes; give another folder"
        )
    _check_equal(config, theirs, ours)


def _check_equal(
    config: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any], prefix: str = ""
) -> None:
    """Raise `InputError` with the first setting, by name, in which two configurations differ."""
    # A different method explains all other differences, so it is named first.
    for key in sorted({*theirs, *ours}, key=lambda key: (key != "method", key)):
        before, now = theirs.get(key, "(none)"), ours.get(key, "(none)")
        if isinstance(before, dict) and isinstance(now, dict):
            _check_equal(config, before, now, f"{prefix}{key}.")
        elif before != now:
            other = f"other {_CHECKSUMS[key]}: " if key in _CHECKSUMS else ""
            raise InputError(
                f"{config}: the existing run has {other}{prefix}{key} = {shortened(before)}, this "
                f"one {shortened(now)}; give another folder"
            )


def check_configuration(folder: Path, settings: Settings) -> None:
    """Raise `InputError` unless the run in a folder has these settings, all of them resolved."""
    config = folder / "config.toml"
    _check_equal(config, read_toml(config), tomllib.loads(_toml(settings).decode()))


def _toml(settings: Settings, explicit: bool = False) -> bytes:
    """Return all settings as a TOML file, or only those that were given explicitly."""
    values = settings.model_dump(mode="json", exclude_none=True, exclude_unset=explicit)
    return tomli_w.dumps(values).encode()
