"""What a run folder is made of, by its configuration: how far it is and how to go on."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.core.settings import Settings
from psiprune.experiments.ablation import MODELS, STARTS
from psiprune.experiments.ensemble import seeds_of
from psiprune.experiments.frontier import CLUSTER, PAPER, PRUNED, RANDOM, rewired_counts
from psiprune.experiments.pruning_path import level_file
from psiprune.experiments.settings import (
    AblationSettings,
    EnsembleSettings,
    FrontierSettings,
    PathSettings,
    RewirePathSettings,
    SparseSettings,
    StudySettings,
)
from psiprune.experiments.sparse import MASKED
from psiprune.paper.settings import PaperSettings
from psiprune.paper.stages import stages_of
from psiprune.reconstruction.dataset import expected_files
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.sweeps.points import points_of
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.table import TABLE

#: The commands that make run folders, and their configurations.
COMMANDS: Mapping[str, type[Settings]] = {
    "study": StudySettings,
    "sparse": SparseSettings,
    "ablation": AblationSettings,
    "frontier": FrontierSettings,
    "paper": PaperSettings,
    "prune": PathSettings,
    "rewire": RewirePathSettings,
    "reconstruct": ReconstructSettings,
    "sweep": SweepSettings,
}
#: How a run is taken up again; of most by its own configuration alone.
_RESUME: Mapping[str, str] = {
    "prune": "psiprune prune RBM SHOTS --out {folder}, with the same files and the options that "
    "config.toml tells",
    "rewire": "psiprune rewire RBM SHOTS --out {folder}, with the same files and the options that "
    "config.toml tells",
    "reconstruct": "psiprune reconstruct SHOTS --config {config} --out {folder}, with the same "
    "shots",
    "sweep": "psiprune sweep {config} --out {folder}",
}
_OWN = "psiprune {command} --config {config} --out {folder}"


class Contents(NamedTuple):
    """The command of a run, the files that a finished one has, and how it is taken up again."""

    command: str
    files: tuple[Path, ...]
    resume: str


def contents_of(folder: Path, config: Mapping[str, Any]) -> Contents | None:
    """What a run of this configuration is made of; None for a command that is not known here.

    Args:
        folder: of the run; the files are relative to it. Of a search it is read which there are.
        config: the tables of its config.toml.
    """
    for command, model in COMMANDS.items():
        try:
            settings = model(**_whole(model, config))
        except InputError:
            continue
        resume = _RESUME.get(command, _OWN).format(
            command=command,
            folder=shlex.quote(str(folder)),
            config=shlex.quote(str(folder / "config.toml")),
        )
        return Contents(command, tuple(_files(settings, folder)), resume)
    return None


def _whole(model: type[Settings], config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration with all keys of a model, if it is of that model.

    A run writes all keys but those that are None, which tells one model from another. A sweep
    writes those alone that were given, of which no other has the like.
    """
    if model is SweepSettings and config:
        return config
    return {**dict.fromkeys(model.model_fields), **config}


def read_config(folder: Path) -> dict[str, Any]:
    """The tables of a run's config.toml.

    Raises:
        InputError: it cannot be read.
    """
    file = folder / "config.toml"
    try:
        return tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from None


def _files(settings: Settings, folder: Path) -> Iterator[Path]:
    """The files of a finished run, its result last.

    A search decides on its way which RBMs it needs. What that of `reconstruct` has needed stands in
    its result; `prune --until` keeps no such list, so what lies between its ends is left out here.
    """
    match settings:
        case PathSettings(until=None):
            yield from _levels(settings.prune.levels)
        case PathSettings():
            yield from (level_file(Path(), 0), Path("smallest.nc"))
        case RewirePathSettings():
            yield from _levels(settings.rewire.rounds)
        case PaperSettings():
            yield from (Path(stage.name) / stage.file for stage in stages_of(settings))
            yield from map(Path, ("timing.json", "claims.json", "report.html"))
        case ReconstructSettings():
            yield from expected_files(settings, folder)
        case SweepSettings():
            # A finished point does not need its shared stages any more.
            for point in points_of(settings):
                yield point.last.result(Path())
            yield Path(TABLE)
        case EnsembleSettings():
            yield from _ensemble(settings)


def _ensemble(settings: EnsembleSettings) -> Iterator[Path]:
    for field in settings.fields:
        folder = Path(f"h={field:g}")
        yield from (folder / "state.nc", folder / "shots.nc")
        for number, seed in enumerate(seeds_of(settings)):
            yield from (folder / f"seed-{seed}" / file for file in _member(settings, number))
    (name,) = (name for name, model in COMMANDS.items() if model is type(settings))
    yield Path(f"{name}.nc")


def _member(settings: EnsembleSettings, number: int) -> Iterator[Path]:
    """The files of one seed, the `number`-th, in one phase."""
    match settings:
        case StudySettings():
            yield Path("history.nc")
            yield from _levels(settings.prune.levels)
        case AblationSettings():
            yield from _levels(settings.levels)
            for start in STARTS:
                yield from (Path(f"broken-{start}-{share:g}.nc") for share in settings.shares)
            yield from (Path(f"{model}.nc") for model in MODELS[1:])
        case SparseSettings():
            yield from _levels(settings.levels)
            yield from (Path(f"{variant.replace('/', '-')}.nc") for variant in MASKED)
        case FrontierSettings():
            variants = ["dense", PAPER, *PRUNED, CLUSTER]
            if number < settings.costly_seeds:
                if rewired_counts(settings):
                    variants += [f"{kind}-rewired" for kind in (CLUSTER, RANDOM)]
                variants += [f"surgeon-{width}" for width in settings.other_widths]
            yield from (Path(f"{variant}.nc") for variant in variants)


def _levels(last: int) -> Iterator[Path]:
    return (level_file(Path(), step) for step in range(last + 1))
