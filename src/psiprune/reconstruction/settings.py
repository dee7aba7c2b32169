"""The guided path from measured shots to a small RBM."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PositiveFloat, field_validator

from psiprune.core.exceptions import InputError
from psiprune.core.limits import MOST_SEEDS
from psiprune.core.settings import Settings
from psiprune.pruning.settings import SearchSettings
from psiprune.training.contrastive_divergence import ContrastiveDivergence
from psiprune.training.method import Method
from psiprune.training.methods import (
    AnyMethod,
    MethodBySize,
    by_size,
    by_size_fine_tuning,
    method_fields,
)

#: Learning rates that `cd` and `pcd` choose from.
_RATES = (0.03, 0.1, 0.3)


def _no_rates(method: str) -> str:
    return (
        f"learning_rates: training by '{method}' has none; leave them out, or give train.method cd "
        "or pcd"
    )


class ReconstructSettings(Settings):
    """From measured shots, without a reference state, to the smallest RBM that describes them."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None,
        min_length=1,
        description="numbers of hidden units to choose from, one number fixes it; N/4, N/2 and N "
        "if not given",
    )
    learning_rates: tuple[PositiveFloat, ...] | None = Field(
        default=None,
        min_length=1,
        description="rates that cd and pcd choose from; train.learning-rate alone where that is "
        "given, else 0.03, 0.1 and 0.3",
    )
    held_out: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="share of the shots kept out of training: half of them choose and stop, the "
        "other half give the final numbers",
    )
    measure: str = Field(
        default="log_likelihood",
        description="what ends the pruning: log_likelihood, magnetization, abs_magnetization, "
        "neighbours, correlation or an observable of your own, by its name",
    )
    significance: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="probability that an RBM without damage is refused at a pruning step",
    )
    observable: tuple[str, ...] = Field(
        default=(),
        description="your own observables, FILE.py:function: bits [shot, site] -> a value for each "
        "shot, or one for all",
    )
    draws: int = Field(
        default=100_000, ge=100, description="RBM samples behind each sampled observable"
    )
    seed: int = Field(
        default=0, ge=0, lt=2**62, description="seed of the split, and of the first RBM"
    )
    seeds: int = Field(default=5, ge=2, le=MOST_SEEDS, description="RBMs of the dense ensemble")
    shots_sha256: str | None = Field(
        default=None,
        description="checksum that the bits must have; a run writes it into its config.toml",
    )
    train: AnyMethod = Field(
        default_factory=by_size, description="training of each RBM; the best for its size"
    )
    fine_tune: AnyMethod = Field(
        default_factory=by_size_fine_tuning,
        description="training after each pruning step; the best for the size",
    )
    prune: SearchSettings = Field(default_factory=SearchSettings)

    _methods = method_fields("train", "fine_tune")

    @field_validator("hidden", "learning_rates")
    @classmethod
    def _each_once(cls, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        # Files name a rate by six digits.
        if values is not None and len({f"{value:g}" for value in values}) < len(values):
            raise ValueError("each must stand once, told apart by six digits")
        return values

    def _check_together(self) -> None:
        if self.learning_rates is None:
            return
        train = self.train
        if not isinstance(train, ContrastiveDivergence | MethodBySize):
            raise ValueError(_no_rates(train.method))
        rate = self._given_rate()
        if rate is not None and rate not in self.learning_rates:
            raise ValueError(
                f"learning_rates: {self.learning_rates} lacks train.learning_rate = {rate:g}; "
                "give one of them"
            )

    def _given_rate(self) -> float | None:
        """The learning rate of `train`, None if it is the default or the method has none."""
        train = self.train
        if isinstance(train, ContrastiveDivergence) and "learning_rate" in train.model_fields_set:
            return train.learning_rate
        return None

    def units_for(self, sites: int) -> tuple[int, ...]:
        """Numbers of hidden units to choose from, rising."""
        if self.hidden is not None:
            return tuple(sorted(self.hidden))
        return tuple(sorted({max(1, sites // 4), max(1, sites // 2), sites}))

    def rates(self) -> tuple[float, ...]:
        """Learning rates to choose from, where the method is cd or pcd."""
        if self.learning_rates is not None:
            return self.learning_rates
        rate = self._given_rate()
        return _RATES if rate is None else (rate,)

    def for_sites(self, sites: int) -> ReconstructSettings:
        """The settings with what follows from the number of sites: sizes, methods, learning rates.

        A method stays "auto" if it differs among the numbers of hidden units. There are no learning
        rates if no candidate takes them.

        Raises:
            InputError: learning rates are given, but no candidate takes them; or a size is too
                large for the method.
        """
        units = self.units_for(sites)
        methods = [self.train.for_size(sites, hidden) for hidden in units]
        tunings = [self.fine_tune.for_size(sites, hidden) for hidden in units]
        resolved: dict[str, Any] = {"hidden": units}
        by_rate = [each for each in methods if isinstance(each, ContrastiveDivergence)]
        if self.learning_rates is not None and not by_rate:
            raise InputError(_no_rates(methods[0].method))
        resolved["learning_rates"] = self.rates() if by_rate else None
        if all(each == methods[0] for each in methods):
            # One of the rates, so that these settings can be given again.
            rate = {"learning_rate": self.rates()[0]} if by_rate else {}
            resolved["train"] = methods[0].model_copy(update=rate)
        if all(each == tunings[0] for each in tunings):
            resolved["fine_tune"] = tunings[0]
        return self.model_copy(update=resolved)

    def candidates(self, sites: int) -> list[tuple[int, Method]]:
        """(hidden units, training) of every model to choose from, the method chosen by size."""
        found: list[tuple[int, Method]] = []
        for hidden in self.units_for(sites):
            sized = self.train.for_size(sites, hidden)
            if isinstance(sized, ContrastiveDivergence):
                found += [
                    (hidden, sized.model_copy(update={"learning_rate": rate}))
                    for rate in self.rates()
                ]
            else:
                found.append((hidden, sized))
        return found
