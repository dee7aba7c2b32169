"""Settings of `reconstruct`: from measured shots to the smallest RBM that describes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, field_validator

from psiprune.core.limits import MOST_SEEDS
from psiprune.core.settings import Settings
from psiprune.pruning.settings import SearchSettings
from psiprune.training.contrastive_divergence import ContrastiveDivergence
from psiprune.training.method import Method
from psiprune.training.methods import (
    AnyMethod,
    by_size,
    by_size_fine_tuning,
    method_fields,
)

#: Learning rates that `cd` and `pcd` choose from.
_RATES = (0.03, 0.1, 0.3)


class ReconstructSettings(Settings):
    """How to find the smallest RBM that describes measured shots, without a reference state."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None,
        min_length=1,
        description="numbers of hidden units to try; a single number fixes it (default: N/4, N/2 "
        "and N)",
    )
    learning_rates: tuple[PositiveFloat, ...] | None = Field(
        default=None,
        min_length=1,
        description="learning rates to try with cd and pcd (default: train.learning-rate if given, "
        "else 0.03, 0.1 and 0.3)",
    )
    held_out: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="fraction of the shots not used for training: half of them for validation, "
        "half for the final test",
    )
    measure: str = Field(
        default="log_likelihood",
        description="quantity whose loss ends the pruning: log_likelihood, magnetization, "
        "abs_magnetization, neighbours, correlation or the name of a custom observable",
    )
    significance: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="probability of rejecting an undamaged RBM at a pruning step",
    )
    observable: tuple[str, ...] = Field(
        default=(),
        description="custom observables, FILE.py:function; the function takes bits [shot, site] "
        "and returns one value per shot, or one for all",
    )
    draws: int = Field(default=100_000, ge=100, description="RBM samples per sampled observable")
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**62,
        description="random seed of the split and of the first RBM; further RBMs use the next "
        "seeds",
    )
    seeds: int = Field(
        default=5, ge=2, le=MOST_SEEDS, description="number of RBMs in the dense ensemble"
    )
    shots_sha256: str | None = Field(
        default=None,
        description="checksum of the bits, to detect changed shots; a run writes it to its "
        "config.toml",
    )
    train: AnyMethod = Field(default_factory=by_size, description="training of new RBMs")
    fine_tune: AnyMethod = Field(
        default_factory=by_size_fine_tuning, description="training after each pruning step"
    )
    prune: SearchSettings = Field(default_factory=SearchSettings)

    _methods = method_fields("train", "fine_tune")

    @field_validator("hidden", "learning_rates")
    @classmethod
    def _distinct(cls, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        # The names of files contain six digits of a rate.
        if values is not None and len({f"{value:g}" for value in values}) < len(values):
            raise ValueError("values must differ in their first six digits")
        return values

    def units_for(self, sites: int) -> tuple[int, ...]:
        """Return the numbers of hidden units to try, in increasing order."""
        if self.hidden is not None:
            return tuple(sorted(self.hidden))
        return tuple(sorted({max(1, sites // 4), max(1, sites // 2), sites}))

    def rates(self) -> tuple[float, ...]:
        """Return the learning rates to try if the method is cd or pcd."""
        if self.learning_rates is not None:
            return self.learning_rates
        train = self.train
        if isinstance(train, ContrastiveDivergence) and "learning_rate" in train.model_fields_set:
            return (train.learning_rate,)
        return _RATES

    def candidates(self, sites: int) -> list[tuple[int, Method]]:
        """Return (hidden units, training method) of every model to try."""
        candidates: list[tuple[int, Method]] = []
        for hidden in self.units_for(sites):
            method = self.train.for_size(sites, hidden)
            if isinstance(method, ContrastiveDivergence):
                candidates += [
                    (hidden, method.model_copy(update={"learning_rate": rate}))
                    for rate in self.rates()
                ]
            else:
                candidates.append((hidden, method))
        return candidates
