"""Perfect sampling of a matrix product state, in any Pauli bases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.progress import count, progress_bar
from psiprune.core.random import Stream, generator_for
from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.data.pauli_bases import PauliBases
from psiprune.data.shots import Shots
from psiprune.states.basis_rotation import MATRICES
from psiprune.states.basis_sets import basis_set
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import CHUNK, MPS
from psiprune.states.tensors import draw_bits, rotate_sites
from psiprune.states.tfim import TFIM


def sample(
    state: MPS,
    shots: int,
    seed: int = 0,
    *,
    bases: str | Sequence[str] = "Z",
    progress: bool = True,
) -> Shots:
    """Draw independent shots of a state, bits uint8 [shot, site], in Z or in several bases.

    Perfect sampling: site by site from the left, each bit from its exact conditional probability,
    with the physical index of each tensor rotated to the letter of its site. The same seed gives
    the same shots with any number of threads.

    Args:
        state: the state.
        shots: number of shots in all bases together; the first bases have one more each where it
            is no multiple of their number. They follow each other.
        seed: from 0 to 2^63 - 1; also of random bases.
        bases: "random:13", "nearest-pairs", "all-pairs", letters, a file, or a list of these; see
            `basis_set`.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Raises:
        InputError: `shots` is not a positive integer or smaller than the number of bases, the seed
            is out of range, or the bases are invalid.

    Source: Ferris and Vidal, Phys. Rev. B 85, 165146 (2012).
    """
    shots, seed = check_count("shots", shots, 1), check_seed(seed)
    names = basis_set(bases, state.sites, seed)
    if shots < len(names):
        raise InputError(
            f"shots: must be at least 1 for each of {len(names)} bases, found {shots}; ask for "
            "more, or for fewer bases"
        )
    sizes = [shots // len(names) + (k < shots % len(names)) for k in range(len(names))]
    with single_blas_thread(), progress_bar(shots, "sampling", "shots", progress):
        drawn = [
            _in_basis(state, name, size, seed, number)
            for number, (name, size) in enumerate(zip(names, sizes, strict=True))
        ]
    bits = drawn[0] if len(drawn) == 1 else np.concatenate(drawn)
    bits.setflags(write=False)
    provenance: dict[str, Any] = {"sampler": "mps", "seed": seed}
    if state.origin:
        provenance["state"] = state.origin
    elif isinstance(state.model, TFIM):
        provenance["model"] = state.model.model_dump()
    elif state.model is not None:
        provenance["model"] = state.model.summary()
    if isinstance(state.model, Hamiltonian) and state.model.positions is not None:
        provenance["positions"] = [*map(list, state.model.positions)]
    return Shots(
        bits,
        basis=PauliBases.of_groups(names, sizes),
        source="psiprune.sample",
        provenance=provenance,
    )


def _in_basis(state: MPS, basis: str, shots: int, seed: int, number: int) -> NDArray[np.uint8]:
    """Draw shots in one basis; Z on every site has the same stream whatever its number."""
    in_z = not basis.strip("Z")
    tensors = state.tensors
    if not in_z:
        tensors = rotate_sites(tensors, [MATRICES[letter] for letter in basis])
    stream, words = (Stream.MPS_SAMPLING, ()) if in_z else (Stream.BASIS_SAMPLING, (number,))
    bits = np.empty((shots, state.sites), dtype=np.uint8)

    def draw(chunk: int) -> None:
        rows = bits[chunk * CHUNK : (chunk + 1) * CHUNK]
        uniform = generator_for(seed, stream, *words, chunk).random(rows.shape)
        rows[:] = draw_bits(tensors, uniform)
        count("shots", len(rows))

    map_threads(draw, range(-(-shots // CHUNK)))
    return bits
