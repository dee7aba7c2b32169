"""Exact states truncated to a bond dimension, for comparison with RBMs of as many parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.threads import single_blas_thread
from psiprune.experiments.problem import Problem
from psiprune.metrics.divergence import fidelity, kl_divergence
from psiprune.metrics.measure import relative_error
from psiprune.metrics.observables import reference_observables
from psiprune.states.mps import MPS, mps_from_vector
from psiprune.states.truncation import parity_parameters, truncated_mps


@single_blas_thread()
def truncated_states(problems: Sequence[Problem], bonds: Sequence[int]) -> xr.Dataset:
    """Return the measures of the exact states truncated to each bond dimension.

    Up to 20 sites KL and infidelity are sums over all states, above they are means over the shots,
    which are draws of the exact state.

    Returns:
        mps_parameters, mps_parity_parameters (see `parity_parameters`), mps_kl, mps_infidelity and
        mps_abs_magnetization_bias over field and bond.
    """
    names = ("parameters", "parity_parameters", "kl", "infidelity", "abs_magnetization_bias")
    rows = []
    for problem in problems:
        of_shots = np.empty(0)
        if problem.reference.log_q is None:
            of_shots = problem.reference.state.log_prob(problem.shots)
        for bond in bonds:
            state, kl, overlap = _truncated(problem, bond, of_shots)
            exact = problem.reference.observables.abs_magnetization
            bias = relative_error(exact, reference_observables(state).abs_magnetization)[1]
            rows.append((state.free_parameters, parity_parameters(state), kl, 1 - overlap, bias))
    shape = (len(problems), len(bonds))
    return xr.Dataset(
        {
            f"mps_{name}": (("field", "bond"), np.reshape(values, shape))
            for name, values in zip(names, zip(*rows, strict=True), strict=True)
        },
        {"field": [problem.field for problem in problems], "bond": list(bonds)},
    )


def _truncated(
    problem: Problem, bond: int, of_shots: NDArray[np.float64]
) -> tuple[MPS, float, float]:
    """Return the truncated state, its KL divergence and its fidelity.

    `of_shots` is ln p of each shot in the exact state, where sums over all states are too long.
    """
    exact, log_q = problem.reference.state, problem.reference.log_q
    if log_q is not None:
        state = mps_from_vector(exact.to_vector(), max_bond=bond)
        with np.errstate(divide="ignore"):
            log_p = 2.0 * np.log(np.abs(state.to_vector()))
        return state, kl_divergence(log_q, log_p), fidelity(log_q, log_p)
    state = truncated_mps(exact, bond)
    gap = of_shots - state.log_prob(problem.shots)
    # The mean of p / q over draws of q is 1, and no term of this sum is below 0.
    kl = float((gap + np.expm1(-gap)).mean())
    return state, kl, float(np.exp(-gap / 2).mean() ** 2)
