"""What the studies do not store of their RBMs, by sums over all states: up to 20 sites."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.limits import EXACT_SITES
from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.data.read_shots import read_shots
from psiprune.experiments.ensemble import label
from psiprune.experiments.pruning_path import level_file
from psiprune.io.netcdf import read_dataset
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.divergence import kl_divergence
from psiprune.metrics.observables import exact_observables
from psiprune.metrics.reference import Reference, reference_of
from psiprune.paper.claims.data import TITLES
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.states.mps import load_mps

Float64 = NDArray[np.float64]
#: The share of the probability that "rare" configurations hold together.
_RARE = 0.1


@single_blas_thread()
def sums_of(study: xr.Dataset, folder: Path) -> xr.Dataset | None:
    """Sum over all states of every RBM of a study, from the files in its folder.

    Returns:
        None above 20 sites, else a dataset with

        - over field, seed, level: kl_data, the KL divergence with q estimated from the training
          set, as the paper prints its Eq. (3); correlation_mse_data, the mean square of C(d) less
          that of the training set, of which Eq. (8) speaks; rare_probability and rare_kl, the
          probability of the rare configurations and their part of the KL divergence;
        - over field, seed: removed_kl, removed_energy_bias, ..., the measures after the first step
          has removed weights and before fine-tuning;
        - over field, seed, level, walls: probability and kl by the number of domain walls;
        - over field: kl_data_reference, that of the exact state, and rare_reference, what the rare
          configurations hold there; over field, walls: probability_reference.

        Rare are the configurations of the smallest probability that together hold a tenth of it.
        The part of a set in the KL divergence is sum q ln(q/p) - q + p over it, which is never
        negative; the parts of all sets add up to KL.
    """
    if study.attrs["sites"] > EXACT_SITES:
        return None
    fields = [_field(study, folder / f"h={field:g}") for field in study["field"].values]
    found = xr.concat(fields, dim=xr.Variable("field", study["field"].values))
    return label(found).assign_attrs(coupling=study.attrs["coupling"])


def _field(study: xr.Dataset, folder: Path) -> xr.Dataset:
    """The sums of one field, over seed and level."""
    sites, levels = int(study.attrs["sites"]), study["level"].values
    reference = reference_of(load_mps(folder / "state.nc"))
    assert reference.log_q is not None  # up to 20 sites it is known
    bits = read_shots(folder / "shots.nc").bits
    counts = np.bincount(bits @ (1 << np.arange(sites)), minlength=1 << sites)
    with np.errstate(divide="ignore"):
        log_data = np.log(counts / len(bits))
    c_data = exact_observables(np.exp(log_data), sites, None).correlation.value
    sets = _sets(sites, reference.log_q)
    of_level = partial(_of_level, reference.log_q, log_data, np.asarray(c_data), sets)
    seeds = []
    for seed in study["seed"].values:
        files = [level_file(folder / f"seed-{seed}", int(level)) for level in levels]
        rbms = [rbm_from_dataset(read_dataset(file, "rbm"), file) for file in files]
        by_level = xr.concat(map_threads(of_level, rbms), dim=xr.Variable("level", levels))
        seeds.append(by_level.assign(_removed(rbms, reference)))
    q = np.exp(reference.log_q)
    rare, walls = _split(sets, q)
    return xr.concat(seeds, dim=xr.Variable("seed", study["seed"].values)).assign(
        kl_data_reference=kl_divergence(log_data, reference.log_q),
        rare_reference=rare,
        probability_reference=("walls", walls),
    )


def _sets(sites: int, log_q: Float64) -> NDArray[np.intp]:
    """The number of domain walls of each state, plus `sites` if it is rare, [2^N]."""
    states = np.arange(1 << sites)
    unequal = (states ^ (states >> 1)) & ((1 << (sites - 1)) - 1)
    walls = np.zeros(len(states), np.intp)
    for bond in range(sites - 1):
        walls += (unequal >> bond) & 1
    order = np.argsort(log_q, kind="stable")
    rare = np.zeros(len(states), bool)
    rare[order] = np.cumsum(np.exp(log_q[order])) <= _RARE
    return walls + sites * rare


def _split(sets: NDArray[np.intp], values: Float64) -> tuple[float, Float64]:
    """Sums of values [2^N] over the rare states, and over those of each number of walls."""
    sites = len(sets).bit_length() - 1
    both = np.bincount(sets, values, minlength=2 * sites).reshape(2, sites)
    return float(both[1].sum()), both.sum(axis=0)


def _of_level(
    log_q: Float64, log_data: Float64, c_data: Float64, sets: NDArray[np.intp], rbm: RBM
) -> xr.Dataset:
    log_p = rbm.log_prob_all() - rbm.log_partition()
    p, q = np.exp(log_p), np.exp(log_q)
    c = exact_observables(p, rbm.visible, None).correlation.value
    rare, walls = _split(sets, p)
    rare_kl, walls_kl = _split(sets, q * (log_q - log_p) - q + p)
    return xr.Dataset(
        {
            "kl_data": kl_divergence(log_data, log_p),
            "correlation_mse_data": float(np.mean((np.asarray(c) - c_data) ** 2)),
            "rare_probability": rare,
            "rare_kl": rare_kl,
            "probability": ("walls", walls),
            "kl": ("walls", walls_kl),
        },
        {"walls": range(len(walls))},
    )


def _removed(rbms: list[RBM], reference: Reference) -> dict[str, float]:
    """The measures of the dense RBM without the weights that the first step removes."""
    if len(rbms) < 2:
        return {}
    found = exact_metrics(rbms[0].with_mask(rbms[1].mask), reference)
    return {f"removed_{name}": float(getattr(found, name)) for name in TITLES}
