"""Shots of neutral atoms on QuEra's machines: Amazon Braket's analog results, and Bloqade's.

`preSequence` is 1 if an atom was present before the pulses, else 0. `postSequence` is 1 if an atom
is detected afterwards, so in the ground state, and 0 if it is in the Rydberg state (or was lost).
Here bit 1 is the Rydberg state, n_i = 1, as in Pulser: bit = 1 - postSequence.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import ParsedShots, SourceFile, brief, holders, part
from psiprune.data.formats.bits import bits_of_strings, expand_counts
from psiprune.data.formats.names import choose_one, refuse_key
from psiprune.data.formats.quera_copies import Copies, read_copies
from psiprune.data.formats.settings import ReadSettings

_ANALOG = "braket.task_result.analog_hamiltonian_simulation_task_result"
_BATCHES = ("remote_batch", "local_batch")  # of Bloqade to version 0.7
_RYDBERG = "bit 1 is the Rydberg state"
_ORDER = f"sites are the atoms in the order of the register; {_RYDBERG}"
_LETTERS = re.compile(r"[erg]+")
_DONE = ("success", "completed")


class _Shot(NamedTuple):
    status: str
    before: list[Any]
    after: list[Any]


class _Register(NamedTuple):
    """Which sites hold atoms, and where they are; None where the file does not say it."""

    filling: tuple[int, ...] | None
    positions: list[list[float]] | None


def is_analog(data: Any) -> bool:
    """Whether JSON is an analog result of Braket or QuEra, a batch of Bloqade, or its counts."""
    if not isinstance(data, dict):
        return False
    header = data.get("braketSchemaHeader")
    name = header.get("name") if isinstance(header, dict) else None
    only = str(next(iter(data))) if len(data) == 1 else ""
    bloqade = only.startswith("bloqade.") or only in _BATCHES
    return name == _ANALOG or "shot_outputs" in data or bloqade or _is_lettered(data)


def _is_lettered(data: dict[str, Any]) -> bool:
    return bool(data) and all(map(_LETTERS.fullmatch, data))


def read_quera(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read an analog task, 1 for the Rydberg state; shots with missing atoms are dropped.

    `AnalogHamiltonianSimulationTaskResult` of Braket, its `get_counts()` by letters, e for an
    empty site, r for the Rydberg and g for the ground state, `QuEraTaskResults`, or a batch of
    Bloqade, saved by `bloqade.analog.save` or by version 0.7, whose task `key` chooses. Sites that
    the register leaves vacant (filling 0; without a register, sites that are empty in every shot)
    have no column. Where copies of a register ran in parallel, each is a shot, and a missing atom
    drops its copy alone; further keys choose copies, and `copies="apart"` joins them as sites.

    Raises:
        InputError: the structure is another, no shot is complete, or one is not and on_missing is
            "refuse".
    """
    place, data = file.place, file.json
    if not is_analog(data):
        raise InputError(
            f"{place}: needs an analog task result of Braket, QuEra or Bloqade, or counts by "
            f"letters (e, r, g), found {brief(data)}"
        )
    if _is_lettered(data):
        refuse_key(settings.key, "a file of counts", place)
        _refuse_apart(settings, place)
        return _read_letters(data, settings, place)
    if "shot_outputs" in data or "braketSchemaHeader" in data:
        refuse_key(settings.key, "a file of one task", place)
        return _read_task(data, settings, (), place)
    tasks = _tasks(data, place)
    if not tasks:
        raise InputError(f"{place}: the batch of Bloqade holds no results; run or fetch it")
    name = choose_one(list(tasks), settings.key[:1], "task", place)
    if len(tasks) > 1:
        place = f"{place}: task {name}"
    return _read_task(tasks[name], settings, settings.key[1:], place)


def _tasks(batch: dict[str, Any], place: str) -> dict[str, Any]:
    """Return the tasks that have results, by the numbers that the batch gives them."""
    (body,) = batch.values()
    listed = body.get("tasks") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        listed = [[0, batch]]  # a task saved by itself
    tasks: dict[str, Any] = {}
    for pair in listed:
        if not isinstance(pair, list) or len(pair) != 2:
            raise InputError(f"{place}: tasks must be pairs of a number and a task")
        if str(pair[0]) in tasks:
            raise InputError(f"{place}: the task {str(pair[0])[:20]} occurs twice")
        if next(holders(pair[1], "shot_outputs"), None) is not None:
            tasks[str(pair[0])] = pair[1]
    return tasks


def _read_task(
    task: dict[str, Any], settings: ReadSettings, copies: tuple[str, ...], place: str
) -> ParsedShots:
    """Read one task, of which `copies` are chosen if it runs copies of a register."""
    holder = next(holders(task, "shot_outputs"), task)
    shots, register = _shots(holder, place), _register(task)
    decoders = [found["parallel_decoder"] for found in holders(task, "parallel_decoder")]
    decoder = next((found for found in decoders if found), None)
    if decoder is not None:
        mapping = next(holders(decoder, "mapping"), decoder)
        groups = read_copies(mapping, copies, settings.copies == "apart", place)
    else:
        refuse_key(copies, "a task without parallel copies", place)
        _refuse_apart(settings, place)
        groups = None
    return _select(shots, register, groups, settings, place)


def _refuse_apart(settings: ReadSettings, place: str) -> None:
    if settings.copies != "pool":
        raise InputError(
            f"{place}: copies: no copies of a register ran in parallel; leave out --copies"
        )


def _register(task: dict[str, Any]) -> _Register:
    """Return the register, if all that the task names are alike in the filling."""
    found = {
        tuple(holder["filling"]): holder.get("sites")
        for holder in holders(task, "filling")
        if isinstance(holder["filling"], list) and all(site in (0, 1) for site in holder["filling"])
    }
    if len(found) != 1:
        return _Register(None, None)
    ((filling, sites),) = found.items()
    try:  # Braket writes decimal numbers as strings
        positions = [[float(x), float(y)] for x, y in sites or ()]
    except (TypeError, ValueError):
        positions = []
    usable = len(positions) == len(filling) and np.isfinite(positions).all()
    return _Register(filling, positions if usable else None)


def _shots(task: dict[str, Any], place: str) -> list[_Shot]:
    """Return the status and the two sequences of every shot, in either layout."""
    bloqade = "shot_outputs" in task
    shots = []
    for number, shot in enumerate(
        part(task, "shot_outputs" if bloqade else "measurements", list, place)
    ):
        where = f"{place}: shot {number}"
        if bloqade:
            status = part(shot, "shot_status", str, where)
            before, after = shot.get("pre_sequence"), shot.get("post_sequence")
        else:
            status = part(part(shot, "shotMetadata", dict, where), "shotStatus", str, where)
            result = shot.get("shotResult") or {}
            if not isinstance(result, dict):
                raise InputError(f"{where}: shotResult must be an object, found {brief(result)}")
            before, after = result.get("preSequence"), result.get("postSequence")
        shots.append(_Shot(status, before or [], after or []))
    return shots


def _select(
    shots: list[_Shot],
    register: _Register,
    copies: Copies | None,
    settings: ReadSettings,
    place: str,
) -> ParsedShots:
    """Return the complete shots of each copy, and how many are not."""
    good = [(number, shot) for number, shot in enumerate(shots) if shot.status.lower() in _DONE]
    if not good:
        raise InputError(f"{place}: none of the {len(shots)} shots succeeded")
    filling = register.filling
    sites = len(filling) if filling else len(good[0][1].before)
    for number, shot in good:
        for name, values in (("before", shot.before), ("after", shot.after)):
            if not isinstance(values, list) or len(values) != sites:
                raise InputError(
                    f"{place}: shot {number}: the sequence {name} the pulses must have {sites} "
                    f"bits, one per site of the register, found {brief(values)}"
                )
            for value in values:
                if value not in (0, 1):
                    raise InputError(
                        f"{place}: shot {number}: a bit must be 0 or 1, found {brief(value)}"
                    )
    groups = np.arange(sites)[None] if copies is None else copies.within(sites, place)
    before = np.array([shot.before for _, shot in good], dtype=np.uint8)[:, groups]
    after = np.array([shot.after for _, shot in good], dtype=np.uint8)[:, groups]
    if filling:
        occupied = np.array(filling, bool)[groups]
        if (occupied != occupied[0]).any():
            raise InputError(f"{place}: the copies differ in which of their sites are filled")
        used = occupied[0]
    else:
        used = before.any(axis=(0, 1))
    complete = before[:, :, used].all(axis=2)  # [shot, copy]
    failed = (len(shots) - len(good)) * len(groups)
    dropped = _dropped({"failed": failed, "missing atoms": int((~complete).sum())})
    if not used.any() or not complete.any():
        raise InputError(f"{place}: no shot has all atoms; none of {len(shots)} can be used")
    _refuse_missing(dropped, len(shots) * len(groups), settings, place)
    notes = _vacant(used)
    if copies is not None:
        notes["copies"] = "; ".join(copies.names)
    if register.positions is not None:
        notes["positions"] = [register.positions[site] for site in groups[0, used]]
    order = _ORDER if copies is None else f"{copies.order}; {_RYDBERG}"
    return ParsedShots(1 - after[complete][:, used], order, dropped, notes)


def _read_letters(counts: dict[str, Any], settings: ReadSettings, place: str) -> ParsedShots:
    """Read counts such as {"rgr": 3}; a site that is e in all outcomes is vacant."""
    names = list(counts)
    there = bits_of_strings([name.translate(_PRESENT) for name in names], place)
    excited = bits_of_strings([name.translate(_EXCITED) for name in names], place)
    both = expand_counts(np.hstack([there, excited]), counts.values(), place, names)
    present, rydberg = np.hsplit(both, 2)
    used = np.asarray(present.any(axis=0))
    complete = present[:, used].all(axis=1)
    if not used.any() or not complete.any():
        raise InputError(f"{place}: no shot has all atoms; none of {len(both)} can be used")
    dropped = _dropped({"missing atoms": int((~complete).sum())})
    _refuse_missing(dropped, len(both), settings, place)
    order = f"site 0 is the first letter; {_RYDBERG}"
    return ParsedShots(rydberg[complete][:, used], order, dropped, _vacant(used))


_PRESENT, _EXCITED = str.maketrans("erg", "011"), str.maketrans("erg", "010")


def _dropped(reasons: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in reasons.items() if count}


def _refuse_missing(
    dropped: dict[str, int], shots: int, settings: ReadSettings, place: str
) -> None:
    if dropped and settings.on_missing == "refuse":
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise InputError(f"{place}: {reasons} of {shots} shots; use --on-missing drop")


def _vacant(used: NDArray[np.bool_]) -> dict[str, Any]:
    vacant = ", ".join(map(str, np.flatnonzero(~used)))
    return {"vacant_sites": vacant} if vacant else {}
