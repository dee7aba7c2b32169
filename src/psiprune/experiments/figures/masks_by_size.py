"""Figure of masks made before training: parameters needed against the number of sites."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from psiprune.experiments.figures.mask_variants import MOST, SCALED, VARIANTS
from psiprune.reporting.figures import (
    BLACK,
    faint_grid,
    fill_legend,
    legend_lines,
    legend_rows,
    log_y,
    round_ticks,
)
from psiprune.reporting.style import styled

Float64 = NDArray[np.float64]
#: Kinds of each row of panels.
_ROWS = (
    ("mps", "dense", *(name for name in SCALED[1:] if "surgeon" not in name and name != "cluster")),
    ("mps", "scale-free", "cluster", *(name for name in SCALED if "surgeon" in name)),
)


@styled
def plot_needed(runs: Sequence[xr.Dataset], limit: float = 1e-4) -> Figure:
    """Draw the parameters needed for a KL per site of at most `limit` against the number of sites.

    A column for each h/J of the first run, a row for each group of kinds. Free parameters of MPS,
    the exact state truncated, and of RBMs with biases, medians over seeds, between two measured
    numbers by interpolation of the logarithms. There is no point where no number of parameters
    measured reaches the limit.
    """
    ratios = runs[0]["field"].values / runs[0].attrs["coupling"]
    runs = sorted(runs, key=lambda run: int(run.attrs["sites"]))
    sites = [int(run.attrs["sites"]) for run in runs]
    points = [[parameters_needed(run, ratio, limit) for run in runs] for ratio in ratios]
    there = {name for column in points for each in column for name in each if each[name] > 0}
    kinds = [name for name in ("mps", *SCALED) if name in there]
    rows = [[name for name in kinds if name in row] for row in _ROWS]
    rows = [row for row in rows if len(row) > 1] if len(kinds) > MOST else [kinds]
    looks = {"mps": (BLACK, "D", "--", "MPS, the exact state truncated"), **VARIANTS}
    lines = [legend_lines([looks[name][3] for name in row], 2) for row in rows]
    figure, axes, words = legend_rows(len(ratios), lines, height=1.5)
    for column, ratio, found in zip(axes.T, ratios, points, strict=True):
        column[0].set_title(f"h = {ratio:g} J")
        for ax, names in zip(column, rows, strict=True):
            for name in names:
                color, marker, line, label = looks[name]
                values = [each.get(name, np.nan) for each in found]
                if np.isfinite(values).any():
                    style = {"color": color, "marker": marker, "label": label}
                    ax.plot(sites, values, ls=line or "-", **style)
            ax.set_xticks(sites)
            ax.set_xlabel("sites N")
            log_y(ax)
            faint_grid(ax)
    for row, below in zip(axes, words, strict=True):
        row[0].set_ylabel(f"parameters,\nKL / N ≤ {limit:g} nat")
        round_ticks(row[0].yaxis)
        fullest = max(row, key=lambda ax: len(ax.get_legend_handles_labels()[1]))
        fill_legend(below, fullest, columns=2)
    return figure


def parameters_needed(run: xr.Dataset, ratio: float, limit: float) -> dict[str, float]:
    """Return the parameters that each kind needs, see `plot_needed`.

    The fewest over the numbers of hidden units; NaN where no RBM reaches the limit, and nothing of
    fields that the run does not have.
    """
    (here,) = np.nonzero(np.isclose(run["field"] / run.attrs["coupling"], ratio))
    needed: dict[str, float] = {}
    for one in (run.isel(field=field) for field in here):
        needed["mps"] = _first(one["mps_parameters"].values, one["mps_kl"].values, one, limit)
        for variant in one["variant"].values:
            of_kind = one[["kl", "parameters"]].sel(variant=variant).median("seed")
            each = [
                _first(of_width["parameters"].values, of_width["kl"].values, one, limit)
                for of_width in (of_kind.sel(width=width) for width in one["width"].values)
            ]
            needed[str(variant)] = min(each, key=lambda value: np.nan_to_num(value, nan=np.inf))
    return needed


def _first(parameters: Float64, kl: Float64, run: xr.Dataset, limit: float) -> float:
    """Return the parameters from which KL per site is at most the limit, NaN if it never is."""
    there = np.isfinite(kl)
    order = np.argsort(parameters[there])
    x, y = parameters[there][order], kl[there][order] / run.attrs["sites"]
    (good,) = np.nonzero(y <= limit)
    if not len(good):
        return float("nan")
    k = good[0]
    if k == 0:
        return float(x[0])
    logs = np.log([limit, *np.maximum(y[[k, k - 1]], 1e-3 * limit)])
    return float(np.exp(np.interp(logs[0], logs[1:], np.log(x[[k, k - 1]]))))
