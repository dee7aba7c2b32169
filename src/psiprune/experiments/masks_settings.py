"""Settings of the comparison of masks made before training."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from psiprune.core.limits import EXACT_GRADIENT_UNITS, FISHER_PARAMETERS
from psiprune.core.settings import Seeds
from psiprune.experiments.settings import EnsembleSettings
from psiprune.metrics.settings import MeasureSettings
from psiprune.training.method import Initial, Method
from psiprune.training.methods import AnyMethod, MethodBySize, by_size, by_size_fine_tuning
from psiprune.training.natural_gradient import NaturalGradient

#: Made before training without looking at shots or weights.
Constructed = Literal[
    "scale-free",
    "cluster",
    "power-law-0",
    "power-law-1",
    "power-law-2",
    "random",
    "nearest",
    "tails",
]
#: Made from the correlations of the shots.
Correlated = Literal["correlation"]
#: Made from the initial weights.
Scored = Literal["snip", "grasp", "synflow"]
#: Trained with links anywhere, which rounds of rewiring then move as in RigL.
Rewired = Literal["rewired"]
#: The dense RBM, or the scale-free one with the most weights, pruned by a criterion, with
#: fine-tuning after each step.
Pruned = Literal["magnitude", "surgeon", "scale-free-surgeon"]
Kind = Literal[Constructed, Correlated, Scored, Rewired, Pruned]
DENSE, CORRELATION, REWIRED = "dense", "correlation", "rewired"
SCALE_FREE_SURGEON = "scale-free-surgeon"
CONSTRUCTED, SCORED, PRUNED = (get_args(kinds) for kinds in (Constructed, Scored, Pruned))
#: The order of the variants in datasets, tables and figures.
VARIANTS = (DENSE, *CONSTRUCTED, CORRELATION, *SCORED, REWIRED, *PRUNED)
#: Compared by default where sites have positions, and where they form a chain.
_LATTICE = ("scale-free", "nearest", "tails", CORRELATION)
_CHAIN = tuple(kind for kind in CONSTRUCTED if kind not in _LATTICE or kind == "scale-free")
#: Have the symmetries of a lattice.
_NEAR = ("nearest", "tails")
#: Need the exact gradient.
_BY_GRADIENT = ("snip", "grasp")


class MasksSettings(EnsembleSettings):
    """Compare masks made before training, at equal numbers of weights and of hidden units."""

    fields: tuple[float, ...] = Field(
        default=(1.0,),
        min_length=1,
        description="transverse fields h, or with a model values of its field",
    )
    seeds: Seeds = Field(default=3, description="number of RBMs of each mask per field")
    new_shots: bool = Field(
        default=True,
        description="draw new shots for each seed; else only masks and training differ",
    )
    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(),
        description="further numbers of hidden units, compared separately",
    )
    dense_widths: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None,
        min_length=1,
        description="numbers of hidden units of the dense RBMs (default: those of the masks)",
    )
    weights_per_site: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(3.0, 5.0, 10.0, 20.0),
        min_length=1,
        description="numbers of weights per site; where so many weights cannot connect all units, "
        "or a dense RBM has no more, there is no RBM",
    )
    kinds: tuple[Kind, ...] | None = Field(
        default=None,
        description="masks beside the dense RBM (default on a chain: all but nearest, tails and "
        "correlation up to 18 hidden units or sites, else those made without looking at shots or "
        "weights; where sites have positions: scale-free, nearest, tails and correlation)",
    )
    bonds: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(2, 3, 4), min_length=1, description="bond dimensions of the MPS"
    )
    max_bond: int = Field(
        default=200, ge=1, description="largest bond dimension of the ground states"
    )
    max_variance: float | None = Field(
        default=None,
        gt=0,
        description="largest energy variance of the ground state of a model, relative to the "
        "energy squared (default: 1e-10)",
    )
    initial: Initial = Field(default="local", description="initial weights of new RBMs")
    train: AnyMethod = Field(
        default_factory=by_size, description="training of RBMs that have a mask"
    )
    dense_train: AnyMethod = Field(default_factory=by_size, description="training of dense RBMs")
    prune_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="fraction of the weights that a pruning step removes"
    )
    fine_tune: AnyMethod = Field(
        default_factory=by_size_fine_tuning, description="training after each pruning step"
    )
    measure: MeasureSettings = Field(default_factory=MeasureSettings)

    @field_validator("widths", "dense_widths", "weights_per_site", "kinds", "bonds")
    @classmethod
    def _distinct(cls, values: tuple[object, ...] | None) -> tuple[object, ...] | None:
        # Each value names files or an entry of the table.
        if values is not None and len(set(values)) < len(values):
            raise ValueError("must not contain a value twice")
        return values

    @property
    def mask_widths(self) -> tuple[int, ...]:
        """Numbers of hidden units of the RBMs with a mask, in increasing order."""
        return tuple(sorted({self.hidden_units, *self.widths}))

    @property
    def all_widths(self) -> tuple[int, ...]:
        """All numbers of hidden units, in increasing order."""
        return tuple(sorted({*self.mask_widths, *(self.dense_widths or ())}))

    @property
    def positions(self) -> NDArray[np.float64] | None:
        """Positions of the sites of the model, [site, axis]; None for a chain."""
        places = None if self.model is None else self.model.places
        return None if places is None else np.array(places)

    @property
    def variants(self) -> tuple[str, ...]:
        """The dense RBM, all kinds and what they start from, in the order of `VARIANTS`."""
        kinds: tuple[str, ...] | None = self.kinds
        if kinds is None and self.positions is not None:
            kinds = _LATTICE
        elif kinds is None:
            width = max(self.mask_widths)
            small = min(self.sites, width) <= EXACT_GRADIENT_UNITS
            small = small and (self.sites + 1) * (width + 1) - 1 <= FISHER_PARAMETERS
            kinds = (*_CHAIN, *SCORED, *PRUNED) if small else _CHAIN
        if SCALE_FREE_SURGEON in kinds:
            kinds = (*kinds, "scale-free")
        return tuple(name for name in VARIANTS if name == DENSE or name in kinds)

    def counts(self, width: int, variant: str) -> list[int]:
        """Return the numbers of weights of a variant with so many hidden units, least first."""
        dense = self.sites * width
        if variant == DENSE:
            return [dense] if width in (self.dense_widths or self.mask_widths) else []
        if width not in self.mask_widths:
            return []
        from psiprune.experiments.mask_kinds import least_weights  # loads xarray

        least = least_weights(variant, width, self.sites)
        of_sites = {round(ratio * self.sites) for ratio in self.weights_per_site}
        counts = sorted(count for count in of_sites if least <= count < dense)
        return counts[:-1] if variant == SCALE_FREE_SURGEON else counts

    def _sized(self, name: str, method: Method | MethodBySize) -> Method:
        """Return a method as it is or by size, where a mask leaves few enough parameters."""
        if name == "dense_train":
            return method.for_size(self.sites, max(self.dense_widths or self.mask_widths))
        width, weights = max(self.mask_widths), None
        if min(self.sites, width) > EXACT_GRADIENT_UNITS:
            if isinstance(method, NaturalGradient):
                return method
            # The natural gradient, also where it could not train all weights.
            weights = 0
        return method.for_size(self.sites, width, weights=weights)

    def _check_together(self) -> None:
        super()._check_together()
        for width in self.mask_widths:
            dense = self.sites * width
            counts = sorted({n for name in self.variants[1:] for n in self.counts(width, name)})
            if not counts:
                raise ValueError(
                    f"weights_per_site: with {width} hidden units, masks have from "
                    f"{(self.sites + width - 1) / self.sites:.3g} to below {width} weights per "
                    f"site, found {self.weights_per_site}"
                )
            units = min(self.sites, width)
            for kind in _BY_GRADIENT:
                if kind in self.variants and units > EXACT_GRADIENT_UNITS:
                    raise ValueError(
                        f"kinds: '{kind}' needs a layer of at most {EXACT_GRADIENT_UNITS} units, "
                        f"found {self.sites} sites and {width} hidden units; omit it"
                    )
            dense_start = {"magnitude", "surgeon"} & set(self.variants)
            if dense_start and not self.counts(width, DENSE):
                raise ValueError(
                    f"dense_widths: '{min(dense_start)}' prunes the dense RBM, but there is none "
                    f"with {width} hidden units; add {width}"
                )
            biases = self.sites + width
            start = {"surgeon": dense, SCALE_FREE_SURGEON: counts[-1]}
            for kind in start.keys() & set(self.variants):
                if start[kind] + biases > FISHER_PARAMETERS:
                    raise ValueError(
                        f"kinds: '{kind}' supports at most {FISHER_PARAMETERS:,} parameters, found "
                        f"{start[kind] + biases:,} of the RBM that it prunes; omit it"
                    )
            asked = self.kinds is not None and SCALE_FREE_SURGEON in self.kinds
            if asked and not self.counts(width, SCALE_FREE_SURGEON):
                raise ValueError(
                    f"kinds: '{SCALE_FREE_SURGEON}' prunes the scale-free RBM with the most "
                    f"weights to the other numbers of weights, found only {counts[-1]} for {width} "
                    "hidden units; give two or more weights_per_site"
                )
            self._check_lattice(width)
            self._check_pairs(width)
            train = self._sized("train", self.train)
            if isinstance(train, NaturalGradient) and counts[-1] + biases > FISHER_PARAMETERS:
                raise ValueError(
                    f"weights_per_site: 'natural' trains at most {FISHER_PARAMETERS:,} parameters, "
                    f"found {counts[-1] + biases:,}; use less or train.method 'pcd'"
                )

    def _check_lattice(self, width: int) -> None:
        """Refuse what has not the symmetries of a lattice, if a method ties to them."""
        methods = {"train": self.train, "dense_train": self.dense_train}
        methods |= {"fine_tune": self.fine_tune} if set(PRUNED) & set(self.variants) else {}
        for field, method in methods.items():
            name = getattr(method, "symmetry", None)
            if name is None or not name.endswith("lattice"):
                continue
            if self.positions is None:
                raise ValueError(
                    f"{field}.symmetry: '{name}' needs a model whose sites have positions, found a "
                    "chain; use 'mirror'"
                )
            others = [kind for kind in self.variants if kind not in (DENSE, *_NEAR)]
            if others or width % self.sites:
                found = f"'{others[0]}'" if others else f"{width} hidden units"
                raise ValueError(
                    f"{field}.symmetry: '{name}' needs {self.sites} hidden units or a multiple, "
                    f"and the kinds {' and '.join(_NEAR)}, found {found}; use these"
                )

    def _check_pairs(self, width: int) -> None:
        """Refuse what does not keep pairs of mirror images, if fine-tuning ties them."""
        symmetry = getattr(self.fine_tune, "symmetry", None)
        if symmetry in (None, "flip"):
            return
        if REWIRED in self.variants:
            raise ValueError(
                f"kinds: '{REWIRED}' moves single weights, so fine_tune.symmetry must be 'flip' or "
                f"omitted, found '{symmetry}'"
            )
        pruned = [
            count for kind in PRUNED if kind in self.variants for count in self.counts(width, kind)
        ]
        odd = [count for count in pruned if count % 2]
        if odd or (pruned and self.sites * width % 2):
            found = odd[0] if odd else self.sites * width
            raise ValueError(
                f"weights_per_site: with fine_tune.symmetry '{symmetry}' weights are pruned in "
                f"pairs, so all numbers of weights must be even, found {found}"
            )
