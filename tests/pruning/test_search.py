"""The search for the smallest RBM: thresholds known beforehand, limits, and taking it up again."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
from psiprune.core.exceptions import InputError
from psiprune.data.shots import Shots
from psiprune.experiments.path_settings import UntilSettings
from psiprune.experiments.search import run_until
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.metrics.against_state import evaluate
from psiprune.metrics.measure import Measure
from psiprune.metrics.reference import reference_of
from psiprune.metrics.selectors import SHOTS_METRICS, STATE_METRICS, shots_metric, state_metric
from psiprune.pruning.held_out import how_trained
from psiprune.pruning.iterative import prune
from psiprune.pruning.schedule import weights_kept
from psiprune.pruning.search import (
    Smallest,
    Trial,
    dense_limit,
    expected_trials,
    find_smallest,
)
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import load_rbm
from psiprune.reporting.metric_tables import smallest_numbers, smallest_text
from refusals import refuses
from spies import arguments_of

BITS = np.random.default_rng(0).integers(0, 2, (200, 6), dtype=np.uint8)
#: 24 weights; levels of 10 % keep 24, 22, 19, 17, 16, 14, 13, 11, 10, 9, 8, 8, 7, 6, 5, 5, ...
DENSE = initial_rbm(6, 4, seed=1)


def removed(rbm: RBM) -> float:
    return float(24 - rbm.number_of_weights)


def search(**arguments: Any) -> Smallest:
    defaults = {"measure": removed, "limit": 9.5, "fine_tune": None}
    return find_smallest(DENSE, BITS, **{**defaults, **arguments})


# --- the search ------------------------------------------------------------------------------


@pytest.mark.parametrize("least", range(24))
@pytest.mark.parametrize("criterion", ["magnitude", "random", "surgeon"])
def test_it_finds_the_threshold(criterion: Any, least: int) -> None:
    settings = PruneSettings(criterion=criterion, levels=100)
    found = search(limit=24 - least, settings=settings)
    assert found.rbm.number_of_weights == least
    assert found.value == found.limit == 24 - least
    assert found.fewer == (least - 1 if least > 0 else None)
    values = {trial.rbm.number_of_weights: trial.value for trial in found.trials}
    assert values[least] == found.value
    assert found.trials[0] == Trial("level-00", DENSE, 0.0)


def test_levels_are_those_of_a_path() -> None:
    tuning = pp.CD.for_fine_tuning(epochs=2, steps=1)
    found = search(fine_tune=tuning, bisect=False, seed=5)
    path = prune(DENSE, BITS, levels=5, seed=5, fine_tune=tuning)
    assert [trial.name for trial in found.trials] == [f"level-0{step}" for step in range(6)]
    for trial, level in zip(found.trials, path, strict=False):
        np.testing.assert_array_equal(trial.rbm.weights, level.rbm.weights)
    assert (found.rbm.number_of_weights, found.fewer) == (16, 14)


def test_trials_begin_with_the_last_rbm_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = arguments_of(monkeypatch, "psiprune.pruning.iterative.Pruner.pruned_level", "level")
    found = search(settings=PruneSettings(fraction=0.5, levels=9))
    assert [trial.rbm.number_of_weights for trial in found.trials] == [24, 12, 18, 15, 13, 14]
    by_name = {trial.name: trial.rbm for trial in found.trials}
    assert [start.rbm.number_of_weights for start in starts] == [24, 24, 18, 15, 15]
    assert found.rbm is by_name["trial-0015"]


def test_a_level_that_removes_nothing_is_left_out() -> None:
    """By rounding two steps may keep 8 weights; what was accepted must not be refused after all."""
    calls = iter(range(1000))

    def worse_each_time(_: RBM) -> float:
        return float(next(calls))

    found = search(measure=worse_each_time, limit=100.0)
    counts = [trial.rbm.number_of_weights for trial in found.trials]
    assert counts.pop() == 0  # the product model, which is tried where bisect is True
    assert counts == sorted({weights_kept(24, 0.1, step) for step in range(99)}, reverse=True)
    for limit in range(1, len(counts) - 1):
        calls = iter(range(1000))
        found = search(measure=worse_each_time, limit=float(limit), bisect=False)
        assert found.rbm.number_of_weights == counts[limit]
        assert found.fewer == counts[limit + 1]


def test_a_path_that_ends_before_it_hurts() -> None:
    found = search(settings=PruneSettings(levels=3))
    assert (found.rbm.number_of_weights, found.fewer) == (17, None)
    found = search(settings=PruneSettings(density=0.75))
    assert (found.rbm.number_of_weights, found.fewer) == (18, None)
    assert search(limit=24.0).rbm.number_of_weights == 0  # after more than 20 levels


def test_nan_is_beyond_the_limit() -> None:
    def measure(rbm: RBM) -> float:
        return 0.0 if rbm.number_of_weights > 20 else float("nan")

    found = search(measure=measure)
    assert (found.rbm.number_of_weights, found.fewer) == (21, 20)


def test_rewinding_in_a_search() -> None:
    early = initial_rbm(6, 4, seed=2)
    found = search(rewind=early, fine_tune=pp.CD.for_fine_tuning(epochs=0))
    assert found.rbm.number_of_weights == 15
    np.testing.assert_array_equal(found.rbm.weights, early.weights * found.rbm.mask)


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        ({"limit": -1.0}, "limit: must be at least the value of the unpruned RBM, 0, found -1"),
        (
            {"measure": lambda _: float("nan")},
            "limit: must be at least the value of the unpruned RBM, nan, found 9.5",
        ),
        ({"limit": float("nan")}, "limit: must be a number, found nan"),
        ({"seed": -1}, "seed: "),
        ({"rewind": initial_rbm(6, 4, seed=2)}, "rewind: "),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], begins: str) -> None:
    with pytest.raises(InputError) as caught:
        search(**arguments)
    assert str(caught.value).startswith(begins)


# --- the progress bar ------------------------------------------------------------------------


@pytest.mark.parametrize("known", ["nothing", "path", "trials"])
@pytest.mark.parametrize(
    ("limit", "bisect", "trained"),
    [
        (9.5, True, 5),  # 12 is refused; 18, 15, 13, 14
        (18.5, True, 5),  # 12, 6, 3; 4, 5
        (21, True, 4),  # 12, 6, 3, 2
        (9.5, False, 1),
    ],
)
def test_a_search_expects_as_many_epochs_as_it_takes(
    limit: float, bisect: bool, trained: int, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"settings": PruneSettings(fraction=0.5), "limit": limit}
    given |= {"bisect": bisect, "fine_tune": pp.CD(epochs=3, steps=1)}
    if known == "path":
        given["path"] = prune(DENSE, BITS, fraction=0.5, levels=2, fine_tune=None)
        trained -= 1 if limit < 12 else 2
    if known == "trials":
        trials = {trial.name: trial for trial in search(**given).trials}
        given["load_or_make"] = lambda name, _: trials[name]
        trained = 0
    expected = arguments_of(monkeypatch, "psiprune.pruning.search.expect", "change")
    trainings = arguments_of(monkeypatch, "psiprune.pruning.iterative.fit", "method")
    found = {trial.name: trial.rbm for trial in search(**given).trials}
    for level in given.get("path", []):
        assert found.get(f"level-0{level.step}", level.rbm) is level.rbm
    assert len(trainings) == trained
    assert sum(expected) == 3 * trained
    search(**given | {"fine_tune": None})
    assert sum(expected) == 3 * trained


@pytest.mark.parametrize(
    ("weights", "levels", "expected"),
    [
        (24, 20, [12, 6, 3, 2]),  # to a tenth
        (162, 20, [81, 40, 20, 10, *4 * [10]]),  # then 9 numbers lie between 20 and 10
        (162, 2, [81, 40, *6 * [40]]),
        (162, 1, [81, *7 * [81]]),
        (16, 20, [8, 4, 2, 2]),
        (4, 20, [2, 1]),
        (1, 20, []),
    ],
)
def test_the_trials_that_a_search_is_expected_to_make(
    weights: int, levels: int, expected: list[int]
) -> None:
    assert expected_trials(PruneSettings(fraction=0.5, levels=levels), weights) == expected


# --- the dense ensemble ----------------------------------------------------------------------


RECORD = {"seed": 4, "epochs": 3}
CD_RECORD = RECORD | pp.CD(epochs=3).model_dump()


@pytest.mark.parametrize(
    ("record", "method"),
    [
        (CD_RECORD | {"initial": "zero"}, pp.CD(epochs=3)),
        (RECORD | {"method": "auto"}, pp.ExactNaturalGradient(epochs=3)),
    ],
)
def test_an_ensemble_is_trained_as_its_rbm_was(record: dict[str, Any], method: Any) -> None:
    rbm = replace(DENSE, provenance=record)
    assert how_trained(rbm) == (4, method, record.get("initial"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"start": "00ff"}, "continued"),
        ({"method": "luck"}, "no complete record"),
        ({"method": "natural"}, "no complete record"),  # which has other fields
        ({"seed": "4"}, "no complete record"),
        ({"seed": -4}, "no complete record"),
        ({"epochs_done": None}, "no complete record"),
    ],
)
def test_no_ensemble_of_an_rbm_whose_training_is_unknown(change: dict[str, Any], why: str) -> None:
    with refuses("limit", why):
        how_trained(replace(DENSE, provenance=CD_RECORD | change))
    with refuses("limit", "pruned"):
        how_trained(replace(DENSE, provenance=CD_RECORD, mask=DENSE.weights != DENSE.weights[0, 0]))
    with refuses("others", 1, 0):
        dense_limit(replace(DENSE, provenance=CD_RECORD), BITS, measure=removed, others=0)
    with refuses("limit", 2, 1):
        record = CD_RECORD | {"folds": 2}
        dense_limit(replace(DENSE, provenance=record), BITS[:1], measure=removed)


# --- what can be measured --------------------------------------------------------------------


def test_measures_against_a_state() -> None:
    state = pp.ground_state(pp.TFIM(sites=6))
    reference = reference_of(state)
    report = evaluate(DENSE, reference, draws=500, seed=3)
    others = {"fidelity", "energy", "energy_variance"}  # not errors
    others |= {"entropy", "renyi2"}
    assert set(STATE_METRICS) == {name for name, _ in report} - others | {"infidelity"}
    for name in STATE_METRICS:
        found = state_metric(name, reference, draws=500, seed=3)(DENSE)
        if name == "infidelity":
            assert found.value == 1 - report.fidelity.value
            assert found.floor == pytest.approx(1 - report.fidelity.floor, nan_ok=True)
        else:
            wanted = vars(getattr(report, name))
            wanted["value"] = abs(wanted["value"])
            assert vars(found) == pytest.approx(wanted, nan_ok=True)
    with refuses("until", *STATE_METRICS, "'fidelity'"):
        state_metric("fidelity", reference, draws=500, seed=3)
    with refuses("rbm", 4, 6):
        state_metric("kl", reference, draws=500, seed=3)(initial_rbm(4, 2, 0))


def test_measures_against_shots() -> None:
    shots = Shots(BITS)
    roe = shots_metric("abs_magnetization_roe", DENSE, shots, draws=500, seed=3)(DENSE)
    expected = evaluate_on_shots(DENSE, shots, draws=500, seed=3).abs_magnetization_roe
    assert vars(roe) == vars(expected)
    with refuses("until", *SHOTS_METRICS, "--state", "'kl'"):
        shots_metric("kl", DENSE, shots, draws=500, seed=3)
    assert SHOTS_METRICS == ("abs_magnetization_roe", "log_likelihood_loss")


def test_a_loss_needs_as_many_shots_as_parameters() -> None:
    def warning(shots: int) -> str:
        gauge = shots_metric("log_likelihood_loss", DENSE, Shots(BITS[:shots]), draws=100, seed=0)
        return gauge(DENSE).warning

    for few in (1, 2, 33):
        with refuses("shots", "log_likelihood_loss", 34, few, "--state"):
            warning(few)
    for doubtful in (34, 135):
        assert {str(doubtful), "34", "136"} <= set(re.findall(r"\d+", warning(doubtful)))
    assert warning(136) == warning(200) == ""


def test_a_loss_of_noise_is_no_loss() -> None:
    """RBMs without three weights that the truth lacks, each fitted to shots as the dense one is.

    2 shots times the loss on these shots is then chi-squared with 3 degrees of freedom (Wilks), of
    variance 6; so its mean over 40 sets of shots is 3 within 4 sqrt(6 / 40), and that of the
    corrected loss 0.
    """
    weights = np.array([[3.0, -2.5, 0.0, 2.0, 0.0], [0.0, 2.5, 3.0, 2.0, -2.0]])
    biases = -weights.sum(axis=0) / 2, -weights.sum(axis=1) / 2
    truth = RBM(weights, *biases, weights != 0)
    means = []
    for seed in range(40):
        shots = Shots(truth.sample_exact(4000, seed=seed))
        whole = RBM(weights, *biases)
        dense, sparse = (
            pp.train(shots, start=start, method=pp.ExactNaturalGradient(epochs=100))
            for start in (whole, truth)
        )
        loss = shots_metric("log_likelihood_loss", dense, shots, draws=100, seed=0)(sparse)
        means.append(2 * 4000 * loss.value)
    assert abs(np.mean(means)) < 4 * np.sqrt(6 / 40)
    assert abs(np.mean(means) + 3) > 4 * np.sqrt(6 / 40)  # which the plain loss would not meet


# --- on disk and in words --------------------------------------------------------------------


def run(folder: Path, until: UntilSettings, calls: list[str]) -> tuple[Smallest, Measure]:
    def gauge(rbm: RBM) -> Measure:
        calls.append("measured")
        return Measure(removed(rbm) / 100, 0.005, 0.001, "counting", "", 7.0)

    return run_until(
        folder,
        pp.train(BITS, start=DENSE, method=pp.CD(epochs=1)),
        Shots(BITS),
        gauge,
        until,
        PruneSettings(criterion="surgeon", fraction=0.3),
        pp.CD.for_fine_tuning(epochs=1),
        3,
        lambda _: calls.append("epoch"),
    )


def test_a_second_start_takes_up_the_search(tmp_path: Path) -> None:
    until, calls = UntilSettings(measure="loss", limit=0.1), list[str]()
    found, best = run(tmp_path, until, calls)
    assert (found.rbm.number_of_weights, found.fewer, best.value) == (14, 13, 0.1)
    # Levels of 24, 17, 12; then between 17 and 12.
    names = ["level-00", "level-01", "level-02", "trial-0014", "trial-0013"]
    assert [trial.name for trial in found.trials] == names
    assert {file.stem for file in tmp_path.iterdir()} == {*names, "smallest"}
    assert calls.count("epoch") == 4
    assert calls.count("measured") == 6
    saved = load_rbm(tmp_path / "smallest.nc")
    np.testing.assert_array_equal(saved.weights, found.rbm.weights)
    (tmp_path / "trial-0014.nc").unlink()
    calls.clear()
    again, _ = run(tmp_path, until, calls)
    assert calls == ["epoch", "measured", "measured"]
    for one, other in zip(found.trials, again.trials, strict=True):
        np.testing.assert_array_equal(one.rbm.weights, other.rbm.weights)
        assert one.value == other.value


def test_the_ensemble_is_kept_too(tmp_path: Path) -> None:
    until, calls = UntilSettings(measure="loss", others=2, bisect=False), list[str]()
    found, _ = run(tmp_path, until, calls)
    assert (found.limit, found.rbm.number_of_weights, found.fewer) == (0, 24, 17)
    names = {"level-00", "level-01", "other-1", "other-2", "smallest"}
    assert {file.stem for file in tmp_path.iterdir()} == names


def test_a_file_of_another_measure_is_named(tmp_path: Path) -> None:
    DENSE.save(tmp_path / "level-00.nc")
    with refuses(tmp_path / "level-00.nc", "no loss", "delete it"):
        run(tmp_path, UntilSettings(measure="loss", limit=0.1), [])


def test_in_words(tmp_path: Path) -> None:
    found, best = run(tmp_path, UntilSettings(measure="loss", limit=0.1), [])
    sentence = " ".join(smallest_text(found, "loss", best).split())
    for fact in ("14 of 24 weights", "58.3%", "loss at 0.1 (error 0.005)", "with 13 it is 0.11"):
        assert fact in sentence
    whole = Smallest(found.rbm, 0.1, 0.1, None, found.trials)
    warned = Measure(0.1, 0.0, 0.0, "sum", "is odd")
    text = smallest_text(whole, "loss", warned)
    assert "(exact)" in text
    assert text.splitlines()[-1] == "warning: loss: is odd"
    numbers = smallest_numbers(found, "loss", best)
    assert (numbers["weights"], numbers["fewer"], numbers["error"]) == (14, 13, 0.005)
    assert numbers["trials"][0] == {"name": "level-00", "weights": 24, "value": 0.0}


def test_an_error_beyond_the_limit_is_told(tmp_path: Path) -> None:
    found, _ = run(tmp_path, UntilSettings(measure="loss", limit=0.1), [])
    unsure = Measure(0.07, 0.19, 0.0, "shots")
    more = smallest_numbers(found, "loss", unsure, 200)["warning"]
    for fact in ("error of 0.19", "limit of 0.1", "200 shots", "about 730 shots"):
        assert fact in more  # 200 * 1.9^2 = 722
    _, _, warning = smallest_text(found, "loss", unsure, 200).partition("\nwarning: loss: ")
    assert " ".join(warning.split()) == more
    both = Measure(0.07, 0.19, 0.0, "shots", "is odd")
    assert smallest_numbers(found, "loss", both, 200)["warning"] == f"is odd; {more}"
    by_draws = smallest_numbers(found, "loss", unsure)["warning"]
    assert "these draws" in by_draws
    assert "shots" not in by_draws
    assert smallest_numbers(found, "loss", Measure(0.07, 0.1, 0.0, "shots"), 200)["warning"] == ""
