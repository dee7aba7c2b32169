"""The transverse-field Ising chain with open ends, and its exact properties.

H = -J sum_i Z_i Z_{i+1} - h sum_i X_i

Every method but `ground_state_vector` uses free fermions, at any size: with M the bidiagonal
matrix that has h on its diagonal and J above it, and M = U S V^T, the ground state follows from
the orthogonal matrix Q = U V^T (Lieb, Schultz and Mattis, Ann. Phys. 16, 407 (1961); Pfeuty, Ann.
Phys. 57, 79 (1970)).

Bit 0 is Z = +1, bit 1 is Z = -1; a configuration has index sum_i bit_i 2^i, site 0 the left end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from psiprune.core.exceptions import InputError
from psiprune.core.limits import CHAIN_SITES, EXACT_SITES
from psiprune.core.random import Stream, generator_for
from psiprune.core.settings import Settings
from psiprune.states.hamiltonian import Hamiltonian

#: Sites but the last, up to which the Hamiltonian is diagonalised as a dense matrix.
_DENSE = 6


class TFIM(Settings):
    """Transverse-field Ising chain H = -J sum Z_i Z_{i+1} - h sum X_i with open ends.

    Energies are totals, in the units of J and h. "The ground state" is always the one of even
    parity, `<prod X_i>` = +1. It is unique and, as h > 0, its amplitudes are positive for either
    sign of J; below h = |J| the lowest odd state lies only about (h/J)^N above it.

    Examples:
        >>> round(TFIM(sites=2, field=1.0).ground_energy(), 6)
        -2.236068
    """

    sites: int = Field(
        ge=2,
        le=CHAIN_SITES,
        description="number N of spins; larger matrices would not fit in memory",
    )
    field: float = Field(
        default=1.0,
        gt=0,
        description="transverse field h; its sign is only a rotation about z, so give |h|, and at "
        "h = 0 there are two degenerate ground states",
    )
    coupling: float = Field(default=1.0, description="Ising coupling J, of either sign")

    def hamiltonian(self) -> Hamiltonian:
        """Return the sum of Pauli strings, to which terms can be added."""
        bonds = [(-self.coupling, {i: "Z", i + 1: "Z"}) for i in range(self.sites - 1)]
        fields = [(-self.field, {i: "X"}) for i in range(self.sites)]
        return Hamiltonian([*bonds, *fields], self.sites, name=repr(self))

    def ground_energy(self) -> float:
        """Return E_0 = -sum_k s_k, with s_k the singular values of M; total, in units of J."""
        return -float(np.linalg.svd(_bidiagonal(self), compute_uv=False).sum())

    @property
    def correlation_length(self) -> float:
        """The correlation length of the infinite chain, in sites; infinite at h = |J|.

        Connected correlations <Z_i Z_{i+d}> - <Z_i> <Z_{i+d}> decay as exp(-d / xi) times a power
        of d, with xi = 1 / ln(h / |J|) above h = |J| and 1 / (2 ln(|J| / h)) below it, in the state
        of broken symmetry (Pfeuty 1970).
        """
        ratio = abs(self.coupling) / self.field
        if ratio in (0.0, 1.0):
            return 0.0 if ratio == 0.0 else float("inf")
        length = -1.0 / float(np.log(ratio))
        return length if ratio < 1.0 else -length / 2.0

    def transverse_magnetization(self) -> NDArray[np.float64]:
        """Return <X_i> = Q_ii, shape [site]."""
        return _polar_factor(self).diagonal().copy()

    def correlations(self) -> NDArray[np.float64]:
        """Return <Z_i Z_j> = det Q[i..j-1, i+1..j], shape [site, site], ones on the diagonal.

        As <Z_i> = 0 in the even ground state, these are also the connected correlations.
        """
        q = _polar_factor(self)
        matrix = np.eye(self.sites)
        for distance in range(1, self.sites):
            # By reflection symmetry, the left half of the pairs is enough.
            left = np.arange((self.sites - distance + 1) // 2)
            rows = left[:, None] + np.arange(distance)
            values = np.linalg.det(q[rows[:, :, None], rows[:, None, :] + 1])
            right = left + distance
            matrix[left, right] = matrix[right, left] = values
            mirrored_left, mirrored_right = self.sites - 1 - right, self.sites - 1 - left
            matrix[mirrored_left, mirrored_right] = matrix[mirrored_right, mirrored_left] = values
        return matrix

    def correlation_from_midpoint(self) -> NDArray[np.float64]:
        """Return C(d) = <Z_a Z_{a+d}> with a = `midpoint(sites)`, shape [distance], d = 0, 1, ...

        Source: the paper's correlation function (Golubeva and Melko 2022).
        """
        q = _polar_factor(self)
        a = midpoint(self.sites)
        return np.array([np.linalg.det(q[a:b, a + 1 : b + 1]) for b in range(a, self.sites)])

    def apply_hamiltonian(self, vector: NDArray[Any]) -> NDArray[Any]:
        """Return H |vector> for amplitudes over all 2^N configurations, shape [configuration].

        Raises:
            InputError: there are more than 20 sites, or the length of the vector is not 2^N.
        """
        _check_dense(self.sites)
        if np.shape(vector) != (2**self.sites,):
            raise InputError(f"vector: must have shape ({2**self.sites},), found {vector.shape}")
        flipped = sum(_flip(vector, site) for site in range(self.sites))
        return _ising_energies(self, self.sites) * vector - self.field * flipped

    def ground_state_vector(self) -> NDArray[np.float64]:
        """Return the amplitudes of the ground state, shape [2^N], normalised, none negative.

        Lanczos in the space of even parity, of dimension 2^(N-1), in which the gap stays open below
        h = |J|.

        Raises:
            InputError: there are more than 20 sites.
        """
        _check_dense(self.sites)
        from scipy.sparse.linalg import LinearOperator, eigsh

        # A state of even parity is fixed by the configurations whose last bit is 0.
        inner = self.sites - 1
        # In units of the larger of |J| and h: Lanczos has absolute tolerances, and would stop too
        # early if all energies were small.
        scale = max(abs(self.coupling), self.field)
        field = self.field / scale
        energies = _ising_energies(self, self.sites)[: 2**inner] / scale

        def apply(even: NDArray[np.float64]) -> NDArray[np.float64]:
            # X on the last site gives the complement of another representative.
            flipped = even[::-1] + sum(_flip(even, site) for site in range(inner))
            return energies * even - field * flipped

        if inner <= _DENSE:
            ground = np.linalg.eigh(np.stack([apply(row) for row in np.eye(2**inner)]))[1][:, 0]
        else:
            operator = LinearOperator((2**inner, 2**inner), matvec=apply, dtype=np.float64)
            # A fixed start makes the result reproducible. The ground state is positive (Perron and
            # Frobenius), so it overlaps with any positive start.
            start = 1 + generator_for(0, Stream.LANCZOS_START).random(len(energies))
            ground = eigsh(operator, k=1, which="SA", v0=start)[1][:, 0]
        ground = np.abs(ground)
        full = np.concatenate([ground, ground[::-1]])
        return full / np.linalg.norm(full)


def midpoint(sites: int) -> int:
    """Return the column of site floor(N/2) (1-based), from which C(d) is measured.

    The distances to the right end are d = 0 .. N/2 for even N, as in the paper, and 0 .. (N+1)/2
    for odd N.
    """
    return sites // 2 - 1


def _bidiagonal(model: TFIM) -> NDArray[np.float64]:
    """Return M, with h on the diagonal and J above it."""
    n = model.sites
    return np.diag(np.full(n, model.field)) + np.diag(np.full(n - 1, model.coupling), 1)


def _polar_factor(model: TFIM) -> NDArray[np.float64]:
    """Return Q = U V^T of the even ground state."""
    u, _, vt = np.linalg.svd(_bidiagonal(model))
    # <prod X_i> = det Q has the sign of det M = h^N > 0. If the smallest singular value is below
    # rounding error, the relative sign of its two vectors is arbitrary.
    u[:, -1] *= np.linalg.slogdet(u @ vt)[0]
    return u @ vt


def _flip(vector: NDArray[Any], site: int) -> NDArray[Any]:
    """Apply X to one site: return the amplitudes with that bit flipped."""
    return vector.reshape(-1, 2, 2**site)[:, ::-1].ravel()


def _ising_energies(model: TFIM, sites: int) -> NDArray[np.float64]:
    """Return -J sum_i Z_i Z_{i+1} of every configuration."""
    index = np.arange(2**sites, dtype=np.uint32)
    # Bit i of index ^ (index >> 1) says whether bits i and i+1 differ: a domain wall.
    differ = index ^ (index >> 1)
    walls = sum((differ >> bond) & 1 for bond in range(sites - 1))
    return -model.coupling * (sites - 1 - 2.0 * walls)


def _check_dense(sites: int) -> None:
    if sites > EXACT_SITES:
        raise InputError(
            f"sites: a vector over all 2^N configurations is limited to {EXACT_SITES} sites, found"
            f" {sites}; use the free-fermion methods or the MPS"
        )
