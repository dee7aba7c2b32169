"""Training warnings of the stages that a sweep finds done."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

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

    Raises:
        InputError: a file is damaged.
    """
    stages = {stage.key: stage for point in points for stage in stages_of(point)}
    for stage in stages.values():
        if not stage.done(root):
            continue
        if isinstance(stage.point, Point):
            if stage.kind == "dense":
                with named_warnings(), training_named(stage.point.dense):
                    repeat_warnings(read_dataset(stage.result(root), "rbm").attrs)
        else:
            repeat_warnings_of_run(stage.folder(root))
