"""Annealed importance sampling of sum_v p~(v) C(y | v) through powers of p~(v).

From true bits drawn as if all were as likely before they were recorded, through

    f_beta(v) = p~(v)^beta C(y | v),    beta = 0 .. 1,

with weights w of mean E[w] = sum_v p~(v) C(y | v) (Neal, Stat. Comput. 11, 125 (2001)). A move
flips bits of a site, or of a group of sites that are read together, by the odds of p~(v) itself.
Block Gibbs steps would leave a record of hardly any probability (such as that of a W state with a
flip) too rarely, as the hidden units, drawn given its bits, keep them as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.data.confusion import Confusion
from psiprune.rbm.model import RBM
from psiprune.rbm.observed import bits_of_states, index_of

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: beta = (k / sweeps)^2 after k sweeps: random bits have the widest spread of log p~.
_POWER = 2
#: exp(600) and exp(-600) are floats, and so is their product with a probability.
_STEEPEST = 600.0
#: Instead of log 0: no difference of two is undefined.
_EXCLUDED = -1e30
# Measured on one core of a recent x86-64 server, nanoseconds per move of a chain.
_MOVE_NS, _UNIT_NS = 120.0, 2.0  # once, and for each hidden unit


class _Move(NamedTuple):
    """Flips of some bits of a group, from each of its states v_g.

    Attributes:
        group: number of the group.
        flips: bits of its state that flip.
        growth: exp of the change of each hidden unit's activation, [hidden, v_g].
        field: change of the visible biases' part of log p~, [v_g].
        log_odds: change of log C(y_g | v_g), [v_g, y_g].
        blocks: blocks of hidden units over which a product of growths is a float.
    """

    group: int
    flips: int
    growth: Float64
    field: Float64
    log_odds: Float64
    blocks: Sequence[slice]


def tempered_log_weights(
    rbm: RBM,
    records: Bits,
    groups: Sequence[Confusion],
    sweeps: int,
    repeats: int,
    generator: np.random.Generator,
) -> Float64:
    """Return log w [repeat, record] with E[w] = sum_v p~(v) C(y | v).

    Args:
        rbm: the RBM.
        records: recorded bits y [record, site].
        groups: confusion matrices of groups of sites, each site in one of them.
        sweeps: changes of beta; between two of them each move is tried once.
        repeats: annealings of each record.
        generator: random numbers.
    """
    recorded = [np.tile(index_of(records[:, group.sites]), repeats) for group in groups]
    states, log_weight = [], np.zeros(repeats * len(records))
    for group, y in zip(groups, recorded, strict=True):
        likelihood = group.matrix[:, y].cumsum(axis=0)  # [v_g, chain]
        drawn = generator.random(len(y)) * likelihood[-1]
        states.append((drawn >= likelihood[:-1]).sum(axis=0))
        log_weight += np.log(likelihood[-1])
    moves, beta = list(_moves(rbm, groups)), 0.0
    for sweep in range(1, sweeps + 1):
        bits = _bits_of(states, groups)
        activation = rbm.weights @ bits + rbm.hidden_bias[:, None]
        softplus = np.logaddexp(0.0, activation)
        last, beta = beta, (sweep / sweeps) ** _POWER
        log_weight += (beta - last) * (rbm.visible_bias @ bits + softplus.sum(axis=0))
        if sweep < sweeps:
            on, off = np.exp(activation - softplus), np.exp(-softplus)
            for move in moves:
                _try(move, states[move.group], recorded[move.group], on, off, beta, generator)
    return log_weight.reshape(repeats, -1)


def tempering_seconds(sites: int, hidden: int, chain_sweeps: float) -> float:
    """Return the seconds on one core for so many sweeps of all chains, without joint errors."""
    return 1e-9 * chain_sweeps * sites * (_MOVE_NS + _UNIT_NS * hidden)


def _try(
    move: _Move,
    state: NDArray[np.int64],
    recorded: NDArray[np.int64],
    on: Float64,
    off: Float64,
    beta: float,
    generator: np.random.Generator,
) -> None:
    """Flip the bits of a move in some chains, in place.

    p~(v) changes by the factor prod_j (off_j + on_j growth_j) besides that of the visible biases,
    where `on` [hidden, chain] is p(h_j = 1 | v) and `off` is p(h_j = 0 | v).
    """
    growth = move.growth.take(state, axis=1)
    factor = off + on * growth
    log_ratio = sum(
        (np.log(factor[block].prod(axis=0)) for block in move.blocks), move.field[state]
    )
    log_odds = beta * log_ratio + move.log_odds[state, recorded]
    flip = generator.logistic(size=len(state)) < log_odds
    state[flip] ^= move.flips
    on[:, flip] *= growth[:, flip] / factor[:, flip]
    off[:, flip] /= factor[:, flip]


def _moves(rbm: RBM, groups: Sequence[Confusion]) -> Iterator[_Move]:
    """Yield all flips of all groups: of each site, and of sites together that are read together."""
    for number, group in enumerate(groups):
        sites = list(group.sites)
        bits = bits_of_states(len(sites)).T
        states = np.arange(len(group.matrix))
        with np.errstate(divide="ignore"):
            log_c = np.maximum(np.log(group.matrix), _EXCLUDED)
        for flips in states[1:]:
            change = bits[:, states ^ flips] - bits
            rise = np.clip(rbm.weights[:, sites] @ change, -_STEEPEST, _STEEPEST)
            size = int(_STEEPEST / rise.max(initial=1.0))
            yield _Move(
                number,
                int(flips),
                np.exp(rise),
                rbm.visible_bias[sites] @ change,
                log_c[states ^ flips] - log_c,
                [slice(unit, unit + size) for unit in range(0, rbm.hidden, size)],
            )


def _bits_of(states: Sequence[NDArray[np.int64]], groups: Sequence[Confusion]) -> Float64:
    """Return the bits [site, chain] of the states of all groups, [chain] each."""
    bits = np.empty((sum(len(group.sites) for group in groups), len(states[0])))
    for state, group in zip(states, groups, strict=True):
        bits[list(group.sites)] = (state >> np.arange(len(group.sites))[:, None]) & 1
    return bits
