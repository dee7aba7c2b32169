"""Program sets of Braket: results in one file or in the files that it points at."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import psiprune as pp
from refusals import refused

ROWS = [[0, 0, 1], [1, 0, 1], [0, 1, 1]]


def header(name: str) -> dict[str, Any]:
    return {"braketSchemaHeader": {"name": f"braket.task_result.{name}", "version": "1"}}


def executable(**entries: Any) -> dict[str, Any]:
    default = {"measurements": ROWS, "measuredQubits": [0, 1, 2], "inputsIndex": 0}
    return {**header("program_set_executable_result"), **default, **entries}


PROBABLE = executable(
    measurements=None, measurementProbabilities={"001": 0.25, "101": 0.7, "011": 0.05}
)
FAILED = {
    **header("program_set_executable_failure"),
    "inputsIndex": 1,
    "failureMetadata": {"failureReason": "out of sorts", "retryable": True, "category": "DEVICE"},
}
METADATA = {
    "requestedShots": 80,
    "programMetadata": [{"executables": [{}] * 3}, {"executables": [{}]}],
}


def program(*executables: Any, source: Any = None) -> dict[str, Any]:
    return {
        **header("program_result"),
        "executableResults": list(executables),
        "source": source or {"source": "OPENQASM 3.0;", "inputs": {"theta": [0.1, 0.2]}},
        "additionalMetadata": {},
    }


def task(*programs: Any, metadata: Any = METADATA) -> dict[str, Any]:
    body = {"programResults": list(programs), "taskMetadata": metadata}
    return {**header("program_set_task_result"), **body}


def save(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return folder / "results.json"


def inline(tmp_path: Path) -> Path:
    programs = program(executable(), PROBABLE, FAILED), program(executable())
    return save(tmp_path, {"results.json": task(*programs)})


def in_files(tmp_path: Path) -> Path:
    folders = ["programs/0", "programs/1"]
    files: dict[str, Any] = {
        "results.json": task(
            *(f"{each}/results.json" for each in folders), metadata="metadata.json"
        ),
        "metadata.json": METADATA,
    }
    executables = ([executable(), PROBABLE, FAILED], [executable(measurements=ROWS[:1])])
    for folder, contents in zip(folders, executables, strict=True):
        names = [f"executables/{k}.json" for k in range(len(contents))]
        files[f"{folder}/results.json"] = program(*names, source="program.json")
        files[f"{folder}/program.json"] = {"source": "OPENQASM 3.0;"}
        files |= {f"{folder}/{name}": each for name, each in zip(names, contents, strict=True)}
    return save(tmp_path, files)


@pytest.mark.parametrize("write", [inline, in_files])
def test_key_chooses_program_and_executable(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path)
    for form in ("braket", None):
        shots = pp.read_shots(path, form, key=("0", "0"))
        assert shots.bits.tolist() == ROWS
    assert shots.provenance["qubits"] == "0, 1, 2"
    assert pp.read_shots(path, key=("1",)).bits[0].tolist() == ROWS[0]
    refused(r"2 programs: '0', '1'; .*such as --key 0$", pp.read_shots, path)
    refused(r"3 executables: .*such as --key 0 0$", pp.read_shots, path, key=("0",))
    refused("executable 2: failed: out of sorts", pp.read_shots, path, key=("0", "2"))
    bits = pp.read_shots(path, key=("0", "1")).bits  # of probabilities: 80 shots, 4 executables
    assert (len(bits), bits.sum(axis=0).tolist()) == (20, [14, 1, 20])


def test_one_program_or_executable_alone(tmp_path: Path) -> None:
    path = in_files(tmp_path)
    of_program = path.parent / "programs/0/results.json"
    assert pp.read_shots(of_program, key=("0",)).bits.tolist() == ROWS
    with pytest.raises(pp.InputError, match=r"only measurementProbabilities.*import results\.json"):
        pp.read_shots(of_program, key=("1",))
    assert pp.read_shots(path.parent / "programs/0/executables/0.json").bits.tolist() == ROWS
    with pytest.raises(pp.InputError, match="only measurementProbabilities"):
        pp.read_shots(path.parent / "programs/0/executables/1.json")


def test_the_order_of_the_qubits(tmp_path: Path) -> None:
    turned = task(program(executable(measuredQubits=[2, 0, 1])))
    path = save(tmp_path, {"results.json": turned})
    refused(r"2, 0, 1.*--order listed", pp.read_shots, path)
    assert pp.read_shots(path, order="numbered").bits.tolist() == [[0, 1, 0], [0, 1, 1], [1, 1, 0]]


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (task("../results.json"), "points at '../results.json', outside the folder"),
        (task("/etc/hostname"), "outside the folder"),
        (task("programs/7/results.json"), "there is no .*; download the whole folder"),
        *(
            (
                task(program(executable(), source={"inputs": {"_OBSERVABLE_PHI_0": angles}})),
                "than X, Y or Z",
            )
            for angles in ([1.5], [])
        ),
        (task(program({**PROBABLE, "measurementProbabilities": {"001": 0.26}})), "found 5.2"),
        (task(program({**PROBABLE, "measurementProbabilities": {"001": 0.25}})), "5 of 20 shots"),
        (task(program({**PROBABLE, "measurementProbabilities": {"001": "a"}})), "found -1"),
        (task(program({**PROBABLE, "measurementProbabilities": {"01": 1.0}})), "2 bits, but 3"),
        (task(program(PROBABLE), metadata={}), "no metadata say"),
        (task(), "0 programs"),
        (task(3), "'executableResults'"),
        ({**header("program_set_task_result")}, "'programResults'"),
        (task(program(executable(measuredQubits=None))), "'measuredQubits'"),
        (task(program(executable(measurements=[[0, 1]]))), "executable 0: shot 0 must be a list"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, results: Any, words: str) -> None:
    refused(words, pp.read_shots, save(tmp_path, {"results.json": results}))


def test_observables_show_the_basis(tmp_path: Path) -> None:
    right = math.pi / 2
    inputs = {
        "theta": [0.1] * 4,
        "_OBSERVABLE_THETA_0": [1.5, 0, right, 0],
        "_OBSERVABLE_PHI_0": [1.5, 0, right, 0],
        "_OBSERVABLE_OMEGA_0": [0.0, 0, right, 0],
        "_OBSERVABLE_THETA_2": [0, 0, 0, right],
        "_OBSERVABLE_PHI_2": [0, 0, right, 3 * right],
    }
    each = [executable(inputsIndex=k, measuredQubits=[2, 0, 1]) for k in range(4)]
    path = save(tmp_path, {"results.json": task(program(*each, source={"inputs": inputs}))})
    assert pp.read_shots(path, key=("1",), order="listed").basis == "Z"
    assert pp.read_shots(path, key=("1",), order="listed").bits.tolist() == ROWS
    assert pp.read_shots(path, key=("2",), order="listed").bases == ("YXZ",)
    assert pp.read_shots(path, key=("2",), order="numbered").bases == ("XZY",)
    assert pp.read_shots(path, key=("2",), order="reversed").bases == ("ZXY",)
    # 1.5 is no right angle, and theta = pi/2, phi = 3 pi/2 measure -X.
    for key, name in (("0", "_OBSERVABLE_PHI_0"), ("3", "_OBSERVABLE_PHI_2")):
        refused(f"executable {key}: .*{name}", pp.read_shots, path, key=(key,), order="listed")


def test_the_schema_of_braket_accepts_these_executables() -> None:
    reason = "pip install '.[vendors]' has Braket's schemas"
    results = pytest.importorskip("braket.task_result", reason=reason)
    for content, kind in (
        (executable(), "ProgramSetExecutableResult"),
        (PROBABLE, "ProgramSetExecutableResult"),
        (FAILED, "ProgramSetExecutableFailure"),
    ):
        parsed = getattr(results, kind).parse_raw(json.dumps(content))
        assert parsed.inputsIndex == content["inputsIndex"]
