"""Entanglement entropies of pruned RBMs, and of RBMs with masks made before training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from psiprune.experiments import masks
from psiprune.experiments.ensemble import label
from psiprune.experiments.entanglement_settings import EntanglementSettings
from psiprune.experiments.masks_rbms import Family, measured
from psiprune.experiments.problem import Problem
from psiprune.metrics.entanglement import Entanglement, entanglement
from psiprune.rbm.model import RBM
from psiprune.rbm.vertex_cut import vertex_cut


def run_entanglement(
    settings: EntanglementSettings, folder: str | os.PathLike[str], *, progress: bool = True
) -> xr.Dataset:
    """Train and prune the RBMs of `run_masks`, and measure their entanglement across a cut.

    The folder holds the files of `run_masks`, with entanglement.nc in place of masks.nc; what it
    holds already is only read.

    Returns:
        The dataset of `run_masks` with, for each RBM, entropy (von Neumann, in nats; NaN above 20
        sites), renyi2 with renyi2_error, bond_dimension (the smallest that leaves out a weight of
        at most 10^-6; NaN above 20 sites), and separating_units and separating_sites, see
        `vertex_cut`; and entropy_reference, renyi2_reference and bond_dimension_reference of the
        exact state over field. The attribute `cut` is the number of sites on the left.

    Raises:
        InputError: the folder belongs to another run, or a file in it is damaged.
        OSError: the folder cannot be written; finished files stay.
    """
    settings = settings.for_size()
    describe, add = partial(_described, settings), partial(_with_reference, settings)
    return masks.compare_masks(settings, folder, "entanglement", describe, add, progress=progress)


def _described(settings: EntanglementSettings, family: Family, rbm: RBM) -> xr.Dataset:
    found = entanglement(
        rbm,
        settings.cut,
        draws=settings.measure.draws,
        seed=family.member.seed,
        data=family.member.problem.shots,
        progress=False,
    )
    units, sites = vertex_cut(rbm, settings.cut)
    values = {
        **_values(found),
        "renyi2_error": found.renyi2.error,
        "separating_units": units,
        "separating_sites": sites,
    }
    return label(measured(settings, family, rbm).assign(values))


def _values(found: Entanglement) -> dict[str, float]:
    known = found.entropy is not None
    return {
        "entropy": found.entropy.value if found.entropy is not None else np.nan,
        "renyi2": found.renyi2.value,
        "bond_dimension": float(found.bond_dimension()) if known else np.nan,
    }


def _with_reference(
    settings: EntanglementSettings, dataset: xr.Dataset, problems: Sequence[Problem]
) -> xr.Dataset:
    truth = [_values(entanglement(each.reference.state, settings.cut)) for each in problems]
    references = {
        f"{name}_reference": ("field", [values[name] for values in truth]) for name in truth[0]
    }
    return label(dataset.assign(references)).assign_attrs(cut=settings.cut)


def expected_files(settings: EntanglementSettings) -> Iterator[Path]:
    """List the files of a finished run, relative to its folder."""
    return masks.expected_files(settings, "entanglement.nc")
