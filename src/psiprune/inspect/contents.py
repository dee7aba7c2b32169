"""What a finished run folder contains, by its configuration, and how to resume a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.core.settings import Settings
from psiprune.experiments import ablation, entanglement, frontier, masks, sparse, study
from psiprune.experiments.answers import ANSWERED
from psiprune.experiments.answers import answer_text as experiment_answer
from psiprune.experiments.entanglement_settings import EntanglementSettings
from psiprune.experiments.masks_settings import MasksSettings
from psiprune.experiments.path_settings import PathSettings, RewirePathSettings
from psiprune.experiments.path_table import path_rows, path_text
from psiprune.experiments.pruning_path import level_names
from psiprune.experiments.settings import (
    AblationSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
)
from psiprune.io.netcdf import kind_of, read_dataset
from psiprune.io.toml import read_toml
from psiprune.paper.settings import PaperSettings
from psiprune.paper.stages import stages_of
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.reconstruction import dataset as reconstruction
from psiprune.reconstruction.bases import files as bases
from psiprune.reconstruction.bases.settings import BasesSettings
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.sweeps.points import points_of
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.table import TABLE

#: The commands that make run folders, and their settings.
COMMANDS: tuple[tuple[str, type[Settings]], ...] = (
    ("study", StudySettings),
    ("sparse", SparseSettings),
    ("ablation", AblationSettings),
    ("frontier", FrontierSettings),
    ("masks", MasksSettings),
    ("entanglement", EntanglementSettings),
    ("paper", PaperSettings),
    ("prune", PathSettings),
    ("rewire", RewirePathSettings),
    ("reconstruct", ReconstructSettings),
    ("reconstruct", BasesSettings),
    ("sweep", SweepSettings),
)
#: How a run is resumed; most need only its configuration.
_RESUME = "psiprune {command} --config {config} --out {folder}"
_RESUME_PATH = "psiprune {command} RBM SHOTS --out {folder}, with the same files and options"
_RESUMES: Mapping[str, str] = {
    "prune": _RESUME_PATH,
    "rewire": _RESUME_PATH,
    "reconstruct": "psiprune reconstruct SHOTS --config {config} --out {folder}, with the same "
    "shots",
    "sweep": "psiprune sweep {config} --out {folder}",
}


class Contents(NamedTuple):
    """Command of a run, files of a finished one (relative, the result last), how to resume it."""

    command: str
    files: tuple[Path, ...]
    resume: str


def contents_of(folder: Path, config: Mapping[str, Any]) -> Contents | None:
    """Return what a run of this configuration contains; None if no command has such settings.

    Args:
        folder: of the run; a search decides which RBMs it needs, and its result lists them.
        config: the tables of its config.toml.
    """
    for command, model in COMMANDS:
        try:
            settings = model(**_all_keys(model, config))
        except InputError:
            continue
        resume = _RESUMES.get(command, _RESUME).format(
            command=command,
            folder=shlex.quote(str(folder)),
            config=shlex.quote(str(folder / "config.toml")),
        )
        return Contents(command, tuple(_files(settings, folder)), resume)
    return None


def _all_keys(model: type[Settings], config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add the keys that a run leaves out because they are None.

    All keys together tell one model from another. A sweep writes only the keys it was given, which
    are unique to it.
    """
    if model is SweepSettings and config:
        return config
    return {**dict.fromkeys(model.model_fields), **config}


def result_of(folder: Path, contents: Contents) -> tuple[str, ...]:
    """Return the answer of a complete run: words, a table of levels, else its last file."""
    if contents.command in ANSWERED:
        try:
            dataset = read_dataset(folder / contents.files[-1], contents.command)
            return tuple(experiment_answer(contents.command, dataset).split("\n"))
        except KeyError:  # written by another version
            return (str(contents.files[-1]),)
    if contents.command == "prune" and contents.files[-1].name != "smallest.nc":
        of_rbms = kind_of(folder / contents.files[-1]) == "rbm"  # not of states with phases
        levels = [read_dataset(folder / file, "rbm") for file in contents.files if of_rbms]
        if levels and all("kl" in level for level in levels):  # measured against a state
            rbms = [rbm_from_dataset(level, folder) for level in levels]
            return tuple(path_text(path_rows(rbms, levels)).split("\n"))
    if contents.command != "reconstruct":
        return (str(contents.files[-1]),)
    from psiprune.reconstruction.bases.result import load_bases
    from psiprune.reconstruction.result import request_of
    from psiprune.reconstruction.summary import FILE, summarize
    from psiprune.reconstruction.text import answer_text

    if kind_of(folder / FILE) == bases.KIND:
        return tuple(str(load_bases(folder)).split("\n"))
    try:
        dataset = read_dataset(folder / FILE)
        answer = answer_text(summarize(dataset, request_of(folder, dataset)))
    except KeyError:  # written by another version
        return (FILE,)
    return tuple(answer.split("\n"))


def read_config(folder: Path) -> dict[str, Any]:
    """Return the tables of a run's config.toml.

    Raises:
        InputError: it cannot be read.
    """
    return read_toml(folder / "config.toml")


def _files(settings: Settings, folder: Path) -> Iterable[Path]:
    """List the files of a finished run; of `prune --until` only the first and the last."""
    match settings:
        case StudySettings():
            return study.expected_files(settings)
        case AblationSettings():  # before SparseSettings, which it inherits from
            return ablation.expected_files(settings)
        case SparseSettings():
            return sparse.expected_files(settings)
        case FrontierSettings():
            return frontier.expected_files(settings)
        case EntanglementSettings():  # before MasksSettings, which it inherits from
            return entanglement.expected_files(settings)
        case MasksSettings():
            return masks.expected_files(settings)
        case ReconstructSettings():
            return reconstruction.expected_files(settings, folder)
        case BasesSettings():
            return bases.expected_files(settings, folder)
        case PathSettings(until=None):
            return map(Path, level_names(settings.prune.levels))
        case PathSettings():
            return map(Path, (*level_names(0), "smallest.nc"))
        case RewirePathSettings():
            return map(Path, level_names(settings.rewire.rounds))
        case PaperSettings():
            stages = (Path(stage.name) / stage.file for stage in stages_of(settings))
            return (*stages, *map(Path, ("timing.json", "claims.json", "report.html")))
        case SweepSettings():  # a finished point no longer needs its shared stages
            points = (point.last.result(Path()) for point in points_of(settings))
            return (*points, Path(TABLE))
    raise NotImplementedError(type(settings).__name__)
