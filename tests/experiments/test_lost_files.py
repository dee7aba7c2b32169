"""A run that has lost files makes just these again, to the last bit, and names a damaged one."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from psiprune.experiments.ablation import run_ablation
from psiprune.experiments.sparse import run_sparse
from psiprune.experiments.study import run_study
from psiprune.io.netcdf import read_dataset
from refusals import refuses

RUNS: dict[str, tuple[Callable[..., Any], Any]] = {
    "finished": (run_study, tiny.settings()),
    "sparse_run": (run_sparse, tiny.sparse_settings()),
    "ablation_run": (run_ablation, tiny.ablation_settings()),
}
STARTS = (".lock", "provenance.json")


@pytest.mark.parametrize("fixture", RUNS)
def test_lost_files_are_made_again(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run, settings = RUNS[fixture]
    whole = request.getfixturevalue(fixture)
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    result, *members = sorted(folder.rglob("*.nc"), key=lambda file: (len(file.parts), file))
    # All of one seed, and some of others; a history is lost only with its RBMs.
    lost = {result, *members[-1].parent.glob("*.nc")}
    some = [file for file in members if file.name not in ("history.nc", "level-00.nc")]
    for file in lost.union(random.Random(1).sample(some, 6)):
        file.unlink()
    before = tiny.contents(folder, but=STARTS)
    assert tiny.raw(run(settings, folder)) == tiny.raw(read_dataset(whole / result.name))
    after = tiny.contents(folder, but=STARTS)
    for name in before:
        assert after[name] == before[name] or "level-" in name  # a path is made again from a gap
    assert tiny.numbers(folder, but=STARTS) == tiny.numbers(whole, but=STARTS)
    damaged = random.Random(2).choice(members)
    damaged.write_bytes(damaged.read_bytes()[:-40])
    with refuses(damaged, "damaged", "move it away"):
        run(settings, folder)
