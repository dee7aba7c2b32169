"""The points of a sweep: the RBMs of studies one by one, and whole runs of all else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from psiprune.experiments.ensemble import seeds_of
from psiprune.experiments.settings import EnsembleSettings, StudySettings
from psiprune.metrics.selectors import check_state_metric
from psiprune.sweeps.run_tasks import Run
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.stages import Point, Step

AnyPoint: TypeAlias = Point | Run


class Outcome(NamedTuple):
    """What became of a point; `cause` says in one line why it failed, "" if it did not."""

    point: AnyPoint
    cause: str


def points_of(settings: SweepSettings) -> list[AnyPoint]:
    """All points of a grid in its order, each once however often the grid names it.

    Raises:
        InputError: there is no such measure of `until`.
    """
    found: dict[str, AnyPoint] = {}
    for each in settings.configurations():
        for point in _points(each):
            found.setdefault(point.last.key, point)
    return list(found.values())


def steps_of(point: AnyPoint) -> list[Step]:
    """All steps of a point, in an order in which they can be made."""
    return [*(step for line in point.lines for step in line), point.last]


def _points(settings: EnsembleSettings) -> Iterator[AnyPoint]:
    if not isinstance(settings, StudySettings):
        yield Run(settings)
    elif settings.until is not None or settings.rewind_epoch is not None:
        # The limit is that of all seeds, and to rewind needs an RBM that no stage keeps.
        if settings.until is not None:
            check_state_metric(settings.until.measure)
        yield Run(settings)
    else:
        sized = settings.for_size()
        for seed in seeds_of(sized):
            for field in sized.fields:
                yield Point(sized.model_copy(update={"fields": (field,)}), seed)
