"""Nobody but the sweep commands its scheduler and workers."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.error import HTTPError

import dask
import distributed
import pytest
from distributed.security import Security

from psiprune.core.exceptions import InputError
from psiprune.sweeps.cluster import connected
from psiprune.sweeps.settings import LocalSettings, QueueSettings, SweepSettings
from workers import fake_commands

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
