"""Plan a sweep: points, shared stages, and core-hours from measured rates."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from psiprune.core.exceptions import TrainingWarning
from psiprune.sweeps.dataset import differing
from psiprune.sweeps.points import AnyPoint, points_of, stages_of
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.table import check_folder, columns_of
from psiprune.sweeps.tasks import KINDS, RUN, Kind, Point, Stage, make, read_seconds

#: Sites of the problem that pilots compile with.
_TINY = 4
#: Inputs that hardly change the cost of a stage.
_CHEAP = ("psiprune", "field", "coupling", "seed", "rbm_seed")


class Planned(NamedTuple):
    """All stages of one kind, or all complete runs.

    Attributes:
        kind: of the stages.
        uses: how often points need one.
        stages: how many there are, as points share them.
        done: number of these that are done.
        seconds: processor seconds that the others will take.
        pilots: number of rates measured by pilots, as no stage of that cost is done.
        unknown: number of complete runs that are not in the seconds, as none of that cost is done.
    """

    kind: str
    uses: int
    stages: int
    done: int
    seconds: float
    pilots: int
    unknown: int


def plan(settings: SweepSettings, folder: str | os.PathLike[str]) -> list[Planned]:
    """Return what `sweep` would do, without touching the folder.

    The cost of a stage is the median time of stages in the folder, from this grid or an earlier
    one, whose settings differ only in fields, coupling and seeds. Without any, a pilot runs on one
    core of this machine in a temporary folder: ground state and shots in full, training and pruning
    with a few epochs and one level, scaled to all epochs and levels. A pilot prunes the first
    level, so it overestimates sparser ones, and training that converges before its last epoch.
    Complete runs have no pilot.
    """
    check_folder(folder)
    points, root = points_of(settings), Path(folder).resolve()
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)  # pilots train for a few epochs only
        plans = (_planned(kind, points, root, Path(scratch)) for kind in (*KINDS, RUN))
        return [planned for planned in plans if planned.uses]


def _planned(kind: str, points: Sequence[AnyPoint], root: Path, scratch: Path) -> Planned:
    used = [stage for point in points for stage in stages_of(point) if stage.kind == kind]
    unique = {stage.key: stage for stage in used}
    groups: dict[str, list[Stage]] = defaultdict(list)
    for stage in unique.values():
        if not stage.done(root):
            groups[_cost_key(stage.inputs)].append(stage)
    rates = _rates(root / kind)
    seconds, pilots, unknown = 0.0, 0, 0
    for cost, group in groups.items():
        if cost in rates:
            seconds += len(group) * median(rates[cost])
        elif isinstance(point := group[0].point, Point):
            pilots += 1
            seconds += len(group) * _PILOTS[kind](point, scratch)
        else:
            unknown += len(group)
    done = len(unique) - sum(map(len, groups.values()))
    return Planned(kind, len(used), len(unique), done, seconds, pilots, unknown)


def point_rows(points: Sequence[AnyPoint]) -> list[dict[str, Any]]:
    """Return for each point its hash, size, field and seed, and what differs between points."""
    # A complete run has all fields and seeds.
    rows = [{"field": "all", "seed": "all", **columns_of(point.columns)} for point in points]
    known = dict.fromkeys(name for row in rows for name in row)
    names = dict.fromkeys(("sites", "field", "seed", *differing(rows, known)))
    return [
        {"point": point.last.key, **{name: row.get(name) for name in names}}
        for point, row in zip(points, rows, strict=True)
    ]


def _cost_key(inputs: bytes) -> str:
    """Return what the cost of a stage depends on."""
    config: dict[str, Any] = json.loads(inputs)
    if "fields" in config:
        config["fields"] = len(config["fields"])
    return json.dumps({key: value for key, value in config.items() if key not in _CHEAP})


def _rates(folder: Path) -> dict[str, list[float]]:
    """Return the processor seconds of all stages in a folder whose time is known, by cost."""
    rates: dict[str, list[float]] = defaultdict(list)
    for stage in folder.glob("*"):
        with suppress(OSError, ValueError, AttributeError):  # from a killed process, or damaged
            seconds = read_seconds(stage)
            if seconds is not None:
                rates[_cost_key((stage / "inputs.json").read_bytes())].append(seconds)
    return rates


def _time(point: Point, kind: Kind, root: Path) -> float:
    """Make a stage after those it needs, and return its processor seconds."""
    for each in KINDS[: KINDS.index(kind) + 1]:
        make(point.stage(each), root)
    seconds = read_seconds(point.stage(kind).folder(root))
    assert seconds is not None  # made from start to end here
    return seconds


def _time_in_full(kind: Kind, point: Point, root: Path) -> float:
    if point.settings.model is None:  # which has a size of its own
        _time(_with(point, sites=_TINY, hidden=1), kind, root)  # imports and compiles
    return _time(point, kind, root)


def _time_dense(point: Point, root: Path) -> float:
    """Fit a + b epochs + c entries of the history to three short trainings."""
    settings = point.settings

    def short(epochs: int, every: int) -> float:
        train = settings.train.model_copy(update={"epochs": epochs})
        return _time(_with(point, train=train, history_every=every), "dense", root)

    short(1, 1)  # compiles
    two, six, often = short(2, 2), short(6, 6), short(6, 2)
    per_epoch, per_entry = max(0.0, (six - two) / 4), max(0.0, (often - six) / 2)
    epochs, entries = settings.train.epochs, 2 + settings.train.epochs // settings.history_every
    return two + (epochs - 2) * per_epoch + (entries - 2) * per_entry


def _time_point(point: Point, root: Path) -> float:
    """Multiply the time of one level with short fine-tunings."""
    settings = point.settings
    train = settings.train.model_copy(update={"epochs": 2})

    def short(epochs: int) -> float:
        tuning = settings.fine_tune.model_copy(update={"epochs": epochs})
        prune = settings.prune.model_copy(update={"levels": 1})
        brief = {"train": train, "history_every": 2, "prune": prune, "fine_tune": tuning}
        return _time(_with(point, **brief), "point", root)

    short(1)  # compiles
    two, six = short(2), short(6)
    per_epoch = max(0.0, (six - two) / 4)
    levels, epochs = settings.prune.levels, settings.fine_tune.epochs
    measuring = max(0.0, two - 2 * per_epoch) / 2  # of the dense RBM, then of the first level
    return (levels + 1) * measuring + levels * epochs * per_epoch


def _with(point: Point, **changes: Any) -> Point:
    return replace(point, settings=point.settings.model_copy(update=changes))


_PILOTS: Mapping[str, Callable[[Point, Path], float]] = {
    "state": partial(_time_in_full, "state"),
    "shots": partial(_time_in_full, "shots"),
    "dense": _time_dense,
    "point": _time_point,
}
