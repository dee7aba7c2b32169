"""Ground states of sums of Pauli strings by TeNPy's DMRG, checked."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from psiprune.core.exceptions import ConvergenceError, InputError
from psiprune.core.limits import DIAGONALISED_SITES
from psiprune.core.progress import progress_bar
from psiprune.states.diagonalise import lowest_states
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import MPS, mps_from_vector
from psiprune.states.one_sign import check_one_sign, z_rotated
from psiprune.states.sampling import sample
from psiprune.states.signs import Rotation, likely_rotation
from psiprune.states.tenpy_dmrg import mps_of, quiet, run_dmrg
from psiprune.states.tensors import log_amplitudes

_LOG = logging.getLogger(__name__)
#: Largest relative deviation of a converged energy from exact diagonalisation.
ENERGY_TOLERANCE = 1e-9
#: Largest <H^2> - <H>^2 of a converged ground state, relative to <H>^2.
VARIANCE_TOLERANCE = 1e-10
#: Relative distance of the second state below which the lowest counts as degenerate.
GAP_TOLERANCE = 1e-8
#: Limits of the largest coefficient; beyond, the energy squared is not a normal float.
SMALLEST_SCALE, LARGEST_SCALE = 1e-150, 1e150
#: Sweeps that DMRG usually takes, for the progress bar.
_EXPECTED_SWEEPS = 8
#: Configurations whose amplitudes must have one sign.
_SAMPLES = 1000
#: TeNPy's Z is our X. i Y is real, as there is an even number of Y.
_OPERATORS = {"X": "Sigmaz", "Y": "iSigmay", "Z": "Sigmax"}


def pauli_ground_state(
    model: Hamiltonian, max_bond: int, svd_min: float, progress: bool, most: float | None = None
) -> MPS:
    """Find the ground state of a Hamiltonian, of a variance up to `most`; see `ground_state`."""
    most = VARIANCE_TOLERANCE if most is None else most
    rotation = likely_rotation(model)
    scale = max(abs(term.coefficient) for term in model.terms if term.flips or term.signs)
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise InputError(
            f"hamiltonian: the largest coefficient must be from {SMALLEST_SCALE:g} to"
            f" {LARGEST_SCALE:g}, found {scale:g}; give energies in other units"
        )
    # TeNPy's tolerances are absolute. Without the identity, the lowest energy is below 0 and a
    # scale for errors.
    unit = _traceless(model).rotated(rotation.sites) * (1 / scale)
    exact = lowest_states(unit) if unit.sites <= DIAGONALISED_SITES else None
    if exact is not None:
        gap = exact.gap
        if rotation.doubt and unit.is_even:  # else the lowest state is even
            gap = min(gap, lowest_states(unit, odd=True).energy - exact.energy)
        _check_gap(gap, exact.energy, rotation.doubt)
    with progress_bar(_EXPECTED_SWEEPS, "DMRG", "sweeps", progress):
        if exact is not None and unit.sites <= 3:  # two-site sweeps need more room
            state = mps_from_vector(exact.vector, unit, max_bond)
        else:
            state = _dmrg(unit, max_bond, svd_min, None if exact else rotation, most)
    energy_error = 0.0 if exact is None else abs(state.energy / exact.energy - 1)
    variance = state.energy_variance / state.energy**2
    if not (energy_error <= ENERGY_TOLERANCE and variance <= most):
        raise ConvergenceError(
            f"ground_state: not converged for {_named(model)} with max_bond={max_bond}: relative"
            f" energy error {energy_error:.1e} (limit {ENERGY_TOLERANCE:g}), relative variance"
            f" {variance:.1e} (limit {most:g}); raise max_bond"
        )
    check_one_sign(state, rotation)
    if not rotation.doubt:
        _check_lowest(state, model)
    _LOG.info(
        "ground state of %s: bond dimension %d, relative variance %.1e, Z on sites %s",
        _named(model),
        max(state.bond_dimensions),
        variance,
        rotation.sites,
    )
    return replace(
        z_rotated(state, rotation.sites),
        energy=state.energy * scale + model.offset,
        energy_variance=state.energy_variance * scale**2,
        model=model,
    )


def _check_lowest(state: MPS, model: Hamiltonian) -> None:
    """Raise ConvergenceError if samples have both signs, as excited states have."""
    signs, _ = log_amplitudes(state.tensors, sample(state, _SAMPLES, progress=False).bits)
    if signs.min() != signs.max():
        raise ConvergenceError(
            f"ground_state: found an excited state of {_named(model)}, whose amplitudes have both"
            " signs; raise max_bond"
        )


def _named(model: Hamiltonian) -> str:
    return model.name or f"a Hamiltonian of {model.sites} sites"


def _traceless(model: Hamiltonian) -> Hamiltonian:
    if model.offset == 0:
        return model
    return model - Hamiltonian([(model.offset, {})], model.sites)


def _check_gap(gap: float, energy: float, doubt: str = "") -> None:
    """Raise InputError if the second state is as low as the first; a doubt is the better reason."""
    if gap <= GAP_TOLERANCE * abs(energy):
        if doubt:
            raise InputError(doubt)
        raise InputError(
            f"hamiltonian: the ground state is degenerate: the second state is"
            f" {max(gap / abs(energy), 0.0):.1e} of the energy above it (limit {GAP_TOLERANCE:g});"
            " add a term that selects one, such as a small field"
        )


def _dmrg(
    unit: Hamiltonian,
    max_bond: int,
    svd_min: float,
    rotation: Rotation | None,
    most: float = VARIANCE_TOLERANCE,
) -> MPS:
    """Return the lowest state by TeNPy with its energy variance.

    The bonds' two-site updates are repeated with a mixer where they end in no eigenstate. Of a
    given rotation, it is checked that the lowest state is unique.
    """
    with quiet():
        # Imported late, as it takes longer than the rest of the package together.
        from tenpy.networks.mps import MPS as TenpyMPS

        chain = _tenpy_model(unit, 0.0)

        def start(first: str = "up") -> Any:
            # All spins along X: even, and of positive overlap with the ground state.
            spins = [first, *["up"] * (unit.sites - 1)]
            return TenpyMPS.from_product_state(chain.lat.mps_sites(), spins)

        psi = start()
        found = run_dmrg(psi, chain, max_bond, svd_min)
        if not found.variance <= most * found.energy**2:
            psi = start()
            found = run_dmrg(psi, chain, max_bond, svd_min, mixer=True)
        if rotation is not None and not rotation.unique:
            # TeNPy gives states that are projected out the energy 0, so all others must be lower.
            shift = sum(abs(term.coefficient) for term in unit.terms)
            second = run_dmrg(
                start(), _tenpy_model(unit, shift), max_bond, svd_min, orthogonal_to=[psi]
            )
            gap = second.energy + shift - found.energy
            if rotation.doubt and unit.is_even:
                odd = run_dmrg(start("down"), chain, max_bond, svd_min, mixer=True)
                gap = min(gap, odd.energy - found.energy)
            _check_gap(gap, found.energy, rotation.doubt)
        return mps_of(psi, found, unit)


def _tenpy_model(unit: Hamiltonian, shift: float) -> Any:
    """Return H - shift as a model of TeNPy, X and Z exchanged; parity is conserved if H does."""
    from tenpy.models.lattice import Chain
    from tenpy.models.model import CouplingModel, MPOModel
    from tenpy.networks.site import SpinHalfSite

    spin = SpinHalfSite(conserve="parity" if unit.is_even else None)
    spin.add_op("iSigmay", spin.Sp - spin.Sm)
    lattice = Chain(unit.sites, spin)
    couplings = CouplingModel(lattice)
    for term in unit.terms:
        sites = list(term.letters)
        operators = [_OPERATORS[letter] for letter in term.letters.values()]
        # (i Y)^n = i^n Y^n; the sign that the exchange gives to Y cancels, too.
        value = term.coefficient * (-1) ** (operators.count("iSigmay") // 2)
        match len(sites):
            case 1:
                couplings.add_onsite_term(value, sites[0], operators[0])
            case 2:
                couplings.add_coupling_term(value, *sites, *operators)
            case _:
                couplings.add_multi_coupling_term(value, sites, operators, "Id")
    if shift:
        couplings.add_onsite_term(-shift, 0, "Id")
    return MPOModel(lattice, couplings.calc_H_MPO())
