"""Workers with other code or other libraries, whose numbers might differ, are refused."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

import psiprune
import tiny
from psiprune.sweeps.workers import WorkerPool, _digest, facts_here, version_mismatch, versions_here
from workers import Workers

#: With the version in common, these decide bits.
NAMES = ["code of psiprune", "Python", "numpy", "scipy", "numba", "llvmlite", "physics-tenpy"]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of psiprune's own package, to be changed."""
    ours = Path(psiprune.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ours, tmp_path / "copy" / "psiprune", ignore=ignored))


def test_the_digest_is_of_names_and_contents(package: Path) -> None:
    before = _digest(package)
    assert before == versions_here()["code of psiprune"]
    (package / "notes.txt").write_text("no code")
    assert _digest(package) == before
    with (package / "__main__.py").open("a") as code:
        code.write("\n")
    after = _digest(package)
    assert after != before
    (package / "__main__.py").rename(package / "__main2__.py")
    assert _digest(package) not in (before, after)


@pytest.mark.parametrize("name", ["psiprune", *NAMES])
def test_the_first_difference_is_named(name: str) -> None:
    ours = versions_here()
    assert set(ours) == {"psiprune", *NAMES}
    assert version_mismatch(ours, ours) == ""
    mismatch = version_mismatch({**ours, name: "0.0.1"}, ours)
    assert f"{name} 0.0.1" in mismatch
    assert ours[name] in mismatch
    known = {key: value for key, value in ours.items() if key != name}
    assert f"{name} (unknown)" in version_mismatch(known, ours)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "other"),
    [
        (lambda package: (package / "__main__.py").open("a").write("\nRATE = 1.5\n"), ""),
        # Code that has no such digest yet.
        (lambda package: (package / "sweeps" / "workers.py").unlink(), "(unknown)"),
    ],
    ids=["changed", "before"],
)
def test_a_worker_of_other_code(change: object, other: str, package: Path, tmp_path: Path) -> None:
    assert callable(change)
    change(package)
    with Workers(tmp_path) as cluster:
        cluster.start(1, PYTHONPATH=str(package.parent))
        cluster.wait_for(1)
        config = tmp_path / "sweep.toml"
        config.write_text("[study]\nsites = 4\n")
        command = ("sweep", config, "--out", tmp_path / "run", "--scheduler", cluster.address)
        line = tiny.refusal(tiny.call(*command))
    theirs, ours = other or _digest(package), versions_here()["code of psiprune"]
    assert f"code of psiprune {theirs}" in line
    assert ours in line
    assert not (tmp_path / "run").exists()


class OneWorker:
    """A client of a scheduler whose only worker answers with these facts."""

    def __init__(self, **others: str) -> None:
        self.facts = {**facts_here(), **others}

    def run(self, *_: object, workers: list[str], on_error: str) -> dict[str, object]:
        return {workers[0]: self.facts}


def test_a_worker_of_another_cpu_family_takes_part_with_one_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kernels = facts_here()["BLAS kernels"]
    pool = WorkerPool(cast(Any, OneWorker(**{"vector instructions": "power10"})))
    assert pool._check({"tcp://a:1": 1}) == pool._check({"tcp://b:1": 1}) == {}
    (line,) = capsys.readouterr().err.splitlines()
    assert "tcp://a:1" in line
    assert "power10" in line
    assert kernels not in line
    assert WorkerPool(cast(Any, OneWorker()))._check({"tcp://a:1": 1}) == {}
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="kernels of OpenBLAS for x86-64")
def test_a_worker_with_other_kernels_is_warned_of_and_recorded(tmp_path: Path) -> None:
    with Workers(tmp_path) as cluster:
        cluster.start(1, OPENBLAS_CORETYPE="NEHALEM")
        cluster.wait_for(1)
        config = tmp_path / "sweep.toml"
        config.write_text(
            "[study]\nsites = 4\nhidden = 2\nshots = 100\n[study.prune]\nlevels = 1\n"
        )
        result = tiny.call(
            "sweep", config, "--out", tmp_path / "run", "--scheduler", cluster.address
        )
    assert result.status == 0, result
    assert "Nehalem" in result.err
    records = list((tmp_path / "run").rglob("seconds.json"))
    assert all("Nehalem" in record.read_text() for record in records)
