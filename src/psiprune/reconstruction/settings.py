"""Settings of `reconstruct`: from measured shots to the smallest RBM that describes them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import Field, PositiveFloat, field_validator

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES, FISHER_PARAMETERS, MOST_SEEDS
from psiprune.core.settings import Seed, Settings
from psiprune.pruning.settings import LINKS, SearchSettings, global_units_for
from psiprune.reconstruction.architecture import Architecture, Model
from psiprune.training.contrastive_divergence import ContrastiveDivergence
from psiprune.training.methods import (
    AnyMethod,
    MethodBySize,
    by_size,
    by_size_fine_tuning,
    method_fields,
)

#: Learning rates that `cd` and `pcd` choose from.
_RATES = (0.03, 0.1, 0.3)
#: With more sites their biases and those of the hidden units leave a unit less than eight links.
_MOST_SCALE_FREE_SITES = FISHER_PARAMETERS // 10
#: The shots held out by default: this fraction, but at least so many in all, up to half.
_HELD_OUT, _HELD_OUT_SHOTS = 0.2, 250


def _no_rates(method: str) -> str:
    return (
        f"learning_rates: training by '{method}' has none; leave them out, or give train.method cd "
        "or pcd"
    )


class ReconstructSettings(Settings):
    """How to find the smallest RBM that describes measured shots, without a reference state."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None,
        min_length=1,
        description="numbers of hidden units to try, and to search between; a single number fixes "
        "it (default: 1, N/4, N/2 and N; without N/4 above 20 sites with positions)",
    )
    scale_free: tuple[Annotated[int, Field(ge=1, le=FISHER_PARAMETERS)], ...] | None = Field(
        default=None,
        description="numbers of hidden units of further RBMs to try, with links to near sites and "
        "in geometric steps as of psiprune mask scale-free; without numbers none (default: N/2 and "
        "N above 20 sites, N where sites have positions, none if hidden is given)",
    )
    links: tuple[Annotated[int, Field(ge=1, le=FISHER_PARAMETERS)], ...] | None = Field(
        default=None,
        description="numbers of links of each hidden unit of further RBMs to try, with N units or "
        "fewer, three fifths of the links to the nearest sites and the others to far ones, and "
        f"above {EXACT_SITES} sites with 2 more units linked to all sites; without numbers none "
        f"(default: {', '.join(map(str, LINKS))} where the shots have positions, none "
        "if hidden is given); numbers of N or more are left out, as that RBM is dense",
    )
    learning_rates: tuple[PositiveFloat, ...] | None = Field(
        default=None,
        min_length=1,
        description="learning rates to try with cd and pcd (default: train.learning-rate if given, "
        "else 0.03, 0.1 and 0.3)",
    )
    held_out: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="fraction of the shots not used for training: two fifths of them for "
        "validation, the rest for the final test (default: 0.2, or more to hold out 250 shots, up "
        "to half)",
    )
    measure: str = Field(
        default="log_likelihood",
        description="quantity whose loss ends the pruning: log_likelihood, magnetization, "
        "abs_magnetization, neighbours, correlation or the name of a further observable",
    )
    significance: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="one-sided significance level of the loss that ends the pruning",
    )
    tolerance: PositiveFloat = Field(
        default=0.05,
        description="loss of log-likelihood, in nats per shot, that does not matter; an RBM that "
        "may lose twice as much is not trusted",
    )
    observable: tuple[str, ...] = Field(
        default=(),
        description="further observables: sums of Pauli strings such as 'X0 X3' or 'sum_i Z_i "
        "Z_{i+1}', names such as g2, NAME=TEXT for either, or FILE.py:function; the function takes "
        "bits [shot, site] and returns one value per shot, or one for all",
    )
    draws: int = Field(default=100_000, ge=100, description="RBM samples per sampled observable")
    seed: Seed = Field(
        default=0,
        description="random seed of the split and of the candidates; replicas of the chosen RBM "
        "use the next seeds",
    )
    seeds: int = Field(
        default=5,
        ge=2,
        le=MOST_SEEDS,
        description="number of unpruned RBMs: the chosen one, and replicas trained on draws of it",
    )
    shots_sha256: str | None = Field(
        default=None,
        description="checksum of the bits, to detect changed shots; a run writes it to its "
        "config.toml",
    )
    readout_sha256: str | None = Field(
        default=None,
        description="checksum of the readout errors of the shots, which a run records",
    )
    positions_sha256: str | None = Field(
        default=None,
        description="checksum of the positions of the sites, which a run records",
    )
    train: AnyMethod = Field(default_factory=by_size, description="training of new RBMs")
    fine_tune: AnyMethod = Field(
        default_factory=by_size_fine_tuning, description="training after each pruning step"
    )
    prune: SearchSettings = Field(default_factory=SearchSettings)

    _methods = method_fields("train", "fine_tune")

    @field_validator("hidden", "scale_free", "links", "learning_rates", mode="before")
    @classmethod
    def _several(cls, values: Any) -> Any:
        return (values,) if isinstance(values, int | float) else values

    @field_validator("hidden", "scale_free", "links", "learning_rates")
    @classmethod
    def _distinct(cls, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        # The names of files contain six digits of a rate.
        if values is not None and len({f"{value:g}" for value in values}) < len(values):
            raise ValueError("values must differ in their first six digits")
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

    @property
    def readout(self) -> bool:
        """Whether the shots carry readout errors."""
        return self.readout_sha256 is not None

    def defaults(self, **given: Any) -> ReconstructSettings:
        """Return the settings of a run on the same shots and with the same search, else defaults.

        Args:
            **given: settings that differ from the defaults.
        """
        same = {name: getattr(self, name) for name in ("readout_sha256", "positions_sha256")}
        return ReconstructSettings(**same, prune=self.prune, **given)

    def units_for(self, sites: int) -> tuple[int, ...]:
        """Return the numbers of hidden units to try, in increasing order."""
        if self.hidden is not None:
            return tuple(sorted(self.hidden))
        sizes: tuple[int, ...] = (1, max(1, sites // 4), max(1, sites // 2), sites)
        if self.positions_sha256 and sites > EXACT_SITES and self.links_for(sites):
            sizes = (1, *sizes[2:])  # sums over N/4 units take as long as all trainings with links
        if self.prune.criterion == "surgeon":
            most = max(1, (FISHER_PARAMETERS + 1) // (sites + 1) - 1)
            sizes = tuple(min(size, most) for size in sizes)
        return tuple(sorted(set(sizes)))

    def scale_free_for(self, sites: int) -> tuple[int, ...]:
        """Return the numbers of hidden units to try with scale-free links, in increasing order."""
        if self.scale_free is not None:
            return tuple(sorted(self.scale_free))
        if self.hidden is not None or not EXACT_SITES < sites <= _MOST_SCALE_FREE_SITES:
            return ()
        hidden = sites
        while Architecture(hidden, scale_free=True).size(sites, 0).parameters > FISHER_PARAMETERS:
            hidden //= 2
        if self.positions_sha256 is not None:
            return (hidden,)
        return ((hidden + 1) // 2, hidden)  # as `mask_for_shots`

    def links_for(self, sites: int) -> tuple[int, ...]:
        """Return the numbers of links of each hidden unit to try, in increasing order."""
        if self.links is not None:
            return tuple(sorted(links for links in self.links if links < sites))
        if self.hidden is not None or self.positions_sha256 is None:
            return ()
        wide = global_units_for(sites)  # each has a bias and a weight to every site
        most = (FISHER_PARAMETERS - wide) // sites - wide - 2  # beside two biases
        return tuple(links for links in LINKS if links <= min(sites - 1, most))

    def between(self, tried: Collection[Architecture], chosen: Architecture) -> Architecture | None:
        """Return the next number of hidden units to try, below the chosen one, with such links.

        It is in the middle between that and the largest smaller one tried. None if they are
        neighbours or within a quarter of each other. With a number of links each, of which only N
        units are tried at first, half as many are next where no smaller number was.
        """
        hidden = chosen.hidden
        alike = [each.hidden for each in tried if each._replace(hidden=hidden) == chosen]
        smaller = [each for each in alike if each < hidden]
        if chosen.links and not smaller and hidden > 1:
            smaller = [0]
        if not smaller or hidden - max(smaller) < max(2.0, hidden / 4):
            return None
        return chosen._replace(hidden=(hidden + max(smaller)) // 2)

    def held_out_of(self, shots: int) -> float:
        """Return the fraction of so many shots that is not used for training."""
        if self.held_out is not None:
            return self.held_out
        return min(max(_HELD_OUT, _HELD_OUT_SHOTS / shots), 0.5)

    def shots_for(self, held_out: float) -> float:
        """Return how many shots have so many held out, the inverse of n * `held_out_of(n)`."""
        if self.held_out is not None:
            return held_out / self.held_out
        return held_out / (_HELD_OUT if held_out > _HELD_OUT_SHOTS else 0.5)

    def rates(self) -> tuple[float, ...]:
        """Return the learning rates to try if the method is cd or pcd."""
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
        methods, tunings = (
            [each.method(given, sites, self.readout) for each in self.architectures(sites)]
            for given in (self.train, self.fine_tune)
        )
        resolved: dict[str, Any] = {
            "hidden": self.units_for(sites),
            "scale_free": self.scale_free_for(sites),
            "links": self.links_for(sites),
        }
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

    def candidates(self, sites: int) -> list[Model]:
        """Return every model to try."""
        candidates: list[Model] = []
        for architecture in self.architectures(sites):
            methods = [architecture.method(self.train, sites, self.readout)]
            if isinstance(methods[0], ContrastiveDivergence):
                methods = [
                    methods[0].model_copy(update={"learning_rate": rate}) for rate in self.rates()
                ]
            candidates += [Model(architecture, method) for method in methods]
        return candidates

    def architectures(self, sites: int) -> list[Architecture]:
        """Return the hidden units and links of every model to try."""
        return [
            *(Architecture(hidden) for hidden in self.units_for(sites)),
            *(Architecture(hidden, scale_free=True) for hidden in self.scale_free_for(sites)),
            *(
                Architecture(sites + global_units_for(sites), links=links)
                for links in self.links_for(sites)
            ),
        ]
