"""Sums of Pauli strings as observables: of an RBM by their local estimator, of shots if diagonal.

O_loc(v) = sum_v' <v|O|v'> psi(v') / psi(v), psi = sqrt(p), has the mean <O> over p(v). A string
with an odd number of Y is imaginary and psi is real, so its mean is 0, and it is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.metrics.local_energy import diagonal_values, local_energies
from psiprune.rbm.model import RBM
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import MPS

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: Means of a state below this part of the sum of |coefficients| are rounding errors.
_ROUNDING = 1e-14


@dataclass(frozen=True)
class PauliObservable:
    """A sum of Pauli strings as an observable.

    Attributes:
        operator: the sum, in the frame of the user.
    """

    operator: Hamiltonian

    def __call__(self, bits: Bits) -> Float64:
        """Return the values of shots, bits [shot, site] -> [shot].

        Raises:
            InputError: the sum has X or Y, which shots in the Z basis do not determine, or another
                number of sites.
        """
        self.check_diagonal("observable")
        self._check_sites(bits)
        return diagonal_values(bits, self.operator)

    @property
    def is_diagonal(self) -> bool:
        """Whether all strings consist of Z alone."""
        return all(term.flips == 0 for term in self.operator.terms)

    @property
    def is_constant(self) -> bool:
        """Whether it is a multiple of the identity, a number without error."""
        return all(term.flips == term.signs == 0 for term in self.operator.terms)

    def check_diagonal(self, name: str) -> None:
        """Raise InputError unless shots in the Z basis determine the observable."""
        flipping = next((term for term in self.operator.terms if term.flips), None)
        if flipping is not None:
            raise InputError(
                f"{name}: {flipping.string} has X or Y, which shots in the Z basis do not "
                "determine; use Z alone, or compare an RBM with a state"
            )

    def local_values(self, rbm: RBM, bits: Bits) -> Float64:
        """Return O_loc of each configuration, bits [draw, site] -> [draw]."""
        self._check_sites(bits)
        if self._real is None:
            return np.zeros(len(bits))
        return local_energies(rbm, bits, self._real)

    def exact(self, prob: Float64) -> float:
        """Return `<psi|O|psi>` for psi = sqrt(p), p [2^N]."""
        psi = np.sqrt(prob)
        return 0.0 if self._real is None else float(psi @ self._real.apply_hamiltonian(psi))

    def of_state(self, state: MPS) -> float:
        """Return the exact mean of a state, from its tensors; 0 for rounding errors."""
        mean = state.expectation(self.operator)
        size = sum(abs(term.coefficient) for term in self.operator.terms)
        return mean if abs(mean) > _ROUNDING * size else 0.0

    def rotated(self, sites: Iterable[int]) -> PauliObservable:
        """Return the observable in the frame where these sites are rotated by Z."""
        return PauliObservable(self.operator.rotated(sites))

    @cached_property
    def _real(self) -> Hamiltonian | None:
        """The strings with an even number of Y; None if there are none."""
        real = [(term.coefficient, term.letters) for term in self.operator.terms if term.is_real]
        return Hamiltonian(real, self.operator.sites) if real else None

    def _check_sites(self, bits: Bits) -> None:
        if bits.shape[1] != self.operator.sites:
            raise InputError(
                f"observable: is a sum on {self.operator.sites} sites, but there are "
                f"{bits.shape[1]}; give one for {bits.shape[1]} sites"
            )
