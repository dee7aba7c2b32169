"""What a command printed, what it left, and the settings that a command line chooses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import psiprune as pp
import tiny
from psiprune.inspect.descriptions import RunDescription


def json_of(outcome: tiny.Outcome) -> dict[str, Any]:
    """Return the one JSON object on standard output."""
    assert outcome.status == 0, outcome
    assert tiny.errors(outcome) == []
    assert outcome.out.count("\n") == 1
    found = json.loads(outcome.out)
    assert isinstance(found, dict)
    return found


def text_of(outcome: tiny.Outcome) -> str:
    """Return standard output."""
    assert outcome.status == 0, outcome
    assert tiny.errors(outcome) == []
    return outcome.out


def run_of(folder: Path) -> RunDescription:
    """Return what `describe` says of a run."""
    found = pp.describe(folder)
    assert isinstance(found, RunDescription)
    return found


def chooser(monkeypatch: pytest.MonkeyPatch, experiment: str) -> Callable[..., Any]:
    """Return a function of arguments: the settings with which `psiprune EXPERIMENT` would run."""
    seen: list[Any] = []

    def stop(settings: Any, _: object) -> None:
        seen.append(settings)
        raise RuntimeError("enough")

    def chosen(*arguments: object) -> Any:
        assert tiny.refusal(tiny.call(experiment, *arguments), status=1) == "enough"
        return seen.pop()

    monkeypatch.setattr(f"psiprune.experiments.{experiment}.run_{experiment}", stop)
    return chosen
