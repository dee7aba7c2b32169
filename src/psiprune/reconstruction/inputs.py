"""Inputs of a run of `reconstruct`: shots in three parts, resolved settings, observables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.data.shots import Shots, join_shots
from psiprune.metrics.custom import Observable, load_observable, observe
from psiprune.reconstruction.custom_code import find_code
from psiprune.reconstruction.dataset import OBSERVABLES, check_observable_names
from psiprune.reconstruction.settings import ReconstructSettings

#: Fewest shots in each of the three parts; fewer give no meaningful error bar.
MIN_SHOTS = 30
#: The shots held out by default: this fraction, but at least so many in all, up to half.
_HELD_OUT, _HELD_OUT_SHOTS = 0.2, 250


class Split(NamedTuple):
    """Shots in three parts, and the index of each shot's part, [shot], in the order of fields."""

    training: Shots
    validation: Shots
    test: Shots
    part: NDArray[np.uint8]

    @property
    def not_test(self) -> Shots:
        """Return the training shots, then the validation shots."""
        return join_shots([self.training, self.validation])


@dataclass(frozen=True, eq=False)
class Run:
    """Inputs of every stage of a run.

    Attributes:
        settings: sizes, methods and checksum included, see `resolve_settings`.
        shots: all of them.
        split: the same in three parts.
        folder: of the run.
        custom: the user's observables by name.
    """

    settings: ReconstructSettings
    shots: Shots
    split: Split
    folder: Path
    custom: Mapping[str, Observable]

    @property
    def seeds(self) -> range:
        """Return the seeds of the ensemble."""
        return range(self.settings.seed, self.settings.seed + self.settings.seeds)


def split_shots(shots: Shots, held_out: float, seed: int) -> Split:
    """Split shots at random; validation and test share the fraction `held_out` evenly.

    The validation shots choose the model and end the pruning, so only the test shots remain
    independent of the result.

    Raises:
        InputError: a part would have fewer than 30 shots.
    """
    total = len(shots)
    held = round(held_out * total)
    sizes = {"training": total - held, "validation": held // 2, "test": held - held // 2}
    for name, size in sizes.items():
        if size < MIN_SHOTS:
            raise InputError(
                f"{shots.source}: {total} shots leave {size} for {name} with held_out = "
                f"{held_out:g}, but at least {MIN_SHOTS} are needed; give more shots or change "
                "held_out"
            )
    part = np.repeat(np.arange(3, dtype=np.uint8), list(sizes.values()))
    part = generator_for(seed, Stream.SHOTS_SPLIT).permutation(part)
    training, validation, test = (
        Shots(shots.bits[part == k], source=f"{shots.source} ({name})")
        for k, name in enumerate(sizes)
    )
    return Split(training, validation, test, part)


def resolve_settings(settings: ReconstructSettings, shots: Shots) -> ReconstructSettings:
    """Return the settings with what follows from the shots: sizes, methods, parts and checksum."""
    digest = hashlib.sha256(repr(shots.bits.shape).encode() + shots.bits.tobytes()).hexdigest()
    if settings.shots_sha256 not in (None, digest):
        raise InputError(
            f"{shots.source}: has the checksum {digest[:12]}..., but shots_sha256 is "
            f"{str(settings.shots_sha256)[:12]}...; give the shots of that run or omit it"
        )
    held_out = settings.held_out
    if held_out is None:
        held_out = min(max(_HELD_OUT, _HELD_OUT_SHOTS / len(shots)), 0.5)
    resolved = {"shots_sha256": digest, "held_out": held_out}
    return settings.for_sites(shots.sites).model_copy(update=resolved)


def load_observables(
    settings: ReconstructSettings, folder: Path, given: Mapping[str, Observable], sites: int
) -> dict[str, Observable]:
    """Load custom observables, given and from files; check their names and `measure`."""
    custom = dict(given)
    for place in find_code(folder, settings.observable):
        name, function = load_observable(place)
        if name in custom:
            raise InputError(f"observable: {name!r} is given twice; rename one of them")
        custom[name] = function
    check_observable_names(custom)
    known = ("log_likelihood", *OBSERVABLES, *custom)
    if settings.measure not in known:
        raise InputError(f"measure: must be one of {', '.join(known)}, found {settings.measure!r}")
    if settings.measure == "neighbours" and sites == 1:
        raise InputError("measure: 'neighbours' needs at least 2 sites, found 1")
    return custom


def try_observables(
    custom: Mapping[str, Observable], split: Split, settings: ReconstructSettings
) -> None:
    """Call custom observables before the training, so that they do not fail hours later.

    They see both held-out parts, and as many random configurations as an RBM is sampled for:
    samples contain every configuration.
    """
    generator = generator_for(settings.seed, Stream.CUSTOM_OBSERVABLE_TRIAL)
    draws = generator.integers(0, 2, (settings.draws, split.test.sites), dtype=np.uint8)
    for name, function in custom.items():
        for bits in (split.validation.bits, split.test.bits, draws):
            observe(name, function, bits)
