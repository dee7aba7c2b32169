"""Report of a sweep."""

from __future__ import annotations

import json
import math
import os
import tomllib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from psiprune.core.exceptions import InputError
from psiprune.core.statistics import band
from psiprune.io.provenance import facts_of
from psiprune.io.run import read_provenance
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
    Sentence,
    listed,
    percent,
    position,
    say,
    significant,
    whole,
)
from psiprune.reporting.traced import ratio as over
from psiprune.sweeps.api import FAILURES
from psiprune.sweeps.dataset import drawn_ratios, drawn_variants, grid_of
from psiprune.sweeps.figures import plot_multiples, plot_phase_diagram, plot_prunable
from psiprune.sweeps.final_values import End, ends_of
from psiprune.sweeps.points import AnyPoint, points_of
from psiprune.sweeps.run_tasks import Run
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.table import read_table, write_table


class Reported(NamedTuple):
    """What was written, and how far the sweep is."""

    page: Path
    points: int
    done: int
    failed: int


def report_on(folder: str | os.PathLike[str]) -> Reported:
    """Write sweep.parquet, figures/ and report.html of what is done so far; it may still run.

    Raises:
        InputError: the folder holds no sweep, or a file in it is damaged.
        OSError: the folder cannot be written.
    """
    root = Path(folder)
    config = root / "config.toml"
    try:
        text = config.read_text()
        settings = SweepSettings(**tomllib.loads(text))
        provenance = read_provenance(root / "provenance.json")
    except (OSError, ValueError) as error:
        raise InputError(f"{root}: holds no sweep that can be read: {error}") from None
    points = points_of(settings)
    unread = write_table(points, root)
    rows = read_table(root)
    done = len({row["point"] for row in rows})
    # Fractions prunable are of studies alone.
    levels = [row for row in rows if row.get("prunable") is not None]
    grid = grid_of(levels) if levels else None
    runs = {point.last.key for point in points if isinstance(point, Run)}
    figures = {}
    if grid is not None:
        figures = {
            "prunable": plot_prunable(grid),
            "phases": plot_phase_diagram(grid),
            "multiples": plot_multiples(grid),
        }
        save_figures(figures, root / "figures")
    failures = [*_failures(root, points), *(_failure(*each) for each in unread)]
    report = sweep_report(
        grid,
        len(points),
        done,
        failures,
        figures,
        Provenance(facts_of(provenance), text),
        "psiprune sweep config.toml --out FOLDER && psiprune report FOLDER",
        experiment=settings.experiment,
        ends=ends_of([row for row in rows if row["point"] in runs]),
    )
    page = write_report(root / "report.html", report)
    return Reported(page, len(points), done, len(failures))


def _failures(root: Path, points: Sequence[AnyPoint]) -> list[dict[str, str]]:
    """The failures of the last start that are failures still, with what the points are."""
    file = root / FAILURES
    try:
        listed = json.loads(file.read_text()) if file.exists() else []
        told = [(str(each["point"]), str(each["cause"])) for each in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: cannot be read: {error!r}; delete it") from None
    known = {point.last.key: point for point in points}
    return [
        _failure(known[key], cause)
        for key, cause in told
        if key in known and not known[key].last.done(root)
    ]


def _failure(point: AnyPoint, cause: str) -> dict[str, str]:
    return {"point": point.last.key, "cause": cause, "what": point.what}


_ABOUT = (
    "Pruning over a grid",
    (
        "Each point is one restricted Boltzmann machine: trained on measured bit strings of the "
        "transverse-field Ising chain, pruned step by step and measured at each level.",
        "The fraction prunable is the share of the weights that can go before the KL divergence "
        "of that RBM has doubled, interpolated between levels; where it never doubles, that of "
        "the last level.",
        "So it depends on how well the dense RBM was trained, too: where its KL is well above its "
        "floor, parameters / (2 shots), which the number of shots alone would leave, KL doubles "
        "later; the table gives the dense KL and how many times its floor that is.",
    ),
)
_FILE = "sweep.parquet"
#: Fractions no further apart than this are the same but for rounding.
_SAME = 1e-9


def sweep_report(
    grid: xr.Dataset | None,
    points: int,
    done: int,
    failures: Sequence[Mapping[str, str]],
    figures: Mapping[str, Figure],
    provenance: Provenance,
    command: str,
    *,
    experiment: str = "study",
    ends: Sequence[End] = (),
) -> Report:
    """The report of a sweep, of what is done so far.

    Args:
        grid: as `grid_of` gives it, None while no point is done and where none is of a study.
        points: in the grid.
        done: of these.
        failures: point, what it is, and cause of each that failed in the last start.
        figures: prunable, phases, multiples.
        provenance: versions, machine and configuration.
        command: that goes on with the sweep.
        experiment: its name, as in the configuration.
        ends: of whole runs, as `ends_of` gives them.
    """
    progress = say(
        "{done} of {points} points are done, {failed} failed in the last start.",
        done=_count(done, "points that are done"),
        points=_count(points, "points of the grid"),
        failed=_count(len(failures), "failures.json: entries"),
    )
    sentences = [progress, *([] if grid is None else _least(grid))]
    title, introduction = ABOUT.get(experiment, _ABOUT)
    return Report(
        title=title,
        introduction=introduction,
        summary=Summary(sentences),
        sections=list(_sections(grid, ends, failures, figures)),
        explorer=None,
        provenance=provenance,
        command=command,
    )


def _count(value: int, source: str) -> Number:
    return Number(float(value), whole(value), source)


def _sections(
    grid: xr.Dataset | None,
    ends: Sequence[End],
    failures: Sequence[Mapping[str, str]],
    figures: Mapping[str, Figure],
) -> Iterator[Section]:
    for name, (title, seen) in _PICTURES.items():
        if name in figures:
            left_out = [] if grid is None else _left_out(grid, fields=name == "multiples")
            yield Section(name, title, picture(figures[name], seen), left_out)
    if grid is not None:
        yield Section("numbers", "The fraction prunable in numbers", table=_table(grid))
    if ends:
        yield Section("ends", "Whole runs", table=ends_table(ends, _FILE))
    if failures:
        rows = [[each["point"], each["what"], each["cause"]] for each in failures]
        head = ["point", "settings", "cause"]
        table = Table("Points that failed, with the stage and the cause", head, rows)
        yield Section("failures", "Failures", table=table)


_PICTURES = {
    "prunable": (
        "Fraction prunable against field",
        "Line plots of the fraction prunable against h/J, a panel a size and a line a variant, "
        "with bands over seeds, beside the correlation length. The table below gives the numbers.",
    ),
    "phases": (
        "Phase diagram",
        "A map of the fraction prunable, h/J along and size up. The table below gives the numbers.",
    ),
    "multiples": (
        "KL through pruning",
        "Small line plots of KL divergence against the fraction of weights pruned, a row a size "
        "and a column a field.",
    ),
}


def _left_out(grid: xr.Dataset, fields: bool) -> list[Sentence]:
    """What a figure does not show of the grid: variants, and fields where it chooses some."""
    found = []
    variants, drawn = grid.sizes["variant"], len(drawn_variants(grid))
    if drawn < variants:
        found.append(
            say(
                "Drawn are the first {drawn} variants of the grid; {left} of {all} are not, but "
                "are in the table below.",
                drawn=_count(drawn, "variants that are drawn"),
                left=_count(variants - drawn, f"{_FILE}: variants that are not drawn"),
                all=_count(variants, f"{_FILE}: variants"),
            )
        )
    ratios, columns = grid.sizes["ratio"], drawn_ratios(grid)
    if fields and len(columns) < ratios:
        found.append(
            say(
                "Drawn are {drawn} of {all} values of h/J, that nearest the critical 1 and others "
                "of those that all sizes have, if there are enough; the table below lists all.",
                drawn=_count(len(columns), "values of h/J that are drawn"),
                all=_count(ratios, f"{_FILE}: values of field / coupling"),
            )
        )
    return found


def _least(grid: xr.Dataset) -> list[Sentence]:
    """For each size and drawn variant the field at which least can be pruned, and how with ξ."""
    found = []
    for sites in grid["sites"].values:
        for variant in drawn_variants(grid):
            where = {"variant": variant, "sites": int(sites)}
            seeds = grid["prunable"].sel(where)
            middle = seeds.median("seed")
            middle = middle.sel(ratio=middle.notnull())
            if middle.sizes["ratio"] < 2:
                continue
            least = float(middle.min())
            there = np.isclose(middle.values, least, rtol=0, atol=_SAME)
            ratios = [float(each) for each in middle["ratio"].values[there]]
            at = {**where, "ratio": ratios[0]}
            length = grid["correlation_length"].sel(ratio=middle["ratio"])
            source = f"{_FILE}: median over seed of prunable"
            everywhere = len(ratios) == middle.sizes["ratio"]
            found.append(
                say(
                    "{sites} sites{variant}: as much can be pruned at all fields, {least} of the "
                    "weights{capped}."
                    if everywhere
                    else "{sites} sites{variant}: least can be pruned at h/J = {ratio}, {least} of "
                    "the weights{rank}{capped}.",
                    sites=str(sites),
                    variant=f", {variant}" if variant else "",
                    ratio=listed(
                        [
                            Number(each, significant(each), f"{source}, its least{position(where)}")
                            for each in ratios
                        ]
                    ),
                    least=Number(least, percent(least), f"{source}{position(at)}"),
                    rank=_with_length(middle.values, length.values, f"{source}{position(where)}"),
                    capped=_capped(grid, where),
                )
            )
    return found


def _with_length(values: np.ndarray, lengths: np.ndarray, source: str) -> Sentence | str:
    """How medians go with the correlation length; of two fields nothing, as it could only be ±1."""
    if len(values) < 3:
        return ""
    return say(
        "; the rank correlation of the fraction prunable with the correlation length over {fields} "
        "fields is {rank}",
        fields=_count(len(values), f"{source}: fields"),
        rank=_rank(values, lengths, source),
    )


def _capped(grid: xr.Dataset, where: Mapping[str, Hashable]) -> Sentence | str:
    """How many points never doubled, so that more of their weights may be prunable than is said."""
    capped = grid["prunable_all"].sel(where)
    never = int((capped > 0).sum())
    if not never:
        return ""
    source = f"{_FILE}: points{position(where)}"
    return say(
        "; {never} of {points} points never doubled (their value is that of the last level)",
        never=_count(never, f"{source} with prunable_all"),
        points=_count(int(capped.notnull().sum()), source),
    )


def _rank(values: np.ndarray, lengths: np.ndarray, source: str) -> Number:
    """Spearman's rank correlation; an infinite length is the largest."""
    from scipy.stats import spearmanr

    rank = float(spearmanr(values, lengths).statistic) if np.ptp(values) > 0 else float("nan")
    return Number(rank, significant(rank), f"Spearman of {source} and correlation_length")


def _table(grid: xr.Dataset) -> Table:
    """Median and band over seeds at every point of the grid, and how well its dense RBMs are."""
    rows: list[list[str | Number]] = []
    dense = grid[["kl", "kl_floor"]].isel(level=0)
    bands = band(grid["prunable"])
    for variant in grid["variant"].values:
        for sites in grid["sites"].values:
            for ratio in grid["ratio"].values:
                at = {"variant": variant, "sites": sites, "ratio": ratio}
                seeds = int(grid["prunable"].sel(at).notnull().sum())
                if not seeds:
                    continue
                shown = [
                    Number(value, percent(value), f"{_FILE}: {name} over seed of prunable")
                    for name, each in zip(("16 %", "median", "84 %"), bands, strict=True)
                    for value in [float(each.sel(at))]
                ]
                low, middle, high = shown
                kl, floor = (_dense(dense[name], at) for name in ("kl", "kl_floor"))
                of = [str(sites), str(variant), f"{ratio:g}"]
                rows.append([*of, middle, low, high, str(seeds), kl, over(kl, floor)])
    head = ["sites", "variant", "h/J", "median", "16 %", "84 %", "seeds"]
    head += ["dense KL", "over its floor"]
    return Table("Fraction of the weights that can go before KL has doubled", head, rows)


def _dense(values: xr.DataArray, at: Mapping[str, Hashable]) -> Number:
    """The median over seeds of a column at level 0; NaN where no seed has one."""
    value = float(band(values.sel(at)).middle)
    source = f"{_FILE}: median over seed of {values.name}{position({**at, 'level': 0})}"
    return Number(value, significant(value), source)


#: Title and introduction by experiment; those of a study are about the fraction prunable.
ABOUT: Mapping[str, tuple[str, Sequence[str]]] = {
    "sparse": (
        "Sparse training over a grid",
        (
            "Each point is one run of `psiprune sparse`: restricted Boltzmann machines that are "
            "dense, pruned, or sparse from the start, trained on the same measured bit strings of "
            "the transverse-field Ising chain.",
        ),
    ),
    "ablation": (
        "Ablations over a grid",
        (
            "Each point is one run of `psiprune ablation`: restricted Boltzmann machines whose "
            "pruned masks are broken step by step, and such as may not form the clusters that the "
            "dense ones form.",
        ),
    ),
    "frontier": (
        "Error against weights over a grid",
        (
            "Each point is one run of `psiprune frontier`: restricted Boltzmann machines of all "
            "sizes by every method; the table has the one with the fewest weights of each.",
        ),
    ),
}


def ends_table(ends: Sequence[End], source: str) -> Table:
    """A row for each run, field and variant, with what runs differ in.

    Args:
        ends: as `ends_of` gives them.
        source: the file that they come from.
    """
    until = any(not math.isnan(end.smallest) for end in ends)

    def median(value: float, name: str, shown: str) -> Number:
        return Number(value, shown, f"{source}: median over seed of {name} at the end")

    rows: list[list[str | Number]] = []
    for end in ends:
        smallest = median(end.smallest, "smallest_weights", whole(end.smallest))
        rows.append(
            [
                str(end.sites),
                end.settings,
                f"{end.ratio:g}",
                end.variant,
                median(end.weights, "the weights", whole(end.weights)),
                median(end.kl, "KL", significant(end.kl)),
                median(end.bias, "the bias of <|m|>", significant(end.bias)),
                *([smallest] if until else []),
                str(end.seeds),
            ]
        )
    head = ["sites", "settings", "h/J", "variant", "weights", "KL", "bias of <|m|>"]
    head += [*(["smallest, weights"] if until else []), "seeds"]
    return Table("Medians over seeds at the end of each run", head, rows)
