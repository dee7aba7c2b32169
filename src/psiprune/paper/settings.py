"""Settings of the run that reproduces all experiments of the paper."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from psiprune.core.limits import CHAIN_SITES, EXACT_GRADIENT_UNITS, MOST_LEVELS, MOST_SEEDS
from psiprune.experiments.settings import (
    AblationSettings,
    EnsembleSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
    smallest_p_value,
)
from psiprune.metrics.settings import MeasureSettings
from psiprune.pruning.schedule import count_at
from psiprune.pruning.settings import PruneSettings
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.methods import AnyMethod

#: Density at which alternative schedules end, as in the paper's Fig. 2.
_LAST = 0.15
#: Fewest sites of all experiments; with fewer, clusters cannot be moved.
_FEWEST = 6
_Fraction = Annotated[float, Field(gt=0, lt=1)]
#: Other ways to train, with which Fig. 2 is repeated.
Robust = Literal["constant", "cd-1", "cd-1-constant", "exact"]
#: What they change in CD. The paper's tool trains at this constant rate in its Ising tutorial.
_CONSTANT: dict[str, Any] = {"learning_rate": 0.01, "learning_rate_decay": 1.0}
_CHANGES: dict[Robust, dict[str, Any]] = {
    "constant": _CONSTANT,
    "cd-1": {"steps": 1},
    "cd-1-constant": {"steps": 1, **_CONSTANT},
}


class PaperSettings(EnsembleSettings):
    """Settings of all experiments of the paper and of those that extend it."""

    sites: int = Field(
        default=18,
        ge=_FEWEST,
        le=EXACT_GRADIENT_UNITS,
        description="number of qubits, N, of most experiments, whose metrics are exact",
    )
    seeds: int = Field(
        default=10, ge=2, le=MOST_SEEDS, description="number of RBMs of each kind per field"
    )
    other_sites: tuple[Annotated[int, Field(ge=4, le=CHAIN_SITES)], ...] = Field(
        default=(50, 100), description="numbers of qubits of further studies, with N/2 hidden units"
    )
    other_seeds: tuple[Annotated[int, Field(ge=1, le=MOST_SEEDS)], ...] = Field(
        default=(10, 3),
        min_length=1,
        description="number of RBMs per field of those, in the same order; the last number is "
        "that of all further sizes",
    )
    graph_sites: int = Field(
        default=10, ge=2, le=EXACT_GRADIENT_UNITS, description="number of qubits of Fig. 1"
    )
    first_fractions: tuple[_Fraction, ...] = Field(
        default=(0.1, 0.25, 0.4),
        description="fractions removed in the first step of alternative schedules, which continue "
        "with 5 % per step",
    )
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        min_length=2,
        description="degrees of breaking of clusters, from 0 (the pruned mask) to 1 (a random one)",
    )
    robust: tuple[Robust, ...] = Field(
        default=("constant", "cd-1", "cd-1-constant", "exact"),
        description="other ways to train with which Fig. 2 is repeated: CD at the constant rate "
        "0.01, with one Gibbs step, with both, or the exact natural gradient",
    )
    levels: int = Field(
        default=20, ge=1, le=MOST_LEVELS, description="number of pruning steps of 10 %"
    )
    history_every: int = Field(
        default=10, ge=1, description="epochs between entries of the training history"
    )
    train: AnyMethod = Field(default_factory=CD)
    fine_tune: AnyMethod = Field(default_factory=CD.for_fine_tuning)
    measure: MeasureSettings = Field(default_factory=MeasureSettings)

    @classmethod
    def quick(cls) -> dict[str, Any]:
        """Return the values that `--quick` uses instead of the defaults."""
        return {
            "seeds": 3,
            "other_sites": (10,),
            "other_seeds": (3,),
            "shots": 20_000,
            "first_fractions": (0.2, 0.4),
            "robust": ("constant",),
            "shares": (0.0, 0.5, 1.0),
            "history_every": 25,
            "measure": {"draws": 20_000},
        }

    def _check_together(self) -> None:
        super()._check_together()
        for name in ("other_sites", "first_fractions"):
            values = getattr(self, name)
            if len({f"{value:g}" for value in values}) < len(values):
                raise ValueError(
                    f"{name}: values must differ in their first six digits, found {values}"
                )
        if len(set(self.robust)) < len(self.robust):
            raise ValueError(f"robust: values must differ, found {self.robust}")
        default = type(self).model_fields["other_seeds"].default
        if len(self.other_seeds) > len(self.other_sites) and self.other_seeds != default:
            raise ValueError(
                f"other_seeds: must have at most one number for each of other_sites = "
                f"{self.other_sites}, found {self.other_seeds}"
            )
        if self.sites in self.other_sites:
            raise ValueError(
                f"other_sites: must not contain sites = {self.sites}, found {self.other_sites}"
            )
        self.ablation()  # validates the shares

    def _ensemble(self, *more: str, **changes: object) -> dict[str, Any]:
        """Return the settings common to all experiments, and these."""
        common = ("sites", "hidden", "coupling", "fields", "shots", "seed", "seeds", "initial")
        return {name: getattr(self, name) for name in (*common, *more)} | changes

    def _trained(self, **changes: object) -> dict[str, Any]:
        """Return the common settings and those of training and measuring."""
        return self._ensemble("train", "fine_tune", "measure", "history_every", **changes)

    def _study(self, **changes: object) -> StudySettings:
        """Return a study with the paper's pruning schedule unless `changes` has another."""
        prune = PruneSettings(levels=self.levels)
        return StudySettings(**{"prune": prune, **self._trained(**changes)})

    @property
    def _final_only(self) -> int:
        """`history_every` of a training of which only the final values are used."""
        return max(1, self.train.for_size(self.sites, self.hidden_units).epochs)

    def graph(self) -> StudySettings:
        """Return the settings of Fig. 1: one small RBM at the critical point."""
        return self._study(
            sites=self.graph_sites,
            hidden=None,
            fields=(self.coupling,),
            seeds=1,
            history_every=self._final_only,
        )

    def study(self) -> StudySettings:
        """Return the settings of Figs. 2, 3, 4 and 6, and of Table I."""
        return self._study()

    def size(self, sites: int) -> StudySettings:
        """Return the settings of Fig. 4 at another size.

        The path passes the tree bound, below which no graph is connected, by as many steps as that
        of `study`, and has at least as many levels.
        """
        seeds = dict(zip(self.other_sites, self.other_seeds, strict=False))
        further = _first_below_tree(sites, sites // 2) - _first_below_tree(
            self.sites, self.hidden_units
        )
        return self._study(
            sites=sites,
            hidden=None,
            seeds=seeds.get(sites, self.other_seeds[-1]),
            history_every=self._final_only,
            prune=PruneSettings(levels=self.levels + max(0, further)),
        )

    def trained_otherwise(self, how: Robust) -> StudySettings:
        """Return the settings of a robustness run: `study`, trained in another way."""
        train: AnyMethod = ExactNaturalGradient()
        fine_tune: AnyMethod = ExactNaturalGradient.for_fine_tuning()
        if how != "exact":
            train, fine_tune = (
                CD(**{**method.model_dump(), **_CHANGES[how]})
                for method in (
                    self.train if isinstance(self.train, CD) else CD(),
                    self.fine_tune if isinstance(self.fine_tune, CD) else CD.for_fine_tuning(),
                )
            )
        changed = self.model_copy(update={"train": train, "fine_tune": fine_tune})
        return changed._study(history_every=changed._final_only)

    def schedule(self, first: float) -> StudySettings:
        """Return the settings of an alternative pruning schedule of the appendix."""
        prune = PruneSettings(first_fraction=first, fraction=0.05, density=min(_LAST, 1 - first))
        return self._study(history_every=self._final_only, prune=prune)

    def sparse(self) -> SparseSettings:
        """Return the settings of Fig. 5."""
        return SparseSettings(**self._trained())

    def ablation(self) -> AblationSettings:
        """Return the settings of Section III B.

        On few sites no cluster can be significant; then every unit's strongest window counts.
        """
        width, threshold = (
            AblationSettings.model_fields[name].default for name in ("width", "threshold")
        )
        if smallest_p_value(self.sites, width) > threshold:
            threshold = 1.0
        return AblationSettings(**self._trained(), shares=self.shares, threshold=threshold)

    def frontier(self) -> FrontierSettings:
        """Return the settings of criteria beyond the paper's, without the slowest methods."""
        return FrontierSettings(**self._ensemble("measure", "levels"), rewired=(), widths=())


def _first_below_tree(sites: int, hidden: int) -> int:
    """Return the first pruning step of 10 % that leaves fewer than N + N_h - 1 weights."""
    total, tree, step = sites * hidden, sites + hidden - 1, 0
    while count_at(PruneSettings(), total, step) >= tree:
        step += 1
    return step
