"""How weights are removed or moved, and what is measured of it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from psiprune.core.exceptions import InputError
from psiprune.core.limits import MOST_LEVELS
from psiprune.core.settings import Settings

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
                "compensate: cannot be combined with criterion 'surgeon', which already adjusts "
                "the remaining parameters"
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
