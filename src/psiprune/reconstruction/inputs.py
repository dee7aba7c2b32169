"""Inputs of a run of `reconstruct`: shots in three parts, resolved settings, observables."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.data.dependence import INDEPENDENT, Blocks, Dependence
from psiprune.data.shots import Shots, join_shots
from psiprune.metrics.bits_observable import BitsObservable
from psiprune.metrics.custom import Observable, observe
from psiprune.metrics.entropy_observable import (
    EntropyObservable,
    check_rbm_size,
    is_determined,
)
from psiprune.metrics.observable_text import (
    GivenObservables,
    as_observables,
    is_code,
    read_observables,
)
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.reconstruction.custom_code import find_code
from psiprune.reconstruction.dataset import OBSERVABLES, check_observable_names
from psiprune.reconstruction.settings import ReconstructSettings

#: Fewest independent shots in each of the three parts; fewer give no meaningful error bar.
MIN_SHOTS = 30


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
        dependence: whether shots are independent, and the blocks of consecutive rows of each part.
    """

    settings: ReconstructSettings
    shots: Shots
    split: Split
    folder: Path
    custom: Mapping[str, Observable]
    dependence: Dependence

    @property
    def seeds(self) -> range:
        """Return the seeds of the chosen RBM and of its replicas."""
        return range(self.settings.seed, self.settings.seed + self.settings.seeds)

    def independent(self, part: Shots) -> float:
        """Return how many independent shots have the errors of these."""
        return self.dependence.blocks.effective(len(part))


def split_shots(
    shots: Shots, held_out: float, seed: int, dependence: Dependence | None = None
) -> Split:
    """Split shots at random; two fifths of the fraction `held_out` are validation, the rest test.

    The training and validation shots choose the model and end the pruning, so only the test shots
    remain independent of the result. Where shots depend on each other, whole blocks are split, so
    that no copy of a training shot is a test shot. A part keeps the order of the record, except
    that copies of a repeated record follow each other: its consecutive rows are the blocks.

    Args:
        shots: the record.
        held_out: fraction of the shots.
        seed: of the split.
        dependence: of the shots; None for independent shots.

    Raises:
        InputError: a part would have fewer than 30 independent shots.
    """
    total, blocks = len(shots), INDEPENDENT if dependence is None else dependence.blocks
    number = math.ceil(total / blocks.length)
    held = round(held_out * number)
    second = 2 * held // 5
    sizes = {"training": number - held, "validation": second, "test": held - second}
    independent = ""
    if blocks.length > 1:
        independent = f", which count as {blocks.effective(total):.0f} independent ones,"
    for name, size in sizes.items():
        effective = blocks.effective(size * blocks.length)
        if effective < MIN_SHOTS:
            raise InputError(
                f"{shots.source}: {total} shots{independent} leave {effective:.0f} for {name} with "
                f"held_out = {held_out:g}, but at least {MIN_SHOTS} are needed; "
                f"{_way_out(total, blocks)}"
            )
    by_block = np.repeat(np.arange(3, dtype=np.uint8), list(sizes.values()))
    by_block = generator_for(seed, Stream.SHOTS_SPLIT).permutation(by_block)
    arranged = np.repeat(by_block, blocks.length)[:total]
    order = np.arange(total) if dependence is None else dependence.order
    training, validation, test = (
        Shots(
            shots.bits[order[arranged == k]],
            source=f"{shots.source} ({name})",
            readout=shots.readout,
        )
        for k, name in enumerate(sizes)
    )
    part = np.empty_like(arranged)
    part[order] = arranged
    return Split(training, validation, test, part)


def _way_out(total: int, blocks: Blocks) -> str:
    """Say which fraction leaves enough independent shots in all parts, or how many shots would."""
    least = math.ceil(MIN_SHOTS * blocks.inefficiency / blocks.length)  # blocks of a part
    held = math.ceil(5 * least / 2)  # two fifths of these are validation
    number = math.ceil(total / blocks.length)
    if number >= held + least:
        return f"give more shots or held_out = {math.ceil(1000 * held / number) / 1000:g}"
    return f"give at least {(held + least) * blocks.length} shots"


def dependence_attributes(dependence: Dependence) -> dict[str, str | int | float]:
    """Return what the record says about its shots as attributes of reconstruct.nc.

    ordered (1 or 0), effective_shots, inefficiency (shots per independent shot), block (shots), and
    texts that are empty if nothing is significant: repetition, dependence, drift and rates, the
    last three with a way out, and shots_warnings, one a line; order_assumption is empty if the
    order is known.
    """
    return {
        "ordered": int(dependence.ordered),
        "effective_shots": dependence.effective,
        "inefficiency": dependence.blocks.inefficiency,
        "block": dependence.blocks.length,
        "repetition": dependence.repetition,
        "dependence": dependence.problem,
        "drift": dependence.drift,
        "rates": dependence.rates,
        "order_assumption": dependence.assumption,
        "shots_warnings": "\n".join(f"{each.name}: {each.line}" for each in dependence.warnings),
    }


def resolve_settings(settings: ReconstructSettings, shots: Shots) -> ReconstructSettings:
    """Return the settings with what follows from the shots: sizes, methods, parts and checksums.

    Raises:
        InputError: the shots or their readout errors have another checksum than the settings, or a
            size is too large for the method.
    """
    content = repr(shots.bits.shape).encode() + shots.bits.tobytes()
    digest = hashlib.sha256(content).hexdigest()
    if settings.shots_sha256 not in (None, digest):
        raise InputError(
            f"{shots.source}: has the checksum {digest[:12]}..., but shots_sha256 is "
            f"{str(settings.shots_sha256)[:12]}...; give the shots of that run, or omit it"
        )
    settings = with_readout_checksum(settings, shots)
    resolved = {"shots_sha256": digest, "held_out": settings.held_out_of(len(shots))}
    return settings.for_sites(shots.sites).model_copy(update=resolved)


def with_readout_checksum(settings: ReconstructSettings, shots: Shots) -> ReconstructSettings:
    """Return the settings with the checksum of the readout errors of the shots, None without any.

    Raises:
        InputError: the settings have another one.
    """
    found = readout_checksum(shots, settings.readout_sha256)
    return settings.model_copy(update={"readout_sha256": found})


def readout_checksum(shots: Shots, expected: str | None) -> str | None:
    """Return the checksum of the readout errors of the shots, None without any.

    Raises:
        InputError: another one is expected.
    """
    readout = shots.readout
    digest = None if readout is None else readout.full_digest
    if expected not in (None, digest):
        found = "no readout errors" if digest is None else f"readout errors {digest[:12]}..."
        raise InputError(
            f"{shots.source}: has {found}, but readout_sha256 is "
            f"{str(expected)[:12]}...; give the readout errors of that run, or omit "
            "it"
        )
    return digest


def load_observables(
    settings: ReconstructSettings, folder: Path, given: GivenObservables, sites: int
) -> dict[str, Observable]:
    """Load custom observables, given, as text and from files; check their names and `measure`."""
    code = [*filter(is_code, settings.observable)]
    located = dict(zip(code, find_code(folder, code), strict=True))
    texts = [located.get(text, text) for text in settings.observable]
    custom = as_observables(given, sites)
    for name, observable in read_observables(texts, sites).items():
        if name in custom:
            raise InputError(f"observable: {name!r} is given twice; rename one of them")
        custom[name] = observable
    check_observable_names(custom)
    check_rbm_size(custom, sites)
    known = ("log_likelihood", *OBSERVABLES, *(n for n, o in custom.items() if is_determined(o)))
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
        if isinstance(function, BitsObservable | PauliObservable | EntropyObservable):
            continue
        for bits in (split.validation.bits, split.test.bits, draws):
            observe(name, function, bits)
