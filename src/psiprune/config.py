"""Every configuration, declared once: options, TOML keys, checks and help texts come from here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, field_validator, model_validator

from psiprune.inputs import InputError, Settings

#: Largest smaller layer for which each gradient sums over all of its states.
EXACT_GRADIENT_UNITS = 18
#: Most parameters of natural gradient with chains: their Fisher matrix and its factor take 6 GiB.
LARGEST_FISHER = 20_000


class TrainSettings(Settings):
    """How an RBM is fitted to shots."""

    method: Literal["cd", "pcd", "natural", "exact"] | None = Field(
        default=None,
        description="contrastive divergence from the data or from persistent chains, or natural "
        "gradient with averages over chains or over all states (a layer of at most 18 units); by "
        "size if not given: cd with such a layer, else natural up to 20,000 parameters, else pcd",
    )
    epochs: int = Field(
        default=500,
        ge=0,
        description="passes over all shots; natural: steps, 150 if not given; exact: at most so "
        "many steps",
    )
    batch_size: int = Field(
        default=100,
        ge=1,
        description="shots, and Gibbs chains, an update; natural: chains, 10000 if not given",
    )
    cd_steps: int = Field(
        default=10,
        ge=1,
        description="Gibbs steps of the negative phase, the k of CD-k; natural: 30 if not given",
    )
    learning_rate: float = Field(
        default=0.1,
        gt=0,
        le=1000,
        description="learning rate of the first epoch; natural: 0.3 if not given",
    )
    learning_rate_decay: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="learning rate of the last epoch over that of the first; natural: 0.05 if not "
        "given",
    )
    momentum: float = Field(
        default=0.0, ge=0, lt=1, description="share of the last step kept in the next (cd, pcd)"
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="L2 penalty on weights, not on biases"
    )
    initial: Literal["random", "local"] = Field(
        default="random",
        description="weights before training: random, or each hidden unit on one site and those "
        "the data correlate with it; natural: local if not given",
    )

    # What `natural` puts in the place of defaults that were made for cd.
    _natural: ClassVar[Mapping[str, object]] = {
        "epochs": 150,
        "batch_size": 10_000,
        "cd_steps": 30,
        "learning_rate": 0.3,
        "learning_rate_decay": 0.05,
        "initial": "local",
    }

    def for_size(self, visible: int, hidden: int) -> Self:
        """The settings with the method chosen by size, and the defaults of that method."""
        method: str | None = self.method
        if method is None:
            parameters = visible * hidden + visible + hidden
            large = "natural" if parameters <= LARGEST_FISHER else "pcd"
            method = "cd" if min(visible, hidden) <= EXACT_GRADIENT_UNITS else large
        defaults = self._natural if method == "natural" else {}
        return type(self)(**{**defaults, **self.model_dump(exclude_unset=True), "method": method})


class FineTuneSettings(TrainSettings):
    """How an RBM is trained on after some of its weights were removed."""

    epochs: int = Field(
        default=30,
        ge=0,
        description="passes over all shots at each level; natural: steps, 20 if not given",
    )
    learning_rate: float = Field(
        default=0.02,
        gt=0,
        le=1000,
        description="learning rate of a level's first epoch; natural: 0.2 if not given",
    )
    learning_rate_decay: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="learning rate of a level's last epoch over that of its first",
    )

    _natural: ClassVar[Mapping[str, object]] = {
        "epochs": 20,
        "batch_size": 10_000,
        "cd_steps": 30,
        "learning_rate": 0.2,
    }


class PruneSettings(Settings):
    """Which weights go, how many at a time, how often."""

    criterion: Literal["magnitude", "magnitude-by-unit", "random", "damage", "surgeon"] = Field(
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

    @model_validator(mode="after")
    def _fits(self) -> PruneSettings:
        if self.compensate and self.criterion == "surgeon":
            raise InputError(
                "compensate: has no use with criterion 'surgeon', which corrects all that remains"
            )
        if self.density is not None:
            most = self.levels if "levels" in self.model_fields_set else 10**6
            self.__dict__["levels"] = min(most, self._steps_to(self.density))
        return self

    def _steps_to(self, density: float) -> int:
        """The first step after which no more than this share of the weights is left."""
        begin = self.fraction if self.first_fraction is None else self.first_fraction
        rest = math.log(density / (1.0 - begin)) / math.log1p(-self.fraction)
        # A density of (1 - fraction)^n exactly takes n steps, whatever the rounding.
        return 1 + max(0, math.ceil(rest - 1e-9))


class RewireSettings(Settings):
    """Which weights move, how many at a time, how often."""

    rounds: int = Field(default=20, ge=1, description="times that weights are dropped and grown")
    share: float = Field(
        default=0.3,
        gt=0,
        lt=1,
        description="share of the weights that move in the first round; it falls by a cosine to 0",
    )
    criterion: Literal["magnitude", "magnitude-by-unit", "random", "damage", "surgeon"] = Field(
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

    measure: str = Field(description="name of the measure, see `psiprune.gauges`")
    limit: float | None = Field(
        default=None, description="largest value to accept; that of a dense ensemble if not given"
    )
    others: int = Field(default=5, ge=1, description="other RBMs trained for the dense ensemble")
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
    seeds: int = Field(default=1, ge=1, description="RBMs trained and pruned for each field")
    train: TrainSettings = Field(default_factory=TrainSettings)

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
            name: value.for_size(*size) for name, value in self if isinstance(value, TrainSettings)
        }
        return self.model_copy(update=sized)


class StudySettings(EnsembleSettings):
    """The paper's central experiment (Fig. 2): train, prune step by step, measure the damage."""

    history_every: int = Field(
        default=10, ge=1, description="epochs between entries of the history"
    )
    prune: PruneSettings = Field(default_factory=PruneSettings)
    fine_tune: FineTuneSettings = Field(default_factory=FineTuneSettings)
    measure: MeasureSettings = Field(default_factory=MeasureSettings)


class SparseSettings(EnsembleSettings):
    """Sparse from the start (the paper's Fig. 5): masks by pruning, by rule and by chance."""

    seeds: int = Field(
        default=10,
        ge=2,
        description="RBMs of each kind for each field; sp/os takes its masks from other seeds",
    )
    density: float = Field(
        default=0.59049,
        gt=0,
        lt=1,
        description="share of the weights kept; 0.9^5, five of the paper's steps, if not given",
    )
    levels: int = Field(default=5, ge=1, description="equal pruning steps to that density")
    history_every: int = Field(
        default=10, ge=1, description="epochs between entries of the history"
    )
    fine_tune: FineTuneSettings = Field(default_factory=FineTuneSettings)
    measure: MeasureSettings = Field(default_factory=MeasureSettings)

    @property
    def prune(self) -> PruneSettings:
        """By magnitude, in equal steps: step n keeps round(total * density^(n / levels))."""
        return PruneSettings(levels=self.levels, fraction=1.0 - self.density ** (1.0 / self.levels))


class AblationSettings(SparseSettings):
    """The paper's ablations (Section III B): break the clusters of a mask, forbid those found."""

    seeds: int = Field(default=10, ge=1, description="RBMs of each kind for each field")
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

    @model_validator(mode="after")
    def _fits(self) -> AblationSettings:
        if self.width > self.sites:
            raise ValueError(f"width: must be at most sites = {self.sites}, found {self.width}")
        return self


class FrontierSettings(EnsembleSettings):
    """Error against number of weights: every method, beside MPS of as many parameters."""

    seeds: int = Field(default=10, ge=1, description="RBMs of each method for each field")
    costly_seeds: int = Field(
        default=3, ge=1, description="the same for rewired RBMs and for those of other widths"
    )
    levels: int = Field(
        default=21, ge=1, description="counts of weights; each is 10 % below the last"
    )
    rewired: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(9, 13, 15),
        description="levels whose counts are rewired; with 162 weights 63, 41 and 33",
    )
    widths: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None,
        description="hidden units of other RBMs, pruned to the same counts; 1, N/6, N/3, N and "
        "2 N if not given",
    )
    bonds: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(1, 2, 3, 4), min_length=1, description="bond dimensions of the MPS"
    )
    limit: float = Field(default=0.02, gt=0, description="largest mROE to accept in the table")
    train: TrainSettings = Field(
        default_factory=lambda: TrainSettings(method="exact", epochs=100),
        description="training of new RBMs",
    )
    fine_tune: FineTuneSettings = Field(
        default_factory=lambda: FineTuneSettings(method="exact", epochs=20),
        description="training after each change of a mask",
    )
    paper_train: TrainSettings = Field(
        default_factory=lambda: TrainSettings(method="cd"),
        description="training of the paper's RBMs",
    )
    paper_fine_tune: FineTuneSettings = Field(
        default_factory=lambda: FineTuneSettings(method="cd"),
        description="training of the paper's RBMs after each step",
    )
    rewire: RewireSettings = Field(default_factory=RewireSettings)
    measure: MeasureSettings = Field(default_factory=MeasureSettings)

    @property
    def other_widths(self) -> tuple[int, ...]:
        """Hidden units as given, else 1, N/6, N/3, N and 2 N, without N_h."""
        if self.widths is not None:
            return self.widths
        n = self.sites
        return tuple(sorted({1, max(1, n // 6), n // 3, n, 2 * n} - {self.hidden_units}))

    @field_validator("sites")
    @classmethod
    def _exact(cls, sites: int) -> int:
        if not 3 <= sites <= EXACT_GRADIENT_UNITS:
            raise ValueError(
                f"must be from 3, for clusters, to {EXACT_GRADIENT_UNITS}, as training is exact, "
                f"found {sites}"
            )
        return sites

    @model_validator(mode="after")
    def _on_the_grid(self) -> FrontierSettings:
        if any(level > self.levels for level in self.rewired):
            raise ValueError(f"rewired: must be levels up to {self.levels}, found {self.rewired}")
        return self
