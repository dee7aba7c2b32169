"""Shots of neutral atoms on QuEra's machines: Amazon Braket's analog results, and Bloqade's.

`preSequence` says whether an atom was there before the pulses (1) or not (0). `postSequence` is 1
where an atom is seen afterwards, so in the ground state, and 0 where it is in the Rydberg state (or
was lost). Here bit 1 is the Rydberg state, n_i = 1, as in Pulser: bit = 1 - postSequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import File, ParsedShots, brief, choose_one, part
from psiprune.data.formats.settings import ReadSettings

_ANALOG = "braket.task_result.analog_hamiltonian_simulation_task_result"
_ORDER = "sites are the atoms in the order of the register; bit 1 is the Rydberg state"
_DONE = ("success", "completed")


class _Shot(NamedTuple):
    status: str
    before: list[Any]
    after: list[Any]


def is_analog(data: Any) -> bool:
    """Whether JSON is an analog result of Braket, of QuEra, or a batch of Bloqade."""
    if not isinstance(data, dict):
        return False
    header = data.get("braketSchemaHeader")
    name = header.get("name") if isinstance(header, dict) else None
    bloqade = len(data) == 1 and str(next(iter(data))).startswith("bloqade.")
    return name == _ANALOG or "shot_outputs" in data or bloqade


def read_quera(file: File, settings: ReadSettings) -> ParsedShots:
    """Bits of an analog task, 1 for the Rydberg state, shots with missing atoms left out.

    `AnalogHamiltonianSimulationTaskResult` of Braket, `QuEraTaskResults`, or a batch saved by
    `bloqade.analog.save`, whose task `key` chooses. Sites that the register leaves vacant (filling
    0; without a register, sites that are empty in every shot) have no column.

    Raises:
        InputError: another structure, no complete shot, or, with on_missing="refuse", one that is
            not complete.
    """
    place, data = str(file.path), file.json
    if not is_analog(data):
        raise InputError(
            f"{place}: needs an analog task result of Braket, QuEra or Bloqade, found {brief(data)}"
        )
    if "shot_outputs" in data or "braketSchemaHeader" in data:
        task = data
    else:
        tasks = {str(number): found for number, found in enumerate(_holders(data, "shot_outputs"))}
        if not tasks:
            raise InputError(f"{place}: the batch of Bloqade holds no results; run or fetch it")
        task = tasks[choose_one(list(tasks), settings.key, "task", place)]
        if any(found["parallel_decoder"] for found in _holders(data, "parallel_decoder")):
            raise InputError(
                f"{place}: runs copies of the register in parallel; save "
                "batch.report().bitstrings() by numpy.save, and import that"
            )
    if settings.key and task is data:
        raise InputError(f"{place}: key: the file holds one task, nothing to choose")
    shots = _shots(task, place)
    fillings = {tuple(holder["filling"]) for holder in _holders(data, "filling") if _filled(holder)}
    return _select(shots, fillings.pop() if len(fillings) == 1 else None, settings, place)


def _filled(holder: dict[str, Any]) -> bool:
    filling = holder["filling"]
    return isinstance(filling, list) and all(value in (0, 1) for value in filling)


def _holders(data: Any, name: str) -> Iterator[dict[str, Any]]:
    """Every object within JSON that has an entry of this name, in the order of the file."""
    waiting = [data]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            if name in here:
                yield here
            waiting += reversed(list(here.values()))
        elif isinstance(here, list):
            waiting += reversed(here)


def _shots(task: dict[str, Any], place: str) -> list[_Shot]:
    if "shot_outputs" in task:
        return [
            _Shot(
                str(part(shot, "shot_status", str, f"{place}: shot {number}")),
                shot.get("pre_sequence") or [],
                shot.get("post_sequence") or [],
            )
            for number, shot in enumerate(part(task, "shot_outputs", list, place))
        ]
    found = []
    for number, shot in enumerate(part(task, "measurements", list, place)):
        where = f"{place}: shot {number}"
        status = part(part(shot, "shotMetadata", dict, where), "shotStatus", str, where)
        result = shot.get("shotResult") or {}
        if not isinstance(result, dict):
            raise InputError(f"{where}: shotResult must be an object, found {brief(result)}")
        before, after = result.get("preSequence"), result.get("postSequence")
        found.append(_Shot(status, before or [], after or []))
    return found


def _select(
    shots: list[_Shot], filling: tuple[int, ...] | None, settings: ReadSettings, place: str
) -> ParsedShots:
    """The complete shots, and how many are not."""
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
                    f"bits as the register has sites, found {brief(values)}"
                )
            wrong = [value for value in values if value not in (0, 1)]
            if wrong:
                raise InputError(
                    f"{place}: shot {number}: a bit must be 0 or 1, found {brief(wrong[0])}"
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
        told = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise InputError(
            f"{place}: {told} of {len(shots)} shots; leave them out by --on-missing drop"
        )
    notes = {}
    if not used.all():
        notes["vacant_sites"] = ", ".join(map(str, np.flatnonzero(~used)))
    return ParsedShots(1 - after[complete][:, used], _ORDER, dropped, notes)
