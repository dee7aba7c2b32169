"""Pruning of both networks of a state with phases: which weights go, and what is left."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import psiprune as pp
from machines import random_phase_rbm
from psiprune.core.exceptions import TrainingWarning
from psiprune.inference import normalisation
from psiprune.inference.phase_fisher import classical_fisher
from psiprune.pruning.phase_search import find_smallest_phases
from psiprune.pruning.phases import (
    DECAYS,
    PhaseCriterion,
    of_fresh_shots,
    prune_phases,
    pruned_candidates,
)
from psiprune.pruning.settings import SearchSettings
from psiprune.rbm.phase_likelihood import (
    BasisFrequencies,
    basis_frequencies,
    log_likelihood,
    to_parameters,
)
from psiprune.training import phase_data
from psiprune.training.natural_phase import fit_phases

CRITERIA: tuple[PhaseCriterion, ...] = ("surgeon", "damage", "magnitude")
BASES = ("ZZZ", "XZY", "YXZ", "ZYX", "XXX", "YYZ")


def shots_of(state: pp.PhaseRBM, each: int) -> pp.Shots:
    bits = [state.sample(each, basis, seed=k) for k, basis in enumerate(BASES)]
    names = [basis for basis in BASES for _ in range(each)]
    return pp.Shots(np.concatenate(bits), pp.PauliBases.of_shots(names))


def weights_of(rbm: pp.PhaseRBM) -> np.ndarray[Any, Any]:
    return np.concatenate([rbm.amplitude.weights.ravel(), rbm.phase.weights.ravel()])


def test_magnitude_takes_the_smallest_of_both_networks() -> None:
    rbm = random_phase_rbm(3, 3, 4)
    data = basis_frequencies(shots_of(rbm, 10).by_basis())
    [pruned] = pruned_candidates(rbm, 9, data, "magnitude")
    kept = np.sort(np.abs(weights_of(rbm)))[-9:]
    np.testing.assert_array_equal(np.sort(np.abs(weights_of(pruned)))[-9:], kept)
    assert pruned.number_of_weights == 9
    assert 0 < pruned.amplitude.number_of_weights < 9
    assert pruned_candidates(rbm, 21, data, "magnitude") == [rbm]


def test_damage_takes_those_of_least_curvature() -> None:
    rbm = random_phase_rbm(3, 3, 4)
    data = basis_frequencies(shots_of(rbm, 10).by_basis())
    [pruned] = pruned_candidates(rbm, 20, data, "damage")
    fisher = classical_fisher(rbm, data.bases, np.full(6, 1 / 6))
    cost = to_parameters(rbm) ** 2 * fisher.diagonal()
    first = rbm.amplitude.number_of_parameters
    least = np.argmin(np.r_[cost[:9], cost[first : first + 12]])
    assert np.flatnonzero(weights_of(pruned) == 0) == [least]


def test_surgery_costs_no_more_than_any_other_way() -> None:
    target = random_phase_rbm(3, 3, 3)
    shots = shots_of(target, 2000)
    data = basis_frequencies(shots.by_basis())
    trained = pp.train_phases(shots, hidden=3, phase_hidden=3, starts=1)
    candidates = pruned_candidates(trained, 12, data, "surgeon")
    assert {each.number_of_weights for each in candidates} == {12}
    masks = {(each.amplitude.mask.tobytes(), each.phase.mask.tobytes()) for each in candidates}
    assert len(masks) == len(candidates)
    values = [log_likelihood(each, data)[0] for each in candidates]
    [damage] = pruned_candidates(trained, 12, data, "damage")
    # Surgery by F of these shots adjusts the rest: to second order that is the best there is.
    assert values[0] > log_likelihood(damage, data)[0] + 1e-4
    levels = [
        prune_phases(trained, shots, criterion=name, fraction=1 / 3, levels=1, fine_tune=3)[1]
        for name in CRITERIA
    ]
    assert levels[0].log_likelihood == max(level.log_likelihood for level in levels)


def test_a_path_keeps_the_counts_of_one_budget() -> None:
    target = random_phase_rbm(3, 2, 2)
    shots = shots_of(target, 200)
    path = prune_phases(target, shots, density=0.5, fine_tune=5, weight_decay=1e-4, progress=False)
    counts = [level.rbm.number_of_weights for level in path]
    assert counts == [12, 11, 10, 9, 8, 7, 6, 6][: len(counts)]
    assert counts[-1] == 6
    assert path[0].rbm is target
    for before, after in pairwise(path):
        for name in ("amplitude", "phase"):
            masks = (getattr(level.rbm, name).mask for level in (before, after))
            assert not (~next(masks) & next(masks)).any()
    last = path[-1]
    value, _ = log_likelihood(last.rbm, basis_frequencies(shots.by_basis()))
    assert last.log_likelihood == pytest.approx(value, rel=1e-12)
    assert last.rbm.provenance["pruning_steps"] == last.step
    assert last.fraction_pruned == 0.5
    both = f"{last.rbm.amplitude.number_of_weights} + {last.rbm.phase.number_of_weights} weights"
    assert both in repr(last)


def test_the_path_kept_ends_with_the_best_estimate_for_fresh_shots() -> None:
    target = random_phase_rbm(3, 2, 2, scale=2.0)
    shots = shots_of(target, 100)
    data = basis_frequencies(shots.by_basis())
    trained = pp.train_phases(shots, hidden=3, phase_hidden=3, starts=1)
    how: dict[str, Any] = {"criterion": "magnitude", "levels": 2, "fine_tune": 10}
    estimates = {}
    for decay in DECAYS:
        path = prune_phases(trained, shots, weight_decay=decay, **how)
        rbm = path[-1].rbm
        assert {level.rbm.provenance["fine_tuning_decay"] for level in path[1:]} == {decay}
        fisher = classical_fisher(rbm, data.bases, np.full(6, 1 / 6))
        penalty = np.concatenate(
            [
                np.repeat((decay, 0.0), (each.number_of_weights, each.visible + each.hidden))
                for each in (rbm.amplitude, rbm.phase)
            ]
        )
        # The trace of F (F + D)^-1 by the eigenvalues of a symmetric matrix.
        size, root = np.linalg.eigh(fisher + np.diag(penalty))
        kept = size > 1e-9
        determined = np.sum(((root.T @ fisher @ root).diagonal() / size)[kept])
        estimates[decay] = log_likelihood(rbm, data)[0] - determined / len(shots)
        assert of_fresh_shots(rbm, data) == pytest.approx(estimates[decay], abs=1e-3)
    chosen = prune_phases(trained, shots, **how)
    best = max(estimates, key=lambda decay: estimates[decay])
    assert {level.rbm.provenance["fine_tuning_decay"] for level in chosen[1:]} == {best}
    bare = prune_phases(trained, shots, criterion="magnitude", levels=2, fine_tune=0)[-1].rbm
    assert bare.number_of_weights == chosen[-1].rbm.number_of_weights


@pytest.mark.slow
def test_the_estimate_is_the_log_likelihood_of_fresh_shots() -> None:
    """Of 40 fits to 600 shots on average, relative to the true state, within 3 standard errors.

    That of the training shots themselves is not.
    """
    target = random_phase_rbm(3, 2, 2)
    gaps = []
    for seed in range(40):
        shots = _drawn(target, 100, seed)
        rbm = fit_phases(target, shots, 30).rbm
        gain = sum(
            target.probabilities(basis)
            @ np.log(rbm.probabilities(basis) / target.probabilities(basis))
            for basis in BASES
        ) / len(BASES)
        on_shots = log_likelihood(target, shots)[0]
        estimates = of_fresh_shots(rbm, shots), log_likelihood(rbm, shots)[0]
        gaps.append([each - on_shots - float(gain) for each in estimates])
    means, errors = np.mean(gaps, axis=0), np.std(gaps, axis=0) / 40**0.5
    assert abs(means[0]) < 3 * errors[0]
    assert means[1] > 3 * errors[1]


def _drawn(state: pp.PhaseRBM, each: int, seed: int) -> BasisFrequencies:
    return basis_frequencies(
        {basis: state.sample(each, basis, seed=6 * seed + k) for k, basis in enumerate(BASES)}
    )


def test_a_search_bisects_between_the_last_accepted_and_the_first_refused() -> None:
    tried: list[str] = []

    def prune(name: str, rbm: pp.PhaseRBM, count: int) -> pp.PhaseRBM:
        tried.append(name)
        mask = np.arange(rbm.amplitude.mask.size) < count
        return rbm.with_masks(mask.reshape(rbm.amplitude.mask.shape), rbm.phase.mask)

    start = random_phase_rbm(5, 8, 1)
    dense = start.with_masks(start.amplitude.mask, np.zeros((1, 5), bool))
    halves = SearchSettings(fraction=0.5)

    def search(least: int) -> tuple[int, int | None]:
        tried.clear()
        good, fewer, trials = find_smallest_phases(
            dense, halves, prune, lambda rbm: rbm.number_of_weights >= least
        )
        assert [trial.name for trial in trials[1:]] == tried
        return good.number_of_weights, fewer

    assert search(13) == (13, 12)
    assert tried == ["level-01", "level-02", "trial-0015", "trial-0012", "trial-0013"]
    assert search(40) == (40, 39)
    assert search(0) == (0, None)
    assert tried[-1] == "trial-0000"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"criterion": "random"}, "must be magnitude, damage or surgeon, found 'random'"),
        ({"fine_tune": -1}, "fine_tune: must be an integer of at least 0"),
        ({"fraction": 1.0}, "fraction"),
        ({"rbm": random_phase_rbm(4, 2, 2)}, "has 3 sites, but the state has 4"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], message: str) -> None:
    rbm = random_phase_rbm(3, 2, 2)
    given: dict[str, Any] = {"rbm": rbm, "shots": shots_of(rbm, 5), **change}
    with pytest.raises(pp.InputError, match=message):
        prune_phases(**given)


@pytest.mark.slow
@pytest.mark.parametrize("summed", [20, 0])  # log Z by sums, and by chains
def test_above_sixteen_sites_pruning_ends_like_by_sums_over_all_states(
    summed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalisation, "SUMMED_UNITS", summed)
    state = pp.quench(pp.TFIM(sites=5, field=1.0), 0.5, progress=False)
    shots = pp.sample(state, 20_000, seed=1, bases="nearest-pairs", progress=False)
    rbm = pp.train_phases(shots, hidden=5, phase_hidden=5, starts=2, seed=1, progress=False)
    assert rbm.fidelity(state) > 0.99

    def end(criterion: PhaseCriterion, fine_tune: int = 30) -> float:
        path = prune_phases(
            rbm,
            shots,
            criterion=criterion,
            density=0.4,
            fine_tune=fine_tune,
            weight_decay=1e-5,
            progress=False,
        )
        assert path[-1].rbm.number_of_weights == 20
        return path[-1].rbm.fidelity(state)

    exact = end("surgeon")
    monkeypatch.setattr(phase_data, "PHASE_SITES", 2)
    assert exact > 0.99
    assert end("surgeon") > exact - 0.005
    assert end("magnitude", fine_tune=0) < exact - 0.02


def test_other_readout_errors_than_those_of_the_training_are_warned_of() -> None:
    rbm, shots = random_phase_rbm(3, 2, 2), shots_of(random_phase_rbm(3, 2, 2), 10)
    error = pp.read_readout("0.03,0.08", sites=3)
    through = replace(rbm, provenance={"readout": str(error), "readout_sha256": error.digest})
    with pytest.warns(TrainingWarning, match="trained through readout errors"):
        prune_phases(through, shots, levels=1, fine_tune=0, progress=False)
    prune_phases(through, replace(shots, readout=error), levels=1, fine_tune=0, progress=False)
