"""Settings of `reconstruct` for shots in several bases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from psiprune.core.settings import Settings
from psiprune.pruning.settings import SearchSettings
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.training.phases import EPOCHS, STARTS

#: Settings that mean the same for shots in Z are declared there.
_ALSO_IN_Z: Mapping[str, Any] = ReconstructSettings.model_fields


class BasesSettings(Settings):
    """How to find the smallest state with phases that describes shots in several bases."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None,
        min_length=1,
        description="numbers of hidden units of the amplitudes to try; a single number fixes it "
        "(default: 1, N/4, N/2 and N)",
    )
    phase_hidden: int | None = Field(
        default=None,
        ge=1,
        description="hidden units of the phases (default: twice those of the amplitudes)",
    )
    starts: int = Field(
        default=STARTS,
        ge=2,
        description="independent fits of each size: whether they agree shows whether the bases "
        "determine the state",
    )
    epochs: int = Field(default=EPOCHS, ge=1, description="the most training steps of each fit")
    held_out: float | None = _ALSO_IN_Z["held_out"]
    significance: float = _ALSO_IN_Z["significance"]
    tolerance: float = _ALSO_IN_Z["tolerance"]
    observable: tuple[str, ...] = Field(
        default=(), description="sums of Pauli strings such as 'X0 Y3', or NAME=TEXT"
    )
    seed: int = _ALSO_IN_Z["seed"]
    seeds: int = _ALSO_IN_Z["seeds"]
    shots_sha256: str | None = _ALSO_IN_Z["shots_sha256"]
    readout_sha256: str | None = _ALSO_IN_Z["readout_sha256"]
    prune: SearchSettings = Field(default_factory=SearchSettings)

    @field_validator("hidden", mode="before")
    @classmethod
    def _several(cls, values: Any) -> Any:
        return (values,) if isinstance(values, int) else values

    def sizes(self, sites: int) -> list[tuple[int, int]]:
        """Return the hidden units of both networks of every state to try, the smallest first."""
        default = (1, max(1, sites // 4), max(1, sites // 2), sites)
        amplitude = sorted(set(default if self.hidden is None else self.hidden))
        return [(units, self.phase_hidden or 2 * units) for units in amplitude]

    def held_out_of(self, shots: int) -> float:
        """Return the fraction of so many shots that is not used for training."""
        return ReconstructSettings(held_out=self.held_out).held_out_of(shots)
