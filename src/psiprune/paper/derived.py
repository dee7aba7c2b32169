"""Runs -> what the paper reads off them: decays of C(d), rank correlations, symmetry, clusters."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

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

#: Numbers of most frequent configurations over which the Z2 ratio is taken.
MOST = (10, 30, 100, 300, 1000)
#: Held against KL; names of a study's variables, whose histories are called history_...
RANKED = ("infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse")
#: The widest window that is held against three sites, and the largest error of a sum over states.
_WIDEST, _ROUNDING = 6, 1e-12


def symmetry_of(fields: Sequence[float], shots: Sequence[Shots]) -> xr.Dataset:
    """`partner_ratios` of the training sets, over field and most."""
    found = [partner_ratios(each.bits, MOST) for each in shots]
    return label(xr.concat(found, dim=xr.Variable("field", list(fields))))


@single_blas_thread()
def with_exact_correlations(study: xr.Dataset, folder: Path) -> xr.Dataset:
    """The study with correlation_exact, C(d) of each RBM by a sum over all states.

    The RBMs are read from the levels in the study's folder. Above 20 sites the study as it is.
    """
    if study.attrs["sites"] > EXACT_SITES:
        return study
    files = [
        level_file(folder / f"h={field:g}" / f"seed-{seed}", int(level))
        for field in study["field"].values
        for seed in study["seed"].values
        for level in study["level"].values
    ]

    def sum_up(file: Path) -> np.ndarray:
        rbm = rbm_from_dataset(read_dataset(file, "rbm"), file)
        log_p = rbm.log_prob_all() - rbm.log_partition()
        found = exact_observables(np.exp(log_p), rbm.visible, None)
        return np.asarray(found.correlation.value, np.float64)

    order = ("field", "seed", "level", "distance")
    shape = [study.sizes[name] for name in order]
    values = np.array(map_threads(sum_up, files)).reshape(shape)
    return study.assign(correlation_exact=(order, values))


def decay_of(studies: Sequence[xr.Dataset]) -> xr.Dataset:
    """`compare_decays` of every RBM of studies of several sizes, over d = 1 .. N/4.

    By correlation_exact where a study has it (`with_exact_correlations`), else by samples: noise
    in C(d) at the four distances of N = 18 makes the exact critical state itself look undecided in
    28 % of all samples of 10^5, in 17 % by a weighted fit.

    Returns:
        A dataset over size, field, seed and level with exponent, inverse_length, delta_aic, points;
        the same of the exact state, ..._reference, over size and field; fraction_pruned over size
        and level; sampled over size, 1 where C(d) comes from samples. NaN where a size has no such
        level or seed.
    """
    pieces = []
    for study in studies:
        largest = max(1, study.attrs["sites"] // 4)
        shape = [study.sizes[name] for name in ("field", "seed", "level")]
        order = ("field", "seed", "level", "distance")
        sampled = "correlation_exact" not in study
        if sampled:
            c, error = (_rows(study[name], order) for name in ("correlation", "correlation_error"))
        else:
            c = _rows(study["correlation_exact"], order)
            c, error = np.where(c > _ROUNDING, c, 0.0), np.zeros_like(c)
        rows = zip(c, error, strict=True)
        fits = np.array([compare_decays(value, noise, largest) for value, noise in rows])
        exact = _rows(study["correlation_reference"], ("field", "distance"))
        known = np.array([compare_decays(value, 0.0, largest) for value in exact])
        variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
        for k, name in enumerate(Decay._fields):
            variables[name] = (order[:3], fits[:, k].reshape(shape))
            variables[f"{name}_reference"] = (("field",), known[:, k])
        pruned = study["fraction_pruned"].isel(field=0, seed=0, drop=True)
        coordinates = {name: study[name] for name in order[:3]}
        own = xr.Dataset(variables, coordinates)
        pieces.append(own.assign(fraction_pruned=pruned, sampled=int(sampled)))
    sizes = xr.Variable("size", [study.attrs["sites"] for study in studies])
    found = label(xr.concat(pieces, dim=sizes, join="outer").drop_attrs())
    return found.assign_attrs(coupling=studies[0].attrs["coupling"])


def clusters_of(ablation: xr.Dataset) -> xr.Dataset:
    """How wide the clusters of the dense RBMs are, and whether a unit has a second one.

    Returns:
        Over field, seed and hidden: best_width as `best_widths` finds it among 1 .. 6 sites, and
        second_p_value of `second_windows`, of the width that the ablation looked for.
    """
    order = ("field", "seed", "hidden")
    weights = ablation["weights"].sel(model="dense", drop=True).transpose(*order, "visible")
    shape = weights.shape[:3]
    rows = weights.values.reshape(-1, weights.shape[3])
    widest = min(_WIDEST, rows.shape[1] - 1)
    found = xr.Dataset(
        {
            "best_width": (order, best_widths(rows, widest).reshape(shape)),
            "second_p_value": (
                order,
                second_windows(rows, int(ablation.attrs["width"])).reshape(shape),
            ),
        },
        {name: ablation[name] for name in order[:2]},
    )
    return label(found).assign_attrs(coupling=ablation.attrs["coupling"])


def ranks_of(study: xr.Dataset) -> xr.Dataset:
    """Spearman's rank correlation of each measure with KL, through training and through pruning.

    Training: the entries of the history after the untrained RBM. Pruning: all levels. By sums over
    all states where the study has them.

    Returns:
        rank_correlation over field, seed, part ("training", "pruning") and measure; NaN where
        there are fewer than three entries or a measure never changes.
    """
    suffix = "_exact" if "kl_exact" in study else ""
    trained = study.sel(epoch=study["epoch"] > 0)
    parts = {
        "training": [trained[f"history_{name}"] for name in ("kl", *RANKED)],
        "pruning": [study[f"{name}{suffix}"] for name in ("kl", *RANKED)],
    }
    found = []
    for along, (kl, *measures) in zip(("epoch", "level"), parts.values(), strict=True):
        shape = (study.sizes["field"], study.sizes["seed"])
        order = ("field", "seed", along)
        each = [
            [_spearman(a, b) for a, b in zip(_rows(kl, order), _rows(measure, order), strict=True)]
            for measure in measures
        ]
        found.append(np.array(each).reshape(len(RANKED), *shape))
    ranks = xr.DataArray(
        np.array(found),
        {
            "part": list(parts),
            "measure": list(RANKED),
            "field": study["field"].values,
            "seed": study["seed"].values,
        },
        ("part", "measure", "field", "seed"),
        name="rank_correlation",
    )
    labelled = label(ranks.transpose("field", "seed", "part", "measure").to_dataset())
    return labelled.assign_attrs(coupling=study.attrs["coupling"])


def _rows(values: xr.DataArray, order: tuple[str, ...]) -> np.ndarray:
    """All values along the last of these dimensions, [row, entry]."""
    ordered = values.transpose(*order).values
    return ordered.reshape(-1, ordered.shape[-1])


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import ConstantInputWarning, spearmanr

    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 3:
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return float(spearmanr(a[known], b[known]).statistic)
