"""Training over Gibbs chains on shots in bases that rotate few sites, against exact sums."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
from machines import random_phase_rbm
from psiprune.inference.phase_fisher import quantum_fisher
from psiprune.io import checkpoint
from psiprune.rbm.phase_likelihood import basis_frequencies, log_likelihood, to_parameters
from psiprune.training import phases, sampled_phases
from psiprune.training.sampled_phases import (
    SampledFit,
    SampledPhaseState,
    equal_fits,
    parts_of_terms,
    step,
)

BASES = ("ZZZ", "XZY", "YXZ", "ZYX", "XXX", "YYZ")


@pytest.fixture(autouse=True)
def _few_sites(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use this method from three sites on, with few chains."""
    monkeypatch.setattr(phases, "PHASE_SITES", 2)
    monkeypatch.setattr(sampled_phases, "CHAINS", 1000)


def drawn(state: pp.PhaseRBM, each: int) -> pp.Shots:
    bits = [state.sample(each, basis, seed=k) for k, basis in enumerate(BASES)]
    names = [basis for basis in BASES for _ in range(each)]
    return pp.Shots(np.concatenate(bits), pp.PauliBases.of_shots(names))


def begin(rbm: pp.PhaseRBM, shots: pp.Shots, of_chains: pp.RBM, epochs: int) -> SampledPhaseState:
    chains = of_chains.sample_exact(10_000, seed=3)
    return SampledPhaseState(parts_of_terms(shots), 1, 0, epochs, rbm, 0.0, chains)


@pytest.mark.slow
def test_a_state_with_phases_comes_back() -> None:
    target = random_phase_rbm(3, 2, 2, scale=2.0)
    assert target.fidelity(np.abs(target.vector)) < 0.8  # phases matter
    shots = drawn(target, 2000)
    # One start in five finds the state, by six seeds; that none of 16 does has a chance of 3 %.
    trained = pp.train_phases(shots, seed=0, starts=16, epochs=100, progress=False)
    assert trained.fidelity(target) > 0.99
    data = basis_frequencies(shots.by_basis())
    reached, _ = log_likelihood(trained, data)
    assert trained.provenance["log_likelihood"] == pytest.approx(reached, rel=1e-9)
    # The truth is below a maximum by about parameters / 2 = 14 nats; the chains' noise costs less.
    assert (log_likelihood(target, data)[0] - reached) * len(shots) < 10
    assert trained.provenance["bases"] == 6


def test_the_gradient_over_chains_is_the_exact_one() -> None:
    # 10,000 chains, visited three times each: the squared deviation in the inverse of the noise
    # of independent draws, S / K, is about P or less. Chains of another RBM do not pass.
    rbm, shots = random_phase_rbm(3, 3, 2, seed=4), drawn(random_phase_rbm(3, 2, 2), 50)
    _, exact = log_likelihood(rbm, basis_frequencies(shots.by_basis()))
    first = begin(rbm, shots, rbm.amplitude, 300)
    gradient = step(first).gradient
    assert gradient is not None
    size = rbm.amplitude.number_of_parameters
    np.testing.assert_allclose(gradient[size:], exact[size:], atol=1e-12)  # phases have no noise
    metric = quantum_fisher(rbm)[0] + 1e-9 * np.eye(size)

    def squared(found: np.ndarray) -> float:
        off = found - exact[:size]
        return float(10_000 * off @ np.linalg.solve(metric, off))

    assert squared(gradient[:size]) < 3 * size
    other = begin(rbm, shots, random_phase_rbm(3, 3, 2, seed=5).amplitude, 300)
    stuck = pytest.MonkeyPatch()
    stuck.setattr(sampled_phases, "GIBBS_STEPS", 1)
    biased = step(other).gradient
    stuck.undo()
    assert biased is not None
    assert squared(biased[:size]) > 6 * size


def test_the_metric_over_chains_is_the_exact_one() -> None:
    rbm, shots = random_phase_rbm(3, 3, 2, seed=4), drawn(random_phase_rbm(3, 2, 2), 50)
    metrics = step(begin(rbm, shots, rbm.amplitude, 300)).metrics
    assert metrics is not None
    for metric, exact in zip(metrics, quantum_fisher(rbm), strict=True):
        along = exact[:, 0]
        damped = exact + metric.damping * np.eye(len(exact))
        found, _ = metric.solve(along)
        expected = np.linalg.solve(damped, along)
        # Each entry of S over 10,000 draws has a relative error of about a hundredth.
        assert np.linalg.norm(damped @ (found - expected)) < 0.1 * np.linalg.norm(along)
        undamped = np.linalg.solve(damped + exact, along)
        assert np.linalg.norm(damped @ (undamped - expected)) > 0.2 * np.linalg.norm(along)


def test_shots_in_parts_are_all_shots(monkeypatch: pytest.MonkeyPatch) -> None:
    shots = drawn(random_phase_rbm(3, 2, 2), 40)
    whole = parts_of_terms(shots)
    monkeypatch.setattr(sampled_phases, "PART_TERMS", 64)
    parts = parts_of_terms(shots)
    assert len(whole) == 1 < len(parts)
    weights = [sum(piece.weight.sum() for piece in part) for part in parts]
    assert sum(weights) == len(shots)
    assert max(weights) - min(weights) <= len(BASES)
    assert {int(b) for piece in parts[-1] for b in piece.basis} == set(range(6))


def test_the_same_seed_gives_the_same_state() -> None:
    shots = drawn(random_phase_rbm(3, 2, 2), 100)

    def train(seed: int) -> np.ndarray:
        trained = pp.train_phases(shots, starts=1, epochs=8, seed=seed, progress=False)
        return to_parameters(trained)

    np.testing.assert_array_equal(train(3), train(3))
    assert not np.array_equal(train(3), train(4))


def test_an_interrupted_training_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LEAST", 0.0)
    shots, out = drawn(random_phase_rbm(3, 2, 2), 100), tmp_path / "rbm.nc"
    taken: list[int] = []

    def interrupt(state: SampledPhaseState) -> None:
        taken.append(state.epoch)
        if len(taken) == 8:  # in the second start, with gradients and metrics to restore
            raise KeyboardInterrupt

    def train(callback: Callable[[SampledPhaseState], None] | None) -> pp.PhaseRBM:
        with checkpoint.Checkpoints(out) as files:
            trained = phases.train_phases(
                shots,
                starts=2,
                epochs=6,
                callback=callback,  # type: ignore[arg-type]
                checkpoints=files,
                progress=False,
            )
            trained.save(out)
        return trained

    with pytest.raises(KeyboardInterrupt):
        train(interrupt)
    resumed: list[int] = []
    again = train(lambda state: resumed.append(state.epoch))
    assert len(resumed) < 6
    whole = pp.train_phases(shots, starts=2, epochs=6, progress=False)
    np.testing.assert_array_equal(to_parameters(again), to_parameters(whole))


def test_fits_within_the_noise_are_equally_likely() -> None:
    rbm = random_phase_rbm(3, 2, 2)
    assert rbm.number_of_parameters == 22

    def fits(nats: float, error: float = 0.0) -> list[SampledFit]:
        return [SampledFit(rbm, 1, value / 1000, error, 1000) for value in (-5.0, -5.0 - nats)]

    assert len(equal_fits(fits(10.9))) == 2
    assert len(equal_fits(fits(11.1))) == 1
    assert len(equal_fits(fits(15.0, 0.001))) == 2


def test_what_is_refused() -> None:
    shots = drawn(random_phase_rbm(3, 2, 2), 10)
    with pytest.raises(pp.InputError, match="all shots are in the basis ZZZ"):
        pp.train_phases(shots.in_basis("Z"))
    with pytest.raises(pp.InputError, match="has 3 sites, but the state has 4"):
        pp.train_phases(shots, start=random_phase_rbm(4, 2, 2))
    many = pp.Shots(np.zeros((2, 20), np.uint8), pp.PauliBases.of_shots(["Z" * 20, "XY" * 10]))
    with pytest.raises(pp.InputError, match=r"rotates 20 of 20 sites, .*at most 8 letters"):
        pp.train_phases(many)
    with pytest.raises(pp.InputError, match="epochs: must be an integer of at least 0"):
        pp.train_phases(shots, epochs=-1)
