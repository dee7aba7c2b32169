"""Draw outcomes of a state of two RBMs in a basis that rotates few sites, at any number of sites.

Rotations of some sites R leave the distribution of the others as it is. So a configuration v drawn
from |psi|^2 keeps its bits outside R, and those of R are drawn given them,

    p(x_R | v outside R) = |sum_v_R <x_R|U|v_R> psi(v)|^2 / sum_v_R |psi(v)|^2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_DRAW_UNITS
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.text import counted
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM
from psiprune.states.basis_rotation import check_few_rotated, letters_of, rotate

Bits = NDArray[np.uint8]
#: Amplitudes at a time: bounds the memory.
_AMPLITUDES = 1 << 16


def draw_in_basis(
    amplitude: RBM, phase: RBM, basis: str, shots: int, steps: int, seed: int
) -> Bits:
    """Return outcomes in a basis, uint8 [shot, site].

    Args:
        amplitude: RBM of |psi|^2.
        phase: RBM of the phases, psi = sqrt(p) exp(i log p~ / 2).
        basis: a letter for each site, at most 8 of them other than Z.
        shots: number of outcomes.
        steps: Gibbs steps, where both layers of `amplitude` have more than 25 units.
        seed: random seed.

    Raises:
        InputError: the basis has another number of letters, unknown ones, or more than 8 that
            are not Z.
    """
    letters = letters_of([basis])[0]
    if len(letters) != amplitude.visible:
        raise InputError(
            f"basis: {basis[:40]} has {counted(len(letters), 'letter')}, but the state has "
            f"{counted(amplitude.visible, 'site')}; give a letter for each site, site 0 first"
        )
    check_few_rotated([basis], "basis")
    own = derive_seed(seed, Stream.PHASE_BASIS_DRAWS)
    if min(amplitude.visible, amplitude.hidden) <= EXACT_DRAW_UNITS:
        bits = amplitude.sample_exact(shots, seed=own)
    else:
        start = gibbs.random_start(shots, amplitude.visible, own)
        chains = gibbs.start_chains(amplitude.compiled, start, own)
        bits = gibbs.step_with_flips(chains, steps).bits
    uniform = generator_for(seed, Stream.PHASE_BASIS_DRAWS).random(shots)
    return outcomes_given(amplitude, phase, bits, basis, uniform)


def outcomes_given(
    amplitude: RBM, phase: RBM, bits: Bits, basis: str, uniform: NDArray[np.float64]
) -> Bits:
    """Return outcomes in a basis from draws of |psi|^2, uint8 [shot, site].

    Args:
        amplitude: as in `draw_in_basis`.
        phase: the same.
        bits: configurations drawn in Z, [shot, site].
        basis: a letter for each site.
        uniform: a uniform random number for each shot.
    """
    sites = [site for site, letter in enumerate(basis) if letter != "Z"]
    if not sites:
        return bits
    settings = ((np.arange(1 << len(sites))[:, None] >> np.arange(len(sites))) & 1).astype(np.uint8)
    turned, out = "".join(basis[site] for site in sites), bits.copy()
    step = max(1, _AMPLITUDES // len(settings))
    for first in range(0, len(bits), step):
        rows = bits[first : first + step]
        states = np.repeat(rows[:, None], len(settings), axis=1)
        states[:, :, sites] = settings
        flat = states.reshape(-1, bits.shape[1])
        size, turn = (
            network.log_prob_unnormalized(flat).reshape(len(rows), -1)
            for network in (amplitude, phase)
        )
        psi = np.exp(0.5 * (size - size.max(axis=1, keepdims=True)) + 0.5j * turn)
        prob = np.abs(rotate(psi, [turned] * len(rows))) ** 2
        cumulative = np.cumsum(prob, axis=1)
        target = uniform[first : first + step] * cumulative[:, -1]
        drawn = np.minimum((cumulative <= target[:, None]).sum(axis=1), len(settings) - 1)
        out[first : first + step, sites] = settings[drawn]
    return out
