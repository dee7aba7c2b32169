"""Datasets derived from finished runs: decays of C(d), rank correlations, symmetry, clusters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from psiprune.core.limits import EXACT_SITES
from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.data.shots import Shots
from psiprune.data.symmetry import partner_ratios
from psiprune.experiments.ensemble import label
from psiprune.experiments.pruning_path import level_file
from psiprune.io.netcdf import read_dataset
from psiprune.metrics.correlation_decay import Decay, compare_decays
from psiprune.metrics.observables import exact_observables
from psiprune.rbm.clusters import best_widths, second_windows
from psiprune.rbm.serialization import rbm_from_dataset

#: Numbers of most frequent configurations over which the Z2 ratio is averaged.
MOST = (10, 30, 100, 300, 1000)
#: Measures that are compared with KL; their histories are called history_...
RANKED = ("infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse")
#: The widest window that is compared with three sites; the rounding error of a sum over states.
_WIDEST, _ROUNDING = 6, 1e-12


def symmetry_of(fields: Sequence[float], shots: Sequence[Shots]) -> xr.Dataset:
    """Return `partner_ratios` of the training sets, over field and most."""
    ratios = [partner_ratios(each.bits, MOST) for each in shots]
    return label(xr.concat(ratios, dim=xr.Variable("field", list(fields))))


@single_blas_thread()
def with_exact_correlations(study: xr.Dataset, folder: Path) -> xr.Dataset:
    """Add correlation_exact to a study: C(d) of each RBM by a sum over all states.

    Reads the RBMs from the study's folder. Above 20 sites returns the study unchanged.
    """
    if study.attrs["sites"] > EXACT_SITES:
        return study
    files = [
        level_file(folder / f"h={field:g}" / f"seed-{seed}", int(level))
        for field in study["field"].values
        for seed in study["seed"].values
        for level in study["level"].values
    ]

    def correlation_of(file: Path) -> np.ndarray:
        rbm = rbm_from_dataset(read_dataset(file, "rbm"), file)
        log_p = rbm.log_prob_all() - rbm.log_partition()
        observables = exact_observables(np.exp(log_p), rbm.visible, None)
        return np.asarray(observables.correlation.value, np.float64)

    order = ("field", "seed", "level", "distance")
    shape = [study.sizes[name] for name in order]
    values = np.array(map_threads(correlation_of, files)).reshape(shape)
    return study.assign(correlation_exact=(order, values))


def decay_of(studies: Sequence[xr.Dataset]) -> xr.Dataset:
    """Apply `compare_decays` to every RBM of studies of several sizes, over d = 1 .. N/4.

    Uses correlation_exact where a study has it (`with_exact_correlations`), else samples: noise in
    C(d) at the four distances of N = 18 makes the exact critical state itself look undecided in
    28 % of all samples of 10^5, in 17 % by a weighted fit.

    Returns:
        A dataset over size, field, seed and level with exponent, inverse_length, delta_aic, points;
        the same of the exact state, ..._reference, over size and field; fraction_pruned over size
        and level; sampled over size, 1 where C(d) comes from samples. NaN where a size has no such
        level or seed.
    """
    pieces = []
    fit = partial(_by_row, compare_decays, "distance", outputs=len(Decay._fields))
    for study in studies:
        largest = max(1, study.attrs["sites"] // 4)
        sampled = "correlation_exact" not in study
        if sampled:
            c, error = study["correlation"], study["correlation_error"]
        else:
            c = study["correlation_exact"]
            c = c.where(c > _ROUNDING, 0.0)
            error = xr.zeros_like(c)
        variables = dict(zip(Decay._fields, fit(c, error, largest), strict=True))
        exact = fit(study["correlation_reference"], 0.0, largest)
        variables |= {f"{n}_reference": v for n, v in zip(Decay._fields, exact, strict=True)}
        piece = xr.Dataset(variables).transpose("field", "seed", "level")
        pruned = study["fraction_pruned"].isel(field=0, seed=0, drop=True)
        pieces.append(piece.assign(fraction_pruned=pruned, sampled=int(sampled)))
    sizes = xr.Variable("size", [study.attrs["sites"] for study in studies])
    decays = label(xr.concat(pieces, dim=sizes, join="outer").drop_attrs())
    return decays.assign_attrs(coupling=studies[0].attrs["coupling"])


def clusters_of(ablation: xr.Dataset) -> xr.Dataset:
    """Find how wide the clusters of the dense RBMs are, and whether a unit has a second one.

    Returns:
        Over field, seed and hidden: best_width as `best_widths` finds it among 1 .. 6 sites, and
        second_p_value of `second_windows`, for the width that the ablation looked for.
    """
    order = ("field", "seed", "hidden")
    weights = ablation["weights"].sel(model="dense", drop=True).transpose(*order, "visible")
    shape, rows = weights.shape[:3], weights.values.reshape(-1, weights.shape[3])
    widths = best_widths(rows, min(_WIDEST, rows.shape[1] - 1))
    second = second_windows(rows, int(ablation.attrs["width"]))
    clusters = xr.Dataset(
        {
            "best_width": (order, widths.reshape(shape)),
            "second_p_value": (order, second.reshape(shape)),
        },
        {name: ablation[name] for name in order[:2]},
    )
    return label(clusters).assign_attrs(coupling=ablation.attrs["coupling"])


def ranks_of(study: xr.Dataset) -> xr.Dataset:
    """Compute Spearman's rank correlation of each measure with KL, in training and in pruning.

    Training: the entries of the history after the untrained RBM. Pruning: all levels. By sums over
    all states where the study has them.

    Returns:
        rank_correlation over field, seed, part ("training", "pruning") and measure; NaN where
        there are fewer than three entries or a measure never changes.
    """
    suffix = "_exact" if "kl_exact" in study else ""
    trained = study.sel(epoch=study["epoch"] > 0)
    parts = {
        "training": ("epoch", [trained[f"history_{name}"] for name in ("kl", *RANKED)]),
        "pruning": ("level", [study[f"{name}{suffix}"] for name in ("kl", *RANKED)]),
    }
    measures, part = (xr.Variable(n, list(v)) for n, v in (("measure", RANKED), ("part", parts)))
    ranks = [
        xr.concat([_by_row(_spearman, along, kl, other) for other in others], dim=measures)
        for along, (kl, *others) in parts.values()
    ]
    dataset = xr.concat(ranks, dim=part).drop_attrs().to_dataset(name="rank_correlation")
    labelled = label(dataset.transpose("field", "seed", "part", "measure"))
    return labelled.assign_attrs(coupling=study.attrs["coupling"])


def _by_row(function: Callable[..., Any], along: str, *arguments: Any, outputs: int = 1) -> Any:
    """Apply a function to all values along a dimension, and over all others."""
    core = [[along] if isinstance(each, xr.DataArray) else [] for each in arguments]
    return xr.apply_ufunc(
        function,
        *arguments,
        input_core_dims=core,
        output_core_dims=[[]] * outputs,
        vectorize=True,
        output_dtypes=[np.float64] * outputs,
    )


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import ConstantInputWarning, spearmanr

    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 3:
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return float(spearmanr(a[known], b[known]).statistic)
