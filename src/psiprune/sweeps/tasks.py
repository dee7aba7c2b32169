"""Tasks of a sweep: the stages of single RBMs, and complete runs of an experiment.

Each stage has a folder named by a hash of everything its numbers depend on, so points that agree on
it share it:

    state/HASH/state.nc                     ground state
    shots/HASH/shots.nc                     training set
    dense/HASH/history.nc, rbm.nc           trained RBM
    point/HASH/level-00.nc, ..., study.nc   pruning path, and the study of this RBM alone
    run/HASH/config.toml, ..., sparse.nc    complete run of an experiment, as its command writes it

A stage makes the stages it needs if they are missing. The order of stages, killed processes and
lost files therefore change the time a sweep takes, but not its results.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

from psiprune.core.limits import EXACT_SITES
from psiprune.core.progress import no_progress_bars
from psiprune.core.threads import single_blas_thread, single_thread
from psiprune.data.shots import Shots
from psiprune.experiments.ablation import run_ablation
from psiprune.experiments.ensemble import Member
from psiprune.experiments.entanglement import run_entanglement
from psiprune.experiments.frontier import run_frontier
from psiprune.experiments.masks import run_masks
from psiprune.experiments.named_warnings import named_warnings, training_named
from psiprune.experiments.problem import (
    Problem,
    cached_shots,
    cached_state,
    phase_folder,
    state_limits,
)
from psiprune.experiments.settings import EnsembleSettings, StudySettings
from psiprune.experiments.sparse import run_sparse
from psiprune.experiments.study import assemble, one_member, prune_dense, run_study, train_dense
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset, verify, write_bytes, write_dataset
from psiprune.io.provenance import arithmetic
from psiprune.io.run import open_run
from psiprune.metrics.reference import reference_of
from psiprune.rbm.serialization import load_rbm
from psiprune.states.mps import MPS
from psiprune.sweeps.settings import EXPERIMENTS

Kind = Literal["state", "shots", "dense", "point"]
#: Stages of one RBM, each of which needs the one before it; and that of a complete run.
KINDS: tuple[Kind, ...] = get_args(Kind)
RUN = "run"
#: What the numbers of a stage depend on in addition to the stage before it.
_ADDED_INPUTS: Mapping[Kind, tuple[str, ...]] = {
    "state": ("psiprune", "sites", "coupling", "field", "max_bond", "max_variance"),
    "shots": ("shots", "seed"),
    "dense": ("rbm_seed", "hidden", "train", "initial", "history_every"),
    "point": ("prune", "fine_tune", "measure", "observable"),
}
#: A stage is done once these exist; the last one is its result.
_FILES: Mapping[Kind, tuple[str, ...]] = {
    "state": ("state.nc",),
    "shots": ("shots.nc",),
    "dense": ("history.nc", "rbm.nc"),
    "point": ("study.nc",),
}
_RUNNERS: Mapping[str, Callable[..., object]] = {
    "study": run_study,
    "sparse": run_sparse,
    "ablation": run_ablation,
    "frontier": run_frontier,
    "masks": run_masks,
    "entanglement": run_entanglement,
}


def _named(settings: EnsembleSettings) -> str:
    """Return fields, and the model if it is none by default."""
    model = "" if settings.model is None else f"{settings.model.kind}, "
    return f"{model}h = {', '.join(f'{field:g}' for field in settings.fields)}"


@dataclass(frozen=True)
class Stage:
    """A part of a sweep; equal stages of several points have equal keys.

    Attributes:
        kind: name of the folder of all such stages.
        point: one of the points that need it.
        config: everything the numbers of the stage depend on.
        files: the stage is done once these exist; the last one is its result.
    """

    kind: str
    point: Point | Run
    config: Mapping[str, Any]
    files: tuple[str, ...]

    @cached_property
    def inputs(self) -> bytes:
        """The configuration as JSON with sorted keys."""
        return (json.dumps(self.config, sort_keys=True, indent=1) + "\n").encode()

    @cached_property
    def key(self) -> str:
        """First 16 digits of the SHA-256 of the inputs."""
        return hashlib.sha256(self.inputs).hexdigest()[:16]

    def folder(self, root: Path) -> Path:
        """Return the folder of the stage in that of the sweep."""
        return root / self.kind / self.key

    def result(self, root: Path) -> Path:
        """Return the path of the result."""
        return self.folder(root) / self.files[-1]

    def done(self, root: Path) -> bool:
        """Return whether all files exist."""
        return all((self.folder(root) / name).exists() for name in self.files)

    def make_folder(self, root: Path) -> Path:
        """Create the folder, with the inputs in it for people to read."""
        folder = self.folder(root)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "inputs.json").exists():
            write_bytes(folder / "inputs.json", self.inputs)
        return folder


@dataclass(frozen=True)
class Point:
    """One RBM of a study.

    Attributes:
        settings: of the study, with a single field and the methods chosen for its size.
        seed: of the RBM; `settings.seed` is that of the shots.
        limits: names and values of `state_limits`, of the run that needs the point.
    """

    settings: StudySettings
    seed: int
    limits: tuple[tuple[str, Any], ...] = ()

    @property
    def field(self) -> float:
        """Transverse field h."""
        return self.settings.fields[0]

    @cached_property
    def config(self) -> dict[str, Any]:
        """Everything the numbers of the point depend on, as JSON values."""
        replaced = {"fields", "seeds", "rewind_epoch", "until"}
        if self.settings.observable is None:
            replaced.add("observable")
        return {
            **self.settings.model_dump(mode="json", exclude=replaced),
            "psiprune": version("psiprune"),
            "hidden": self.settings.hidden_units,
            "field": self.field,
            "rbm_seed": self.seed,
            **dict(self.limits),
        }

    @property
    def columns(self) -> dict[str, Any]:
        """The settings as nested columns of a table."""
        return self.config

    @property
    def what(self) -> str:
        """Short description for people."""
        return f"{self.dense}, {self.settings.prune.criterion}"

    @property
    def dense(self) -> str:
        """The same of the dense RBM, which other points may share."""
        return f"{self.settings.sites} sites, {_named(self.settings)}, seed {self.seed}"

    @property
    def chains(self) -> tuple[tuple[Stage, ...], ...]:
        """Chains of stages that the last stage needs, each stage after the one it needs."""
        return (tuple(self.stage(kind) for kind in KINDS[:-1]),)

    @property
    def last(self) -> Stage:
        """The stage that is the point itself."""
        return self.stage("point")

    def stage(self, kind: Kind) -> Stage:
        """Return one of the four stages."""
        kinds = KINDS[: KINDS.index(kind) + 1]
        names = [name for each in kinds for name in _ADDED_INPUTS[each]]
        if self.settings.model is not None:
            names.append("model")
        if kind == "dense" and self.settings.sites > EXACT_SITES:
            names.append("measure")  # the history is measured from samples there
        config = {name: self.config[name] for name in names if name in self.config}
        return Stage(kind, self, config, _FILES[kind])


@dataclass(frozen=True)
class Run:
    """A complete run of an experiment, with all its fields and seeds.

    Attributes:
        settings: of the experiment.
    """

    settings: EnsembleSettings

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return next(name for name, cls in EXPERIMENTS.items() if cls is type(self.settings))

    @cached_property
    def config(self) -> dict[str, Any]:
        """Everything the numbers of the run depend on, as JSON values."""
        values = self.settings.model_dump(mode="json")
        if values.get("observable", ...) is None:
            del values["observable"]
        return {"psiprune": version("psiprune"), "experiment": self.experiment, **values}

    @property
    def columns(self) -> dict[str, Any]:
        """The settings as nested columns of a table, in which each field has rows of its own."""
        values = self.settings.for_size().model_dump(mode="json", exclude={"fields"})
        for name in ("until", "observable"):  # else a column beside until_measure, ...
            if values.get(name, ...) is None:
                del values[name]
        return {**values, "hidden": self.settings.hidden_units, "psiprune": version("psiprune")}

    @property
    def what(self) -> str:
        """Short description for people."""
        seeds = f"{self.settings.seeds} seeds from {self.settings.seed}"
        return f"{self.experiment}, {self.settings.sites} sites, {_named(self.settings)}, {seeds}"

    @cached_property
    def problems(self) -> tuple[Point, ...]:
        """For each field a point of a study with the same ground state and shots."""
        names = ("sites", "model", "coupling", "shots", "seed")
        shared = {name: getattr(self.settings, name) for name in names}
        limits = tuple(state_limits(self.settings).items())
        return tuple(
            Point(StudySettings(fields=(field,), **shared), self.settings.seed, limits)
            for field in self.settings.fields
        )

    @property
    def chains(self) -> tuple[tuple[Stage, ...], ...]:
        """Chains of stages that the run needs, each stage after the one it needs."""
        return tuple((point.stage("state"), point.stage("shots")) for point in self.problems)

    @property
    def last(self) -> Stage:
        """The stage that is the run itself; the experiment writes its result last."""
        return Stage(RUN, self, self.config, (f"{self.experiment}.nc",))


def make(stage: Stage, root: Path) -> None:
    """Make a stage and those it needs on one core, unless it is done.

    The processor time, and the arithmetic of the CPU that the last bits depend on, go to
    seconds.json in its folder, which may differ from run to run.

    Raises:
        InputError: a file that the stage needs is damaged.
        OSError: the folder cannot be written; what was finished stays.
    """
    if stage.done(root):
        return
    folder = stage.folder(root)
    resumed = folder.exists()  # after a killed process, so the total time is unknown
    begin = time.thread_time()
    # The time of other threads would not count; bars of several workers would mix.
    with single_thread(), single_blas_thread(), no_progress_bars():
        _BUILDERS[stage.kind](stage.point, root)
    record = {} if resumed else {"seconds": time.thread_time() - begin}
    write_bytes(folder / "seconds.json", (json.dumps({**record, **arithmetic()}) + "\n").encode())


def read_seconds(folder: Path) -> float | None:
    """Return the processor seconds that the stage in a folder took, None if unknown."""
    try:
        return float(json.loads((folder / "seconds.json").read_text())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _state(point: Point, root: Path) -> MPS:
    folder = point.stage("state").make_folder(root)
    limits = dict(point.limits)
    return cached_state(folder / "state.nc", point.settings, point.field, limits)


def _shots(point: Point, root: Path) -> tuple[MPS, Shots]:
    state = _state(point, root)
    folder = point.stage("shots").make_folder(root)
    return state, cached_shots(folder / "shots.nc", state, point.settings)


def _member(point: Point, kind: Kind, root: Path) -> Member:
    state, shots = _shots(point, root)
    observables = point.settings.observable if kind == "point" else None
    problem = Problem(root, point.field, reference_of(state, observables), shots)
    return Member(problem, point.seed, point.stage(kind).make_folder(root))


def _dense(point: Point, root: Path) -> None:
    member = _member(point, "dense", root)
    file = member.folder / "rbm.nc"
    with named_warnings(), training_named(point.dense), Checkpoints(file) as checkpoints:
        rbm, history = train_dense(point.settings, member, lambda _: None, checkpoints)
        write_dataset(member.folder / "history.nc", history, "history")
        rbm.save(file)  # last: the checkpoints are deleted once it exists


def _point(point: Point, root: Path) -> None:
    dense = point.stage("dense")
    make(dense, root)
    member, trained = _member(point, "point", root), dense.folder(root)
    file = trained / "rbm.nc"
    with named_warnings(), training_named(point.what):
        levels = prune_dense(point.settings, member, lambda _: load_rbm(file), lambda _: None)
    piece = one_member(levels, read_dataset(trained / "history.nc", "history"))
    dataset = assemble(point.settings, [member.problem], [point.seed], [piece])
    write_dataset(member.folder / "study.nc", dataset, "study")


def _run(run: Run, root: Path) -> None:
    """Make a run from shared ground states and shots, which are linked into its folder.

    Raises:
        InputError: another process writes to the run, or a file is damaged.
    """
    folder = run.last.folder(root)
    # First, since a folder with other files in it would not be taken for a run.
    with open_run(folder, run.settings):
        run.last.make_folder(root)
        for point, chain in zip(run.problems, run.chains, strict=True):
            for stage in chain:
                _link(stage, root, phase_folder(folder, point.field) / stage.files[-1])
    _RUNNERS[run.experiment](run.settings, folder, progress=False)


def _link(stage: Stage, root: Path, file: Path) -> None:
    """Make a stage if needed, and give its result a second name."""
    if file.exists():
        return
    make(stage, root)
    result = stage.result(root)
    verify(result)  # here, so that the error names this file and not the copy
    try:
        with suppress(FileExistsError):
            os.link(result, file)
    except OSError:  # a file system without hard links
        write_bytes(file, result.read_bytes())


_BUILDERS: Mapping[str, Callable[[Any, Path], object]] = {
    "state": _state,
    "shots": _shots,
    "dense": _dense,
    "point": _point,
    RUN: _run,
}
