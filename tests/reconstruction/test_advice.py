"""Every command that a reconstruction suggests is run, and helps, on a case where it is printed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from outcomes import text_of
from psiprune.reconstruction.advice import next_steps
from psiprune.reconstruction.checks import RATES
from records import Bits, independent, sticky

pytestmark = pytest.mark.usefixtures("undrawn")

QUICK: dict[str, Any] = {"seeds": 2, "draws": 2000}


def ghz(sites: int, shots: int, seed: int) -> pp.Shots:
    bits = np.random.default_rng(seed).integers(0, 2, (shots, 1), dtype=np.uint8)
    return pp.Shots(np.repeat(bits, sites, axis=1))


def w_state(sites: int, shots: int, seed: int) -> pp.Shots:
    one = np.random.default_rng(seed).integers(0, sites, shots)
    return pp.Shots((np.arange(sites) == one[:, None]).astype(np.uint8))


def ising(sites: int, shots: int, seed: int) -> pp.Shots:
    return pp.sample(pp.ground_state(pp.TFIM(sites=sites)), shots=shots, seed=seed)


def saved(shots: pp.Shots, folder: Path) -> Path:
    """Write shots to shots.nc."""
    shots.save(folder / "shots.nc")
    return folder / "shots.nc"


def asked(shots: Path, **settings: Any) -> pp.Reconstruction:
    """Reconstruct shots of a file, in a folder beside it."""
    return pp.reconstruct(pp.read_shots(shots), shots.parent / "run", **{**QUICK, **settings})


def words(made: pp.Reconstruction, **places: Path) -> list[str]:
    """Return the one command that is suggested, its placeholders replaced."""
    (step,) = made.summary.steps
    found = shlex.split(
        str(made)[str(made).index("next ") :].partition(":\n")[2].replace("\\\n", "")
    )
    assert found == shlex.split(step.command)
    assert found.pop(0) == "psiprune"
    return [str(places.get(word, word)) for word in found]


def follow(made: pp.Reconstruction, folder: Path, **places: Path) -> pp.Reconstruction:
    """Run what is suggested."""
    text_of(tiny.call(*words(made, **places), "--out", folder))
    found = pp.load_reconstruction(folder)
    assert isinstance(found, pp.Reconstruction)
    return found


@pytest.mark.slow
def test_more_hidden_units(tmp_path: Path) -> None:
    made = asked(saved(w_state(4, 1500, 1), tmp_path), hidden=(1,))
    assert made.verdict == "not trusted"
    assert "not pruning" in str(made)
    (step,) = made.summary.steps
    assert "among 1, 2 and 4 hidden units" in step.reason
    # The likelihood is relative to the dense RBM, which is no better.
    assert made.checks[0].loss < 0.05
    assert "by the check of configurations" in made.summary.loss.text
    assert "--hidden" not in step.command
    assert follow(made, tmp_path / "again").verdict == "trusted"


@pytest.mark.slow
def test_the_exact_method(tmp_path: Path) -> None:
    cd: Any = {"method": "cd", "epochs": 1, "learning_rate": 0.01}
    tuning: Any = {"method": "cd", "epochs": 1}
    made = asked(saved(ghz(4, 1500, 2), tmp_path), hidden=(2,), train=cd, fine_tune=tuning)
    assert made.verdict == "not trusted"
    assert "not pruning" in str(made)
    assert "exact" in made.summary.steps[0].reason
    assert "--train" not in made.summary.steps[0].command
    again = follow(made, tmp_path / "again")
    assert again.verdict == "trusted"
    # What comes next is a test on new shots, of which half have every bit 1.
    ghz(4, 1000, 6).save(tmp_path / "new.nc")
    out = text_of(tiny.call(*words(again, NEW_SHOTS=tmp_path / "new.nc"), "--json"))
    likelihood = json.loads(out)["log_likelihood"]["value"]
    assert likelihood == pytest.approx(-np.log(2), abs=0.02)


def test_pruning_by_likelihood(tmp_path: Path) -> None:
    made = asked(saved(ghz(4, 1500, 2), tmp_path), measure="magnetization")
    assert made.verdict == "not trusted"
    assert "cause       pruning" in str(made)
    again = follow(made, tmp_path / "again")
    assert again.verdict == "trusted"
    assert again.rbm.number_of_weights <= 8


@pytest.mark.slow
def test_fewer_hidden_units(tmp_path: Path) -> None:
    """200 shots are too few for 12 hidden units; for fewer, they at least do not contradict."""
    made = asked(saved(ising(5, 200, 1), tmp_path), hidden=(12,))
    assert made.verdict == "not trusted"
    assert "among 1, 2 and 5 hidden units" in made.summary.steps[0].reason
    assert follow(made, tmp_path / "again").verdict == "undecided"


@pytest.mark.slow
def test_more_training_shots(tmp_path: Path) -> None:
    made = asked(saved(ising(10, 150, 1), tmp_path), hidden=(1, 2, 5))
    assert made.verdict != "trusted"  # which of the other two depends on the draws
    needed = int(made.summary.steps[0].reason.split()[2].replace(",", ""))
    ising(10, needed, 2).save(tmp_path / "more.nc")
    again = follow(made, tmp_path / "again", MORE_SHOTS=tmp_path / "more.nc")
    assert again.verdict == "trusted"


#: Records that are sound in part.
RECORDS: dict[str, Callable[[np.random.Generator], Bits]] = {
    "twice": lambda rng: np.repeat(independent("product", 3, 800, rng), 2, axis=0),
    "sticky": lambda rng: sticky(independent("product", 3, 9000, rng), 0.3, rng),
    "drift": lambda rng: np.concatenate([independent(x, 3, 800, rng) for x in ("product", "w")]),
}


@pytest.mark.parametrize(
    "record",
    ["twice", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sticky", "drift"))],
)
def test_the_sound_part_of_a_record(
    record: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shots = pp.Shots(RECORDS[record](np.random.default_rng(1)))
    np.savetxt("record.txt", shots.bits, fmt="%d")
    options = ("--seeds", 2, "--draws", 2000, "--hidden", 1)
    outcome = tiny.call("reconstruct", "record.txt", "--format", "text", *options, "--json")
    printed = json.loads(outcome.out)
    assert printed["verdict"] == "not trusted"
    for step in printed["next"]:
        out = text_of(tiny.call(*shlex.split(step["command"])[1:], "--json"))
    assert json.loads(out)["verdict"] == "trusted"


def test_rates_that_the_shots_exclude(tmp_path: Path) -> None:
    """No warning at the side: the verdict itself rests on the rates."""
    ones = np.random.default_rng(1).random((2000, 3)) < [0.5, 0.01, 0.5]
    shots = pp.Shots(ones.astype(np.uint8), readout=pp.ReadoutError.from_rates(0.03, sites=3))
    made = asked(saved(shots, tmp_path), hidden=(1,))
    assert made.verdict == "not trusted"
    (check,) = (each for each in made.checks if each.name == RATES)
    assert check.found.startswith("site 1: a share of ")
    assert made.summary.steps[0].command.startswith("psiprune calibrate all0=ZEROS all1=ONES")


@pytest.mark.slow
def test_more_shots(tmp_path: Path) -> None:
    made = asked(saved(w_state(4, 200, 3), tmp_path), hidden=(2, 4))
    assert made.verdict == "undecided"
    needed = int(made.summary.steps[0].reason.split()[2].replace(",", ""))
    assert needed >= 400
    assert f"about {needed:,} shots would decide" in str(made)
    w_state(4, needed, 4).save(tmp_path / "more.nc")
    again = follow(made, tmp_path / "again", MORE_SHOTS=tmp_path / "more.nc")
    assert again.verdict == "trusted"


def test_python_calls_for_shots_that_are_not_in_a_file() -> None:
    shots = w_state(4, 1000, 1)
    made = pp.reconstruct(shots, hidden=(1,), **QUICK)
    (step,) = made.summary.steps
    named = SimpleNamespace(reconstruct=lambda *given, **settings: (given, settings))
    assert eval(step.command, {"psiprune": named, "shots": shots}) == ((shots,), QUICK)
    passed = [each._replace(answer="pass") for each in made.checks]
    (step,) = next_steps(passed, made.request)
    report = eval(step.command, {"psiprune": pp, "result": made, "new_shots": shots})
    assert report.log_likelihood.value == pytest.approx(made.rbm.log_prob(shots).mean())
    (check,) = [each for each in made.checks if each.name == "independent shots"]
    failed = check._replace(answer="fail", rows="::2", remedy="keep each once")
    (step,) = next_steps([failed], made.request)
    named = SimpleNamespace(reconstruct=lambda given, **_: given)
    kept = eval(step.command, {"psiprune": named, "shots": shots.bits})
    np.testing.assert_array_equal(kept, shots.bits[::2])
