"""A study small enough for a test, and the command line called in this process."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import xarray as xr
from matplotlib.figure import Figure
from rich.console import Console

import psiprune as pp
from psiprune.cli import signals
from psiprune.cli.app import app
from psiprune.cli.main import main
from psiprune.core.settings import Settings
from psiprune.io.netcdf import read_dataset
from psiprune.io.run import open_run
from psiprune.metrics.settings import MeasureSettings
from psiprune.paper.settings import PaperSettings
from psiprune.paper.stages import PARTS, Paper, run_paper
from psiprune.pruning.settings import PruneSettings, RewireSettings, SearchSettings

#: Pinned and printed numbers are those of the loops, which all CPUs have; see the fixture `sums`.
os.environ["PSIPRUNE_SIMD"] = "loops"

PROGRAM = (
    sys.executable,
    "-c",
    # A shell may start us with Ctrl-C ignored.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from psiprune.cli import run; run()",
)
"""`psiprune` as a process of its own."""

EAGER = (
    *PROGRAM[:2],
    "from psiprune.io import checkpoint; checkpoint.SECONDS, checkpoint.LEAST = 0.05, 0.0;"
    + PROGRAM[2],
)
"""The same with a checkpoint every 50 ms of training."""


KILLED = (
    *PROGRAM[:2],
    "import os, signal, stat, sys; n, sync, done = int(sys.argv.pop(1)), os.fsync, []\n"
    "def write(descriptor):\n"
    "    if stat.S_ISREG(os.fstat(descriptor).st_mode): done.append(0)\n"
    "    if len(done) == n: os.kill(os.getpid(), signal.SIGKILL)\n"
    "    sync(descriptor)\n"
    "os.fsync = write\n" + PROGRAM[2],
)
"""The same, killed as it is about to write its n-th file; n is the first argument."""


NOT_BEGUN, KEPT, LOST = (signals._LINES[status] for status in ("not begun", "kept", "lost"))
"""The lines on Ctrl-C while a command is being loaded, in a run folder, and elsewhere."""


settings = partial(
    pp.StudySettings,
    sites=4,
    hidden=3,
    shots=300,
    history_every=2,
    train=pp.CD(epochs=3, batch_size=50),
    fine_tune=pp.CD.for_fine_tuning(epochs=2),
    prune=PruneSettings(levels=3, fraction=0.3),
    measure=MeasureSettings(draws=200),
)
"""4 sites, 3 hidden units, two fields, three levels of 12, 8, 6, 4 weights."""

sparse_settings = partial(
    pp.SparseSettings,
    sites=4,
    fields=(1.0,),
    shots=200,
    seeds=3,
    history_every=2,
    density=0.75,
    levels=1,
    train=pp.CD(epochs=3, batch_size=20, learning_rate=0.5),
    fine_tune=pp.CD.for_fine_tuning(epochs=2),
)
"""4 sites, 2 hidden units, one field, three seeds, 6 of 8 weights after one step."""

ablation_settings = partial(
    pp.AblationSettings,
    sites=6,
    fields=(1.0,),
    shots=200,
    seeds=2,
    history_every=2,
    levels=2,
    train=pp.CD(epochs=3, batch_size=50),
    fine_tune=pp.CD.for_fine_tuning(epochs=2),
    shares=(0.0, 0.5, 1.0),
    threshold=1.0,
)
"""6 sites, 3 hidden units, one field, two seeds; the best window of each unit counts."""

frontier_settings = partial(
    pp.FrontierSettings,
    sites=4,
    fields=(1.0,),
    shots=200,
    seeds=1,
    costly_seeds=1,
    levels=1,
    rewired=(1,),
    widths=(1,),
    bonds=(1,),
    train=pp.ExactNaturalGradient(epochs=2),
    fine_tune=pp.ExactNaturalGradient.for_fine_tuning(epochs=1),
    paper_train=pp.CD(epochs=2),
    paper_fine_tune=pp.CD.for_fine_tuning(epochs=1),
    rewire=RewireSettings(rounds=1),
)
"""4 sites, 2 hidden units, 8 and 7 weights."""


_masked: dict[str, Any] = {
    "sites": 4,
    "shots": 200,
    "weights_per_site": (1.5,),
    "kinds": ("scale-free", "magnitude"),
    "bonds": (1,),
    "train": pp.ExactNaturalGradient(epochs=2),
    "dense_train": pp.ExactNaturalGradient(epochs=3),
    "fine_tune": pp.ExactNaturalGradient.for_fine_tuning(epochs=1),
}
masks_settings = partial(pp.MasksSettings, seeds=1, **_masked)
"""4 sites, 2 hidden units, 8 and 6 weights."""


entanglement_settings = partial(pp.EntanglementSettings, fields=(2.0,), seeds=2, **_masked)
"""4 sites, 2 hidden units, one field, two seeds, 8 and 6 weights."""


def paper_settings() -> PaperSettings:
    """6 sites, 4 and 5 beside them, one field, two seeds, two levels of 18, 16, 15 weights."""
    return PaperSettings(
        sites=6,
        fields=(1.0,),
        shots=200,
        seeds=2,
        other_sites=(4,),
        other_seeds=(1,),
        robust=("cd-1",),
        graph_sites=5,
        levels=2,
        history_every=1,
        first_fractions=(0.8,),
        shares=(0.0, 1.0),
        train=pp.CD(epochs=4, batch_size=20),
        fine_tune=pp.CD.for_fine_tuning(epochs=1),
        measure=MeasureSettings(draws=200),
    )


def paper(folder: Path, parts: Collection[str] = tuple(PARTS)) -> Paper:
    """Run these parts of a tiny paper, or what of them is not done yet."""
    with open_run(folder, paper_settings()) as run:
        return run_paper(paper_settings(), run, parts)


def first(bits: Any) -> Any:
    """Site 0, an observable."""
    return bits[:, 0]


OWN = "def walls(bits):\n    return (bits[:, 1:] != bits[:, :-1]).sum(axis=1)\n"
"""A file with an observable of one's own, `walls`."""


reconstruct_settings = partial(
    pp.ReconstructSettings,
    seeds=2,
    hidden=(2,),
    learning_rates=(0.5,),
    draws=200,
    train=pp.CD(epochs=3, batch_size=20),
    fine_tune=pp.CD.for_fine_tuning(epochs=1),
    prune=SearchSettings(fraction=0.3),
    held_out=0.4,
)
"""2 hidden units, two seeds, 60 of 300 shots to choose by and 60 to test."""


def as_options(given: Settings, **changes: object) -> list[str]:
    """Return what settings give explicitly as options of their command, some of them changed."""

    def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
        for name, value in values.items():
            option = prefix + name.replace("_", "-")
            if isinstance(value, dict):
                yield from flat(value, f"{option}.")
            else:
                yield option, value

    every = {**dict(flat(given.model_dump(exclude_unset=True))), **changes}
    return [
        f"--{name}={each}"
        for name, value in every.items()
        for each in (value if isinstance(value, tuple) else (value,))
    ]


options = partial(as_options, settings())
"""Return `settings()` as options of `psiprune study`, some of them changed."""

paper_options = partial(as_options, paper_settings())
"""Return `paper_settings()` as options of `psiprune paper`, some of them changed."""

reconstruct_options = partial(as_options, reconstruct_settings())
"""Return `reconstruct_settings()` as options of `psiprune reconstruct`, some changed."""


_HELP: dict[tuple[str, ...], str] = {}


def help_of(monkeypatch: pytest.MonkeyPatch, *command: str) -> str:
    """What `--help` of a command prints, no line broken."""
    if command not in _HELP:
        monkeypatch.setattr(app, "console", Console(width=400))
        outcome = call(*command, "--help")
        assert outcome.status == 0
        assert outcome.err == ""
        _HELP[command] = outcome.out
    return _HELP[command]


def start(*arguments: object, program: tuple[str, ...] = PROGRAM) -> subprocess.Popen[str]:
    """`psiprune` with these arguments, as a process of its own that may be stopped."""
    return subprocess.Popen(
        [*program, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(running: subprocess.Popen[str]) -> Outcome:
    """Wait until a process has ended; return what it did."""
    try:
        out, err = running.communicate(timeout=120)
    finally:
        running.kill()
    return Outcome(running.returncode, out, err)


def is_file(descriptor: int) -> bool:
    """Whether what is synced is a file, not the folder that it was renamed in."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def kill_as_it_writes(number: int, *arguments: object) -> None:
    """`psiprune` with these arguments, killed amid the file that it writes as the `number`-th."""
    outcome = finish(start(number, *arguments, program=KILLED))
    assert outcome.status == -signal.SIGKILL, outcome


def wait_for(
    running: subprocess.Popen[str], ready: Callable[[], bool], seconds: float = 60
) -> None:
    """Until something is there, or the process has ended."""
    limit = time.monotonic() + seconds
    while not ready() and running.poll() is None:
        assert time.monotonic() < limit, "nothing came"
        time.sleep(0.002)


class Outcome(NamedTuple):
    """What a command did."""

    status: int
    out: str
    err: str


def call(*arguments: object) -> Outcome:
    """Run `psiprune` with these arguments in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(argument) for argument in arguments])
    return Outcome(status, out.getvalue(), err.getvalue())


def errors(outcome: Outcome) -> list[str]:
    """The lines on standard error but for training warnings, which short trainings give."""
    lines = outcome.err.splitlines()
    return [
        line for line in lines if not line.startswith(("psiprune: warning: ", "psiprune: note: "))
    ]


def refusal(outcome: Outcome, status: int = 2) -> str:
    """The one line on standard error of a command that refused, without the program's name."""
    assert outcome.status == status, outcome
    assert outcome.out == ""
    assert outcome.err.endswith("\n")
    (line,) = errors(outcome)
    assert line.startswith("psiprune: ")
    return line.removeprefix("psiprune: ")


def write(path: Path, content: str | bytes | bytearray) -> Path:
    """Write a file and return its path."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def contents(folder: Path, *, but: tuple[str, ...] = (".lock",)) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of change of every file in a folder, however deep."""
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in but
    }


def lasting(folder: Path) -> dict[str, bytes]:
    """What a run must end with to the last byte: all files but those that tell of a start."""
    return {
        name: content
        for name, (content, _) in contents(folder).items()
        if not name.startswith(".") and not name.endswith("provenance.json")
    }


def tree(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Content, mode and time of change of everything at and below a path, folders included."""
    return {
        str(path): (
            path.read_bytes() if path.is_file() else b"",
            status.st_mode,
            status.st_mtime_ns,
        )
        for path in sorted([folder, *folder.rglob("*")])
        for status in [path.lstat()]
    }


def names(folder: Path) -> set[str]:
    """The relative names of all files in a folder but the lock, however deep."""
    return set(contents(folder))


def raw(dataset: xr.Dataset) -> dict[str, tuple[Any, ...]]:
    """Every variable of a dataset to the last bit, but for times, which no second run repeats."""
    return {
        str(name): (variable.dims, variable.dtype.str, variable.values.tobytes())
        for name, variable in dataset.variables.items()
        if name != "processor_seconds"
    }


def numbers(folder: Path, *, but: tuple[str, ...]) -> dict[str, object]:
    """What every file in a folder says: datasets to the last bit, other files as bytes.

    Not the bytes of datasets: where HDF5 puts what in a file can differ with equal content. Nor
    drafts of killed writers, which the next start clears away.
    """
    return {
        name: raw(read_dataset(folder / name)) if name.endswith(".nc") else content
        for name, (content, _) in contents(folder, but=but).items()
        if not name.endswith(".draft")
    }


@contextlib.contextmanager
def full_disk(free: int = 4096) -> Iterator[None]:
    """No file can grow beyond `free` bytes, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder nobody may write to; root gives up its rights for the time."""
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(mode)


def not_drawn(figure: Figure, file: io.BytesIO | io.StringIO, **options: object) -> None:
    """Take the place of `Figure.savefig`, which takes as long as a tiny run."""
    if isinstance(file, io.StringIO):
        file.write('<svg width="1pt"/>')
    else:
        file.write(b"not drawn")
