"""Select from the datasets what a rule uses; raise `InsufficientDataError` if it is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.paper.claims.base import Datasets, InsufficientDataError

Float64 = NDArray[np.float64]
#: h/J of the quantum critical point and of the paramagnetic phase studied in the paper.
QCP, PM = 1.0, 2.0
#: Both by their names in the paper.
PHASES = {"QCP": QCP, "PM": PM}
#: N and N_h of most results of the paper.
PAPER_SITES, PAPER_HIDDEN = 18, 9
#: The five measures of the paper's Fig. 2 and their names there.
MEASURES = {
    "kl": "KL",
    "infidelity": "1 - F",
    "energy_roe": "eROE",
    "abs_magnetization_roe": "mROE",
    "correlation_mse": "C_MSE",
}
#: The same without sampling: sums over all states, where a run has them.
EXACT = {
    "kl_exact": "KL",
    "infidelity_exact": "1 - F",
    "energy_bias_exact": "energy bias",
    "abs_magnetization_bias_exact": "|m| bias",
    "correlation_mse_exact": "C_MSE",
}
#: The same in datasets that hold only exact values, and in training histories.
TITLES = {name.removesuffix("_exact"): title for name, title in EXACT.items()}
#: Largest distance between a stated fraction and the level that stands for it.
_NEAR = 0.05


def phase(datasets: Datasets, key: str, ratio: float) -> xr.Dataset:
    """Return the dataset at h/J = ratio, with its attributes."""
    dataset = datasets[key]
    places = np.flatnonzero(np.isclose(_ratios(datasets, key), ratio))
    if not len(places):
        raise InsufficientDataError(f"{key} has no field with h/J = {ratio:g}")
    return dataset.isel(field=int(places[0]))


def has_phase(datasets: Datasets, key: str, ratio: float) -> bool:
    """Whether the dataset has a field with h/J = ratio."""
    return bool(np.isclose(_ratios(datasets, key), ratio).any())


def _ratios(datasets: Datasets, key: str) -> Float64:
    """h/J of a dataset; J is that of the main study where a derived dataset does not say."""
    main = datasets["study"].attrs if "study" in datasets else {}
    coupling = float(datasets[key].attrs.get("coupling", main.get("coupling", 1.0)))
    return np.asarray(datasets[key]["field"].values / coupling, np.float64)


def phases(
    datasets: Datasets, key: str, least: int, *names: str
) -> Iterator[tuple[str, xr.Dataset]]:
    """Iterate over both phases: name, and the dataset there as `complete_seeds` returns it."""
    for name, ratio in PHASES.items():
        yield name, complete_seeds(phase(datasets, key, ratio), least, *names)


def require(here: xr.Dataset, *names: str) -> None:
    """Raise if the dataset lacks one of these variables."""
    for name in names:
        if name not in here:
            raise InsufficientDataError(f"the data has no {name}")


def require_seeds(found: int, least: int) -> None:
    """Raise if there are fewer seeds than a rule needs."""
    if found < least:
        raise InsufficientDataError(f"the rule needs at least {least} seeds, found {found}")


def complete_seeds(here: xr.Dataset, least: int, *names: str) -> xr.Dataset:
    """Select the seeds for which all of these variables are finite; at least `least` of them."""
    require(here, *names)
    known = np.ones(here.sizes["seed"], bool)
    for name in names:
        if "seed" in here[name].dims:
            values = here[name].transpose("seed", ...).values
            known &= np.isfinite(values).reshape(len(known), -1).all(axis=1)
    require_seeds(int(known.sum()), least)
    return here.isel(seed=np.flatnonzero(known))


def series(here: xr.Dataset, name: str, *dims: str) -> Float64:
    """Return a variable as an array over seed and these dimensions."""
    return np.asarray(here[name].transpose("seed", *dims).values, np.float64)


def fractions(here: xr.Dataset) -> Float64:
    """Fraction of the weights pruned, [level]."""
    return np.asarray(here["fraction_pruned"].median("seed").values, np.float64)


def nearest(levels: Float64, fraction: float) -> int:
    """Return the pruned level nearest to a fraction pruned, which must lie within 5 points."""
    if len(levels) > 1:
        level = 1 + int(np.argmin(np.abs(levels[1:] - fraction)))
        if abs(levels[level] - fraction) <= _NEAR:
            return level
    raise InsufficientDataError(f"no level within {_NEAR:.0%} of {fraction:.0%} pruned")


def exact_name(here: xr.Dataset, measure: str) -> str:
    """Return the variable of a measure by sums over all states, or by samples without those."""
    return f"{measure}_exact" if f"{measure}_exact" in here else measure


def resolution(datasets: Datasets, ratio: float, measure: str) -> float:
    """Return the |m| bias below which the training set cannot tell two models apart.

    The relative standard error of its <|m|>, sd(|m|) / (<|m|> sqrt(shots)), from P(m) of the exact
    state; 0 for other measures, and without the study and its number of shots.
    """
    name = "magnetization_distribution_reference"
    if not measure.startswith("abs_magnetization") or not {"study", "symmetry"} <= set(datasets):
        return 0.0
    study, symmetry = (phase(datasets, key, ratio) for key in ("study", "symmetry"))
    if name not in study or "shots" not in symmetry:
        return 0.0
    p = np.asarray(study[name].values, np.float64)
    m = np.abs(1 - 2 * np.arange(p.size) / (p.size - 1))
    mean = float(p @ m)
    return float(np.sqrt((p @ m**2 - mean**2) / float(symmetry["shots"])) / mean)


def connectable(here: xr.Dataset) -> NDArray[np.bool_]:
    """The pruned levels at which the graph can be connected, [level].

    A connected graph of n nodes has at least n - 1 edges, here N + N_h - 1 weights.
    """
    kept = here["weights_kept"].median("seed").values
    can = kept >= here.attrs["sites"] + here.attrs["hidden"] - 1
    can[0] = False
    if not can.any():
        raise InsufficientDataError("no level is pruned and can be connected")
    return can


def all_sizes(datasets: Datasets) -> Sequence[str]:
    """Return the keys of all studies in order of size."""
    keys = [key for key in datasets if key == "study" or key.startswith("size-")]
    return sorted(keys, key=lambda key: int(datasets[key].attrs["sites"]))


def require_paper_sizes(study: xr.Dataset, hidden: bool = False) -> None:
    """Raise unless the study has the N (and N_h) that the paper's number is for."""
    sizes = {"N": (PAPER_SITES, study.attrs["sites"])}
    if hidden:
        sizes["N_h"] = (PAPER_HIDDEN, study.attrs["hidden"])
    for name, (paper, size) in sizes.items():
        if size != paper:
            raise InsufficientDataError(
                f"the paper's number is for {name} = {paper}, the study has {name} = {size}"
            )
