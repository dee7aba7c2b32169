"""RBMs of every field and seed, trained side by side under one progress bar."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple, TypeVar

import xarray as xr
from tqdm import tqdm

from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.experiments.problem import Problem
from psiprune.experiments.settings import EnsembleSettings
from psiprune.training.train import Callback, TrainingProgress

Item = TypeVar("Item")
Result = TypeVar("Result")
_unwatched: ContextVar[bool] = ContextVar("unwatched", default=False)


@contextmanager
def without_bar() -> Iterator[None]:
    """No bars of progress, where many runs go on at once."""
    token = _unwatched.set(True)
    try:
        yield
    finally:
        _unwatched.reset(token)


class Member(NamedTuple):
    """One seed in one phase; its files go to `folder`."""

    problem: Problem
    seed: int
    folder: Path


def seeds_of(settings: EnsembleSettings) -> list[int]:
    """The seeds of an ensemble: `seeds` of them from `seed` on."""
    return list(range(settings.seed, settings.seed + settings.seeds))


def members_of(settings: EnsembleSettings, problems: Sequence[Problem]) -> list[Member]:
    """Every seed in every phase, all phases of the first seed first; their folders are made."""
    members = [
        Member(problem, seed, problem.folder / f"seed-{seed}")
        for seed in seeds_of(settings)
        for problem in problems
    ]
    for member in members:
        member.folder.mkdir(exist_ok=True)
    return members


def train_all(
    work: Callable[[Item, Callback], Result],
    items: Sequence[Item],
    epochs: int | None,
    what: str = "training",
) -> list[Result]:
    """[work(item, tick) for each item] in threads; work calls `tick` after each epoch.

    The bar on standard error runs to `epochs`, however many if None. On Ctrl-C each item ends with
    its epoch.
    """
    stop = threading.Event()
    # Also for what is done between trainings, whose last bits must not depend on cores either.
    with (
        single_blas_thread(),
        tqdm(total=epochs, desc=what, unit=" epochs", disable=_unwatched.get() or None) as bar,
    ):

        def tick(_: TrainingProgress) -> None:
            bar.update()
            if stop.is_set():
                raise KeyboardInterrupt

        return map_threads(lambda item: work(item, tick), items, stop)


def over_members(settings: EnsembleSettings, pieces: Sequence[xr.Dataset]) -> xr.Dataset:
    """The datasets of all members, in the order of `members_of`, along field and seed."""
    fields = len(settings.fields)
    rows = [
        xr.concat(pieces[k : k + fields], dim="field", join="outer")
        for k in range(0, len(pieces), fields)
    ]
    return xr.concat(rows, dim="seed", join="outer").transpose("field", "seed", ...)


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
