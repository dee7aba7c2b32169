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
    """runs/NAME-HASH, one folder a configuration, so that the same command finds its run again."""
    return Path("runs") / f"{name}-{hashlib.sha256(_toml(settings)).hexdigest()[:8]}"


@contextmanager
def open_run(folder: str | os.PathLike[str], settings: Settings) -> Iterator[Path]:
    """Begin a run in a folder, or take it up again; locked against a second writer while open.

    Raises:
        InputError: the folder holds a run of another configuration or files of something else, or
            another process writes to it.
        OSError: the folder cannot be made or written.
    """
    with _locked(folder) as path:
        _claim(path / "config.toml", settings)
        _describe(path / "provenance.json")
        yield path


@contextmanager
def open_growing_run(folder: str | os.PathLike[str], settings: Settings) -> Iterator[Path]:
    """The same for a run that another configuration may add to; config.toml is that of the last.

    What is in the folder must then be named by what it depends on.

    Raises:
        InputError: the folder holds a run of another kind or files of something else, or another
            process writes to it.
        OSError: the folder cannot be made or written.
    """
    with _locked(folder) as path:
        config = path / "config.toml"
        if config.exists():
            try:
                type(settings)(**_read(config))
            except InputError as error:
                raise InputError(
                    f"{config}: not of such a run ({error}); give another folder"
                ) from None
            if (path / "provenance.json").exists():
                _provenance(path / "provenance.json")  # refuses before anything is written
        # What was given and no more: with the defaults told as well, those that go by the size of
        # a point would be settings like any other, and the grid read back another one.
        write_bytes(config, _toml(settings, given=True))
        _describe(path / "provenance.json")
        yield path


@contextmanager
def _locked(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """The folder of a run, made if it is not there, and locked; drafts of a killed start go."""
    path = Path(folder)
    if path.is_file():
        raise InputError(f"{path}: is a file, but a run needs a folder; give another name")
    config = path / "config.toml"
    # A start that was stopped at once, or met a full disk, leaves a lock or a draft, no more.
    if path.exists() and not config.exists() and any(f.name[0] != "." for f in path.iterdir()):
        raise InputError(f"{path}: holds files but no run (no config.toml); give another folder")
    note_kept()
    path.mkdir(parents=True, exist_ok=True)
    with _held(path / ".lock", path, "run"):
        _LOG.info("%s: %s", path, "taken up again" if config.exists() else "a new run")
        for draft in path.rglob(".*.draft"):  # of a start that was killed while writing
            draft.unlink(missing_ok=True)
        clear_outlived(path)
        yield path
        _LOG.info("%s: done", path)


def refuse_busy(folder: str | os.PathLike[str]) -> None:
    """Raise InputError if another process writes to a run: at once, before anything is loaded."""
    path = Path(folder)
    if (path / ".lock").is_file():
        with _held(path / ".lock", path, "run"):
            pass


@contextmanager
def one_writer(file: Path) -> Iterator[None]:
    """Hold a file that is going to be written against a second writer; no lock stays behind.

    Raises:
        InputError: another process is about to write it.
        OSError: its folder cannot be written.
    """
    lock = file.with_name(f".{file.name}.lock")
    with _held(lock, file, "file"):
        clear_drafts(file)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def _held(lock: Path, what: Path, kind: str) -> Iterator[None]:
    """Hold a lock, which the system takes back from a process that is killed."""
    holder = FileLock(lock)
    try:
        holder.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"{what}: another process writes to this {kind}; wait for it to end"
        ) from None
    except OSError as error:  # the name that the user knows
        raise OSError(error.errno, error.strerror, str(what)) from None
    try:
        yield
    finally:
        holder.release()


def in_use(folder: Path) -> bool:
    """Whether a process writes to a run now; the folder stays as it is."""
    file = folder / ".lock"
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that may only be read
        return False


def _describe(file: Path) -> None:
    """Write where a new run's numbers come from, or note what else they come from from now on.

    A start by the same code on the same machine leaves the file as it is.
    """
    ours = describe_machine()
    if not file.exists():
        _write_json(file, ours)
        return
    first = _provenance(file)
    changed = code_changes(first, ours)
    if changed:
        _LOG.warning(
            "%s: begun with %s; what is made from here on may differ in its last bits from what a "
            "whole run by either would be",
            file.parent,
            changed,
        )
    starts = [first, *first.get(LATER, ())]
    if not same_start(starts[-1], ours):
        _write_json(file, {**first, LATER: [*starts[1:], ours]})


def read_provenance(file: Path) -> dict[str, Any]:
    """Where the numbers of a run come from, whoever made it.

    Raises:
        InputError: the file cannot be read, or says something else.
    """
    try:
        found = dict(json.loads(file.read_text()))
        found["psiprune"]
        if not all(isinstance(start, dict) for start in found.get(LATER, [])):
            raise TypeError(f"{LATER!r} must be a list of objects")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: cannot be read: {error!r}; give another folder") from None
    return found


def _provenance(file: Path) -> dict[str, Any]:
    """Where the numbers of a run come from; refuse to go on with another version's run."""
    ours = version("psiprune")
    found = read_provenance(file)
    theirs = found["psiprune"]
    if theirs != ours:
        raise InputError(
            f"{file}: the run there was made by psiprune {theirs}, this is {ours}, and "
            "their numbers may differ; give another folder"
        )
    return found


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    write_bytes(file, (json.dumps(content, indent=2) + "\n").encode())


def _claim(config: Path, settings: Settings) -> None:
    """Write the configuration of a new run, or check it against that of the run found."""
    ours = _toml(settings)
    if not config.exists():
        write_bytes(config, ours)
        return
    theirs = _read(config)
    mine = tomllib.loads(ours.decode())
    for key, there, here in _differences(theirs, mine):
        raise InputError(
            f"{config}: the run there has {key} = {there}, this one {here}; give another folder"
        )


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{config}: cannot be read: {error}") from None


def _differences(
    theirs: dict[str, object], ours: dict[str, object], prefix: str = ""
) -> Iterator[tuple[str, object, object]]:
    for key in sorted({*theirs, *ours}):
        there, here = theirs.get(key, "(none)"), ours.get(key, "(none)")
        if isinstance(there, dict) and isinstance(here, dict):
            yield from _differences(there, here, f"{prefix}{key}.")
        elif there != here:
            yield f"{prefix}{key}", there, here


def _toml(settings: Settings, given: bool = False) -> bytes:
    """All settings as a TOML file; only those that were given, if asked."""
    values = settings.model_dump(mode="json", exclude_none=True, exclude_unset=given)
    return tomli_w.dumps(values).encode()
