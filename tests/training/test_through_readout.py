"""Training on records with readout errors: steps against formulas, fits against exact states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
from confusions import flips_together, with_rates_times
from machines import random_rbm
from psiprune.core.random import Stream, derive_seed
from psiprune.inference.fisher import fisher_matrix
from psiprune.inference.observed_fisher import records_fisher
from psiprune.io import checkpoint
from psiprune.io.checkpoint import Checkpoints
from psiprune.kernels import layout
from psiprune.rbm.likelihood import Moments, flatten, to_vector
from psiprune.rbm.observed import observe, records_of
from psiprune.rbm.posterior import TRUE_STEPS, TrueBits
from psiprune.training import natural_metric
from psiprune.training.estimate import Size, _steps
from psiprune.training.method import Method
from psiprune.training.methods import MethodBySize
from psiprune.training.natural_gradient import mean_scores
from psiprune.training.natural_metric import REPEATS
from psiprune.training.train import fit

ERROR = pp.ReadoutError.from_rates([0.02, 0.2, 0.1, 0.05], [0.1, 0.3, 0.02, 0.2])
PAIRS = flips_together([(0, 3), (1, 2)], 0.15, 1e-3)
#: Whether F is formed.
both_ways = pytest.mark.parametrize("most", [1000, 0], ids=["formed", "not formed"])
METHODS: tuple[Method, ...] = (
    pp.ExactNaturalGradient(epochs=6),
    pp.NaturalGradient(epochs=6, chains=500),
    pp.CD(epochs=6),
    pp.PCD(epochs=6),
)


def records(shots: int = 300, error: pp.ReadoutError = ERROR) -> pp.Shots:
    bits = np.random.default_rng(0).integers(0, 2, (shots, 4), dtype=np.uint8)
    return pp.Shots(bits, readout=error)


def noisy_chain(seed: int, sites: int = 8, shots: int = 20_000) -> tuple[pp.MPS, pp.Shots]:
    """Shots of the critical Ising chain, 3 % of whose bits are misread."""
    state = pp.ground_state(pp.TFIM(sites=sites, field=1.0))
    error = pp.ReadoutError.from_rates(0.02, 0.04, sites=sites)
    return state, pp.sample(state, shots, seed=seed).with_readout_error(error, seed)


def test_exact_steps_follow_the_gradient_of_the_likelihood_of_records() -> None:
    # With much damping a step is the gradient over lambda.
    rbm, shots, method = random_rbm(4, 3), records(), pp.ExactNaturalGradient(weight_decay=0.01)
    state = replace(method.init(rbm, shots, 0), damping=1e5)
    found = observe(rbm, records_of(shots))
    slope = flatten(rbm.mask, found.gradient)
    slope[: rbm.number_of_weights] -= 0.01 * to_vector(rbm)[: rbm.number_of_weights]
    after, info = method.step(state)
    assert info.accepted
    np.testing.assert_allclose(
        to_vector(after.rbm) - to_vector(rbm), slope / 1e5, atol=1e-4 * np.abs(slope).max() / 1e5
    )


def test_the_fisher_matrix_is_that_of_the_current_posterior() -> None:
    rbm, shots, method = random_rbm(4, 3), records(), pp.ExactNaturalGradient()
    after = method.step(method.init(rbm, shots, 0))[0]
    posterior = observe(after.rbm, records_of(shots)).posterior
    assert after.true is not None
    np.testing.assert_allclose(after.true.weight, posterior.weight, atol=1e-12)
    assert after.slope is not None
    x, slope = to_vector(after.rbm), after.slope
    fisher = fisher_matrix(after.rbm, posterior)
    decay = np.where(np.arange(len(x)) < rbm.number_of_weights, method.weight_decay, 0.0)
    damped = fisher + np.diag(decay + after.damping)
    again, info = method.step(after)
    assert info.accepted
    np.testing.assert_allclose(to_vector(again.rbm), x + np.linalg.solve(damped, slope), atol=1e-8)


@pytest.mark.parametrize("error", [ERROR, PAIRS], ids=["independent", "pairs"])
@pytest.mark.parametrize(("chains", "parts"), [(500, 1), (50, 3)])
@both_ways
def test_natural_steps_average_over_true_bits(
    monkeypatch: pytest.MonkeyPatch, error: pp.ReadoutError, chains: int, parts: int, most: int
) -> None:
    monkeypatch.setattr(natural_metric, "_SQUARED_PARAMETERS", most)
    monkeypatch.setattr(natural_metric, "RECORDS", 90)
    rbm, shots = random_rbm(4, 3), records(error=error)
    method = pp.NaturalGradient(chains=chains, epochs=2, steps=1)
    state, plain = method.init(rbm, shots, 5), method.init(rbm, replace(shots, readout=None), 5)
    part = slice(0, None, parts)
    moved = TrueBits(shots.bits[part], error, shots.bits[part]).advanced(
        rbm.compiled, TRUE_STEPS, 5
    )
    found, info = method.step(state)
    assert found.true is not None
    np.testing.assert_array_equal(found.true.bits[part], moved.bits)
    others = np.arange(len(shots)) % parts > 0
    np.testing.assert_array_equal(found.true.bits[others], shots.bits[others])
    assert found.true.steps == TRUE_STEPS
    assert found.fisher is not None
    scores = zip(*mean_scores(rbm, [moved.bits], [found.chains]), strict=True)
    slope = flatten(rbm.mask, Moments(*(a - b for a, b in scores)))
    some = moved.evenly(90)
    fisher = records_fisher(rbm, some, REPEATS, derive_seed(5, Stream.RECORDS_FISHER, 0))
    fisher += found.fisher.damping * np.eye(len(slope))
    step = info.learning_rate * info.shortened * np.linalg.solve(fisher, slope)
    np.testing.assert_allclose(to_vector(found.rbm) - to_vector(rbm), step, rtol=1e-3, atol=1e-5)
    assert (to_vector(method.step(plain)[0].rbm) != to_vector(found.rbm)).any()
    again, _ = method.step(found)  # the next part
    assert again.true is not None
    changed = np.flatnonzero((again.true.bits != found.true.bits).any(axis=1))
    assert len(changed)
    assert set(changed % parts) == {1 % parts}


def test_true_bits_are_those_of_the_posterior() -> None:
    rbm, shots = random_rbm(4, 3), records()
    # The mean score of the true bits is that of the exact posterior, within 5 standard errors.
    of_records = observe(rbm, records_of(shots)).posterior
    tiled = np.tile(shots.bits, (200, 1))
    many = TrueBits(tiled, ERROR, tiled)
    bits = many.advanced(rbm.compiled, 40, 1).bits
    found_mean = mean_scores(rbm, [bits])[0].visible
    exact_mean = of_records.bits @ of_records.weight
    assert np.abs(found_mean - exact_mean).max() < 5 * 0.5 / np.sqrt(len(bits))


@pytest.mark.parametrize("kind", [pp.CD, pp.PCD])
def test_contrastive_epochs_use_true_bits(kind: Any) -> None:
    rbm, shots, method = random_rbm(4, 3), records(), kind(epochs=2)
    state, plain = method.init(rbm, shots, 5), method.init(rbm, replace(shots, readout=None), 5)
    true = TrueBits(shots.bits, ERROR, shots.bits).advanced(rbm.compiled, TRUE_STEPS, 5)
    imputed = replace(plain, data=layout.pack(true.bits))
    found, wanted = (method.step(each)[0] for each in (state, imputed))
    np.testing.assert_array_equal(found.params.weights, wanted.params.weights)
    np.testing.assert_array_equal(found.data, imputed.data)
    again = method.step(found)[0]
    assert again.true.steps == 2 * TRUE_STEPS
    assert (again.true.bits != true.bits).any()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.method)
def test_a_stopped_training_resumes_to_the_same_bits(
    method: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LEAST", 0.0)
    start, shots = random_rbm(4, 3), records()
    whole = fit(start, shots, method, 3)

    def stop(state: Any) -> None:
        if state.epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Checkpoints(tmp_path / "rbm.nc") as checkpoints:
        fit(start, shots, method, 3, stop, checkpoints)
    with Checkpoints(tmp_path / "rbm.nc") as checkpoints:
        resumed = fit(start, shots, method, 3, checkpoints=checkpoints)
    np.testing.assert_array_equal(to_vector(resumed), to_vector(whole))


@both_ways
def test_natural_gradient_resumes_after_any_step(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(natural_metric, "_SQUARED_PARAMETERS", most)
    monkeypatch.setattr(natural_metric, "RECORDS", 90)
    method = pp.NaturalGradient(epochs=6, chains=50)  # three parts
    start = method.init(random_rbm(4, 3), records(), 3)
    state, ages = start, []
    for _ in range(6):
        restored = start.restore(state.epoch, state.to_arrays())
        state, info = method.step(state)
        again, _ = method.step(restored)
        ages.append(info.fisher_age)
        np.testing.assert_array_equal(to_vector(again.rbm), to_vector(state.rbm))
    assert max(ages) > 1


def test_a_training_without_errors_does_not_resume_one_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LEAST", 0.0)

    def stop(state: Any) -> None:
        if state.epoch == 2:
            raise KeyboardInterrupt

    shots, method = records(), pp.CD(epochs=3)
    with pytest.raises(KeyboardInterrupt), Checkpoints(tmp_path / "rbm.nc") as checkpoints:
        fit(random_rbm(4, 3), shots, method, 3, stop, checkpoints)
    for other in (None, with_rates_times(0.5, ERROR)):
        data = replace(shots, readout=other)
        with (
            pytest.raises(
                pp.InputError,
                match=r"other readout errors: [0-9a-f]{12}\.\.\., now",
            ),
            Checkpoints(tmp_path / "rbm.nc") as checkpoints,
        ):
            fit(random_rbm(4, 3), data, method, 3, checkpoints=checkpoints)


def test_the_fisher_matrix_has_chains_of_its_own() -> None:
    shots, method = records(), pp.NaturalGradient(chains=500, epochs=2)
    state = method.step(method.init(random_rbm(4, 3), shots, 5))[0]
    assert state.true is not None
    seed = derive_seed(5, Stream.RECORDS_FISHER, 0)
    one, other = (state.true.advanced(state.rbm.compiled, TRUE_STEPS, s).bits for s in (5, seed))
    assert (one != other).mean() > 0.02


@pytest.mark.parametrize("error", [ERROR, None])
@pytest.mark.parametrize("before", [ERROR, None])
def test_pruning_true_bits_on_plain_shots_is_warned_of(
    before: pp.ReadoutError | None,
    error: pp.ReadoutError | None,
    recwarn: pytest.WarningsRecorder,
) -> None:
    rbm = fit(random_rbm(4, 3), replace(records(), readout=before), pp.CD(epochs=0), 0)
    pp.prune(rbm, replace(records(), readout=error), levels=1, fine_tune=None)
    found = [str(each.message) for each in recwarn if each.category is pp.TrainingWarning]
    assert len(found) == (before is not None and error is None)
    assert all("was trained through readout errors" in message for message in found)


def test_a_probe_takes_steps_on_records(monkeypatch: pytest.MonkeyPatch) -> None:
    init, seen = pp.CD.init, list[pp.Shots]()

    def noted(self: pp.CD, rbm: pp.RBM, shots: pp.Shots, seed: int) -> Any:
        seen.append(shots)
        return init(self, rbm, shots, seed)

    monkeypatch.setattr(pp.CD, "init", noted)
    _steps(pp.CD(), records(), Size.dense(3, 2, 100), 1)
    (shots,) = seen
    assert shots.readout is not None
    np.testing.assert_array_equal(shots.readout.rates, ERROR.rates[:3])


@pytest.mark.parametrize(
    ("method", "least"),
    [
        (pp.ExactNaturalGradient(), 0.997),
        pytest.param(pp.NaturalGradient(chains=4000, epochs=100), 0.995, marks=pytest.mark.slow),
    ],
    ids=["exact", "natural"],
)
def test_fits_reconstruct_the_state_and_not_the_records(method: Method, least: float) -> None:
    state, shots = noisy_chain(1)
    through = pp.train(shots, method=method)
    ignoring = pp.train(replace(shots, readout=None), method=method)
    fidelity, ignored = (pp.evaluate(rbm, state).fidelity.value for rbm in (through, ignoring))
    assert fidelity > least
    assert ignored < fidelity - 0.004
    assert through.provenance["readout"] == str(shots.readout)
    assert "readout" not in ignoring.provenance


@pytest.mark.parametrize("kind", [pp.CD, pp.PCD])
def test_contrastive_training_undoes_the_errors(kind: Any) -> None:
    state, shots = noisy_chain(1)
    start = pp.train(replace(shots, readout=None))
    method = kind(epochs=40, learning_rate=0.1, learning_rate_decay=0.02)
    through, ignoring = (
        pp.evaluate(pp.train(data, start=start, method=method), state).fidelity.value
        for data in (shots, replace(shots, readout=None))
    )
    assert through > 0.992
    assert ignoring < through - 0.004


def test_methods_by_size() -> None:
    assert MethodBySize().for_size(30, 5).method == "exact"
    assert MethodBySize().for_size(30, 5, readout=True).method == "natural"
    assert MethodBySize().for_size(20, 10, readout=True).method == "exact"
    with pytest.raises(pp.InputError, match="N <= 20, found 30; use method 'natural'"):
        pp.ExactNaturalGradient().for_size(30, 5, readout=True)
    plain = pp.Shots(np.random.default_rng(0).integers(0, 2, (50, 21), dtype=np.uint8))
    misread = replace(plain, readout=pp.ReadoutError.from_rates(0.1, sites=21))
    for given in ({"hidden": 1}, {"start": random_rbm(21, 1)}):
        for shots, name in ((plain, "exact"), (misread, "natural")):
            untrained = pp.train(shots, method=MethodBySize(epochs=0), **given)
            assert untrained.provenance["method"] == name


@pytest.mark.parametrize("criterion", ["magnitude", "damage", "surgeon"])
def test_pruning_and_fine_tuning_through_the_errors(criterion: Any) -> None:
    state, shots = noisy_chain(2)
    dense = pp.train(shots)
    through, ignoring = (
        pp.prune(dense, data, criterion=criterion, density=0.6, levels=1)[-1].rbm
        for data in (shots, replace(shots, readout=None))
    )
    fidelity, ignored = (pp.evaluate(rbm, state).fidelity.value for rbm in (through, ignoring))
    assert fidelity > 0.995
    assert ignored < fidelity - 0.004
