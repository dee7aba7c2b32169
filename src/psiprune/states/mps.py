"""Matrix product states: probabilities and exact expectation values.

A state is psi(s_0 ... s_{N-1}) = A_0[s_0] A_1[s_1] ... A_{N-1}[s_{N-1}], each A_i an array [left,
physical, right] in the Z basis: physical index 0 is Z = +1 (bit 0), 1 is Z = -1 (bit 1). All
tensors are right-canonical, sum_s A_i[s] A_i[s]^+ = 1, so the norm sits at site 0.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.repr import notebook_table
from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.core.validation import check_count
from psiprune.data.shots import ShotsLike, as_shots, check_sites, without_readout_error
from psiprune.io.netcdf import read_arrays, write_arrays
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.saved_hamiltonian import (
    POSITION,
    VARIABLES,
    hamiltonian_from,
    variables_of,
)
from psiprune.states.tensors import (
    Tensors,
    as_matrix,
    as_real,
    check_chain,
    check_numbers,
    conjugate,
    environments,
    extend,
    log_probability,
    right_canonical,
)
from psiprune.states.tfim import TFIM, midpoint

#: Largest deviation of an MPS from right-canonical form, and of its norm from 1.
CANONICAL_TOLERANCE = 1e-8
#: Shots per chunk. Changing it changes the shots of a seed: a chunk has a random stream.
CHUNK = 1024
#: The Hamiltonian of a state.
Model = TFIM | Hamiltonian


@notebook_table("sites", "bond_dimensions", "energy", "energy_variance", "model", "origin")
@dataclass(frozen=True, eq=False, repr=False)
class MPS:
    """A normalised matrix product state with open ends, in the Z basis; real, or with phases.

    Attributes:
        tensors: one array [left, physical, right] per site, right-canonical; outer bonds are 1.
            float64, or all complex128.
        energy: <H>, total, in the units of the model; NaN without a Hamiltonian.
        energy_variance: <H^2> - <H>^2, in these units squared; NaN if it was not computed.
        truncation_error: the largest weight discarded at one bond when the state was made.
        model: the Hamiltonian of `energy`, whose ground state this is unless it has an origin.
        origin: how another state was made, in words.

    Raises:
        InputError: the tensors do not fit together, are not finite, or are not right-canonical
            with norm 1 to 1e-8; `mps_from_tensors` converts any tensors to that form.
    """

    tensors: Tensors
    energy: float = float("nan")
    energy_variance: float = float("nan")
    truncation_error: float = 0.0
    model: Model | None = None
    origin: str = ""

    def __post_init__(self) -> None:
        """Check the tensors and make them read-only."""
        tensors = check_chain(self.tensors)
        for site, tensor in enumerate(tensors):
            rows = as_matrix(tensor)
            if np.abs(rows @ conjugate(rows).T - np.eye(len(rows))).max() > CANONICAL_TOLERANCE:
                raise InputError(
                    f"tensors: site {site} is not right-canonical, or the norm is not 1;"
                    " make the state with mps_from_tensors"
                )
            tensor.setflags(write=False)
        if self.model is not None and self.model.sites != len(tensors):
            raise InputError(
                f"tensors: there are {len(tensors)}, but the model has {self.model.sites} sites"
            )
        object.__setattr__(self, "tensors", tensors)

    def __repr__(self) -> str:
        """Return the number of sites and the largest bond dimension in one short line."""
        kind = ", complex" if self.is_complex else ""
        return f"MPS(sites={self.sites}, max_bond={max(self.bond_dimensions)}{kind})"

    @property
    def sites(self) -> int:
        """The number of sites, N."""
        return len(self.tensors)

    @property
    def is_complex(self) -> bool:
        """Whether the tensors are complex, so that amplitudes may have phases."""
        return np.iscomplexobj(self.tensors[0])

    @property
    def bond_dimensions(self) -> tuple[int, ...]:
        """The dimensions of the N - 1 inner bonds, from left to right."""
        return tuple(tensor.shape[2] for tensor in self.tensors[:-1])

    @property
    def free_parameters(self) -> int:
        """2 sum_i chi_i chi_{i+1} - sum_i chi_i^2: tensor entries minus the gauge freedom.

        The second sum is over inner bonds, where A_i X, X^-1 A_{i+1} is the same state for any
        invertible X. The norm is included. With 18 sites chi = 2, 3, 4 give 68, 141, 240. Twice as
        many with complex tensors.
        """
        entries = sum(tensor.size for tensor in self.tensors)
        free = entries - sum(bond**2 for bond in self.bond_dimensions)
        return 2 * free if self.is_complex else free

    def log_prob(self, bits: ShotsLike) -> NDArray[np.float64]:
        """Return `ln |<bits|psi>|^2` of each shot, shape [shot]; -inf where it is 0.

        Raises:
            InputError: the bits are not zeros and ones, have another number of sites, or are shots
                with readout errors.
        """
        shots = check_sites(as_shots(bits), self.sites, "the state")
        table = without_readout_error(shots, "the probability of single configurations").bits
        chunks = [table[first : first + CHUNK] for first in range(0, len(table), CHUNK)]
        with single_blas_thread():
            return np.concatenate(
                map_threads(lambda rows: log_probability(self.tensors, rows), chunks)
            )

    def to_vector(self) -> NDArray[Any]:
        """Return all amplitudes, float64 or complex128 [2^N], at index sum_i bit_i 2^i.

        Raises:
            InputError: there are more than 20 sites.
        """
        if self.sites > EXACT_SITES:
            raise InputError(
                f"sites: at most {EXACT_SITES} fit in a vector, found {self.sites}; use log_prob"
            )
        vector: NDArray[Any] = np.ones((1, 1))  # [configuration, bond]
        for tensor in self.tensors:
            # The bit of the new site is the most significant so far.
            vector = np.concatenate(np.einsum("xa,asb->sxb", vector, tensor))
        return vector[:, 0]

    def transverse_magnetization(self) -> NDArray[np.float64]:
        """Return <X_i>, shape [site]."""
        left = environments(self.tensors)
        return np.array(
            [
                2 * np.einsum("ac,ab,cb->", env, conjugate(a[:, 0]), a[:, 1], optimize=True).real
                for env, a in zip(left, self.tensors, strict=False)
            ]
        )

    def magnetization(self) -> NDArray[np.float64]:
        """Return <Z_i>, shape [site]; 0 by symmetry in the ground state of even parity."""
        left = environments(self.tensors)
        return np.array(
            [np.trace(extend(env, a, -1)).real for env, a in zip(left, self.tensors, strict=False)]
        )

    def correlations(self) -> NDArray[np.float64]:
        """Return <Z_i Z_j>, shape [site, site], ones on the diagonal. Not connected."""
        matrix = np.eye(self.sites)
        left = environments(self.tensors)
        started: NDArray[Any] = np.empty((0, 1, 1))  # [site i, left, left'], with Z_i inside
        for j, a in enumerate(self.tensors):
            # Right of site j the contraction is 1 (right-canonical), so a trace closes it.
            matrix[:j, j] = matrix[j, :j] = np.trace(extend(started, a, -1), axis1=1, axis2=2).real
            started = np.concatenate([extend(started, a, 1), extend(left[j], a, -1)[None]])
        return matrix

    def correlation_from_midpoint(self) -> NDArray[np.float64]:
        """Return C(d) = <Z_a Z_{a+d}> - <Z_a><Z_{a+d}>, a = `midpoint(sites)`, shape [distance]."""
        a = midpoint(self.sites)
        z = self.magnetization()
        return self.correlations()[a, a:] - z[a] * z[a:]

    def expectation(self, operator: Hamiltonian) -> float:
        """Return `<operator>` of a sum of Pauli strings, exactly.

        A string with an odd number of Y is imaginary, so its mean is 0 if the state is real.

        Raises:
            InputError: the numbers of sites differ.
        """
        if operator.sites != self.sites:
            raise InputError(
                f"operator: has {operator.sites} sites, but the state has {self.sites} sites"
            )
        left, total = environments(self.tensors), 0.0
        terms = operator.terms if self.is_complex else filter(attrgetter("is_real"), operator.terms)
        for term in terms:
            both = term.flips | term.signs
            first, last = (both & -both).bit_length() - 1, both.bit_length() - 1
            env = left[max(0, first)]
            for site in range(max(0, first), last + 1):
                a = self.tensors[site]
                flipped, sign = term.flips >> site & 1, 1 - 2 * (term.signs >> site & 1)
                bra = conjugate(a)
                env = bra[:, flipped].T @ env @ a[:, 0] + sign * (
                    bra[:, 1 - flipped].T @ env @ a[:, 1]
                )
            # Right of the string the contraction is 1 (right-canonical), so a trace closes it.
            total += float((term.weight * np.trace(env)).real)
        return total

    def magnetization_distribution(self) -> NDArray[np.float64]:
        """Return P(n), the probability of n bits being 1, shape [N + 1]; m = 1 - 2 n / N.

        By one environment for each number of ones so far.
        """
        by_ones: NDArray[Any] = np.ones((1, 1, 1))  # [ones, left, left']
        for tensor in self.tensors:
            shape = (len(by_ones) + 1, tensor.shape[2], tensor.shape[2])
            zero, one = tensor[:, 0], tensor[:, 1]
            grown = np.zeros(shape, dtype=tensor.dtype)
            grown[:-1] = conjugate(zero).T @ by_ones @ zero
            grown[1:] += conjugate(one).T @ by_ones @ one
            by_ones = grown
        # Rounding may make a probability of 0 negative, about -1e-17.
        return np.maximum(by_ones[:, 0, 0].real, 0.0)

    def abs_magnetization(self) -> float:
        """Return <|m|>, with m = sum_i Z_i / N, exactly, at any N."""
        m = 1 - 2 * np.arange(self.sites + 1) / self.sites
        return float(self.magnetization_distribution() @ np.abs(m))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one NetCDF file of kind 'mps', a variable `tensor_<i>` for each site.

        Imaginary parts are in `imaginary_<i>`. A `Hamiltonian` is saved as `pauli` [term, site] and
        `coefficient` [term], with any positions of its sites as `position` [site, axis].

        Raises:
            OSError: the file cannot be written; an old file is then unchanged.
        """
        attributes: dict[str, Any] = {
            "sites": self.sites,
            "energy": self.energy,
            "energy_units": "those of the model's J and h",
            "energy_variance": self.energy_variance,
            "energy_variance_units": "J^2",
            "truncation_error": self.truncation_error,
            "convention": "physical index 0 is Z = +1, 1 is Z = -1; site 0 is the left end",
        }
        variables: dict[str, Any] = {}
        if isinstance(self.model, TFIM):
            attributes |= {"field": self.model.field, "coupling": self.model.coupling}
        elif self.model is not None:
            units = "those of the coefficients"
            attributes |= {"energy_units": units, "energy_variance_units": f"{units} squared"}
            if self.model.name:  # NetCDF has no empty attributes
                attributes["hamiltonian"] = self.model.name
            variables = variables_of(self.model)
        if self.origin:
            attributes["origin"] = self.origin
        for i, tensor in enumerate(self.tensors):
            over = (f"bond_{i}", "physical", f"bond_{i + 1}")
            variables[f"tensor_{i}"] = (over, tensor.real, {"units": "1"})
            if self.is_complex:
                variables[f"imaginary_{i}"] = (over, tensor.imag, {"units": "1"})
        return write_arrays(path, variables, attributes, "mps")


def load_mps(path: str | os.PathLike[str]) -> MPS:
    """Read a state written by `MPS.save`.

    Raises:
        InputError: the file cannot be read, is damaged, incomplete or of another kind, or is not
            a normalised state.
    """
    stored = read_arrays(path, "mps")
    attributes = stored.attributes
    try:
        sites = int(attributes["sites"])
        model: Model | None = hamiltonian_from(stored)
        if "field" in attributes:
            field, coupling = float(attributes["field"]), float(attributes["coupling"])
            model = TFIM(sites=sites, field=field, coupling=coupling)
        names = [f"tensor_{i}" for i in range(sites)]
        found = {name for name, (dims, _) in stored.variables.items() if dims != (name,)}
        if "imaginary_0" in found:
            names += [f"imaginary_{i}" for i in range(sites)]
        others: tuple[str, ...] = () if isinstance(model, TFIM | None) else VARIABLES
        if isinstance(model, Hamiltonian) and model.positions is not None:
            others += (POSITION,)
        if found != {*names, *others}:
            raise InputError(f"needs exactly the variables tensor_0 .. tensor_{sites - 1}")
        tensors = tuple(stored.variables[name][1] for name in names[:sites])
        if len(names) > sites:
            imaginary = (stored.variables[name][1] for name in names[sites:])
            tensors = tuple(a + 1j * b for a, b in zip(tensors, imaginary, strict=True))
        numbers = ("energy", "energy_variance", "truncation_error")
        energy, variance, truncation_error = (float(attributes[name]) for name in numbers)
        origin = str(attributes.get("origin", ""))
        return MPS(tensors, energy, variance, truncation_error, model, origin)
    except KeyError as error:
        raise InputError(f"{path}: attribute {error} is missing; write the state again") from None
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None


def mps_from_tensors(tensors: Sequence[ArrayLike]) -> MPS:
    """Return the normalised state of any tensors [left, physical, right] in the Z basis.

    Raises:
        InputError: the tensors do not fit together, are not finite, or give the zero state.
    """
    return MPS(right_canonical(check_chain(tensors)))


def mps_from_vector(
    vector: ArrayLike,
    model: Model | None = None,
    max_bond: int | None = None,
    svd_min: float = 1e-14,
) -> MPS:
    """Return the state with the given amplitudes [2^N], normalised, by successive SVDs.

    Args:
        vector: amplitudes at index sum_i bit_i 2^i; 2 to 20 sites.
        model: if given, its Hamiltonian fixes the energy and the variance of the result.
        max_bond: the largest bond dimension; None for no limit.
        svd_min: singular values below this, relative to the norm, are dropped.

    Raises:
        InputError: the vector is not finite, nonzero and of length 2^N.
    """
    psi = np.asarray(vector)
    sites = psi.size.bit_length() - 1
    if psi.ndim != 1 or psi.size != 2**sites or not 2 <= sites <= EXACT_SITES:
        raise InputError(
            f"vector: must have 2^N amplitudes with N from 2 to {EXACT_SITES}, found shape"
            f" {psi.shape}"
        )
    psi = check_numbers("vector", psi)
    if not psi.any():
        raise InputError("vector: needs a nonzero amplitude, found only 0")
    # By a power of 2, which rounds nothing: squares of any amplitudes are then floats.
    parts = psi.view(np.float64)
    psi = np.ldexp(parts, -np.frexp(np.abs(parts).max())[1]).view(psi.dtype)
    norm = np.linalg.norm(psi)
    limit = psi.size if max_bond is None else check_count("max_bond", max_bond, 1)

    tensors: list[NDArray[Any]] = []
    worst = 0.0
    rest = (psi / norm)[:, None]  # [bits of the sites not yet split off, right bond]
    for site in reversed(range(1, sites)):
        right = rest.shape[1]
        matrix = rest.reshape(2, 2**site, right).swapaxes(0, 1).reshape(2**site, 2 * right)
        u, s, vt = np.linalg.svd(matrix, full_matrices=False)
        keep = max(1, min(limit, int((s > svd_min).sum())))
        worst = max(worst, float((s[keep:] ** 2).sum()))
        tensors.append(vt[:keep].reshape(keep, 2, right))
        rest = u[:, :keep] * s[:keep]
    tensors.append(rest[None] / np.linalg.norm(rest))
    state = MPS(tuple(reversed(tensors)), truncation_error=worst, model=model)
    if model is None:
        return state
    psi = state.to_vector()
    h_psi = model.apply_hamiltonian(psi)
    energy = float((conjugate(psi) @ h_psi).real)
    # |(H - E) psi|^2, as <H^2> - E^2 would cancel to rounding error.
    variance = float((as_real(h_psi - energy * psi) ** 2).sum())
    return MPS(state.tensors, energy, variance, worst, model)
