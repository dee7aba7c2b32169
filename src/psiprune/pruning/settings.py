"""Settings of pruning, of the search for the smallest RBM and of rewiring."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES, MOST_LEVELS
from psiprune.core.settings import Levels, Settings

#: Numbers of links of a hidden unit to try: on a square lattice a site and its shells.
LINKS = (5, 9, 13, 21)
#: Units linked to all sites that carry an order of the whole register, beside those with links.
_GLOBAL_UNITS = 2
Criterion = Literal["magnitude", "magnitude-by-unit", "random", "damage", "surgeon"]


def global_units_for(sites: int) -> int:
    """Return how many units of all sites go with near links: none on small registers.

    Up to 20 sites a unit with some links sees much of the register anyway, and few shots support
    fewer weights (docs/lattice.md).
    """
    return _GLOBAL_UNITS if sites > EXACT_SITES else 0


class PruneSettings(Settings):
    """Which weights to remove, how many per step, in how many steps."""

    criterion: Criterion = Field(
        default="magnitude",
        description="which weights to remove: those of smallest |W| over the whole RBM (magnitude) "
        "or within each hidden unit (magnitude-by-unit); random ones, as a control; or those whose "
        "removal costs least, by the diagonal of the Fisher matrix (damage: optimal brain damage) "
        "or by its inverse, adjusting all remaining parameters (surgeon: optimal brain surgeon)",
    )
    fraction: float = Field(
        default=0.1, gt=0, lt=1, description="fraction of the remaining weights to remove per step"
    )
    first_fraction: float | None = Field(
        default=None, gt=0, lt=1, description="fraction to remove in the first step (default: same)"
    )
    density: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="stop at this fraction of the initial weights; the last step removes fewer "
        "weights to reach it exactly",
    )
    levels: Levels = Field(
        default=20,
        description="maximum number of pruning steps; with a density, by default as many as needed",
    )
    compensate: bool = Field(
        default=False,
        description="add half of each removed weight to the biases of both its units, which "
        "preserves the symmetry between 0 and 1; not with surgeon, which adjusts the remaining "
        "parameters itself",
    )
    draws: int = Field(
        default=20_000,
        ge=100,
        description="RBM samples for damage and surgeon above 20 sites; up to 20 they are exact",
    )

    def _check_together(self) -> None:
        if self.compensate and self.criterion == "surgeon":
            raise InputError(
                "compensate: cannot be combined with criterion 'surgeon', which already adjusts "
                "the remaining parameters; omit compensate"
            )

    @model_validator(mode="after")
    def _levels_for_density(self) -> PruneSettings:
        if self.density is not None:
            steps = self._steps_to(self.density)
            limit = self.levels if "levels" in self.model_fields_set else MOST_LEVELS
            if steps > MOST_LEVELS == limit:
                raise InputError(
                    f"density: {self.density:g} takes {float(steps):.3g} steps, more than "
                    f"{MOST_LEVELS:,}; increase density, or fraction"
                )
            self.__dict__["levels"] = min(limit, steps)
        return self

    def _steps_to(self, density: float) -> int:
        """Return the number of steps after which at most this fraction of the weights is left."""
        first = self.fraction if self.first_fraction is None else self.first_fraction
        further = math.log(density / (1.0 - first)) / math.log1p(-self.fraction)
        # A density of exactly (1 - fraction)^n takes n steps despite rounding.
        return 1 + max(0, math.ceil(further - 1e-9))


#: Pruning steps of a search, which normally ends at its limit long before.
SEARCH_LEVELS = 1000


class SearchSettings(PruneSettings):
    """How to prune in the search for the smallest RBM."""

    criterion: Criterion = Field(
        default="surgeon", description="which weights to remove; see psiprune prune"
    )
    levels: Levels = Field(
        default=SEARCH_LEVELS,
        description="maximum number of pruning steps; the search usually ends earlier",
    )


class RewireSettings(Settings):
    """Which weights to move, how many per round, in how many rounds."""

    rounds: Levels = Field(default=20, description="number of rounds of dropping and growing")
    share: float = Field(
        default=0.3,
        gt=0,
        lt=1,
        description="fraction of the weights to move in the first round; it decays to 0 as a "
        "cosine",
    )
    criterion: Criterion = Field(
        default="surgeon", description="which weights to drop; see psiprune prune"
    )
    draws: int = Field(
        default=20_000,
        ge=100,
        description="RBM samples for damage and surgeon above 20 sites, and for the gradient of "
        "missing weights where it is not exact",
    )
