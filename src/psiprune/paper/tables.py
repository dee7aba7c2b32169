"""Tables of the report and of the command line: Table I, and weights needed by each method."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.reporting.labels import method_title, phase_label
from psiprune.reporting.page import Table
from psiprune.reporting.tables import align, number
from psiprune.reporting.traced import Named, Number, median, percent, position, whole

#: A measure counts as unharmed while it is at most so many times that of the dense RBM.
HARMLESS = 2.0
#: Its RBM with all weights is the dense one of maximum likelihood, which limits refer to.
_REFERENCE = "surgeon"


def tree_weights(study: xr.Dataset) -> int:
    """The fewest weights that connect all units: N + N_h - 1."""
    return int(study.attrs["sites"] + study.attrs["hidden"] - 1)


def falls_apart(study: xr.Dataset, field: float) -> NDArray[np.float64]:
    """The first level at which the graph is disconnected, [seed]; NaN if it never is."""
    apart = (study["components"].sel(field=field) > 1).astype(int).transpose("seed", "level")
    return np.asarray(apart.idxmax("level").where(apart.any("level")).values, np.float64)


def schedule_text(study: xr.Dataset) -> str:
    """Format the paper's Table I with integer counts, then where each graph falls apart."""
    found = schedule_numbers(study)
    fields = list(found["fields"])
    rows = [["step", "weights", "remaining", "0.9^step", *(f"connected {f}" for f in fields)]]
    for k, step in enumerate(found["steps"]):
        seeds = [found["fields"][f]["connected"][k] for f in fields]
        rows.append(
            [
                str(step["step"]),
                number(step["weights_kept"], "d"),
                f"{number(step['percent'], '.1f')} %",
                f"{step['paper_percent']:.1f} %",
                *(f"{count} of {study.sizes['seed']}" for count in seeds),
            ]
        )
    must = found["must_fall_apart"]
    tree = f"{found['tree']} weights connect all {found['tree'] + 1} units"
    lines = [f"{tree}: fewer are left from step {must} on" if must is not None else tree]
    for field, label in zip(fields, _labels(study), strict=True):
        steps = found["fields"][field]["falls_apart"]
        each = ", ".join(
            f"{seed}: {'never' if step is None else step}" for seed, step in steps.items()
        )
        lines.append(f"{label}, first disconnected step by seed: {each}")
    return "\n".join([align(rows), "", *lines])


def schedule_numbers(study: xr.Dataset) -> dict[str, Any]:
    """Return the numbers of Table I for JSON.

    Returns:
        steps: for each its weights_kept, percent of all weights, and paper_percent, 100 * 0.9^step
        as the paper prints it. tree: N + N_h - 1, the fewest weights that connect all units.
        must_fall_apart: the first step with fewer. fields: "h=1" -> connected, the number of
        seeds whose graph is connected at each step, and falls_apart, seed -> the first step at
        which its graph is disconnected. None where that never happens, or a count is unknown.
    """
    kept = study["weights_kept"].isel(field=0, seed=0).values
    total, tree = int(study.attrs["sites"] * study.attrs["hidden"]), tree_weights(study)
    steps = [
        {
            "step": step,
            "weights_kept": _known(count),
            "percent": 100.0 * count / total if np.isfinite(count) else None,
            "paper_percent": 100.0 * 0.9**step,
        }
        for step, count in enumerate(kept)
    ]
    fields = {}
    for field in study["field"].values:
        connected = (study["components"].sel(field=field) == 1).sum("seed")
        steps_by_seed = zip(study["seed"].values, falls_apart(study, field), strict=True)
        fields[f"h={field:g}"] = {
            "connected": [int(count) for count in connected],
            "falls_apart": {str(seed): _known(step) for seed, step in steps_by_seed},
        }
    fewer = kept < tree
    must = int(fewer.argmax()) if fewer.any() else None
    return {"steps": steps, "tree": tree, "must_fall_apart": must, "fields": fields}


def _known(value: float) -> int | None:
    return int(value) if np.isfinite(value) else None


def table_one(study: xr.Dataset) -> Table:
    """Table I for the page: weights left, and in how many seeds the graph is connected."""
    of, seeds = Named("study", study), study.sizes["seed"]
    fields = study["field"].values.tolist()
    rows: list[list[str | Number]] = []
    for level in study["level"].values.tolist():
        where = {"field": fields[0], "level": level}
        left = 1.0 - median(of, "fraction_pruned", where).value
        how = f"study: 1 - median over seed of fraction_pruned{position(where)}"
        row: list[str | Number] = [str(level), median(of, "weights_kept", where, whole)]
        row.append(Number(left, percent(left), how))
        for field in fields:
            count = int((study["components"].sel(field=field, level=level) == 1).sum())
            how = f"study: seeds with components[field={field:g}, level={level}] = 1"
            row.append(Number(count, whole(count), how))
        rows.append(row)
    return Table(
        f"Weights left after each pruning step, and connected graphs, of {seeds} per phase",
        ["step", "weights", "share", *(f"connected, {label}" for label in _labels(study))],
        rows,
    )


def half_of(frontier: xr.Dataset) -> int:
    """The number of weights nearest to half of all."""
    counts, total = frontier["count"].values, frontier.attrs["sites"] * frontier.attrs["hidden"]
    return int(counts[np.abs(counts - total / 2).argmin()])


def frontier_table(frontier: xr.Dataset) -> Table | None:
    """All variants: KL at about half of the weights, and the fewest weights within each limit.

    None without the dense RBMs that the limit of KL refers to.
    """
    total = int(frontier.attrs["sites"]) * int(frontier.attrs["hidden"])
    if _REFERENCE not in frontier["variant"].values or total not in frontier["count"].values:
        return None
    of, limit, half = Named("frontier", frontier), float(frontier.attrs["limit"]), half_of(frontier)
    head = ["variant"]
    for label in _labels(frontier):
        head += [
            f"{label}: KL at {half} weights (nats)",
            f"fewest weights with KL ≤ {HARMLESS:g} × dense",
            f"fewest weights with mROE < {percent(limit)}",
        ]
    rows: list[list[str | Number]] = []
    for variant in map(str, frontier["variant"].values):
        row: list[str | Number] = [method_title(variant)]
        for field in frontier["field"].values.tolist():
            where = {"field": field, "variant": variant}
            dense = {"field": field, "variant": _REFERENCE, "count": total}
            kl, mroe = (
                frontier[name].sel(where).median("seed") for name in ("kl", "abs_magnetization_roe")
            )
            twice = f"kl{position(where)} <= {HARMLESS:g} x that{position(dense)}"
            within = kl <= HARMLESS * median(of, "kl", dense).value
            row += [
                median(of, "kl", {**where, "count": half}),
                _fewest(within, twice),
                _fewest(mroe < limit, f"abs_magnetization_roe{position(where)} < limit"),
            ]
        rows.append(row)
    caption = (
        "All methods of removing weights, medians over seeds; a dash where no count is within the "
        "limit"
    )
    return Table(caption, head, rows)


def _fewest(within: xr.DataArray, limit: str) -> Number:
    """The smallest count at which a median over seeds is within a limit; NaN if none is."""
    fewest = float(within["count"].where(within).min())
    how = f"frontier: smallest count with median over seed of {limit}"
    return Number(fewest, whole(fewest), how)


def _labels(dataset: xr.Dataset) -> list[str]:
    return [phase_label(dataset, field) for field in dataset["field"].values]
