"""Shots in several bases from the command line: train and evaluate states with phases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import tiny
from outcomes import json_of, text_of
from psiprune.metrics import phase_report
from psiprune.metrics.phase_held_out import held_out_by_basis
from psiprune.metrics.phase_report import evaluate_phases
from psiprune.rbm.phase_shots import shots_of
from refusals import check_refusal, refuses


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quench of three sites: the state, shots in several bases, and the state trained on them."""
    made = tmp_path_factory.mktemp("phases")
    state = pp.quench(pp.TFIM(sites=3, field=1.0), 0.6, progress=False)
    state.save(made / "state.nc")
    pp.sample(state, 3000, seed=1, bases="all-pairs", progress=False).save(made / "shots.nc")
    pp.sample(state, 100, seed=1, progress=False).save(made / "z.nc")
    pp.sample(state, 9, bases="X", progress=False).save(made / "x.nc")
    pp.sample(state, 3, bases="random:3", progress=False).save(made / "one_each.nc")
    pp.mps_from_vector(np.ones(16) / 4).save(made / "four.nc")
    command = ("train", made / "shots.nc", "--out", made / "rbm.nc", "--hidden=2", "--seed=3")
    (made / "trained.json").write_text(text_of(tiny.call(*command, "--json")))
    return made


def test_train_writes_the_state_of_train_phases(folder: Path, tmp_path: Path) -> None:
    made = pp.load_phase_rbm(folder / "rbm.nc")
    expected = pp.train_phases(pp.read_shots(folder / "shots.nc"), hidden=2, seed=3)
    np.testing.assert_array_equal(made.vector, expected.vector)
    assert dict(made.provenance) == dict(expected.provenance)
    assert made.fidelity(pp.load_mps(folder / "state.nc")) > 0.98
    with refuses("basis", "3 letters", "'ZZZZ'"):
        made.probabilities("ZZZZ")
    command = ("train", folder / "shots.nc", "--out", tmp_path / "b.nc", "--hidden=2", "--seed=3")
    text = text_of(tiny.call(*command))
    for fact in ("3 sites", "2 hidden", "4 for the phases", "18 weights", "7 bases", "3000 shots"):
        assert fact in text
    assert (tmp_path / "b.nc").read_bytes() == (folder / "rbm.nc").read_bytes()


def test_train_takes_steps_starts_decay_and_masks(folder: Path, tmp_path: Path) -> None:
    masks = np.eye(2, 3, dtype=int), 1 - np.eye(3, dtype=int)
    for name, mask in zip(("a.txt", "p.txt"), masks, strict=True):
        np.savetxt(tmp_path / name, mask, fmt="%d")
    options = f"--mask {tmp_path}/a.txt --phase-mask {tmp_path}/p.txt --starts 1 --epochs 4"
    command = ("train", folder / "shots.nc", "--out", tmp_path / "rbm.nc", *options.split())
    found = json_of(tiny.call(*command, "--weight-decay=0.01", "--json"))
    assert (found["weights"], found["epochs"], found["starts"]) == (8, 4, 1)
    assert "nan" not in text_of(tiny.call(*command[:3], tmp_path / "2.nc", *command[4:])).lower()
    made, shots = pp.load_phase_rbm(tmp_path / "rbm.nc"), pp.read_shots(folder / "shots.nc")
    for network, mask in zip((made.amplitude, made.phase), masks, strict=True):
        np.testing.assert_array_equal(network.mask, mask)
    given = {"mask": masks[0] > 0, "phase_mask": masks[1] > 0}
    how = {"starts": 1, "epochs": 4, "weight_decay": 0.01}
    expected = pp.train_phases(shots, **given, **how)  # type: ignore[arg-type]
    np.testing.assert_array_equal(made.vector, expected.vector)


def test_evaluate_against_a_state(folder: Path) -> None:
    rbm, state = pp.load_phase_rbm(folder / "rbm.nc"), pp.load_mps(folder / "state.nc")
    files = folder / "rbm.nc", folder / "state.nc"
    command = ("evaluate", *files, "--observable=Y0 Z1")
    found = json_of(tiny.call(*command, "--json"))
    report = evaluate_phases(rbm, state, ["Y0 Z1"])
    assert found["fidelity"] == pytest.approx(rbm.fidelity(state))
    assert found["kl"] == pytest.approx(report.kl)
    assert set(found["observables"]) == {"energy", "Y0_Z1"}
    # The energy of all spins up is conserved: -J for each bond.
    assert found["observables"]["energy"]["state"] == pytest.approx(-2)
    assert found["observables"]["Y0_Z1"]["rbm"] == pytest.approx(report.observables["Y0_Z1"][0])
    assert f"{report.fidelity:.6f}" in text_of(tiny.call(*command))


def test_the_report_is_that_of_vectors(folder: Path) -> None:
    rbm, state = pp.load_phase_rbm(folder / "rbm.nc"), pp.load_mps(folder / "state.nc")
    p, q = np.abs(rbm.vector) ** 2, np.abs(state.to_vector()) ** 2
    report = evaluate_phases(rbm, state, ["Y1"])
    assert report.kl == pytest.approx(float(q @ np.log(q / p)))
    turned = np.array([[0, -1j], [1j, 0]])
    y1 = np.kron(np.eye(2), np.kron(turned, np.eye(2)))
    psi, other = rbm.vector, state.to_vector()
    means = [(each.conj() @ y1 @ each).real for each in (psi, other)]
    assert report.observables["Y1"] == pytest.approx(tuple(means))
    assert report.entropy is not None
    for each, entropy in zip((psi, other), report.entropy, strict=True):
        size, _ = np.linalg.eigh((square := each.reshape(-1, 2)).T @ square.conj())  # of site 0
        assert entropy == pytest.approx(-size @ np.log(size))
    with pytest.raises(pp.InputError, match=r"must be a sum of Pauli strings .* found g2"):
        evaluate_phases(rbm, state, ["g2"])


def test_evaluate_on_shots(folder: Path) -> None:
    rbm, shots = pp.load_phase_rbm(folder / "rbm.nc"), pp.read_shots(folder / "shots.nc")
    command = ("evaluate", folder / "rbm.nc", folder / "shots.nc")
    found = json_of(tiny.call(*command, "--json"))
    fits = held_out_by_basis(rbm, shots)
    assert [each["basis"] for each in found["bases"]] == [*shots.bases]
    assert found["bases"][1]["log_likelihood"] == pytest.approx(fits[1].log_likelihood)
    assert found["log_likelihood"] == pytest.approx(float(rbm.provenance["log_likelihood"]))
    assert fits[1].basis in text_of(tiny.call(*command))


def test_identifiability_prints_what_python_finds(folder: Path) -> None:
    command = ("identifiability", folder / "shots.nc", "--hidden", 2, "--starts", 2)
    found = json_of(tiny.call(*command, "--json"))
    shots = pp.read_shots(folder / "shots.nc")
    expected = pp.identifiability(shots, hidden=2, starts=2, progress=False)
    assert found["determined"] is expected.determined is True
    assert found["agreement"] == pytest.approx(expected.agreement)
    assert found["suggested"] == pytest.approx(dict(expected.suggested))
    assert [each["basis"] for each in found["bases"]] == [*shots.bases]
    through = json_of(tiny.call(*command, "--readout=0.001,0.002", "--json"))
    assert through["infidelity"] > found["infidelity"]  # misread shots tell less
    text = text_of(tiny.call(*command))
    assert str(expected) in text
    assert text.rstrip().endswith(f"next: psiprune reconstruct {folder}/shots.nc")


def test_what_is_not_determined_asks_for_more_bases(folder: Path, tmp_path: Path) -> None:
    shots = pp.read_shots(folder / "shots.nc")
    few = shots.take(np.arange(0, 3000, 60))
    few.save(tmp_path / "few shots.nc")
    command = ("identifiability", tmp_path / "few shots.nc", "--hidden", 2, "--starts", 2)
    found = json_of(tiny.call(*command, "--json"))
    assert not found["determined"]
    text = text_of(tiny.call(*command))
    assert f"measure in {next(iter(found['distinguishing'] or found['suggested']))}" in text
    assert text.rstrip().endswith("next: psiprune identifiability MORE_SHOTS")


def test_prune_writes_the_levels_of_prune_phases_and_resumes(folder: Path, tmp_path: Path) -> None:
    rbm, shots = pp.load_phase_rbm(folder / "rbm.nc"), pp.read_shots(folder / "shots.nc")
    out = tmp_path / "path"
    command = ("prune", folder / "rbm.nc", folder / "shots.nc", "--out", out, "--levels=2")
    found = json_of(tiny.call(*command, "--json"))
    levels = pp.prune_phases(rbm, shots, levels=2, progress=False)
    assert [row["weights"] for row in found["levels"]] == [18, 16, 15]
    for number, (row, level) in enumerate(zip(found["levels"], levels, strict=True)):
        made = pp.load_phase_rbm(out / f"level-0{number}.nc")
        np.testing.assert_array_equal(made.vector, level.rbm.vector)
        assert dict(made.provenance) == dict(level.rbm.provenance)
        assert row["log_likelihood"] == pytest.approx(level.log_likelihood)
        assert row["phase_weights"] == level.rbm.phase.number_of_weights
    before = (out / "level-02.nc").read_bytes()
    (out / "level-02.nc").unlink()
    assert "3 levels by surgeon" in text_of(tiny.call(*command))
    assert (out / "level-02.nc").read_bytes() == before
    for what in (out, folder / "rbm.nc"):
        assert tiny.call("info", what).status == 0


def test_readout_errors_of_the_training_are_asked_for(folder: Path, tmp_path: Path) -> None:
    rates, raw = "0.03,0.08", folder / "shots.nc"
    made = tmp_path / "misread.nc"
    how = ("--hidden=2", "--starts=1", "--epochs=3", "--readout", rates)
    tiny.call("train", raw, "--out", made, *how)
    assert "readout_sha256" in pp.load_phase_rbm(made).provenance
    prune = ("prune", made, raw, "--levels=1", "--no-fine-tune", "--out")
    for command in ((*prune, tmp_path / "a"), ("evaluate", made, raw)):
        outcome = tiny.call(*command)
        assert "trained through readout errors, but" in outcome.err
        again = (*command[:-1], tmp_path / "b") if command[0] == "prune" else command
        outcome = tiny.call(*again, "--readout", rates)
        assert outcome.status == 0
        assert "warning" not in outcome.err
    record = replace(pp.read_shots(raw), readout=pp.read_readout(rates, sites=3))
    fits = held_out_by_basis(pp.load_phase_rbm(made), record)
    found = json_of(tiny.call("evaluate", made, raw, "--readout", rates, "--json"))
    assert found["bases"][1]["log_likelihood"] == pytest.approx(fits[1].log_likelihood)
    likelihoods = [
        json_of(tiny.call(*prune, tmp_path / "b", "--readout", rates, "--json")),
        json_of(tiny.call(*prune, tmp_path / "a", "--json")),
    ]
    reached = [each["levels"][0]["log_likelihood"] for each in likelihoods]
    assert reached[0] == pytest.approx(found["log_likelihood"])
    assert abs(reached[1] - reached[0]) > 1e-3


def test_a_state_with_phases_is_sampled_in_several_bases(folder: Path, tmp_path: Path) -> None:
    assert "--bases random:13 " in text_of(tiny.call("info", folder / "state.nc")).splitlines()[-1]
    result = tiny.call("sample", folder / "state.nc", "-o", tmp_path / "z.nc", "--shots", 9)
    assert "do not show the phases" in result.err


def test_sample_measures_the_state_of_an_rbm(folder: Path, tmp_path: Path) -> None:
    rbm, out = pp.load_phase_rbm(folder / "rbm.nc"), tmp_path / "again.nc"
    command = ("sample", folder / "rbm.nc", "--out", out, "--shots=600", "--bases=nearest-pairs")
    found = json_of(tiny.call(*command, "--json"))
    assert found["bases"] == {"ZZZ": 120, "XXZ": 120, "XYZ": 120, "ZXX": 120, "ZXY": 120}
    shots = pp.read_shots(out)
    np.testing.assert_array_equal(shots.bits, shots_of(rbm, 600, "nearest-pairs").bits)
    plain = rbm.amplitude.save(tmp_path / "plain.nc")
    flat = ("sample", plain, "--out", tmp_path / "x.nc", "--shots=50", "--bases=X")
    assert "measured in X" in text_of(tiny.call(*flat))


def test_export_writes_both_networks(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "both.npz"
    text = text_of(tiny.call("export", "numpy", folder / "rbm.nc", "--out", out))
    for fact in ("3 sites", "2 hidden units", "4 for the phases"):
        assert fact in text
    with np.load(out) as file:
        assert {"amplitude_weights", "phase_mask"} <= {*file.files}


def test_above_twenty_sites_numbers_come_with_errors(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = folder / "rbm.nc", folder / "state.nc"
    exact = json_of(tiny.call("evaluate", *files, "--observable=Y0 Z1", "--json"))
    monkeypatch.setattr(phase_report, "EXACT_SITES", 2)
    found = json_of(tiny.call("evaluate", *files, "--observable=Y0 Z1", "--json"))
    for name, value, true in (
        ("fidelity", found["fidelity"], exact["fidelity"]),
        ("kl", found["kl"], exact["kl"]),
        *((k, found["observables"][k]["rbm"], v["rbm"]) for k, v in exact["observables"].items()),
    ):
        assert 0 < found["errors"][name] < 0.02
        assert abs(value - true) < 4 * found["errors"][name], name
    assert "entropy" not in found
    assert "+-" in text_of(tiny.call("evaluate", *files))


@pytest.mark.parametrize(
    ("command", "facts"),
    [
        ("evaluate {in}/rbm.nc {in}/four.nc", ["state", 4, 3]),
        ("export netket {in}/rbm.nc --out {out}", ["format", "numpy", "qucumber", "'netket'"]),
        ("train {in}/shots.nc --out {out} --folds 5", ["--folds", 7, "omit it"]),
        ("train {in}/shots.nc --out {out} --learning-rate 1", ["--learning-rate", 7, "omit it"]),
        ("train {in}/shots.nc --out {out} --starts 0", ["--starts", 1, 0]),
        (
            "train {in}/shots.nc --out {out} --phase-hidden 1000000",
            ["train", "memory", "--phase-hidden", "--yes"],
        ),
        ("train {in}/shots.nc --out {out} --max-time 0.00001", ["train", "limit", "--yes"]),
        ("train {in}/z.nc --out {out} --starts 2", ["--starts", "Z", "omit it"]),
        ("train {in}/z.nc --out {out} --phase-hidden 3", ["--phase-hidden", "Z", "omit it"]),
        ("identifiability {in}/shots.nc --starts 1", ["--starts", 2, 1]),
        ("identifiability {in}/one_each.nc", ["one_each.nc", "1 shot in a basis", 0.2]),
        ("train {in}/x.nc --out {out}", ["x.nc", "basis X", "several bases"]),
        (
            "reconstruct {in}/shots.nc --out {out} --train.epochs 3",
            ["--train", 7, "omit it", "--config"],
        ),
        ("evaluate {in}/rbm.nc {in}/state.nc --draws 100", ["--draws", "exactly"]),
        ("evaluate {in}/rbm.nc {in}/state.nc --readout 0.01,0.01", ["--readout", "state"]),
        ("evaluate {in}/rbm.nc {in}/z.nc --observable X0", ["--observable", "shots"]),
        ("prune {in}/rbm.nc {in}/shots.nc --out {out} --folds 5", ["--folds", "rbm.nc"]),
        (
            "prune {in}/rbm.nc {in}/shots.nc --out {out} --criterion random",
            ["--criterion", "'random'"],
        ),
        ("prune {in}/rbm.nc {in}/z.nc --out {out}", ["z.nc", "ZZZ"]),
    ],
)
def test_what_is_refused(folder: Path, tmp_path: Path, command: str, facts: list[object]) -> None:
    names = {"in": folder, "out": tmp_path / "out.nc"}
    line = tiny.refusal(tiny.call(*(word.format(**names) for word in command.split(" "))))
    check_refusal(line, *facts)
    assert list(tmp_path.iterdir()) == []
