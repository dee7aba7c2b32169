"""A mask for measured shots: scale-free, with as many weights as they determine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.limits import EXACT_SITES, FISHER_PARAMETERS
from psiprune.core.validation import check_count
from psiprune.data.shots import Shots, ShotsLike, as_shots
from psiprune.rbm.masks import Mask
from psiprune.rbm.scale_free import scale_free_mask

#: Probability that independent bits show a correlation at any pair: that of 3 standard errors.
_CHANCE = 0.0027
#: KL per site of k weights per site is about _GAIN exp(-b k), b = _SIZE / N + 1 / xi, at h = J and
#: 18 to 100 sites.
_GAIN, _SIZE = 1.3e-3, 4.5
#: N / xi of a critical chain; where correlations decay less, no fewer weights are needed.
_CRITICAL = 3.0
#: Weights per site below which half as many hidden units as sites are better, and the fewest
#: weights of a unit.
_WIDE, _FEWEST = 8.0, 6
#: Longer chains take as many weights per site as this one: at 100 sites, where noise costs more
#: than its floor, 38 are worse than 26. And the longest chains of which the rule is a default.
_LARGEST, MOST_SITES = 64, 200
#: By how much information may increase from one distance to the next: standard errors of what
#: independent bits show, 1 / (shots sqrt(pairs)), and a share.
_SURE, _SHARE = 4.0, 0.1
_BATCH = 16_384


def mask_for_shots(shots: ShotsLike, hidden: int | None = None) -> Mask:
    """Return a scale-free mask with as many hidden units and weights as shots of a chain support.

    More links lower what an RBM cannot express, and add what it fits of the noise of n shots. With
    k weights per site the KL divergence from the state is about

        KL / N = 0.0013 exp(-b k - 2 / xi) + k / (2 n) + ...,  b = 4.5 / N + 1 / xi,

    as fitted at h = J. It is least for

        k = (ln(2 n 0.0013 b) - 2 / xi) / b,

    and the mask has N k weights, rounded to an even number, at least 6 for each hidden unit, and no
    more than natural gradient trains, 20,000 parameters. The correlation length xi is that of the
    shots: with I(d) the mean mutual information of two bits at a distance d, and r the largest
    distance of two correlated bits,

        1 / xi = ln(I(1) / I(r / 2)) / (r - 2),

    but at least 3 / N, as in a critical chain. Above 64 sites k is that of 64. Bits are
    correlated if twice their mutual information in the shots,

        2 n I_ij = 2 sum_ab n_ab ln(n n_ab / (n_a n_b)),

    chi^2 with one degree of freedom for independent bits, exceeds what one of all pairs would by
    chance in 0.27 % of sets of n independent shots (Bonferroni). Without correlated bits there are
    as many weights as connect all units. Sites must be numbered along the chain.

    Args:
        shots: Shots, bits [shot, site] or counts {"0101": 12}.
        hidden: number of hidden units (default: N if k is 8 or more, else N / 2).

    Returns:
        bool [hidden, site].

    Raises:
        InputError: fewer than two shots or sites, or `hidden` is out of range.
    """
    data = as_shots(shots)
    check_count("sites of the shots", data.sites, 2)
    check_count("number of shots", len(data), 2)
    return _mask(Correlations.of(data.bits), hidden)


def mask_of_long_chain(shots: Shots) -> Mask | None:
    """Return `mask_for_shots` where it is the default of `train`, else None.

    That is for shots without positions or readout errors, of 21 to 200 sites, that look like those
    of a chain: some bits are correlated, and the mean mutual information of two bits nowhere
    increases with their distance, up to the largest of correlated bits, by more than a tenth and
    its noise. On a lattice whose rows are numbered one after another, it increases.
    """
    if not EXACT_SITES < shots.sites <= MOST_SITES or len(shots) < 2:
        return None
    if shots.positions is not None or shots.readout is not None:
        return None
    found = Correlations.of(shots.bits)
    return _mask(found, None) if found.of_chain else None


def most_weights(sites: int, hidden: int, shots: int) -> int:
    """Return the weights of `mask_for_shots` of a critical chain, which has the most."""
    return _weights(sites, hidden, _links(sites, shots, decay=0.0), _FEWEST * hidden)


class Correlations(NamedTuple):
    """Correlations of bits along a chain.

    Attributes:
        shots: number of shots.
        information: mean mutual information of two bits at a distance, in nats, without the
            1 / (2 shots) that noise adds, [distance from 0]; 0 at the distance 0.
        reach: the largest distance of two correlated bits; 0 without any.
    """

    shots: int
    information: NDArray[np.float64]
    reach: int

    @classmethod
    def of(cls, bits: NDArray[np.uint8]) -> Correlations:
        """Return those of bits [shot, site]."""
        from scipy.special import ndtri

        shots, sites = bits.shape
        pairs = _information(bits)
        left, right = np.triu_indices(sites, 1)
        threshold = ndtri(_CHANCE / 2.0 / len(left)) ** 2
        correlated = 2.0 * shots * pairs[left, right] > threshold
        reach = int((right - left)[correlated].max(initial=0))
        means = [float(np.diagonal(pairs, d).mean()) - 0.5 / shots for d in range(1, sites)]
        return cls(shots, np.array([0.0, *means]), reach)

    @property
    def sites(self) -> int:
        """Number of sites."""
        return len(self.information)

    @property
    def of_chain(self) -> bool:
        """Whether they decay along the chain; see `mask_of_long_chain`."""
        distance = np.arange(1, self.reach)
        noise = _SURE / (self.shots * np.sqrt(self.sites - 1 - distance))
        here, next_ = self.information[1 : self.reach], self.information[2 : self.reach + 1]
        return self.reach > 0 and bool((next_ <= (1.0 + _SHARE) * here + noise).all())

    @property
    def weights_per_site(self) -> float:
        """The number k of `mask_for_shots`; 0 where the fewest weights are enough."""
        if self.reach < 2:
            return 0.0
        middle = max(2, -(-self.reach // 2))
        near, far = self.information[[1, middle]]
        if far <= 0.0:
            return 0.0
        decay = np.log(max(near / far, 1.0)) / (2.0 * (middle - 1))
        return _links(self.sites, self.shots, decay)


def _links(sites: int, shots: int, decay: float) -> float:
    """Return the number k of `mask_for_shots` from 1 / xi."""
    sites = min(sites, _LARGEST)
    decay = max(decay, _CRITICAL / sites)
    rate = _SIZE / sites + decay
    links = (np.log(2.0 * shots * _GAIN * rate) - 2.0 * decay) / rate
    return max(float(links), 0.0)


def _mask(found: Correlations, hidden: int | None) -> Mask:
    """Return `mask_for_shots`."""
    sites, links = found.sites, found.weights_per_site
    if hidden is None:
        hidden = sites if links >= _WIDE else (sites + 1) // 2
    units = check_count("hidden", hidden, 1)
    least = _FEWEST * units if found.reach else 0
    return scale_free_mask(sites, units, weights=_weights(sites, units, links, least))


def _weights(sites: int, units: int, links: float, least: int) -> int:
    """Return the number of weights for so many per site, at least `least`."""
    even = 2 * round(links * sites / 2)  # so that the mask is its own mirror image
    even = min(even, FISHER_PARAMETERS - sites - units)
    return min(max(even, least, sites + units - 1), sites * units)


def _information(bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the mutual information of all pairs of bits [shot, site] in nats, [site, site]."""
    from scipy.special import xlogy

    shots, sites = bits.shape
    both = np.zeros((sites, sites))
    for first in range(0, shots, _BATCH):
        batch = bits[first : first + _BATCH].astype(np.float64)
        both += batch.T @ batch
    ones = np.diag(both)
    row = np.stack([ones, shots - ones])[:, None, :, None]  # [bit, other bit, site, other site]
    column = np.stack([ones, shots - ones])[None, :, None, :]
    one_only = ones[:, None] - both
    neither = shots - both - one_only - one_only.T
    counts = np.stack([np.stack([both, one_only]), np.stack([one_only.T, neither])])
    # A count is 0 where a bit never has that value, and so is its term.
    terms = xlogy(counts, shots * counts / np.maximum(row * column, 1.0))
    information: NDArray[np.float64] = terms.sum(axis=(0, 1)) / shots
    return information
