"""What the sentences of several figures have in common."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import xarray as xr

from psiprune.reporting.labels import phase_label
from psiprune.reporting.traced import Named, Number, Sentence, percent, say, size

#: A measure counts as unharmed while it is at most so many times that of the dense RBM.
HARMLESS = 2.0


def fields(of: Named) -> Iterator[tuple[float, str]]:
    """Each field of a dataset with the name of its phase."""
    for field in of.data["field"].values:
        yield float(field), phase_label(of.data, float(field))


def over_seeds(of: Named) -> Sentence:
    """Over what a median is taken: "one seed", "median of 10 seeds"."""
    seeds = size(of, "seed")
    return say("one seed") if seeds.value == 1 else say("median of {n} seeds", n=seeds)


def level_near(study: xr.Dataset, field: float, share: float) -> int:
    """The level with about this share of the weights pruned."""
    pruned = study["fraction_pruned"].sel(field=field).median("seed")
    return int(pruned["level"][int(np.abs(pruned.values - share).argmin())])


def last_level(dataset: xr.Dataset) -> int:
    """The level with the fewest weights."""
    return int(dataset["level"][-1])


def harmless(of: Named, field: float, variable: str = "kl") -> Number:
    """The largest share pruned up to which a measure stays within twice that of the dense RBMs.

    For each seed up to its last level before the first that breaks this, then the median.
    """
    here = of.data.sel(field=field)
    values = here[variable].transpose("seed", "level").values
    pruned = here["fraction_pruned"].transpose("seed", "level").values
    # NaN is no proof that a level is unharmed.
    within = np.logical_and.accumulate(values <= HARMLESS * values[:, :1], axis=1)
    shares = [p[ok].max() if ok.any() else 0.0 for p, ok in zip(pruned, within, strict=True)]
    share = float(np.median(shares))
    rule = f"last level up to which {variable}[field={field:g}] <= {HARMLESS:g} x its level 0"
    return Number(
        share, percent(share), f"{of.name}: median over seed of fraction_pruned at the {rule}"
    )


def smallest(numbers: dict[str, Number]) -> str:
    """The name of the smallest number that is known."""
    return min(numbers, key=lambda name: _or_infinite(numbers[name].value))


def largest(numbers: dict[str, Number]) -> str:
    """The name of the largest number that is known."""
    return min(numbers, key=lambda name: _or_infinite(-numbers[name].value))


def _or_infinite(value: float) -> float:
    return value if math.isfinite(value) else math.inf
