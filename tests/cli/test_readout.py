"""Readout errors on the command line: calibrate, --readout, and what happens to them on the way."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from outcomes import json_of, text_of
from psiprune.data.diagnostics import describe_shots
from psiprune.data.readout_error import ReadoutError

ERROR = ReadoutError.from_rates([0.02, 0.04, 0.06, 0.08], [0.03, 0.05, 0.07, 0.09])


def notes(outcome: tiny.Outcome) -> list[str]:
    """The lines on standard error."""
    assert outcome.status == 0, outcome
    return outcome.err.splitlines()


def readout_of(file: Path) -> ReadoutError:
    """The errors that a file of shots carries."""
    found = pp.read_shots(file).readout
    assert found is not None
    return found


@pytest.fixture
def calibration(tmp_path: Path) -> list[str]:
    """Arguments for shots of all qubits in 0 and in 1."""
    for value in (0, 1):
        shots = pp.Shots(np.full((3000, 4), value, np.uint8)).with_readout_error(ERROR, value)
        np.savetxt(tmp_path / f"{value}.txt", shots.bits, fmt="%d")
    return [f"all0={tmp_path}/0.txt", f"1111={tmp_path}/1.txt"]


def test_calibrate(calibration: list[str], tmp_path: Path) -> None:
    out = tmp_path / "readout.json"
    text = text_of(tiny.call("calibrate", *calibration, "--out", out))
    first, table, last = text.split("\n\n")
    assert [line.split()[0] for line in table.splitlines()] == ["site", "0", "1", "2", "3"]
    assert first.startswith("4 sites, 6000 shots of 2 prepared states: p(1|0) = ")
    assert last.startswith(f"{out}: readout errors\nnext: ")
    assert f"psiprune reconstruct SHOTS --readout {out}" in last
    found = pp.read_readout(out, 4)
    assert found.is_measured
    expected = pp.calibrate_readout(
        {"0" * 4: pp.read_shots(tmp_path / "0.txt"), "1" * 4: pp.read_shots(tmp_path / "1.txt")}
    )
    assert found.to_json()["groups"] == expected.to_json()["groups"]
    assert (np.abs(found.rates - ERROR.rates) < 5 * found.rate_errors).all()
    for line, rates, errors in zip(
        table.splitlines()[1:], found.rates, found.rate_errors, strict=True
    ):
        numbers = [f"{each:.5f}" for each in (rates[0], errors[0], rates[1], errors[1])]
        assert line.split()[1:] == [*numbers, "3000", "3000"]
    again = json_of(tiny.call("calibrate", *calibration, "-o", tmp_path / "b.json", "--json"))
    assert (again["sites"], again["states"], again["shots"]) == (4, 2, 6000)
    np.testing.assert_allclose(np.transpose([again["p10"], again["p01"]]), found.rates)
    np.testing.assert_allclose(
        np.transpose([again["p10_error"], again["p01_error"]]), found.rate_errors
    )
    assert again["groups"] == []
    assert out.read_text() == (tmp_path / "b.json").read_text()


def test_files_of_one_state_are_joined(calibration: list[str], tmp_path: Path) -> None:
    twice = [*calibration, f"0000={tmp_path}/0.txt"]
    refused = tiny.call("calibrate", *twice, "-o", tmp_path / "a.json")
    assert refused.status == 2
    assert "every shot would count twice" in refused.err
    lines = (tmp_path / "0.txt").read_text().splitlines()
    (tmp_path / "more.txt").write_text("\n".join(reversed(lines)))
    more = [*calibration, f"0000={tmp_path}/more.txt"]
    found = json_of(tiny.call("calibrate", *more, "-o", tmp_path / "a.json", "--json"))
    assert (found["states"], found["shots"]) == (2, 9000)


def test_groups(tmp_path: Path) -> None:
    arguments = []
    for k in range(4):
        state = f"{k & 1}{k >> 1}0{k & 1}"
        bits = np.array([list(map(int, state))] * 400)
        np.savetxt(tmp_path / f"{state}.txt", bits, fmt="%d")
        arguments.append(f"{state}={tmp_path}/{state}.txt")
    ones = tmp_path / "ones.txt"
    np.savetxt(ones, np.ones((400, 4)), fmt="%d")
    command = ("calibrate", *arguments, f"all1={ones}", "--groups=1-0", "-o", tmp_path / "g.json")
    assert json_of(tiny.call(*command, "--json"))["groups"] == [[1, 0]]
    found = pp.read_readout(tmp_path / "g.json", 4)
    assert [group.sites for group in found.groups] == [(1, 0), (2,), (3,)]
    assert found.groups[0].prepared is not None
    assert found.groups[0].prepared.tolist() == [400, 400, 400, 800]


def test_formats_of_calibration_shots(tmp_path: Path) -> None:
    for name, counts in (("0", {"000": 90, "100": 10}), ("1", {"111": 95, "011": 5})):
        (tmp_path / f"{name}.json").write_text(json.dumps(counts))
    arguments = (f"all0={tmp_path}/0.json", f"all1={tmp_path}/1.json", "--format=qiskit")
    found = json_of(tiny.call("calibrate", *arguments, "-o", tmp_path / "r.json", "--json"))
    np.testing.assert_allclose(found["p10"], [0, 0, 0.1])  # site 0 is last
    np.testing.assert_allclose(found["p01"], [0, 0, 0.05])


def test_sample_misreads(stages: Path, tmp_path: Path) -> None:
    command = ("sample", stages / "state.nc", "--shots=300", "--seed=1")
    numbers = json_of(tiny.call(*command, "--readout=0.1,0.2", "-o", tmp_path / "a.nc", "--json"))
    assert numbers["readout"]["p10"] == [0.1] * 4
    shots, clean = pp.read_shots(tmp_path / "a.nc"), pp.read_shots(stages / "shots.nc")
    assert shots.readout is not None
    expected = clean.with_readout_error(shots.readout, seed=1)
    np.testing.assert_array_equal(shots.bits, expected.bits)
    assert 0.1 < (shots.bits != clean.bits).mean() < 0.2
    text = text_of(tiny.call(*command, "--readout=0.1,0.2", "-o", tmp_path / "b.nc"))
    assert "p(1|0) = 0.1, p(0|1) = 0.2" in text
    np.testing.assert_array_equal(pp.read_shots(tmp_path / "b.nc").bits, shots.bits)


def test_import_and_export(stages: Path, tmp_path: Path) -> None:
    json.dump(ERROR.to_json(), (tmp_path / "readout.json").open("w"))
    first, second = tmp_path / "first.nc", tmp_path / "second.nc"
    option = ("--readout", tmp_path / "readout.json")
    found = tiny.call("import", "text", stages / "shots.txt", *option, "-o", first)
    assert "readout errors: p(1|0) = 0.05 (0.02 to 0.08)" in text_of(found)
    assert readout_of(first).to_json() == ERROR.to_json()
    command = ("import", "netcdf", first, "--rows=:20", "-o", second, "--json")
    assert json_of(tiny.call(*command))["readout"]["p01"] == ERROR.rates[:, 1].tolist()
    assert readout_of(second).to_json() == ERROR.to_json()
    (line,) = notes(tiny.call("export", "text", second, "-o", tmp_path / "back.txt"))
    assert "format text cannot hold the readout errors" in line
    assert pp.read_shots(tmp_path / "back.txt").readout is None
    assert notes(tiny.call("export", "text", stages / "shots.nc", "-o", tmp_path / "c.txt")) == []


def test_qubits_of_a_device(stages: Path, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "rates.txt", np.arange(12).reshape(6, 2) / 100)
    option = ("--readout", tmp_path / "rates.txt", "--readout-qubits", "5", "0", "3", "1")
    text_of(tiny.call("import", "text", stages / "shots.txt", *option, "-o", tmp_path / "a.nc"))
    expected = [[0.1, 0.11], [0, 0.01], [0.06, 0.07], [0.02, 0.03]]
    np.testing.assert_allclose(readout_of(tmp_path / "a.nc").rates, expected)


def test_given_errors_replace_those_of_the_file(stages: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "a.nc", tmp_path / "b.nc"
    shots = pp.read_shots(stages / "shots.nc")
    pp.Shots(shots.bits, readout=ERROR).save(file)
    (line,) = notes(tiny.call("import", "netcdf", file, "--readout=0.01", "-o", out))
    assert "note: --readout (rates) replaces the readout errors of" in line
    assert readout_of(out).rates.tolist() == [[0.01, 0.01]] * 4


def test_info_shows_the_errors(stages: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.nc"
    pp.Shots(pp.read_shots(stages / "shots.nc").bits, readout=ERROR).save(file)
    text = text_of(tiny.call("info", file))
    assert all(len(line) <= 100 for line in text.splitlines() if line.startswith(("r", " ")))
    assert "p(1|0) = 0.05 (0.02 to 0.08), p(0|1) = 0.06 (0.03 to 0.09)" in text
    assert "rates (assumed, not measured)" in text
    # 1 - p10 - p01 is 0.95, 0.91, 0.87, 0.83 at the sites.
    assert "recorded as 0.830 to 0.950 times the true value, +0.010" in text
    assert "recorded as 0.722 to 0.864 times the true value" in text
    found = json_of(tiny.call("info", file, "--json"))["readout"]
    np.testing.assert_allclose(found["attenuation"], [0.95, 0.91, 0.87, 0.83])
    assert (found["source"], found["measured"], found["groups"]) == ("rates", False, [])
    given = json_of(tiny.call("info", stages / "shots.nc", "--readout=0.01", "--json"))
    assert given["readout"]["rates"] == [[0.01, 0.01]] * 4
    plain = json_of(tiny.call("info", stages / "shots.nc", "--json"))
    assert plain["readout"] is None
    assert {**given, "readout": None} == plain  # all else is of the recorded bits


def test_evaluate_states_what_assumed_rates_mean(stages: Path, tmp_path: Path) -> None:
    file = tmp_path / "shots.txt"
    np.savetxt(file, np.random.default_rng(0).random((300, 4)) < [0.0, 0.5, 0.5, 0.0], fmt="%d")
    outcome = tiny.call(*("evaluate", stages / "rbm.nc", file, "--draws=100", "--readout=0.3"))
    assert outcome.status == 0
    text = " ".join(outcome.out.split())
    assert "assumed (rates), not measured" in text
    assert "off by 10%, and psiprune reconstruct states how much F" in text
    (line,) = outcome.err.splitlines()  # stages/rbm.nc was trained on true bits
    assert "is not known to be trained through these readout errors (" in line
    (line,) = (each for each in text.split("warning: ") if each.startswith("readout: "))
    assert line.startswith("readout: site 0 (and 1 more)")
    assert "that any state can show" in line


def test_attenuation_is_that_of_the_records() -> None:
    state = pp.ground_state(pp.TFIM(sites=4, field=0.7))
    shots = pp.sample(state, 200_000, seed=0)
    recorded = shots.with_readout_error(ERROR, seed=3)
    true, found = (describe_shots(each) for each in (shots, recorded))
    a = 1 - ERROR.rates.sum(axis=1)
    offset = ERROR.rates[:, 1] - ERROR.rates[:, 0]
    np.testing.assert_allclose(found.magnetization, a * true.magnetization + offset, atol=0.01)
    np.testing.assert_allclose(found.neighbours, a[1:] * a[:-1] * true.neighbours, atol=0.01)


def test_commands_attach_the_errors(
    stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What train, prune, evaluate and reconstruct compute with carries the errors given."""
    seen: list[Any] = []

    def stop(*arguments: Any, **named: Any) -> None:
        seen.extend(each for each in [*arguments, *named.values()] if isinstance(each, pp.Shots))
        raise RuntimeError("enough")

    places = {
        "train": "psiprune.training.train.train",
        "prune": "psiprune.experiments.pruning_path.run_path",
        "evaluate": "psiprune.metrics.against_shots.evaluate_on_shots",
        "reconstruct": "psiprune.reconstruction.api.reconstruct_and_report",
    }
    rbm, shots, out = stages / "rbm.nc", stages / "shots.nc", ("--out", tmp_path / "out")
    for command, arguments in {
        "train": (shots, *out),
        "prune": (rbm, shots, *out),
        "evaluate": (rbm, shots),
        "reconstruct": (shots, *out),
    }.items():
        with monkeypatch.context() as patched:
            patched.setattr(places[command], stop)
            outcome = tiny.call(command, *arguments, "--readout=0.01,0.03")
        assert outcome.status == 1, outcome
        assert outcome.err.endswith("enough\n")
        assert [each.readout.rates.tolist() for each in seen] == [[[0.01, 0.03]] * 4], command
        seen.clear()


def test_a_pruning_path_belongs_to_its_errors(stages: Path, tmp_path: Path) -> None:
    command = ("prune", stages / "rbm.nc", stages / "shots.nc", "--levels=1", "--no-fine-tune")
    out = ("--out", tmp_path / "path")
    assert tiny.call(*command, *out, "--readout=0.01").status == 0
    assert tiny.call(*command, *out, "--readout=0.01").status == 0
    for other in (["--readout=0.02"], []):
        line = tiny.refusal(tiny.call(*command, *out, *other))
        assert re.search(r"other readout errors: readout_sha256 = [0-9a-f]{12}\.\.\., this", line)


def test_train_suggests_a_cross_validation_where_misread_shots_are_few(tmp_path: Path) -> None:
    shots, note = tmp_path / "shots.txt", "use --folds 5 to stop earlier"
    for repeats, options, said in (
        (49, ("--readout=0.1,0.2",), True),
        (49, ("--readout=0",), False),
        (50, ("--readout=0.1,0.2",), False),
        (49, ("--readout=0.1,0.2", "--folds=2"), False),
        (49, ("--readout=0.1,0.2", "--method=natural", "--epochs=1"), True),
        (49, ("--readout=0.1,0.2", "--method=cd", "--epochs=1"), True),
        (49, (), False),
    ):
        shots.write_text("00\n01\n10\n11\n10\n01\n11\n10\n10\n00\n" * repeats)
        outcome = tiny.call("train", shots, "--hidden=1", *options, "-o", tmp_path / "rbm.nc")
        (tmp_path / "rbm.nc").unlink()
        assert (note in outcome.err) == said, (repeats, options)
    shots.write_text("00\n01\n10\n11\n")
    few = ("--hidden=1", "--readout=0.1,0.2", "--epochs=1", "--out", tmp_path / "rbm.nc")
    lines = tiny.call("train", shots, *few).err.splitlines()
    assert any(note in line for line in lines)
    assert any("5 parameters are more than 4 training shots" in line for line in lines)


def test_evaluate_says_why_the_error_of_the_rates_is_missing(
    stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rbm, option = tmp_path / "rbm.nc", "--readout=0.01,0.03"
    command = ("evaluate", rbm, stages / "shots.nc", option, "--draws=100")
    text_of(tiny.call("train", stages / "shots.nc", option, "--hidden=1", "-o", rbm))
    assert "rates_note" not in json_of(tiny.call(*command, "--json"))
    monkeypatch.setattr("psiprune.metrics.rates_error.RATES_ERROR_PARAMETERS", 1)
    text = " ".join(text_of(tiny.call(*command)).split())
    assert "note: no column rates: " in text
    assert "at most 3,000 parameters; psiprune reconstruct states" in text


def test_prune_ends_fine_tuning_as_training_ended(stages: Path, tmp_path: Path) -> None:
    rbm, shots = tmp_path / "rbm.nc", stages / "shots.nc"
    option = ("--readout=0.05,0.1",)
    text_of(tiny.call("train", shots, *option, "--hidden=2", "--folds=3", "-o", rbm))
    command = ("prune", rbm, shots, *option, "--levels=1")
    outcome = tiny.call(*command, "--out", tmp_path / "a")
    ending = ", ended by cross-validation over 3 parts of the shots"
    assert text_of(outcome).splitlines()[1].endswith(ending)
    (note,) = notes(outcome)
    assert "as the training of the RBM did; --folds 0 takes all steps" in note
    level_file = tmp_path / "a" / "level-01.nc"
    assert pp.load_rbm(level_file).provenance["folds"] == 3
    rounds = ("--rounds=1", "--fine-tune.epochs=1", "--out", tmp_path / "e")
    plain_shots = tmp_path / "plain.txt"
    np.savetxt(plain_shots, pp.read_shots(shots).bits, fmt="%d")
    assert "it would fit the misread bits" in tiny.refusal(
        tiny.call("rewire", level_file, plain_shots, *rounds)
    )
    level, bare = pp.load_rbm(level_file), tmp_path / "bare.nc"
    replace(level, provenance={"folds": 3}).save(bare)
    (note,) = notes(tiny.call("rewire", bare, plain_shots, *rounds))
    assert "rewiring takes all steps of fine-tuning" in note
    again = ("prune", level_file, shots, *option, "--levels=1", "--fine-tune.epochs=1")
    (note,) = notes(tiny.call(*again, "--out", tmp_path / "f"))
    assert "takes all steps" in note
    assert "the RBM is pruned" in note
    line = tiny.refusal(tiny.call(*command, "--folds=0", "--out", tmp_path / "a"))
    assert "folds = " in line
    search = ("--until=log_likelihood_loss", "--limit=9", "--folds=2", "--out", tmp_path / "d")
    searched = tiny.call(*command, *search, "--json")
    assert json_of(searched)["folds"] == 2
    assert notes(searched) == []
    assert pp.load_rbm(tmp_path / "d" / "smallest.nc").provenance["folds"] == 2
