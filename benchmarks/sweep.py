"""How does a sweep scale with workers, what does a task cost beside its work, where does it end?

First a small sweep by one worker and by two; then the tasks of a large sweep on up to 64 workers in
this process, each a pause as long as its stage takes (measured by pilots), on a shortened clock.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from distributed import Client, LocalCluster

import peers
from psiprune.experiments.settings import StudySettings
from psiprune.sweeps import scheduler
from psiprune.sweeps.api import sweep
from psiprune.sweeps.cluster import connected
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.plan import plan
from psiprune.sweeps.points import AnyPoint, points_of, stages_of
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.tasks import Stage, read_seconds
from psiprune.training.exact_natural_gradient import ExactNaturalGradient

#: Seconds of the stand-in for one of the real thing.
CLOCK = 1 / 100
#: Seconds of the stand-in for each stage.
_pause: dict[str, float] = {}


def settings(sites: int, seeds: int, fields: Sequence[float], shots: int) -> SweepSettings:
    """Two criteria over some seeds and fields, by the exact gradient."""
    study = StudySettings(
        sites=sites,
        seeds=seeds,
        fields=tuple(fields),
        shots=shots,
        history_every=100,
        train=ExactNaturalGradient(epochs=100),
        fine_tune=ExactNaturalGradient.for_fine_tuning(epochs=20),
    )
    grid = GridSettings(product={"prune.criterion": ("magnitude", "surgeon")})
    return SweepSettings(study=study, grid=(grid,))


def main() -> None:
    args = peers.options(__doc__)
    seeds = 2 if args.quick else 4
    small = settings(10, seeds, (0.5, 1.0, 2.0), 20_000)
    about = peers.header(
        "Scaling of a sweep",
        f"{len(points_of(small))} points of 10 sites, 20,000 shots, exact training",
        "once each; start of the workers not counted",
    )
    print("real workers, one process each")
    real = [measured(small, workers) for workers in (1, 2)]
    peers.show(real)
    large = settings(18, 10, [0.5 + 0.1 * k for k in range(26)], 100_000)
    with tempfile.TemporaryDirectory() as nowhere:
        for planned in plan(large, nowhere):
            _pause[planned.kind] = CLOCK * planned.seconds / planned.stages
    points = points_of(large)[:: 20 if args.quick else 1]
    each = ", ".join(f"{kind} {seconds / CLOCK:.3g} s" for kind, seconds in _pause.items())
    print(f"\npauses for the {len(points)} points of 18 sites; a stage takes {each}")
    scheduler.run_stage = _stand_in
    simulated = [paused(points, workers) for workers in (8, 16, 32, 64)]
    peers.show(simulated)
    # Scheduler, client and workers together, so more than a scheduler needs.
    overhead = max(float(row["processor, a task [ms]"] or 0) for row in simulated) / 1e3
    print(f"\nthe same on a cluster, with {1e3 * overhead:.2g} ms of the scheduler for each task")
    model = [modelled(points, workers, overhead) for workers in (1, 64, 256, 1024, 4096)]
    peers.show(model)
    peers.save(args.json, about, real=real, simulated=simulated, modelled=model)


def measured(small: SweepSettings, workers: int) -> peers.Row:
    """Wall time of a sweep by processes, and what of it is not spent in stages."""
    local = small.model_copy(update={"local": small.local.model_copy(update={"workers": workers})})
    with tempfile.TemporaryDirectory() as name, connected("local", local) as client:
        root = Path(name)
        (root / "config.toml").touch()  # what a worker looks for
        points = points_of(local)
        client.run(_warm)
        begin, before = time.perf_counter(), _processor(client)
        failed = [
            each.cause for each in scheduler.run_on_dask(client, points, root, 0) if each.cause
        ]
        wall = time.perf_counter() - begin
        theirs, ours = (after - at for after, at in zip(_processor(client), before, strict=True))
        assert not failed, failed[0]
        stages = {stage.key: stage for point in points for stage in stages_of(point)}
        work = sum(read_seconds(stage.folder(root)) or 0.0 for stage in stages.values())
    return {
        "workers": workers,
        "points": len(points),
        "tasks": len(stages),
        "wall [s]": wall,
        "in stages [s]": work,
        "workers [s]": theirs,
        "beside stages": 1 - work / theirs,
        "scheduler and client [s]": ours,
    }


def _processor(client: Client) -> tuple[float, float]:
    """Processor seconds so far of all workers, and of this process: scheduler and client.

    Not wall time, in which all else that a machine does would show.
    """
    return sum(client.run(time.process_time).values()), time.process_time()


def _warm() -> None:
    """Compile what a point needs, so that no worker does it on the clock."""
    with tempfile.TemporaryDirectory() as name:
        sweep(settings(10, 1, (1.0,), 1000), Path(name) / "run", "serial")


def paused(points: Sequence[AnyPoint], workers: int) -> peers.Row:
    """The same graph of tasks with pauses for work, on workers that are threads of this process."""
    tasks, total, longest = _sums(points)
    with (
        tempfile.TemporaryDirectory() as name,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            memory_limit=None,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        begin, before = time.perf_counter(), time.process_time()
        list(scheduler.run_on_dask(client, points, Path(name), 0))
        wall, processor = time.perf_counter() - begin, time.process_time() - before
    best = max(longest, total / workers)
    return {
        "workers": workers,
        "tasks": tasks,
        "wall [s]": wall,
        "at best [s]": best,
        "efficiency": total / workers / wall,
        "processor, a task [ms]": 1e3 * processor / tasks,
    }


def modelled(points: Sequence[AnyPoint], workers: int, overhead: float) -> peers.Row:
    """Real time, the largest of work shared out, the longest chain and the scheduler's own."""
    tasks, total, longest = _sums(points)
    terms = {
        "work": total / CLOCK / workers,
        "longest chain": longest / CLOCK,
        "scheduler": tasks * overhead,
    }
    limit = max(terms, key=lambda name: terms[name])
    wall = terms[limit]
    return {
        "workers": workers,
        "hours": wall / 3600,
        "speed-up": total / CLOCK / wall,
        "efficiency": total / CLOCK / workers / wall,
        "limited by": limit,
    }


def _sums(points: Sequence[AnyPoint]) -> tuple[int, float, float]:
    """Tasks, and the stand-in's seconds of all of them and of the longest chain."""
    stages = {stage.key: stage for point in points for stage in stages_of(point)}
    total = sum(_pause[stage.kind] for stage in stages.values())
    return len(stages), total, sum(_pause.values())


def _stand_in(
    stage: Stage,
    root: Path,
    wanted: Mapping[str, str],
    needed: Sequence[Stage],
    before: Sequence[None],
) -> None:
    """In the place of a stage: nothing, for as long, and the file by which a point is done."""
    del wanted, needed, before
    time.sleep(_pause[stage.kind])
    if stage.kind == "point":
        stage.folder(root).mkdir(parents=True)
        stage.result(root).touch()


if __name__ == "__main__":
    main()
