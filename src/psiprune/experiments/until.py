"""The search for the smallest RBM kept on disk, a file a trial; a second start takes it up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from psiprune.checkpoints import trainings_kept
from psiprune.config import FineTuneSettings, PruneSettings, UntilSettings
from psiprune.errors import Measure
from psiprune.files import read_dataset, write_dataset
from psiprune.gauges import Gauge
from psiprune.inputs import InputError
from psiprune.pruning import Level
from psiprune.rbm import RBM, rbm_from_dataset
from psiprune.shots import Shots
from psiprune.smallest import Smallest, Trial, dense_limit, find_smallest
from psiprune.training import Watch

_LOG = logging.getLogger(__name__)


def run_until(
    folder: Path,
    dense: RBM,
    shots: Shots,
    gauge: Gauge,
    until: UntilSettings,
    prune: PruneSettings,
    fine_tune: FineTuneSettings | None,
    seed: int,
    watch: Watch,
    rewind: RBM | None = None,
    path: Sequence[Level] = (),
) -> tuple[Smallest, Measure]:
    """`find_smallest`, with every RBM of the search in a file with its measure.

    Args:
        folder: level-00.nc, ..., trial-0085.nc, ..., other-1.nc, ... and smallest.nc stand here.
        dense: the RBM to begin with.
        shots: the training set.
        gauge: the measure.
        until: its name, and the limit or how to find it.
        prune: criterion and schedule.
        fine_tune: training after each step, or None.
        seed: of random pruning, of samples and of fine-tuning.
        watch: called after each epoch.
        rewind: where the training of each trial begins, if not at what pruning left.
        path: levels of this path that are there already, from 0 on.

    Returns:
        What the search found, and the measure of the smallest RBM with its error.

    Raises:
        InputError: the RBM itself is beyond the limit, there is no limit and no way to find one, or
            a file is damaged.
    """

    def measure(rbm: RBM) -> float:
        return gauge(rbm).value

    def keep(name: str, make: Callable[[], Trial]) -> Trial:
        file = folder / f"{name}.nc"
        if not file.exists():
            with trainings_kept(file):
                made = make()
                kept = made.rbm.to_dataset().assign({until.measure: made.value})
                write_dataset(file, kept, "rbm")
            _LOG.info("%s: written, %s %.6g", file, until.measure, made.value)
        else:
            _LOG.info("%s: taken as it is", file)
        found = read_dataset(file, "rbm")
        if until.measure not in found:
            raise InputError(f"{file}: holds no {until.measure}; delete it, to make it again")
        return Trial(name, rbm_from_dataset(found, file), float(found[until.measure]))

    limit = until.limit
    if limit is None:
        limit = dense_limit(
            dense, shots, measure=measure, others=until.others, watch=watch, keep=keep
        )
    found = find_smallest(
        dense,
        shots,
        measure=measure,
        limit=limit,
        settings=prune,
        fine_tune=fine_tune,
        bisect=until.bisect,
        rewind=rewind,
        path=path,
        seed=seed,
        watch=watch,
        keep=keep,
    )
    best = gauge(found.rbm)
    dataset = found.rbm.to_dataset().assign(
        {
            until.measure: best.value,
            f"{until.measure}_error": best.error,
            f"{until.measure}_floor": best.floor,
            f"{until.measure}_limit": limit,
        }
    )
    write_dataset(folder / "smallest.nc", dataset, "rbm")
    return found, best
