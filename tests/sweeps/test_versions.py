"""Workers with other code or other libraries, whose numbers might differ, are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import psiprune
import tiny
from psiprune.sweeps.workers import _digest, version_mismatch, versions_here
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
