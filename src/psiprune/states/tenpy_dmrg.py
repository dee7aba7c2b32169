"""Runs of TeNPy's DMRG, silent and with one set of options."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.progress import count
from psiprune.core.threads import single_blas_thread
from psiprune.states.mps import MPS, Model, mps_from_tensors

#: Largest bond dimension of the first two sweeps.
_FIRST_BOND = 20
#: Options of TeNPy's DMRG.
_OPTIONS: dict[str, Any] = {
    "max_trunc_err": None,  # the caller checks the accuracy
    "max_E_err": 1e-12,
    "max_S_err": 1e-6,
    "N_sweeps_check": 1,
    "min_sweeps": 3,
    "max_sweeps": 30,
}


class Solution(NamedTuple):
    """<H>, <H^2> - <H>^2 and the largest weight discarded at one bond in the last sweep."""

    energy: float
    variance: float
    truncation_error: float


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and log lines of TeNPy."""
    logger = logging.getLogger("tenpy")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def run_dmrg(
    psi: Any,
    model: Any,
    max_bond: int,
    svd_min: float,
    *,
    mixer: bool = False,
    orthogonal_to: list[Any] | None = None,
) -> Solution:
    """Turn TeNPy's `psi` into the lowest state of its model, by two-site DMRG, unchecked.

    Args:
        psi: the start, which becomes the result.
        model: has a matrix product operator, `H_MPO`.
        max_bond, svd_min: how bonds are cut.
        mixer: whether to perturb the first sweeps, which then leave local minima; several times
            slower.
        orthogonal_to: states of TeNPy that the result must be orthogonal to.
    """
    from tenpy.algorithms import dmrg
    from tenpy.tools import optimization

    options = {
        **_OPTIONS,
        "mixer": mixer or None,
        # The first sweeps need not be accurate.
        "chi_list": {0: min(_FIRST_BOND, max_bond), 2: max_bond},
        "trunc_params": {"svd_min": svd_min},
    }
    # The blocks are small: BLAS threads and argument checks would only cost time.
    with (
        single_blas_thread(),
        optimization.temporary_level(optimization.OptimizationFlag.skip_arg_checks),
    ):
        engine = dmrg.TwoSiteDMRGEngine(psi, model, options, orthogonal_to=orthogonal_to)
        engine.checkpoint.connect(lambda _: count("sweeps"))
        engine.run()
        psi.canonical_form()
        energy = float(model.H_MPO.expectation_value(psi))
        variance = float(model.H_MPO.variance(psi, energy))
    return Solution(energy, max(0.0, variance), float(engine.sweep_stats["max_trunc_err"][-1]))


def mps_of(psi: Any, found: Solution, model: Model) -> MPS:
    """Return TeNPy's state in our Z basis, with what the run has found."""
    return replace(
        mps_from_tensors([_rotated(psi, site) for site in range(psi.L)]),
        energy=found.energy,
        energy_variance=found.variance,
        truncation_error=found.truncation_error,
        model=model,
    )


def _rotated(psi: Any, site: int) -> NDArray[np.float64]:
    tensor = psi.get_B(site).itranspose(["vL", "p", "vR"]).to_ndarray()
    # TeNPy's Z is our X. Parity conservation may reorder its basis, so states go by name.
    up, down = (tensor[:, psi.sites[site].state_index(name)] for name in ("up", "down"))
    return np.stack([up + down, up - down], axis=1) / np.sqrt(2)
