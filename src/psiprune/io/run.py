"""A run folder: one configuration, its provenance, and a lock against a second writer."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w
from filelock import FileLock, Timeout

from psiprune.core.exceptions import InputError
from psiprune.core.settings import Settings
from psiprune.io.checkpoint import clear_outlived
from psiprune.io.netcdf import clear_drafts, write_bytes
from psiprune.io.provenance import LATER, code_changes, describe_machine, same_start
from psiprune.io.work_status import note_kept

_LOG = logging.getLogger(__name__)


def default_folder(name: str, settings: Settings) -> Path:
    """Return runs/NAME-HASH: one folder per configuration, so the same command finds its run."""
    return Path("runs") / f"{name}-{hashlib.sha256(_toml(settings)).hexdigest()[:8]}"


@contextmanager
def open_run(folder: str | os.PathLike[str], settings: Settings) -> Iterator[Path]:
    """Start a run in a folder or resume it, locked against a second writer while open.

    Raises:
        InputError: the folder holds a run of another configuration or other files, or another
            process writes to it.
        OSError: the folder cannot be made or written.
    """
    with _locked(folder) as path:
        config = path / "config.toml"
        ours = _toml(settings)
        if config.exists():
            _check_same(config, _read(config), tomllib.loads(ours.decode()))
        else:
            write_bytes(config, ours)
        _record_start(path / "provenance.json")
        yield path


@contextmanager
def open_growing_run(folder: str | os.PathLike[str], settings: Settings) -> Iterator[Path]:
    """Open a run that other configurations may extend; config.toml is that of the latest.

    Files in the folder must then be named by what they depend on.

    Raises:
        InputError: the folder holds a run of another kind or other files, or another process
            writes to it.
        OSError: the folder cannot be made or written.
    """
    with _locked(folder) as path:
        config, provenance = path / "config.toml", path / "provenance.json"
        if config.exists():
            try:
                type(settings)(**_read(config))
            except InputError as error:
                raise InputError(
                    f"{config}: not a run of this kind ({error}); give another folder"
                ) from None
            if provenance.exists():
                _read_same_version(provenance)  # refuses before anything is written
        # Only explicit values: defaults that depend on a point's size would become fixed settings.
        write_bytes(config, _toml(settings, explicit=True))
        _record_start(provenance)
        yield path


@contextmanager
def _locked(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Make the folder of a run if necessary, lock it, and remove drafts of a killed start."""
    path = Path(folder)
    if path.is_file():
        raise InputError(f"{path}: is a file, but a run needs a folder; give another name")
    config = path / "config.toml"
    # A start that was stopped at once, or met a full disk, leaves at most a lock or a draft.
    if path.exists() and not config.exists() and any(f.name[0] != "." for f in path.iterdir()):
        raise InputError(f"{path}: holds files but no run (no config.toml); give another folder")
    note_kept()
    path.mkdir(parents=True, exist_ok=True)
    with _lock(path / ".lock", path, "run"):
        _LOG.info("%s: %s", path, "resuming" if config.exists() else "a new run")
        for draft in path.rglob(".*.draft"):
            draft.unlink(missing_ok=True)
        clear_outlived(path)
        yield path
        _LOG.info("%s: done", path)


def refuse_busy(folder: str | os.PathLike[str]) -> None:
    """Raise `InputError` at once, before anything is loaded, if another process writes to a run."""
    path = Path(folder)
    if (path / ".lock").is_file():
        with _lock(path / ".lock", path, "run"):
            pass


@contextmanager
def one_writer(file: Path) -> Iterator[None]:
    """Lock a file that will be written against a second writer; the lock is removed at the end.

    Raises:
        InputError: another process is writing it.
        OSError: its folder cannot be written.
    """
    lock = file.with_name(f".{file.name}.lock")
    with _lock(lock, file, "file"):
        clear_drafts(file)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def _lock(lock: Path, what: Path, kind: str) -> Iterator[None]:
    """Hold a lock, which the system releases if the process is killed."""
    holder = FileLock(lock)
    try:
        holder.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"{what}: another process writes to this {kind}; wait for it to end"
        ) from None
    except OSError as error:  # name the user's file, not the lock
        raise OSError(error.errno, error.strerror, str(what)) from None
    try:
        yield
    finally:
        holder.release()


def in_use(folder: Path) -> bool:
    """Whether a process is writing to a run; the folder is not changed."""
    file = folder / ".lock"
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a read-only folder
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


def _check_same(
    config: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any], prefix: str = ""
) -> None:
    """Raise `InputError` with the first setting, by name, in which two configurations differ."""
    # A different method explains all other differences, so it is named first.
    for key in sorted({*theirs, *ours}, key=lambda key: (key != "method", key)):
        before, now = theirs.get(key, "(none)"), ours.get(key, "(none)")
        if isinstance(before, dict) and isinstance(now, dict):
            _check_same(config, before, now, f"{prefix}{key}.")
        elif before != now:
            raise InputError(
                f"{config}: the existing run has {prefix}{key} = {before}, this one {now}; give "
                "another folder"
            )


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{config}: cannot be read: {error}") from None


def _toml(settings: Settings, explicit: bool = False) -> bytes:
    """Return all settings as a TOML file, or only those that were given explicitly."""
    values = settings.model_dump(mode="json", exclude_none=True, exclude_unset=explicit)
    return tomli_w.dumps(values).encode()
