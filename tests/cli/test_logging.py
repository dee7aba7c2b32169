"""Records go through the standard module: silent by default, on standard error if asked for."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import tiny
from machines import magnet
from psiprune.inference import log_partition
from psiprune.metrics import draws
from psiprune.rbm import gibbs
from psiprune.rbm.init import initial_rbm
from refusals import check_facts, check_refusal

BITS = np.random.default_rng(0).integers(0, 2, (100, 4), dtype=np.uint8)


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, logger="psiprune"):
        yield caplog


def told(records: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """(level, message) of what psiprune said."""
    return [(each.levelname, each.getMessage()) for each in records.records]


def test_a_run_taken_up_again_says_from_where(
    stages: Path, tmp_path: Path, records: pytest.LogCaptureFixture
) -> None:
    files = (stages / "rbm.nc", stages / "shots.nc", "--levels=2", "--no-fine-tune")
    assert tiny.call("prune", *files, "--out", tmp_path / "path").status == 0
    first = [message for _, message in told(records)]
    assert first[0] == f"{tmp_path / 'path'}: a new run"
    assert not any("resum" in message for message in first)
    (tmp_path / "path/level-02.nc").unlink()
    records.clear()
    assert tiny.call("prune", *files, "--out", tmp_path / "path").status == 0
    again = [message for _, message in told(records)]
    assert again[0] == f"{tmp_path / 'path'}: resuming"
    assert any("level 1 of 2" in message for message in again)
    assert any("level-02.nc: written" in message for message in again)
    assert again[-1] == f"{tmp_path / 'path'}: done"


def test_only_an_estimate_that_cannot_be_trusted_is_a_warning(
    records: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rbm = magnet(8, 4, 8.0, tilt=1.0)
    found = pp.log_partition(rbm, method="annealing", chains=2, temperatures=2)
    assert found.warning
    assert ("WARNING", f"log Z: {found.warning}") in told(records)
    records.clear()
    monkeypatch.setattr(draws, "independent_draws", lambda *_, **__: None)
    monkeypatch.setattr(draws, "MOST_STEPS", 2_000)
    monkeypatch.setattr(gibbs, "step_with_flips", gibbs.step)  # never leave a mode
    drawn = draws.draw(rbm, lambda number: np.zeros((number, 8), np.uint8), 100, seed=0)
    assert drawn.warning
    warnings = [message for level, message in told(records) if level == "WARNING"]
    assert warnings == [f"an estimate {drawn.warning}"]
    records.clear()
    good = log_partition.log_partition(initial_rbm(4, 2, seed=0))
    assert told(records) == [("INFO", f"log Z by {good.method}")]


# ---- the command line


def test_the_command_line_is_silent_unless_asked(
    stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(name: str) -> tiny.Outcome:
        return tiny.call(
            "train", stages / "shots.nc", "--method=cd", "--epochs=1", "--out", tmp_path / name
        )

    assert tiny.errors(train("a.nc")) == []
    monkeypatch.setenv("PSIPRUNE_LOG", "Info")
    loud = train("b.nc")
    first, *_, last = tiny.errors(loud)
    start = " INFO psiprune.training.train: 4 x 2 RBM"
    check_facts(first, start, 8, "seed 0", 300, str(pp.CD(epochs=1)))
    check_facts(last, start, 8, "seed 0", "1 epochs")
    assert loud.out.startswith(f"{tmp_path / 'b.nc'}: 4 visible")  # results alone
    monkeypatch.setenv("PSIPRUNE_LOG", "warning")
    assert tiny.errors(train("c.nc")) == []
    monkeypatch.delenv("PSIPRUNE_LOG")
    assert tiny.errors(train("d.nc")) == []  # no handler is left behind


def test_an_unknown_level_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PSIPRUNE_LOG", "loud")
    line = tiny.refusal(tiny.call("--version"))
    check_refusal(line, "PSIPRUNE_LOG", "info, warning, error", "'loud'")
    monkeypatch.delenv("PSIPRUNE_LOG")
    assert "PSIPRUNE_LOG=info" in tiny.call("--help").out


def test_a_library_stays_silent() -> None:
    code = (
        "import logging, psiprune; logging.getLogger('psiprune.training').warning('no');"
        "print(logging.getLogger('psiprune').handlers)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stderr, done.stdout) == ("", "[<NullHandler (NOTSET)>]\n")
