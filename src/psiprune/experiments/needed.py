"""How many parameters masks need for an error, and how that number grows with the system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
#: Names of exact states truncated to a bond dimension among the kinds of masks.
MPS = "mps"
#: The same, counted with tensors that conserve parity.
MPS_PARITY = "mps-parity"


class Criterion(NamedTuple):
    """An error that must not be exceeded.

    Attributes:
        measure: variable of the dataset; "kl" is divided by the number of sites.
        limit: its largest value.
        counted: "parameters" or "weights_kept"; of MPS always the free parameters.
    """

    measure: str
    limit: float
    counted: str = "weights_kept"


class Growth(NamedTuple):
    """Fit of needed = c N^exponent.

    Attributes:
        exponent: by least squares in the logarithms.
        error: its standard error, from the residuals; NaN of fewer than three sizes.
        factor: c.
    """

    exponent: float
    error: float
    factor: float


def needed(run: xr.Dataset, ratio: float, criterion: Criterion) -> dict[str, float]:
    """Return how many parameters each kind needs for an error of at most the limit.

    Of medians over seeds; the fewest over the numbers of hidden units. Dense RBMs differ in that
    number alone. Between two measured numbers by interpolation of the logarithms.

    Args:
        run: result of `run_masks`.
        ratio: h/J; nothing is returned of a run without it.
        criterion: what to meet.

    Returns:
        By kind of mask, and of MPS where the measure is known; NaN where none meets the criterion.
    """
    (here,) = np.nonzero(np.isclose(run["field"] / run.attrs["coupling"], ratio))
    measure, limit, counted = criterion
    limit *= run.attrs["sites"] if measure == "kl" else 1
    found: dict[str, float] = {}
    for one in (run.isel(field=field) for field in here):
        for name, count in ((MPS, "mps_parameters"), (MPS_PARITY, "mps_parity_parameters")):
            if f"mps_{measure}" in one and count in one and one[count].notnull().all():
                found[name] = _first(one[count].values, one[f"mps_{measure}"].values, limit)
        for variant in one["variant"].values:
            of_kind = one[[measure, counted]].sel(variant=variant).median("seed")
            # The number of weights of a dense RBM determines that of its hidden units.
            lines = [of_kind.max("width")] if variant == "dense" else list(_widths(of_kind))
            each = [_first(line[counted].values, line[measure].values, limit) for line in lines]
            found[str(variant)] = min(each, key=lambda value: np.nan_to_num(value, nan=np.inf))
    return found


def _widths(of_kind: xr.Dataset) -> Iterator[xr.Dataset]:
    for width in of_kind["width"].values:
        yield of_kind.sel(width=width)


def _first(parameters: Float64, errors: Float64, limit: float) -> float:
    """Return the parameters from which the error is at most the limit, NaN if it never is."""
    there = np.isfinite(errors)
    order = np.argsort(parameters[there])
    x, y = parameters[there][order], errors[there][order]
    (good,) = np.nonzero(y <= limit)
    if not len(good):
        return float("nan")
    k = good[0]
    if k == 0:
        return float(x[0])
    logs = np.log([limit, *np.maximum(y[[k, k - 1]], 1e-3 * limit)])
    return float(np.exp(np.interp(logs[0], logs[1:], np.log(x[[k, k - 1]]))))


def needed_by_size(
    runs: Sequence[xr.Dataset], ratio: float, criterion: Criterion
) -> dict[str, dict[int, float]]:
    """Return what each kind needs by the number of sites, the fewest of runs of one size.

    Kinds and sizes that do not meet the criterion are left out.
    """
    found: dict[str, dict[int, float]] = {}
    for run in sorted(runs, key=lambda run: int(run.attrs["sites"])):
        sites = int(run.attrs["sites"])
        for kind, value in needed(run, ratio, criterion).items():
            if np.isfinite(value):
                of_kind = found.setdefault(kind, {})
                of_kind[sites] = min(value, of_kind.get(sites, np.inf))
    return found


def growth(by_size: dict[int, float]) -> Growth:
    """Fit a power of N to what is needed at two sizes or more."""
    x, y = np.log([*by_size]), np.log([*by_size.values()])
    slope, intercept = np.polyfit(x, y, 1)
    residuals = y - intercept - slope * x
    freedom = len(x) - 2
    spread = ((x - x.mean()) ** 2).sum()
    error = np.sqrt((residuals**2).sum() / freedom / spread) if freedom else np.nan
    return Growth(float(slope), float(error), float(np.exp(intercept)))
