"""Time evolution of product states: exact by Chebyshev polynomials, or by TeNPy's two-site TDVP."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import ConvergenceError, InputError
from psiprune.core.limits import DIAGONALISED_SITES
from psiprune.core.progress import count, progress_bar
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_number
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import MPS, mps_from_tensors, mps_from_vector
from psiprune.states.spin_models import SpinModel
from psiprune.states.tenpy_dmrg import quiet
from psiprune.states.tfim import TFIM

#: Largest change of <H>, which evolution conserves, relative to the sum of all |coefficients|.
ENERGY_TOLERANCE = 1e-6
#: Largest weight discarded at all bonds and steps together.
TRUNCATION_TOLERANCE = 1e-6
#: Singular values below this are dropped in each step; 20 steps of 16 sites lose 6e-11 in all.
_SVD_MIN = 1e-6
#: Chebyshev coefficients below this are left out.
_SMALLEST = 1e-17
#: Amplitudes of a site, [physical], by its letter.
_PRODUCT = {
    "0": (1.0, 0.0),
    "1": (0.0, 1.0),
    "+": (0.5**0.5, 0.5**0.5),
    "-": (0.5**0.5, -(0.5**0.5)),
}
_TENPY = {"X": "Sigmax", "Y": "Sigmay", "Z": "Sigmaz"}


def quench(
    model: TFIM | SpinModel | Hamiltonian,
    time: float,
    *,
    initial: str = "0",
    max_bond: int = 128,
    step: float = 0.05,
    progress: bool = True,
) -> MPS:
    """Return exp(-i H t) |initial>, a state with phases.

    Up to 16 sites all amplitudes are evolved exactly, by Chebyshev polynomials of H; `max_bond`
    and `step` then do not matter. Above, TeNPy's two-site TDVP evolves a matrix product state,
    whose energy must stay what it was and whose truncation must stay small.

    The state keeps the Hamiltonian, of which it is no eigenstate, and its energy.

    Args:
        model: the Hamiltonian after the quench.
        time: t >= 0, in units of the inverse energies of the model.
        initial: the product state before it: 0 or 1 (Z = +1, -1), + or - (X = +1, -1) for each
            site, or one of them for all.
        max_bond: largest bond dimension above 16 sites.
        step: time step of TDVP.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Raises:
        InputError: a letter of `initial` is unknown, there are not as many as sites, or a number is
            out of range.
        ConvergenceError: more than 1e-6 of the weight was discarded, or the energy changed by more
            than 1e-6 of the sum of all coefficients; a larger `max_bond` or a smaller `step` helps.

    Source: Tal-Ezer and Kosloff, J. Chem. Phys. 81, 3967 (1984); Haegeman et al., Phys. Rev. B 94,
    165116 (2016).
    """
    h = model if isinstance(model, Hamiltonian) else model.hamiltonian()
    time = check_number("time", time, "a number of at least 0", lambda t: t >= 0)
    step = check_number("step", step, "a number above 0", lambda t: t > 0)
    check_count("max_bond", max_bond, 1)
    letters = _letters(initial, h.sites)
    if h.sites <= DIAGONALISED_SITES:
        vector = np.ones(1)
        for letter in letters:  # site 0 is the lowest bit
            vector = np.kron(_PRODUCT[letter], vector)
        state = mps_from_vector(evolve(h, vector, time))
    else:
        state = _tdvp(h, letters, time, max_bond, step, progress)
    name = h.name or repr(h)
    origin = f"{initial} evolved by {name} for the time {time:g}"
    return replace(state, model=h, energy=state.expectation(h), origin=origin)


def initial_energy(model: Hamiltonian, initial: str) -> float:
    """Return <H> of a product state as in `quench`."""
    tensors = [np.reshape(_PRODUCT[each], (1, 2, 1)) for each in _letters(initial, model.sites)]
    return mps_from_tensors(tensors).expectation(model)


def evolve(model: Hamiltonian, vector: NDArray[Any], time: float) -> NDArray[np.complex128]:
    """Return exp(-i H t) |vector> of amplitudes [2^N], to rounding errors.

    exp(-i R t x) = sum_k c_k T_k(x), c_k = (2 - [k = 0]) (-i)^k J_k(R t), with x = H / R and R the
    sum of all |coefficients|, so that the spectrum of x lies in [-1, 1].
    """
    from scipy.special import jv

    radius = sum(abs(term.coefficient) for term in model.terms)
    argument = radius * time
    # J_k falls faster than exponentially beyond k = R t.
    orders = np.arange(math.ceil(argument + 20 * (argument + 1) ** (1 / 3) + 40))
    weights = 2 * (-1j) ** (orders % 4) * jv(orders, argument)
    weights[0] /= 2
    kept = int(np.flatnonzero(np.abs(weights) > _SMALLEST)[-1])
    h = _sparse(model) / radius
    before, now = vector.astype(np.complex128), h @ vector
    total = weights[0] * before
    for weight in weights[1 : kept + 1]:
        total += weight * now
        before, now = now, 2 * (h @ now) - before
    return np.asarray(total / np.linalg.norm(total))


def _letters(initial: str, sites: int) -> str:
    letters = initial * sites if len(initial) == 1 else initial
    wrong = next((letter for letter in letters if letter not in _PRODUCT), None)
    if wrong is not None or len(letters) != sites:
        found = f"{len(letters)} letters" if wrong is None else repr(wrong)
        raise InputError(
            f"initial: must be 0, 1, + or - for each of {sites} sites, or one of them for all, "
            f"found {found}"
        )
    return letters


def _sparse(model: Hamiltonian) -> Any:
    """Return H as a sparse matrix [2^N, 2^N], complex if a string has an odd number of Y."""
    from scipy.sparse import csr_array

    if all(term.is_real for term in model.terms):
        return model.to_sparse()
    index = np.arange(2**model.sites)
    entries = [
        term.weight * (1.0 - 2.0 * (np.bitwise_count(index & term.signs) & 1))
        for term in model.terms
    ]
    rows = np.concatenate([index ^ term.flips for term in model.terms])
    columns = np.tile(index, len(model.terms))
    return csr_array((np.concatenate(entries), (rows, columns)))


def _tdvp(
    model: Hamiltonian, letters: str, time: float, max_bond: int, step: float, progress: bool
) -> MPS:
    """Evolve a product state by two-site TDVP, and check energy and truncation."""
    steps = max(1, math.ceil(time / step - 1e-9))
    with quiet(), single_blas_thread(), progress_bar(steps, "evolution", "steps", progress):
        # Imported late, as it takes longer than the rest of the package together.
        from tenpy.algorithms.tdvp import TwoSiteTDVPEngine
        from tenpy.networks.mps import MPS as TenpyMPS
        from tenpy.tools import optimization

        chain = _tenpy_model(model)
        sites = chain.lat.mps_sites()
        order = [sites[0].state_index(name) for name in ("up", "down")]
        start = [np.array(_PRODUCT[letter], complex)[np.argsort(order)] for letter in letters]
        psi = TenpyMPS.from_product_state(sites, start, dtype=complex)
        options = {
            "dt": time / steps,
            "N_steps": 1,
            "trunc_params": {"chi_max": max_bond, "svd_min": _SVD_MIN},
        }
        with optimization.temporary_level(optimization.OptimizationFlag.skip_arg_checks):
            engine = TwoSiteTDVPEngine(psi, chain, options)
            for _ in range(steps):
                engine.run()
                count("steps")
        tensors = [
            psi.get_B(site).itranspose(["vL", "p", "vR"]).to_ndarray()[:, order]
            for site in range(psi.L)
        ]
        lost = float(engine.trunc_err.eps)
    state = replace(mps_from_tensors(tensors), truncation_error=lost)
    before = mps_from_tensors(
        [np.reshape(_PRODUCT[letter], (1, 2, 1)) for letter in letters]
    ).expectation(model)
    scale = sum(abs(term.coefficient) for term in model.terms)
    change = abs(state.expectation(model) - before) / scale
    if not (lost <= TRUNCATION_TOLERANCE and change <= ENERGY_TOLERANCE):
        raise ConvergenceError(
            f"quench: not accurate at time {time:g} with max_bond={max_bond}, step={step:g}: "
            f"discarded weight {lost:.1e} (limit {TRUNCATION_TOLERANCE:g}), relative change of "
            f"energy {change:.1e} (limit {ENERGY_TOLERANCE:g}); raise max_bond, or lower step"
        )
    return state


def _tenpy_model(model: Hamiltonian) -> Any:
    """Return H as a model of TeNPy without conserved quantities, in our basis."""
    from tenpy.models.lattice import Chain
    from tenpy.models.model import CouplingModel, MPOModel
    from tenpy.networks.site import SpinHalfSite

    lattice = Chain(model.sites, SpinHalfSite(conserve=None))
    couplings = CouplingModel(lattice)
    for term in model.terms:
        sites = list(term.letters)
        operators = [_TENPY[letter] for letter in term.letters.values()]
        match len(sites):
            case 0:
                couplings.add_onsite_term(term.coefficient, 0, "Id")
            case 1:
                couplings.add_onsite_term(term.coefficient, sites[0], operators[0])
            case 2:
                couplings.add_coupling_term(term.coefficient, *sites, *operators)
            case _:
                couplings.add_multi_coupling_term(term.coefficient, sites, operators, "Id")
    return MPOModel(lattice, couplings.calc_H_MPO())
