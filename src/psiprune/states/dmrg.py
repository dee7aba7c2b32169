"""Ground states by TeNPy's DMRG, converted to our basis and checked."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import ConvergenceError, InputError
from psiprune.core.progress import count, progress_bar
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count
from psiprune.states.mps import MPS, mps_from_tensors, mps_from_vector
from psiprune.states.tfim import TFIM

_LOG = logging.getLogger(__name__)
#: Largest relative deviation of a converged energy from the free-fermion energy.
ENERGY_TOLERANCE = 1e-9
#: Largest <H^2> - <H>^2 of a converged ground state, relative to <H>^2.
VARIANCE_TOLERANCE = 1e-10
#: Limits of the larger of |J| and h; beyond, the energy squared is not a normal float.
SMALLEST_SCALE, LARGEST_SCALE = 1e-150, 1e150
#: Sweeps that DMRG usually takes, for the progress bar.
_EXPECTED_SWEEPS = 6
#: Largest bond dimension of the first two sweeps.
_FIRST_BOND = 20
#: Options of TeNPy's DMRG.
_OPTIONS: dict[str, Any] = {
    # With only nearest neighbours and one symmetry, two-site updates suffice; a mixer takes
    # several times as long. The checks afterwards would detect a stuck state.
    "mixer": None,
    "max_trunc_err": None,  # the caller checks the accuracy
    "max_E_err": 1e-12,
    "max_S_err": 1e-6,
    "N_sweeps_check": 1,
    "min_sweeps": 3,
    "max_sweeps": 30,
}


def ground_state(
    model: TFIM, max_bond: int = 200, svd_min: float = 1e-10, *, progress: bool = True
) -> MPS:
    """Find the ground state of even parity, <prod X_i> = +1, by two-site DMRG.

    Parity is conserved exactly, so below h = |J| the nearly degenerate odd state cannot mix in.
    The result is checked against the free-fermion energy (1e-9, relative) and by its energy
    variance (1e-10 of the energy squared).

    Args:
        model: the chain; two or more sites.
        max_bond: the largest bond dimension; the default suffices at h = J and N = 100.
        svd_min: singular values below this are dropped.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Raises:
        ConvergenceError: the state fails these checks; a larger `max_bond` may help.
        InputError: `max_bond` is not a positive integer, or the larger of |J| and h is outside
            1e-150 .. 1e150, where its square is not a float.

    Source: S. R. White, Phys. Rev. Lett. 69, 2863 (1992); the implementation is TeNPy's
    (Hauschild et al., SciPost Phys. Codebases 41 (2024)).
    """
    check_count("max_bond", max_bond, 1)
    scale = max(abs(model.coupling), model.field)
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise InputError(
            f"field, coupling: the larger of h and |J| must be from {SMALLEST_SCALE:g} to"
            f" {LARGEST_SCALE:g}, found {scale:g}; the state depends only on h/J, so give both in"
            " other units"
        )
    # TeNPy's tolerances are absolute, so the chain is in units of the larger of |J| and h. A field
    # that underflows to 0 in these units must stay positive.
    unit = TFIM(
        sites=model.sites,
        field=max(model.field / scale, np.finfo(np.float64).tiny),
        coupling=model.coupling / scale,
    )
    if unit.sites <= 3:  # two-site sweeps need more room
        state = mps_from_vector(unit.ground_state_vector(), unit, max_bond)
    else:
        with progress_bar(_EXPECTED_SWEEPS, "DMRG", "sweeps", progress):
            state = _dmrg(unit, max_bond, svd_min)
    exact = unit.ground_energy()
    energy_error = abs(state.energy - exact) / abs(exact)
    variance = state.energy_variance / exact**2
    if not (energy_error <= ENERGY_TOLERANCE and variance <= VARIANCE_TOLERANCE):
        raise ConvergenceError(
            f"ground_state: not converged for sites={model.sites}, field={model.field:g},"
            f" coupling={model.coupling:g} with max_bond={max_bond}: relative energy error"
            f" {energy_error:.1e} (limit {ENERGY_TOLERANCE:g}), relative variance {variance:.1e}"
            f" (limit {VARIANCE_TOLERANCE:g}); raise max_bond"
        )
    _LOG.info(
        "ground state of %d sites, h = %g, J = %g: bond dimension %d, relative energy error %.1e",
        model.sites,
        model.field,
        model.coupling,
        max(state.bond_dimensions),
        energy_error,
    )
    return replace(
        state,
        energy=state.energy * scale,
        energy_variance=state.energy_variance * scale**2,
        model=model,
    )


@contextmanager
def _quiet() -> Iterator[None]:
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


def _dmrg(model: TFIM, max_bond: int, svd_min: float) -> MPS:
    """Return the lowest state of even parity by TeNPy with its energy variance, unchecked."""
    with _quiet():
        # Imported late, as it takes longer than the rest of the package together.
        from tenpy.algorithms import dmrg
        from tenpy.models.tf_ising import TFIChain
        from tenpy.networks.mps import MPS as TenpyMPS
        from tenpy.tools import optimization

        # TeNPy's chain is rotated: X X for the coupling and Z for the field.
        chain = TFIChain(
            {
                "L": model.sites,
                "J": model.coupling,
                "g": model.field,
                "bc_MPS": "finite",
                "conserve": "parity",
            }
        )
        # All spins along the field: even, and the ground state for large h.
        psi = TenpyMPS.from_product_state(chain.lat.mps_sites(), ["up"] * model.sites)
        options = {
            **_OPTIONS,
            # The first sweeps need not be accurate.
            "chi_list": {0: min(_FIRST_BOND, max_bond), 2: max_bond},
            "trunc_params": {"svd_min": svd_min},
        }
        # The blocks are small: BLAS threads and argument checks would only cost time.
        with (
            single_blas_thread(),
            optimization.temporary_level(optimization.OptimizationFlag.skip_arg_checks),
        ):
            engine = dmrg.TwoSiteDMRGEngine(psi, chain, options)
            engine.checkpoint.connect(lambda _: count("sweeps"))
            engine.run()
            psi.canonical_form()
            energy = float(chain.H_MPO.expectation_value(psi))
            variance = float(chain.H_MPO.variance(psi, energy))
        tensors = [_z_basis(psi, site) for site in range(model.sites)]
    return replace(
        mps_from_tensors(tensors),
        energy=energy,
        energy_variance=max(0.0, variance),
        truncation_error=float(engine.sweep_stats["max_trunc_err"][-1]),
        model=model,
    )


def _z_basis(psi: Any, site: int) -> NDArray[np.float64]:
    """Return a tensor of TeNPy's state, [left, physical, right], rotated to our Z basis."""
    tensor = psi.get_B(site).itranspose(["vL", "p", "vR"]).to_ndarray()
    # TeNPy's Z is our X. Parity conservation may reorder its basis, so states go by name.
    up, down = (tensor[:, psi.sites[site].state_index(name)] for name in ("up", "down"))
    return np.stack([up + down, up - down], axis=1) / np.sqrt(2)
