"""Train a `PhaseRBM` on shots in several bases: independent fits, of which the likeliest counts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from psiprune.core.exceptions import InputError, TrainingWarning
from psiprune.core.limits import PHASE_SITES
from psiprune.core.progress import progress_bar
from psiprune.core.random import Stream, derive_seed
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.data.shots import Shots
from psiprune.io.checkpoint import Checkpoints
from psiprune.rbm.masks import Mask
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import log_likelihood, simple_log_likelihood
from psiprune.training.mirror_images import Image, likely_image
from psiprune.training.natural_phase import Callback, PhaseState, fit_phases
from psiprune.training.phase_starts import PhaseUnits, frequencies_for, new_phase_rbm
from psiprune.training.sampled_phases import train_sampled

#: Independent fits, and the most steps of each, unless given.
STARTS, EPOCHS = 4, 300
#: Fits that differ by less than this in the log-likelihood of all shots describe them equally well:
#: a likelihood ratio of 7.
EQUAL_NATS = 2.0
#: Fidelity of two fits from which they count as the same state.
SAME_STATE = 0.9


def train_phases(
    shots: Shots,
    *,
    hidden: int | None = None,
    phase_hidden: int | None = None,
    mask: Mask | None = None,
    phase_mask: Mask | None = None,
    start: PhaseRBM | None = None,
    starts: int = STARTS,
    epochs: int = EPOCHS,
    weight_decay: float = 0.0,
    seed: int = 0,
    callback: Callback | None = None,
    checkpoints: Checkpoints | None = None,
    progress: bool = True,
) -> PhaseRBM:
    """Train a `PhaseRBM` on shots in several bases by maximum likelihood.

    Up to 16 sites by natural gradient with sums over all states: each step solves
    (S + lambda 1) step = gradient with S the quantum Fisher information, which has a block for each
    network. A step that lowers the
    likelihood is tried again with 4 lambda; after each other one lambda is divided by 3. Above 16
    sites bases may rotate at most 8 sites each, the normalisation is over Gibbs chains where both
    layers of the amplitude network have more than 20 units, and steps use the Fisher information of
    the shots besides S, see `psiprune.training.natural_phase_mcmc`.

    Args:
        shots: shots with a basis each, among them shots in Z on every site for the amplitudes;
            without those, amplitudes too begin from random weights.
        hidden: hidden units of the amplitude network; by default as many as sites.
        phase_hidden: hidden units of the phase network; by default twice `hidden`.
        mask: which weights of the amplitude network exist, bool [hidden, site]; by default all.
        phase_mask: the same for the phase network.
        start: continue training this state, instead of new ones.
        starts: independent fits from random weights, of which the likeliest is returned; every
            second one begins with phases all over the circle.
        epochs: the most steps of each.
        weight_decay: L2 penalty on the weights, not on the biases, in nats per shot.
        seed: random seed of the initial weights and of chains.
        callback: called with the state after each step.
        checkpoints: where the training saves its state; see `psiprune.io.checkpoint.Checkpoints`.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Returns:
        The likeliest state. Its provenance holds the seed, the number of shots and bases, the
        steps done, `log_likelihood` in nats per shot, whether it `converged` (0 or 1), to no less
        than independent bits in each basis, the number
        of `starts` and of those that are `equally_likely`, within 2 nats on all shots, and their
        fidelity `agreement`, see `agreement_of`, and `mirror`, the fidelity with the most different
        equally likely mirror image (`psiprune.training.mirror_images`), 1 if none is, the
        `mirror_sites` of which it is the image, "" for all; and
        `readout` and `readout_sha256`, the readout errors of the shots, if any. Above 16
        sites it holds the standard error `log_likelihood_error`, too, no `mirror`, and fits are
        equally likely within half as many nats as there are parameters.

    Raises:
        InputError: the shots are in one basis alone, which does not determine phases, have readout
            errors or a basis that rotates more than 8 sites, both above 16 sites alone, or a number
            or a mask is invalid.

    Warns:
        TrainingWarning: equally likely fits are different states, of a fidelity below 0.9, or the
            state has an equally likely mirror image that is: the bases do not determine the
            phases. Or no other fit has found the likeliest state, or independent bits in each
            basis describe the shots better than it.

    Examples:
        >>> import psiprune as pp
        >>> bits, bases = [[0], [1], [0], [0], [0], [1]], ["Z", "Z", "Y", "Y", "X", "X"]
        >>> pp.train_phases(pp.Shots(bits, basis=bases), starts=1).probabilities("Y").round(2)
        array([1., 0.])
    """
    units = PhaseUnits(hidden, phase_hidden, mask, phase_mask)
    if shots.sites > PHASE_SITES:
        if start is not None:
            _check_units(start, units)
        return train_sampled(
            shots,
            units,
            same_state=SAME_STATE,
            start=start,
            starts=starts,
            epochs=epochs,
            weight_decay=weight_decay,
            seed=seed,
            callback=callback,
            checkpoints=checkpoints,
            progress=progress,
        )
    fits = independent_fits(
        shots,
        units,
        start=start,
        starts=starts,
        epochs=epochs,
        weight_decay=weight_decay,
        seed=seed,
        callback=callback,
        checkpoints=checkpoints,
        progress=progress,
    )
    provenance = training_provenance(fits, seed, epochs)
    equal, agreement = equally_likely(fits), agreement_of(fits)
    poor = not describes(fits[0])
    if poor or agreement < SAME_STATE:
        if poor:
            problem = (
                f"the state describes the shots less well than independent bits in each basis "
                f"({provenance['log_likelihood']:.4g} against "
                f"{simple_log_likelihood(fits[0].data):.4g} nats per shot): training has failed, "
                "or the state is mixed; try another seed, more starts or more hidden units"
            )
        elif float(provenance["mirror"]) < SAME_STATE:
            problem = (
                f"a mirror image {image_in_words(str(provenance['mirror_sites']))} "
                f"describes the shots equally well, but is another state (fidelity "
                f"{provenance['mirror']:.3f}): these bases do not determine the phases; "
                "psiprune.identifiability names bases that would"
            )
        elif len(equal) > 1:
            problem = (
                f"{len(equal)} of {len(fits)} fits describe the shots equally well, but are "
                f"different states (least fidelity {agreement:.3f}): these bases do not determine "
                "the phases; psiprune.identifiability names bases that would"
            )
        else:
            problem = (
                f"no other of {len(fits)} fits found this state (largest fidelity "
                f"{agreement:.3f}), so a likelier one may exist; try another seed or more starts"
            )
        warnings.warn(problem, TrainingWarning, stacklevel=2)
        provenance["training_warnings"] = problem
    return replace(fits[0].rbm, provenance=provenance)


def training_provenance(
    fits: Sequence[PhaseState], seed: int, epochs: int
) -> dict[str, str | int | float]:
    """Return what is recorded of fits, the likeliest first; see `train_phases`."""
    best = fits[0]
    image, readout = image_of(best), best.data.readout
    through = {} if readout is None else {"readout": str(readout), "readout_sha256": readout.digest}
    return {
        **through,
        "training_shots": int(best.data.shots.sum()),
        "bases": len(best.data.bases),
        "seed": seed,
        "epochs": epochs,
        "weight_decay": best.weight_decay,
        "epochs_done": best.epoch,
        "converged": int(best.done and not best.stalled and describes(best)),
        "log_likelihood": log_likelihood(best.rbm, best.data)[0],
        "starts": len(fits),
        "equally_likely": len(equally_likely(fits)),
        "agreement": agreement_of(fits),
        "mirror": 1.0 if image is None else image.fidelity,
        "mirror_sites": "" if image is None else " ".join(map(str, image.sites)),
    }


def independent_fits(
    shots: Shots,
    units: PhaseUnits,
    *,
    starts: int,
    epochs: int,
    seed: int,
    weight_decay: float = 0.0,
    start: PhaseRBM | None = None,
    callback: Callback | None = None,
    checkpoints: Checkpoints | None = None,
    progress: bool = True,
) -> list[PhaseState]:
    """Return all fits of `train_phases`, whose arguments it takes, the likeliest first."""
    seed = check_seed(seed)
    starts, epochs = check_count("starts", starts, 1), check_count("epochs", epochs, 0)
    check_number("weight_decay", weight_decay, "a number of at least 0", lambda x: x >= 0)
    data = frequencies_for(shots, start)
    units.of(shots.sites)
    if start is not None:
        _check_units(start, units)
        starts = 1
    fits: list[PhaseState] = []
    with progress_bar(starts * epochs, "training", progress=progress):
        for number in range(starts):
            begin = start
            if begin is None:
                own = derive_seed(seed, Stream.PHASE_START, number)
                begin = new_phase_rbm(shots, units, own, checkpoints, spread=number % 2 == 1)
            fits.append(fit_phases(begin, data, epochs, weight_decay, callback, checkpoints))
    return sorted(fits, key=lambda state: -state.log_likelihood)


@lru_cache(maxsize=2)
def image_of(fit: PhaseState) -> Image | None:
    """Return the most different equally likely mirror image of a fit, if there is one."""
    return likely_image(fit.rbm.vector, fit.data, EQUAL_NATS)


def image_in_words(sites: str) -> str:
    """Say of what a mirror image is, by the numbers of its sites, "" for all."""
    named = f"site{'s' * (' ' in sites)} {sites.replace(' ', ', ')}" if sites else "the state"
    return f"of {named} (complex conjugate up to Pauli operators)"


def describes(fit: PhaseState) -> bool:
    """Return whether a fit is not less likely than independent bits in each basis, by 2 nats."""
    data = fit.data
    below = simple_log_likelihood(data) - log_likelihood(fit.rbm, data)[0]
    return below * float(data.shots.sum()) < EQUAL_NATS


def equally_likely(fits: Sequence[PhaseState]) -> list[PhaseState]:
    """Return those of some fits, the likeliest first, within 2 nats of it on all shots."""
    best = fits[0]
    shots = best.data.shots.sum()
    return [fit for fit in fits if (best.log_likelihood - fit.log_likelihood) * shots < EQUAL_NATS]


def rival_of(fits: Sequence[PhaseState]) -> Image:
    """Return the most different of the equally likely fits and mirror images of the likeliest."""
    others = [Image(fit.rbm.vector, fits[0].rbm.fidelity(fit.rbm)) for fit in equally_likely(fits)]
    image = image_of(fits[0])
    return min(others if image is None else [*others, image], key=lambda each: each.fidelity)


def agreement_of(fits: Sequence[PhaseState]) -> float:
    """Return the least fidelity of the likeliest fit with others and images as likely as it.

    If it is alone, the largest with another one, which may have ended a little lower; NaN for a
    single fit. A mirror image counts if it is another state, or further away than these.
    """
    best, *others = fits
    fidelities = [best.rbm.fidelity(fit.rbm) for fit in others]
    equal = len(equally_likely(fits)) - 1
    found = min(fidelities[:equal]) if equal else max(fidelities, default=float("nan"))
    image = image_of(best)
    if image is None or (image.fidelity >= SAME_STATE and not image.fidelity < found):
        return found
    return min([*fidelities[:equal], image.fidelity])


def _check_units(start: PhaseRBM, units: PhaseUnits) -> None:
    """Raise InputError if the units given are not those of the state to start from."""
    sizes = {"hidden": start.amplitude.hidden, "phase_hidden": start.phase.hidden}
    for name, has in sizes.items():
        given = getattr(units, name)
        if given not in (None, has):
            raise InputError(
                f"{name}: must be omitted or {has}, as in the state to start from, found {given}"
            )
    for name in ("mask", "phase_mask"):
        if getattr(units, name) is not None:
            raise InputError(f"{name}: cannot be combined with start, which has masks; omit it")
