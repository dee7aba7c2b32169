"""The metrics of the levels of one pruning path, as numbers for JSON and as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import xarray as xr

from psiprune.experiments.tables import STUDY, observable_losses
from psiprune.rbm.model import RBM
from psiprune.reporting.tables import Column, table

_PATH: tuple[Column, ...] = (("level", "level", "d"), ("weights", "weights", "d"), *STUDY[2:])


def path_numbers(level: xr.Dataset) -> dict[str, float]:
    """Return all scalar metrics of a level by name; none if the level holds only an RBM."""
    metrics = level.drop_vars(["weights_kept", "components"], errors="ignore")
    return {str(name): value.item() for name, value in metrics.items() if value.ndim == 0}


def path_rows(rbms: Sequence[RBM], levels: Sequence[xr.Dataset]) -> list[dict[str, Any]]:
    """Return level, weights, components and the metrics of each level."""
    return [
        {
            "level": k,
            "weights": rbm.number_of_weights,
            "components": rbm.components,
            **path_numbers(level),
        }
        for k, (rbm, level) in enumerate(zip(rbms, levels, strict=True))
    ]


def path_text(levels: Iterable[Mapping[str, Any]]) -> str:
    """Return a line for each level: number, weights, components, and the metrics of a study."""
    levels = list(levels)
    return table((*_PATH, *observable_losses(levels[0])), levels)
