"""Kinds of RBM side by side, as in the paper's Fig. 5: what rules on sparse training share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from psiprune.paper.claims.base import Datasets, InsufficientDataError, Number, number
from psiprune.paper.claims.data import EXACT, Float64, phase
from psiprune.paper.claims.tests import Contrast, band_numbers

#: The paper's kinds of RBM, and those of them that are sparse before training.
SPARSE = ("sp/ss", "sp/os", "sc")
KINDS = ("dense", "pruned", *SPARSE)
#: Masks of chance with as many weights: beside what a rule measures stands what they reach.
CONTROL = "random"
#: Sums over all states, as all measures of this dataset up to 20 sites.
TITLES = {name.removesuffix("_exact"): title for name, title in EXACT.items()}


def of_kinds(datasets: Datasets, ratio: float, least: int, kinds: Sequence[str]) -> xr.Dataset:
    """The dataset at one field, with the seeds of which all measures of these kinds are known.

    Raises:
        Undecided: a kind is missing, or fewer than `least` seeds are left.
    """
    own = all_of_kinds(datasets, ratio, kinds)
    known = np.ones(own.sizes["seed"], bool)
    for name in TITLES:
        known &= np.isfinite(own[name].transpose("seed", "variant").values).all(axis=1)
    if known.sum() < least:
        raise InsufficientDataError(
            f"the rule needs at least {least} seeds, found {int(known.sum())}"
        )
    return own.isel(seed=np.flatnonzero(known))


def all_of_kinds(datasets: Datasets, ratio: float, kinds: Sequence[str]) -> xr.Dataset:
    """The dataset at one field with all seeds, of these kinds; see `of_kinds`."""
    here = phase(datasets, "sparse", ratio)
    missing = [kind for kind in kinds if kind not in here["variant"].values]
    if missing:
        raise InsufficientDataError(f"sparse has no {missing[0]}")
    return here.sel(variant=list(kinds))


def control_of(datasets: Datasets, ratio: float, here: xr.Dataset) -> xr.Dataset | None:
    """The random control at the field and of the seeds of `here`; None where the run has none.

    No verdict rests on it, so seeds of which it is not known count for the claim all the same.
    """
    if CONTROL not in datasets["sparse"]["variant"].values:
        return None
    own = all_of_kinds(datasets, ratio, (CONTROL,)).sel(seed=here["seed"])
    known = np.isfinite(values_of(own, CONTROL))
    return own.isel(seed=np.flatnonzero(known)) if known.any() else None


def values_of(here: xr.Dataset, kind: str, name: str = "kl") -> Float64:
    """A measure of one kind, [seed]."""
    return np.asarray(here[name].sel(variant=kind).values, np.float64)


def label_of(kind: str) -> str:
    """A kind as a part of a number's name."""
    return kind.replace("/", "_")


def median_of(here: xr.Dataset, kind: str, name: str = "kl") -> Number:
    """The median of a measure of one kind over seeds."""
    value = float(np.median(values_of(here, kind, name)))
    return number(value, f"median over seeds, {kind}", f"sparse/{name}")


def bands_of_kind(label: str, here: xr.Dataset, kind: str) -> dict[str, Number]:
    """The median and the band of KL of one kind over seeds."""
    return band_numbers(label, values_of(here, kind), f"over seeds, {kind}", "sparse/kl")


def against(label: str, one: str, other: str, found: Contrast, name: str) -> dict[str, Number]:
    """Ratio and p-value of one kind against another."""
    how = f"{one} over {other}"
    return {
        f"{label}_ratio": number(found.ratio, f"median over seeds of {how}", f"sparse/{name}"),
        f"{label}_p": number(found.p, f"signed ranks, two-sided, {how}", f"sparse/{name}"),
    }
