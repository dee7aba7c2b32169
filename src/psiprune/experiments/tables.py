"""Tables of all experiments, as numbers for JSON and as text.

An experiment declares two functions: one takes one field of its dataset to numbers, the other takes
these numbers to blocks of text. `table_numbers` and `table_text` apply them to all fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from psiprune.core.statistics import paired, paired_if_known
from psiprune.experiments.entanglement_table import entanglement_blocks, entanglement_numbers
from psiprune.experiments.masks_table import masks_blocks, masks_numbers
from psiprune.reporting.labels import field_label, seeds_text
from psiprune.reporting.tables import (
    BIASES,
    Column,
    band_numbers,
    band_text,
    ratio_text,
    table,
    wrap,
)

Numbers = dict[str, Any]
BAND = "median (16 to 84 %)"


class Table(NamedTuple):
    """How one experiment is summarized.

    Attributes:
        numbers: takes one field of the dataset to {key in JSON: numbers}.
        blocks: takes the label of a field, that part of the dataset and its numbers to blocks of
            text.
    """

    numbers: Callable[[xr.Dataset], Numbers]
    blocks: Callable[[str, xr.Dataset, Numbers], Iterable[str]]


def table_numbers(experiment: str, dataset: xr.Dataset) -> dict[str, Numbers]:
    """Return the numbers of an experiment for JSON: {key: {"h=1": numbers, ...}}."""
    fields = {
        f"h={field:g}": TABLES[experiment].numbers(dataset.sel(field=field))
        for field in dataset["field"].values
    }
    keys = next(iter(fields.values()))
    return {key: {name: numbers[key] for name, numbers in fields.items()} for key in keys}


def table_text(experiment: str, dataset: xr.Dataset) -> str:
    """Return the same numbers as text, in lines of at most 100 characters."""
    numbers, blocks = TABLES[experiment]
    return "\n\n".join(
        block
        for field in dataset["field"].values
        for one in [dataset.sel(field=field)]
        for block in blocks(field_label(dataset, field), one, numbers(one))
    )


#: The columns of a study: of each level, medians over seeds.
STUDY: tuple[Column, ...] = (
    ("pruned", "fraction_pruned", ".1%"),
    ("weights", "weights_kept", ".0f"),
    ("parts", "components", "g"),
    ("KL (nat)", "kl", ".2g"),
    ("1 - F", "infidelity", ".2g"),
    ("eROE", "energy_roe", ".2g"),
    ("mROE", "abs_magnetization_roe", ".2g"),
    ("C_MSE", "correlation_mse", ".2g"),
)


def observable_losses(names: Iterable[object]) -> tuple[Column, ...]:
    """Return a column |NAME - ref| for each further observable among these variables."""
    found = (re.fullmatch("observable_(.+)_loss", str(name)) for name in names)
    return tuple((f"|d {each[1]}|", each[0], ".2g") for each in found if each is not None)


def _study_numbers(study: xr.Dataset) -> Numbers:
    """Return medians over seeds, level by level, and what the searches found, if there were any."""
    names = [name for _, name, _ in (*STUDY, *observable_losses(study))]
    study = removing_levels(study)
    middle = study[names].median("seed").astype(float).to_dataframe()[names]
    smallest = {"smallest": _smallest(study)} if "smallest_weights" in study else {}
    return {"levels": middle.to_dict("records"), **smallest}


def removing_levels(study: xr.Dataset) -> xr.Dataset:
    """Return a study without the levels that removed no weight.

    Where few weights are left, a share of them can be less than one.
    """
    kept = study["weights_kept"].median([dim for dim in ("field", "seed") if dim in study.dims])
    return study.isel(level=np.flatnonzero(np.diff(kept.values, prepend=np.inf)))


def _study_blocks(label: str, study: xr.Dataset, numbers: Numbers) -> list[str]:
    columns = (*STUDY, *observable_losses(study))
    lines = [label, table(columns, numbers["levels"])]
    if "smallest" in numbers:
        total = study.attrs["sites"] * study.attrs["hidden"]
        lines += map(wrap, smallest_lines(numbers["smallest"], total))
    return ["\n".join(lines)]


def _smallest(study: xr.Dataset) -> Numbers:
    """Return the smallest number of weights of each seed, their median and range.

    None for a seed whose dense RBM exceeds the limit; median and range are over the others.
    `censored` counts the seeds whose path ended within the limit, where fewer weights may suffice.
    """
    weights = [int(w) if np.isfinite(w) else None for w in study["smallest_weights"].values]
    found = [count for count in weights if count is not None]
    return {
        "measure": str(study.attrs["smallest_measure"]),
        "limit": float(study["smallest_limit"]),
        "weights": weights,
        "median": float(np.median(found)) if found else None,
        "least": min(found, default=None),
        "most": max(found, default=None),
        "censored": int(study["smallest_censored"].sum()) if "smallest_censored" in study else None,
    }


def smallest_lines(smallest: Numbers, total: int) -> list[str]:
    """Return the result of the searches of all seeds, and a warning where some ended early."""
    head = f"smallest RBM with {smallest['measure']} <= {smallest['limit']:.3g}"
    seeds, beyond = len(smallest["weights"]), smallest["weights"].count(None)
    if beyond == seeds:
        return [f"{head}: none; the dense RBM exceeds this limit for all {seeds} seeds"]
    lines = [
        f"{head}: median {smallest['median']:g} of {total} weights "
        f"({smallest['least']} to {smallest['most']}; seeds: {seeds - beyond})"
    ]
    if beyond:
        lines[0] += f"; the dense RBM exceeds this limit for {beyond} of {seeds} seeds"
    if smallest["censored"]:
        lines.append(
            f"warning: for {smallest['censored']} of {seeds - beyond} seeds the path ended within "
            "the limit, so fewer weights may suffice; increase --prune.levels or lower "
            "--prune.density"
        )
    return lines


_BANDS: tuple[Column, ...] = tuple((title, name, band_text) for name, title in BIASES)


def _summary(one: xr.Dataset, prefix: str = "", counts: Iterable[str] = ("components",)) -> Numbers:
    """Return the medians of some counts, and the median and quantiles of each measure."""
    return {
        **{name: float(one[f"{prefix}{name}"].median()) for name in counts},
        **{name: band_numbers(one[f"{prefix}{name}"]) for name, _ in BIASES},
    }


def _sparse_numbers(sparse: xr.Dataset) -> Numbers:
    """Return median, quantiles and comparison with dense of each measure, by variant."""
    dense = sparse.sel(variant="dense")

    variants: Numbers = {}
    for variant in sparse["variant"].values:
        one = sparse.sel(variant=variant)
        row = {"weights_kept": int(one["weights_kept"].median()), **_summary(one)}
        for name, _ in BIASES:
            compared = paired_if_known(one[name].values, dense[name].values)
            row[name]["against_dense"] = compared._asdict()
        variants[str(variant)] = row
    return {"variants": variants}


def _sparse_blocks(label: str, sparse: xr.Dataset, numbers: Numbers) -> list[str]:
    rows = [{"variant": variant, **entry} for variant, entry in numbers["variants"].items()]
    name: Column = ("variant", "variant", "")
    values = [name, ("weights", "weights_kept", "d"), *_BANDS]
    ratios = [name, *((title, key, _against_dense) for key, title in BIASES)]
    pruned = [row for row in rows if row["variant"] != "dense"]
    return [
        f"{label}: {BAND} of {seeds_text(sparse)}\n{table(values, rows, keys=2)}",
        f"{label}: ratio to dense, median over seeds (Wilcoxon p)\n{table(ratios, pruned)}",
    ]


def _against_dense(measure: Numbers) -> str:
    return ratio_text(measure["against_dense"])


_BROKEN: tuple[Column, ...] = (
    ("start", "start", ""),
    ("broken", "share", ".0%"),
    ("adjacent", "adjacent", "g"),
    ("roomy", "roomy", "g"),
    *_BANDS,
)
_FORBIDDEN: tuple[Column, ...] = (
    ("model", "model", ""),
    ("weights", "weights_kept", "g"),
    ("clusters", "clusters", "d"),
    ("units", "units", "d"),
    ("moved", "moved", "d"),
    ("|shift|", "shift", "g"),
    ("taken", "taken", "d"),
    ("KL (nat)", "kl", band_text),
    ("ratio", "against_dense", ratio_text),
)


def _ablation_numbers(ablation: xr.Dataset) -> Numbers:
    """Return the measures by start and share broken, and the clusters by model."""

    counts = ("adjacent", "roomy", "components")
    broken = {
        str(start): [
            {"share": share, **_summary(ablation.sel(start=start, share=share), "broken_", counts)}
            for share in ablation["share"].values.tolist()
        ]
        for start in ablation["start"].values
    }
    forbidden = {
        str(model): _forbidden(ablation.sel(model=model), ablation.sel(model="dense"))
        for model in ablation["model"].values
    }
    return {"ablation": {"broken": broken, "forbidden": forbidden}}


def _forbidden(model: xr.Dataset, dense: xr.Dataset) -> Numbers:
    """Return the clusters of one kind of RBM over all seeds and units, against the dense RBMs.

    `moved` counts units whose window shares no site with the dense one, `shift` is the median
    distance of the two, `taken` counts dense windows of which another unit's window now covers two
    sites or more.
    """
    kl = model["forbidden_kl"]
    return {
        "weights_kept": float(model["forbidden_weights_kept"].median()),
        "clusters": int(model["found"].sum()),
        "units": model["found"].size,
        "moved": int((model["overlap"] == 0).sum()),
        "shift": float(np.median(np.abs(model["shift"].values))),
        "taken": int((model["taken"] >= 2).sum()),
        "kl": band_numbers(kl),
        "against_dense": paired(kl.values, dense["forbidden_kl"].values)._asdict(),
    }


def _ablation_blocks(label: str, ablation: xr.Dataset, numbers: Numbers) -> list[str]:
    numbers, seeds = numbers["ablation"], seeds_text(ablation)
    broken = [{"start": start, **row} for start, rows in numbers["broken"].items() for row in rows]
    forbidden = [{"model": model, **row} for model, row in numbers["forbidden"].items()]
    return [
        f"{label}, clusters broken: {BAND} of {seeds}\n{table(_BROKEN, broken, keys=2)}",
        f"{label}, clusters forbidden: {seeds} of {ablation.attrs['hidden']} units; {BAND}, "
        f"ratio to dense (Wilcoxon p)\n{table(_FORBIDDEN, forbidden)}",
    ]


_REFERENCE = "surgeon"  # its first count is the dense RBM of maximum likelihood
_MPS: tuple[Column, ...] = (
    ("MPS", "bond", "bond {}".format),
    ("parameters", "parameters", "d"),
    ("KL (nat)", "kl", ".2g"),
    ("|m| bias", "abs_magnetization_bias", ".2g"),
    ("mROE", "mroe", ".2g"),
)


def _frontier_numbers(frontier: xr.Dataset) -> Numbers:
    """Return, for each method, the smallest numbers of weights within limits; and those of all.

    The limits are twice the median KL of the dense RBM with N_h hidden units and exact training,
    and the attribute `limit` for mROE. "Smallest" is the smallest count at which the median over
    seeds is within them, regardless of larger counts. `half` is the first count with at least half
    of the N N_h weights pruned, if there is one.
    """
    total = frontier.attrs["sites"] * frontier.attrs["hidden"]
    reference = frontier["kl"].sel(variant=_REFERENCE)
    # A count is one of the reference where any field has it.
    counts = reference.dropna("count", how="all")["count"].values
    half = int(counts[counts <= max(total / 2, counts.min())].max())
    dense = float(reference.sel(count=total).median("seed"))
    methods = {
        str(name): _method(frontier.sel(variant=name), dense, half)
        for name in frontier["variant"].values
    }
    best = {
        key: min(
            ({"method": name, **row[key]} for name, row in methods.items() if row[key] is not None),
            key=lambda row: (row["count"], row["kl"]),
            default=None,
        )
        for key in ("within_kl", "within_roe", "within_both")
    }
    columns = [f"mps_{name}" for _, name, _ in _MPS[1:]]
    mps = frontier.rename(mps_abs_magnetization_roe="mps_mroe")[columns].to_dataframe()[columns]
    mps = mps.rename(columns=lambda name: name.removeprefix("mps_")).reset_index()
    numbers = {"dense_kl": dense, "half": half, "methods": methods, "best": best}
    return {"frontier": {**numbers, "mps": mps.to_dict("records")}}


def _method(method: xr.Dataset, dense: float, half: int) -> Numbers:
    names = ["kl", "abs_magnetization_bias", "mroe"]
    middle = method.rename(abs_magnetization_roe="mroe")[names].median("seed")
    rows = middle.to_dataframe()[names].reset_index()
    within_kl, within_roe = rows["kl"] <= 2 * dense, rows["mroe"] < method.attrs["limit"]

    def smallest(within: pd.Series) -> Numbers | None:
        return next(iter(rows[within].nsmallest(1, "count").to_dict("records")), None)

    half_kl = float(middle["kl"].sel(count=half))
    return {
        "seeds": int(method["kl"].notnull().any("count").sum()),
        "half_kl": half_kl,
        "half_ratio": half_kl / dense,
        "within_kl": smallest(within_kl),
        "within_roe": smallest(within_roe),
        "within_both": smallest(within_kl & within_roe),
    }


def _frontier_blocks(label: str, frontier: xr.Dataset, numbers: Numbers) -> list[str]:
    numbers, limit = numbers["frontier"], f"mROE < {frontier.attrs['limit']:.0%}"
    columns: tuple[Column, ...] = (
        ("method", "method", ""),
        ("seeds", "seeds", "d"),
        (f"KL at {numbers['half']}", "half_kl", ".2g"),
        ("/ dense", "half_ratio", ".1f"),
        ("KL <= 2 dense", "within_kl", _within),
        (limit, "within_roe", _within),
        ("both", "within_both", _within),
    )
    methods = [{"method": name, **row} for name, row in numbers["methods"].items()]
    return [
        f"{label}: dense KL {numbers['dense_kl']:.2g}; medians over seeds; smallest number of "
        f"weights within a limit\n(with its KL and mROE)\n{table(columns, methods)}",
        f"fewest weights with {limit}: {best_text(numbers['best']['within_roe'])}",
        f"fewest with {limit} and KL <= 2 dense: {best_text(numbers['best']['within_both'])}",
        table(_MPS, numbers["mps"]),
    ]


def _within(smallest: Numbers | None) -> str:
    if smallest is None:
        return "-"
    return f"{smallest['count']} (KL {smallest['kl']:.2g}, {smallest['mroe']:.1%})"


def best_text(smallest: Numbers | None) -> str:
    """Return a number of weights with its KL and mROE, and the method that has them."""
    return "none" if smallest is None else f"{_within(smallest)} by {smallest['method']}"


#: The table of each experiment, by the name of its command.
TABLES: Mapping[str, Table] = {
    "study": Table(_study_numbers, _study_blocks),
    "sparse": Table(_sparse_numbers, _sparse_blocks),
    "ablation": Table(_ablation_numbers, _ablation_blocks),
    "frontier": Table(_frontier_numbers, _frontier_blocks),
    "masks": Table(masks_numbers, masks_blocks),
    "entanglement": Table(entanglement_numbers, entanglement_blocks),
}
