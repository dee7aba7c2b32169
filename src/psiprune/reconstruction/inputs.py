"""Inputs of a run of `reconstruct`: shots in three parts, resolved settings, observables."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.core.text import counted
from psiprune.data.dependence import INDEPENDENT, Blocks, Dependence
from psiprune.data.join_shots import join_shots
from psiprune.data.shots import Shots
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
from psiprune.states.hamiltonian import positions_of

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
    sizes = _sizes(math.ceil(total / blocks.length), held_out)
    independent = ""
    if blocks.length > 1:
        independent = f", which count as {blocks.effective(total):.0f} independent ones,"
    for name, size in sizes.items():
        effective = blocks.effective(size * blocks.length)
        if effective < MIN_SHOTS:
            raise InputError(
                f"{shots.source}: {counted(total, 'shot')}{independent} leave{'s' * (total == 1)} "
                f"{effective:.0f} for {name} with a fraction of {held_out:g} held out, but at "
                f"least {MIN_SHOTS} are needed; {_way_out(total, blocks, held_out)}"
            )
    by_block = np.repeat(np.arange(3, dtype=np.uint8), list(sizes.values()))
    by_block = generator_for(seed, Stream.SHOTS_SPLIT).permutation(by_block)
    arranged = np.repeat(by_block, blocks.length)[:total]
    order = np.arange(total) if dependence is None else dependence.order
    training, validation, test = (
        replace(shots.take(order[arranged == k]), source=f"{shots.source} ({name})")
        for k, name in enumerate(sizes)
    )
    part = np.empty_like(arranged)
    part[order] = arranged
    return Split(training, validation, test, part)


def _sizes(number: int, held_out: float) -> dict[str, int]:
    """Return how many blocks are for training, validation and the test."""
    held = round(held_out * number)
    second = 2 * held // 5
    return {"training": number - held, "validation": second, "test": held - second}


def _way_out(total: int, blocks: Blocks, held_out: float) -> str:
    """Say that the default fraction suffices, or how many shots it takes."""
    default = ReconstructSettings().held_out_of

    def suffices(number: int) -> bool:
        sizes = _sizes(number, default(number * blocks.length))
        return blocks.effective(min(sizes.values()) * blocks.length) >= MIN_SHOTS

    fewest = next(n for n in count(math.ceil(total / blocks.length)) if suffices(n))
    needed = fewest * blocks.length
    omit = "" if held_out == default(total) else "omit --held-out"
    if omit and needed - blocks.length < total:
        return omit
    return f"give at least {needed} shots{omit and f', and {omit}'}"


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
    settings = with_checksums(settings, shots)
    resolved = {"shots_sha256": digest, "held_out": settings.held_out_of(len(shots))}
    return settings.for_sites(shots.sites).model_copy(update=resolved)


def with_checksums(settings: ReconstructSettings, shots: Shots) -> ReconstructSettings:
    """Return the settings with the checksums of readout errors and positions, None without any.

    Raises:
        InputError: the settings have another one.
    """
    places, expected = shots.positions, settings.positions_sha256
    where = None if places is None else hashlib.sha256(places.tobytes()).hexdigest()
    return settings.model_copy(
        update={
            "readout_sha256": readout_checksum(shots, settings.readout_sha256),
            "positions_sha256": _expected(shots, "positions", "positions_sha256", where, expected),
        }
    )


def readout_checksum(shots: Shots, expected: str | None) -> str | None:
    """Return the checksum of the readout errors of the shots, None without any.

    Raises:
        InputError: another one is expected.
    """
    digest = None if shots.readout is None else shots.readout.full_digest
    return _expected(shots, "readout errors", "readout_sha256", digest, expected)


def _expected(
    shots: Shots, what: str, name: str, digest: str | None, expected: str | None
) -> str | None:
    """Return the digest, or raise InputError where another one is expected."""
    if expected not in (None, digest):
        found = f"no {what}" if digest is None else f"{what} {digest[:12]}..."
        raise InputError(
            f"{shots.source}: has {found}, but {name} is {str(expected)[:12]}...; give the {what} "
            "of that run, or omit it"
        )
    return digest


def load_observables(
    settings: ReconstructSettings, folder: Path, given: GivenObservables, shots: Shots
) -> dict[str, Observable]:
    """Load custom observables, given, as text and from files; check their names and `measure`."""
    sites, places = shots.sites, positions_of(shots)
    code = [*filter(is_code, settings.observable)]
    located = dict(zip(code, find_code(folder, code), strict=True))
    texts = [located.get(text, text) for text in settings.observable]
    custom = as_observables(given, sites, places)
    for name, observable in read_observables(texts, sites, positions=places).items():
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
