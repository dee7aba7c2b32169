"""Where training on shots in several bases starts: sizes, checked shots, initial weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.data.shots import Shots, without_readout_error
from psiprune.io.checkpoint import Checkpoints
from psiprune.rbm.init import check_hidden, initial_rbm, local_rbm
from psiprune.rbm.masks import Mask
from psiprune.rbm.model import RBM
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import BasisFrequencies, basis_frequencies
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.train import fit

#: Steps in which the amplitude network is first fitted to the shots in Z alone.
_AMPLITUDE_STEPS = 10
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
        InputError: the shots have readout errors, one basis alone, more than 16 sites, or other
            sites than the state.
    """
    without_readout_error(shots, "the likelihood of shots in several bases")
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
    return basis_frequencies(shots.by_basis())


def new_phase_rbm(
    shots: Shots,
    units: PhaseUnits,
    seed: int,
    checkpoints: Checkpoints | None = None,
    *,
    spread: bool = False,
) -> PhaseRBM:
    """Return a state to train: amplitudes from the shots in Z, phases nearly flat, or spread.

    The amplitude network is fitted to the shots in Z by 10 steps of exact natural gradient, or is
    random if there are none. Phase weights are from N(0, 0.3^2) / sqrt(N). Biases are 0, or
    with `spread` uniform on the whole circle: fits that begin nearly flat end alike also where
    the bases do not determine the phases.

    Raises:
        InputError: a mask has another shape than [hidden, site].
    """
    sites, (hidden, phase_hidden, mask, phase_mask) = shots.sites, units.of(shots.sites)
    if "Z" * sites in shots.bases:
        in_z = shots.in_basis("Z")
        few = ExactNaturalGradient(epochs=_AMPLITUDE_STEPS)
        amplitude = fit(local_rbm(in_z, hidden, seed, mask), in_z, few, seed, None, checkpoints)
    else:
        amplitude = initial_rbm(sites, hidden, seed, mask)
    generator = generator_for(seed, Stream.PHASE_WEIGHTS)
    weights = generator.standard_normal((phase_hidden, sites)) * (_PHASE_SCALE / np.sqrt(sites))
    turns = generator.uniform(-2 * np.pi, 2 * np.pi, sites) if spread else np.zeros(sites)
    phase = RBM(weights, turns, np.zeros(phase_hidden))
    return PhaseRBM(amplitude, phase if phase_mask is None else phase.with_mask(phase_mask))
