"""A search for the smallest RBM that cannot begin: the RBM itself is beyond the limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tiny
from psiprune.metrics import against_state
from refusals import check_refusal


def test_a_limit_that_the_rbm_is_beyond_leaves_no_folder(
    stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    evaluate = against_state.evaluate

    def counted(*arguments: Any, **options: Any) -> against_state.Report:
        measured.append(arguments)
        return evaluate(*arguments, **options)

    monkeypatch.setattr("psiprune.metrics.selectors.evaluate", counted)
    out = tmp_path / "out"
    command = (
        *("prune", stages / "rbm.nc", stages / "shots.nc", "--out", out, "--no-fine-tune"),
        *("--until", "kl", "--state", stages / "state.nc", "--fraction", 0.9, "--no-bisect"),
    )
    line = tiny.refusal(tiny.call(*command, "--limit", 1e-9))
    check_refusal(line, "limit", 1e-9)
    assert not out.exists()
    measured.clear()
    assert tiny.call(*command, "--limit", 1e9).status == 0
    levels = len([*out.glob("level-*.nc")])
    assert len(measured) == levels + 1  # each level once, and the smallest again with its error
    measured.clear()
    assert tiny.call(*command, "--limit", 1e9).status == 0
    assert len(measured) == 1
