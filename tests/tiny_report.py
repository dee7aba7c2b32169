"""A report of tiny runs: all datasets of the paper at a size for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from invented import frontier_of
from psiprune.data.read_shots import read_shots
from psiprune.io.netcdf import read_dataset
from psiprune.paper.derived import clusters_of, decay_of, ranks_of, symmetry_of
from psiprune.paper.judging import judge_datasets
from psiprune.paper.report import paper_report
from psiprune.reporting.page import Provenance, Report

TIMING: dict[str, Any] = {
    "cd_steps": 10,
    "rows": [
        {"density": 1.0, "weights": 12, "cd_update": 24.5, "gibbs_step": 0.02},
        {"density": 4 / 12, "weights": 4, "cd_update": 9.8, "gibbs_step": 0.01},
    ],
}
FIGURE = (
    '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="600pt" height="90pt" '
    'viewBox="0 0 600 90"><defs><path id="a" d="M 0.123456 1"/></defs><metadata>x</metadata></svg>'
)
FIGURES = dict.fromkeys(
    [
        *("fig1", "fig2", "fig3", "fig4", "fig5", "fig6"),
        *("schedules", "trainings", "broken", "forbidden", "sizes", "frontier", "timing"),
    ],
    FIGURE,
)


def tiny_datasets(folder: Path, sparse: xr.Dataset, ablation: xr.Dataset) -> dict[str, xr.Dataset]:
    """All datasets of the paper: of a finished tiny study, and of what else is at hand."""
    study = several(read_dataset(folder / "study.nc", "study"))
    models = models_of(folder, study)
    shots = [read_shots(folder / f"h={field:g}" / "shots.nc") for field in study["field"].values]
    return {
        "study": study,
        "models": models,
        "graph": models.isel(field=0),
        "size-4": study,
        "schedule-0.2": study,
        "robust-exact": study,
        "sparse": sparse,
        "ablation": ablation,
        "frontier": frontier_like(),
        "symmetry": symmetry_of(study["field"].values.tolist(), shots),
        "decay": decay_of([study]),
        "ranks": ranks_of(study),
        "clusters": clusters_of(ablation),
    }


def several(study: xr.Dataset) -> xr.Dataset:
    """A study of one seed with two invented ones, whose measures are larger by 10 and 30 %."""
    three = study.isel(seed=[0] * 3).assign_coords(seed=range(3))
    factor = xr.DataArray([1.0, 1.1, 1.3], dims="seed")
    return three.assign(
        {
            name: each * factor
            for name, each in three.items()
            if "seed" in each.dims and each.dtype.kind == "f" and name != "fraction_pruned"
        }
    )


def models_of(folder: Path, study: xr.Dataset) -> xr.Dataset:
    """The RBMs of a finished study's first seed."""
    names = ["weights", "mask", "weights_kept", "fraction_pruned", "components"]
    fields = study["field"].values
    found = [
        xr.concat(
            [
                read_dataset(folder / f"h={field:g}" / "seed-0" / f"level-{k:02d}.nc")[names]
                for k in range(study.sizes["level"])
            ],
            dim=xr.Variable("level", study["level"].values),
        )
        for field in fields
    ]
    both = xr.concat(found, dim=xr.Variable("field", fields))
    return both.drop_attrs().assign_attrs(study.attrs)


def frontier_like() -> xr.Dataset:
    """KL divergences by variant and count, invented; "surgeon" is the lowest at half."""
    kl = np.arange(12.0).reshape(1, 2, 2, 3) / 100
    variables = {"kl": kl, "abs_magnetization_roe": kl}
    return frontier_of(variables, 4, 3, [1.0], [0, 1], ["surgeon", "magnitude-cd"], [12, 6, 4])


def report_of(datasets: dict[str, xr.Dataset]) -> Report:
    """The whole report."""
    # The frontier has only what the report's own sentences look at.
    whole = {name: each for name, each in datasets.items() if name != "frontier"}
    return paper_report(
        datasets,
        judge_datasets(whole),
        FIGURES,
        TIMING,
        Provenance({"psiprune": "0.1.0", "machine": "a test"}, "sites = 4\n"),
        {"run": "with other settings than the defaults", "qubits": "4 (3 seeds)"},
        "psiprune paper --quick -o paper",
    )
