"""Program sets of Amazon Braket: one task with many programs, each with many executables.

The results stand in the file itself, or in files that it points at by their paths within the
folder of the task: results.json -> programs/0/results.json -> programs/0/executables/0.json.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import SourceFile, part, read_content
from psiprune.data.formats.braket_bases import letters_of_angles
from psiprune.data.formats.names import choose_one
from psiprune.data.formats.settings import ReadSettings

_SET = "braket.task_result.program_set_task_result"
_PROGRAM = "braket.task_result.program_result"
_FAILURE = "braket.task_result.program_set_executable_failure"


def schema_of(data: Any) -> str:
    """Return the name in a Braket object's header, "" without one."""
    header = data.get("braketSchemaHeader") if isinstance(data, dict) else None
    return str(header.get("name", "")) if isinstance(header, dict) else ""


def is_program_set(data: Any) -> bool:
    """Whether JSON is the result of a program set or of one of its programs."""
    return schema_of(data) in (_SET, _PROGRAM)


class Executable(NamedTuple):
    """An executable's entries, with probabilities as counts, its bases by qubit, its place."""

    data: dict[str, Any]
    letters: dict[int, str]
    place: str


def read_executable(file: SourceFile, settings: ReadSettings) -> Executable:
    """Return the executable that `key` chooses.

    Of several programs, the first key is the program's number; the last is the executable's.
    Executables with probabilities alone get `measurement_counts`: each ran
    requestedShots // (number of executables of the task) times, as the SDK counts them.

    Raises:
        InputError: a file is missing or points outside its folder, the executable failed, measured
            another operator than X, Y and Z, or its probabilities are not of that many shots.
    """
    data, place, folder = file.json, file.place, file.path.parent
    keys, shots = settings.key, None
    if schema_of(data) == _SET:
        shots = _shots_each(_resolve(data.get("taskMetadata"), folder, place)[0])
        programs = part(data, "programResults", list, place)
        names = [str(number) for number in range(len(programs))]
        number = choose_one(names, keys[:1] if len(programs) > 1 else (), "program", place)
        keys = keys[1:] if len(programs) > 1 else keys
        data, folder = _resolve(programs[int(number)], folder, place)
        place = f"{place}: program {number}"
    executables = part(data, "executableResults", list, place)
    names = [str(number) for number in range(len(executables))]
    before = settings.key[: len(settings.key) - len(keys)]
    number = choose_one(names, keys, "executable", place, before)
    executable, _ = _resolve(executables[int(number)], folder, place)
    place = f"{place}: executable {number}"
    if schema_of(executable) == _FAILURE:
        reason = part(part(executable, "failureMetadata", dict, place), "failureReason", str, place)
        raise InputError(f"{place}: failed: {reason[:200]}; choose another executable by --key")
    inputs = _resolve(data.get("source"), folder, place)[0].get("inputs")
    letters = letters_of_angles(inputs, executable.get("inputsIndex"), place)
    return Executable(_with_counts(executable, shots, place), letters, place)


def _resolve(entry: Any, folder: Path, place: str) -> tuple[dict[str, Any], Path]:
    """Return an entry, or what the file holds that it points at, and the folder of that file."""
    if isinstance(entry, dict):
        return entry, folder
    if not isinstance(entry, str):
        return {}, folder
    path = PurePosixPath(entry)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(
            f"{place}: points at {entry[:60]!r}, outside the folder of the task; only files within "
            "it are read"
        )
    target = folder / path
    if not target.is_file():
        raise InputError(
            f"{place}: points at {entry[:60]}, but there is no {target}; download the whole folder "
            "of the task: aws s3 cp --recursive"
        )
    data = SourceFile(target, read_content(target)).json
    if not isinstance(data, dict):
        raise InputError(f"{target}: needs an object")
    return data, target.parent


def _shots_each(metadata: dict[str, Any]) -> int | None:
    """Return the number of shots of each executable; None if the metadata do not say it."""
    requested, programs = metadata.get("requestedShots"), metadata.get("programMetadata")
    if not isinstance(requested, int) or not isinstance(programs, list):
        return None
    lists = [program.get("executables") for program in programs if isinstance(program, dict)]
    executables = sum(len(each) for each in lists if isinstance(each, list))
    return requested // executables if executables else None


def _with_counts(executable: dict[str, Any], shots: int | None, place: str) -> dict[str, Any]:
    if executable.get("measurements") is not None:
        return executable
    probabilities = part(executable, "measurementProbabilities", dict, place)
    if shots is None:
        raise InputError(
            f"{place}: has only measurementProbabilities, and no metadata say of how many shots; "
            "import results.json of the task, beside its metadata.json"
        )
    counts = {}
    for outcome, probability in probabilities.items():
        number = probability * shots if isinstance(probability, int | float) else -1.0
        if number < 0 or abs(number - round(number)) > 1e-6 * shots:
            raise InputError(
                f"{place}: the probability of {outcome[:60]} times {shots} shots must be an "
                f"integer, found {number:g}"
            )
        counts[outcome] = round(number)
    if sum(counts.values()) != shots:
        raise InputError(
            f"{place}: the probabilities add up to {sum(counts.values())} of {shots} shots"
        )
    return {**executable, "measurement_counts": counts}
