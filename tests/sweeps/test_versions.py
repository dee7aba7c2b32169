"""Workers with other code or other libraries, whose numbers might differ, are refused."""

from __future__ import annotations

import asyncio
import platform
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast
from urllib.error import HTTPError

import dask
import distributed
import pytest
from distributed.security import Security

import psiprune
import tiny
from psiprune.core.exceptions import InputError
from psiprune.sweeps.cluster import connected
from psiprune.sweeps.settings import LocalSettings, QueueSettings, SweepSettings
from psiprune.sweeps.workers import WorkerPool, _digest, facts_here, version_mismatch, versions_here
from workers import Workers, fake_commands

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
        config = tiny.write(tmp_path / "sweep.toml", "[study]\nsites = 4\n")
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


# ---- nobody but the sweep commands its scheduler and workers


#: Some of the web pages of Dask.
PAGES = ("", "status", "health", "metrics", "info/main/workers.html", "json/counts.json")


def reaches(address: str, security: Security) -> bool:
    """Whether a program with these keys gets an answer from a scheduler or worker."""

    async def ask() -> bool:
        arguments = security.get_connection_args("client")
        async with distributed.rpc(address, connection_args=arguments) as node:
            return bool(await asyncio.wait_for(node.identity(), 5))

    try:
        return asyncio.run(ask())
    except (OSError, TypeError):  # refused, or no keys for TLS
        return False


def test_a_local_sweep_obeys_only_its_own_keys() -> None:
    settings = SweepSettings(local=LocalSettings(workers=1))
    with connected("local", settings) as client:
        client.wait_for_workers(1, timeout=120)
        (worker,), scheduler = client.nthreads(), client.scheduler.address
        for address in (worker, scheduler):
            assert address.startswith("tls://127.0.0.1:")
            assert reaches(address, client.security)
            assert not reaches(address, Security())
            assert not reaches(address, Security.temporary())
            assert not reaches(address.replace("tls://", "tcp://"), Security())
        services = client.scheduler_info()["workers"][worker]["services"]
        for port in (client.cluster.scheduler.http_server.port, *services.values()):
            for page in PAGES:
                with pytest.raises(HTTPError, match="404"):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10)


@contextmanager
def keys_configured(folder: Path) -> Iterator[None]:
    """Dask's configuration names files with keys, as docs/sweep.md says."""
    made = Security.temporary()
    (folder / "cert.pem").write_text(made.tls_ca_file)
    (folder / "key.pem").write_text(made.tls_client_key)
    tls: dict[str, object] = {"require-encryption": True, "tls.ca-file": str(folder / "cert.pem")}
    for role in ("scheduler", "worker", "client"):
        tls[f"tls.{role}.cert"] = str(folder / "cert.pem")
        tls[f"tls.{role}.key"] = str(folder / "key.pem")
    with dask.config.set({f"distributed.comm.{name}": value for name, value in tls.items()}):
        yield


def test_a_scheduler_with_keys_is_reached_by_those_of_the_configuration(tmp_path: Path) -> None:
    with keys_configured(tmp_path):
        security = Security()
        options = {"n_workers": 1, "threads_per_worker": 1, "processes": False}
        with distributed.LocalCluster(
            **options, security=security, protocol="tls://", dashboard_address=":0"
        ) as local:
            with connected(local.scheduler_address, SweepSettings()) as client:
                assert client.submit(sum, [1, 2]).result(timeout=60) == 3
            with dask.config.set({"distributed.comm.tls.ca-file": None}):
                address = local.scheduler_address
                with (
                    pytest.raises(InputError, match=f"cannot connect to {address}: .*TLS"),
                    connected(address, SweepSettings()),
                ):
                    pass


@pytest.mark.parametrize("tls", [True, False])
def test_jobs_use_the_keys_of_the_configuration(
    tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = f'cp "$1" {tmp_path}/job; echo 4711'
    fake_commands(tmp_path, monkeypatch, sbatch=submit, scancel="true")
    monkeypatch.chdir(tmp_path)
    settings = SweepSettings(slurm=QueueSettings(interface="lo"))
    keys = keys_configured(tmp_path) if tls else nullcontext()
    with keys, connected("slurm", settings) as client:
        assert client.scheduler.address.startswith("tls://" if tls else "tcp://")
        assert client.cluster.scheduler.http_server.address == "127.0.0.1"
    script = (tmp_path / "job").read_text()
    assert (f"--tls-ca-file {tmp_path}/cert.pem" in script) is tls
