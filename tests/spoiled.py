"""Changes to the invented datasets of `psiprune paper`, for which the verdict of a claim is known.

Each takes all datasets and returns changed ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from invented import (
    GROWN,
    HISTORY,
    JUDGED,
    LEVELS,
    SEED_FACTOR,
    SEEDS,
    SPARSE_SCALE,
    Datasets,
    two_peaks,
)
from psiprune.paper.claims.base import Finding
from psiprune.paper.claims.judge import CLAIMS, judge

KINDS = ("kl", "infidelity", "energy_roe", "abs_magnetization_roe", "correlation_mse")
EXACT = (
    "kl_exact",
    "infidelity_exact",
    "energy_bias_exact",
    "abs_magnetization_bias_exact",
    "correlation_mse_exact",
)
QCP, PM = 1.0, 2.0
ALL = slice(None)
Change = Callable[[Datasets], Datasets]


def changed(key: str, change: Callable[[xr.Dataset], xr.Dataset]) -> Change:
    """A dataset as a function of a copy of it."""
    return lambda datasets: {**datasets, key: change(datasets[key].copy(deep=True))}


def all_of(*changes: Change) -> Change:
    """One change after the other."""

    def change(datasets: Datasets) -> Datasets:
        for each in changes:
            datasets = each(datasets)
        return datasets

    return change


# Of any dataset.


def scaled(key: str, name: str, factor: object, **where: object) -> Change:
    """A variable times a factor where the coordinates are these."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        dataset[name] = dataset[name].astype(float)
        dataset[name].loc[where] = dataset[name].loc[where] * factor
        return dataset

    return changed(key, change)


def put(key: str, name: str, value: object, **where: object) -> Change:
    """A variable with a value where the coordinates are these."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        dataset[name].loc[where] = value
        return dataset

    return changed(key, change)


def attribute(key: str, name: str, value: object) -> Change:
    """An attribute of a dataset with another value."""
    return changed(key, lambda dataset: dataset.assign_attrs({name: value}))


def taken(key: str, **where: object) -> Change:
    """A part of a dataset, by positions along its dimensions."""
    return changed(key, lambda dataset: dataset.isel(where))


def few(key: str, seeds: int = 2) -> Change:
    """The first seeds of a dataset."""
    return taken(key, seed=slice(0, seeds))


def without(*names: str) -> Change:
    """No such datasets."""
    return lambda datasets: {key: each for key, each in datasets.items() if key not in names}


def without_variable(key: str, name: str) -> Change:
    return changed(key, lambda dataset: dataset.drop_vars(name))


# Of the studies.


def harmed(name: str, field: float, level: int) -> Change:
    """A measure five times as large at one level."""
    return scaled("study", name, 5.0, field=field, level=level)


def steeper(names: tuple[str, ...], field: float, power: float, key: str = "study") -> Change:
    """Measures whose growth over the dense RBM is raised to a power."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        for name in names:
            own = dataset[name].sel(field=field)
            dense = own.sel(level=0)
            dataset[name].loc[{"field": field}] = dense * (own / dense) ** power
        return dataset

    return changed(key, change)


def flat(names: tuple[str, ...], field: float, key: str = "study") -> Change:
    """Measures that pruning does not change."""
    return steeper(names, field, 0.0, key)


def grow(short: str, power: float, fields: tuple[float, ...] = (QCP, PM)) -> Change:
    """The same of a measure, sampled and exact."""
    k = list(GROWN).index(short)
    return all_of(*(steeper((KINDS[k], EXACT[k]), field, power) for field in fields))


def late(factor: float) -> Change:
    """A schedule under which all is worse from the first step on."""
    return all_of(*(scaled("schedule-0.2", name, factor, level=slice(1, None)) for name in EXACT))


def mixed(name: str, field: float, level: int, values: list[float]) -> Change:
    """A measure at a level as multiples of the dense one, seed by seed."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        dense = dataset[name].sel(field=field, level=0)
        dataset[name].loc[{"field": field, "level": level}] = dense.values * values
        return dataset

    return changed("study", change)


def as_qcp(power: float) -> Change:
    """The paramagnetic phase like the critical point, the growth of all to a power."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        for name in EXACT:
            lost = dataset[name].sel(field=QCP).values
            dataset[name].loc[{"field": PM}] = lost[:, :1] * (lost / lost[:, :1]) ** power
        return dataset

    return changed("study", change)


def components(first: list[int], key: str = "study") -> Change:
    """The level at which the graph of each seed falls apart, in all phases."""
    apart = 1 + (np.arange(LEVELS) >= np.array(first)[:, None])
    return put(key, "components", np.stack([apart] * 2))


def distribution(*ones_and_values: tuple[int, float]) -> Change:
    """Some values of P(m) of the training set."""
    name = "magnetization_distribution_data"
    return all_of(*(put("study", name, v, field=QCP, ones=k) for k, v in ones_and_values))


def higher_at(ones: int, by: float) -> Change:
    """P(m) of the training set higher than at its maxima, on both sides."""
    value = float(two_peaks(18)[1].max()) + by
    return distribution((ones, value), (18 - ones, value))


def skewed(by: float) -> Change:
    """P(m) of the training set with so much more on one side."""
    return distribution((2, float(two_peaks(18)[1][2]) + by))


def peaks_at(level: slice | int, seed: slice = ALL) -> Change:
    """P(m) with two peaks at these levels."""
    name = "magnetization_distribution"
    return put("study", name, two_peaks(18)[1], field=QCP, level=level, seed=seed)


def dense_off(by: float) -> Change:
    """P(m) of dense RBMs off by so much in total variation."""
    p = two_peaks(18)[1].copy()
    p[2] += by
    p[9] -= by
    return put("study", "magnetization_distribution", p, field=QCP, level=0)


def correlation_off(by: float) -> Change:
    """C(d) of all RBMs off by so much, relative."""

    def change(datasets: Datasets) -> Datasets:
        reference = datasets["study"]["correlation_reference"].sel(field=QCP)
        value = by**2 * float((reference**2).mean())
        return put("study", EXACT[4], value, field=QCP)(datasets)

    return change


def falling(name: str, by: float, *fields: float) -> Change:
    """A history that changes by so much of its end from one fifth of training to the next."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        own = dataset[f"history_{name}"]
        fallen = (own * (1 + by * (dataset["epoch"] <= 400))).transpose(*own.dims)
        if fields:
            fallen = fallen.where(own["field"].isin(fields), own)
        return dataset.assign({f"history_{name}": fallen})

    return changed("study", change)


def unlike(by: float) -> Change:
    """Seeds whose histories of KL lie by so much apart."""
    return scaled("study", "history_kl", (1 + by * np.linspace(-1, 1, SEEDS))[:, None])


# Of what is derived from them.


def asymmetric(ratio: float, **where: object) -> Change:
    """A Z2 ratio that chance does not make."""
    return all_of(
        put("symmetry", "ratio", ratio, field=QCP, **where),
        put("symmetry", "ratio_p", 0.0025, field=QCP, **where),
    )


def ranks(value: float, **where: object) -> Change:
    """Rank correlations of about a value."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        own = dataset["rank_correlation"]
        shape = own.loc[where]
        seeds = xr.DataArray(value - 0.01 * np.arange(SEEDS), dims="seed")
        own.loc[where] = seeds.broadcast_like(shape).transpose(*shape.dims)
        return dataset

    return changed("ranks", change)


def stages(value: float) -> Change:
    """Rank correlations of 0.9, but for one measure in pruning."""
    return all_of(ranks(0.9), ranks(value, part="pruning", measure="energy_bias"))


# Of sparse RBMs.


def worse(variant: str, field: float | slice, factor: object) -> Change:
    """All measures of a variant of sparse training, times a factor."""
    return all_of(*(kl(variant, field, factor, name) for name in HISTORY))


def kl(variant: str | slice, field: float | slice, factor: object, name: str = "kl") -> Change:
    """One measure of a variant of sparse training, times a factor."""
    return scaled("sparse", name, factor, variant=variant, field=field)


def set_to(value: float, **where: object) -> Change:
    """KL of sparse training set to a value, and all other measures in proportion."""
    scales = SPARSE_SCALE.items()
    return all_of(*(put("sparse", name, scale * value, **where) for name, scale in scales))


def bad_seeds(variant: str, value: float, count: int, field: float | slice = ALL) -> Change:
    """KL of the first seeds of a variant, and all other measures in proportion."""
    return set_to(value, variant=variant, field=field, seed=slice(0, count - 1))


def as_slow(kind: str, fields: tuple[float, ...], names: tuple[str, ...] = HISTORY) -> Change:
    """Histories of a kind that fall as those of dense RBMs do, to where they end."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        for own in (dataset[f"history_{name}"] for name in names):
            for field in fields:
                here = own.sel(field=field).transpose("variant", "seed", "epoch")
                dense, end = here.sel(variant="dense"), here.sel(variant=kind).isel(epoch=-1)
                slow = (dense / dense.isel(epoch=-1) * end).transpose("seed", "epoch")
                own.loc[{"field": field, "variant": kind}] = slow.values
        return dataset

    return changed("sparse", change)


def worse_history(kind: str) -> Change:
    """Histories of a kind that are nine times as high from beginning to end."""
    return all_of(*(scaled("sparse", f"history_{n}", 9.0, variant=kind) for n in HISTORY))


def same_in_both_phases() -> Change:
    """The paramagnetic phase as the critical point."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        for name in HISTORY:
            dataset[name].loc[{"field": PM}] = dataset[name].sel(field=QCP).values
        return dataset

    return changed("sparse", change)


def other_start(factor: object, field: float | slice = ALL) -> Change:
    """sp/os as a multiple of sp/ss of the next seed, which has the same mask."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        for name in HISTORY:
            own = dataset[name].sel(variant="sp/ss").transpose("field", "seed")
            values = np.roll(own.values, -1, axis=1) * factor * (1 + 1e-3 * np.arange(SEEDS))
            kept = values if isinstance(field, slice) else values[int(field == PM)]
            dataset[name].loc[{"variant": "sp/os", "field": field}] = kept
        return dataset

    return changed("sparse", change)


def seeds_apart(factor: float) -> Change:
    """Every second mask so much worse, from whatever start."""
    masks = np.where(np.arange(SEEDS) % 2, factor, 1.0)
    return all_of(worse("sp/ss", ALL, masks), worse("sp/os", ALL, np.roll(masks, -1)))


# Of weights and clusters.


def weights_of(dense: float) -> Change:
    """Small weights of a size, in Fig. 1 and in the ablation."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        weights = dataset["weights"]
        return dataset.assign(weights=weights.where(abs(weights) >= 1, dense))

    return all_of(changed("graph", change), changed("ablation", change))


def broken(values: list[float], **where: object) -> Change:
    """1 - F by share broken, and all measures in proportion."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        for name, scale in JUDGED:
            own = dataset[f"broken_{name}"].loc[where]
            row = xr.DataArray(values, dims="share") * xr.DataArray(SEED_FACTOR, dims="seed")
            row = row.broadcast_like(own.drop_vars(["seed", "share"])).transpose(*own.dims)
            dataset[f"broken_{name}"].loc[where] = scale * row.values
        return dataset

    return changed("ablation", change)


def ablated(kind: str, factor: float, **where: object) -> Change:
    """All measures of an ablation, "broken" or "forbidden", times a factor."""
    return all_of(*(scaled("ablation", f"{kind}_{n}", factor, **where) for n, _ in JUDGED))


def second_clusters(units: int) -> Change:
    """A second cluster in so many of the 90 units of each phase."""
    return put("clusters", "second_p_value", 0.01, hidden=0, seed=slice(0, units - 1))


def unmoved(but: int) -> Change:
    """Clusters of the control where they were, but for so many of the 90 of a phase."""
    return all_of(
        put("ablation", "overlap", 3, model="control"),
        put("ablation", "overlap", 0, model="control", hidden=0, seed=slice(0, but - 1)),
    )


def found(datasets: Datasets, key: str) -> Finding:
    """The finding of one claim."""
    ((_, finding),) = judge(datasets, [claim for claim in CLAIMS if claim.key == key])
    return finding


def named(cases: list[tuple[Any, ...]]) -> list[str]:
    """Names of cases, by claim and verdict."""
    return [f"{key}-{verdict.split()[-1]}-{k}" for k, (key, verdict, *_) in enumerate(cases)]


# Of sums over all states.


def removal(factor: float) -> Change:
    """|m| bias at the critical point once weights are removed, times a factor."""
    return scaled("sums", "removed_abs_magnetization_bias", factor, field=QCP)


def rare(times: float, *fields: float) -> Change:
    """Damage to rare configurations, as a multiple of their share."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        share = 0.1 * times * dataset["kl"].sum("walls")
        dataset["rare_kl"].loc[{"field": list(fields)}] = share.sel(field=list(fields))
        return dataset

    return changed("sums", change)
