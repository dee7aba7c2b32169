"""RBM: weights, biases, mask; log-probabilities, conditionals, exact log Z, sampling."""

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
from psiprune.core.limits import PARTITION_UNITS, TABLE_SITES
from psiprune.core.repr import notebook_table
from psiprune.core.threads import map_threads
from psiprune.core.validation import check_count, check_seed
from psiprune.data.shots import Shots, as_shots, check_sites, without_readout_error
from psiprune.io.netcdf import Arrays, write_arrays
from psiprune.kernels import enumeration, layout
from psiprune.rbm import gibbs
from psiprune.rbm.torch_state import arrays_of_state

if TYPE_CHECKING:
    import torch
    import xarray as xr

Float64 = NDArray[np.float64]
#: Measured bits: `Shots`, an array [shot, site], or counts by bit string.
Data = Shots | ArrayLike | Mapping[str, int]
#: Shots at a time: bounds the memory for [shot, hidden].
_SHOTS = 1 << 14
_PARAMETERS = ("weights", "visible_bias", "hidden_bias")


@notebook_table("visible", "hidden", "number_of_weights", "density", "provenance")
@dataclass(frozen=True, eq=False)
class RBM:
    """A restricted Boltzmann machine over N visible and N_h hidden units with values 0 and 1.

        p(v) = p~(v) / Z,   p~(v) = exp(b.v) prod_j (1 + exp(c_j + W_j.v)),   psi(v) = sqrt(p(v))

    Golubeva & Melko 2022, Eq. (2); the RBM as in Beach et al., SciPost Phys. 7, 9 (2019).

    Attributes:
        weights: W, float64 [hidden, visible]; exactly 0 where the mask is False.
        visible_bias: b, float64 [visible].
        hidden_bias: c, float64 [hidden].
        mask: True where a weight exists, bool [hidden, visible]; all True if not given.
        provenance: how the RBM was made (seed, settings, number of training shots); saved in files.

    Raises:
        InputError: shapes do not match, a value is not finite, or a layer is empty.
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
        arrays = {
            "visible_bias": _numbers("visible_bias", self.visible_bias, 1),
            "hidden_bias": _numbers("hidden_bias", self.hidden_bias, 1),
            "mask": np.ones(weights.shape, bool) if self.mask is None else np.array(self.mask),
        }
        if min(hidden, visible) < 1:
            raise InputError(
                f"weights: each layer needs at least one unit, found shape {weights.shape}"
            )
        shapes = (visible,), (hidden,), (hidden, visible)
        for (name, array), shape in zip(arrays.items(), shapes, strict=True):
            if array.shape != shape:
                raise InputError(
                    f"{name}: shape must be {shape} for weights [hidden, visible] of shape "
                    f"{weights.shape}, found {array.shape}"
                )
        if (mask := arrays["mask"]).dtype != bool:
            raise InputError(f"mask: must be an array of bool, found {mask.dtype}")
        arrays["weights"] = np.where(mask, weights, 0.0)
        for name, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "provenance", dict(self.provenance))

    def __repr__(self) -> str:
        """Return the sizes in one line."""
        weights = f"{self.number_of_weights} of {self.mask.size}"
        return f"RBM(visible={self.visible}, hidden={self.hidden}, weights={weights})"

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
        """Number of weights that exist (biases are never counted)."""
        return int(self.mask.sum())

    @property
    def number_of_parameters(self) -> int:
        """Number of weights that exist and of all biases."""
        return self.number_of_weights + self.visible + self.hidden

    @property
    def density(self) -> float:
        """Fraction of the N_h * N weights that exist."""
        return self.number_of_weights / self.mask.size

    @cached_property
    def components(self) -> int:
        """Number of connected components of the graph of all N + N_h units; 1 means connected."""
        unit, site = np.nonzero(self.mask)
        ends = np.concatenate([unit, self.hidden + site])
        least = np.arange(self.hidden + self.visible)  # unit known to be in the same component
        while True:
            before = least.copy()
            np.minimum.at(least, ends, np.tile(before[ends].reshape(2, -1).min(axis=0), 2))
            least = least[least]
            if (least == before).all():
                return len(np.unique(least))

    @cached_property
    def compiled(self) -> gibbs.CompiledRBM:
        """This RBM in the layout of the kernels (float32)."""
        values = self.weights[self.mask], self.visible_bias, self.hidden_bias
        params = layout.Parameters(*(array.astype(np.float32) for array in values))
        return gibbs.CompiledRBM(layout.graph_of(self.mask), params)

    def log_prob_unnormalized(self, bits: Data) -> Float64:
        """Return log p~(v) = b.v + sum_j log(1 + exp(c_j + W_j.v)), bits [shot, visible] -> [shot].

        Raises:
            InputError: the bits are not 0 and 1, have another number of sites, or are shots with
                readout errors, whose recorded bits are not v.
        """
        v = self._true_bits(bits)
        out = np.empty(len(v))
        for first in range(0, len(v), _SHOTS):
            part = slice(first, first + _SHOTS)
            rows = v[part].astype(np.float64)
            activation = rows @ self.weights.T + self.hidden_bias
            out[part] = rows @ self.visible_bias + np.logaddexp(0.0, activation).sum(axis=1)
        return out

    def log_prob(self, bits: Data) -> Float64:
        """Return log p(v) = log p~(v) - log Z for bits [shot, visible] -> [shot]."""
        return self.log_prob_unnormalized(bits) - self.log_partition()

    def log_prob_all(self) -> Float64:
        """Return log p~ of every basis state, [2^N], at index sum_i v_i 2^i, for N <= 24.

        Raises:
            InputError: N > 24 (a table of more than 128 MiB).
        """
        if self.visible > TABLE_SITES:
            raise InputError(
                f"rbm: a table over all states needs N <= {TABLE_SITES}, found {self.visible}; use "
                "`log_prob` for the states of interest"
            )
        return enumeration.log_marginals_all(self.weights, self.visible_bias, self.hidden_bias)

    def log_partition(self) -> float:
        """Return log Z by a sum over all states of the smaller layer, streamed, in the log domain.

        sum_v p~(v) = sum_h exp(c.h) prod_i (1 + exp(b_i + (W^T h)_i)).

        Raises:
            InputError: both layers have more than 30 units; `psiprune.log_partition` has methods
                for those.
        """
        return self._log_partition

    @cached_property
    def _log_partition(self) -> float:
        weights, bias, other = self.weights, self.visible_bias, self.hidden_bias
        if self.hidden < self.visible:
            weights, bias, other = np.ascontiguousarray(weights.T), other, bias
        if len(bias) > PARTITION_UNITS:
            raise InputError(
                f"rbm: the exact partition sum needs a layer of at most {PARTITION_UNITS} units, "
                f"found {self.visible} visible and {self.hidden} hidden; use psiprune.log_partition"
            )
        # Pieces and the order of summation are fixed, so the result is the same on any machine.
        piece = 1 << min(len(bias), max(14, len(bias) - 6))
        parts = map_threads(
            lambda first: enumeration.log_marginals_sum(weights, bias, other, first, piece),
            range(0, 1 << len(bias), piece),
        )
        largest = max(top for top, _ in parts)
        return float(largest + np.log(sum(total * np.exp(top - largest) for top, total in parts)))

    def hidden_given_visible(self, bits: Data) -> Float64:
        """Return p(h_j = 1 | v) = sigmoid(c_j + W_j.v), bits [shot, visible] -> [shot, hidden]."""
        return _sigmoid(self._true_bits(bits) @ self.weights.T + self.hidden_bias)

    def visible_given_hidden(self, hidden: ArrayLike) -> Float64:
        """Return p(v_i = 1 | h) = sigmoid(b_i + sum_j h_j W_ji), [shot, hidden] -> [shot, site]."""
        h = np.asarray(hidden)
        if h.ndim != 2 or h.shape[1] != self.hidden:
            raise InputError(f"hidden: shape must be [shot, {self.hidden}], found {h.shape}")
        return _sigmoid(h @ self.weights + self.visible_bias)

    def sample(self, shots: int, *, steps: int = 100, seed: int = 0) -> NDArray[np.uint8]:
        """Draw configurations by block Gibbs sampling: uint8 [shot, visible].

        Each shot is the last state of a separate chain of `steps` steps from a random start, so
        shots are independent; they follow p(v) if `steps` exceeds the mixing time.

        Raises:
            InputError: shots < 1, steps < 0, or the seed is not an integer from 0 to 2^63 - 1.
        """
        shots, steps = check_count("shots", shots, 1), check_count("steps", steps, 0)
        seed = check_seed(seed)
        start = gibbs.random_start(shots, self.visible, seed)
        return gibbs.step(gibbs.start_chains(self.compiled, start, seed), steps).bits

    def sample_exact(self, shots: int, *, seed: int = 0) -> NDArray[np.uint8]:
        """Draw independent shots from p(v) itself, without Markov chains: uint8 [shot, visible].

        Raises:
            InputError: both layers have more than 25 units, or an argument is out of range.
        """
        shots, seed = check_count("shots", shots, 1), check_seed(seed)
        return gibbs.exact_draws(self.weights, self.visible_bias, self.hidden_bias, shots, seed)

    def with_mask(self, mask: NDArray[np.bool_]) -> RBM:
        """Return the RBM with only the weights of a mask."""
        return RBM(self.weights, self.visible_bias, self.hidden_bias, mask, self.provenance)

    def compact(self) -> RBM:
        """Return an RBM of the same p(v) without the hidden units that have at most one weight.

        A unit without weights is a constant factor of p~. A unit with one weight, to site i, is
        the factor (1 + e^c) exp(v_i [log(1 + e^(c + W)) - log(1 + e^c)]) as v_i is 0 or 1, so it
        is absorbed into b_i. log p(v) does not change, up to rounding; log p~ and log Z lose the
        same constant. One hidden unit always remains.
        """
        weights_of = self.mask.sum(axis=1)
        visible_bias = self.visible_bias.copy()
        for j, i in np.argwhere(self.mask & (weights_of == 1)[:, None]):
            off = np.logaddexp(0.0, self.hidden_bias[j])
            visible_bias[i] += np.logaddexp(0.0, self.hidden_bias[j] + self.weights[j, i]) - off
        units = np.flatnonzero(weights_of > 1)
        if len(units) == 0:
            mask = np.zeros((1, self.visible), bool)
            return RBM(np.zeros(mask.shape), visible_bias, np.zeros(1), mask, self.provenance)
        weights, hidden_bias, mask = self.weights[units], self.hidden_bias[units], self.mask[units]
        return RBM(weights, visible_bias, hidden_bias, mask, self.provenance)

    def to_dataset(self) -> xr.Dataset:
        """Return weights, biases and mask as a labelled dataset."""
        import xarray as xr

        return xr.Dataset(self.to_arrays(), attrs=dict(self.provenance))

    def to_arrays(self) -> Arrays:
        """Return weights, biases and mask with dimensions and labels, as files hold them."""
        edges, mask = ("hidden", "visible"), self.mask.astype(np.uint8)
        variables: dict[str, tuple[tuple[str, ...], NDArray[Any], str]] = {
            "weights": (edges, self.weights, "weight W"),
            "visible_bias": (("visible",), self.visible_bias, "visible bias b"),
            "hidden_bias": (("hidden",), self.hidden_bias, "hidden bias c"),
            "mask": (edges, mask, "1 where a weight exists, 0 where it is pruned"),
        }
        return {
            name: (dims, values, {"long_name": label, "units": "1"})
            for name, (dims, values, label) in variables.items()
        }

    def to_torch(self) -> dict[str, torch.Tensor]:
        """Return the state dictionary of QuCumber's BinaryRBM, copies in float64 on the CPU.

        "weights" [hidden, visible], "visible_bias" [visible], "hidden_bias" [hidden]: the same
        parameters, see `psiprune.rbm.export`. A pruned weight is 0; the mask is not included.

        Raises:
            InputError: torch is not installed.
        """
        try:
            import torch
        except ImportError:
            raise InputError(
                "to_torch: torch is not installed; pip install 'psiprune[torch]', or use "
                "rbm.weights, rbm.visible_bias and rbm.hidden_bias"
            ) from None
        return {name: torch.tensor(getattr(self, name)) for name in _PARAMETERS}

    @classmethod
    def from_torch(
        cls, state: Mapping[str, torch.Tensor], mask: NDArray[np.bool_] | None = None
    ) -> RBM:
        """Return the RBM of a state dictionary: `to_torch`'s, or QuCumber's `rbm_am.state_dict()`.

        A parameter that `torch.nn.utils.prune` has pruned, so that the state has its `_orig` and
        `_mask`, is their product, and `weights_mask` is the mask of the RBM.

        Args:
            state: tensors of real numbers, on any device, with or without gradients.
            mask: weights that exist, bool [hidden, visible]; all if not given, or those that
                `weights_mask` keeps. Others become 0.

        Raises:
            InputError: an entry is missing, unknown or not a tensor, a mask has values other than
                0 and 1 or another shape, or an array is invalid.
        """
        arrays, pruned = arrays_of_state(state, _PARAMETERS)
        mask = pruned if mask is None else mask if pruned is None else np.asarray(mask) & pruned
        return cls(**arrays, mask=mask)  # type: ignore[arg-type]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one labelled NetCDF file, atomically; `load_rbm` reads it."""
        return write_arrays(path, self.to_arrays(), self.provenance, "rbm")

    def check_bits(self, bits: Data) -> NDArray[np.uint8]:
        """Return bits [shot, visible] as uint8, or raise InputError if they are not of this RBM."""
        return check_sites(as_shots(bits), self.visible, "the RBM").bits

    def _true_bits(self, bits: Data) -> NDArray[np.uint8]:
        """Return the same, and refuse shots whose recorded bits may be wrong."""
        shots = check_sites(as_shots(bits), self.visible, "the RBM")
        return without_readout_error(shots, "the probability of single configurations").bits


def _sigmoid(x: Float64) -> Float64:
    return np.exp(-np.logaddexp(0.0, -x))


def _numbers(name: str, values: ArrayLike, dimensions: int) -> Float64:
    try:
        # "same_kind" rejects complex numbers, which would lose their imaginary part.
        array = np.asarray(values).astype(np.float64, casting="same_kind")
    except (TypeError, ValueError):
        text = " ".join(repr(values).split())[:60]
        raise InputError(f"{name}: must be an array of real numbers, found {text}") from None
    if array.ndim != dimensions:
        raise InputError(f"{name}: must have {dimensions} axes, found shape {array.shape}")
    if not np.isfinite(array).all():
        where = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{name}: must be finite, found {array[where]} at {list(where)}")
    return array
