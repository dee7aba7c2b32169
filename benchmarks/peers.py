"""What the benchmarks share: options, printed tables, clocks, data, the peer in its process."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

import psiprune as pp
from psiprune.core.hardware import blas_kernels, processor, vector_instructions
from psiprune.training.contrastive_divergence import ContrastiveState

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
BATCH, SEED = 100, 0
Row = dict[str, float | int | str | None]


# --- the command line and what is printed -----------------------------------------------------


def options(description: str | None, **extra: Any) -> argparse.Namespace:
    """--quick, --json and --peers, and `extra` options as name = default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there as well")
    parser.add_argument(
        "--update", action="store_true", help="put marked tables into docs/benchmarks.md"
    )
    parser.add_argument(
        "--peers",
        type=Path,
        metavar="PYTHON",
        default=Path(os.environ.get("PSIPRUNE_PEERS", HERE.parent / ".venv-peers/bin/python")),
        help="Python of the peers' environment (PSIPRUNE_PEERS; default .venv-peers/bin/python)",
    )
    for name, default in extra.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def header(title: str, *notes: str, peer: Peer | None = None) -> dict[str, Any]:
    """Print what was measured, with which versions and where; the same as a dictionary."""
    names = ("psiprune", "numba", "numpy", "physics-tenpy")
    versions = {"python": platform.python_version(), **{name: version(name) for name in names}}
    model = f"{processor() or platform.machine()} ({vector_instructions()})"
    machine = f"{model}, {os.cpu_count()} cores, {platform.system()}, BLAS {blas_kernels()}"
    print(title)
    print(f"  machine: {machine}")
    print("  ours:    " + ", ".join(f"{name} {number}" for name, number in versions.items()))
    if peer is not None:
        print("  peer:    " + ", ".join(f"{name} {number}" for name, number in peer.about.items()))
    for note in notes:
        print(f"  {note}")
    print(flush=True)
    return {
        "title": title,
        "machine": machine,
        "versions": versions,
        "peer": peer.about if peer is not None else None,
        "notes": notes,
    }


def cell(value: float | int | str | None) -> str:
    """Three digits for a float; a dash where nothing was measured."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else value
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def show(rows: Sequence[Row]) -> None:
    """Print rows as a table, with a column for each key of any row."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = [columns, *([cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[k]) for line in text) for k in range(len(columns))]
    for line in text:
        print("  ".join(field.rjust(width) for field, width in zip(line, widths, strict=True)))
    print(flush=True)


def save(path: Path | None, about: dict[str, Any], **tables: Sequence[Row]) -> None:
    """Write what was printed as one JSON object, if a file was asked for."""
    if path is not None:
        path.write_text(json.dumps({**about, "tables": tables}, indent=1) + "\n")


def update_page(name: str, rows: Sequence[Row]) -> None:
    """Replace a table of docs/benchmarks.md by rows; numbers are aligned to the right."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    numbers = [all(not isinstance(row.get(each), str) for row in rows) for each in columns]
    lines = [columns, ["---:" if number else "---" for number in numbers]]
    lines += [["" if row.get(k) is None else cell(row[k]) for k in columns] for row in rows]
    replace_table(name, "".join("| " + " | ".join(line) + " |\n" for line in lines))


def replace_table(name: str, table: str, page: Path = PAGE) -> None:
    """Replace the table after the line `<!-- table: NAME -->` of a page by another one.

    A page without this line is left as it is, with a message.
    """
    marker = f"<!-- table: {name} -->\n\n"
    before, found, after = page.read_text().partition(marker)
    if not found:
        print(f"{page} has no line {marker.strip()!r}, so it is left as it is", file=sys.stderr)
        return
    rest = after.splitlines(keepends=True)
    kept = next((k for k, line in enumerate(rest) if not line.startswith("|")), len(rest))
    blank = "" if rest[kept : kept + 1] == ["\n"] else "\n"  # after the first table of a marker
    page.write_text(before + marker + table + blank + "".join(rest[kept:]))


# --- clocks -----------------------------------------------------------------------------------


def seconds(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def cpu_seconds(task: Callable[[], object]) -> float:
    """CPU time of all threads, which other programs inflate less than time on the clock."""
    start = time.process_time()
    task()
    return time.process_time() - start


def best(repeats: int, *tasks: Callable[[], float]) -> list[float]:
    """The least of what each task measures. They take turns: noise from elsewhere hits them all."""
    rounds = [[task() for task in tasks] for _ in range(repeats)]
    return [min(times) for times in zip(*rounds, strict=True)]


def one_core() -> Any:
    """Inside this context psiprune starts one thread where it would start one a core."""
    return patch("os.cpu_count", return_value=1)


def epochs_of(method: pp.CD, state: ContrastiveState) -> Iterator[ContrastiveState]:
    """The states after each epoch of a training."""
    while True:
        state, _ = method.step(state)
        yield state


class UpdateClock:
    """Trains on, an epoch at a time, and times it. Making one trains an epoch, so all is compiled.

    Attributes:
        first_epoch: CPU seconds of that epoch, with reading or compiling the kernels.
    """

    def __init__(self, rbm: pp.RBM, shots: pp.Shots, cd_steps: int, batch: int = BATCH) -> None:
        method = pp.CD(
            epochs=1_000_000_000,
            batch_size=batch,
            steps=cd_steps,
            learning_rate=0.01,
            learning_rate_decay=1.0,
        )
        self.states = epochs_of(method, method.init(rbm, shots, SEED))
        self.updates = -(-len(shots) // batch)
        self.first_epoch = cpu_seconds(lambda: next(self.states))

    def __call__(self, epochs: int) -> float:
        """CPU seconds per update in the fastest of so many epochs; shuffling the shots counts."""
        return min(cpu_seconds(lambda: next(self.states)) for _ in range(epochs)) / self.updates


# --- data -------------------------------------------------------------------------------------


def ising_shots(sites: int, shots: int) -> pp.Shots:
    """Shots of the Ising chain; critical at N = 18, at h = 2 above, where DMRG takes seconds."""
    field = 1.0 if sites <= 18 else 2.0
    return pp.sample(pp.ground_state(pp.TFIM(sites=sites, field=field)), shots, seed=SEED)


def fair_bits(sites: int, shots: int) -> pp.Shots:
    """Independent fair bits, where only time matters: no kernel branches on its data."""
    generator = np.random.default_rng(SEED)
    return pp.Shots(generator.integers(0, 2, (shots, sites), dtype=np.uint8))


def random_rbm(visible: int, hidden: int, density: float = 1.0, zeros_kept: bool = False) -> pp.RBM:
    """Weights ~ N(0, 1) / sqrt(N), a random `density` of them; the rest pruned, or 0 but there."""
    generator = np.random.default_rng(SEED)
    weights = generator.standard_normal((hidden, visible)) / np.sqrt(visible)
    mask = np.zeros(weights.size, bool)
    mask[generator.permutation(weights.size)[: round(density * weights.size)]] = True
    mask = mask.reshape(weights.shape)
    return pp.RBM(
        weights=weights * mask,
        visible_bias=np.zeros(visible),
        hidden_bias=np.zeros(hidden),
        mask=np.ones_like(mask) if zeros_kept else mask,
    )


# --- the peer ---------------------------------------------------------------------------------


class Peer:
    """A peer in a process of its own, asked by JSON lines; its imports are paid once.

    Its script is that of QuCumber, JAX or NetKet, or of another version of psiprune, whose `path`
    says where to import from.

    Attributes:
        about: its versions.
        start_seconds: from starting the interpreter to the end of its imports.
        folder: a temporary folder for the arrays that go to and fro.
    """

    def __init__(
        self,
        python: Path | str,
        folder: Path,
        script: str = "peer_qucumber.py",
        path: str | None = None,
    ) -> None:
        start = time.perf_counter()
        self.folder = folder
        self.process = subprocess.Popen(
            [python, "-P", HERE / script],  # without the folder of the script in its path
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path or str(HERE)},
        )
        self.about = self._answer()
        self.start_seconds = time.perf_counter() - start

    def ask(self, task: str, threads: int = 1, **request: Any) -> dict[str, Any]:
        """The answer to one request; arrays in it travel as .npy files."""
        for name, value in request.items():
            if isinstance(value, np.ndarray):
                request[name] = str(self.folder / f"{name}.npy")
                np.save(request[name], value)
        line = json.dumps(
            {"task": task, "threads": threads, "seed": SEED, "folder": str(self.folder), **request}
        )
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer()

    def fit(
        self,
        bits: NDArray[np.uint8],
        hidden: int,
        cd_steps: int,
        epochs: int,
        *,
        threads: int = 1,
        keep_every: int = 0,
        learning_rate: float = 0.01,
    ) -> list[float]:
        """CPU seconds of each epoch at batch 100; the first warms up, or compiles."""
        answer = self.ask(
            "fit",
            threads,
            data=bits,
            hidden=hidden,
            batch=BATCH,
            cd_steps=cd_steps,
            learning_rate=learning_rate,
            epochs=epochs,
            keep_every=keep_every,
        )
        return list(answer["epoch_seconds"])

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()  # the end of its requests, so it ends
        self.process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer ended with status {self.process.wait()}, see above")
        return dict(json.loads(line))


@contextmanager
def open_peer(python: Path, script: str = "peer_qucumber.py") -> Iterator[Peer | None]:
    """The peer, or None and a line that says so where its environment does not exist."""
    if not python.exists():
        print(f"No peer: {python} does not exist. `make bench` makes it.", file=sys.stderr)
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            peer = Peer(python, Path(folder), script)
        except RuntimeError:
            print(f"No peer: {script} does not run in {python}, see above.", file=sys.stderr)
            yield None
            return
        try:
            yield peer
        finally:
            peer.close()
