"""Observables of configurations or of a full distribution: energy, m, |m|, C(d), with errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.repr import one_line
from psiprune.metrics.local_energy import local_energies
from psiprune.rbm.model import RBM
from psiprune.states.mps import MPS, Model
from psiprune.states.tfim import TFIM, midpoint

Float64 = NDArray[np.float64]


@one_line
@dataclass(frozen=True, eq=False)
class Estimate:
    """A mean with its standard error and the standard deviation of one draw; scalars or arrays.

    `error` accounts for autocorrelation; it is 0 where the value is a sum over all states. The
    `covariance` of the errors of an array is [value, value]; None for scalars and exact values.
    """

    value: Float64 | np.float64
    error: Float64 | np.float64
    deviation: Float64 | np.float64
    covariance: Float64 | None = None


#: Smaller <|m|> of a state are rounding errors: all its configurations have m = 0.
_NO_MAGNETIZATION = 1e-10
_NAN = np.float64("nan")
#: What is not known at all.
UNKNOWN = Estimate(_NAN, _NAN, _NAN)


@one_line
@dataclass(frozen=True, eq=False)
class Observables:
    """The observables of the paper, Eqs. (1), (5), (7). Energy in the units of J, total.

    Attributes:
        energy: <H>.
        magnetization: <m>, m = sum_i Z_i / N.
        abs_magnetization: <|m|>.
        correlation: C(d) = <Z_i Z_j> - <Z_i><Z_j> from site i = N/2 to j = N/2 + d, [distance].
        magnetization_distribution: P(m), m = 1 - 2 k / N with k the number of 1 bits, [k].
        energy_variance: <H^2> - <H>^2, the variance of the local energy; of samples only, else NaN.
    """

    energy: Estimate
    magnetization: Estimate
    abs_magnetization: Estimate
    correlation: Estimate
    magnetization_distribution: Estimate
    energy_variance: Estimate = UNKNOWN


def exact_observables(prob: Float64, sites: int, model: Model | None) -> Observables:
    """Return observables of psi = sqrt(p) by sums over the whole basis, p [2^N]; errors are 0.

    <X_i> = sum_v sqrt(p(v) p(v with site i flipped)).
    """
    n = sites
    ones, bonds, middle = _basis_functions(n)
    psi = np.sqrt(prob)
    flips = 0.0
    for k in range(n):
        halves = psi.reshape(-1, 2, 1 << k)
        flips += 2.0 * float(np.einsum("ab,ab->", halves[:, 0], halves[:, 1]))
    energy = float("nan")
    if isinstance(model, TFIM):
        energy = -model.coupling * float(prob @ bonds) - model.field * flips
    elif model is not None:
        energy = float(psi @ model.apply_hamiltonian(psi))
    by_magnetization = np.bincount(ones, weights=prob, minlength=n + 1)
    m = 1.0 - 2.0 * np.arange(n + 1) / n
    i = midpoint(n)
    z = _site_means(prob)
    zz = _site_means(prob * middle)
    zz[i] = 1.0
    correlation = (zz - z[i] * z)[i:]
    return Observables(
        _exact(energy),
        _exact(by_magnetization @ m),
        _exact(by_magnetization @ np.abs(m)),
        _exact(correlation),
        _exact(by_magnetization),
    )


def sampled_observables(rbm: RBM, bits: NDArray[np.uint8], model: Model | None) -> Observables:
    """Return observables of RBM samples, bits [chain, draw, site]; lone draws are chains of 1.

    Errors: the standard deviation of the chains' means over the root of the number of chains, which
    holds for any autocorrelation within a chain. The energy is NaN without a model.
    """
    chains, draws, n = bits.shape
    values = observable_values(rbm, bits.reshape(chains * draws, n), model)
    if model is not None:
        values["energy_variance"] = (values["energy"] - values["energy"].mean()) ** 2
    estimates = {
        name: chain_mean(each.reshape(chains, draws, *each.shape[1:]))
        for name, each in values.items()
    }
    energy = estimates.pop("energy", UNKNOWN)
    return Observables(energy, **estimates, magnetization_distribution=histogram(bits))


def observable_values(rbm: RBM, bits: NDArray[np.uint8], model: Model | None) -> dict[str, Float64]:
    """Return observables of each configuration, bits [draw, site] -> [draw] or [draw, distance].

    Their means are those of `Observables`, by its names; without a model there is no energy. The
    energy is that of `local_energies`.
    """
    energy = {} if model is None else {"energy": local_energies(rbm, bits, model)}
    return energy | _diagonal(spins(bits))


def reference_observables(state: MPS) -> Observables:
    """Return exact observables of a state from its tensors; the energy is NaN without a model.

    The deviations are those of one draw in the Z basis (0 for the energy, as the local energy of an
    eigenstate has no variance): they give the noise floor of a perfect model.
    """
    n = state.sites
    prob = state.magnetization_distribution()
    m = 1.0 - 2.0 * np.arange(n + 1) / n
    mean, absolute, square = (np.float64(prob @ f) for f in (m, np.abs(m), m**2))
    if absolute < _NO_MAGNETIZATION:
        mean = absolute = square = np.float64(0.0)
    i = midpoint(n)
    z, zz = state.magnetization(), state.correlations()
    correlation = zz[i, i:] - z[i] * z[i:]
    spread = np.sqrt(np.maximum(1.0 - zz[i, i:] ** 2, 0.0))
    zero = np.float64(0.0)
    energy = np.float64(state.energy)  # NaN without a model
    if isinstance(state.model, TFIM):
        x = state.transverse_magnetization().sum()
        energy = -state.model.coupling * np.trace(zz, 1) - state.model.field * x
    return Observables(
        Estimate(energy, zero, zero),
        Estimate(mean, zero, np.sqrt(np.maximum(square - mean**2, 0.0))),
        Estimate(absolute, zero, np.sqrt(np.maximum(square - absolute**2, 0.0))),
        Estimate(correlation, np.zeros(len(correlation)), spread),
        # Rounding may make a probability of 1 larger, about 1 + 1e-16.
        Estimate(prob, np.zeros(n + 1), np.sqrt(np.maximum(prob * (1.0 - prob), 0.0))),
    )


def data_observables(bits: NDArray[np.uint8]) -> dict[str, Estimate]:
    """Return <m>, <|m|>, C(d), P(m) of independent shots [shot, site]; the energy needs psi."""
    values = _diagonal(spins(bits)).items()
    estimates = {name: chain_mean(by_shot[:, None]) for name, by_shot in values}
    return estimates | {"magnetization_distribution": histogram(bits[:, None, :])}


def spins(bits: NDArray[np.uint8]) -> Float64:
    """Return z = 1 - 2 v, float64."""
    return (1.0 - 2.0 * bits).astype(np.float64, copy=False)


def mean_bond(z: Float64) -> Float64:
    """Return the mean over the bonds of Z_i Z_{i+1}, [draw]; NaN where there is no bond."""
    if z.shape[1] == 1:  # numpy would warn of the mean of an empty slice
        return np.full(len(z), np.nan)
    return np.asarray((z[:, :-1] * z[:, 1:]).mean(axis=1))


def histogram(bits: NDArray[np.uint8]) -> Estimate:
    """Return P(m) of bits [chain, draw, site] by number of 1 bits; errors as in `chain_mean`.

    The errors are reliable in bins with tens of draws; that of an empty bin is 0.
    """
    chains, draws, n = bits.shape
    ones = bits.sum(axis=2, dtype=np.int64)
    prob = np.bincount(ones.ravel(), minlength=n + 1) / ones.size
    deviation = np.sqrt(prob * (1.0 - prob))
    if draws == 1:  # independent draws are 0 or 1 in each bin: no table over chains is needed
        return Estimate(prob, deviation / np.sqrt(max(1, chains - 1)), deviation)
    bins = ones + (n + 1) * np.arange(chains)[:, None]
    by_chain = np.bincount(bins.ravel(), minlength=chains * (n + 1)).reshape(chains, n + 1) / draws
    return Estimate(prob, by_chain.std(axis=0, ddof=1) / np.sqrt(chains), deviation)


def chain_mean(values: Float64) -> Estimate:
    """Return the mean over [chain, draw, ...], its error from the spread of the chains' means."""
    means = values.mean(axis=1)
    error = means.std(axis=0, ddof=1) / np.sqrt(len(means))
    spread = np.atleast_2d(np.cov(means, rowvar=False)) / len(means) if means.ndim == 2 else None
    return Estimate(means.mean(axis=0), error, values.std(axis=(0, 1)), spread)


@lru_cache(maxsize=2)
def _basis_functions(sites: int) -> tuple[NDArray[np.int64], Float64, Float64]:
    """Return number of 1 bits, sum of Z_i Z_{i+1} and Z of the midpoint by basis index, [2^N]."""
    index = np.arange(1 << sites)
    z: list[Float64] = [(1.0 - 2.0 * ((index >> k) & 1)).astype(np.float64) for k in range(sites)]
    ones = sum(((index >> k) & 1 for k in range(sites)), np.zeros_like(index))
    bonds = sum((z[k] * z[k + 1] for k in range(sites - 1)), np.zeros(1 << sites))
    return ones, bonds, z[midpoint(sites)]


def _diagonal(z: Float64) -> dict[str, Float64]:
    """Return m [draw], |m| [draw] and products [draw, distance] with the means <m>, <|m|>, C(d).

    The product of fluctuations has C(d) as its mean, up to a bias of order 1/draws.
    """
    m, i = z.mean(axis=1), midpoint(z.shape[1])
    fluctuation = z - z.mean(axis=0)
    products = fluctuation[:, i, None] * fluctuation[:, i:]
    return {"magnetization": m, "abs_magnetization": np.abs(m), "correlation": products}


def _site_means(weight: Float64) -> Float64:
    """Return sum_v weight(v) Z_i(v) of each site, summing out sites from the last to the first."""
    sites = len(weight).bit_length() - 1
    means = np.empty(sites)
    for k in reversed(range(sites)):
        up, down = weight[: 1 << k], weight[1 << k :]
        means[k] = up.sum() - down.sum()
        weight = up + down
    return means


def _exact(value: ArrayLike) -> Estimate:
    array = np.asarray(value, dtype=np.float64)
    return Estimate(array, np.zeros_like(array), np.zeros_like(array))
