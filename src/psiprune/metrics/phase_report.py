"""A state with phases against a reference state: fidelity, KL divergence, energy, observables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.random import Stream, derive_seed
from psiprune.core.repr import one_line
from psiprune.core.validation import check_count, check_seed
from psiprune.inference.phase_draws import (
    draws_of,
    fidelity_by_draws,
    mean_by_draws,
    quick_log_partition,
)
from psiprune.metrics.entanglement import entanglement
from psiprune.metrics.observable_text import GivenObservables, as_observables
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.rbm.phase import PhaseRBM
from psiprune.states.expectation import expectation
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import MPS
from psiprune.states.sampling import sample
from psiprune.states.tfim import TFIM


@one_line
class PhaseReport(NamedTuple):
    """Comparison of a `PhaseRBM` with a state, exact up to 20 sites.

    Attributes:
        fidelity: `|<psi|state>|^2`.
        kl: KL(|state|^2 || |psi|^2) of outcomes in Z, in nats.
        entropy: (of the RBM, of the state), the entanglement entropy of the first N // 2 sites with
            the others, in nats; None above 20 sites.
        observables: (of the RBM, of the state) by name; "energy" if the state has a Hamiltonian.
        errors: standard errors of "fidelity", "kl" and observables of the RBM by name; empty where
            all are exact.
    """

    fidelity: float
    kl: float
    entropy: tuple[float, float] | None
    observables: dict[str, tuple[float, float]]
    errors: Mapping[str, float] = {}


def evaluate_phases(
    rbm: PhaseRBM,
    state: MPS,
    observables: GivenObservables | None = None,
    *,
    draws: int = 20_000,
    seed: int = 0,
) -> PhaseReport:
    """Compare a state with phases with a reference state.

    Up to 20 sites by sums over all 2^N configurations, above by draws of both states.

    Args:
        rbm: the state of an RBM.
        state: the reference, such as `quench` returns.
        observables: sums of Pauli strings in any bases, as for `psiprune.evaluate`.
        draws: of each state, above 20 sites.
        seed: of these.

    Raises:
        InputError: the numbers of sites differ, or an observable is invalid.
    """
    if state.sites != rbm.visible:
        raise InputError(
            f"state: has {state.sites} sites, but the RBM has {rbm.visible}; give the state that "
            "its shots were measured of"
        )
    sums = _sums(rbm, state, observables)
    if rbm.visible > EXACT_SITES:
        return _by_draws(rbm, state, sums, check_count("draws", draws, 2), check_seed(seed))
    reference = state.to_vector().astype(np.complex128)
    p, q = np.abs(rbm.vector) ** 2, np.abs(reference) ** 2
    occurs = q > 0
    kl = float(q[occurs] @ np.log(q[occurs] / p[occurs]))
    means = {
        name: (rbm.expectation(operator), expectation(reference, operator))
        for name, operator in sums.items()
    }
    entropy = _half_entropy(rbm.vector), _half_entropy(reference)
    return PhaseReport(rbm.fidelity(reference), kl, entropy, means)


def _by_draws(
    rbm: PhaseRBM, state: MPS, sums: Mapping[str, Hamiltonian], draws: int, seed: int
) -> PhaseReport:
    """Return the same from draws of both states, with standard errors."""
    own, theirs, of_log_z = (derive_seed(seed, Stream.PHASE_REPORT, k) for k in range(3))
    fidelity, error = fidelity_by_draws(rbm, state, draws, seed)
    log_z = quick_log_partition(rbm.amplitude, of_log_z)
    drawn = sample(state, draws, theirs, progress=False).bits
    gaps = state.log_prob(drawn) - rbm.amplitude.log_prob_unnormalized(drawn)
    errors = {"fidelity": error, "kl": float(np.hypot(gaps.std() / draws**0.5, log_z.error))}
    bits, means = draws_of(rbm.amplitude, draws, own), {}
    for name, operator in sums.items():
        mean, errors[name] = mean_by_draws(rbm, operator, bits)
        means[name] = mean, state.expectation(operator)
    return PhaseReport(fidelity, float(gaps.mean()) + log_z.value, None, means, errors)


def _sums(
    rbm: PhaseRBM, state: MPS, observables: GivenObservables | None
) -> dict[str, Hamiltonian]:
    """Return sums of Pauli strings by name, "energy" first if the state has a Hamiltonian."""
    sums: dict[str, Hamiltonian] = {}
    if state.model is not None:
        model = state.model
        sums["energy"] = model.hamiltonian() if isinstance(model, TFIM) else model
    for name, observable in as_observables(observables, rbm.visible).items():
        if not isinstance(observable, PauliObservable):
            raise InputError(
                f"observable: must be a sum of Pauli strings such as 'X0 Y3' for a state with "
                f"phases, found {name}"
            )
        sums[name] = observable.operator
    return sums


def _half_entropy(vector: NDArray[np.complex128]) -> float:
    found = entanglement(vector).entropy
    assert found is not None  # as the vector is known
    return found.value
