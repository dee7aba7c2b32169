"""Training on shots in several bases: states with phases come back, from shots drawn of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from machines import random_phase_rbm
from psiprune.core.exceptions import TrainingWarning
from psiprune.data.pauli_bases import PauliBases
from psiprune.io import checkpoint
from psiprune.metrics.phase_held_out import held_out_by_basis
from psiprune.rbm.phase_likelihood import (
    basis_frequencies,
    from_parameters,
    log_likelihood,
    to_parameters,
)
from psiprune.states.basis_rotation import rotate
from psiprune.training import natural_phase, phases
from psiprune.training.mirror_images import Image
from psiprune.training.natural_phase import PhaseState, fit_phases, step
from psiprune.training.phase_starts import PhaseUnits, frequencies_for, new_phase_rbm, smoothed
from psiprune.training.phases import agreement_of, equally_likely, train_phases, training_provenance

BASES = ("ZZZ", "XZY", "YXZ", "ZYX", "XXX", "YYZ")


def drawn(state: pp.PhaseRBM, bases: tuple[str, ...], each: int, seed: int = 0) -> pp.Shots:
    """Shots of a state, as many in each basis."""
    bits = [state.sample(each, basis, seed=seed + k) for k, basis in enumerate(bases)]
    return shots_in(dict(zip(bases, bits, strict=True)))


def shots_in(by_basis: dict[str, NDArray[np.uint8]]) -> pp.Shots:
    names = [name for name, bits in by_basis.items() for _ in bits]
    return pp.Shots(np.concatenate(list(by_basis.values())), pp.PauliBases.of_shots(names))


def test_a_state_with_phases_comes_back() -> None:
    target = random_phase_rbm(3, 2, 2, scale=2.0)
    assert target.fidelity(np.abs(target.vector)) < 0.8  # phases matter
    shots = drawn(target, BASES, 2000)
    trained = train_phases(shots, seed=1, starts=2)
    # Expected infidelity: about parameters / (4 shots) over the information of a shot, 1e-3.
    assert trained.fidelity(target) > 0.995
    data = basis_frequencies(shots.by_basis())
    reached, _ = log_likelihood(trained, data)
    assert trained.provenance["log_likelihood"] == pytest.approx(reached, rel=1e-12)
    # A maximum is above the truth, by about parameters / (2 shots).
    assert 0 < reached - log_likelihood(target, data)[0] < 30 / (2 * len(shots))
    assert trained.provenance["converged"] == 1
    assert trained.provenance["bases"] == 6


def test_readout_errors_are_undone_in_each_basis() -> None:
    target = random_phase_rbm(3, 2, 2, scale=2.0)
    error = pp.ReadoutError.from_rates(0.08, 0.2, sites=3)
    shots = drawn(target, BASES, 4000).with_readout_error(error, 1)
    with_errors = train_phases(shots, seed=1, starts=1)
    without = train_phases(replace(shots, readout=None), seed=1, starts=1)
    assert with_errors.fidelity(target) > 0.99
    assert without.fidelity(target) < 0.97
    worst = max(abs(fit.z) for fit in held_out_by_basis(with_errors, shots))
    assert worst < 4 < max(abs(fit.z) for fit in held_out_by_basis(without, shots))


def test_the_same_seed_gives_the_same_state() -> None:
    shots = drawn(random_phase_rbm(2, 2, 2), ("ZZ", "XY", "YX"), 100)
    one, again, other = (train_phases(shots, starts=2, epochs=10, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(to_parameters(one), to_parameters(again))
    assert not np.array_equal(to_parameters(one), to_parameters(other))


def test_no_step_lowers_the_likelihood() -> None:
    data = basis_frequencies(drawn(random_phase_rbm(3, 2, 2), BASES, 50).by_basis())
    values: list[float] = []
    start = random_phase_rbm(3, 3, 3, seed=5)
    fit_phases(start, data, 30, callback=lambda state: values.append(state.log_likelihood))
    assert 10 < len(values) <= 30  # it may converge before
    assert values[0] > log_likelihood(start, data)[0]
    assert np.all(np.diff(values) >= 0)


def test_weight_decay_ends_where_it_balances_the_gradient() -> None:
    equal = np.array([[0, 0], [1, 1]] * 9 + [[0, 1], [1, 0]], np.uint8)  # correlated, so W > 0
    data = basis_frequencies({"ZZ": equal, "XX": equal, "XY": 1 - equal})
    ended = fit_phases(random_phase_rbm(2, 2, 1, seed=5), data, 300, weight_decay=1e-3)
    assert ended.done
    value, slope = log_likelihood(ended.rbm, data)
    networks = ended.rbm.amplitude, ended.rbm.phase
    amplitude, phase = (network.weights.ravel() for network in networks)
    pull = 1e-3 * np.concatenate([amplitude, np.zeros(4), phase, np.zeros(3)])
    np.testing.assert_allclose(slope, pull, atol=1e-4)
    assert np.abs(pull).max() > 5e-4
    penalty = 0.0005 * (amplitude @ amplitude + phase @ phase)
    assert ended.log_likelihood == pytest.approx(value - penalty, rel=1e-12)


def test_the_first_step_is_the_natural_gradient() -> None:
    start = random_phase_rbm(3, 2, 2)
    data = basis_frequencies(drawn(random_phase_rbm(3, 2, 2, seed=1), BASES, 50).by_basis())
    after = step(PhaseState(data, 0, start))
    # S from amplitudes by finite differences: 4 Re(<di|dj> - <di|psi><psi|dj>).
    x, psi = to_parameters(start), start.vector
    changes = np.array([_slope(start, x, k) for k in range(len(x))])
    along = changes.conj() @ psi
    metric = 4 * (changes.conj() @ changes.T - np.outer(along, along.conj())).real
    # The damping of the step, had it been tried again, would be a power of 4.
    damping = 3 * after.damping
    slope = log_likelihood(start, data)[1]
    expected = x + np.linalg.solve(metric + damping * np.eye(len(x)), slope)
    np.testing.assert_allclose(to_parameters(after.rbm), expected, atol=1e-6)


def _slope(rbm: pp.PhaseRBM, x: NDArray[np.float64], k: int) -> NDArray[np.complex128]:
    shift = 1e-6 * np.eye(len(x))[k]
    ends = [from_parameters(rbm, x + sign * shift).vector for sign in (1, -1)]
    return (ends[0] - ends[1]) / 2e-6


def test_a_restored_state_continues_with_the_same_bits() -> None:
    data = basis_frequencies(drawn(random_phase_rbm(2, 2, 2), ("ZZ", "XY"), 100).by_basis())
    first = PhaseState(data, 0, random_phase_rbm(2, 2, 1, seed=3))
    state = first
    for _ in range(4):
        state = step(state)
    restored = first.restore(state.epoch, state.to_arrays())
    for _ in range(3):
        state, restored = step(state), step(restored)
    assert restored.epoch == 7
    for name, array in state.to_arrays().items():
        np.testing.assert_array_equal(restored.to_arrays()[name], array)


def test_an_interrupted_training_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LEAST", 0.0)
    shots, out = drawn(random_phase_rbm(2, 2, 2), ("ZZ", "XY", "YX"), 100), tmp_path / "rbm.nc"
    taken = []

    def interrupt(state: PhaseState) -> None:
        taken.append(state.epoch)
        if len(taken) == 8:  # in the second start
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), checkpoint.Checkpoints(out) as files:
        train_phases(shots, starts=2, epochs=6, callback=interrupt, checkpoints=files)
    resumed: list[int] = []
    with checkpoint.Checkpoints(out) as files:
        again = train_phases(
            shots, starts=2, epochs=6, checkpoints=files, callback=lambda s: resumed.append(s.epoch)
        )
    assert (taken[-1], resumed[0]) == (2, 2)  # an interrupted step is repeated
    whole = train_phases(shots, starts=2, epochs=6)
    np.testing.assert_array_equal(to_parameters(again), to_parameters(whole))
    assert again.provenance == whole.provenance
    assert list(tmp_path.iterdir()) == []


MASK = np.array([[True, False], [True, True]])


def test_masks_are_kept_from_the_first_step() -> None:
    shots = drawn(random_phase_rbm(2, 2, 2), ("ZZ", "XY", "YX"), 100)
    trained = train_phases(shots, mask=MASK, phase_mask=~MASK, starts=2, epochs=5)
    np.testing.assert_array_equal(trained.amplitude.mask, MASK)
    np.testing.assert_array_equal(trained.phase.mask, ~MASK)
    units = PhaseUnits(mask=MASK)
    assert units.of(2)[:2] == (2, 4)
    assert PhaseUnits(3, phase_mask=MASK).of(2)[:2] == (3, 2)


def test_a_start_goes_on_from_its_weights_and_keeps_its_masks() -> None:
    shots = drawn(random_phase_rbm(3, 2, 2), BASES, 100)
    whole = random_phase_rbm(3, 2, 2, seed=1)
    start = whole.with_masks(whole.amplitude.weights > 0, whole.phase.weights > 0)
    trained = train_phases(shots, start=start, epochs=3)
    np.testing.assert_array_equal(trained.amplitude.mask, start.amplitude.mask)
    np.testing.assert_array_equal(trained.phase.mask, start.phase.mask)
    assert trained.provenance["epochs_done"] == 3
    none = train_phases(shots, start=start, epochs=0)
    np.testing.assert_array_equal(to_parameters(none), to_parameters(start))


def test_shots_without_z_begin_from_random_amplitudes() -> None:
    target = random_phase_rbm(2, 2, 2)
    trained = train_phases(drawn(target, ("XY", "YX", "XX", "YZ", "ZY"), 1000), seed=0)
    assert trained.fidelity(target) > 0.99


def test_the_initial_amplitudes_are_those_of_the_shots_in_z() -> None:
    shots = drawn(random_phase_rbm(3, 2, 2), BASES, 5000)
    begun = new_phase_rbm(shots, PhaseUnits(3, 2), seed=0)
    in_z = shots.by_basis()["ZZZ"]
    share = np.bincount(in_z @ [1, 2, 4], minlength=8) / len(in_z)
    np.testing.assert_allclose(begun.probabilities("ZZZ"), share, atol=0.02)
    assert begun.fidelity(np.sqrt(share)) > 0.9  # phases nearly flat


@pytest.mark.parametrize("number", [1, 6])
def test_few_shots_in_z_that_are_alike_do_not_hold_the_amplitudes(number: int) -> None:
    target = random_phase_rbm(3, 2, 2, scale=2.0)
    by_basis = drawn(target, BASES, 1000).by_basis()
    by_basis["ZZZ"] = np.tile(by_basis["ZZZ"][:1], (number, 1))
    shots = shots_in(by_basis)
    assert new_phase_rbm(shots, PhaseUnits(2, 2), seed=0).probabilities("ZZZ").min() > 1e-4
    trained = train_phases(shots, starts=1, progress=False)
    assert trained.fidelity(target) > 0.95
    assert trained.provenance["converged"] == 1


def test_only_shots_that_lack_an_outcome_of_a_pair_are_smoothed() -> None:
    every = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]] * 25, np.uint8)
    assert smoothed(of_all := pp.Shots(every), 0) is of_all
    few = smoothed(pp.Shots(every[every[:, 0] <= every[:, 1]]), 0).bits
    assert len(few) == 2025  # 27 copies of 75
    # Laplace's rule: each bit is flipped once in 77 times.
    assert (few[:, 0] > few[:, 1]).mean() == pytest.approx(2 / 3 / 77, abs=0.006)


def test_a_state_below_independent_bits_has_not_converged_and_is_warned_of() -> None:
    shots = drawn(random_phase_rbm(3, 2, 2), BASES, 100)
    rbm = random_phase_rbm(3, 1, 1)
    flat = rbm.phase.with_mask(np.zeros((1, 3), bool))
    delta = pp.PhaseRBM(replace(rbm.amplitude, visible_bias=np.full(3, -40.0)), flat)
    with pytest.warns(TrainingWarning, match="less well than independent bits"):
        train_phases(shots, start=delta, epochs=0, progress=False)
    ended = replace(fit_phases(delta, basis_frequencies(shots.by_basis()), 0), done=True)
    assert training_provenance([ended], 0, 1)["converged"] == 0


def test_bases_that_leave_phases_open_are_warned_of() -> None:
    # Bell states of phase +i and -i differ by the sign of <XY> alone, which no such basis shows.
    bell = np.array([1, 0, 0, 1j]) / np.sqrt(2)
    bases = ["ZZ", "XX", "YY"]
    one, other = (np.abs(rotate(psi, bases)) for psi in (bell, bell.conj()))
    np.testing.assert_allclose(one, other, atol=1e-14)
    bits = {
        "ZZ": [[0, 0], [1, 1]] * 200,
        "XX": [[0, 0], [0, 1], [1, 0], [1, 1]] * 100,
        "YY": [[0, 0], [0, 1], [1, 0], [1, 1]] * 100,
    }
    shots = shots_in({name: np.array(rows, np.uint8) for name, rows in bits.items()})
    with pytest.warns(TrainingWarning, match="mirror image of the state"):
        trained = train_phases(shots, seed=0, starts=6)
    assert float(trained.provenance["agreement"]) < 0.9
    assert "do not determine the phases" in str(trained.provenance["training_warnings"])


def zeros(sites: int) -> NDArray[np.uint8]:
    return np.zeros((2, sites), np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shots": pp.Shots(zeros(2))}, r"all shots are in the basis ZZ, .* measure in others"),
        ({"shots": pp.Shots(zeros(2), "X")}, "all shots are in the basis XX"),
        ({"hidden": 0}, "hidden: must be an integer of at least 1, found 0"),
        ({"weight_decay": -1.0}, "weight_decay: must be a number of at least 0, found -1"),
        ({"mask": np.ones((3, 4), bool)}, "mask: shape must be"),
        ({"hidden": 2, "start": random_phase_rbm(2, 2, 2), "mask": MASK}, "mask: cannot be"),
        ({"starts": 0}, "starts: must be an integer of at least 1, found 0"),
        ({"start": random_phase_rbm(3, 2, 2)}, "has 2 sites, but the state has 3"),
        (
            {"start": random_phase_rbm(2, 2, 2), "phase_hidden": 3},
            "phase_hidden: must be omitted or 2, as in the state to start from, found 3",
        ),
        (
            {"shots": shots_in({"Z" * 17: zeros(17), "X" * 17: zeros(17)})},
            r"basis X{17} rotates 17 of 17 sites",
        ),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], message: str) -> None:
    given: dict[str, Any] = {"shots": shots_in({"ZZ": zeros(2), "XY": zeros(2)}), **change}
    with pytest.raises(pp.InputError, match=message):
        train_phases(**given)


def test_the_tutorial_of_qucumber() -> None:
    folder = Path(exact.__file__).parent / "reference/qucumber"
    bits = np.loadtxt(folder / "qubits_train.txt", dtype=np.uint8)
    names = (folder / "qubits_train_bases.txt").read_text().splitlines()
    bases = pp.PauliBases.of_shots("".join(name.split()) for name in names)
    psi = np.loadtxt(folder / "qubits_psi.txt") @ [1, 1j]
    trained = train_phases(pp.Shots(bits, bases), seed=0)
    # Its first qubit is the highest bit. QuCumber reaches 0.9928 too: 1,000 shots tell no more.
    assert trained.fidelity(psi.reshape(2, 2).T.ravel()) > 0.99
    assert trained.fidelity(psi.conj().reshape(2, 2).T.ravel()) < 0.9
    assert trained.provenance["equally_likely"] == 4
    assert float(trained.provenance["agreement"]) > 0.999


def test_fits_far_below_the_best_are_not_equally_likely() -> None:
    data = basis_frequencies({"ZZ": zeros(2), "XY": zeros(2)})._replace(shots=np.array([500, 500]))
    fits = [
        PhaseState(data, 0, random_phase_rbm(2, 1, 1), log_likelihood=value)
        for value in (-1.0, -1.0019, -1.0021)
    ]
    assert equally_likely(fits) == fits[:2]


def test_agreement_is_that_of_equal_fits_or_of_the_nearest_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = basis_frequencies({"ZZ": zeros(2), "XY": zeros(2)})._replace(shots=np.array([500, 500]))
    near, far = random_phase_rbm(2, 1, 1), random_phase_rbm(2, 3, 3)
    far_fidelity = near.fidelity(far)
    assert 0.4 < far_fidelity < 0.9

    def agreement(*found: tuple[pp.PhaseRBM, float]) -> float:
        return agreement_of([PhaseState(data, 0, rbm, log_likelihood=v) for rbm, v in found])

    equal, below = -1.0005, -2.0
    agree, apart = ((near, -1.0), (near, equal)), ((near, -1.0), (far, equal))
    alone = (near, -1.0), (far, below), (near, below)
    monkeypatch.setattr(phases, "likely_image", lambda *_: None)
    assert agreement(*agree, (far, equal)) == pytest.approx(far_fidelity)
    assert agreement(*agree, (far, below)) == pytest.approx(1.0)
    assert agreement(*alone) == pytest.approx(1.0)
    assert np.isnan(agreement((near, -1.0)))
    for fidelity in (0.3, 0.95, 1.0):
        image = Image(near.vector, fidelity)
        monkeypatch.setattr(phases, "likely_image", lambda *_, found=image: found)
        assert agreement(*agree) == pytest.approx(fidelity)
        assert agreement(*apart) == pytest.approx(min(fidelity, far_fidelity))
        assert agreement(*alone) == pytest.approx(fidelity)
        only = agreement((near, -1.0))
        assert only == fidelity if fidelity < 0.9 else np.isnan(only)
    # An image that is the state itself does not stand in for another fit.
    assert agreement((near, -1.0), (far, below)) == pytest.approx(far_fidelity)


def test_two_sites_in_bases_that_leave_a_sign_open() -> None:
    # Fits that all begin with nearly flat phases agree on the wrong state here.
    shots = pp.sample(pp.quench(pp.TFIM(sites=2, field=1.0), 0.5), 2000, bases="all-pairs")
    with pytest.warns(TrainingWarning, match="mirror image of site 0"):
        train_phases(shots, seed=0)


@pytest.mark.slow
def test_a_state_that_no_other_fit_finds_is_warned_of() -> None:
    signs = [(-1) ** bin(v & v >> 1).count("1") for v in range(16)]  # a cluster state
    shots = pp.sample(pp.mps_from_vector(np.array(signs) / 4), 7000, seed=1, bases="nearest-pairs")
    with pytest.warns(TrainingWarning, match="no other of 4 fits|different states"):
        train_phases(shots, seed=1)


@pytest.mark.parametrize("in_z", [[[0, 1, 0]], [[0, 1, 0]] * 8])
def test_few_shots_in_z_do_not_fix_the_amplitudes(in_z: list[list[int]]) -> None:
    generator = np.random.default_rng(3)
    psi = generator.normal(size=(8, 2)) @ [1, 1j]
    names = [name for name in map("".join, product("XYZ", repeat=3)) if name != "ZZZ"]
    state = pp.mps_from_vector(psi / np.linalg.norm(psi))
    others = pp.sample(state, 26 * 40, bases=names, progress=False)
    several = pp.join_shots([others, pp.Shots(np.array(in_z, np.uint8))])
    trained = pp.train_phases(several, starts=1, progress=False)
    assert trained.fidelity(state) > 0.97


def test_a_training_that_no_step_improves_has_not_converged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = frequencies_for(
        pp.Shots(np.eye(2, dtype=np.uint8), basis=PauliBases(("ZX", "XZ"), np.arange(2)))
    )
    first = PhaseState(data, 0, random_phase_rbm(2, 2, 2, seed=1))
    honest = natural_phase._objective

    def worse(rbm: pp.PhaseRBM, *given: Any) -> Any:
        value, slope = honest(rbm, *given)
        return (value, slope) if rbm is first.rbm else (value - 100.0, slope)

    monkeypatch.setattr(natural_phase, "_objective", worse)
    end = step(first)
    assert end.done
    assert end.stalled
    monkeypatch.undo()
    trained = fit_phases(first.rbm, data, 300)
    assert trained.done
    assert not trained.stalled
