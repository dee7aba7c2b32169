"""The first line of a run of `reconstruct`: what it will take on this machine."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from psiprune.core.exceptions import InputError
from psiprune.data.shots import Shots
from psiprune.io.netcdf import write_bytes
from psiprune.pruning.settings import global_units_for
from psiprune.rbm.init import check_hidden
from psiprune.reconstruction.architecture import Model
from psiprune.reconstruction.cost import bytes_needed, check_prunable, work_left
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.training.estimate import Clock, Speed, clock, probe, training_seconds
from psiprune.training.limits import (
    Advice,
    Needs,
    Spelling,
    advise,
    as_way_out,
    check_needs,
    few_shots,
    fits_noise,
)
from psiprune.training.method import Method

FILE = "estimate.json"


@dataclass(frozen=True)
class Estimate:
    """What is left of a run.

    Attributes:
        methods: of training, each with its summary.
        shots, sites: all shots.
        hidden: numbers of hidden units to try.
        scale_free: those to try with scale-free links.
        links: numbers of links of each of N hidden units to try.
        global_units: number of units of all sites that go with links.
        trainings: candidates and replicas of the chosen one.
        pruning_steps: RBMs that the search is expected to prune and fine-tune.
        parameters: of the largest RBM.
        training_shots: shots to train it on.
        seconds: estimated time.
        memory_bytes: estimated memory beyond that in use.
        misread: whether the shots have readout errors.
    """

    methods: tuple[str, ...]
    shots: int
    sites: int
    hidden: tuple[int, ...]
    scale_free: tuple[int, ...]
    links: tuple[int, ...]
    global_units: int
    trainings: int
    pruning_steps: int
    parameters: int
    training_shots: int
    seconds: float
    memory_bytes: int
    misread: bool

    @property
    def needs(self) -> Needs:
        """Seconds and bytes."""
        return Needs(self.seconds, self.memory_bytes)

    @property
    def line(self) -> str:
        """Methods, sizes, number of trainings, time and memory in one line."""
        units = ", ".join(map(str, self.hidden))
        if self.scale_free:
            units += f" and {', '.join(map(str, self.scale_free))} with scale-free links"
        if self.links:
            units += f", and {self.sites} with {', '.join(map(str, self.links))} links each"
            if self.global_units:
                units += f" beside {self.global_units} of all sites"
        return (
            f"{' and '.join(self.methods)}; {self.shots:,} shots x {self.sites} "
            f"site{'s' * (self.sites != 1)}, hidden units {units}; up to {self.trainings} "
            f"trainings, about {self.pruning_steps} pruning steps; estimated {self.needs} on this "
            "machine"
        )

    @property
    def warning(self) -> str:
        """A line about more parameters than training shots, or ""."""
        return few_shots(self.parameters, self.training_shots)

    @property
    def note(self) -> str:
        """A line about misread shots that are few for the largest RBM, or ""."""
        noise = fits_noise(self.parameters, self.training_shots, self.misread)
        return noise and f"{noise}; psiprune train --folds 5 stops earlier, reconstruct does not"


#: Receives an estimate.
Announce = Callable[[Estimate], None]
#: `begin_run` without its keyword arguments.
Begin = Callable[[ReconstructSettings, Shots, Shots, Path], Estimate | None]


class Estimator:
    """Estimates runs on given shots; each training method is probed once."""

    def __init__(self, shots: Shots, training: Shots, folder: Path, now: Clock = clock) -> None:
        """`folder` holds what is done already; see `training.estimate.probe` for `now`."""
        self._shots, self._training, self._folder, self._now = shots, training, folder, now
        self._speeds: dict[type[Method], Speed] = {}

    def estimate(self, settings: ReconstructSettings) -> Estimate:
        """Return what is left of the run with these settings.

        Raises:
            InputError: an RBM would have too many weights.
        """
        sites, count = self._shots.sites, len(self._training)
        check_hidden(sites, max(settings.units_for(sites)))
        models = settings.candidates(sites)
        sizes = [model.architecture.size(sites, count, settings.readout) for model in models]
        work = work_left(settings, sites, count, self._folder)
        (hidden, *_), method = max(models, key=self._training_seconds)
        if type(method) not in self._speeds:
            speed = probe(method, self._training, hidden, work.nominal, self._now)
            self._speeds[type(method)] = speed
        methods = (f"{each.training.method} ({each.training.SUMMARY})" for each in models)
        readout = self._shots.readout
        flips = readout is not None and bool(readout.rates.any())
        return Estimate(
            methods=tuple(dict.fromkeys(methods)),
            shots=len(self._shots),
            sites=sites,
            hidden=settings.units_for(sites),
            scale_free=settings.scale_free_for(sites),
            links=settings.links_for(sites),
            global_units=global_units_for(sites),
            trainings=sum(map(len, work.stages)),
            pruning_steps=work.steps,
            parameters=max(size.parameters for size in sizes),
            training_shots=count,
            seconds=work.seconds(self._speeds[type(method)]),
            memory_bytes=round(bytes_needed(settings, sites, count)),
            misread=flips,
        )

    def needs_of(self, settings: ReconstructSettings, hidden: int) -> Needs:
        """Return what the run would need with this number of hidden units.

        Raises:
            InputError: the settings do not go with it.
        """
        changed = settings.model_copy(update={"hidden": (hidden,)})
        changed.for_sites(self._shots.sites)
        check_prunable(changed, self._shots.sites)
        return self.estimate(changed).needs

    def _training_seconds(self, model: Model) -> float:
        readout = self._shots.readout is not None
        size = model.architecture.size(self._shots.sites, len(self._training), readout)
        return training_seconds(model.training, size)


def begin_run(
    settings: ReconstructSettings,
    shots: Shots,
    training: Shots,
    folder: Path,
    *,
    limit: float,
    announce: Announce,
    spell: Spelling,
    now: Clock = clock,
) -> Estimate | None:
    """Announce what is left of a run, and refuse what cannot be done; None if it is finished.

    Args:
        settings: those given, not those resolved for the size: the best method for a size that is
            advised may be another one.
        shots: all of them.
        training: the training set.
        folder: of the run.
        limit: seconds; if infinite, the memory is not compared either.
        announce: receives the estimate first.
        spell: how messages write arguments.
        now: time and processor time.

    Raises:
        InputError: the RBMs could be trained but not pruned, or the run takes longer than the limit
            or more than the free memory. The message says what would not.
    """
    if (folder / "reconstruct.nc").exists():
        return None
    estimator = Estimator(shots, training, folder, now)
    estimate = estimator.estimate(settings)
    announce(estimate)
    whole = Estimator(shots, training, folder / "none", now)  # another size starts anew

    def advice() -> Advice | None:
        return advise(lambda hidden: whole.needs_of(settings, hidden), estimate.hidden[-1], limit)

    try:
        check_prunable(settings, shots.sites)
    except InputError as error:
        raise InputError(f"{error}; {as_way_out(advice(), spell)}") from None
    if limit < math.inf and not estimate.needs.fit(limit):
        check_needs("reconstruct", estimate.needs, limit, advice(), spell)
    return estimate


def write_estimate(folder: Path, estimate: Estimate | None) -> None:
    """Write an estimate to the folder of a run, unless an earlier start has."""
    if estimate is not None and not (folder / FILE).exists():
        write_bytes(folder / FILE, (json.dumps(asdict(estimate), indent=2) + "\n").encode())


def read_estimate(folder: Path) -> dict[str, Any] | None:
    """Return what the first start of a run has estimated; None if it has not."""
    try:
        return dict(json.loads((folder / FILE).read_text()))
    except (OSError, ValueError):
        return None
