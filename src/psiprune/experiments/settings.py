"""Settings of study, sparse, ablation, frontier and pruning paths."""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import Field, PositiveFloat, field_validator

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_GRADIENT_UNITS, FISHER_PARAMETERS, MOST_LEVELS, MOST_SEEDS
from psiprune.core.settings import Settings
from psiprune.metrics.settings import MeasureSettings
from psiprune.pruning.settings import PruneSettings, RewireSettings
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.method import Initial, Method
from psiprune.training.methods import (
    AnyMethod,
    MethodBySize,
    by_size_fine_tuning,
    method_fields,
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


class EnsembleSettings(Settings):
    """RBMs of several seeds in several phases: what all experiments have in common."""

    sites: int = Field(
        default=18, ge=2, le=4096, description="qubits, N; sums over all states up to 20"
    )
    hidden: int | None = Field(
        default=None, ge=1, description="hidden units, N_h; N/2 if not given"
    )
    coupling: float = Field(default=1.0, gt=0, description="Ising coupling J")
    fields: tuple[PositiveFloat, ...] = Field(
        default=(1.0, 2.0), min_length=1, description="transverse fields h"
    )
    shots: int = Field(
        default=100_000, ge=1, description="size of the training set, for each field"
    )
    seed: int = Field(
        default=0, ge=0, lt=2**62, description="seed of the shots, and of the first RBM"
    )
    seeds: int = Field(
        default=1, ge=1, le=MOST_SEEDS, description="RBMs trained and pruned for each field"
    )
    train: AnyMethod = Field(default_factory=CD, description="training of new RBMs")
    initial: Initial = Field(default="random", description="initial weights of new RBMs")

    _methods = method_fields("train", "fine_tune", "paper_train", "paper_fine_tune")

    @field_validator("fields")
    @classmethod
    def _each_once(cls, fields: tuple[float, ...]) -> tuple[float, ...]:
        # Folders and tables name a field by six digits.
        if len({f"{field:g}" for field in fields}) < len(fields):
            raise ValueError("each field must stand once, told apart by six digits")
        return fields

    @property
    def hidden_units(self) -> int:
        """N_h: as given, else N/2 and at least 1."""
        return self.hidden if self.hidden is not None else max(1, self.sites // 2)

    def for_size(self) -> Self:
        """The settings with every method of training, and its defaults, chosen by the size."""
        size = self.sites, self.hidden_units
        sized = {
            name: value.for_size(*size)
            for name, value in self
            if isinstance(value, Method | MethodBySize)
        }
        return self.model_copy(update=sized)

    def _check_together(self) -> None:
        """What would be refused in the middle of a run, once states and shots are made."""
        for name, value in self:
            if isinstance(value, Method | MethodBySize):
                try:
                    value.for_size(self.sites, self.hidden_units)
                except InputError as error:
                    raise ValueError(f"{name}.{error}") from None

    def _check_fisher(self, what: str, way: str) -> None:
        """Refuse what holds the Fisher matrix of the dense RBM where that is too large."""
        parameters = (self.sites + 1) * (self.hidden_units + 1) - 1
        if parameters > FISHER_PARAMETERS:
            raise ValueError(
                f"{what} holds a Fisher matrix of at most {FISHER_PARAMETERS:,} parameters, found "
                f"{parameters:,}; {way}"
            )


class StudySettings(EnsembleSettings):
    """The paper's central experiment (Fig. 2): train, prune step by step, measure the damage."""

    history_every: int = Field(
        default=10, ge=1, description="epochs between entries of the history"
    )
    prune: PruneSettings = Field(default_factory=PruneSettings)
    fine_tune: AnyMethod = Field(
        default_factory=CD.for_fine_tuning, description="training after each pruning step"
    )
    measure: MeasureSettings = Field(default_factory=MeasureSettings)
    rewind_epoch: int | None = Field(
        default=None,
        ge=0,
        description="after each step set what is left back to this epoch of the dense training, 0 "
        "for the initial weights, and train as the dense RBM was (lottery tickets)",
    )
    until: UntilSettings | None = Field(
        default=None,
        description="look for the smallest RBM of each path within a limit; without a limit "
        "within the largest value of the dense RBMs of all seeds",
    )

    def _check_together(self) -> None:
        super()._check_together()
        if self.prune.criterion == "surgeon":
            self._check_fisher("prune.criterion: 'surgeon'", "give damage or magnitude")
        if self.rewind_epoch is not None:
            epochs = self.train.for_size(self.sites, self.hidden_units).epochs
            if self.rewind_epoch > epochs:
                raise ValueError(
                    f"rewind_epoch: training has {epochs} epochs, found {self.rewind_epoch}"
                )
            if self.fine_tune != CD.for_fine_tuning():
                raise ValueError(
                    "fine_tune: cannot be combined with rewind_epoch, which trains as `train` says "
                    "after each step; leave one of them out"
                )
        # A saved config always contains the default, so ignore it.
        if (
            self.until is not None
            and self.until.others != UntilSettings.model_fields["others"].default
        ):
            raise ValueError(
                "until.others: does not apply to a study, whose seeds are the dense ensemble; "
                "leave it out"
            )

    @property
    def tuning(self) -> Method:
        """Training after each step: `fine_tune`, or after a rewind `train` once more."""
        if self.rewind_epoch is None:
            return self.fine_tune
        return self.train


class SparseSettings(EnsembleSettings):
    """Sparse from the start (the paper's Fig. 5): masks by pruning, by rule and by chance."""

    seeds: int = Field(
        default=10,
        ge=2,
        le=MOST_SEEDS,
        description="RBMs of each kind for each field; sp/os takes its masks from other seeds",
    )
    density: float = Field(
        default=0.59049,
        gt=0,
        lt=1,
        description="share of the weights kept; 0.9^5, five of the paper's steps, if not given",
    )
    levels: int = Field(
        default=5, ge=1, le=MOST_LEVELS, description="equal pruning steps to that density"
    )
    history_every: int = Field(
        default=10, ge=1, description="epochs between entries of the history"
    )
    fine_tune: AnyMethod = Field(
        default_factory=CD.for_fine_tuning, description="training after each pruning step"
    )
    measure: MeasureSettings = Field(default_factory=MeasureSettings)

    @property
    def prune(self) -> PruneSettings:
        """By magnitude, in equal steps: step n keeps round(total * density^(n / levels))."""
        return PruneSettings(levels=self.levels, fraction=1.0 - self.density ** (1.0 / self.levels))


def rarest(sites: int, width: int) -> float:
    """The least p-value of a cluster: its weights are the largest of the unit, side by side."""
    return (sites - width + 1) / math.comb(sites, width)


class AblationSettings(SparseSettings):
    """The paper's ablations (Section III B): break the clusters of a mask, forbid those found."""

    seeds: int = Field(
        default=10, ge=1, le=MOST_SEEDS, description="RBMs of each kind for each field"
    )
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        min_length=1,
        description="shares of the way from the pruned mask to a random one",
    )
    width: int = Field(default=3, ge=2, description="adjacent sites of a cluster to be forbidden")
    threshold: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="a cluster counts if at most this share of random orders has one as strong",
    )

    @field_validator("shares")
    @classmethod
    def _rising(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        # Files name a share by six digits.
        names = [f"{share:g}" for share in shares]
        if list(shares) != sorted(shares) or len(set(names)) < len(names):
            raise ValueError("must rise, told apart by six digits")
        return shares

    def _check_together(self) -> None:
        super()._check_together()
        if self.width > self.sites:
            raise ValueError(f"width: must be at most sites = {self.sites}, found {self.width}")
        least = rarest(self.sites, self.width)
        if least > self.threshold:
            raise ValueError(
                f"threshold: with {self.sites} sites no cluster of {self.width} can be rarer than "
                f"{least:.2g} by chance, so none would count at {self.threshold:g}; give at least "
                "that, 1 to take every unit's strongest window, or more sites"
            )


class FrontierSettings(EnsembleSettings):
    """Error against number of weights: every method, beside MPS of as many parameters."""

    seeds: int = Field(
        default=10, ge=1, le=MOST_SEEDS, description="RBMs of each method for each field"
    )
    costly_seeds: int = Field(
        default=3,
        ge=1,
        le=MOST_SEEDS,
        description="the same for rewired RBMs and for those of other widths",
    )
    levels: int = Field(
        default=21,
        ge=1,
        le=MOST_LEVELS,
        description="counts of weights; each is 10 % below the last",
    )
    rewired: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(9, 13, 15),
        description="levels whose counts are rewired; with 162 weights 63, 41 and 33",
    )
    widths: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None,
        description="hidden units of other RBMs, pruned to the same counts; 1, N/6, N/3, N_h + 1, "
        "N_h + 2, N_h + 3, N and 2 N if not given",
    )
    bonds: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(1, 2, 3, 4), min_length=1, description="bond dimensions of the MPS"
    )
    limit: float = Field(default=0.02, gt=0, description="largest mROE to accept in the table")
    train: AnyMethod = Field(
        default_factory=lambda: ExactNaturalGradient(epochs=100, weight_decay=0.0),
        description="training of new RBMs",
    )
    fine_tune: AnyMethod = Field(
        default_factory=lambda: ExactNaturalGradient(epochs=20, weight_decay=0.0),
        description="training after each change of a mask",
    )
    paper_train: AnyMethod = Field(
        default_factory=CD,
        description="training of the paper's RBMs",
    )
    paper_fine_tune: AnyMethod = Field(
        default_factory=CD.for_fine_tuning,
        description="training of the paper's RBMs after each step",
    )
    rewire: RewireSettings = Field(default_factory=RewireSettings)
    measure: MeasureSettings = Field(default_factory=MeasureSettings)

    @property
    def other_widths(self) -> tuple[int, ...]:
        """Hidden units as given, else few, a few more than N_h (the best), and many."""
        if self.widths is not None:
            return self.widths
        n, own = self.sites, self.hidden_units
        widths = {1, max(1, n // 6), n // 3, own + 1, own + 2, own + 3, n, 2 * n}
        return tuple(sorted(widths - {own}))

    @field_validator("rewired", "widths", "bonds")
    @classmethod
    def _each_number_once(cls, numbers: tuple[int, ...] | None) -> tuple[int, ...] | None:
        # Each names a file or an entry of the table.
        if numbers is not None and len(set(numbers)) < len(numbers):
            raise ValueError("each number must stand once")
        return numbers

    @field_validator("sites")
    @classmethod
    def _exact(cls, sites: int) -> int:
        if not 3 <= sites <= EXACT_GRADIENT_UNITS:
            raise ValueError(
                f"must be from 3, for clusters, to {EXACT_GRADIENT_UNITS}, as training is exact, "
                f"found {sites}"
            )
        return sites

    def _check_together(self) -> None:
        super()._check_together()
        if any(level > self.levels for level in self.rewired):
            raise ValueError(f"rewired: must be levels up to {self.levels}, found {self.rewired}")


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
    fine_tune: AnyMethod | None = Field(default_factory=by_size_fine_tuning)
    until: UntilSettings | None = Field(
        default=None, description="where the path ends, if not after its levels"
    )

    _methods = method_fields("fine_tune")


class RewirePathSettings(Settings):
    """One RBM rewired on given files; the checksums tell whether they are still the same."""

    rbm: str = Field(description="SHA-256 of the RBM's file")
    shots: str = Field(description="SHA-256 of the shots' file")
    state: str | None = Field(default=None, description="SHA-256 of the reference state's file")
    seed: int = Field(
        default=0, ge=0, lt=2**62, description="of training, of samples and of random dropping"
    )
    rewire: RewireSettings = Field(default_factory=RewireSettings)
    fine_tune: AnyMethod = Field(default_factory=by_size_fine_tuning)

    _methods = method_fields("fine_tune")
