"""Aquila: parallel copies of a register, counts by letters, batches of old and new Bloqade."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from refusals import refused

#: Excitations of copies "0,0" and "1,0" in each shot, site 0 first; None: an atom was missing.
SHOTS = [("100", "011"), ("110", None), (None, "001"), ("010", "100")]
#: The second copy is listed from its far end.
PLACES = [("0,0", 0), ("0,0", 1), ("0,0", 2), ("1,0", 2), ("1,0", 1), ("1,0", 0)]
POSITIONS = [[0.0, 0.0], [0.0, 6e-6], [0.0, 12e-6], [3e-5, 12e-6], [3e-5, 6e-6], [3e-5, 0.0]]


def mapping() -> list[dict[str, Any]]:
    names = ("cluster_index", "global_location_index", "cluster_location_index")
    return [
        dict(zip(names, ([int(number) for number in copy.split(",")], place, site), strict=True))
        for place, (copy, site) in enumerate(PLACES)
    ]


def outputs() -> list[dict[str, Any]]:
    """Of an atom that is missing, the trap at site 1 is empty."""
    shots = []
    for copies in SHOTS:
        texts = dict(zip(("0,0", "1,0"), copies, strict=True))
        before = [int(texts[copy] is not None or site != 1) for copy, site in PLACES]
        after = [
            there if (text := texts[copy]) is None else 1 - int(text[site])
            for there, (copy, site) in zip(before, PLACES, strict=True)
        ]
        shots.append({"shot_status": "Completed", "pre_sequence": before, "post_sequence": after})
    return shots


def task(**changes: Any) -> dict[str, Any]:
    entries = {
        "task_ir": {"lattice": {"sites": POSITIONS, "filling": [1] * 6}},
        "parallel_decoder": {"mapping": mapping()},
        "task_result_ir": {"task_status": "Completed", "shot_outputs": outputs()},
    }
    return entries | changes


def batch(*tasks: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    listed = [[n, {"bloqade.analog.task.braket.BraketTask": each}] for n, each in tasks]
    return {"bloqade.analog.task.batch.RemoteBatch": {"source": None, "tasks": listed}}


def old_batch(*tasks: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    """As `bloqade.save_batch` of version 0.7 writes it: every object within its name."""
    listed = []
    for number, each in tasks:
        body = {name: None if value is None else {name: value} for name, value in each.items()}
        body["task_ir"] = {"quera_task_specification": each["task_ir"]}
        listed.append([number, {"quera_task": {"backend": {"mock_backend": {}}, **body}}])
    return {"remote_batch": {"source": None, "name": None, "tasks": listed}}


def save(tmp_path: Path, content: Any) -> Path:
    path = tiny.write(tmp_path / "aquila.json", json.dumps(content))
    return path


def texts(shots: pp.Shots) -> list[str]:
    return ["".join(map(str, row)) for row in shots.bits.tolist()]


@pytest.mark.parametrize("write", [batch, old_batch])
def test_each_copy_is_a_shot(tmp_path: Path, write: Callable[..., Any]) -> None:
    path = save(tmp_path, write((0, task())))
    for form in ("quera", None):
        shots = pp.read_shots(path, form)
        assert texts(shots) == ["100", "011", "110", "001", "010", "100"]
        assert shots.provenance["dropped"] == {"missing atoms": 2}
        assert shots.provenance["copies"] == "0,0; 1,0"
        assert shots.provenance["positions"] == POSITIONS[:3]
    again = pp.read_shots(shots.save(tmp_path / "shots.nc"))
    assert again.provenance["positions"] == POSITIONS[:3]


def test_copies_apart(tmp_path: Path) -> None:
    path = save(tmp_path, batch((0, task())))
    shots = pp.read_shots(path, copies="apart")
    assert texts(shots) == ["100011", "010100"]
    assert shots.provenance["dropped"] == {"missing atoms": 2}
    assert shots.provenance["positions"] == [*POSITIONS[:3], *POSITIONS[:2:-1]]
    one = pp.read_shots(path, key=("0", "1,0"))
    assert texts(one) == ["011", "001", "100"]
    assert one.provenance["dropped"] == {"missing atoms": 1}
    assert one.provenance["positions"] == POSITIONS[:2:-1]
    back = pp.read_shots(path, key=("0", "1,0"), order="reversed")
    assert texts(back) == ["110", "100", "001"]
    assert back.positions is not None
    assert back.positions.tolist() == POSITIONS[3:]
    turned = pp.read_shots(path, key=("0", "1,0", "0,0"), copies="apart")
    assert texts(turned) == ["011100", "100010"]
    done = tiny.call("import", "quera", path, "--copies", "apart", "-o", tmp_path / "a.nc")
    assert "2 shots of 6 sites" in done.out
    assert "copy 0,0 then 1,0" in done.out


def test_a_failed_shot_fails_in_every_copy(tmp_path: Path) -> None:
    shots = outputs()
    shots[0] = {"shot_status": "MissingMeasurement", "pre_sequence": [], "post_sequence": []}
    path = save(tmp_path, batch((0, task(task_result_ir={"shot_outputs": shots}))))
    assert pp.read_shots(path).provenance["dropped"] == {"failed": 2, "missing atoms": 2}
    refused("2 failed, 2 missing atoms of 8 shots; use", pp.read_shots, path, on_missing="refuse")


def test_a_vacant_site_of_every_copy(tmp_path: Path) -> None:
    register = {"lattice": {"sites": POSITIONS, "filling": [1, 0, 1, 1, 0, 1]}}
    shots = pp.read_shots(save(tmp_path, batch((0, task(task_ir=register)))))
    assert texts(shots) == ["10", "01", "10", "00", "00", "01", "00", "10"]
    assert shots.provenance["vacant_sites"] == "1"
    assert shots.provenance["positions"] == [POSITIONS[0], POSITIONS[2]]
    register = {"lattice": {"filling": [1, 0, 1, 1, 1, 1]}}
    with pytest.raises(pp.InputError, match="copies differ in which of their sites are filled"):
        pp.read_shots(save(tmp_path, batch((0, task(task_ir=register)))))


def test_tasks_are_called_by_their_numbers(tmp_path: Path) -> None:
    alone = task(parallel_decoder=None)
    for write in (batch, old_batch):
        waiting = task(task_result_ir=None)
        path = save(tmp_path, write((4, task()), (10, alone), (11, waiting)))
        refused(r"2 tasks: '4', '10'; .*such as --key 4$", pp.read_shots, path)
        assert len(pp.read_shots(path, key=("4",))) == 6
        assert texts(pp.read_shots(path, key=("10",))) == ["100110", "010001"]
        with pytest.raises(pp.InputError, match="task 10: key: a task without parallel copies"):
            pp.read_shots(path, key=("10", "0,0"))
        with pytest.raises(pp.InputError, match=r"task 10: copies: .*leave out --copies"):
            pp.read_shots(path, key=("10",), copies="apart")
    with pytest.raises(pp.InputError, match="the task 4 occurs twice"):
        pp.read_shots(save(tmp_path, batch((4, task()), (4, task()))))
    with pytest.raises(pp.InputError, match="holds no results"):
        pp.read_shots(save(tmp_path, old_batch((0, task(task_result_ir=None)))))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda atoms: atoms.pop(), "same sites, found copies of 3, 2 atoms"),
        (lambda atoms: atoms[5].update(cluster_location_index=1), "atom 5: site 1 .*occur once"),
        (lambda atoms: atoms[5].update(cluster_location_index=7), "same sites"),
        (lambda atoms: atoms[5].update(global_location_index=4), "atom 5: .*place 4"),
        (lambda atoms: atoms[5].update(global_location_index=-1), "atom 5: .*place -1"),
        (lambda atoms: atoms[5].update(global_location_index=6), "index 6 is not one of the 6"),
        (lambda atoms: atoms[5].update(cluster_index=3), "atom 5: needs a list named"),
        (lambda atoms: atoms.clear(), "found copies of no atoms"),
    ],
)
def test_a_mapping_that_does_not_fit(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], words: str
) -> None:
    atoms = mapping()
    change(atoms)
    path = save(tmp_path, batch((0, task(parallel_decoder={"mapping": atoms}))))
    refused(words, pp.read_shots, path)


def test_positions_as_braket_writes_them(tmp_path: Path) -> None:
    data = json.loads((Path(__file__).parent / "fixtures" / "quera_braket.json").read_text())
    register = data["additionalMetadata"]["action"]["setup"]["ahs_register"]
    register["sites"] = [[str(x), str(y)] for x, y in register["sites"]]  # decimals
    positions = pp.read_shots(save(tmp_path, data)).provenance["positions"]
    np.testing.assert_allclose(positions, [[0, y * 1e-5] for y in (0, 2, 6, 8, 10)])
    for sites in ([["a", "b"]] * 6, [[0, 0]] * 5, 3):
        register["sites"] = sites
        assert "positions" not in pp.read_shots(save(tmp_path, data)).provenance


# ---- counts by letters


@pytest.mark.parametrize(
    ("counts", "rows", "missing", "vacant"),
    [
        ({"rggr": 2, "ggrr": 1, "gegg": 4, "eeee": 1}, ["1001", "1001", "0011"], 5, None),
        # A trap that is always empty is no site; "rgr" was never measured, so it does not fill it.
        ({"reg": 2, "eeg": 1, "rgr": 0}, ["10", "10"], 1, "1"),
    ],
)
def test_letters(
    tmp_path: Path, counts: dict[str, int], rows: list[str], missing: int, vacant: str | None
) -> None:
    path = save(tmp_path, counts)
    for form in ("quera", "braket", None):
        shots = pp.read_shots(path, form)
        assert texts(shots) == rows
        assert shots.provenance["dropped"] == {"missing atoms": missing}
        assert shots.provenance.get("vacant_sites") == vacant
    with pytest.raises(pp.InputError, match=f"{missing} missing atoms of .*--on-missing drop"):
        pp.read_shots(path, on_missing="refuse")


@pytest.mark.parametrize(
    ("counts", "given", "words"),
    [
        ({"rg": 1, "g": 2}, {}, "has 1 bits, but .* has 2"),
        ({"rg": 1.5}, {}, "outcome rg must be an integer .*found 1.5"),
        ({"rg": -1, "ee": 1}, {}, "outcome rg .*found -1"),
        ({"ee": 3}, {}, "no shot has all atoms; none of 3"),
        ({"er": 3, "re": 3}, {}, "no shot has all atoms; none of 6"),
        ({"rg": 1}, {"key": ("0",)}, "key: a file of counts has nothing to choose"),
        ({"rg": 1}, {"copies": "apart"}, "copies: no copies"),
        ({"rg": 1, "rx": 1}, {}, "counts by letters"),
    ],
)
def test_letters_that_do_not_fit(
    tmp_path: Path, counts: dict[str, Any], given: dict[str, Any], words: str
) -> None:
    refused(words, pp.read_shots, save(tmp_path, counts), "quera", **given)
