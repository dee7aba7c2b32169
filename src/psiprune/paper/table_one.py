"""The paper's Table I: what is left at each pruning step, and when each graph falls apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from psiprune.reporting.labels import phase_label
from psiprune.reporting.tables import align, number


def schedule_text(study: xr.Dataset) -> str:
    """The paper's Table I with integer counts, then where the graphs of all seeds fall apart."""
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
        lines.append(f"{label}, first step in parts by seed: {each}")
    return "\n".join([align(rows), "", *lines])


def schedule_numbers(study: xr.Dataset) -> dict[str, Any]:
    """The same for JSON.

    Returns:
        steps: for each its weights_kept, percent of all weights, and paper_percent, 100 * 0.9^step
        as the paper prints it. tree: N + N_h - 1, the fewest weights that connect all units.
        must_fall_apart: the first step with fewer. fields: "h=1" -> connected, the number of
        seeds whose graph is in one part at each step, and falls_apart, seed -> the first step at
        which its graph is in parts. None where that never happens, or a count is unknown.
    """
    kept = study["weights_kept"].isel(field=0, seed=0).values
    total = int(study.attrs["sites"] * study.attrs["hidden"])
    tree = int(study.attrs["sites"] + study.attrs["hidden"] - 1)
    counts = [int(count) if np.isfinite(count) else None for count in kept]
    steps = [
        {
            "step": step,
            "weights_kept": count,
            "percent": None if count is None else 100.0 * count / total,
            "paper_percent": 100.0 * 0.9**step,
        }
        for step, count in enumerate(counts)
    ]
    fields = {}
    for field in study["field"].values:
        parts = study["components"].sel(field=field).transpose("level", "seed")
        fields[f"h={field:g}"] = {
            "connected": [int(count) for count in (parts == 1).sum("seed")],
            "falls_apart": {
                str(seed): _first((parts > 1).sel(seed=seed).values)
                for seed in study["seed"].values
            },
        }
    return {
        "steps": steps,
        "tree": tree,
        "must_fall_apart": _first(kept < tree),
        "fields": fields,
    }


def _first(there: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> int | None:
    return int(there.argmax()) if there.any() else None


def _labels(study: xr.Dataset) -> list[str]:
    return [phase_label(study, field) for field in study["field"].values]
