"""Where training on shots in several bases starts: sizes, checked shots, initial weights."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_GRADIENT_UNITS
from psiprune.core.random import Stream, generator_for
from psiprune.data.shots import Shots
from psiprune.io.checkpoint import Checkpoints
from psiprune.rbm.init import check_hidden, initial_rbm, local_rbm
from psiprune.rbm.masks import Mask
from psiprune.rbm.model import RBM
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import BasisFrequencies, basis_frequencies
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.method import Method
from psiprune.training.natural_gradient import NaturalGradient
from psiprune.training.train import fit

#: Steps in which the amplitude network is first fitted to the shots in Z alone.
_AMPLITUDE_STEPS = 10
#: The same where sums over all states are impossible: shorter steps, over chains.
_SAMPLED_STEPS, _CHAINS = 30, 5000
#: Shots in Z for each site below which the amplitudes do not begin from these alone, and as many
#: random shots that are then added to them: a fit to a few, or to equal bits of a site, ends in a
#: state of certain outcomes, from which no gradient leads away.
_FEWEST_PER_SITE = 4
#: Phases begin nearly flat: of 0.1, 0.3, 1 and 2 this reaches the largest median fidelity.
_PHASE_SCALE = 0.3


class PhaseUnits(NamedTuple):
    """Hidden units and masks of both networks of a state with phases.

    Attributes:
        hidden: of the amplitude network; None for as many as rows of its mask, or as sites.
        phase_hidden: of the phase network; None for as many as rows of its mask, or 2 `hidden`.
        mask, phase_mask: which weights exist, bool [hidden, site]; None for all.
    """

    hidden: int | None = None
    phase_hidden: int | None = None
    mask: Mask | None = None
    phase_mask: Mask | None = None

    def of(self, sites: int) -> tuple[int, int, Mask | None, Mask | None]:
        """Return all four, with the numbers of units.

        Raises:
            InputError: a number of units is below 1 or makes too many weights.
        """
        hidden, phase_hidden, mask, phase_mask = self
        if hidden is None:
            hidden = sites if mask is None else len(mask)
        hidden = check_hidden(sites, hidden)
        if phase_hidden is None:
            phase_hidden = 2 * hidden if phase_mask is None else len(phase_mask)
        return hidden, check_hidden(sites, phase_hidden), mask, phase_mask


def frequencies_for(shots: Shots, rbm: PhaseRBM | None = None) -> BasisFrequencies:
    """Return the frequencies of shots in several bases, checked for a training.

    Raises:
        InputError: as in `check_for_phases`, or more than 16 sites.
    """
    check_for_phases(shots, rbm)
    return basis_frequencies(shots.by_basis(), shots.readout)


def check_for_phases(shots: Shots, rbm: PhaseRBM | None = None) -> None:
    """Raise InputError if a state with phases cannot be trained on these shots.

    They have one basis alone, or other sites than the state.
    """
    if rbm is not None and shots.sites != rbm.visible:
        raise InputError(
            f"{shots.source}: has {shots.sites} sites, but the state has {rbm.visible}; give the "
            "state of these shots"
        )
    if len(shots.bases) == 1:
        raise InputError(
            f"{shots.source}: all shots are in the basis {shots.bases[0]}, and one basis does not "
            "determine phases; measure in others too, or use train for a positive state in Z"
        )


def new_phase_rbm(
    shots: Shots,
    units: PhaseUnits,
    seed: int,
    checkpoints: Checkpoints | None = None,
    *,
    spread: bool = False,
) -> PhaseRBM:
    """Return a state to train: amplitudes from the shots in Z, phases nearly flat, or spread.

    The amplitude network is fitted to the shots in Z by 10 steps of exact natural gradient, above
    18 units by 30 steps over chains, or is random if there are none. To fewer than four per site,
    or where a site has the same bit in all, four random shots per site are added. Phase weights
    are from N(0, 0.3^2) / sqrt(N). Biases are 0, or with `spread` uniform on the whole circle: fits
    that begin nearly flat end alike also where the bases do not determine the phases.

    Raises:
        InputError: a mask has another shape than [hidden, site].
    """
    sites, (hidden, phase_hidden, mask, phase_mask) = shots.sites, units.of(shots.sites)
    if "Z" * sites in shots.bases:
        in_z = _broadened(shots.in_basis("Z"), seed)
        few: Method = ExactNaturalGradient(epochs=_AMPLITUDE_STEPS)
        if min(hidden, sites) > EXACT_GRADIENT_UNITS:
            few = NaturalGradient(epochs=_SAMPLED_STEPS, chains=_CHAINS)
        amplitude = fit(local_rbm(in_z, hidden, seed, mask), in_z, few, seed, None, checkpoints)
    else:
        amplitude = initial_rbm(sites, hidden, seed, mask)
    generator = generator_for(seed, Stream.PHASE_WEIGHTS)
    weights = generator.standard_normal((phase_hidden, sites)) * (_PHASE_SCALE / np.sqrt(sites))
    turns = generator.uniform(-2 * np.pi, 2 * np.pi, sites) if spread else np.zeros(sites)
    phase = RBM(weights, turns, np.zeros(phase_hidden))
    return PhaseRBM(amplitude, phase if phase_mask is None else phase.with_mask(phase_mask))


def _broadened(in_z: Shots, seed: int) -> Shots:
    """Return shots in Z, with random ones added where they alone would fix the bit of a site."""
    fewest, means = _FEWEST_PER_SITE * in_z.sites, in_z.bits.mean(axis=0)
    if len(in_z) >= fewest and np.all((means > 0) & (means < 1)):
        return in_z
    generator = generator_for(seed, Stream.PHASE_BROADENED)
    added = generator.integers(0, 2, (fewest, in_z.sites), np.uint8)
    return replace(in_z, bits=np.concatenate([in_z.bits, added]), basis="Z")
