"""Choose how many hidden units and links an RBM on a register needs, by held-out likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from psiprune.core.exceptions import InputError
from psiprune.core.progress import progress_bar
from psiprune.core.random import Stream, generator_for
from psiprune.core.repr import html_table, one_line
from psiprune.core.statistics import choose
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.data.shots import Shots, ShotsLike, as_shots
from psiprune.inference.log_partition import log_partition
from psiprune.inference.recorded import shots_log_prob
from psiprune.pruning.settings import LINKS, global_units_for
from psiprune.rbm.masks import Mask
from psiprune.rbm.model import RBM
from psiprune.rbm.near_masks import correlation_mask, nearest_mask
from psiprune.training.methods import MethodLike
from psiprune.training.train import train

#: Fewest shots in each of the two parts; fewer give no meaningful error.
_LEAST = 30


class MaskCandidate(NamedTuple):
    """An RBM that was tried.

    Attributes:
        hidden, links: number of hidden units, and of near sites of each.
        global_units: number of further hidden units that are linked to all sites.
        weights: number of weights.
        loss, error: mean log-likelihood per shot below the best candidate in nats, on shots that it
            was not trained on, and its standard error; 0 for the best.
        rbm: the RBM, trained on the other shots.
    """

    hidden: int
    links: int
    global_units: int
    weights: int
    loss: float
    error: float
    rbm: RBM


@one_line
class MaskChoice(NamedTuple):
    """The mask that `choose_mask` selects, bool [hidden, site], and all candidates."""

    mask: Mask
    chosen: MaskCandidate
    candidates: tuple[MaskCandidate, ...]

    def _repr_html_(self) -> str:
        """Return a row for each candidate, for notebooks."""
        rows = [(*each[:-1], each is self.chosen) for each in self.candidates]
        return html_table((*MaskCandidate._fields[:-1], "chosen"), rows)


def choose_mask(
    shots: ShotsLike,
    *,
    hidden: Sequence[int] | None = None,
    links: Sequence[int] = LINKS,
    global_units: int | None = None,
    positions: ArrayLike | None = None,
    held_out: float = 0.2,
    seed: int = 0,
    method: MethodLike = "auto",
    progress: bool = True,
) -> MaskChoice:
    """Choose the number of hidden units and of their links to near sites that the shots support.

    An RBM is trained for each pair on a part of the shots. The smallest is chosen whose likelihood
    is within one standard error of the best, as `reconstruct` chooses a number of hidden units: on
    the held-out shots, and on the training shots less parameters / shots, which is what these gain
    on average (Akaike 1974).

    Args:
        shots: measured shots, in random order or not.
        hidden: numbers of hidden units (default: N/2 and N).
        links: numbers of links of each unit; those above N count as N, a dense RBM.
        global_units: number of further units that are linked to all sites, beside those with links
            to near sites (default: 2 for positions of more than 20 sites, else none).
        positions: of the sites, [site, axis] (default: those of the shots). Links go to the nearest
            sites, or without positions to those of the strongest correlations in the training part.
        held_out: fraction of the shots, drawn at random, that is not used for training.
        seed: of the split, the masks and the trainings.
        method: of the trainings, as in `train`.
        progress: show a progress bar, in terminals and notebooks.

    Raises:
        InputError: a part would have fewer than 30 shots, or a number is out of range.
    """
    data = as_shots(shots)
    held_out = check_number("held_out", held_out, "between 0 and 1", lambda x: 0 < x < 1)
    order = generator_for(check_seed(seed), Stream.MASK_SPLIT).permutation(len(data))
    held = round(held_out * len(data))
    if min(held, len(data) - held) < _LEAST:
        raise InputError(
            f"held_out: {held_out:g} of {len(data)} shots leaves a part with fewer than {_LEAST}; "
            "give more shots, or another fraction"
        )
    testing, training = data.take(order[:held]), data.take(order[held:])
    places = data.positions if positions is None else positions
    if global_units is None:
        global_units = 0 if places is None else global_units_for(data.sites)
    check_count("global_units", global_units, 0, data.sites - 1)
    units = (max(1, data.sites // 2), data.sites) if hidden is None else hidden
    numbers = sorted({min(check_count("links", each, 1), data.sites) for each in links})
    if not units or not numbers:
        raise InputError("hidden, links: need at least one number each")
    tried, scores, errors = [], [], []
    with progress_bar(None, "choosing the mask", "epochs", progress):
        for number in sorted(set(units)):
            for each in numbers:
                mask = _mask(training, number, each, global_units, seed, places)
                rbm = train(training, hidden=len(mask), mask=mask, seed=seed, method=method)
                tried.append(((number, each, len(mask) - number), rbm))
                score, error = _score(rbm, training, testing, seed)
                scores.append(score)
                errors.append(error)
    sizes = [rbm.compact().number_of_parameters for _, rbm in tried]
    choice = choose(np.array(scores), np.array(errors), sizes)
    candidates = tuple(
        MaskCandidate(*which, rbm.number_of_weights, float(loss), float(error), rbm)
        for (which, rbm), loss, error in zip(tried, choice.losses, choice.errors, strict=True)
    )
    chosen = candidates[choice.chosen]
    return MaskChoice(chosen.rbm.mask, chosen, candidates)


def _mask(
    training: Shots, hidden: int, links: int, global_units: int, seed: int, positions: Any
) -> Mask:
    if links == training.sites:
        return np.ones((hidden, links), bool)
    if positions is None:
        near = correlation_mask(training, hidden, links=links)
    else:
        near = nearest_mask(training.sites, hidden, links=links, seed=seed, positions=positions)
    return np.concatenate([near, np.ones((global_units, training.sites), bool)])


def _score(
    rbm: RBM, training: Shots, testing: Shots, seed: int
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], float]:
    """Return log p of each shot without what the training gains on its own, and its error."""
    log_z = log_partition(rbm, data=training, seed=seed, progress=False)
    parts = [shots_log_prob(rbm, part, log_z, seed) for part in (training, testing)]
    optimism = rbm.compact().number_of_parameters / len(training)
    values = np.concatenate([parts[0].values - optimism, parts[1].values])
    return values, math.hypot(parts[0].error, parts[0].bias)
