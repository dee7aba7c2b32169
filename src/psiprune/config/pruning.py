"""How weights are removed or moved, and what is measured of it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from psiprune.config.training import MOST_LEVELS, MOST_SEEDS, FineTuneSettings
from psiprune.inputs import InputError, Settings

Criterion = Literal["magnitude", "magnitude-by-unit", "random", "damage", "surgeon"]


class PruneSettings(Settings):
    """Which weights go, how many at a time, how often."""

    criterion: Criterion = Field(
        default="magnitude",
        description="remove the weights of least |W|, over all or the same share of each hidden "
        "unit; any (a control); those that cost least by the diagonal of the Fisher matrix "
        "(optimal brain damage), or by its inverse, with all that remains corrected (surgeon)",
    )
    fraction: float = Field(
        default=0.1, gt=0, lt=1, description="share of the remaining weights removed a step"
    )
    first_fraction: float | None = Field(
        default=None, gt=0, lt=1, description="share removed in the first step, if another"
    )
    density: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="stop at this share of the weights the path began with, the last step cut "
        "short",
    )
    levels: int = Field(
        default=20,
        ge=1,
        le=MOST_LEVELS,
        description="most pruning steps; with a density as many as it takes, if not given",
    )
    compensate: bool = Field(
        default=False,
        description="add half of a removed weight to the biases of both its units, which keeps "
        "the symmetry between 0 and 1; not for surgeon, which corrects by itself",
    )
    draws: int = Field(
        default=20_000,
        ge=100,
        description="RBM samples behind damage and surgeon above 20 sites; up to 20 they are exact",
    )

    def _check_together(self) -> None:
        if self.compensate and self.criterion == "surgeon":
            raise InputError(
                "compensate: has no use with criterion 'surgeon', which corrects all that remains"
            )

    @model_validator(mode="after")
    def _to_density(self) -> PruneSettings:
        if self.density is not None:
            steps = self._steps_to(self.density)
            most = self.levels if "levels" in self.model_fields_set else MOST_LEVELS
            if steps > MOST_LEVELS == most:
                raise InputError(
                    f"density: takes {float(steps):.3g} steps to {self.density:g}, more than "
                    f"{MOST_LEVELS:,}; give a larger density, or a larger fraction a step"
                )
            self.__dict__["levels"] = min(most, steps)
        return self

    def _steps_to(self, density: float) -> int:
        """The first step after which no more than this share of the weights is left."""
        begin = self.fraction if self.first_fraction is None else self.first_fraction
        rest = math.log(density / (1.0 - begin)) / math.log1p(-self.fraction)
        # A density of (1 - fraction)^n exactly takes n steps, whatever the rounding.
        return 1 + max(0, math.ceil(rest - 1e-9))


#: Of a search, which ends by itself before.
SEARCH_LEVELS = 1000


class SearchSettings(PruneSettings):
    """How weights are removed in a search that ends by itself."""

    criterion: Criterion = Field(
        default="surgeon", description="remove the weights that cost least, as in prune"
    )
    levels: int = Field(
        default=SEARCH_LEVELS,
        ge=1,
        le=MOST_LEVELS,
        description="most pruning steps; the search ends by itself before",
    )


class RewireSettings(Settings):
    """Which weights move, how many at a time, how often."""

    rounds: int = Field(
        default=20, ge=1, le=MOST_LEVELS, description="times that weights are dropped and grown"
    )
    share: float = Field(
        default=0.3,
        gt=0,
        lt=1,
        description="share of the weights that move in the first round; it falls by a cosine to 0",
    )
    criterion: Criterion = Field(
        default="surgeon", description="which weights are dropped, as in prune"
    )
    draws: int = Field(
        default=20_000,
        ge=100,
        description="RBM samples behind damage and surgeon above 20 sites, and behind the gradient "
        "of missing weights where it is not exact",
    )


class MeasureSettings(Settings):
    """How error measures are sampled."""

    draws: int = Field(
        default=100_000, ge=100, description="RBM samples behind each sampled measure"
    )


class UntilSettings(Settings):
    """A path that goes on until a measure hurts."""

    measure: str = Field(description="name of the measure, such as kl or abs_magnetization_roe")
    limit: float | None = Field(
        default=None, description="largest value to accept; that of a dense ensemble if not given"
    )
    others: int = Field(
        default=5,
        ge=1,
        le=MOST_SEEDS,
        description="other RBMs trained for the dense ensemble; not in a study, which has seeds",
    )
    bisect: bool = Field(
        default=True, description="go on between the last level within the limit and the next"
    )
    draws: int = Field(default=100_000, ge=100, description="RBM samples behind a sampled measure")


class PathSettings(Settings):
    """One pruning path on given files; the checksums tell whether they are still the same."""

    rbm: str = Field(description="SHA-256 of the RBM's file")
    shots: str = Field(description="SHA-256 of the shots' file")
    state: str | None = Field(default=None, description="SHA-256 of the reference state's file")
    rewind: str | None = Field(default=None, description="SHA-256 of the file of the RBM to rewind")
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**62,
        description="of random pruning, of samples and of fine-tuning",
    )
    prune: PruneSettings = Field(default_factory=PruneSettings)
    fine_tune: FineTuneSettings | None = Field(default_factory=FineTuneSettings)
    until: UntilSettings | None = Field(
        default=None, description="where the path ends, if not after its levels"
    )


class RewirePathSettings(Settings):
    """One RBM rewired on given files; the checksums tell whether they are still the same."""

    rbm: str = Field(description="SHA-256 of the RBM's file")
    shots: str = Field(description="SHA-256 of the shots' file")
    state: str | None = Field(default=None, description="SHA-256 of the reference state's file")
    seed: int = Field(
        default=0, ge=0, lt=2**62, description="of training, of samples and of random dropping"
    )
    rewire: RewireSettings = Field(default_factory=RewireSettings)
    fine_tune: FineTuneSettings = Field(default_factory=FineTuneSettings)
