"""Settings of study, sparse, ablation and frontier."""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from psiprune.core.exceptions import InputError
from psiprune.core.limits import CHAIN_SITES, EXACT_GRADIENT_UNITS, FISHER_PARAMETERS, MOST_SEEDS
from psiprune.core.settings import Levels, Seed, Seeds, Settings
from psiprune.experiments.path_settings import RunObservables, UntilSettings
from psiprune.metrics.settings import MeasureSettings
from psiprune.pruning.settings import PruneSettings, RewireSettings
from psiprune.states.hamiltonian import Hamiltonian, Positions
from psiprune.states.spin_models import IsingChain, SpinModel, as_model
from psiprune.states.tfim import TFIM
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.method import Initial, Method
from psiprune.training.methods import AnyMethod, MethodBySize, method_fields


class EnsembleSettings(Settings):
    """Settings common to all experiments: RBMs of several seeds at several fields."""

    sites: int = Field(
        default=18,
        ge=2,
        le=CHAIN_SITES,
        description="number of qubits, N; metrics are exact up to 20",
    )
    hidden: int | None = Field(
        default=None, ge=1, description="number of hidden units, N_h (default: N/2)"
    )
    model: SerializeAsAny[SpinModel | None] = Field(
        default=None,
        description="Hamiltonian in place of the open Ising chain: its kind and its fields",
    )
    coupling: float = Field(default=1.0, gt=0, description="coupling J")
    fields: tuple[float, ...] = Field(
        default=(1.0, 2.0),
        min_length=1,
        description="transverse fields h, or with a model values of its field",
    )
    shots: int = Field(default=100_000, ge=1, description="training shots per field")
    seed: Seed = Field(
        default=0,
        description="random seed of the shots and of the first RBM; further RBMs use the next "
        "seeds",
    )
    seeds: Seeds = Field(default=1, description="number of RBMs trained and pruned per field")
    train: AnyMethod = Field(default_factory=CD, description="training of new RBMs")
    initial: Initial = Field(default="random", description="initial weights of new RBMs")

    _methods = method_fields(
        *("train", "fine_tune", "paper_train", "paper_fine_tune", "dense_train")
    )

    @field_validator("fields")
    @classmethod
    def _distinct_fields(cls, fields: tuple[float, ...]) -> tuple[float, ...]:
        # The names of folders and tables contain six digits of a field.
        if len({f"{field:g}" for field in fields}) < len(fields):
            raise ValueError("values must differ in their first six digits")
        return fields

    @model_validator(mode="wrap")
    @classmethod
    def _of_model(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Complete `model`, `sites` and `fields` from each other.

        Only what was given counts as set, so that a sweep can vary it. An open Ising chain with one
        coupling and one field is no model, however it is given.
        """
        if not isinstance(given, dict) or given.get("model") is None:
            return handler(given)
        try:
            model = as_model(
                given["model"], sites=given.get("sites"), coupling=given.get("coupling")
            )
        except InputError as error:
            raise InputError(f"model.{error}") from None
        values = {**given, "sites": given.get("sites", model.size), "model": model}
        values.setdefault("fields", (model.one_field or 0.0,))
        if (coupling := getattr(model, "coupling", 0.0)) > 0:
            values["coupling"] = coupling
        if isinstance(model, IsingChain) and model.is_plain:
            values["model"] = None
        settings = handler(values)
        settings.model_fields_set.intersection_update(given)
        return settings

    @model_serializer(mode="wrap")
    def _without_no_model(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if values.get("model", ...) is None:
            del values["model"]
        return values

    def model_at(self, field: float) -> TFIM | Hamiltonian:
        """Return the Hamiltonian of one of the `fields`."""
        if self.model is None:
            return TFIM(sites=self.sites, field=field, coupling=self.coupling)
        return _with_field(self.model, field).hamiltonian()

    def title_at(self, field: float) -> str | None:
        """Return the title of the model at one of the `fields`; None of a plain chain."""
        return None if self.model is None else _with_field(self.model, field).title

    @property
    def places(self) -> Positions | None:
        """The coordinates of each site; None for a chain."""
        return None if self.model is None else self.model.places

    @property
    def hidden_units(self) -> int:
        """N_h: as given, or by default N/2 and at least 1."""
        return self.hidden if self.hidden is not None else max(1, self.sites // 2)

    def for_size(self) -> Self:
        """Return the settings with every training method "auto" resolved by the size."""
        sized = {
            name: self._sized(name, value)
            for name, value in self
            if isinstance(value, Method | MethodBySize)
        }
        return self.model_copy(update=sized)

    def _sized(self, name: str, method: Method | MethodBySize) -> Method:
        """Return the method of a field for the size of the RBMs that it trains."""
        return method.for_size(self.sites, self.hidden_units)

    def _check_model(self) -> None:
        if self.model is None:
            for k, field in enumerate(self.fields):
                if field <= 0:
                    raise ValueError(f"fields.{k}: should be above 0, found {field:g}")
            return
        if self.sites != self.model.size:
            raise ValueError(
                f"sites: must be omitted or {self.model.size}, as in the model, found {self.sites}"
            )
        if self.model.one_field is None and self.fields != (0.0,):
            raise ValueError(
                f"fields: the model {self.model.kind} has no field to vary, found {self.fields}; "
                "omit fields"
            )

    def _check_together(self) -> None:
        self._check_model()
        # Otherwise a run would fail only after minutes of work on states and shots.
        for name, value in self:
            if isinstance(value, Method | MethodBySize):
                try:
                    self._sized(name, value)
                except InputError as error:
                    raise ValueError(f"{name}.{error}") from None


def _with_field(model: SpinModel, field: float) -> SpinModel:
    """Return the model with another field, where it has one that can vary."""
    return model if model.one_field is None else model.model_copy(update={"field": field})


class StudySettings(EnsembleSettings):
    """Train, prune step by step, measure the damage: the paper's central experiment (Fig. 2)."""

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
        description="after each step reset the remaining parameters to this epoch of the dense "
        "training (0: initial weights) and repeat the dense training (lottery tickets)",
    )
    until: UntilSettings | None = Field(
        default=None,
        description="search for the smallest RBM of each path within a limit; the default limit is "
        "the largest value among the dense RBMs of all seeds",
    )
    observable: RunObservables = None

    def _check_together(self) -> None:
        super()._check_together()
        if self.observable:
            from psiprune.metrics.observable_text import read_observables  # loads numba

            read_observables(self.observable, self.sites, recorded=True, positions=self.places)
        parameters = (self.sites + 1) * (self.hidden_units + 1) - 1
        if self.prune.criterion == "surgeon" and parameters > FISHER_PARAMETERS:
            raise ValueError(
                f"prune.criterion: 'surgeon' supports at most {FISHER_PARAMETERS:,} parameters, "
                f"found {parameters:,}; use 'damage' or 'magnitude'"
            )
        if self.rewind_epoch is not None:
            epochs = self.train.for_size(self.sites, self.hidden_units).epochs
            if self.rewind_epoch > epochs:
                raise ValueError(
                    f"rewind_epoch: must be at most train.epochs = {epochs}, found "
                    f"{self.rewind_epoch}"
                )
            if self.fine_tune != CD.for_fine_tuning():
                raise ValueError(
                    "fine_tune: cannot be combined with rewind_epoch, which repeats the training "
                    "`train` after each step; omit one of them"
                )
        # A saved config always contains the default, so ignore it.
        if (
            self.until is not None
            and self.until.others != UntilSettings.model_fields["others"].default
        ):
            raise ValueError(
                f"until.others: does not apply to a study, whose seeds form the dense ensemble, "
                f"found {self.until.others}; omit it and set seeds"
            )

    @property
    def tuning(self) -> Method:
        """Training after each step: `fine_tune`, or with a rewind `train` again."""
        if self.rewind_epoch is None:
            return self.fine_tune
        return self.train


class SparseSettings(EnsembleSettings):
    """Train RBMs that are sparse from the start, with pruned, local and random masks (Fig. 5)."""

    seeds: int = Field(
        default=10,
        ge=2,
        le=MOST_SEEDS,
        description="number of RBMs of each kind per field; sp/os takes its masks from other seeds",
    )
    density: float = Field(
        default=0.59049,
        gt=0,
        lt=1,
        description="fraction of the weights that remain; the default is 0.9^5, five steps of the "
        "paper",
    )
    levels: Levels = Field(default=5, description="number of equal pruning steps to that density")
    history_every: int = Field(
        default=10, ge=1, description="epochs between entries of the history"
    )
    fine_tune: AnyMethod = Field(
        default_factory=CD.for_fine_tuning, description="training after each pruning step"
    )
    measure: MeasureSettings = Field(default_factory=MeasureSettings)

    @property
    def prune(self) -> PruneSettings:
        """By magnitude, in equal steps: round(total * density^(n / levels)) weights at step n."""
        return PruneSettings(levels=self.levels, fraction=1.0 - self.density ** (1.0 / self.levels))


def smallest_p_value(sites: int, width: int) -> float:
    """Return the smallest possible p-value of a cluster of `width` adjacent sites.

    It is reached if the largest weights of the unit are adjacent:
    (sites - width + 1) / binomial(sites, width).
    """
    return (sites - width + 1) / math.comb(sites, width)


class AblationSettings(SparseSettings):
    """Break up the clusters of a mask, or exclude those found: the paper's Section III B."""

    seeds: Seeds = Field(default=10, description="number of RBMs of each kind per field")
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        min_length=1,
        description="degrees of breaking, from 0 (the pruned mask) to 1 (a random mask)",
    )
    width: int = Field(default=3, ge=2, description="adjacent sites of a cluster to exclude")
    threshold: float = Field(
        default=0.05, gt=0, le=1, description="largest p-value of a cluster to exclude"
    )

    @field_validator("shares")
    @classmethod
    def _increasing(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        # The names of files contain six digits of a share.
        names = [f"{share:g}" for share in shares]
        if list(shares) != sorted(shares) or len(set(names)) < len(names):
            raise ValueError("must increase, and differ in their first six digits")
        return shares

    def _check_together(self) -> None:
        super()._check_together()
        if self.width > self.sites:
            raise ValueError(f"width: must be at most sites = {self.sites}, found {self.width}")
        smallest = smallest_p_value(self.sites, self.width)
        if smallest > self.threshold:
            raise ValueError(
                f"threshold: with {self.sites} sites, p-values of clusters of {self.width} are at "
                f"least {smallest:.2g}, so none would be found at {self.threshold:g}; increase "
                "threshold (1 takes the strongest window of every unit), or sites"
            )


class FrontierSettings(EnsembleSettings):
    """Compare error against number of weights for all methods, and for MPS of equal size."""

    seeds: Seeds = Field(default=10, description="number of RBMs of each method per field")
    costly_seeds: Seeds = Field(
        default=3, description="number of rewired RBMs, and of RBMs of each other width, per field"
    )
    levels: Levels = Field(
        default=21, description="number of pruning steps, each by 10 % of the weights"
    )
    rewired: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(9, 13, 15),
        description="levels at whose number of weights RBMs are rewired; the default means 63, 41 "
        "and 33 of 162 weights",
    )
    widths: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None,
        description="numbers of hidden units of further RBMs, pruned to the same numbers of "
        "weights (default: 1, N/6, N/3, N_h + 1, N_h + 2, N_h + 3, N and 2 N)",
    )
    bonds: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(1, 2, 3, 4), min_length=1, description="bond dimensions of the MPS"
    )
    limit: float = Field(
        default=0.02, gt=0, description="largest mean relative observable error in the table"
    )
    train: AnyMethod = Field(
        default_factory=lambda: ExactNaturalGradient(epochs=100, weight_decay=0.0),
        description="training of new RBMs",
    )
    fine_tune: AnyMethod = Field(
        default_factory=lambda: ExactNaturalGradient(epochs=20, weight_decay=0.0),
        description="training after each change of a mask",
    )
    paper_train: AnyMethod = Field(default_factory=CD, description="training of the paper's RBMs")
    paper_fine_tune: AnyMethod = Field(
        default_factory=CD.for_fine_tuning,
        description="training of the paper's RBMs after each pruning step",
    )
    rewire: RewireSettings = Field(default_factory=RewireSettings)
    measure: MeasureSettings = Field(default_factory=MeasureSettings)

    @property
    def other_widths(self) -> tuple[int, ...]:
        """`widths`, or by default few, slightly more than N_h (the best), and many units."""
        if self.widths is not None:
            return self.widths
        sites, hidden = self.sites, self.hidden_units
        few = {1, max(1, sites // 6), sites // 3}
        more = {hidden + 1, hidden + 2, hidden + 3}
        return tuple(sorted((few | more | {sites, 2 * sites}) - {hidden}))

    @field_validator("rewired", "widths", "bonds")
    @classmethod
    def _distinct(cls, numbers: tuple[int, ...] | None) -> tuple[int, ...] | None:
        # Each number names a file or an entry of the table.
        if numbers is not None and len(set(numbers)) < len(numbers):
            raise ValueError("must not contain a number twice")
        return numbers

    @field_validator("sites")
    @classmethod
    def _exact(cls, sites: int) -> int:
        if not 3 <= sites <= EXACT_GRADIENT_UNITS:
            raise ValueError(
                f"must be from 3 (room for a cluster) to {EXACT_GRADIENT_UNITS} (exact training)"
            )
        return sites

    def _check_together(self) -> None:
        super()._check_together()
        if any(level > self.levels for level in self.rewired):
            raise ValueError(
                f"rewired: must be at most levels = {self.levels}, found {self.rewired}"
            )
