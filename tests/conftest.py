"""What several test files look at but do not change: stage files and a finished study."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from filelock import FileLock
from hypothesis import settings

import psiprune as pp
import tiny
from psiprune.core.hardware import gibbs_sums
from psiprune.io.netcdf import read_dataset
from psiprune.rbm.init import initial_rbm

# Each run tries the same examples; `pytest --hypothesis-profile=default` draws new ones.
settings.register_profile("same", derandomize=True, deadline=None, max_examples=25, database=None)
settings.load_profile("same")

#: Files that take longest, to run first, so that all processes of pytest-xdist end together.
LONGEST = (
    *("test_docs.py", "test_stages.py", "test_bad_input.py", "test_study.py", "test_runs.py"),
    *("test_sweep.py", "test_survival.py", "test_methods.py", "test_result.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    order = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(params=["loops", pytest.param("avx2", marks=pytest.mark.slow), "avx512"])
def sums(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to add up weights in Gibbs sampling that this CPU has."""
    monkeypatch.setenv("PSIPRUNE_SIMD", request.param)
    try:
        gibbs_sums()
    except pp.InputError:
        pytest.skip(f"this CPU has no {request.param}")
    return str(request.param)


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """state.nc, shots.nc, rbm.nc and pruned.nc of 4 sites; three-state.nc and so on of 3."""
    folder = tmp_path_factory.mktemp("stages")
    for prefix, sites in (("", 4), ("three-", 3)):
        state = pp.ground_state(pp.TFIM(sites=sites))
        state.save(folder / f"{prefix}state.nc")
        shots = pp.sample(state, 300, seed=1)
        shots.save(folder / f"{prefix}shots.nc")
        np.savetxt(folder / f"{prefix}shots.txt", shots.bits, fmt="%d")
        initial_rbm(sites, 2, seed=0).save(folder / f"{prefix}rbm.nc")
    rbm = initial_rbm(4, 2, seed=0)
    rbm.with_mask(np.arange(8).reshape(2, 4) > 0).save(folder / "pruned.nc")
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny study; copy it to change it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    pp.run_study(tiny.settings(), folder)
    return folder


@pytest.fixture(scope="session")
def sparse_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of tiny sparse training; copy it to change it."""
    folder = tmp_path_factory.mktemp("sparse") / "run"
    pp.run_sparse(tiny.sparse_settings(), folder)
    return folder


@pytest.fixture(scope="session")
def ablation_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of tiny ablations; copy it to change it."""
    folder = tmp_path_factory.mktemp("ablation") / "run"
    pp.run_ablation(tiny.ablation_settings(), folder)
    return folder


@pytest.fixture(scope="session")
def observable_run(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny reconstruction that <|m|> ends, with a custom observable `first`."""
    folder = tmp_path_factory.mktemp("observable") / "run"
    settings = tiny.reconstruct_settings(measure="abs_magnetization")
    shots = pp.read_shots(stages / "shots.nc")
    pp.reconstruct(shots, folder, settings=settings, observables={"first": tiny.first})
    return folder


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures, which take most of the time of a tiny run."""
    monkeypatch.setattr("psiprune.reporting.figures.save_figure", lambda *_: [])
    monkeypatch.setattr("psiprune.reconstruction.report.picture", lambda *_: None)


@pytest.fixture(scope="session")
def study(finished: Path) -> xr.Dataset:
    """The dataset of a tiny study."""
    return read_dataset(finished / "study.nc", "study")


@pytest.fixture(scope="session")
def sparse(sparse_run: Path) -> xr.Dataset:
    """The dataset of tiny sparse training."""
    return read_dataset(sparse_run / "sparse.nc", "sparse")


@pytest.fixture(scope="session")
def ablation(ablation_run: Path) -> xr.Dataset:
    """The dataset of tiny ablations."""
    return read_dataset(ablation_run / "ablation.nc", "ablation")


@pytest.fixture(scope="session")
def paper_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny run of all the paper's experiments; copy it to change it."""
    # All processes of pytest-xdist share it: it takes 15 seconds.
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with FileLock(shared / "paper.lock"):
        folder = shared / "paper" / "run"
        if not folder.exists():
            tiny.paper(folder)
    return folder
