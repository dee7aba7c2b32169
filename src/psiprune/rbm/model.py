"""RBM: weights, biases, mask; log-probabilities, conditionals, exact partition sums, the graph."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import PARTITION_UNITS, TABLE_SITES
from psiprune.core.threads import map_threads
from psiprune.core.validation import check_count, check_seed
from psiprune.data.shots import Shots, as_shots, check_sites
from psiprune.io.netcdf import write_dataset
from psiprune.kernels import enumeration, layout
from psiprune.rbm import gibbs

if TYPE_CHECKING:
    import torch

Float64 = NDArray[np.float64]
_PARAMETERS = ("weights", "visible_bias", "hidden_bias")


@dataclass(frozen=True, eq=False)
class RBM:
    """A restricted Boltzmann machine over N visible and N_h hidden units with values 0 and 1.

        p(v) = p~(v) / Z,   p~(v) = exp(b.v) prod_j (1 + exp(c_j + W_j.v)),   psi(v) = sqrt(p(v))

    Golubeva & Melko 2021, Eq. (2); the RBM as in Beach et al., SciPost Phys. 7, 9 (2019).

    Attributes:
        weights: W, float64 [hidden, visible]; exactly 0 where the mask is False.
        visible_bias: b, float64 [visible].
        hidden_bias: c, float64 [hidden].
        mask: True where a weight exists, bool [hidden, visible]; all True if not given.
        provenance: how the RBM was made (seed, settings, number of training shots), kept in files.

    Raises:
        InputError: shapes do not fit, a value is not finite, or there is no unit.
    """

    weights: Float64
    visible_bias: Float64
    hidden_bias: Float64
    mask: NDArray[np.bool_] = None  # type: ignore[assignment]
    provenance: Mapping[str, str | int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the arrays, make them read-only, and set weights outside the mask to 0."""
        weights = _numbers("weights", self.weights, 2)
        hidden, visible = weights.shape
        visible_bias = _numbers("visible_bias", self.visible_bias, 1)
        hidden_bias = _numbers("hidden_bias", self.hidden_bias, 1)
        mask = np.ones(weights.shape, bool) if self.mask is None else np.asarray(self.mask)
        if min(hidden, visible) < 1:
            raise InputError(
                f"weights: needs at least one unit a layer, found shape {weights.shape}"
            )
        for name, array, shape in (
            ("visible_bias", visible_bias, (visible,)),
            ("hidden_bias", hidden_bias, (hidden,)),
            ("mask", mask, (hidden, visible)),
        ):
            if array.shape != shape:
                raise InputError(
                    f"{name}: shape must be {shape} for weights [hidden, visible] of shape "
                    f"{weights.shape}, found {array.shape}"
                )
        if mask.dtype != bool:
            raise InputError(f"mask: must be an array of bool, found {mask.dtype}")
        for name, array in (
            ("weights", np.where(mask, weights, 0.0)),
            ("visible_bias", visible_bias.copy()),
            ("hidden_bias", hidden_bias.copy()),
            ("mask", mask.copy()),
        ):
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "provenance", dict(self.provenance))

    @property
    def visible(self) -> int:
        """Number of visible units, N."""
        return self.weights.shape[1]

    @property
    def hidden(self) -> int:
        """Number of hidden units, N_h."""
        return self.weights.shape[0]

    @property
    def number_of_weights(self) -> int:
        """Weights that exist (biases are never counted)."""
        return int(self.mask.sum())

    @property
    def number_of_parameters(self) -> int:
        """Weights that exist and all biases."""
        return self.number_of_weights + self.visible + self.hidden

    @property
    def density(self) -> float:
        """Fraction of the N_h * N weights that exist."""
        return self.number_of_weights / self.mask.size

    @cached_property
    def components(self) -> int:
        """Connected components of the graph of all N + N_h units; 1 means connected."""
        from scipy.sparse import bmat, csr_array
        from scipy.sparse.csgraph import connected_components

        edges = csr_array(self.mask)
        graph = bmat([[None, edges], [edges.T, None]])
        return int(connected_components(graph, directed=False, return_labels=False))

    @cached_property
    def machine(self) -> gibbs.CompiledRBM:
        """This RBM as the kernels take it (float32)."""
        at = layout.Parameters(
            self.weights[self.mask].astype(np.float32),
            self.visible_bias.astype(np.float32),
            self.hidden_bias.astype(np.float32),
        )
        return gibbs.CompiledRBM(layout.graph_of(self.mask), at)

    def log_prob_unnormalized(self, bits: Shots | ArrayLike) -> Float64:
        """log p~(v) = b.v + sum_j log(1 + exp(c_j + W_j.v)) for bits [shot, visible] -> [shot].

        Raises:
            InputError: the bits are not 0 and 1, or are not one for each visible unit.
        """
        v = self._configurations(bits)
        out = np.empty(len(v))
        for first in range(0, len(v), 1 << 14):  # a bounded amount of memory for [shot, hidden]
            rows = v[first : first + (1 << 14)].astype(np.float64)
            activation = rows @ self.weights.T + self.hidden_bias
            out[first : first + (1 << 14)] = rows @ self.visible_bias + np.logaddexp(
                0.0, activation
            ).sum(axis=1)
        return out

    def log_prob(self, bits: Shots | ArrayLike) -> Float64:
        """log p(v) = log p~(v) - log Z for bits [shot, visible] -> [shot]; see `log_partition`."""
        return self.log_prob_unnormalized(bits) - self.log_partition()

    def log_prob_all(self) -> Float64:
        """log p~ of every basis state, [2^N], at index sum_i v_i 2^i. For N <= 24.

        Raises:
            InputError: N > 24 (a table of more than 128 MiB).
        """
        if self.visible > TABLE_SITES:
            raise InputError(
                f"rbm: a table over all states needs N <= {TABLE_SITES}, found {self.visible}; use "
                "`log_prob` on the states of interest"
            )
        return enumeration.scan_all(self.weights, self.visible_bias, self.hidden_bias)

    def log_partition(self) -> float:
        """log Z, exact: the sum over all states of the smaller layer, streamed, in the log domain.

        sum_v p~(v) = sum_h exp(c.h) prod_i (1 + exp(b_i + (W^T h)_i)).

        Raises:
            InputError: both layers have more than 30 units.
        """
        return self._log_partition

    @cached_property
    def _log_partition(self) -> float:
        weights, bias, other = self.weights, self.visible_bias, self.hidden_bias
        if self.hidden < self.visible:
            weights, bias, other = weights.T, other, bias
        weights = np.ascontiguousarray(weights)
        if len(bias) > PARTITION_UNITS:
            raise InputError(
                f"rbm: the exact partition sum needs a layer of at most {PARTITION_UNITS} units, "
                f"found {self.visible} visible and {self.hidden} hidden; use psiprune.log_partition"
            )
        # The pieces are the same on any machine, and so is the order in which they are added.
        piece = 1 << min(len(bias), max(14, len(bias) - 6))
        parts = map_threads(
            lambda first: enumeration.scan_sum(weights, bias, other, first, piece),
            range(0, 1 << len(bias), piece),
        )
        largest = max(top for top, _ in parts)
        return float(largest + np.log(sum(total * np.exp(top - largest) for top, total in parts)))

    def hidden_given_visible(self, bits: Shots | ArrayLike) -> Float64:
        """p(h_j = 1 | v) = sigmoid(c_j + W_j.v) for bits [shot, visible] -> [shot, hidden]."""
        v = self._configurations(bits)
        return _sigmoid(v @ self.weights.T + self.hidden_bias)

    def visible_given_hidden(self, hidden: ArrayLike) -> Float64:
        """p(v_i = 1 | h) = sigmoid(b_i + sum_j h_j W_ji), [shot, hidden] -> [shot, visible]."""
        h = np.asarray(hidden)
        if h.ndim != 2 or h.shape[1] != self.hidden:
            raise InputError(f"hidden: shape must be [shot, {self.hidden}], found {h.shape}")
        return _sigmoid(h @ self.weights + self.visible_bias)

    def sample(self, shots: int, *, steps: int = 100, seed: int = 0) -> NDArray[np.uint8]:
        """Draw configurations by block Gibbs sampling: uint8 [shot, visible].

        Each shot is the end of its own chain of `steps` steps from a random start, so shots are
        independent; `steps` must exceed the mixing time for them to follow p(v).

        Raises:
            InputError: shots < 1, steps < 0, or the seed is not an integer from 0 to 2^63 - 1.
        """
        shots, steps = check_count("shots", shots, 1), check_count("steps", steps, 0)
        seed = check_seed(seed)
        start = gibbs.random_start(shots, self.visible, seed)
        return gibbs.advance(gibbs.start_chains(self.machine, start, seed), steps).bits

    def sample_exact(self, shots: int, *, seed: int = 0) -> NDArray[np.uint8]:
        """Independent draws from p(v) itself, uint8 [shot, visible]; no chain, no mixing time.

        Raises:
            InputError: both layers have more than 20 units, or an argument is out of range.
        """
        return gibbs.exact_draws(
            self.weights,
            self.visible_bias,
            self.hidden_bias,
            check_count("shots", shots, 1),
            check_seed(seed),
        )

    def with_mask(self, mask: NDArray[np.bool_]) -> RBM:
        """The same RBM with only the weights of a mask."""
        return RBM(self.weights, self.visible_bias, self.hidden_bias, mask, self.provenance)

    def compact(self) -> RBM:
        """The same distribution without the hidden units that have at most one weight.

        A unit without weights is a constant factor of p~. A unit with one weight, to site i, is
        the factor (1 + e^c) exp(v_i [log(1 + e^(c + W)) - log(1 + e^c)]) as v_i is 0 or 1, so it
        is folded into b_i. log p(v) stays as it was, up to rounding; log p~ and log Z both lose
        the constant. One hidden unit is always left.
        """
        weights_of = self.mask.sum(axis=1)
        visible_bias = self.visible_bias.copy()
        for j, i in np.argwhere(self.mask & (weights_of == 1)[:, None]):
            off = np.logaddexp(0.0, self.hidden_bias[j])
            visible_bias[i] += np.logaddexp(0.0, self.hidden_bias[j] + self.weights[j, i]) - off
        kept = np.flatnonzero(weights_of > 1)
        if len(kept) == 0:
            mask = np.zeros((1, self.visible), bool)
            return RBM(np.zeros(mask.shape), visible_bias, np.zeros(1), mask, self.provenance)
        return RBM(
            self.weights[kept],
            visible_bias,
            self.hidden_bias[kept],
            self.mask[kept],
            self.provenance,
        )

    def to_dataset(self) -> xr.Dataset:
        """Weights, biases and mask, labelled."""

        def meaning(text: str) -> dict[str, str]:
            return {"long_name": text, "units": "1"}

        edges, there = ("hidden", "visible"), self.mask.astype(np.uint8)
        return xr.Dataset(
            {
                "weights": (edges, self.weights, meaning("weight W")),
                "visible_bias": ("visible", self.visible_bias, meaning("visible bias b")),
                "hidden_bias": ("hidden", self.hidden_bias, meaning("hidden bias c")),
                "mask": (edges, there, meaning("1 where a weight exists, 0 where it is pruned")),
            },
            attrs=dict(self.provenance),
        )

    def to_torch(self) -> dict[str, torch.Tensor]:
        """The state dictionary of QuCumber's BinaryRBM, copies in float64 on the CPU.

        "weights" [hidden, visible], "visible_bias" [visible], "hidden_bias" [hidden]: QuCumber has
        the parameters as they are, see `psiprune.rbm.export`. A pruned weight is a 0; the mask is
        not in the dictionary.

        Raises:
            InputError: torch is not installed.
        """
        try:
            import torch
        except ImportError:
            raise InputError(
                "to_torch: torch is not installed; pip install 'psiprune[torch]', or take "
                "rbm.weights, rbm.visible_bias and rbm.hidden_bias"
            ) from None
        return {name: torch.tensor(getattr(self, name)) for name in _PARAMETERS}

    @classmethod
    def from_torch(
        cls, state: Mapping[str, torch.Tensor], mask: NDArray[np.bool_] | None = None
    ) -> RBM:
        """The RBM of a state dictionary: of `to_torch`, or of QuCumber's `rbm_am.state_dict()`.

        Args:
            state: tensors of real numbers, on any device, with or without gradients.
            mask: weights that exist, bool [hidden, visible]; all if not given. Others become 0.

        Raises:
            InputError: an entry is missing or not a tensor, there is one more, or an array breaks a
                rule of RBM.
        """
        if set(state) != set(_PARAMETERS):
            way = "; give what stands under 'rbm_am'" if "rbm_am" in state else ""
            found = ", ".join(map(str, state))
            raise InputError(f"state: must hold {', '.join(_PARAMETERS)}, found {found}{way}")
        arrays = {}
        for name in _PARAMETERS:
            tensor = state[name]
            if not hasattr(tensor, "detach"):
                raise InputError(f"{name}: must be a tensor, found {type(tensor).__name__}")
            tensor = tensor.detach().cpu()
            real = tensor.double() if tensor.is_floating_point() else tensor.resolve_conj()
            arrays[name] = real.numpy()
        return cls(**arrays, mask=mask)  # type: ignore[arg-type]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one labelled NetCDF file, atomically; `load_rbm` reads it."""
        return write_dataset(path, self.to_dataset(), "rbm")

    def _configurations(self, bits: Shots | ArrayLike) -> NDArray[np.uint8]:
        return check_sites(as_shots(bits), self.visible, "the RBM").bits


def _sigmoid(x: Float64) -> Float64:
    return np.exp(-np.logaddexp(0.0, -x))


def _numbers(name: str, values: ArrayLike, dimensions: int) -> Float64:
    try:
        # "same_kind" refuses complex numbers, which would lose their imaginary part.
        array = np.asarray(values).astype(np.float64, casting="same_kind")
    except (TypeError, ValueError):
        found = " ".join(repr(values).split())[:60]
        raise InputError(f"{name}: must be an array of real numbers, found {found}") from None
    if array.ndim != dimensions:
        raise InputError(f"{name}: must have {dimensions} axes, found shape {array.shape}")
    if not np.isfinite(array).all():
        where = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{name}: must be finite, found {array[where]} at {list(where)}")
    return array
