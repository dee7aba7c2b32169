"""Perfect sampling of a matrix product state."""

from __future__ import annotations

from typing import Any

import numpy as np

from psiprune.core.progress import count, progress_bar
from psiprune.core.random import Stream, generator_for
from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.data.shots import Shots
from psiprune.states.mps import CHUNK, MPS
from psiprune.states.tensors import draw_bits
from psiprune.states.tfim import TFIM


def sample(state: MPS, shots: int, seed: int = 0, *, progress: bool = True) -> Shots:
    """Draw independent shots from |psi|^2 in the Z basis, bits uint8 [shot, site].

    Perfect sampling: site by site from the left, each bit from its exact conditional probability.
    The same seed gives the same shots with any number of threads. `progress=False` shows no bar.

    Raises:
        InputError: `shots` is not a positive integer, or the seed is not in 0 .. 2^63 - 1.

    Source: Ferris and Vidal, Phys. Rev. B 85, 165146 (2012).
    """
    shots, seed = check_count("shots", shots, 1), check_seed(seed)
    bits = np.empty((shots, state.sites), dtype=np.uint8)

    def draw(chunk: int) -> None:
        rows = bits[chunk * CHUNK : (chunk + 1) * CHUNK]
        uniform = generator_for(seed, Stream.MPS_SAMPLING, chunk).random((CHUNK, state.sites))
        rows[:] = draw_bits(state.tensors, uniform[: len(rows)])
        count("shots", len(rows))

    with single_blas_thread(), progress_bar(shots, "sampling", "shots", progress):
        map_threads(draw, range(-(-shots // CHUNK)))
    bits.setflags(write=False)
    provenance: dict[str, Any] = {"sampler": "mps", "seed": seed}
    if isinstance(state.model, TFIM):
        provenance["model"] = state.model.model_dump()
    elif state.model is not None:
        provenance["model"] = state.model.summary()
        if state.model.positions is not None:
            provenance["positions"] = [*map(list, state.model.positions)]
    return Shots(bits, source="psiprune.sample", provenance=provenance)
