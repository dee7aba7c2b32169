"""The stages of a sweep: what each depends on, its name by that, and how it is made.

A point is one RBM of a study: one field, one seed. It takes four stages, each a folder named by a
hash of all that its numbers depend on, so that points which agree on it share it:

    state/HASH/state.nc                 the ground state
    shots/HASH/shots.nc                 the training set
    dense/HASH/history.nc, rbm.nc       the trained RBM
    point/HASH/level-00.nc, ..., study.nc   its pruning path, and the study of this RBM alone

Each stage makes those it needs if they are not there. So the order in which stages run, which of
them were killed and which files were lost shows nowhere but in the time it takes.
"""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

from psiprune.core.limits import EXACT_SITES
from psiprune.core.threads import single_blas_thread, single_thread
from psiprune.data.shots import Shots
from psiprune.experiments.ensemble import Member
from psiprune.experiments.problem import Problem, kept_shots, kept_state
from psiprune.experiments.settings import StudySettings
from psiprune.experiments.study import assemble, one_member, prune_dense, train_dense
from psiprune.io.checkpoint import checkpointing
from psiprune.io.netcdf import read_dataset, write_bytes, write_dataset
from psiprune.metrics.against_state import reference_of
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import load_rbm
from psiprune.states.mps import MPS
from psiprune.training.train import TrainingProgress

Kind = Literal["state", "shots", "dense", "point"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Settings of a study that are a point's own, or that make it a whole run.
_ELSEWHERE = ("fields", "seeds", "rewind_epoch", "until")
#: What a stage depends on beside what the one before it does, by the names in `Point.config`.
_ADDS: Mapping[Kind, tuple[str, ...]] = {
    "state": ("psiprune", "sites", "coupling", "field"),
    "shots": ("shots", "seed"),
    "dense": ("rbm_seed", "hidden", "train", "initial", "history_every"),
    "point": ("prune", "fine_tune", "measure"),
}
#: A dense RBM comes with its history, which is measured from samples above 20 sites.
_SAMPLED: Mapping[Kind, tuple[str, ...]] = {"dense": ("measure",)}
#: A stage is done once these are there; the last one is its result.
_FILES: Mapping[Kind, tuple[str, ...]] = {
    "state": ("state.nc",),
    "shots": ("shots.nc",),
    "dense": ("history.nc", "rbm.nc"),
    "point": ("study.nc",),
}


class Step(ABC):
    """A piece of a sweep, in a folder named by a hash of all that its numbers depend on.

    Attributes:
        kind: the folder of all such pieces.
    """

    kind: str

    @property
    @abstractmethod
    def inputs(self) -> bytes:
        """All that it depends on, as JSON in one order."""

    @property
    @abstractmethod
    def files(self) -> tuple[str, ...]:
        """It is done once these are there; the last one is its result."""

    @abstractmethod
    def build(self, root: Path) -> None:
        """Make it, and what it needs."""

    @cached_property
    def key(self) -> str:
        """SHA-256 of the inputs, its first 16 digits."""
        return hashlib.sha256(self.inputs).hexdigest()[:16]

    def folder(self, root: Path) -> Path:
        """Where it is kept."""
        return root / self.kind / self.key

    def result(self, root: Path) -> Path:
        """The file that it is for."""
        return self.folder(root) / self.files[-1]

    def done(self, root: Path) -> bool:
        """Whether it is there."""
        return all((self.folder(root) / name).exists() for name in self.files)


@dataclass(frozen=True)
class Point:
    """One RBM of a study.

    Attributes:
        settings: of the study, with this one field, its methods chosen by size.
        seed: of the RBM; that of the shots is in the settings.
    """

    settings: StudySettings
    seed: int

    @property
    def field(self) -> float:
        """The transverse field h."""
        return self.settings.fields[0]

    @cached_property
    def config(self) -> dict[str, Any]:
        """All that the point's numbers depend on, as JSON has it."""
        values = self.settings.model_dump(mode="json", exclude=set(_ELSEWHERE))
        return {
            **values,
            "psiprune": version("psiprune"),
            "hidden": self.settings.hidden_units,
            "field": self.field,
            "rbm_seed": self.seed,
        }

    @property
    def columns(self) -> dict[str, Any]:
        """The settings as a table has them."""
        return self.config

    @property
    def what(self) -> str:
        """The point in a few words."""
        criterion = self.settings.prune.criterion
        return f"{self.settings.sites} sites, h = {self.field:g}, seed {self.seed}, {criterion}"

    @property
    def lines(self) -> tuple[tuple[Stage, ...], ...]:
        """What the last stage needs, each after the one before it."""
        return (tuple(self.stage(kind) for kind in KINDS[:-1]),)

    @property
    def last(self) -> Stage:
        """The stage that is the point itself."""
        return self.stage("point")

    def stage(self, kind: Kind) -> Stage:
        """One of the stages of this point."""
        return Stage(kind, self)


@dataclass(frozen=True)
class Stage(Step):
    """A stage by one of the points that share it; equal stages have equal keys."""

    kind: Kind
    point: Point

    @cached_property
    def inputs(self) -> bytes:
        """All that the stage depends on, as JSON in one order."""
        kinds = KINDS[: KINDS.index(self.kind) + 1]
        sampled = self.point.settings.sites > EXACT_SITES
        names = [
            name
            for kind in kinds
            for name in (*_ADDS[kind], *(_SAMPLED.get(kind, ()) if sampled else ()))
        ]
        config = {name: self.point.config[name] for name in names}
        return (json.dumps(config, sort_keys=True, indent=1) + "\n").encode()

    @property
    def files(self) -> tuple[str, ...]:
        """It is done once these are there; the last one is its result."""
        return _FILES[self.kind]

    def build(self, root: Path) -> None:
        """Make it, and what it needs."""
        _MAKERS[self.kind](self.point, root)


def make(stage: Step, root: Path) -> None:
    """Make a stage, and those it needs, on one core, unless it is there.

    Processor time goes to seconds.json beside it, which is measured and so differs from run to run.

    Raises:
        InputError: a file that the stage needs is damaged.
        OSError: the folder cannot be written; what was finished stays.
    """
    if stage.done(root):
        return
    folder = stage.folder(root)
    begun = folder.exists()  # by a process that was killed, so its time is not known
    begin = time.thread_time()
    with single_thread(), single_blas_thread():  # others would not be in that time
        stage.build(root)
    if not begun:
        record = {"seconds": time.thread_time() - begin}
        write_bytes(folder / "seconds.json", (json.dumps(record) + "\n").encode())


def seconds_of(stage: Step, root: Path) -> float | None:
    """Processor seconds that a stage took, where that is known."""
    return seconds_in(stage.folder(root))


def seconds_in(folder: Path) -> float | None:
    """The same of the stage in a folder."""
    try:
        return float(json.loads((folder / "seconds.json").read_text())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _folder(stage: Stage, root: Path) -> Path:
    """The folder of a stage with its inputs in it, for people."""
    folder = stage.folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "inputs.json").exists():
        write_bytes(folder / "inputs.json", stage.inputs)
    return folder


def _state(point: Point, root: Path) -> MPS:
    folder = _folder(point.stage("state"), root)
    return kept_state(folder / "state.nc", point.settings, point.field)


def _shots(point: Point, root: Path) -> tuple[MPS, Shots]:
    state = _state(point, root)
    folder = _folder(point.stage("shots"), root)
    return state, kept_shots(folder / "shots.nc", state, point.settings)


def _member(stage: Stage, root: Path) -> Member:
    point = stage.point
    state, shots = _shots(point, root)
    problem = Problem(root, point.field, reference_of(state), shots)
    return Member(problem, point.seed, _folder(stage, root))


def _dense(point: Point, root: Path) -> None:
    member = _member(point.stage("dense"), root)
    file = member.folder / "rbm.nc"
    with checkpointing(file):
        rbm, history = train_dense(point.settings, member, _watch)
        write_dataset(member.folder / "history.nc", history, "history")
        rbm.save(file)  # last, as with it checkpoints are taken for outlived


def _point(point: Point, root: Path) -> None:
    make(point.stage("dense"), root)
    before = point.stage("dense").folder(root)
    member = _member(point.stage("point"), root)

    def dense() -> RBM:
        return load_rbm(before / "rbm.nc")

    levels = prune_dense(point.settings, member, dense, _watch)
    piece = one_member(levels, read_dataset(before / "history.nc", "history"))
    dataset = assemble(point.settings, [member.problem], [point.seed], [piece])
    write_dataset(member.folder / "study.nc", dataset, "study")


def _watch(_: TrainingProgress) -> None:
    """Nobody looks: a stage is ended by ending its process."""


_MAKERS: Mapping[Kind, Callable[[Point, Path], object]] = {
    "state": _state,
    "shots": _shots,
    "dense": _dense,
    "point": _point,
}
