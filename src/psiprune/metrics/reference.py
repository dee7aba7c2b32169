"""A reference state with everything that evaluations of RBMs against it share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.repr import one_line
from psiprune.core.threads import single_blas_thread
from psiprune.metrics.custom import check_names
from psiprune.metrics.entanglement import Entanglement, entanglement
from psiprune.metrics.entropy_observable import check_rbm_size, is_entropy_of_report
from psiprune.metrics.observable_text import GivenObservables, as_observables
from psiprune.metrics.observables import Observables, reference_observables
from psiprune.metrics.observed import Target, estimate_of_state, rotated
from psiprune.metrics.state_report import Report
from psiprune.states.hamiltonian import Hamiltonian, positions_of
from psiprune.states.mps import MPS, Model
from psiprune.states.one_sign import check_one_sign, z_rotated
from psiprune.states.signs import likely_rotation

Float64 = NDArray[np.float64]


@one_line
@dataclass(frozen=True, eq=False)
class Reference:
    """A reference state with everything that is computed from it once.

    Attributes:
        state: the MPS.
        model: its Hamiltonian, in the frame where psi = sqrt(p); without one the energy metrics are
            NaN.
        observables: exact, from the tensors.
        log_q: log |<v|Psi>|^2 over the whole basis [2^N], or None above 20 sites.
        custom: further observables by name.
    """

    state: MPS
    model: Model | None
    observables: Observables
    log_q: Float64 | None
    custom: Mapping[str, Target] = field(default_factory=dict)

    @cached_property
    def entanglement(self) -> Entanglement:
        """The entanglement of the first N // 2 sites of the state with the others."""
        return entanglement(self.state)


#: Names that a further observable cannot have: of metrics, and of variables beside them in files.
_TAKEN = (
    *(item.name for item in fields(Report)),
    *("infidelity", "weights", "mask", "visible_bias", "hidden_bias", "weights_kept"),
)


@single_blas_thread()
def reference_of(state: MPS, observables: GivenObservables | None = None) -> Reference:
    """Prepare a state as the reference of many evaluations.

    A Z on the sites of `likely_rotation`, which changes no probability, may make the state of a
    `Hamiltonian` positive.

    Args:
        state: the state.
        observables: further ones to compare, in the frame of the state: functions of bits, sums of
            Pauli strings or names, see `as_observables`. "entropy" and "renyi2" are in every
            `Report` and are not added again.

    Raises:
        InputError: phases, or amplitudes of both signs (seen up to 20 sites), which sqrt(p) cannot
            have, a Hamiltonian without such a rotation, or an observable that cannot be read.
    """
    if state.is_complex:
        raise InputError(
            "state: has amplitudes with phases, but an RBM represents psi = sqrt(p) >= 0; give a "
            "state without, or measure it in several bases (psiprune sample --bases random:13)"
        )
    further = as_observables(observables, state.sites, positions_of(state.model))
    check_rbm_size(further, state.sites)
    further = {
        name: each
        for name, each in further.items()
        if not is_entropy_of_report(name, each, state.sites)
    }
    check_names(further, _TAKEN)
    model, log_q, turned, doubt = state.model, None, 0, ""
    sites: tuple[int, ...] = ()
    if isinstance(model, Hamiltonian):
        rotation = likely_rotation(model)
        sites, doubt = rotation.sites, rotation.doubt
        check_one_sign(z_rotated(state, sites), rotation)
        model, turned = model.rotated(sites), sum(1 << site for site in sites)
    if state.sites <= EXACT_SITES:
        vector = state.to_vector()
        if turned:
            vector = vector * (1.0 - 2.0 * (np.bitwise_count(np.arange(len(vector)) & turned) & 1))
        if not doubt and min(-vector.min(), vector.max()) > 1e-6:
            raise InputError(
                "state: has amplitudes of both signs, but an RBM represents psi = sqrt(p) >= 0; "
                "choose a basis in which the state is positive"
            )
        with np.errstate(divide="ignore"):  # amplitude 0
            log_q = 2.0 * np.log(np.abs(vector))
    targets = {
        name: Target(rotated(each, sites), estimate_of_state(name, each, state, log_q))
        for name, each in further.items()
    }
    return Reference(state, model, reference_observables(state), log_q, targets)
