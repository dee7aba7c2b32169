"""RBMs of every field and seed, trained in parallel under one progress bar."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import xarray as xr

from psiprune.core.progress import progress_bar
from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.experiments.named_warnings import named_warnings, training_named
from psiprune.experiments.problem import Problem
from psiprune.experiments.settings import EnsembleSettings, StudySettings
from psiprune.training.method import Method
from psiprune.training.train import Callback, TrainingProgress

Item = TypeVar("Item")
Result = TypeVar("Result")


class Member(NamedTuple):
    """One seed in one phase; its files go to `folder`."""

    problem: Problem
    seed: int
    folder: Path

    def __str__(self) -> str:
        """Return field and seed, as warnings name the RBM."""
        return f"h={self.problem.field:g}, seed {self.seed}"


def methods_of(settings: EnsembleSettings) -> dict[str, Method]:
    """Return the training methods of an experiment by the names of their settings.

    Methods are those for the size. After a rewind, "fine_tune" is what `train` says.
    """
    methods = {name: value for name, value in settings.for_size() if isinstance(value, Method)}
    if isinstance(settings, StudySettings) and settings.rewind_epoch is not None:
        methods["fine_tune"] = methods["train"]
    return methods


def seeds_of(settings: EnsembleSettings) -> list[int]:
    """Return the seeds of an ensemble: `seeds` of them, starting at `seed`."""
    return list(range(settings.seed, settings.seed + settings.seeds))


def members_of(settings: EnsembleSettings, problems: Sequence[Problem]) -> list[Member]:
    """Return every seed in every phase, first all phases of the first seed; make their folders."""
    members = [
        Member(problem, seed, problem.folder / f"seed-{seed}")
        for seed in seeds_of(settings)
        for problem in problems
    ]
    for member in members:
        member.folder.mkdir(exist_ok=True)
    return members


def run_parallel(
    work: Callable[[Item, Callback], Result],
    items: Sequence[Item],
    epochs: int | None,
    what: str = "training",
    *,
    name: Callable[[Item], str] = str,
    progress: bool = True,
) -> list[Result]:
    """Return [work(item, callback) for each item], computed in threads.

    Args:
        work: calls `callback` after each epoch of training; on Ctrl-C it ends after that epoch.
        items: the arguments of `work`.
        epochs: expected number of all of them, for the progress bar; None if
            unknown, or if `work` lets the bar expect them.
        what: title of the bar.
        name: takes an item to what training warnings begin with.
        progress: False for no bar, as where many runs are computed at once.
    """
    stop = threading.Event()
    # Also for what is computed between trainings: its last bits must not depend on the cores.
    with (
        single_blas_thread(),
        named_warnings(),
        progress_bar(epochs, what, progress=progress),
    ):

        def callback(_: TrainingProgress) -> None:
            if stop.is_set():
                raise KeyboardInterrupt

        def named(item: Item) -> Result:
            with training_named(name(item)):
                return work(item, callback)

        return map_threads(named, items, stop)


def over_members(
    settings: EnsembleSettings, pieces: Sequence[xr.Dataset], seeds: Sequence[int] | None = None
) -> xr.Dataset:
    """Join the datasets of all members, in the order of `members_of`, along field and seed.

    `seeds` are those of the settings if not given.
    """
    fields = len(settings.fields)
    rows = [
        xr.concat(pieces[k : k + fields], dim="field", join="outer")
        for k in range(0, len(pieces), fields)
    ]
    dataset = xr.concat(rows, dim="seed", join="outer").transpose("field", "seed", ...)
    seeds = seeds_of(settings) if seeds is None else list(seeds)
    return dataset.assign_coords(field=list(settings.fields), seed=seeds)


def labelled(settings: EnsembleSettings, dataset: xr.Dataset, **attrs: Any) -> xr.Dataset:
    """Return the dataset of a run with units, its size, coupling, methods and `attrs` in attrs.

    With a model, `hamiltonian` names it at each field.
    """
    if settings.model is not None:
        named = [settings.title_at(field) for field in settings.fields]
        dataset = dataset.assign_coords(hamiltonian=("field", named))
    return label(dataset).assign_attrs(
        sites=settings.sites,
        hidden=settings.hidden_units,
        coupling=settings.coupling,
        **{name: str(method) for name, method in methods_of(settings).items()},
        **attrs,
    )


def label(dataset: xr.Dataset) -> xr.Dataset:
    """Set the units of all variables that have none: nat, those of J and h, or 1."""
    for name, variable in dataset.variables.items():
        if "units" in variable.attrs:
            continue
        if {"kl", "entropy", "renyi2"} & set(str(name).split("_")):
            unit = "nat"
        elif name in ("field", "energy", "energy_error", "energy_reference"):
            unit = "energy"
        else:
            unit = {"distance": "sites", "processor_seconds": "s"}.get(str(name), "1")
        variable.attrs["units"] = unit
    return dataset


def ensemble_files(
    settings: EnsembleSettings, of_member: Callable[[int], Iterable[str]], result: str
) -> Iterator[Path]:
    """List the files of a finished run, relative to its folder, the result last.

    Args:
        settings: of the run.
        of_member: names of the files of the k-th seed in each phase, 0 <= k < seeds.
        result: name of the dataset of the run.
    """
    for field in settings.fields:
        folder = Path(f"h={field:g}")
        yield from (folder / "state.nc", folder / "shots.nc")
        for k, seed in enumerate(seeds_of(settings)):
            yield from (folder / f"seed-{seed}" / name for name in of_member(k))
    yield Path(result)
