"""Program sets of Amazon Braket: one task with many programs, each with many executables.

The results stand in the file itself, or in files that it points at by their paths within the
folder of the task: results.json -> programs/0/results.json -> programs/0/executables/0.json.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import SourceFile, part, read_content
from psiprune.data.formats.names import choose_one
from psiprune.data.formats.settings import ReadSettings

_SET = "braket.task_result.program_set_task_result"
_PROGRAM = "braket.task_result.program_result"
_FAILURE = "braket.task_result.program_set_executable_failure"
_ROTATION = "_OBSERVABLE_"  # the SDK's names of angles that turn a qubit's basis before measuring


def schema_of(data: Any) -> str:
    """Return the name in a Braket object's header, "" without one."""
    header = data.get("braketSchemaHeader") if isinstance(data, dict) else None
    return str(header.get("name", "")) if isinstance(header, dict) else ""


def is_program_set(data: Any) -> bool:
    """Whether JSON is the result of a program set or of one of its programs."""
    return schema_of(data) in (_SET, _PROGRAM)


def read_executable(file: SourceFile, settings: ReadSettings) -> tuple[dict[str, Any], str]:
    """Return the executable that `key` chooses, with the probabilities as counts, and its place.

    Of several programs, the first key is the program's number; the last is the executable's.
    Executables with probabilities alone get `measurement_counts`: each ran
    requestedShots // (number of executables of the task) times, as the SDK counts them.

    Raises:
        InputError: a file is missing or points outside its folder, the executable failed, was
            measured in another basis than Z, or its probabilities are not of that many shots.
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
    _check_basis(_resolve(data.get("source"), folder, place)[0], executable, place)
    return _with_counts(executable, shots, place), place


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


def _check_basis(source: dict[str, Any], executable: dict[str, Any], place: str) -> None:
    """Raise `InputError` if the executable turned the basis of a qubit before measuring it."""
    inputs, row = source.get("inputs"), executable.get("inputsIndex")
    for name, values in inputs.items() if isinstance(inputs, dict) else ():
        if not name.startswith(_ROTATION) or not isinstance(values, list):
            continue
        angle = values[row] if isinstance(row, int) and 0 <= row < len(values) else None
        if angle != 0:
            raise InputError(
                f"{place}: measures an observable in another basis than Z ({name[:60]} is "
                f"{angle}); choose an executable in Z by --key"
            )


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
