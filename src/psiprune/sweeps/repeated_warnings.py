"""Training warnings of the stages that a sweep finds done."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from psiprune.core.exceptions import InputError
from psiprune.experiments.named_warnings import (
    named_warnings,
    repeat_warnings,
    repeat_warnings_of_run,
    training_named,
)
from psiprune.io.netcdf import read_dataset
from psiprune.sweeps.points import AnyPoint, stages_of
from psiprune.sweeps.tasks import Point


def repeat_warnings_of_done(points: Iterable[AnyPoint], root: Path) -> None:
    """Warn again of the trainings of all stages that are done, with the names of the first time.

    A damaged file is skipped: the points that need it fail, with its name.
    """
    stages = {stage.key: stage for point in points for stage in stages_of(point)}
    for stage in stages.values():
        if not stage.done(root):
            continue
        if isinstance(stage.point, Point):
            if stage.kind == "dense":
                name = training_named(stage.point.dense)
                with named_warnings(), name, suppress(InputError):
                    repeat_warnings(read_dataset(stage.result(root), "rbm").attrs)
        else:
            repeat_warnings_of_run(stage.folder(root))
