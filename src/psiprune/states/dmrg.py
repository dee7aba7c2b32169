"""Ground states by TeNPy's DMRG, converted to our basis and checked."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from psiprune.core.exceptions import ConvergenceError, InputError
from psiprune.core.progress import progress_bar
from psiprune.core.validation import check_count, check_number
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import MPS, mps_from_vector
from psiprune.states.pauli_dmrg import (
    ENERGY_TOLERANCE,
    LARGEST_SCALE,
    SMALLEST_SCALE,
    VARIANCE_TOLERANCE,
    pauli_ground_state,
)
from psiprune.states.spin_models import SpinModel
from psiprune.states.tenpy_dmrg import mps_of, quiet, run_dmrg
from psiprune.states.tfim import TFIM

_LOG = logging.getLogger(__name__)
#: Sweeps that DMRG usually takes, for the progress bar.
_EXPECTED_SWEEPS = 6


def ground_state(
    model: TFIM | SpinModel | Hamiltonian,
    max_bond: int = 200,
    svd_min: float = 1e-10,
    *,
    max_variance: float | None = None,
    progress: bool = True,
) -> MPS:
    """Find the ground state by two-site DMRG, of even parity where the model conserves that.

    Parity, prod X_i, is conserved exactly, so in an ordered phase the nearly degenerate odd state
    cannot mix in. The energy of a `TFIM` is checked against free fermions (1e-9, relative), that of
    another model of at most 16 sites against exact diagonalisation, and the energy variance of all
    (1e-10 of the energy squared).

    As psi = sqrt(p) >= 0 for an RBM, other models must allow for a Z on some sites that makes all
    amplitudes positive (`likely_rotation`, tested by the amplitudes where its terms contradict each
    other); the state returned is that of the model as given. Its
    ground state must also be unique.

    Args:
        model: a chain, another ready-made model, or a `Hamiltonian`; two or more sites.
        max_bond: the largest bond dimension; the default suffices at h = J and N = 100.
        svd_min: singular values below this are dropped.
        max_variance: the largest energy variance accepted of a model other than `TFIM`, relative to
            the energy squared (default: 1e-10). Wide lattices at a critical point reach 1e-8 at
            a bond dimension that is still quick.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Raises:
        ConvergenceError: the state fails these checks; a larger `max_bond` may help.
        InputError: `max_bond` is not a positive integer; the larger of |J| and h, or the largest
            coefficient, is outside 1e-150 .. 1e150, where its square is not a float; no rotation
            makes psi positive, or the ground state is degenerate.

    Source: S. R. White, Phys. Rev. Lett. 69, 2863 (1992); the implementation is TeNPy's
    (Hauschild et al., SciPost Phys. Codebases 41 (2024)).
    """
    check_count("max_bond", max_bond, 1)
    if max_variance is not None:
        check_number("max_variance", max_variance, "a number above 0", lambda x: x > 0)
    if isinstance(model, SpinModel):
        model = model.hamiltonian()
    if isinstance(model, Hamiltonian):
        return pauli_ground_state(model, max_bond, svd_min, progress, max_variance)
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


def _dmrg(model: TFIM, max_bond: int, svd_min: float) -> MPS:
    """Return the lowest state of even parity by TeNPy with its energy variance, unchecked."""
    with quiet():
        # Imported late, as it takes longer than the rest of the package together.
        from tenpy.models.tf_ising import TFIChain
        from tenpy.networks.mps import MPS as TenpyMPS

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
        # With only nearest neighbours and one symmetry, two-site updates suffice; a mixer takes
        # several times as long. The checks afterwards would detect a stuck state.
        found = run_dmrg(psi, chain, max_bond, svd_min)
        return mps_of(psi, found, model)
