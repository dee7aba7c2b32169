"""Datasets in which the paper is right: made up, deterministic, and easy to spoil."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import xarray as xr

Datasets = dict[str, xr.Dataset]
SEEDS, LEVELS = 10, 21
#: Each seed has its own level of everything, so that no two numbers are equal.
SEED_FACTOR = 1 + 0.002 * np.arange(SEEDS)
MEASURES = ("kl", "infidelity", "energy", "abs_magnetization", "correlation_mse")
#: By how much the logarithm of each measure grows per harmful level, in both phases.
RATES = (
    dict(zip(MEASURES, (0.18, 0.14, 0.06, 0.30, 0.24), strict=True)),
    dict(zip(MEASURES, (0.8, 0.6, 0.2, 1.5, 1.2), strict=True)),
)
#: The last harmless level in both phases.
HARMLESS = (3, 13)
DENSE = dict(zip(MEASURES, (0.0025, 0.0012, 0.0003, 0.004, 1e-4), strict=True))


def world() -> Datasets:
    """All datasets of a run in which every claim holds but "rules-often-poor".

    That one cannot hold together with "sparse-comparable".
    """
    return {key: dataset.copy(deep=True) for key, dataset in _made().items()}


@cache
def _made() -> Datasets:
    study = _study(18, 0.0, 18, SEEDS)
    return {
        "study": study,
        "size-50": _study(50, 0.1, 20, 3),
        "schedule-0.2": study.copy(deep=True),
        "graph": _graph(),
        "symmetry": _symmetry(),
        "decay": _decay(),
        "ranks": _ranks(),
        "sparse": _sparse(),
        "ablation": _ablation(),
        "clusters": _clusters(),
        "frontier": _frontier(),
    }


def _study(sites: int, later: float, apart: int, seeds: int) -> xr.Dataset:
    """A study whose C(d) is damaged `later`, and whose graph falls apart at level `apart`."""
    hidden = sites // 2
    total = sites * hidden
    kept = np.array([round(total * 0.9**level) for level in range(LEVELS)])
    pruned = 1 - kept / total
    factor = SEED_FACTOR[:seeds]
    shape = (2, seeds, LEVELS)
    order = ("field", "seed", "level")
    variables: dict[str, object] = {
        "weights_kept": (order, np.broadcast_to(kept, shape).copy()),
        "fraction_pruned": (order, np.broadcast_to(pruned, shape).copy()),
        "components": (order, np.broadcast_to(1 + (np.arange(LEVELS) >= apart), shape).copy()),
    }
    for name in MEASURES:
        steps = [np.maximum(0, np.arange(LEVELS) - last) for last in HARMLESS]
        # Seeds grow at rates of their own, so that no two differences tie.
        rates = [
            rate[name] * factor[:, None] ** 5 * k for rate, k in zip(RATES, steps, strict=True)
        ]
        values = DENSE[name] * np.exp(rates) * factor[None, :, None]
        exact = values.copy()
        relative = name in ("energy", "abs_magnetization")
        if name == "abs_magnetization":  # rises at once, and soon a lot
            exact[0, :, 1:4] *= 1.2
            exact[0, :, 4:] *= 2.0
        sampled = f"{name}_roe" if relative else name
        variables[sampled] = (order, values)
        variables[f"{sampled}_floor"] = (order, np.full(shape, DENSE[name] / 10))
        variables[f"{name}_bias_exact" if relative else f"{name}_exact"] = (order, exact)
    reference = np.exp(-0.2 * np.arange(sites // 2 + 1))
    change = np.maximum(0, pruned - 0.3 - later)
    c = reference * (1 - change[:, None])
    c = c * np.ones((2, seeds, 1, 1))
    variables["correlation"] = ((*order, "distance"), c)
    variables["correlation_reference"] = (("field", "distance"), np.stack([reference] * 2))
    ones, p = two_peaks(sites)
    flat = np.exp(-((ones - sites / 2) ** 2) / sites)
    flat /= flat.sum()
    mix = (np.arange(LEVELS) / (LEVELS - 1))[:, None]
    distribution = ((1 - mix) * p + mix * flat) * np.ones((2, seeds, 1, 1))
    variables["magnetization_distribution"] = ((*order, "ones"), distribution)
    variables["magnetization_distribution_error"] = (
        (*order, "ones"),
        np.full(distribution.shape, 1e-4),
    )
    for end in ("data", "reference"):
        variables[f"magnetization_distribution_{end}"] = (("field", "ones"), np.stack([p, p]))
        variables[f"abs_magnetization_{end}"] = ("field", np.array([0.516, 0.25]))
    variables["magnetization_data"] = ("field", np.array([0.002, 0.001]))
    variables["abs_magnetization"] = (order, np.full(shape, 0.517))
    epochs = 20 * np.arange(26)
    for name in MEASURES:
        kind = name if name in ("kl", "infidelity", "correlation_mse") else f"{name}_bias"
        fall = DENSE[name] * (1 + 500 * np.exp(-epochs / 25)) * factor[:, None]
        variables[f"history_{kind}"] = (("field", "seed", "epoch"), np.stack([fall] * 2))
    coordinates = {
        "field": [1.0, 2.0],
        "seed": np.arange(seeds),
        "level": np.arange(LEVELS),
        "epoch": epochs,
        "ones": ones,
    }
    return xr.Dataset(variables, coordinates, {"sites": sites, "hidden": hidden, "coupling": 1.0})


def two_peaks(sites: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of ones, and a distribution with its peaks at the m nearest to +-0.75."""
    ones = np.arange(sites + 1)
    m = 1 - 2 * ones / sites
    place = m[np.abs(m - 0.75).argmin()]
    p = 1 + np.exp(-20 * (m - place) ** 2) + np.exp(-20 * (m + place) ** 2)
    return ones, p / p.sum()


def _graph() -> xr.Dataset:
    weights = np.full((2, 5, 10), 0.1)
    for unit in range(5):
        weights[0, unit, 2 * unit : 2 * unit + 2] = 2.0
        weights[0, unit, (2 * unit + 2) % 10] = -2.0
    return xr.Dataset(
        {"weights": (("level", "hidden", "visible"), weights)},
        attrs={"sites": 10, "hidden": 5, "coupling": 1.0, "field": 1.0},
    )


def _symmetry() -> xr.Dataset:
    return xr.Dataset(
        {
            "ratio": (("field", "most"), np.array([[1.01, 0.98], [1.0, 1.0]])),
            "ratio_spread": (("field", "most"), np.array([[0.05, 0.19], [0.1, 0.1]])),
            "expected_ratio": (("field", "most"), np.ones((2, 2))),
            "expected_spread": (("field", "most"), np.full((2, 2), 0.1)),
            "ratio_p": (("field", "most"), np.full((2, 2), 0.5)),
            "shots": ("field", [100_000, 100_000]),
        },
        {"field": [1.0, 2.0], "most": [10, 100]},
    )


def _decay() -> xr.Dataset:
    """A power law that turns into an exponential; the larger size has three seeds."""
    delta = np.broadcast_to(np.linspace(-10, 10, LEVELS), (2, 2, SEEDS, LEVELS)).copy()
    delta[1, :, 3:] = np.nan
    pruned = [
        [1 - round(n * (n // 2) * 0.9**k) / (n * (n // 2)) for k in range(LEVELS)] for n in (18, 50)
    ]
    return xr.Dataset(
        {
            "delta_aic": (("size", "field", "seed", "level"), delta),
            "delta_aic_reference": (("size", "field"), np.array([[-5.0, 9.0]] * 2)),
            "fraction_pruned": (("size", "level"), np.array(pruned)),
            "sampled": ("size", [0, 1]),
        },
        {
            "size": [18, 50],
            "field": [1.0, 2.0],
            "seed": np.arange(SEEDS),
            "level": np.arange(LEVELS),
        },
    )


def _ranks() -> xr.Dataset:
    measures = ["infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse"]
    base = np.array([[0.99, 0.95, 0.6, 0.9], [0.99, 0.9, 0.9, 0.7]])
    slopes = 0.01 + 0.001 * np.arange(8).reshape(2, 4)  # no two differences tie
    values = base - slopes * np.arange(SEEDS)[:, None, None]
    return xr.Dataset(
        {"rank_correlation": (("field", "seed", "part", "measure"), np.stack([values, values]))},
        {
            "field": [1.0, 2.0],
            "seed": np.arange(SEEDS),
            "part": ["training", "pruning"],
            "measure": measures,
        },
    )


VARIANTS = ["dense", "pruned", "sp/ss", "sp/os", "sc", "random"]
#: KL over that of pruned by variant, and what sp/os is by seed.
SPARSE = ({"dense": 0.8, "sp/ss": 0.98, "sc": 1.99}, {"dense": 1.0, "sp/ss": 0.6, "sc": 0.8})
OTHER_SEED = np.array([0.9, *[1.3] * 7, 1.9, 1.9])


def _sparse() -> xr.Dataset:
    last = np.ones((2, SEEDS, len(VARIANTS)))
    for field, own in enumerate(SPARSE):
        for k, variant in enumerate(VARIANTS):
            last[field, :, k] = OTHER_SEED if variant == "sp/os" else own.get(variant, 1.0)
    last *= 0.002 * SEED_FACTOR[None, :, None]
    epochs = 10 * np.arange(51)
    # sp/ss is where dense is only at twice the epoch.
    speed = np.array([1.0, 1.0, 2.0, 1.0, 1.0, 1.0])
    fall = 2 * np.exp(-epochs * speed[:, None] / 30.0)
    order = ("field", "seed", "variant")
    scales = {
        "kl": 1.0,
        "infidelity": 0.5,
        "energy_bias": 0.1,
        "abs_magnetization_bias": 2.0,
        "correlation_mse": 0.01,
    }
    history = {
        f"history_{name}": ((*order, "epoch"), scale * (last[..., None] + fall))
        for name, scale in scales.items()
    }
    return xr.Dataset(
        {**{name: (order, scale * last) for name, scale in scales.items()}, **history},
        {
            "field": [1.0, 2.0],
            "seed": np.arange(SEEDS),
            "variant": VARIANTS,
            "epoch": epochs,
        },
        {"sites": 18, "hidden": 9, "coupling": 1.0, "train_epochs": 500},
    )


def _ablation() -> xr.Dataset:
    shares = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    units = 9
    lost = 0.001 + 0.1 * shares
    shape = (2, SEEDS, 2, len(shares))
    order = ("field", "seed", "start", "share")
    scale = SEED_FACTOR[None, :, None, None]
    own = ("field", "seed", "model")
    kl = np.array([0.0025, 0.0028, 0.003]) * SEED_FACTOR[None, :, None] * np.ones((2, 1, 1))
    each = (2, SEEDS, 3, units)
    overlap = np.full(each, 3)
    overlap[:, :, 1] = 0
    overlap[:, :, 2, :2] = 0  # a few move although they need not
    weights = np.full((2, SEEDS, 3, units, 18), 0.1)
    weights[..., 4:7] = 2.0
    return xr.Dataset(
        {
            "broken_infidelity": (order, np.broadcast_to(lost, shape) * scale),
            "broken_kl": (order, np.broadcast_to(2 * lost, shape) * scale),
            "forbidden_kl": (own, kl),
            "found": ((*own, "hidden"), np.ones(each, bool)),
            "share_of_unit": ((*own, "hidden"), np.full(each, 0.8)),
            "overlap": ((*own, "hidden"), overlap),
            "weights": ((*own, "hidden", "visible"), weights),
        },
        {
            "field": [1.0, 2.0],
            "seed": np.arange(SEEDS),
            "start": ["initial", "dense"],
            "share": shares,
            "model": ["dense", "forbidden", "control"],
        },
        {"sites": 18, "hidden": units, "coupling": 1.0, "width": 3, "threshold": 0.05},
    )


def _clusters() -> xr.Dataset:
    order = ("field", "seed", "hidden")
    shape = (2, SEEDS, 9)
    return xr.Dataset(
        {
            "best_width": (order, np.full(shape, 3)),
            "second_p_value": (order, np.full(shape, 0.5)),
        },
        {"field": [1.0, 2.0], "seed": np.arange(SEEDS)},
        {"coupling": 1.0},
    )


def _frontier() -> xr.Dataset:
    variants, count = ["magnitude-cd", "surgeon"], np.array([162, 118, 86, 63, 46])
    kl = 0.002 * np.array([[1.05, 1.1, 3.0, 6.0, 20.0], [1.0, 1.0, 1.3, 1.9, 5.0]])
    values = kl[None, None] * SEED_FACTOR[:3, None, None] * np.ones((2, 1, 1, 1))
    order = ("field", "seed", "variant", "count")
    mps = ("field", "bond")
    return xr.Dataset(
        {
            "kl": (order, values),
            "abs_magnetization_bias": (order, values),
            "abs_magnetization_roe": (order, values + 0.004),
            "mps_parameters": (mps, np.array([[68], [68]])),
            "mps_kl": (mps, np.array([[0.03], [0.03]])),
            "mps_abs_magnetization_bias": (mps, np.array([[0.05], [0.05]])),
            "mps_abs_magnetization_roe": (mps, np.array([[0.06], [0.06]])),
        },
        {
            "field": [1.0, 2.0],
            "seed": np.arange(3),
            "variant": variants,
            "count": count,
            "bond": [2],
        },
        {"sites": 18, "hidden": 9, "coupling": 1.0, "limit": 0.02},
    )


# How to spoil it: each takes all datasets and gives changed ones.

Change = Callable[[Datasets], Datasets]


def scaled(key: str, name: str, factor: object, **where: object) -> Change:
    """A variable times a factor where the coordinates are these."""

    def change(datasets: Datasets) -> Datasets:
        dataset = datasets[key].copy(deep=True)
        dataset[name] = dataset[name].astype(float)
        dataset[name].loc[where] = dataset[name].loc[where] * factor
        return {**datasets, key: dataset}

    return change


def put(key: str, name: str, value: object, **where: object) -> Change:
    """A variable with a value where the coordinates are these."""

    def change(datasets: Datasets) -> Datasets:
        dataset = datasets[key].copy(deep=True)
        dataset[name].loc[where] = value
        return {**datasets, key: dataset}

    return change


def attribute(key: str, name: str, value: object) -> Change:
    """An attribute of a dataset with another value."""
    return lambda datasets: {**datasets, key: datasets[key].assign_attrs({name: value})}


def taken(key: str, **where: object) -> Change:
    """A part of a dataset, by positions along its dimensions."""
    return lambda datasets: {**datasets, key: datasets[key].isel(where)}


def few(key: str, seeds: int = 2) -> Change:
    """The first seeds of a dataset."""
    return taken(key, seed=slice(0, seeds))


def all_of(*changes: Change) -> Change:
    """One change after the other."""

    def change(datasets: Datasets) -> Datasets:
        for each in changes:
            datasets = each(datasets)
        return datasets

    return change
