"""The report of a sweep: figures, table and one HTML page."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from psiprune.core.exceptions import InputError
from psiprune.core.statistics import band
from psiprune.experiments.figures.masks_by_shots import plot_shots
from psiprune.experiments.figures.masks_by_time import plot_times
from psiprune.experiments.tables import observable_losses
from psiprune.io.netcdf import read_dataset
from psiprune.io.provenance import facts_of
from psiprune.io.run import read_provenance
from psiprune.io.toml import read_toml
from psiprune.reporting.figures import save_figures
from psiprune.reporting.page import (
    Provenance,
    Report,
    Section,
    Summary,
    Table,
    picture,
    write_report,
)
from psiprune.reporting.traced import (
    Number,
    count,
    percent,
    position,
    ratio,
    say,
    significant,
    whole,
)
from psiprune.sweeps.api import FAILURES
from psiprune.sweeps.dataset import FinalValues, drawn_variants, final_values, grid_of, varied
from psiprune.sweeps.figures import plot_multiples, plot_phase_diagram, plot_prunable
from psiprune.sweeps.findings import left_out, minimum, never_doubled
from psiprune.sweeps.points import AnyPoint, Outcome, points_of
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.table import TABLE, read_table, write_table
from psiprune.sweeps.tasks import Run

#: Function, title and description of each figure.
_FIGURES = {
    "prunable": (
        plot_prunable,
        "Fraction prunable against field",
        "Line plots of the fraction prunable against h/J, a panel for each size and a line for "
        "each variant, with bands over seeds, and of the correlation length. The table below has "
        "the numbers.",
    ),
    "phases": (
        plot_phase_diagram,
        "Phase diagram",
        "A map of the fraction prunable over h/J and size. The table below has the numbers.",
    ),
    "multiples": (
        plot_multiples,
        "KL through pruning",
        "Small line plots of KL divergence against the fraction of weights pruned, a row for each "
        "size and a column for each field.",
    ),
}
_SHOTS = (
    "KL against shots",
    "Line plots of KL divergence against the number of shots, a panel for each size and field: for "
    "each kind of mask, and for dense RBMs, the numbers of weights and hidden units of lowest "
    "median. The numbers beside the points are the weights of the best mask.",
)
_TIMES = (
    "KL against processor time",
    "Line plots of KL divergence against the processor time of training, a panel for each size and "
    "field: for each kind of mask, and for dense RBMs, the least median in at most so much time.",
)
#: Title, and the RBMs of each point, by experiment.
_ABOUT: Mapping[str, tuple[str, str]] = {
    "study": (
        "Pruning over a grid",
        "Each point is one restricted Boltzmann machine: trained on measured bit strings of the "
        "transverse-field Ising chain, pruned step by step and measured at each level.",
    ),
    "sparse": (
        "Sparse training over a grid",
        "Each point is one run of `psiprune sparse`: restricted Boltzmann machines that are dense, "
        "pruned, or sparse from the start, trained on the same measured bit strings of the "
        "transverse-field Ising chain.",
    ),
    "ablation": (
        "Ablations over a grid",
        "Each point is one run of `psiprune ablation`: restricted Boltzmann machines whose pruned "
        "masks are broken step by step, and ones that must not form the clusters of the dense "
        "RBMs.",
    ),
    "frontier": (
        "Error against weights over a grid",
        "Each point is one run of `psiprune frontier`: restricted Boltzmann machines of all sizes "
        "by every method; the table has the one with the fewest weights of each.",
    ),
    "masks": (
        "Masks over a grid",
        "Each point is one run of `psiprune masks`: restricted Boltzmann machines with masks made "
        "before training; the table has the one with the fewest weights of each.",
    ),
    "entanglement": (
        "Entanglement over a grid",
        "Each point is one run of `psiprune entanglement`: restricted Boltzmann machines that are "
        "pruned, or have masks made before training; the table has the one with the fewest weights "
        "of each.",
    ),
}
_ABOUT_PRUNABLE = (
    "The fraction prunable is the fraction of the weights that can be removed before the KL "
    "divergence of that RBM has doubled, interpolated between levels; where it never doubles, that "
    "of the last level.",
    "It therefore also depends on how well the dense RBM was trained: where its KL is far above "
    "its floor, parameters / (2 shots), which is due to the number of shots alone, KL doubles "
    "later. The table has the dense KL and its ratio to the floor.",
)


class Reported(NamedTuple):
    """What was reported.

    Attributes:
        page: written.
        points: of the grid.
        done: number of these that are done.
        failed: number of those that failed in the last run.
        summary: the sentences that the page begins with.
        figures: names of those written.
        query: SQL that shows the result by the settings that differ.
    """

    page: Path
    points: int
    done: int
    failed: int
    summary: list[str]
    figures: list[str]
    query: str


def report_on(folder: str | os.PathLike[str]) -> Reported:
    """Write sweep.parquet, figures/ and report.html of what is done; the sweep may be running.

    Raises:
        InputError: the folder holds no sweep, or a file in it is damaged.
        OSError: the folder cannot be written.
    """
    root = Path(folder)
    if (root / "reconstruct.nc").is_file():
        page = root / "report.html"
        raise InputError(f"{root}: is a run of psiprune reconstruct, whose report is {page}")
    if root.is_dir() and not (root / "config.toml").is_file():
        raise InputError(
            f"{root}: not the folder of a readable sweep, as it has no config.toml; give the "
            "folder of psiprune sweep"
        )
    try:
        text = (root / "config.toml").read_text()
        settings = SweepSettings(**read_toml(root / "config.toml"))
        provenance = read_provenance(root / "provenance.json")
    except (OSError, ValueError) as error:
        raise InputError(f"{root}: not the folder of a readable sweep: {error}") from None
    points = points_of(settings)
    damaged = write_table(points, root)
    failures = [*_read_failures(root, points), *damaged]
    rows = read_table(root)
    done = len({row["point"] for row in rows})
    levels = [row for row in rows if row.get("prunable") is not None]  # of studies
    grid = grid_of(levels) if levels else None
    figures = {} if grid is None else figures_of(grid)
    masks = [
        read_dataset(point.last.result(root), "masks")
        for point in points
        if isinstance(point, Run) and point.experiment == "masks" and point.last.done(root)
    ]
    if len({run.attrs["shots"] for run in masks}) > 1:
        figures["shots"] = plot_shots(masks)
    if len({(run.attrs["train"], run.attrs["dense_train"]) for run in masks}) > 1:
        figures["times"] = plot_times(masks)
    if figures:
        save_figures(figures, root / "figures")
    runs = {point.last.key for point in points if isinstance(point, Run)}
    report = sweep_report(
        grid,
        len(points),
        done,
        failures,
        figures,
        Provenance(facts_of(provenance), text),
        experiment=settings.experiment,
        finals=final_values([row for row in rows if row["point"] in runs]),
    )
    page = write_report(root / "report.html", report)
    summary = [sentence.text for sentence in report.summary.sentences]
    counts = (len(points), done, len(failures))
    return Reported(page, *counts, summary, list(figures), _query(levels))


def _query(levels: Sequence[Mapping[str, Any]]) -> str:
    """Return a query of the medians over seeds of `prunable`, or of the rows of other experiments.

    Args:
        levels: rows of RBMs of studies.
    """
    shown, value = ["sites", "field"], "count(*) as rows"
    if levels:
        shown = [name for name in shown if len({row[name] for row in levels}) > 1]
        shown += varied(levels)
        value = "median(prunable) as prunable"
    return f"select {', '.join([*shown, value])} from levels group by all order by all"


def figures_of(grid: xr.Dataset) -> dict[str, Figure]:
    """Return the figures of studies: prunable, phases, multiples, observable_NAME for each.

    The first two are over h/J, so they need two values of it.
    """
    names = [*_FIGURES] if grid.sizes["ratio"] > 1 else ["multiples"]
    figures = {name: _FIGURES[name][0](grid) for name in names}
    for label, loss, _ in observable_losses(grid):
        shown = f"|Δ {label[3:-1]}|"
        figures[loss.removesuffix("_loss")] = plot_multiples(grid, loss, shown)
    return figures


def _about(figure: str) -> tuple[str, str]:
    """Return title and description of a figure by its name."""
    if figure in _FIGURES:
        return _FIGURES[figure][1:]
    if figure in (about := {"shots": _SHOTS, "times": _TIMES}):
        return about[figure]
    name = figure.removeprefix("observable_")
    return f"{name} through pruning", (
        f"Small line plots of the largest distance of {name} from that of the state against the "
        "fraction of weights pruned, a row for each size and a column for each field. A table "
        "below has the ends."
    )


def _read_failures(root: Path, points: Sequence[AnyPoint]) -> list[Outcome]:
    """Return the failures of the last call of `sweep` whose points are still not done."""
    file = root / FAILURES
    try:
        records = json.loads(file.read_text()) if file.exists() else []
        causes = {str(record["point"]): str(record["cause"]) for record in records}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: cannot be read: {error!r}; delete it") from None
    return [
        Outcome(point, causes[point.last.key])
        for point in points
        if point.last.key in causes and not point.last.done(root)
    ]


def sweep_report(
    grid: xr.Dataset | None,
    points: int,
    done: int,
    failures: Sequence[Outcome],
    figures: Mapping[str, Figure],
    provenance: Provenance,
    *,
    experiment: str = "study",
    finals: Sequence[FinalValues] = (),
) -> Report:
    """Return the report of what is done.

    Args:
        grid: result of `grid_of`; None if no point of a study is done.
        points: number of points in the grid.
        done: number of these that are done.
        failures: of the last call of `sweep`.
        figures: prunable, phases, multiples, and each observable of `figures_of`; shots and times
            of masks.
        provenance: versions, machine and configuration.
        experiment: its name in the configuration.
        finals: result of `final_values` for complete runs.
    """
    progress = say(
        "{done} of {points} points are done, {failed} failed in the last run.",
        done=count(done, "points that are done"),
        points=count(points, "points of the grid"),
        failed=count(len(failures), f"{FAILURES}: entries"),
    )
    sentences, sections = [progress], []
    if grid is not None:
        where = (
            {"variant": v, "sites": n} for n in grid["sites"].values for v in drawn_variants(grid)
        )
        sentences += filter(None, (minimum(grid, each) for each in where))
    for name, figure in figures.items():
        heading, description = _about(name)
        fields = name not in ("prunable", "phases")
        missing = [] if grid is None else left_out(grid, fields=fields)
        sections.append(Section(name, heading, picture(figure, description), missing))
    if grid is not None:
        sections.append(Section("numbers", "The fraction prunable in numbers", table=_table(grid)))
        if any(observable_losses(grid)):
            table = _observables(grid)
            sections.append(Section("observables", "Observables in numbers", table=table))
    if finals:
        sections.append(Section("ends", "Complete runs", table=final_table(finals, TABLE)))
    if failures:
        rows = [[point.last.key, point.what, cause] for point, cause in failures]
        caption = "Points that failed, with the stage and the cause"
        table = Table(caption, ["point", "settings", "cause"], rows)
        sections.append(Section("failures", "Failures", table=table))
    title, about = _ABOUT[experiment]
    return Report(
        title=title,
        introduction=[about, *(_ABOUT_PRUNABLE if experiment == "study" else ())],
        summary=Summary(sentences),
        sections=sections,
        explorer=None,
        provenance=provenance,
        command="psiprune sweep config.toml --out FOLDER && psiprune report FOLDER",
    )


def _table(grid: xr.Dataset) -> Table:
    """Return median and band over seeds at every point of the grid, and the dense KL."""
    rows: list[list[str | Number]] = []
    origin = f"{TABLE}: prunable over seed, "
    quantiles = zip(band(grid["prunable"]), band(never_doubled(grid)), strict=True)
    columns = dict(zip(("16 %", "median", "84 %"), quantiles, strict=True))
    dense = [band(grid[name].isel(level=0)).middle for name in ("kl", "kl_floor")]
    for values in product(*(grid[name].values for name in ("variant", "sites", "ratio"))):
        at = dict(zip(("variant", "sites", "ratio"), values, strict=True))
        seeds = int(grid["prunable"].sel(at).notnull().sum())
        if not seeds:
            continue
        low, middle, high = (
            Number(value, f"{'≥ ' * bool(bound.sel(at) > value)}{percent(value)}", origin + name)
            for name, (quantile, bound) in columns.items()
            for value in [float(quantile.sel(at))]
        )
        kl, floor = (_dense(medians, at) for medians in dense)
        labels = [str(at["sites"]), str(at["variant"]), f"{at['ratio']:g}"]
        rows.append([*labels, middle, low, high, str(seeds), kl, ratio(kl, floor)])
    head = ["sites", "variant", "h/J", "median", "16 %", "84 %", "seeds", "dense KL"]
    caption = "Fraction of the weights that can be removed before KL has doubled"
    if float(grid["prunable_all"].max()) > 0:
        caption += " (≥: at the last level it had not)"
    return Table(caption, [*head, "dense KL / floor"], rows)


def _observables(grid: xr.Dataset) -> Table:
    """Return how far observables are from the state: of dense RBMs and at the end of the paths."""
    rows: list[list[str | Number]] = []
    for (_, loss, _), *values in product(
        observable_losses(grid), *(grid[name].values for name in ("variant", "sites", "ratio"))
    ):
        at = dict(zip(("variant", "sites", "ratio"), values, strict=True))
        paths = grid[loss].sel(at).transpose("seed", "level").values
        paths = [path[~np.isnan(path)] for path in paths if not np.isnan(path).all()]
        if not paths:
            continue
        name = loss.removeprefix("observable_").removesuffix("_loss")
        first, last = (
            Number(
                value,
                significant(value),
                f"{TABLE}: median over seed of {loss}{position({**at, 'level': level})}",
            )
            for level, k in (("first", 0), ("last", -1))
            for value in [float(np.median([path[k] for path in paths]))]
        )
        labels = [name, str(at["sites"]), str(at["variant"]), f"{at['ratio']:g}"]
        rows.append([*labels, first, last, str(len(paths))])
    head = ["observable", "sites", "variant", "h/J", "dense", "most pruned", "seeds"]
    caption = "Largest distance |O - O_ref| of observables from the state, medians over seeds"
    return Table(caption, head, rows)


def _dense(medians: xr.DataArray, at: Mapping[str, Hashable]) -> Number:
    """Return the median over seeds of a column at level 0, NaN if no seed has a value."""
    value = float(medians.sel(at))
    source = f"{TABLE}: median over seed of {medians.name}{position({**at, 'level': 0})}"
    return Number(value, significant(value), source)


def final_table(finals: Sequence[FinalValues], source: str) -> Table:
    """Return a row for each run, field and variant.

    Args:
        finals: result of `final_values`.
        source: file they come from.
    """
    until = any(not math.isnan(final.smallest) for final in finals)

    def median(value: float, name: str, shown: str) -> Number:
        return Number(value, shown, f"{source}: median over seed of {name} at the end")

    rows: list[list[str | Number]] = []
    for final in finals:
        smallest = median(final.smallest, "smallest_weights", whole(final.smallest))
        rows.append(
            [
                *(str(final.sites), final.settings, f"{final.ratio:g}", final.variant),
                median(final.weights, "the weights", whole(final.weights)),
                median(final.kl, "KL", significant(final.kl)),
                median(final.bias, "the bias of <|m|>", significant(final.bias)),
                *([smallest] if until else []),
                str(final.seeds),
            ]
        )
    head = ["sites", "settings", "h/J", "variant", "weights", "KL", "bias of <|m|>"]
    head += [*(["smallest, weights"] if until else []), "seeds"]
    return Table("Medians over seeds at the end of each run", head, rows)
