"""Run all experiments of the paper, stage by stage, in one folder."""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import xarray as xr

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.threads import cores
from psiprune.data.read_shots import read_shots
from psiprune.experiments.ablation import MODELS, STARTS, run_ablation
from psiprune.experiments.frontier import run_frontier
from psiprune.experiments.frontier_methods import PRUNED
from psiprune.experiments.named_warnings import repeat_warnings_of_run
from psiprune.experiments.pruning_path import level_file
from psiprune.experiments.settings import EnsembleSettings, StudySettings
from psiprune.experiments.sparse import MASKED, run_sparse
from psiprune.experiments.study import run_study
from psiprune.io.netcdf import read_dataset, write_bytes, write_dataset
from psiprune.io.run import check_configuration
from psiprune.paper.derived import (
    clusters_of,
    decay_of,
    ranks_of,
    symmetry_of,
    with_exact_correlations,
)
from psiprune.paper.settings import PaperSettings
from psiprune.paper.sums import sums_of
from psiprune.paper.timing import time_levels
from psiprune.rbm.serialization import rbm_from_dataset

_LOG = logging.getLogger(__name__)
_Settings = TypeVar("_Settings", bound=EnsembleSettings)
#: Derived datasets, in the order in which they are made.
DERIVED = ("graph", "models", "symmetry", "sums", "decay", "ranks", "clusters")
#: The times of pruned RBMs.
TIMING = "timing.json"
#: The time that each stage took, in seconds of wall time.
TIMES = "times.json"
#: The stages that a part of the paper needs, by name or by family (sizes, schedules).
PARTS: Mapping[str, tuple[str, ...]] = {
    "graph": ("graph",),
    "study": ("study",),
    "sizes": ("study", "sizes"),
    "schedules": ("study", "schedules"),
    "robust": ("study", "robust"),
    "sparse": ("sparse",),
    "ablation": ("ablation",),
    "frontier": ("frontier",),
    "symmetry": ("study",),
    "sums": ("study",),
    "decay": ("study", "sizes"),
    "ranks": ("study",),
    "clusters": ("ablation",),
    "models": ("study",),
    "timing": ("study",),
}


class Paper(NamedTuple):
    """The results of a run: labelled datasets by name, and the times if requested."""

    settings: PaperSettings
    datasets: Mapping[str, xr.Dataset]
    timing: Mapping[str, Any] | None

    @property
    def sizes(self) -> list[xr.Dataset]:
        """The studies of all sizes, the smallest first."""
        return [self.datasets[name] for name in sizes_of(self.settings)]

    @property
    def schedules(self) -> dict[float, xr.Dataset]:
        """The studies of the alternative schedules, by the share that the first step removes."""
        firsts = self.settings.first_fractions
        return {first: self.datasets[f"schedule-{first:g}"] for first in firsts}

    @property
    def robust(self) -> dict[str, xr.Dataset]:
        """The studies trained in other ways, by the names of these."""
        return {how: self.datasets[f"robust-{how}"] for how in self.settings.robust}

    def part(self, name: str) -> Any:
        """The result of a part of `PARTS`: a dataset, those of a family, or the times."""
        if name in ("sizes", "schedules", "robust", "timing"):
            return getattr(self, name)
        return self.datasets[name]


class Stage(NamedTuple):
    """One experiment.

    Attributes:
        name, family: of its folder, and what `PARTS` calls it.
        settings: of its run.
        run: runs it in a folder.
        file: its dataset, which exists once the stage is finished.
        seconds: rough cost on one core.
        pieces: number of RBM files that it writes one after the other; they show its progress.
    """

    name: str
    family: str
    settings: EnsembleSettings
    run: Callable[[Path], xr.Dataset]
    file: str
    seconds: float
    pieces: int

    def file_in(self, run: Path) -> Path:
        """Return its dataset in the folder of the whole run."""
        return run / self.name / self.file


def stages_of(settings: PaperSettings) -> list[Stage]:
    """Return all stages, in the order in which they run."""
    sparse, ablation, frontier = settings.sparse(), settings.ablation(), settings.frontier()
    # Kinds of RBMs that are trained; a dense one including its pruning counts as 1.3.
    kinds = 1.3 + len(MASKED)
    each = kinds * _training(sparse, sparse.train.epochs)
    of_sparse = _members(sparse) * each, _members(sparse) * (sparse.levels + 1 + len(MASKED))
    kinds = 1.3 + 1.3 * len(settings.shares) + len(MODELS[1:])
    each = kinds * _training(ablation, ablation.train.epochs)
    files = ablation.levels + len(STARTS) * len(settings.shares) + len(MODELS)
    of_ablation = _members(ablation) * each, _members(ablation) * files
    # A dense RBM, the paper's, and those on clusters and scale-free masks, beside the pruned ones.
    files = 4 + len(PRUNED)
    each = 60.0 * 2.0 ** (settings.sites - 18)
    of_frontier = _members(frontier) * each, _members(frontier) * files
    return [
        _study("study", "study", settings.study()),
        _study("graph", "graph", settings.graph()),
        _stage("sparse", sparse, run_sparse, *of_sparse),
        _stage("ablation", ablation, run_ablation, *of_ablation),
        _stage("frontier", frontier, run_frontier, *of_frontier),
        *(
            _study(f"schedule-{first:g}", "schedules", settings.schedule(first))
            for first in settings.first_fractions
        ),
        *(
            _study(f"robust-{how}", "robust", settings.trained_otherwise(how))
            for how in settings.robust
        ),
        *(_study(f"size-{sites}", "sizes", settings.size(sites)) for sites in settings.other_sites),
    ]


def _stage(
    name: str,
    settings: _Settings,
    run: Callable[[_Settings, Path], xr.Dataset],
    seconds: float,
    pieces: int,
) -> Stage:
    return Stage(name, name, settings, partial(run, settings), f"{name}.nc", seconds, pieces)


def _study(name: str, family: str, settings: StudySettings) -> Stage:
    files = _members(settings) * (settings.prune.levels + 2)  # each member has a history as well
    run = partial(run_study, settings)
    return Stage(name, family, settings, run, "study.nc", _seconds(settings), files)


def sizes_of(settings: PaperSettings) -> list[str]:
    """Return the names of the studies of all sizes, the smallest first."""
    sites = sorted({settings.sites, *settings.other_sites})
    return ["study" if size == settings.sites else f"size-{size}" for size in sites]


def run_paper(settings: PaperSettings, run: Path, parts: Collection[str] = tuple(PARTS)) -> Paper:
    """Run the experiments that some parts of the paper need, as far as they are not finished.

    Each stage runs in a folder of its name and resumes where it stopped; it is finished once its
    dataset exists. Derived datasets are in derived/NAME.nc, times of RBMs in timing.json, those of
    the stages in times.json; times differ from run to run, all datasets are reproduced to the last
    bit. Logs a line as each stage begins, at level INFO.

    Args:
        settings: sizes, seeds, training.
        run: its folder, locked by `open_run` for as long as anything in it is used.
        parts: names of `PARTS`; all of them by default.

    Returns:
        The datasets by the names of stages and of derived datasets: study, size-50, decay, ...

    Raises:
        InputError: there is no such part, a finished stage has other settings, or a file in the
            folder is damaged.
        OSError: the folder cannot be written; finished stages stay.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise InputError(f"parts: must be among {', '.join(PARTS)}, found {unknown[0]!r}")
    families = {family for part in parts for family in PARTS[part]}
    stages = [stage for stage in stages_of(settings) if stage.family in families]
    found = {}
    clock = Clock(run, stages)
    for stage in stages:
        file = stage.file_in(run)
        if file.exists():
            check_configuration(file.parent, stage.settings.for_size())
            repeat_warnings_of_run(file.parent)
        else:
            with clock.running(stage):
                stage.run(file.parent)
        found[stage.name] = read_dataset(file)
    (run / "derived").mkdir(exist_ok=True)
    for name, dataset in _derived(Paper(settings, found, None), run, parts):
        write_dataset(run / "derived" / f"{name}.nc", dataset, name)
        found[name] = dataset
    timing = _timing(settings, run) if "timing" in parts else None
    return Paper(settings, found, timing)


class Clock:
    """Log which stage runs, estimate the remaining time, and record how long stages take."""

    def __init__(self, run: Path, stages: Sequence[Stage]) -> None:
        """Count what is left of each stage, by the files that exist.

        Stages finished by an earlier process are not timed.
        """
        self._todo = {
            stage.name: stage.seconds * (1 - _done(run / stage.name, stage.pieces))
            for stage in stages
            if not stage.file_in(run).exists()
        }
        self._file = run / TIMES
        self._cores = min(cores(), 64)
        self._taken, self._planned = 0.0, 0.0

    @contextmanager
    def running(self, stage: Stage) -> Iterator[None]:
        """Log and time a stage while it runs; the time of an interrupted start counts as well."""
        _LOG.info("%s", self.words(stage))
        begin = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - begin
            times = read_times(self._file)
            times[stage.name] = round(times.get(stage.name, 0.0) + seconds, 1)
            write_bytes(self._file, (json.dumps(times, indent=2) + "\n").encode())
        self._taken += seconds
        self._planned += self._todo.pop(stage.name) / self._cores

    def words(self, stage: Stage) -> str:
        """Describe a stage: rough costs, corrected by the time that earlier stages took."""
        pace = self._taken / self._planned if self._planned else 1.0
        stage_left, run_left = (
            _minutes(pace * seconds / self._cores)
            for seconds in (self._todo[stage.name], sum(self._todo.values()))
        )
        return f"{stage.name}: about {stage_left}, {run_left} to the end"


def read_times(file: Path) -> dict[str, float]:
    """Return the seconds that each stage took; stages copied from elsewhere have none.

    Raises:
        InputError: the file is damaged.
    """
    if not file.exists():
        return {}
    try:
        return {str(name): float(seconds) for name, seconds in json.loads(file.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{file}: cannot be read: {error}; delete it") from None


def _done(folder: Path, pieces: int) -> float:
    """The share of a stage's RBM files that exist."""
    return min(1.0, len(list(folder.glob("h=*/seed-*/[!.]*.nc"))) / pieces)


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _derived(paper: Paper, run: Path, parts: Collection[str]) -> Iterator[tuple[str, xr.Dataset]]:
    """Iterate over name and dataset of what is derived from the stages."""
    settings = paper.settings
    if "graph" in parts:
        yield "graph", _models(run / "graph", settings.graph()).isel(field=0)
    if "models" in parts:
        yield "models", _models(run / "study", settings.study())
    if "symmetry" in parts:
        files = [run / "study" / f"h={field:g}" / "shots.nc" for field in settings.fields]
        found = symmetry_of(settings.fields, [read_shots(file) for file in files])
        yield "symmetry", found.assign_attrs(coupling=settings.coupling)
    if "sums" in parts:
        sums = sums_of(paper.datasets["study"], run / "study")
        if sums is not None:
            yield "sums", sums
    if "decay" in parts:
        names = sizes_of(settings)
        studies = [with_exact_correlations(paper.datasets[name], run / name) for name in names]
        yield "decay", decay_of(studies)
    if "ranks" in parts:
        yield "ranks", ranks_of(paper.datasets["study"])
    if "clusters" in parts:
        yield "clusters", clusters_of(paper.datasets["ablation"])


def _models(folder: Path, settings: StudySettings) -> xr.Dataset:
    """The RBMs of a study's first seed, over field, level, hidden and visible."""
    names = ("weights", "mask", "visible_bias", "hidden_bias", *_COUNTED)
    by_field = []
    for field in settings.fields:
        seed = folder / f"h={field:g}" / f"seed-{settings.seed}"
        levels = [
            read_dataset(level_file(seed, step), "rbm")[list(names)].drop_attrs()
            for step in range(settings.prune.levels + 1)
        ]
        by_field.append(xr.concat(levels, dim=xr.Variable("level", range(len(levels)))))
    models = xr.concat(by_field, dim=xr.Variable("field", list(settings.fields)))
    return models.assign_attrs(
        sites=settings.sites,
        hidden=settings.hidden_units,
        coupling=settings.coupling,
        seed=settings.seed,
    )


_COUNTED = ("weights_kept", "fraction_pruned", "components")


def _timing(settings: PaperSettings, run: Path) -> Mapping[str, Any]:
    """The times of the RBMs of the first field and seed, measured once per run."""
    file = run / TIMING
    if not file.exists():
        folder = run / "study" / f"h={settings.fields[0]:g}"
        files = [
            level_file(folder / f"seed-{settings.seed}", step)
            for step in range(settings.levels + 1)
        ]
        rbms = [rbm_from_dataset(read_dataset(each, "rbm"), each) for each in files]
        times = time_levels(rbms, read_shots(folder / "shots.nc"), settings.train)
        sealed = {**times, "crc32": _checksum(times)}
        write_bytes(file, (json.dumps(sealed, indent=2) + "\n").encode())
    return read_timing(file)


def read_timing(file: Path) -> Mapping[str, Any]:
    """Return the times of pruned RBMs that a run measured.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        found: dict[str, Any] = json.loads(file.read_text())
        claimed = found.pop("crc32", None)
        if claimed is not None and claimed != _checksum(found):
            raise ValueError("damaged")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{file}: cannot be read: {error}; delete it to measure again") from None
    return found


def _checksum(times: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(times).encode())


# Rough costs, measured on one core of a busy 2-core server: 0.15 ns per weight, chain and Gibbs
# step, and the time of measuring. They weigh the stages; the pace of finished stages corrects them.


def _members(settings: EnsembleSettings) -> int:
    return len(settings.fields) * settings.seeds


def _training(settings: EnsembleSettings, epochs: int) -> float:
    weights = settings.sites * settings.hidden_units
    return 1.5e-10 * epochs * settings.shots * getattr(settings.train, "steps", 1) * weights


def _seconds(settings: StudySettings) -> float:
    levels = settings.prune.levels
    if settings.sites <= EXACT_SITES:
        measuring = 0.9 * 2.0 ** (settings.sites - 18) + 9e-6 * settings.measure.draws
    else:
        measuring = 2.5e-6 * settings.measure.draws * settings.sites
    tuning = 0.6 * _training(settings, settings.fine_tune.epochs)  # weights become fewer
    each = _training(settings, settings.train.epochs) + levels * (tuning + measuring)
    return _members(settings) * each
