"""Annealed importance sampling: log Z of an RBM without a reference state, in both directions.

Neal, Stat. Comput. 11, 125 (2001); Salakhutdinov & Murray, ICML 2008. Chains start at independent
draws of a base model without weights, whose log Z_0 is known, and pass through the temperatures
beta = 0 .. 1 to the RBM. With w the product of p~_new(v) / p~_old(v) over all changes of beta,
E[w] = Z / Z_0 for a run of any length. In reverse, from draws of the RBM to the base,
E[w] = Z_0 / Z. By Jensen's inequality the mean of the forward log Z is too low and that of the
reverse one too high (Grosse, Ghahramani & Adams 2015), so a gap between them reveals a bad run.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.progress import count
from psiprune.core.random import Stream, generator_for, stream_key
from psiprune.core.repr import one_line
from psiprune.core.threads import map_threads
from psiprune.kernels import ais, layout
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
#: Smallest and largest mean of a base bit, so that every configuration has some probability.
_MEANS = (0.02, 0.98)


@one_line
class Base(NamedTuple):
    """Independent units: p_0(v, h) ~ exp(visible_bias.v + hidden_bias.h)."""

    visible_bias: Float64
    hidden_bias: Float64

    @property
    def log_partition(self) -> float:
        """log Z_0, of both layers."""
        return float(np.logaddexp(0.0, np.concatenate(self)).sum())

    def draws(self, chains: int, seed: int) -> NDArray[np.uint8]:
        """Draw independent visible configurations, uint8 [chain, site]."""
        generator = generator_for(seed, Stream.AIS_BASE)
        prob = np.exp(-np.logaddexp(0.0, -self.visible_bias))
        return (generator.random((chains, len(prob))) < prob).astype(np.uint8)


def base_of(rbm: RBM, bits: NDArray[np.uint8]) -> Base:
    """Return the base with the means of bits [shot, site] and of the hidden units given the bits.

    Pass thousands of shots: noise favours one of two modes that are equal in the RBM.
    """
    means = bits.mean(axis=0), rbm.hidden_given_visible(bits).mean(axis=0)
    return Base(*(np.log(mean / (1 - mean)) for mean in (np.clip(m, *_MEANS) for m in means)))


def anneal(
    rbm: RBM, base: Base, start: NDArray[np.uint8], betas: Float64, seed: int
) -> tuple[Float64, NDArray[np.uint8]]:
    """Carry chains from `start` [chain, site] through `betas`; return log w [chain] and the bits.

    `start` must follow the distribution at betas[0]; a Gibbs step is taken at each later beta. The
    result does not depend on the number of threads.
    """
    graph, params = rbm.compiled.graph, rbm.compiled.params
    state = gibbs.start_chains(rbm.compiled, start, seed).state
    log_weight = np.zeros((state.shape[0], state.shape[2]))
    biases = (bias.astype(np.float32) for bias in base)
    start_params = layout.Parameters(np.zeros_like(params.weights), *biases)
    key = stream_key(seed, Stream.AIS, int(betas[0]))  # 0 forward, 1 in reverse
    betas = np.ascontiguousarray(betas, dtype=np.float64)

    def run(tile: int) -> None:
        one, weight = state[tile : tile + 1], log_weight[tile : tile + 1]
        ais.anneal_tiles(one, weight, betas, graph, start_params, params, tile, key, layout.WIDE)
        count("Gibbs steps", one.shape[2] * (len(betas) - 1))

    map_threads(run, range(len(state)))
    lanes = state.transpose(0, 2, 1).reshape(-1, rbm.visible)[: len(start)]
    return log_weight.reshape(-1)[: len(start)], lanes.astype(np.uint8)


def log_mean(log_weights: Float64) -> tuple[float, float, float]:
    """Return (log of the mean, its error, effective sample size) of independent weights [chain].

    Delta method: the error of log(mean) is the error of the mean over the mean. The effective
    sample size is (sum w)^2 / sum w^2.
    """
    top = log_weights.max()
    weights = np.exp(log_weights - top)
    mean = weights.mean()
    error = weights.std(ddof=1) / np.sqrt(len(weights)) / mean
    return float(top + np.log(mean)), float(error), float(weights.sum() ** 2 / (weights @ weights))
