"""Settings of the metrics."""

from __future__ import annotations

from pydantic import Field

from psiprune.core.settings import Settings


class MeasureSettings(Settings):
    """How to sample the metrics."""

    draws: int = Field(default=100_000, ge=100, description="RBM samples per sampled metric")
