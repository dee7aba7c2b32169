"""Errors of an RBM whose probabilities of some bits are 0, where first order underestimates them.

The estimate p' of a probability by inverting confusion matrices scatters around p on both sides,
below 0 as well, with the error s. The likelihood of an RBM is largest within p >= 0: close to the
boundary it is about max(p', 0), which does not change to first order with the rates or the shots
once p' < 0, although p remains as uncertain as p' says. As

    |max(p', 0) - p| <= |p' - p|    and    0 <= E[max(p', 0)] - p <= s / sqrt(2 pi),

s is a bound of its error; in a mean over several sites the biases add up, where p' averages out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.metrics.corrected import Inverted, joint_prob
from psiprune.metrics.observables import Estimate, spins
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.tfim import midpoint

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: A probability is at the boundary if it is below this many standard errors of its estimate.
_NEAR = 2.0
#: Largest bias of max(x, 0) in units of the standard deviation of x.
_BIAS = 1 / np.sqrt(2 * np.pi)


class BoundaryErrors(NamedTuple):
    """Least errors of observables by name, 0 where first order holds.

    Attributes:
        training: from the noise of the training shots, of the true bits.
        rates: from that of the readout error rates, of the true bits.
        records: from the noise of the training shots, of the bits as recorded.
        sites: those with bits, or pairs of bits, of a probability of 0 within its error.
    """

    training: dict[str, Float64]
    rates: dict[str, Float64]
    records: dict[str, Float64]
    sites: tuple[int, ...] = ()

    @property
    def note(self) -> str:
        """In one line where the RBM is at the boundary; empty if nowhere."""
        if not self.sites:
            return ""
        named = ", ".join(map(str, self.sites[:8])) + (", ..." if len(self.sites) > 8 else "")
        return (
            f"some bits or pairs of bits at sites {named} have a probability of 0 within its "
            "error; there columns rates and training are at least the errors of the estimate from "
            "the records alone"
        )


def boundary_errors(
    bits: Bits,
    direct: Inverted,
    recorded: Mapping[str, Estimate],
    share: float,
    sums: Mapping[str, Hamiltonian] = MappingProxyType({}),
) -> BoundaryErrors:
    """Return how large the errors of observables are at least at the boundary.

    The biases in a sum of K strings at the boundary add up to about s sqrt(K / (2 pi)) if the
    error s of the sum is that of K independent ones, and to less if they vary alike.

    Args:
        bits: draws of the RBM, [draw, site].
        direct: estimates of <m>, <Z_i Z_{i+1}> and C(d) of the true bits from records, by inverting
            the confusion matrices.
        recorded: estimates of observables of the bits as recorded, from the same records.
        share: number of these records over that of the training shots.
        sums: further sums of Z strings by name, as given to `invert_records`.
    """
    z = spins(bits)
    one, products = z.mean(axis=0), z.T @ z / len(z)
    pairs, number = direct.pairs, bits.shape[1]
    scale = np.array([np.sqrt(share), 1.0])  # of errors from training shots and from rates
    of_sites, of_products = (scale[:, None] * each for each in (direct.z, direct.products))
    of_joint = np.linalg.norm(scale[:, None, None] * direct.joint, axis=0)
    first, second = pairs.T
    joint = joint_prob(one[first], one[second], products[first, second])
    at_site = 1 - np.abs(one) < _NEAR * np.linalg.norm(of_sites, axis=0)
    at_pair = (joint < _NEAR * of_joint).any(axis=-1)

    def of_name(name: str) -> Float64:
        """Return the errors from training shots and from rates, [2] or [2, d]."""
        found = direct.estimates[name]
        return np.stack([scale[0] * found.sampling_error, np.asarray(found.rates_error)])

    def of_mean(name: str, errors: Float64, at: NDArray[np.bool_]) -> Float64:
        if not at.any():
            return np.zeros(2)
        return np.hypot(of_name(name), _BIAS * errors[:, at].sum(axis=1) / len(at))

    bonds = slice(0, number - 1)
    middle = at_site[max(0, midpoint(number))]
    least = {
        "magnetization": of_mean("magnetization", of_sites, at_site),
        "neighbours": of_mean("neighbours", of_products[:, bonds], at_pair[bonds]),
        "correlation": of_name("correlation") * np.append(middle, at_pair[number - 1 :]),
    }
    alone = {*np.flatnonzero(at_site).tolist()}
    at = alone | {*pairs[at_pair].ravel().tolist()}

    def is_at(string: Collection[int]) -> bool:
        return not (alone if len(string) == 1 else at).isdisjoint(string)

    for name in sums.keys() & direct.estimates.keys():
        strings = sum(is_at(term.letters) for term in sums[name].terms)
        least[name] = (strings > 0) * np.sqrt(1 + _BIAS**2 * strings) * of_name(name)
    in_shots = {  # as a fraction of the error of the records
        name: each[0] / direct.estimates[name].sampling_error for name, each in least.items()
    }
    anywhere = scale[0] * (at_site.any() or at_pair.any())
    records = {
        name: np.asarray(in_shots.get(name, anywhere) * each.error)
        for name, each in recorded.items()
    }
    training, rates = ({name: each[k] for name, each in least.items()} for k in (0, 1))
    return BoundaryErrors(training, rates, records, tuple(sorted(at)))
