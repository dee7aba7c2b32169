"""True bits given recorded ones: Markov chains of p(v | y) for an RBM with readout errors.

p(v | y) = p(v) C(y | v) / p(y). At a site that is read independently of all others log C(y | v) is
linear in v_i: the log odds of the record are added to its visible bias. The true bits of sites that
are read together are drawn together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, stream_key
from psiprune.core.threads import map_threads
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots
from psiprune.kernels import layout, posterior
from psiprune.rbm.gibbs import CompiledRBM, bits_of, tiles_of

Bits = NDArray[np.uint8]
#: Gibbs steps of each chain per epoch of a training.
TRUE_STEPS = 2
#: Tiles per task: fixed, so that few float copies of the bits exist at a time.
_TILES = 16
#: Log odds of a single bit that C excludes or fixes: exp(-80) is positive in float32.
_CERTAIN = 80.0
#: Instead of log 0, in groups: so far below all others that rounding swallows the activations.
_EXCLUDED = -1e30


@dataclass(frozen=True, eq=False)
class TrueBits:
    """Markov chains of the true bits, one for each record.

    Attributes:
        records: the recorded bits y, uint8 [shot, site].
        readout: their readout errors.
        bits: current states of the chains, uint8 [shot, site].
        steps: Gibbs steps done.
    """

    records: Bits
    readout: ReadoutError
    bits: Bits
    steps: int = 0

    def advanced(
        self, compiled: CompiledRBM, steps: int, seed: int, part: slice = slice(None)
    ) -> TrueBits:
        """Return the chains after some Gibbs steps of p(v, h | y) with the parameters of an RBM.

        The random numbers of a chain come from the seed, its index and the number of steps done.

        Args:
            compiled: the RBM.
            steps: Gibbs steps.
            seed: random seed.
            part: the chains that take them, by default all.
        """
        likelihood = likelihood_tables(self.readout)
        key = stream_key(seed, Stream.TRUE_BITS, self.steps)
        block = _TILES * layout.lanes_of(layout.WIDE)
        bits = self.bits.copy()
        moved, of_part = bits[part], self.records[part]

        def run(first: int) -> None:
            some = slice(first, first + block)
            state, records = tiles_of(moved[some]), tiles_of(of_part[some])
            tile = first // layout.lanes_of(layout.WIDE)
            graph, params = compiled.graph, compiled.params
            posterior.posterior_gibbs(
                state, records, steps, graph, params, likelihood, tile, key, layout.WIDE
            )
            moved[some] = bits_of(state, len(moved[some]))

        map_threads(run, range(0, len(moved), block))
        return replace(self, bits=bits, steps=self.steps + steps)

    def evenly(self, most: int, part: slice = slice(None)) -> TrueBits:
        """Return at most so many of some chains, evenly spaced, as records may be sorted."""
        among = np.arange(len(self.bits))[part]
        rows = among[np.linspace(0, len(among) - 1, min(most, len(among))).astype(np.intp)]
        return replace(self, records=self.records[rows], bits=self.bits[rows])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores."""
        return {"true_bits": np.packbits(self.bits, axis=1), "true_steps": np.array(self.steps)}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> TrueBits:
        """Return the chains stored in these arrays."""
        bits = np.unpackbits(arrays["true_bits"], axis=1, count=self.bits.shape[1])
        return replace(self, bits=bits, steps=int(arrays["true_steps"]))


def start_true_bits(shots: Shots) -> TrueBits:
    """Return chains that start at the recorded bits of shots with readout errors."""
    assert shots.readout is not None
    return TrueBits(shots.bits, shots.readout, shots.bits)


def likelihood_tables(readout: ReadoutError) -> posterior.Likelihood:
    """Return log C(y | v) of all groups in the layout of the kernel."""
    tables = []
    for group in readout.groups:
        with np.errstate(divide="ignore"):
            log = np.log(group.matrix)  # [v, y]
        single = len(group.sites) == 1
        table = np.clip(log[1] - log[0], -_CERTAIN, _CERTAIN) if single else log.T.ravel()
        tables.append(np.maximum(table, _EXCLUDED))
    return posterior.Likelihood(
        np.cumsum([0, *map(len, tables)])[:-1].astype(np.int32),
        np.cumsum([0, *(len(group.sites) for group in readout.groups)]).astype(np.int32),
        np.concatenate([group.sites for group in readout.groups]).astype(np.int32),
        np.concatenate(tables).astype(np.float32),
    )
