"""What a sweep would do: points, shared stages, and core-hours by rates that are measured."""

from __future__ import annotations

import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from psiprune.experiments.settings import StudySettings
from psiprune.sweeps.arguments import check_folder
from psiprune.sweeps.dataset import differing
from psiprune.sweeps.points import AnyPoint, points_of, steps_of
from psiprune.sweeps.run_tasks import RUN
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.stages import KINDS, Kind, Point, Stage, Step, make, seconds_in, seconds_of
from psiprune.sweeps.table import columns_of

#: Sites of what is made to compile all that is needed.
_TINY = 4
#: What is told of every point, by the names of the table; a whole run has all fields and seeds.
_ALWAYS = ("sites", "field", "seed")
_ALL = {"field": "all", "seed": "all"}
#: What of a stage's inputs its cost does not depend on, or hardly.
_CHEAP = ("psiprune", "field", "coupling", "seed", "rbm_seed")


class Planned(NamedTuple):
    """All stages of a kind, or all whole runs.

    Attributes:
        kind: which.
        uses: how often points need one.
        stages: how many there are, as points share them.
        done: how many of these are there.
        seconds: processor seconds that the others will take.
        pilots: how many rates were measured by pilots, as no stage of that cost is done.
        unknown: how many of the others are not in the seconds: whole runs of which none of that
            cost is done.
    """

    kind: str
    uses: int
    stages: int
    done: int
    seconds: float
    pilots: int
    unknown: int


def plan(settings: SweepSettings, folder: str | os.PathLike[str]) -> list[Planned]:
    """What `sweep` would do, told without doing it; the folder is not touched.

    The cost of a stage is the median of what stages in the folder took whose settings are the same
    but for fields, coupling and seeds, be they of this grid or of another; where there are none,
    pilots run on this machine, in a temporary folder, on one core: the ground state and the shots
    in full, training and pruning with a few epochs and one level, scaled to all epochs and levels.
    A pilot prunes the first level, so sparser ones are overestimated, and so is training that
    converges before its last epoch. A whole run has no pilot.
    """
    check_folder(folder)
    points, root = points_of(settings), Path(folder).resolve()
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for kind in (*KINDS, RUN):
            used = [step for point in points for step in steps_of(point) if step.kind == kind]
            stages = {step.key: step for step in used}
            groups: dict[str, list[Step]] = defaultdict(list)
            for stage in stages.values():
                groups[_cost(stage.inputs)].append(stage)
            rates = _rates(root / kind)
            done, seconds, pilots, unknown = 0, 0.0, 0, 0
            for cost, group in groups.items():
                todo = [stage for stage in group if not stage.done(root)]
                done += len(group) - len(todo)
                if not todo:
                    continue
                known = rates.get(cost, ())
                if known:
                    seconds += len(todo) * median(known)
                elif isinstance(todo[0], Stage):
                    pilots += 1
                    pilot = _PILOTS[todo[0].kind]
                    seconds += len(todo) * pilot(todo[0].point, Path(scratch))
                else:
                    unknown += len(todo)
            if used:
                counts = (len(used), len(stages), done)
                found.append(Planned(kind, *counts, seconds, pilots, unknown))
    return found


def told(points: Sequence[AnyPoint]) -> list[dict[str, Any]]:
    """Each point by its hash and size, what it is, and by what else differs at one size."""
    rows = [{**_ALL, **dict(columns_of(point.columns))} for point in points]
    known = dict.fromkeys(name for row in rows for name in row)
    names = dict.fromkeys((*_ALWAYS, *differing(rows, known)))
    return [
        {"point": point.last.key, **{name: row.get(name) for name in names}}
        for point, row in zip(points, rows, strict=True)
    ]


def _cost(inputs: bytes) -> str:
    """What the cost of a stage depends on."""
    config: dict[str, Any] = json.loads(inputs)
    if "fields" in config:
        config["fields"] = len(config["fields"])
    return json.dumps({key: value for key, value in config.items() if key not in _CHEAP})


def _rates(folder: Path) -> dict[str, list[float]]:
    """Processor seconds of all stages of a kind that are there and whose time is known, by cost."""
    found: dict[str, list[float]] = defaultdict(list)
    for stage in folder.glob("*"):
        with suppress(OSError, ValueError, AttributeError):  # killed while it was made, or damaged
            taken = seconds_in(stage)
            if taken is not None:
                found[_cost((stage / "inputs.json").read_bytes())].append(taken)
    return found


def _taken(point: Point, kind: Kind, root: Path) -> float:
    """Processor seconds of a stage, made after those it needs if it is not there."""
    for each in KINDS[: KINDS.index(kind) + 1]:
        make(point.stage(each), root)
    seconds = seconds_of(point.stage(kind), root)
    assert seconds is not None  # made whole, here
    return seconds


def _whole(kind: Kind) -> Callable[[Point, Path], float]:
    def taken(point: Point, root: Path) -> float:
        _taken(_with(point, sites=_TINY, hidden=1), kind, root)  # imports and compiles
        return _taken(point, kind, root)

    return taken


def _dense(point: Point, root: Path) -> float:
    """a + b epochs + c entries of the history, fitted to three short trainings."""
    settings = point.settings

    def short(epochs: int, every: int) -> float:
        train = settings.train.model_copy(update={"epochs": epochs})
        return _taken(_with(point, train=train, history_every=every), "dense", root)

    short(1, 1)  # compiles
    two, six, often = short(2, 2), short(6, 6), short(6, 2)
    per_epoch, per_entry = max(0.0, (six - two) / 4), max(0.0, (often - six) / 2)
    epochs, entries = settings.train.epochs, 2 + settings.train.epochs // settings.history_every
    return two + (epochs - 2) * per_epoch + (entries - 2) * per_entry


def _point(point: Point, root: Path) -> float:
    """Levels times what one takes, by one level with short fine-tunings."""
    settings = point.settings
    train = settings.train.model_copy(update={"epochs": 2})

    def short(epochs: int) -> float:
        tuning = settings.fine_tune.model_copy(update={"epochs": epochs})
        prune = settings.prune.model_copy(update={"levels": 1})
        brief = {"train": train, "history_every": 2, "prune": prune, "fine_tune": tuning}
        return _taken(_with(point, **brief), "point", root)

    short(1)  # compiles
    two, six = short(2), short(6)
    per_epoch = max(0.0, (six - two) / 4)
    levels, epochs = settings.prune.levels, settings.fine_tune.epochs
    measuring = max(0.0, two - 2 * per_epoch) / 2  # of the dense RBM, then of the first level
    return (levels + 1) * measuring + levels * epochs * per_epoch


def _with(point: Point, **changes: Any) -> Point:
    settings: StudySettings = point.settings.model_copy(update=changes)
    return Point(settings, point.seed)


_PILOTS: Mapping[Kind, Callable[[Point, Path], float]] = {
    "state": _whole("state"),
    "shots": _whole("shots"),
    "dense": _dense,
    "point": _point,
}
