"""The points of a sweep: the RBMs of studies one by one, and complete runs of everything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from psiprune.experiments.ensemble import methods_of, seeds_of
from psiprune.experiments.settings import EnsembleSettings, StudySettings
from psiprune.metrics.observable_text import read_observables
from psiprune.metrics.selectors import check_state_metric
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.tasks import Point, Run, Stage
from psiprune.training.method import Method

AnyPoint: TypeAlias = Point | Run


class Outcome(NamedTuple):
    """A point that ended; `cause` says in one line why it failed, "" if it is done."""

    point: AnyPoint
    cause: str

    @property
    def record(self) -> dict[str, str]:
        """The failure as JSON has it."""
        return {"point": self.point.last.key, "cause": self.cause}


def points_of(settings: SweepSettings) -> list[AnyPoint]:
    """Return all points of a grid in its order, without repetitions.

    Raises:
        InputError: `until` names an unknown measure, or an observable cannot be read.
    """
    points: dict[str, AnyPoint] = {}
    for configuration in settings.configurations():
        for point in _points(configuration):
            points.setdefault(point.last.key, point)
    return list(points.values())


def stages_of(point: AnyPoint) -> list[Stage]:
    """Return all stages of a point, each after those it needs."""
    return [*(stage for chain in point.chains for stage in chain), point.last]


def methods_of_points(points: Iterable[AnyPoint]) -> dict[str, list[Method]]:
    """Return the different training methods of points by the names of their settings."""
    methods: dict[str, list[Method]] = {}
    for point in points:
        for name, method in methods_of(point.settings).items():
            known = methods.setdefault(name, [])
            if method not in known:
                known.append(method)
    return methods


def _points(settings: EnsembleSettings) -> Iterator[AnyPoint]:
    settings = settings.for_size()
    if not isinstance(settings, StudySettings):
        yield Run(settings)
    elif settings.until is not None or settings.rewind_epoch is not None:
        # The limit depends on all seeds, and rewinding needs an RBM that no stage saves.
        if settings.until is not None:
            names = read_observables(
                settings.observable or (), settings.sites, positions=settings.places
            )
            check_state_metric(settings.until.measure, names)
        yield Run(settings)
    else:
        for seed in seeds_of(settings):
            for field in settings.fields:
                yield Point(settings.model_copy(update={"fields": (field,)}), seed)
