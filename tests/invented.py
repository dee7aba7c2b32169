"""Datasets with the names and shapes of real ones and invented numbers, for figures and tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from psiprune.pruning.schedule import weights_kept
from psiprune.rbm.init import initial_rbm

MEASURES = (
    "kl",
    "infidelity",
    "energy_roe",
    "energy_bias",
    "abs_magnetization_roe",
    "abs_magnetization_bias",
    "correlation_mse",
)
RANKED = ("infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse")


def study(
    *,
    sites: int = 18,
    fields: tuple[float, ...] = (1.0, 2.0),
    seeds: int = 3,
    levels: int = 6,
    fraction: float = 0.2,
    first_fraction: float | None = None,
    coupling: float = 1.0,
) -> xr.Dataset:
    """A study of `levels` steps, without `_exact` above 20 sites."""
    hidden = sites // 2
    total = sites * hidden
    counts = [
        weights_kept(total, fraction, step, first_fraction=first_fraction)
        for step in range(levels + 1)
    ]
    by_level = (len(fields), seeds, levels + 1)
    by_epoch = (len(fields), seeds, 4)
    generator = np.random.default_rng(sites)
    kept = np.broadcast_to(counts, by_level)
    far, ones = np.arange(sites // 2 + 1), sites + 1
    variables: dict[str, Any] = {
        "weights_kept": kept,
        "fraction_pruned": 1.0 - kept / total,
        "components": 1 + (kept < sites + hidden - 1),
        "magnetization": 0.01 * generator.standard_normal(by_level),
        "abs_magnetization": 0.5 * generator.random(by_level),
        "correlation": 0.7 ** (far * (1.0 + generator.random((*by_level, 1)))),
        "correlation_error": np.full((*by_level, len(far)), 0.01),
        "magnetization_distribution": generator.dirichlet(np.ones(ones), by_level),
    }
    for name in MEASURES:
        variables[name] = generator.random(by_level)
        variables[f"{name}_error"] = 0.1 * generator.random(by_level)
        variables[f"{name}_floor"] = np.full(by_level, 0.01)
    for name in ("kl", *RANKED):
        variables[f"history_{name}"] = generator.random(by_epoch)
        if sites <= 20:
            variables[f"{name}_exact"] = generator.random(by_level)
    for kind in ("reference", "data"):
        variables[f"abs_magnetization_{kind}"] = np.full(len(fields), 0.5)
        variables[f"magnetization_{kind}"] = np.zeros(len(fields))
        variables[f"correlation_{kind}"] = np.tile(0.8**far, (len(fields), 1))
        variables[f"magnetization_distribution_{kind}"] = np.full((len(fields), ones), 1 / ones)
    return xr.Dataset(
        {name: (_dimensions(name), values) for name, values in variables.items()},
        {
            "field": list(fields),
            "seed": range(seeds),
            "level": range(levels + 1),
            "distance": far,
            "ones": range(ones),
            "epoch": [0, 1, 2, 4],
        },
        {"sites": sites, "hidden": hidden, "coupling": coupling},
    )


def _dimensions(name: str) -> tuple[str, ...]:
    plain = name.removesuffix("_reference").removesuffix("_data").removesuffix("_error")
    own = {"correlation": ("distance",), "magnetization_distribution": ("ones",)}.get(plain, ())
    if name.endswith(("_reference", "_data")):
        return ("field", *own)
    return ("field", "seed", "epoch" if name.startswith("history_") else "level", *own)


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
    return xr.Dataset(
        {
            name: (("field", "most"), np.tile(each, (len(fields), 1)))
            for name, each in values.items()
        },
        {"field": list(fields), "most": [10, 100, 1000]},
    )


def ranks(study: xr.Dataset) -> xr.Dataset:
    """Rank correlations of a study's measures with KL."""
    generator = np.random.default_rng(5)
    shape = (study.sizes["field"], study.sizes["seed"], 2, len(RANKED))
    return xr.Dataset(
        {
            "rank_correlation": (
                ("field", "seed", "part", "measure"),
                generator.uniform(-1, 1, shape),
            )
        },
        {
            "field": study["field"],
            "seed": study["seed"],
            "part": ["training", "pruning"],
            "measure": list(RANKED),
        },
    )


def timing() -> dict[str, Any]:
    """Times of four RBMs, a part of which does not depend on the weights."""
    rows = [
        {
            "weights": count,
            "density": count / 162,
            "cd_update": 5 + count / 6,
            "gibbs_step": 0.1 * k,
        }
        for k, count in ((9, 162), (6, 100), (4, 50), (2, 20))
    ]
    return {"sites": 18, "hidden": 9, "batch_size": 100, "cd_steps": 10, "rows": rows}
