"""Studies -> what the paper reads off them: decays of C(d), rank correlations, the symmetry."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import xarray as xr

from psiprune.decay import Decay, compare_decays
from psiprune.experiments.measured import label
from psiprune.shots import Shots
from psiprune.symmetry import partner_ratios

#: Numbers of most frequent configurations over which the Z2 ratio is taken.
MOST = (10, 30, 100, 300, 1000)
#: Held against KL; names of a study's variables, whose histories are called history_...
RANKED = ("infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse")


def symmetry_of(fields: Sequence[float], shots: Sequence[Shots]) -> xr.Dataset:
    """`partner_ratios` of the training sets, over field and most."""
    found = [partner_ratios(each.bits, MOST) for each in shots]
    return label(xr.concat(found, dim=xr.Variable("field", list(fields))))


def decay_of(studies: Sequence[xr.Dataset]) -> xr.Dataset:
    """`compare_decays` of every RBM of studies of several sizes, over d = 1 .. N/4.

    Returns:
        A dataset over size, field, seed and level with exponent, inverse_length, delta_aic, points;
        the same of the exact state, ..._reference, over size and field; fraction_pruned over size
        and level. NaN where a size has no such level or seed.
    """
    pieces = []
    for study in studies:
        largest = max(1, study.attrs["sites"] // 4)
        shape = [study.sizes[name] for name in ("field", "seed", "level")]
        c, error = study["correlation"], study["correlation_error"]
        order = ("field", "seed", "level", "distance")
        rows = zip(_rows(c, order), _rows(error, order), strict=True)
        fits = np.array([compare_decays(value, noise, largest) for value, noise in rows])
        exact = _rows(study["correlation_reference"], ("field", "distance"))
        known = np.array([compare_decays(value, 0.0, largest) for value in exact])
        variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
        for k, name in enumerate(Decay._fields):
            variables[name] = (order[:3], fits[:, k].reshape(shape))
            variables[f"{name}_reference"] = (("field",), known[:, k])
        pruned = study["fraction_pruned"].isel(field=0, seed=0, drop=True)
        coordinates = {name: study[name] for name in order[:3]}
        pieces.append(xr.Dataset(variables, coordinates).assign(fraction_pruned=pruned))
    sizes = xr.Variable("size", [study.attrs["sites"] for study in studies])
    found = label(xr.concat(pieces, dim=sizes, join="outer").drop_attrs())
    return found.assign_attrs(coupling=studies[0].attrs["coupling"])


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
