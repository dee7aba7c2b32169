"""Datasets with the names and shapes of real ones and invented numbers, for tests of all kinds.

`study` and what follows it are random, for figures and tables. `world` has all datasets of a run in
which the paper is right: deterministic, and easy to spoil by a `Change`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

import psiprune as pp
from psiprune.pruning.schedule import weights_kept
from psiprune.rbm.init import initial_rbm

Datasets = dict[str, xr.Dataset]
MEASURES = (
    *("kl", "infidelity", "energy_roe", "energy_bias", "abs_magnetization_roe"),
    *("abs_magnetization_bias", "correlation_mse"),
)
RANKED = ("infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse")
HISTORY = ("kl", *RANKED)
PARTS: dict[str, Any] = {"part": ["training", "pruning"], "measure": list(RANKED)}


def over(sizes: Mapping[str, int], dims: str, values: ArrayLike) -> tuple[list[str], np.ndarray]:
    """A variable over these dimensions, in which the values are repeated as often as it takes."""
    names = dims.split()
    return names, np.broadcast_to(values, [sizes[name] for name in names]).copy()


def study_of(variables: Mapping[str, ArrayLike], sites: int, **coordinates: Any) -> xr.Dataset:
    """A study of these variables, whose dimensions follow from their names."""
    coordinates |= {"ones": range(sites + 1), "distance": range(sites // 2 + 1)}
    sizes = {name: len(values) for name, values in coordinates.items()}
    attributes = {"sites": sites, "hidden": sites // 2, "coupling": 1.0}
    spread = {name: over(sizes, _dimensions(name), values) for name, values in variables.items()}
    return xr.Dataset(spread, coordinates, attributes)


def _dimensions(name: str) -> str:
    plain = name.removesuffix("_reference").removesuffix("_data").removesuffix("_error")
    last = {"correlation": " distance", "magnetization_distribution": " ones"}.get(plain, "")
    if name.endswith(("_reference", "_data")):
        return f"field{last}"
    return f"field seed {'epoch' if name.startswith('history_') else 'level'}{last}"


def study(
    *,
    sites: int = 18,
    hidden: int | None = None,
    fields: tuple[float, ...] = (1.0, 2.0),
    seeds: int = 3,
    levels: int = 6,
    fraction: float = 0.2,
    first_fraction: float | None = None,
    coupling: float = 1.0,
) -> xr.Dataset:
    """A study of `levels` steps, without `_exact` above 20 sites."""
    hidden = hidden or sites // 2
    total = sites * hidden
    steps = range(levels + 1)
    kept = np.array(
        [weights_kept(total, fraction, step, first_fraction=first_fraction) for step in steps]
    )
    by_level = (len(fields), seeds, levels + 1)
    generator = np.random.default_rng(sites)
    far, ones = np.arange(sites // 2 + 1), sites + 1
    variables: dict[str, Any] = {
        "weights_kept": kept,
        "fraction_pruned": 1.0 - kept / total,
        "components": 1 + (kept < sites + hidden - 1),
        "magnetization": 0.01 * generator.standard_normal(by_level),
        "abs_magnetization": 0.5 * generator.random(by_level),
        "correlation": 0.7 ** (far * (1.0 + generator.random((*by_level, 1)))),
        "correlation_error": 0.01,
        "magnetization_distribution": generator.dirichlet(np.ones(ones), by_level),
    }
    for name in MEASURES:
        variables[name] = generator.random(by_level)
        variables[f"{name}_error"] = 0.1 * generator.random(by_level)
        variables[f"{name}_floor"] = 0.01
    for name in HISTORY:
        variables[f"history_{name}"] = generator.random((len(fields), seeds, 4))
        if sites <= 20:
            variables[f"{name}_exact"] = generator.random(by_level)
    for kind in ("reference", "data"):
        variables[f"abs_magnetization_{kind}"] = 0.5
        variables[f"magnetization_{kind}"] = 0.0
        variables[f"correlation_{kind}"] = 0.8**far
        variables[f"magnetization_distribution_{kind}"] = 1 / ones
    made = study_of(
        variables, sites, field=list(fields), seed=range(seeds), level=steps, epoch=[0, 1, 2, 4]
    )
    return made.assign_attrs(coupling=coupling, hidden=hidden)


def without(study: xr.Dataset, level: int, seed: int | None = None) -> xr.Dataset:
    """The study, all of one level being NaN, or of one seed there."""
    there = study["level"] != level
    if seed is not None:
        there = there | (study["seed"] != seed)
    measured = {
        name: values.where(there) for name, values in study.items() if "level" in values.dims
    }
    return study.assign(measured)


def models(*, sites: int = 10, levels: int = 6) -> xr.Dataset:
    """One field's RBMs, the smallest weights gone, over level, hidden and visible."""
    hidden = sites // 2
    dense = initial_rbm(sites, hidden, seed=3)
    size = np.abs(dense.weights).ravel().argsort()
    kept = [weights_kept(dense.mask.size, 0.2, step) for step in range(levels + 1)]
    masks = np.ones((levels + 1, dense.mask.size), bool)
    for mask, count in zip(masks, kept, strict=True):
        mask[size[: mask.size - count]] = False
    rbms = [dense.with_mask(mask.reshape(dense.mask.shape)) for mask in masks]
    return xr.Dataset(
        {
            "weights": (("level", "hidden", "visible"), [rbm.weights for rbm in rbms]),
            "mask": (("level", "hidden", "visible"), [rbm.mask for rbm in rbms]),
            "weights_kept": ("level", kept),
            "fraction_pruned": ("level", [1.0 - rbm.density for rbm in rbms]),
            "components": ("level", [rbm.components for rbm in rbms]),
        },
        {"field": 1.0, "level": range(levels + 1)},
        {"sites": sites, "hidden": hidden, "coupling": 1.0},
    )


def symmetry(fields: tuple[float, ...] = (1.0, 2.0)) -> xr.Dataset:
    """Ratios for K = 10, 100, 1000; of the last there are not as many configurations."""
    values = {
        "ratio": [1.01, 1.1, np.nan],
        "ratio_spread": [0.05, 0.2, np.nan],
        "expected_ratio": [1.0, 1.05, np.nan],
        "expected_spread": [0.04, 0.3, np.nan],
        "with_partner": [10, 98, np.nan],
    }
    sizes = {"field": len(fields), "most": 3}
    spread = {name: over(sizes, "field most", each) for name, each in values.items()}
    return xr.Dataset(spread, {"field": list(fields), "most": [10, 100, 1000]})


def ranks(study: xr.Dataset) -> xr.Dataset:
    """Rank correlations of a study's measures with KL."""
    axes = {"field": study["field"], "seed": study["seed"], **PARTS}
    values = np.random.default_rng(5).uniform(-1, 1, [len(axis) for axis in axes.values()])
    return xr.Dataset({"rank_correlation": (list(axes), values)}, axes)


def timing() -> dict[str, Any]:
    """Times of four RBMs, a part of which does not depend on the weights."""
    names = ("weights", "density", "cd_update", "gibbs_step")
    rows = [
        dict(zip(names, (count, count / 162, 5 + count / 6, 0.1 * k), strict=True))
        for k, count in ((9, 162), (6, 100), (4, 50), (2, 20))
    ]
    return {"sites": 18, "hidden": 9, "batch_size": 100, "cd_steps": 10, "rows": rows}


#: Measures and numbers of weights of the levels of `path`.
PATH_MEASURES = (
    *("kl", "fidelity", "energy_roe", "energy_bias"),
    *("abs_magnetization_roe", "abs_magnetization_bias", "correlation_mse"),
    *("energy", "energy_variance", "entropy_loss", "renyi2_loss"),
)
PATH_COUNTS = (72, 58, 46, 37, 30, 24, 19, 15)


def path(counts: tuple[int, ...] = PATH_COUNTS, *, error: float = 0.1) -> list[pp.Level]:
    """A path of 12 sites and 6 hidden units whose measures grow with the weights pruned."""
    dense = initial_rbm(12, 6, seed=1)
    levels = []
    for step, count in enumerate(counts):
        mask = (np.arange(72) < count).reshape(6, 12)
        values = {
            name: pp.Measure(1e-3 * (1 + k) * 1.8**step, error * 1e-3, 5e-4 * (1 + k), "invented")
            for k, name in enumerate(PATH_MEASURES)
        }
        values["renyi2_loss"] = pp.Measure(-1e-2, 0.0, 0.0, "invented")  # entropy gained
        values["fidelity"] = pp.Measure(1.0 - 2e-3 * 1.8**step, 0.0, 1.0 - 1e-3, "invented")
        observables = SimpleNamespace()
        report = pp.Report(**values, observables=observables, exact=None)  # type: ignore[arg-type]
        levels.append(pp.Level(step, dense.with_mask(mask), report))
    return levels


#: The world in which the paper is right.
SEEDS, LEVELS = 10, 21
#: Claims that do not hold there.
WRONG = ("rules-often-poor", "superfluous-weights-help")
#: Each seed has its own level of everything, so that no two numbers are equal.
SEED_FACTOR = 1 + 0.002 * np.arange(SEEDS)
#: The dense value of each measure, and by how much its logarithm grows per harmful level, at the
#: critical point and in the paramagnetic phase.
GROWN: dict[str, tuple[float, tuple[float, float]]] = {
    "kl": (0.0025, (0.18, 0.8)),
    "infidelity": (0.0012, (0.14, 0.6)),
    "energy": (0.0003, (0.10, 0.2)),
    "abs_magnetization": (0.004, (0.30, 1.5)),
    "correlation_mse": (1e-4, (0.24, 1.2)),
}
#: The last harmless level in both phases.
HARMLESS = (3, 13)
_SIZES = {"field": 2, "seed": SEEDS, "level": LEVELS}
_COORDINATES = {"field": [1.0, 2.0], "seed": np.arange(SEEDS)}


def world() -> Datasets:
    """All datasets of a run in which every claim holds but `WRONG`.

    These cannot hold together with "sparse-comparable".
    """
    return {key: dataset.copy(deep=True) for key, dataset in _made().items()}


@cache
def _made() -> Datasets:
    main = _study(18, 18, SEEDS)
    return {
        "study": main,
        "sums": _sums(main),
        "size-50": _study(50, 20, 3),
        "schedule-0.2": main.copy(deep=True),
        "graph": _graph(),
        "symmetry": _symmetry(),
        "decay": _decay(),
        "ranks": _ranks(),
        "sparse": _sparse(),
        "ablation": _ablation(),
        "clusters": _clusters(),
        "frontier": _frontier(),
    }


def _study(sites: int, apart: int, seeds: int) -> xr.Dataset:
    """A study whose graph falls apart at level `apart`, which halves C(d)."""
    total, levels = sites * (sites // 2), np.arange(LEVELS)
    kept = np.array([round(total * 0.9**level) for level in levels])
    pruned = 1 - kept / total
    factor = SEED_FACTOR[:seeds]
    variables: dict[str, Any] = {
        "weights_kept": kept,
        "fraction_pruned": pruned,
        "components": 1 + (levels >= apart),
    }
    steps = [np.maximum(0, levels - last) for last in HARMLESS]
    epochs = 20 * np.arange(26)
    for name, (dense, rates) in GROWN.items():
        # Seeds grow at rates of their own, so that no two differences tie.
        grown = [rate * factor[:, None] ** 5 * k for rate, k in zip(rates, steps, strict=True)]
        values = dense * np.exp(grown) * factor[None, :, None]
        exact = values.copy()
        if name == "abs_magnetization":  # rises at once, and soon a lot
            exact[0, :, 1:4] *= 1.2
            exact[0, :, 4:] *= 2.0
        relative = name in ("energy", "abs_magnetization")
        sampled, biased = (f"{name}_roe", f"{name}_bias") if relative else (name, name)
        variables[sampled] = values
        variables[f"{sampled}_floor"] = dense / 10
        variables[f"{biased}_exact"] = exact
        fall = dense * (1 + 500 * np.exp(-epochs / 25)) * factor[:, None]
        variables[f"history_{biased}"] = fall
    reference = np.exp(-0.2 * np.arange(sites // 2 + 1))
    variables["correlation"] = reference * (1 - 0.5 * (levels >= apart)[:, None])
    variables["correlation_reference"] = reference
    variables["correlation_data"] = 1.001 * reference
    ones, p = two_peaks(sites)
    flat = np.exp(-((ones - sites / 2) ** 2) / sites)
    flat /= flat.sum()
    mix = (levels / (LEVELS - 1))[:, None]
    variables["magnetization_distribution"] = (1 - mix) * p + mix * flat
    variables["magnetization_distribution_error"] = 1e-4
    for end in ("data", "reference"):
        variables[f"magnetization_distribution_{end}"] = p
        variables[f"abs_magnetization_{end}"] = [0.516, 0.25]
    variables["magnetization_data"] = [0.002, 0.001]
    variables["abs_magnetization"] = 0.517
    return study_of(
        variables, sites, field=[1.0, 2.0], seed=range(seeds), level=levels, epoch=epochs
    )


def _sums(study: xr.Dataset) -> xr.Dataset:
    """Sums over all states: a third of the damage is to rare configurations."""
    kl, order = study["kl"], study["abs_magnetization_bias_exact"]
    exact = xr.DataArray(np.full(18, 1 / 18), dims="walls")
    lost = xr.DataArray(np.where(np.arange(18) == 3, 0.5, 1.0), dims="walls")
    return xr.Dataset(
        {
            "kl_data": 0.39 + kl,
            "correlation_mse_data": study["correlation_mse_exact"],
            "rare_kl": kl / 3,
            "kl": kl / 18 * xr.ones_like(exact),
            "rare_probability": 0.1 + 0 * kl,
            "probability": (exact * lost + 0 * kl).transpose(*kl.dims, "walls"),
            "removed_abs_magnetization_bias": 1.2 * order.sel(level=0, drop=True),
            "rare_reference": 0.1 + 0 * kl["field"],
            "probability_reference": exact + 0 * kl["field"],
        },
        attrs={"coupling": 1.0},
    )


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
    spread = partial(over, {"field": 2, "most": 2}, "field most")
    return xr.Dataset(
        {
            "ratio": spread([[1.01, 0.98], [1.0, 1.0]]),
            "ratio_spread": spread([[0.05, 0.19], [0.1, 0.1]]),
            "expected_ratio": spread(1.0),
            "expected_spread": spread(0.1),
            "ratio_p": spread(0.5),
            "shots": ("field", [100_000, 100_000]),
        },
        {"field": [1.0, 2.0], "most": [10, 100]},
    )


def _decay() -> xr.Dataset:
    """A power law that turns into an exponential; the larger size has three seeds."""
    sizes = {**_SIZES, "size": 2}
    delta = over(sizes, "size field seed level", np.linspace(-10, 10, LEVELS))
    delta[1][1, :, 3:] = np.nan
    pruned = [
        [1 - round(n * (n // 2) * 0.9**k) / (n * (n // 2)) for k in range(LEVELS)] for n in (18, 50)
    ]
    return xr.Dataset(
        {
            "delta_aic": delta,
            "delta_aic_reference": over(sizes, "size field", [-5.0, 9.0]),
            "fraction_pruned": (("size", "level"), np.array(pruned)),
            "sampled": ("size", [0, 1]),
        },
        {**_COORDINATES, "size": [18, 50], "level": np.arange(LEVELS)},
    )


def _ranks() -> xr.Dataset:
    base = np.array([[0.99, 0.95, 0.6, 0.9], [0.99, 0.9, 0.9, 0.7]])
    slopes = 0.01 + 0.001 * np.arange(8).reshape(2, 4)  # no two differences tie
    values = base - slopes * np.arange(SEEDS)[:, None, None]
    axes = {**_COORDINATES, **PARTS}
    spread = over({**_SIZES, "part": 2, "measure": 4}, " ".join(axes), values)
    return xr.Dataset({"rank_correlation": spread}, axes)


VARIANTS = ["dense", "pruned", "sp/ss", "sp/os", "sc", "random", "scale-free"]
#: KL over that of pruned by variant, and what sp/os is by seed.
SPARSE = ({"dense": 0.8, "sp/ss": 0.98, "sc": 1.99}, {"dense": 1.0, "sp/ss": 0.6, "sc": 0.8})
OTHER_SEED = np.array([0.9, *[1.3] * 7, 1.9, 1.9])


#: What measures of sparse training are where KL is 1.
SPARSE_SCALE = dict(zip(HISTORY, (1.0, 0.5, 0.1, 2.0, 0.01), strict=True))


def _sparse() -> xr.Dataset:
    last = np.ones((2, SEEDS, len(VARIANTS)))
    for field, own in enumerate(SPARSE):
        for k, variant in enumerate(VARIANTS):
            last[field, :, k] = OTHER_SEED if variant == "sp/os" else own.get(variant, 1.0)
    last *= 0.002 * SEED_FACTOR[None, :, None]
    epochs = 10 * np.arange(51)
    # sp/ss is where dense is only at twice the epoch.
    speed = np.where(np.array(VARIANTS) == "sp/ss", 2.0, 1.0)
    fall = 2 * np.exp(-epochs * speed[:, None] / 30.0)
    order = ("field", "seed", "variant")
    variables: dict[str, Any] = {}
    for name, scale in SPARSE_SCALE.items():
        variables[name] = (order, scale * last)
        variables[f"history_{name}"] = ((*order, "epoch"), scale * (last[..., None] + fall))
    return xr.Dataset(
        variables,
        {**_COORDINATES, "variant": VARIANTS, "epoch": epochs},
        {"sites": 18, "hidden": 9, "coupling": 1.0, "train_epochs": 500},
    )


#: Measures by which ablations are judged, and their scales.
JUDGED = (("kl", 2.0), ("abs_magnetization_bias", 4.0), ("energy_bias", 0.1))


def _ablation() -> xr.Dataset:
    shares = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    spread = partial(
        over, {**_SIZES, "start": 2, "share": len(shares), "model": 3, "hidden": 9, "visible": 18}
    )
    lost = (0.001 + 0.1 * shares) * SEED_FACTOR[None, :, None, None]
    overlap = spread("field seed model hidden", 3)
    overlap[1][:, :, 1] = 0
    overlap[1][:, :, 2, :2] = 0  # a few move although they need not
    weights = spread("field seed model hidden visible", 0.1)
    weights[1][..., 4:7] = 2.0
    kl = np.array([0.0025, 0.0028, 0.003]) * SEED_FACTOR[None, :, None]
    return xr.Dataset(
        {
            **{f"broken_{n}": spread("field seed start share", k * lost) for n, k in JUDGED},
            **{f"forbidden_{n}": spread("field seed model", k * kl) for n, k in JUDGED},
            "found": spread("field seed model hidden", True),
            "share_of_unit": spread("field seed model hidden", 0.8),
            "overlap": overlap,
            "weights": weights,
        },
        {
            **_COORDINATES,
            "start": ["initial", "dense"],
            "share": shares,
            "model": ["dense", "forbidden", "control"],
        },
        {"sites": 18, "hidden": 9, "coupling": 1.0, "width": 3, "threshold": 0.05},
    )


def _clusters() -> xr.Dataset:
    spread = partial(over, {**_SIZES, "hidden": 9}, "field seed hidden")
    return xr.Dataset(
        {"best_width": spread(3), "second_p_value": spread(0.5)}, _COORDINATES, {"coupling": 1.0}
    )


def _frontier() -> xr.Dataset:
    kl = 0.002 * np.array([[1.05, 1.1, 3.0, 6.0, 20.0], [1.0, 1.0, 1.3, 1.9, 5.0]])
    values = kl * SEED_FACTOR[:3, None, None]
    variables = {
        **{"kl": values, "abs_magnetization_bias": values, "abs_magnetization_roe": values + 0.004},
        **{"mps_parameters": 68, "mps_kl": 0.03},
        **{"mps_abs_magnetization_bias": 0.05, "mps_abs_magnetization_roe": 0.06},
    }
    variants, counts = ["magnitude-cd", "surgeon"], [162, 118, 86, 63, 46]
    return frontier_of(variables, 18, 9, [1.0, 2.0], range(3), variants, counts)


def frontier_of(
    variables: Mapping[str, Any],
    sites: int,
    hidden: int,
    field: Sequence[float],
    seed: Sequence[int],
    variant: Sequence[str],
    count: Sequence[int],
) -> xr.Dataset:
    """A frontier of these measures, and of those of MPS with bond dimension 2."""
    coordinates = {"field": field, "seed": seed, "variant": variant, "count": count, "bond": [2]}
    sizes = {name: len(values) for name, values in coordinates.items()}
    spread = {
        name: over(sizes, f"field {'bond' if 'mps_' in name else 'seed variant count'}", values)
        for name, values in variables.items()
    }
    attributes = {"sites": sites, "hidden": hidden, "coupling": 1.0, "limit": 0.02}
    return xr.Dataset(spread, coordinates, attributes)


def markov_chain(
    length: float, sites: int, shots: int, copies: int = 1, seed: int = 0
) -> NDArray[np.uint8]:
    """Shots of a chain with C(d) = exp(-d / length); of several, site i of all before i + 1."""
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 2, (shots, 1, copies))
    walls = generator.random((shots, sites - 1, copies)) < (1.0 - np.exp(-1.0 / length)) / 2.0
    bits = np.cumsum(np.concatenate([first, walls], axis=1), axis=1) % 2
    return bits.reshape(shots, -1).astype(np.uint8)
