"""Annealed importance sampling: log Z of an RBM without a reference state, from both sides.

Neal, Stat. Comput. 11, 125 (2001); Salakhutdinov & Murray, ICML 2008. Chains start at independent
draws of a base model without weights, whose log Z_0 is known, and pass through the temperatures
beta = 0 .. 1 to the RBM. With w the product of p~_new(v) / p~_old(v) over all changes of beta,
E[w] = Z / Z_0 however short the run. Backwards, from draws of the RBM to the base, E[w] = Z_0 / Z.
By Jensen's inequality the mean of the forward log Z is too low and that of the backward one too
high (Grosse, Ghahramani & Adams 2015), so what a run misses shows as a gap between the two.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, generator_for, stream_key
from psiprune.core.threads import map_threads
from psiprune.kernels import ais, layout
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
#: Least and greatest mean of a base bit: every configuration stays within reach.
_MEANS = (0.02, 0.98)


class Base(NamedTuple):
    """Independent units: p_0(v, h) ~ exp(visible_bias.v + hidden_bias.h)."""

    visible_bias: Float64
    hidden_bias: Float64

    @property
    def log_partition(self) -> float:
        """log Z_0, of both layers."""
        both = np.concatenate([self.visible_bias, self.hidden_bias])
        return float(np.logaddexp(0.0, both).sum())

    def draws(self, chains: int, seed: int) -> NDArray[np.uint8]:
        """Independent visible configurations, uint8 [chain, site]."""
        generator = generator_for(seed, Stream.AIS_BASE)
        prob = np.exp(-np.logaddexp(0.0, -self.visible_bias))
        return (generator.random((chains, len(prob))) < prob).astype(np.uint8)


def base_of(rbm: RBM, bits: NDArray[np.uint8]) -> Base:
    """The base with the means of both layers: bits [shot, site], and hidden units given the bits.

    It takes thousands of bits: their noise favours one of two modes that the RBM holds equal.
    """
    means = bits.mean(axis=0), rbm.hidden_given_visible(bits).mean(axis=0)
    return Base(*(np.log(mean / (1 - mean)) for mean in (np.clip(m, *_MEANS) for m in means)))


def anneal(
    rbm: RBM, base: Base, start: NDArray[np.uint8], betas: Float64, seed: int
) -> tuple[Float64, NDArray[np.uint8]]:
    """Carry chains from `start` [chain, site] through `betas`: (log w [chain], bits [chain, site]).

    The configurations of `start` follow the distribution at betas[0]; a Gibbs step is taken at each
    later one. The result does not depend on the number of threads.
    """
    chains = gibbs.start_chains(rbm.machine, start, seed)
    state = chains.state.copy()
    log_weight = np.zeros((state.shape[0], state.shape[2]))
    machine = rbm.machine
    single = layout.Parameters(
        np.zeros_like(machine.at.weights),
        base.visible_bias.astype(np.float32),
        base.hidden_bias.astype(np.float32),
    )
    key = stream_key(seed, Stream.AIS, int(betas[0] > betas[-1]))
    betas = np.ascontiguousarray(betas, dtype=np.float64)

    def run(tile: int) -> None:
        part = slice(tile, tile + 1)
        ais.anneal(
            state[part],
            log_weight[part],
            betas,
            machine.graph,
            single,
            machine.at,
            tile,
            key,
            layout.WIDE,
        )

    map_threads(run, range(len(state)))
    lanes = state.transpose(0, 2, 1).reshape(-1, rbm.visible)[: len(start)]
    return log_weight.reshape(-1)[: len(start)], lanes.astype(np.uint8)


def log_mean(log_weights: Float64) -> tuple[float, float, float]:
    """(log of the mean weight, its error, effective sample size) of independent weights [chain].

    Delta method: the error of log(mean) is the error of the mean over the mean. The effective
    sample size is (sum w)^2 / sum w^2.
    """
    top = log_weights.max()
    weights = np.exp(log_weights - top)
    mean = weights.mean()
    error = weights.std(ddof=1) / np.sqrt(len(weights)) / mean
    return float(top + np.log(mean)), float(error), float(weights.sum() ** 2 / (weights @ weights))
