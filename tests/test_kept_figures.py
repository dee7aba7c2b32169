"""Every figure of the data that the repository keeps can be printed in a journal's columns."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from printable import check_printable
from psiprune.core.statistics import QUANTILES
from psiprune.experiments.figures.ablation import plot_broken, plot_forbidden
from psiprune.experiments.figures.entanglement import plot_entanglement
from psiprune.experiments.figures.frontier import plot_frontier
from psiprune.experiments.figures.masks import (
    plot_budget,
    plot_correlations,
    plot_links,
    plot_masks,
    plot_scaling,
)
from psiprune.experiments.figures.masks_by_shots import plot_shots
from psiprune.experiments.figures.masks_by_size import plot_learnability, plot_needed
from psiprune.experiments.figures.masks_by_time import plot_times
from psiprune.experiments.figures.sparse import plot_sparse
from psiprune.io.netcdf import read_dataset
from psiprune.paper.figures.graph import plot_graph
from psiprune.paper.figures.timing import plot_timing
from psiprune.sweeps.figures import plot_phase_diagram, plot_prunable

DOCS = Path(__file__).parents[1] / "docs"
sys.path.append(str(DOCS.parent / "scripts"))
phase_figures = importlib.import_module("phase_figures")


def kept(name: str) -> xr.Dataset:
    """A dataset below docs/."""
    return read_dataset(DOCS / name)


def timing() -> Figure:
    return plot_timing(json.loads((DOCS / "paper/timing.json").read_text()))


def phases() -> xr.Dataset:
    found: xr.Dataset = phase_figures.phases((DOCS / "sweep.md").read_text())
    return found


SIZES = ("masks/masks.nc", "masks/masks-50-eight.nc", "masks/masks-100.nc")
LEARNED = tuple(f"masks/learn-{sites}.nc" for sites in (10, 18, 50, 100))
LATTICES = tuple(
    f"lattice/square-{run}.nc" for run in ("6", "6-dense", "6-few", "6-million", "8", "8-million")
)


def tied(dense: bool = False) -> dict[int, float]:
    """The free parameters of RBMs tied to the square with a KL of at most 1e-4 per site."""
    found = dict[int, float]()
    for sites, name in ((36, "6-tied"), (64, "8-tied")):
        file = DOCS / f"lattice/square-{name}.json"
        rows = json.loads(file.read_text())["tables"]["lattice_sets"]
        found[sites] = min(
            row["free"]
            for row in rows
            if row["symmetry"] == "flip-lattice" and row["shots"] == 100_000
            if (row["links"] == 0) == dense and row["KL"] <= 1e-4 * sites
        )
    return found


FIGURES: dict[str, Callable[[], Figure]] = {
    "fig1": lambda: plot_graph(kept("paper/derived/graph.nc")),
    "fig5": lambda: plot_sparse(kept("paper/sparse/sparse.nc")),
    "broken": lambda: plot_broken(kept("paper/ablation/ablation.nc")),
    "forbidden": lambda: plot_forbidden(kept("paper/ablation/ablation.nc")),
    "frontier": lambda: plot_frontier(kept("paper/frontier/frontier.nc")),
    "timing": timing,
    "budget": lambda: plot_budget(kept("masks/masks.nc")),
    "links": lambda: plot_links(kept("masks/masks.nc")),
    "masks": lambda: plot_masks(kept("masks/masks.nc")),
    "correlations": lambda: plot_correlations(kept("masks/masks.nc")),
    "scaling": lambda: plot_scaling([kept(name) for name in LEARNED]),
    "times": lambda: plot_times([kept(name) for name in SIZES]),
    "learnability": lambda: plot_learnability([kept(name) for name in LEARNED]),
    "lattice": lambda: plot_budget(kept("lattice/square-6.nc")),
    "shots": lambda: plot_shots([kept(name) for name in LATTICES]),
    "needed": lambda: plot_needed(
        [kept("lattice/square-4.nc"), *map(kept, LATTICES)],
        others={"tied sparse RBM, free": tied(), "tied dense RBM, free": tied(dense=True)},
    ),
    "prunable": lambda: plot_prunable(phases()),
    "phases": lambda: plot_phase_diagram(phases()),
    "entropy": lambda: plot_entanglement(kept("entanglement/entanglement.nc")),
}


def test_figures_of_phases_have_the_medians_and_bands_of_the_table() -> None:
    grid = phases()
    assert dict(grid.sizes) == {"variant": 2, "sites": 3, "ratio": 15, "seed": 101}
    surgeon = grid["prunable"].sel(variant="surgeon", sites=18, ratio=1.1)
    np.testing.assert_allclose(surgeon.quantile(QUANTILES), [0.59, 0.60, 0.71])
    assert grid["prunable"].sel(sites=50, ratio=1.1).isnull().all()
    assert grid["correlation_length"].sel(ratio=[0.5, 2.0]).values.round(2).tolist() == [0.72, 1.44]


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_kept_figures_are_printable(name: str) -> None:
    check_printable(FIGURES[name]())
