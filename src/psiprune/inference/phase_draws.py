"""States with phases at any number of sites: draws, fidelities and means of Pauli strings.

Averages are over draws of p = |psi|^2 in the Z basis, with standard errors.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.random import Stream, derive_seed
from psiprune.inference.ais import log_mean
from psiprune.inference.log_partition import (
    LogPartition,
    annealed_log_partition,
    exact_log_partition,
    independent_draws,
)
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM
from psiprune.rbm.phase import PhaseRBM
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import MPS
from psiprune.states.sampling import sample
from psiprune.states.tensors import log_amplitudes

Bits = NDArray[np.uint8]
Complex128 = NDArray[np.complex128]
#: Gibbs steps, each with a global flip or none, of chains from random configurations.
_STEPS = 1000
_SECONDS, _CHAINS, _TEMPERATURES = 5.0, 1000, 2000
_POWERS_OF_I = (1, 1j, -1, -1j)


def draws_of(rbm: RBM, draws: int, seed: int) -> Bits:
    """Return configurations of an RBM [draw, site]: independent, or ends of long Gibbs chains."""
    found = independent_draws(rbm, draws, seed=seed)
    if found is not None:
        return found
    start = gibbs.random_start(draws, rbm.visible, seed)
    return gibbs.step_with_flips(gibbs.start_chains(rbm.compiled, start, seed), _STEPS).bits


def quick_log_partition(rbm: RBM, seed: int) -> LogPartition:
    """Return log Z, exact where that takes up to 5 seconds, else annealed."""
    exact = exact_log_partition(rbm, _SECONDS)
    if exact is not None:
        return exact
    return annealed_log_partition(rbm, None, _CHAINS, _TEMPERATURES, seed)


def fidelity(rbm: PhaseRBM, other: PhaseRBM) -> float:
    """Return |<psi|other>|^2, exactly up to 20 sites, else by 10,000 draws of each state."""
    return rbm.fidelity(other) if rbm.visible <= EXACT_SITES else fidelity_by_draws(rbm, other)[0]


def fidelity_by_draws(
    rbm: PhaseRBM, other: PhaseRBM | MPS, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Return `|<psi|other>|^2` and its standard error, from as many draws of each state.

    With u + i d = 2 log(other / psi), norms included, the overlap is the mean of
    exp(i d / 2) / cosh(u / 2) over draws of both: no term exceeds 1.

    Args:
        rbm: psi.
        other: a state on the same sites.
        draws: number of draws of each.
        seed: of the draws.
    """
    if other_sites(other) != rbm.visible:
        raise InputError(
            f"other: must have the {rbm.visible} sites of the state, found {other_sites(other)}"
        )
    own, theirs = (derive_seed(seed, Stream.PHASE_FIDELITY, k) for k in range(2))
    bits = [draws_of(rbm.amplitude, draws, own)]
    if isinstance(other, MPS):
        bits.append(sample(other, draws, theirs, progress=False).bits)
    else:
        bits.append(draws_of(other.amplitude, draws, theirs))
    logs = [log_psi(other, part) - log_psi(rbm, part) for part in bits]
    # Z ratio by bridge sampling, as in `inference.bridge`.
    norm = log_mean(logs[0].real)[0] - log_mean(-logs[1].real)[0]
    log = np.concatenate(logs) - norm / 2
    size = np.minimum(np.abs(log.real), 700.0)
    terms = np.exp(1j * log.imag) / np.cosh(size)
    mean = terms.mean()
    along = (terms * np.conj(mean)).real / max(abs(mean), 1e-300)
    error = float(along.std() / np.sqrt(len(terms)))
    return min(1.0, float(abs(mean) ** 2)), 2 * float(abs(mean)) * error


def other_sites(other: PhaseRBM | MPS) -> int:
    """Return the number of sites of a state."""
    return other.sites if isinstance(other, MPS) else other.visible


def log_psi(state: PhaseRBM | MPS, bits: Bits) -> Complex128:
    """Return log psi of configurations [draw, site], up to the norm of a `PhaseRBM`."""
    if isinstance(state, MPS):
        sign, log_size = log_amplitudes(state.tensors, bits)
        return np.asarray(log_size + 1j * np.angle(sign))
    size, turn = (each.log_prob_unnormalized(bits) for each in (state.amplitude, state.phase))
    return np.asarray(0.5 * size + 0.5j * turn)


def mean_by_draws(rbm: PhaseRBM, operator: Hamiltonian, bits: Bits) -> tuple[float, float]:
    """Return `<psi|O|psi>` and its standard error, from independent draws of p [draw, site].

    The mean of sum_f conj(psi(v xor f) / psi(v)) <v xor f|O|v>, over the flips f of the strings.

    Raises:
        InputError: the operator has another number of sites.
    """
    if operator.sites != rbm.visible:
        raise InputError(
            f"operator: is a sum on {operator.sites} sites, but the state has {rbm.visible}"
        )
    before, local = log_psi(rbm, bits), np.zeros(len(bits))
    for flips, terms in groupby(operator.terms, key=lambda term: term.flips):
        ratio = np.ones(len(bits), np.complex128)
        if flips:
            ratio = np.exp(log_psi(rbm, bits ^ _row(flips, operator.sites)) - before).conj()
        for term in terms:
            power = _POWERS_OF_I[(term.flips & term.signs).bit_count() % 4]
            odd = (bits & _row(term.signs, operator.sites)).sum(axis=1) % 2
            local += term.coefficient * (power * ratio * (1.0 - 2.0 * odd)).real
    return float(local.mean()), float(local.std() / np.sqrt(len(local)))


def _row(mask: int, sites: int) -> Bits:
    """Return the bits of a mask, [site]."""
    return np.array([mask >> site & 1 for site in range(sites)], np.uint8)
