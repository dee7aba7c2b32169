"""Compare states with phases with shots in several bases, and with each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots
from psiprune.metrics.configurations import Configurations, independent_bits
from psiprune.metrics.entanglement import entanglement
from psiprune.metrics.equivalence import Losses
from psiprune.metrics.loss_tests import Cells, cell_divergence, deviance
from psiprune.metrics.measured_bases import pauli_mean
from psiprune.metrics.phase_held_out import log_prob_by_shot
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import recorded_probabilities
from psiprune.states.hamiltonian import Hamiltonian

Float64 = NDArray[np.float64]
_LEAST = 1e-30


def free_parameters(rbm: PhaseRBM) -> int:
    """Return how many directions a state can be fitted in: its parameters, at most 2 (2^N - 1)."""
    networks = rbm.amplitude, rbm.phase
    parameters = sum(network.compact().number_of_parameters for network in networks)
    return min(parameters, 2 * (2**rbm.visible - 1))


def as_fresh(rbm: PhaseRBM, training: Shots, others: Shots) -> Float64:
    """Return log q(x) of training shots and of others, as if neither had trained the state, [shot].

    The training shots give parameters / shots more than fresh ones on average (Akaike 1974).
    """
    optimism = free_parameters(rbm) / len(training)
    return np.concatenate(
        [log_prob_by_shot(rbm, training) - optimism, log_prob_by_shot(rbm, others)]
    )


def losses_from(
    parent: PhaseRBM, log_prob: Callable[[PhaseRBM], Float64]
) -> Callable[[PhaseRBM], Losses]:
    """Return the function state -> log-likelihood losses against `parent`, shot by shot."""
    of_parent = log_prob(parent)
    return lambda rbm: Losses(of_parent - log_prob(rbm), 0.0, "")


def divergence(
    one: PhaseRBM,
    other: PhaseRBM,
    bases: Sequence[str],
    share: Float64,
    readout: ReadoutError | None = None,
) -> float:
    """Return sum_b share_b KL(q_b of one || q_b of the other) of records, in nats per shot."""
    total = 0.0
    for basis, part in zip(bases, share, strict=True):
        p, q = (_records(rbm, basis, readout) for rbm in (one, other))
        total += float(part * (p @ np.log(p / q)))
    return total


def _records(rbm: PhaseRBM, basis: str, readout: ReadoutError | None) -> Float64:
    """Return the probability of each record in a basis, at least 1e-30, [2^N]."""
    return np.maximum(recorded_probabilities(rbm, basis, readout), _LEAST)


def basis_variables(rbm: PhaseRBM, test: Shots) -> xr.Dataset:
    """Collect over `basis`: test shots, log-likelihood, its expectation and variance, <P_i P_j>.

    Also the `deviance` of the outcomes, and its degrees of freedom.

    pairs_value and pairs_shots [basis, site, partner] are of the letters of each basis, with <P_i>
    on the diagonal. With readout errors all of these are of records.
    """
    rows = []
    signs = 1.0 - 2.0 * ((np.arange(2**rbm.visible)[:, None] >> np.arange(rbm.visible)) & 1)
    for basis, bits in test.by_basis().items():
        prob = _records(rbm, basis, test.readout)
        logs, outcome = np.log(prob), bits.astype(np.int64) @ (1 << np.arange(rbm.visible))
        expected = float(prob @ logs)
        of_shots = signs[outcome]
        pairs, measured = (signs.T * prob) @ signs, of_shots.T @ of_shots / len(bits)
        for matrix, single in ((pairs, prob @ signs), (measured, of_shots.mean(axis=0))):
            np.fill_diagonal(matrix, single)
        mean, variance = float(logs[outcome].mean()), float(prob @ (logs - expected) ** 2)
        counts = np.bincount(outcome, minlength=len(prob))
        rows.append(
            (basis, len(bits), mean, expected, variance, pairs, measured, *deviance(prob, counts))
        )
    (
        names,
        shots,
        means,
        expectations,
        variances,
        pairs_value,
        pairs_shots,
        deviances,
        freedoms,
    ) = zip(*rows, strict=True)
    along = ("basis", "site", "partner")
    return xr.Dataset(
        {
            "basis_shots": ("basis", list(shots)),
            "basis_log_likelihood": ("basis", list(means), {"units": "nat"}),
            "basis_expected": ("basis", list(expectations), {"units": "nat"}),
            "basis_variance": ("basis", list(variances)),
            "basis_deviance": ("basis", list(deviances)),
            "basis_freedom": ("basis", list(freedoms)),
            "pairs_value": (along, np.array(pairs_value)),
            "pairs_shots": (along, np.array(pairs_shots)),
        },
        {"basis": list(names)},
    )


def configurations(rbm: PhaseRBM, best: PhaseRBM, training: Shots, test: Shots) -> Configurations:
    """Compare a state with test shots by pairs of basis and outcome, and with other models."""
    place = 1 << np.arange(rbm.visible)
    cells: dict[tuple[str, int], int] = {}
    log_p = []
    of_test = test.by_basis()
    for basis, bits in training.by_basis().items():
        share = len(of_test.get(basis, ())) / len(test)
        seen = np.unique(bits.astype(np.int64) @ place)
        if share:
            cells.update(((basis, int(each)), 0) for each in seen)
            log_p.append(np.log(share * _records(rbm, basis, test.readout)[seen]))
    for basis, bits in of_test.items():
        for outcome in (bits.astype(np.int64) @ place).tolist():
            if (basis, outcome) in cells:
                cells[basis, outcome] += 1
    found: Cells = cell_divergence(np.concatenate(log_p), [*cells.values()], len(test))
    log_q = log_prob_by_shot(rbm, test)
    others = _independent(training, test), log_prob_by_shot(best, test)
    losses = [other - log_q for other in others]
    means = [float(loss.mean()) for loss in losses]
    errors = [float(loss.std(ddof=1) / np.sqrt(len(loss))) for loss in losses]
    return Configurations(found, means[0], errors[0], means[1], errors[1])


def _independent(training: Shots, test: Shots) -> Float64:
    """Return log p_0(x) of each test shot, p_0 independent bits in each basis."""
    logs = np.empty(len(test))
    of_training = training.by_basis()
    for number, basis in enumerate(test.bases):
        rows = test.basis_of == number
        logs[rows] = independent_bits(of_training[basis], test.bits[rows])
    return logs


def observable_variables(
    observables: Mapping[str, Hamiltonian], rbm: PhaseRBM, dense: PhaseRBM, test: Shots
) -> xr.Dataset:
    """Collect over `observable` its value in the smallest and the unpruned state and in the shots.

    observable_shots is NaN where no basis measures one of its Pauli strings; readout errors are
    inverted.
    """
    rows = []
    for name, operator in observables.items():
        known = all(
            any(
                all(basis[i] == letter for i, letter in term.letters.items())
                for basis in test.bases
            )
            for term in operator.terms
        )
        mean = pauli_mean(name, operator, test) if known else (float("nan"), float("nan"))
        values = rbm.expectation(operator), dense.expectation(operator)
        rows.append((*values, *map(float, mean)))
    columns = np.array(rows).reshape(-1, 4).T
    names = ("value", "dense", "shots", "shots_error")
    return xr.Dataset(
        {f"observable_{key}": ("observable", of) for key, of in zip(names, columns, strict=True)},
        {"observable": list(observables)},
    )


def entropies(rbm: PhaseRBM) -> Float64:
    """Return the entanglement entropy of the first k sites, k = 1 .. N - 1, in nats."""
    found = (entanglement(rbm.vector, cut).entropy for cut in range(1, rbm.visible))
    return np.array([np.nan if each is None else each.value for each in found])
