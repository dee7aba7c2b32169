"""A state with phases against a reference state: fidelity, KL divergence, energy, observables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.repr import one_line
from psiprune.metrics.entanglement import entanglement
from psiprune.metrics.observable_text import GivenObservables, as_observables
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.rbm.phase import PhaseRBM
from psiprune.states.expectation import expectation
from psiprune.states.mps import MPS
from psiprune.states.tfim import TFIM


@one_line
class PhaseReport(NamedTuple):
    """Exact comparison of a `PhaseRBM` with a state.

    Attributes:
        fidelity: |<psi|state>|^2.
        kl: KL(|state|^2 || |psi|^2) of outcomes in Z, in nats.
        entropy: (of the RBM, of the state), the entanglement entropy of the first N // 2 sites with
            the others, in nats.
        observables: (of the RBM, of the state) by name; "energy" if the state has a Hamiltonian.
    """

    fidelity: float
    kl: float
    entropy: tuple[float, float]
    observables: dict[str, tuple[float, float]]


def evaluate_phases(
    rbm: PhaseRBM, state: MPS, observables: GivenObservables | None = None
) -> PhaseReport:
    """Compare a state with phases with a reference state, by sums over all 2^N configurations.

    Args:
        rbm: the state of an RBM, up to 20 sites.
        state: the reference, such as `quench` returns.
        observables: sums of Pauli strings in any bases, as for `psiprune.evaluate`.

    Raises:
        InputError: the numbers of sites differ or exceed 20, or an observable is invalid.
    """
    reference = state.to_vector().astype(np.complex128)
    fidelity = rbm.fidelity(reference)
    p, q = np.abs(rbm.vector) ** 2, np.abs(reference) ** 2
    occurs = q > 0
    kl = float(q[occurs] @ np.log(q[occurs] / p[occurs]))
    means: dict[str, tuple[float, float]] = {}
    if state.model is not None:
        model = state.model
        operator = model.hamiltonian() if isinstance(model, TFIM) else model
        means["energy"] = rbm.expectation(operator), expectation(reference, operator)
    for name, observable in as_observables(observables, rbm.visible).items():
        if not isinstance(observable, PauliObservable):
            raise InputError(
                f"observable: must be a sum of Pauli strings such as 'X0 Y3' for a state with "
                f"phases, found {name}"
            )
        sums = observable.operator
        means[name] = rbm.expectation(sums), expectation(reference, sums)
    entropy = _half_entropy(rbm.vector), _half_entropy(reference)
    return PhaseReport(fidelity, kl, entropy, means)


def _half_entropy(vector: NDArray[np.complex128]) -> float:
    found = entanglement(vector).entropy
    assert found is not None  # as the vector is known
    return found.value
