"""All experiments of the paper in one run."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from psiprune.core.limits import EXACT_GRADIENT_UNITS, MOST_LEVELS, MOST_SEEDS
from psiprune.experiments.settings import (
    AblationSettings,
    EnsembleSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
    rarest,
)
from psiprune.metrics.settings import MeasureSettings
from psiprune.pruning.settings import PruneSettings
from psiprune.training.cd import CD
from psiprune.training.methods import AnyMethod

#: Density at which alternative schedules end: the paper's Fig. 2 ends there too.
_LAST = 0.15
#: Fewest sites of all experiments: below, there is no room for clusters to move.
_FEWEST = 6
_Fraction = Annotated[float, Field(gt=0, lt=1)]


class PaperSettings(EnsembleSettings):
    """Every experiment of the paper, and what goes past it, judged claim by claim."""

    sites: int = Field(
        default=18,
        ge=_FEWEST,
        le=EXACT_GRADIENT_UNITS,
        description="qubits, N, of most experiments; measured by sums over all states",
    )
    seeds: int = Field(
        default=10, ge=2, le=MOST_SEEDS, description="RBMs of each kind for each field"
    )
    other_sites: tuple[Annotated[int, Field(ge=4, le=4096)], ...] = Field(
        default=(50, 100), description="other sizes that are pruned, with N/2 hidden units"
    )
    other_seeds: int = Field(
        default=3, ge=1, le=MOST_SEEDS, description="RBMs of each other size and field"
    )
    graph_sites: int = Field(default=10, ge=2, le=18, description="qubits of Fig. 1")
    first_fractions: tuple[_Fraction, ...] = Field(
        default=(0.1, 0.25, 0.4),
        description="alternative schedules: share removed in the first step, then 5 % a step",
    )
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        min_length=2,
        description="shares of the clusters that are broken",
    )
    levels: int = Field(default=20, ge=1, le=MOST_LEVELS, description="pruning steps of 10 %")
    history_every: int = Field(
        default=10, ge=1, description="epochs between entries of a training's history"
    )
    train: AnyMethod = Field(default_factory=CD)
    fine_tune: AnyMethod = Field(default_factory=CD.for_fine_tuning)
    measure: MeasureSettings = Field(default_factory=MeasureSettings)

    @classmethod
    def quick(cls) -> dict[str, Any]:
        """What `--quick` puts in the place of the defaults: minutes instead of hours."""
        return {
            "seeds": 3,
            "other_sites": (10,),
            "shots": 20_000,
            "first_fractions": (0.2, 0.4),
            "shares": (0.0, 0.5, 1.0),
            "history_every": 25,
            "measure": {"draws": 20_000},
        }

    def _check_together(self) -> None:
        super()._check_together()
        for name in ("other_sites", "first_fractions"):
            values = getattr(self, name)
            if len({f"{value:g}" for value in values}) < len(values):
                raise ValueError(f"{name}: each must stand once, told apart by six digits")
        if self.sites in self.other_sites:
            raise ValueError(f"other_sites: must not hold sites = {self.sites} once more")
        self.ablation()  # its shares have rules of their own

    def _ensemble(self, **changes: object) -> dict[str, Any]:
        """What all experiments have in common."""
        names = ("sites", "hidden", "coupling", "fields", "shots", "seed", "seeds")
        common = {name: getattr(self, name) for name in names}
        return {**common, **changes}

    def _trained(self, **changes: object) -> dict[str, Any]:
        """And the paper's way of training and measuring."""
        names = ("train", "fine_tune", "measure", "history_every")
        return self._ensemble(**{**{name: getattr(self, name) for name in names}, **changes})

    def _study(self, **changes: object) -> StudySettings:
        """A study with the paper's schedule, if no other is given."""
        prune = PruneSettings(levels=self.levels)
        return StudySettings(**{"prune": prune, **self._trained(**changes)})

    @property
    def _at_the_end(self) -> int:
        """`history_every` of a training of which only the end is looked at."""
        return max(1, self.train.for_size(self.sites, self.hidden_units).epochs)

    def graph(self) -> StudySettings:
        """Fig. 1: one small RBM at the critical point."""
        return self._study(
            sites=self.graph_sites,
            hidden=None,
            fields=(self.coupling,),
            seeds=1,
            history_every=self._at_the_end,
        )

    def study(self) -> StudySettings:
        """Figs. 2, 3, 4 and 6, and Table I."""
        return self._study()

    def size(self, sites: int) -> StudySettings:
        """Fig. 4 at another size."""
        return self._study(
            sites=sites, hidden=None, seeds=self.other_seeds, history_every=self._at_the_end
        )

    def schedule(self, first: float) -> StudySettings:
        """An alternative schedule of the appendix."""
        prune = PruneSettings(first_fraction=first, fraction=0.05, density=min(_LAST, 1 - first))
        return self._study(history_every=self._at_the_end, prune=prune)

    def sparse(self) -> SparseSettings:
        """Fig. 5."""
        return SparseSettings(**self._trained())

    def ablation(self) -> AblationSettings:
        """The ablations of Section III B; where no cluster can be told from chance, all count."""
        width, own = (
            AblationSettings.model_fields[name].default for name in ("width", "threshold")
        )
        threshold = own if rarest(self.sites, width) <= own else 1.0
        return AblationSettings(**self._trained(), shares=self.shares, threshold=threshold)

    def frontier(self) -> FrontierSettings:
        """Criteria past the paper's: those that cost a minute a seed, not those that cost ten."""
        own: dict[str, Any] = {"measure": self.measure, "levels": self.levels}
        return FrontierSettings(**self._ensemble(), **own, rewired=(), widths=())
