"""How many draws the metrics take."""

from __future__ import annotations

from pydantic import Field

from psiprune.core.settings import Settings


class MeasureSettings(Settings):
    """How error measures are sampled."""

    draws: int = Field(
        default=100_000, ge=100, description="RBM samples behind each sampled measure"
    )
