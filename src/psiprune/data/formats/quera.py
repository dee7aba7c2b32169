"""Shots of neutral atoms on QuEra's machines: Amazon Braket's analog results, and Bloqade's.

`preSequence` is 1 if an atom was present before the pulses, else 0. `postSequence` is 1 if an atom
is detected afterwards, so in the ground state, and 0 if it is in the Rydberg state (or was lost).
Here bit 1 is the Rydberg state, n_i = 1, as in Pulser: bit = 1 - postSequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import (
    ParsedShots,
    SourceFile,
    brief,
    choose_one,
    part,
    refuse_key,
)
from psiprune.data.formats.settings import ReadSettings

_ANALOG = "braket.task_result.analog_hamiltonian_simulation_task_result"
_ORDER = "sites are the atoms in the order of the register; bit 1 is the Rydberg state"
_DONE = ("success", "completed")


class _Shot(NamedTuple):
    status: str
    before: list[Any]
    after: list[Any]


def is_analog(data: Any) -> bool:
    """Whether JSON is an analog result of Braket or QuEra, or a batch of Bloqade."""
    if not isinstance(data, dict):
        return False
    header = data.get("braketSchemaHeader")
    name = header.get("name") if isinstance(header, dict) else None
    bloqade = len(data) == 1 and str(next(iter(data))).startswith("bloqade.")
    return name == _ANALOG or "shot_outputs" in data or bloqade


def read_quera(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read an analog task, 1 for the Rydberg state; shots with missing atoms are dropped.

    `AnalogHamiltonianSimulationTaskResult` of Braket, `QuEraTaskResults`, or a batch saved by
    `bloqade.analog.save`, whose task `key` chooses. Sites that the register leaves vacant (filling
    0; without a register, sites that are empty in every shot) have no column.

    Raises:
        InputError: the structure is another, no shot is complete, or one is not and on_missing is
            "refuse".
    """
    place, data = file.place, file.json
    if not is_analog(data):
        raise InputError(
            f"{place}: needs an analog task result of Braket, QuEra or Bloqade, found {brief(data)}"
        )
    if "shot_outputs" in data or "braketSchemaHeader" in data:
        refuse_key(settings.key, "a file of one task", place)
        task = data
    else:
        tasks = {str(number): task for number, task in enumerate(_holders(data, "shot_outputs"))}
        if not tasks:
            raise InputError(f"{place}: the batch of Bloqade holds no results; run or fetch it")
        task = tasks[choose_one(list(tasks), settings.key, "task", place)]
        if any(holder["parallel_decoder"] for holder in _holders(data, "parallel_decoder")):
            raise InputError(
                f"{place}: runs copies of the register in parallel; save "
                "batch.report().bitstrings() by numpy.save, and import that"
            )
    fillings = {
        tuple(holder["filling"])
        for holder in _holders(data, "filling")
        if isinstance(holder["filling"], list) and all(site in (0, 1) for site in holder["filling"])
    }
    filling = fillings.pop() if len(fillings) == 1 else None
    return _select(_shots(task, place), filling, settings, place)


def _holders(data: Any, name: str) -> Iterator[dict[str, Any]]:
    """Yield every object within JSON that has an entry of this name, in the order of the file."""
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if name in value:
                yield value
            waiting += reversed(list(value.values()))
        elif isinstance(value, list):
            waiting += reversed(value)


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
    shots: list[_Shot], filling: tuple[int, ...] | None, settings: ReadSettings, place: str
) -> ParsedShots:
    """Return the complete shots, and how many are not."""
    good = [(number, shot) for number, shot in enumerate(shots) if shot.status.lower() in _DONE]
    dropped = {"failed": len(shots) - len(good)} if len(good) < len(shots) else {}
    if not good:
        raise InputError(f"{place}: none of the {len(shots)} shots succeeded")
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
    before = np.array([shot.before for _, shot in good], dtype=np.uint8)
    after = np.array([shot.after for _, shot in good], dtype=np.uint8)
    used = np.array(filling, bool) if filling else before.any(axis=0)
    complete = before[:, used].all(axis=1)
    if not complete.all():
        dropped["missing atoms"] = int((~complete).sum())
    if not used.any() or not complete.any():
        raise InputError(f"{place}: no shot has all atoms; none of {len(shots)} can be used")
    if dropped and settings.on_missing == "refuse":
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise InputError(f"{place}: {reasons} of {len(shots)} shots; use --on-missing drop")
    notes = {}
    if not used.all():
        notes["vacant_sites"] = ", ".join(map(str, np.flatnonzero(~used)))
    return ParsedShots(1 - after[complete][:, used], _ORDER, dropped, notes)
