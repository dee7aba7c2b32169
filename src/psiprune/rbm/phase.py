"""PhaseRBM: a complex state from two RBMs, one for the amplitudes and one for the phases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.random import Stream, generator_for
from psiprune.core.repr import notebook_table
from psiprune.core.text import counted
from psiprune.core.validation import check_count, check_seed
from psiprune.data.pauli_bases import check_basis
from psiprune.io.netcdf import read_arrays, write_arrays
from psiprune.rbm.basis_draws import draw_in_basis
from psiprune.rbm.model import RBM, Data
from psiprune.rbm.serialization import provenance_of, rbm_of_arrays
from psiprune.states.basis_rotation import rotate
from psiprune.states.expectation import expectation
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import MPS

if TYPE_CHECKING:
    import torch

Complex128 = NDArray[np.complex128]
_NETWORKS = ("amplitude", "phase")


@notebook_table("visible", "amplitude", "phase", "density", "provenance")
@dataclass(frozen=True, eq=False)
class PhaseRBM:
    """A complex wave function of two RBMs over the same N sites.

        psi(v) = sqrt(p(v)) exp(i phi(v) / 2),  p(v) of `amplitude`,  phi(v) = log p~(v) of `phase`

    Torlai et al., Nature Physics 14, 447 (2018). A phase that all amplitudes share has no meaning.

    Attributes:
        amplitude: the RBM of the probabilities p(v) in the Z basis.
        phase: the RBM whose unnormalised log-probability is phi, in radians.
        provenance: how the state was made; saved in files.

    Raises:
        InputError: the RBMs have different numbers of sites.

    Examples:
        >>> import numpy as np
        >>> flat, turn = (RBM(np.zeros((1, 1)), [b], np.zeros(1)) for b in (0.0, np.pi))
        >>> PhaseRBM(flat, turn).probabilities("Y").round(3)  # (|0> + i |1>) / sqrt(2)
        array([1., 0.])
    """

    amplitude: RBM
    phase: RBM
    provenance: Mapping[str, str | int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the sizes."""
        if self.amplitude.visible != self.phase.visible:
            raise InputError(
                f"phase: must have the {counted(self.amplitude.visible, 'site')} of the amplitude "
                f"RBM, found {self.phase.visible}"
            )
        object.__setattr__(self, "provenance", dict(self.provenance))

    def __repr__(self) -> str:
        """Return the sizes in one line."""
        sizes = f"{self.amplitude.hidden} + {self.phase.hidden}"
        total = self.amplitude.mask.size + self.phase.mask.size
        weights = f"{self.number_of_weights} of {total}"
        return f"PhaseRBM(visible={self.visible}, hidden={sizes}, weights={weights})"

    def _repr_html_(self) -> str:
        """Return the sizes of both networks as a table for notebooks."""
        rows = "".join(
            f"<tr><th>{name}</th><td>{rbm.hidden}</td><td>{rbm.number_of_weights} of "
            f"{rbm.mask.size}</td></tr>"
            for name, rbm in (("amplitudes", self.amplitude), ("phases", self.phase))
        )
        head = "<tr><th></th><th>hidden units</th><th>weights</th></tr>"
        return (
            f"<table><caption>State with phases of {counted(self.visible, 'site')}</caption>"
            f"{head}{rows}</table>"
        )

    @property
    def visible(self) -> int:
        """Number of sites, N."""
        return self.amplitude.visible

    @property
    def number_of_weights(self) -> int:
        """Number of weights that exist in both RBMs (biases are never counted)."""
        return self.amplitude.number_of_weights + self.phase.number_of_weights

    @property
    def number_of_parameters(self) -> int:
        """Number of weights that exist and of all biases."""
        return self.amplitude.number_of_parameters + self.phase.number_of_parameters

    @property
    def density(self) -> float:
        """Fraction of the weights of both RBMs that exist."""
        return self.number_of_weights / (self.amplitude.mask.size + self.phase.mask.size)

    def log_psi(self, bits: Data) -> Complex128:
        """Return log psi(v) = log p(v) / 2 + i phi(v) / 2, bits [shot, site] -> [shot].

        Raises:
            InputError: the bits are not 0 and 1 or have another number of sites, or both layers of
                the amplitude RBM have more than 30 units.
        """
        return self.amplitude.log_prob(bits) / 2 + 0.5j * self.phase.log_prob_unnormalized(bits)

    @cached_property
    def vector(self) -> Complex128:
        """All amplitudes psi [2^N], normalised, at index sum_i v_i 2^i; read-only, up to 20 sites.

        Raises:
            InputError: more than 20 sites.
        """
        if self.visible > EXACT_SITES:
            raise InputError(
                f"rbm: a vector of all amplitudes needs N <= {EXACT_SITES}, found {self.visible}; "
                "use log_psi for the configurations of interest"
            )
        log_p = self.amplitude.log_prob_all()
        size = np.exp((log_p - log_p.max()) / 2)
        psi = size / np.linalg.norm(size) * np.exp(0.5j * self.phase.log_prob_all())
        psi.flags.writeable = False
        return psi

    def probabilities(self, basis: str) -> NDArray[np.float64]:
        """Return the probability of each outcome in a basis such as "ZZXY", [2^N]; up to 20 sites.

        Raises:
            InputError: the basis has other letters than X, Y and Z or another number of them, or
                there are more than 20 sites.
        """
        if len(check_basis(basis)) != self.visible:
            raise InputError(
                f"basis: must have {self.visible} letters, one for each site, found {basis!r}"
            )
        return np.abs(rotate(self.vector, [basis])[0]) ** 2

    def sample(
        self, shots: int, basis: str, *, steps: int = 1000, seed: int = 0
    ) -> NDArray[np.uint8]:
        """Draw independent outcomes in a basis, uint8 [shot, site], up to 20 sites exactly.

        Above 20 sites a configuration is drawn from |psi|^2 in Z, exactly where a layer of the
        amplitude RBM has at most 25 units, else by a Gibbs chain of `steps` steps; then the sites
        that the basis rotates, at most 8, are drawn given the others (`rbm.basis_draws`).

        Raises:
            InputError: the basis is invalid or rotates more than 8 of more than 20 sites, or a
                number is out of range.
        """
        shots, seed = check_count("shots", shots, 1), check_seed(seed)
        if self.visible > EXACT_SITES:
            steps = check_count("steps", steps, 0)
            return draw_in_basis(self.amplitude, self.phase, basis, shots, steps, seed)
        cumulative = np.cumsum(self.probabilities(basis))
        uniform = generator_for(seed, Stream.PHASE_DRAWS).random(shots)
        drawn = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
        return ((drawn[:, None] >> np.arange(self.visible)) & 1).astype(np.uint8)

    def expectation(self, operator: Hamiltonian) -> float:
        """Return `<psi|O|psi>` of a sum of Pauli strings in any bases, exactly; up to 20 sites.

        Raises:
            InputError: the operator has another number of sites, or there are more than 20.
        """
        return expectation(self.vector, operator)

    def fidelity(self, other: PhaseRBM | MPS | ArrayLike) -> float:
        """Return `|<psi|other>|^2` with another state or its amplitudes [2^N]; up to 20 sites.

        Amplitudes are normalised first.

        Raises:
            InputError: there are other than 2^N amplitudes, or none differs from 0.
        """
        if isinstance(other, PhaseRBM):
            given = other.vector
        else:
            given = other.to_vector() if isinstance(other, MPS) else np.asarray(other)
        if given.shape != self.vector.shape:
            raise InputError(
                f"other: must have 2^{self.visible} amplitudes, found shape {given.shape}"
            )
        norm = float(np.linalg.norm(given))
        if not norm > 0:
            raise InputError("other: has no amplitude other than 0, so it is no state")
        return float(np.abs(np.vdot(given, self.vector)) ** 2) / norm**2

    def to_torch(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return the state dictionaries of both RBMs of QuCumber's ComplexWaveFunction.

        {"rbm_am": of `amplitude`, "rbm_ph": of `phase`}, see `RBM.to_torch`. QuCumber's state is
        the same, sqrt(p) exp(i phi / 2), but for both networks it takes one number of hidden units:
        `psiprune.rbm.phase_export.equal_units` fills the smaller one up.

        Raises:
            InputError: torch is not installed.
        """
        return {"rbm_am": self.amplitude.to_torch(), "rbm_ph": self.phase.to_torch()}

    @classmethod
    def from_torch(cls, state: Mapping[str, Mapping[str, torch.Tensor]]) -> PhaseRBM:
        """Return the state of `to_torch`, or of a file that QuCumber's ComplexWaveFunction saved.

        Other entries than "rbm_am" and "rbm_ph", such as "unitary_dict", are not read.

        Raises:
            InputError: a network is missing, or as in `RBM.from_torch`.
        """
        for name in ("rbm_am", "rbm_ph"):
            if name not in state:
                raise InputError(
                    f"state: must hold the networks rbm_am and rbm_ph, found "
                    f"{', '.join(map(str, state)) or 'none'}; RBM.from_torch reads a single RBM"
                )
        return cls(RBM.from_torch(state["rbm_am"]), RBM.from_torch(state["rbm_ph"]))

    def with_masks(self, amplitude: NDArray[np.bool_], phase: NDArray[np.bool_]) -> PhaseRBM:
        """Return the state with only the weights of these masks, [hidden, site] each."""
        amplitudes, phases = self.amplitude.with_mask(amplitude), self.phase.with_mask(phase)
        return PhaseRBM(amplitudes, phases, self.provenance)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one labelled NetCDF file, atomically; `load_phase_rbm` reads it.

        It has the variables of both RBMs with the prefixes "amplitude_" and "phase_".
        """
        variables: dict[str, Any] = {}
        for name in _NETWORKS:
            for key, (dims, values, labels) in getattr(self, name).to_arrays().items():
                named = tuple(f"{name}_hidden" if dim == "hidden" else dim for dim in dims)
                variables[f"{name}_{key}"] = (named, values, labels)
        return write_arrays(path, variables, self.provenance, "phase_rbm")


def load_phase_rbm(path: str | os.PathLike[str]) -> PhaseRBM:
    """Read a state written by `PhaseRBM.save`.

    Raises:
        InputError: the file is missing, damaged, of another kind, or invalid for `PhaseRBM`.
    """
    stored = read_arrays(path, "phase_rbm")
    networks = []
    for name in _NETWORKS:
        prefix = f"{name}_"
        arrays = {
            key.removeprefix(prefix): values
            for key, (_, values) in stored.variables.items()
            if key.startswith(prefix)
        }
        networks.append(rbm_of_arrays(arrays, {}, f"{path}: {name}"))
    amplitude, phase = networks
    return PhaseRBM(amplitude, phase, provenance_of(stored.attributes))
