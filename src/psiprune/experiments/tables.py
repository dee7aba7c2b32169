"""Text and JSON tables of study, sparse, ablation and frontier."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from psiprune.core.statistics import Paired, paired
from psiprune.reporting.labels import field_label
from psiprune.reporting.tables import BIASES, align, band_numbers, band_text, number, ratio_text

_COLUMNS = (
    ("kl", "KL (nat)"),
    ("infidelity", "1 - F"),
    ("energy_roe", "eROE"),
    ("abs_magnetization_roe", "mROE"),
    ("correlation_mse", "C_MSE"),
)


def study_text(study: xr.Dataset, every: int = 2) -> str:
    """Every second level of each field and the last: weights, parts, the median measures."""
    last = study.sizes["level"] - 1
    tables = []
    for field in study["field"].values:
        rows = [["pruned", "weights", "parts", *(label for _, label in _COLUMNS)]]
        for level in sorted({*range(0, last, every), last}):
            here = study.sel(field=field).isel(level=level).median("seed")
            rows.append(
                [
                    f"{float(here['fraction_pruned']):.1%}",
                    f"{float(here['weights_kept']):.0f}",
                    f"{float(here['components']):g}",
                    *(number(float(here[name]), ".2g") for name, _ in _COLUMNS),
                ]
            )
        found = _smallest_line(study.sel(field=field)) if "smallest_weights" in study else []
        tables.append("\n".join([field_label(study, field), align(rows), *found]))
    return "\n\n".join(tables)


def study_numbers(study: xr.Dataset) -> dict[str, Any]:
    """Medians over seeds for JSON: field -> list of levels."""
    names = ["fraction_pruned", "weights_kept", "components", *(name for name, _ in _COLUMNS)]
    return {
        f"h={field:g}": [
            {name: float(study[name].sel(field=field).isel(level=k).median()) for name in names}
            for k in range(study.sizes["level"])
        ]
        for field in study["field"].values
    }


def smallest_of_study(study: xr.Dataset) -> dict[str, Any]:
    """What the searches of a study found, for JSON: field -> weights of each seed, median, range.

    Median and range are over the seeds whose dense RBM is within the limit; null for the others.
    `censored` counts the seeds whose path ended within the limit, where fewer weights may do.
    """
    return {f"h={field:g}": _smallest(study.sel(field=field)) for field in study["field"].values}


def _smallest(here: xr.Dataset) -> dict[str, Any]:
    weights = here["smallest_weights"].values
    found = weights[np.isfinite(weights)]
    return {
        "measure": str(here.attrs["smallest_measure"]),
        "limit": float(here["smallest_limit"]),
        "weights": [int(count) if np.isfinite(count) else None for count in weights],
        "median": float(np.median(found)) if len(found) else None,
        "least": int(found.min()) if len(found) else None,
        "most": int(found.max()) if len(found) else None,
        "censored": int(here["smallest_censored"].sum()) if "smallest_censored" in here else None,
    }


def _smallest_line(here: xr.Dataset) -> list[str]:
    own = _smallest(here)
    within = f"{own['measure']} within {own['limit']:.3g}"
    seeds = len(own["weights"])
    found = seeds - own["weights"].count(None)
    if not found:
        return [f"smallest RBM with {within}: none, as no dense RBM is; seeds: {seeds}"]
    total = here.attrs["sites"] * here.attrs["hidden"]
    some = "" if found == seeds else f", {seeds - found} of {seeds} seeds are beyond it while dense"
    lines = [
        f"smallest RBM with {within}: median {own['median']:g} of {total} weights "
        f"({own['least']} to {own['most']}; seeds: {found}){some}"
    ]
    if own["censored"]:
        lines.append(
            f"warning: of {own['censored']} of {found} seeds the path ended within the limit, so "
            "fewer weights may do; give more --prune.levels, or a smaller --prune.density"
        )
    return lines


def sparse_text(sparse: xr.Dataset) -> str:
    """For each field: median and 16 to 84 % of each measure, then the ratio to dense with its p."""
    blocks = []
    for field in sparse["field"].values:
        here = sparse.sel(field=field)
        head = field_label(sparse, field)
        values = [["variant", "weights", *(title for _, title in BIASES)]]
        ratios = [["variant", *(title for _, title in BIASES)]]
        for variant in here["variant"].values:
            own = here.sel(variant=variant)
            weights = f"{int(own['weights_kept'].median())}"
            values.append([variant, weights, *(band_text(own[name]) for name, _ in BIASES)])
            if variant != "dense":
                ratios.append([variant, *(ratio_text(_to_dense(here, own, k)) for k, _ in BIASES)])
        seeds = sparse.sizes["seed"]
        blocks += [
            f"{head}: median (16 to 84 %) of {seeds} seeds\n{align(values)}",
            f"{head}: ratio to dense, median over seeds (Wilcoxon p)\n{align(ratios)}",
        ]
    return "\n\n".join(blocks)


def sparse_numbers(sparse: xr.Dataset) -> dict[str, Any]:
    """The same for JSON: field -> variant -> measure -> median, low, high, and against dense."""
    return {
        f"h={field:g}": {
            str(variant): {
                "weights_kept": int(here.sel(variant=variant)["weights_kept"].median()),
                "components": float(here.sel(variant=variant)["components"].median()),
                **{
                    name: band_numbers(here.sel(variant=variant)[name])
                    | {"against_dense": _to_dense(here, here.sel(variant=variant), name)._asdict()}
                    for name, _ in BIASES
                },
            }
            for variant in here["variant"].values
        }
        for field, here in ((field, sparse.sel(field=field)) for field in sparse["field"].values)
    }


def _to_dense(here: xr.Dataset, own: xr.Dataset, name: str) -> Paired:
    return paired(own[name].values, here.sel(variant="dense")[name].values)


def ablation_text(ablation: xr.Dataset) -> str:
    """For each field: the measures by share broken, and where forbidden clusters went."""
    blocks = []
    for field in ablation["field"].values:
        here = ablation.sel(field=field)
        head = field_label(ablation, field)
        seeds = ablation.sizes["seed"]
        rows = [["start", "broken", "adjacent", "roomy", *(title for _, title in BIASES)]]
        for start in here["start"].values:
            for share in here["share"].values:
                own = here.sel(start=start, share=share)
                counts = [f"{float(own[f'broken_{k}'].median()):g}" for k in ("adjacent", "roomy")]
                bands = [band_text(own[f"broken_{name}"]) for name, _ in BIASES]
                rows.append([start, f"{share:.0%}", *counts, *bands])
        blocks.append(f"{head}, broken: median (16 to 84 %) of {seeds} seeds\n{align(rows)}")
        rows = [["model", "weights", "clusters", "moved", "|shift|", "taken", "KL (nat)", "ratio"]]
        for model in here["model"].values:
            found = _forbidden_numbers(here, str(model))
            rows.append(
                [
                    str(model),
                    f"{found['weights_kept']:g}",
                    f"{found['clusters']}/{found['units']}",
                    f"{found['moved']}",
                    f"{found['shift']:g}",
                    f"{found['taken']}",
                    band_text(here.sel(model=model)["forbidden_kl"]),
                    "" if model == "dense" else ratio_text(Paired(**found["against_dense"])),
                ]
            )
        blocks.append(f"{head}, forbidden: {seeds} seeds of {ablation.attrs['hidden']} units\n")
        blocks[-1] += align(rows)
    return "\n\n".join(blocks)


def ablation_numbers(ablation: xr.Dataset) -> dict[str, Any]:
    """The same for JSON: field -> broken: start -> list over shares; forbidden: model -> ..."""
    found: dict[str, Any] = {}
    for field in ablation["field"].values:
        here = ablation.sel(field=field)
        broken = {
            str(start): [
                {"share": float(share)}
                | {
                    name: float(here[f"broken_{name}"].sel(start=start, share=share).median())
                    for name in ("adjacent", "roomy", "components")
                }
                | {
                    name: band_numbers(here[f"broken_{name}"].sel(start=start, share=share))
                    for name, _ in BIASES
                }
                for share in here["share"].values
            ]
            for start in here["start"].values
        }
        models = [str(model) for model in here["model"].values]
        found[f"h={field:g}"] = {
            "broken": broken,
            "forbidden": {model: _forbidden_numbers(here, model) for model in models},
        }
    return found


def _forbidden_numbers(ablation: xr.Dataset, model: str) -> dict[str, Any]:
    """Clusters of one kind of RBM over all seeds and units, against those of the dense RBMs.

    moved counts units whose window shares no site with the dense one, shift is the median distance
    of both, taken counts dense windows of which another unit's window now covers two sites or more.
    """
    own, dense = ablation.sel(model=model), ablation.sel(model="dense")
    against = paired(own["forbidden_kl"].values, dense["forbidden_kl"].values)
    return {
        "weights_kept": float(own["forbidden_weights_kept"].median()),
        "clusters": int(own["found"].sum()),
        "units": own["found"].size,
        "moved": int((own["overlap"] == 0).sum()),
        "shift": float(np.median(np.abs(own["shift"].values))),
        "taken": int((own["taken"] >= 2).sum()),
        "kl": band_numbers(own["forbidden_kl"]),
        "against_dense": against._asdict(),
    }


_REFERENCE = "surgeon"  # its first count is the dense RBM of maximum likelihood


def frontier_text(frontier: xr.Dataset) -> str:
    """For each field a line a method, then the smallest RBM of all, then the MPS."""
    limit = frontier.attrs["limit"]
    blocks = []
    for name, here in frontier_numbers(frontier).items():
        half = here["half"]
        rows = [
            [
                "method",
                "seeds",
                f"KL at {half}",
                "/ dense",
                "KL <= 2 dense",
                f"mROE < {limit:.0%}",
                "both",
            ]
        ]
        rows += [
            [
                method,
                str(own["seeds"]),
                number(own["half_kl"], ".2g"),
                number(own["half_ratio"], ".1f"),
                _smallest_within(own["within_kl"]),
                _smallest_within(own["within_roe"]),
                _smallest_within(own["within_both"]),
            ]
            for method, own in here["methods"].items()
        ]
        mps = [["MPS", "parameters", "KL (nat)", "|m| bias", "mROE"]]
        mps += [
            [
                f"bond {own['bond']}",
                str(own["parameters"]),
                *(f"{own[k]:.2g}" for k in ("kl", "abs_magnetization_bias", "mroe")),
            ]
            for own in here["mps"]
        ]
        blocks += [
            f"{name}: dense KL {here['dense_kl']:.2g}; smallest number of weights within a limit, "
            f"with its KL and mROE; medians over seeds\n{align(rows)}",
            *(
                f"{words}: {_best(here['best'][key])}"
                for key, words in (
                    ("within_roe", f"fewest weights with mROE < {limit:.0%}"),
                    ("within_both", f"fewest with mROE < {limit:.0%} and KL <= 2 dense"),
                )
            ),
            align(mps),
        ]
    return "\n\n".join(blocks)


def frontier_numbers(frontier: xr.Dataset) -> dict[str, Any]:
    """The same for JSON.

    Limits are twice the median KL of the dense RBM with N_h hidden units and exact training, and
    `limit` for mROE. "Smallest" is the smallest count at which the median over seeds is within
    them, whatever it is at larger ones. `half` is the first count with half of the N N_h weights
    gone or more, if there is one.
    """
    found = {}
    limit = float(frontier.attrs["limit"])
    total = frontier.attrs["sites"] * frontier.attrs["hidden"]
    own = frontier["kl"].sel(variant=_REFERENCE).dropna("count", how="all")
    counts = own["count"].values
    half = int(counts[counts <= max(total / 2, counts.min())].max())
    for field in frontier["field"].values:
        here = frontier.sel(field=field)
        dense = float(here["kl"].sel(variant=_REFERENCE, count=total).median("seed"))
        methods = {
            str(method): _method(here.sel(variant=method), dense, limit, half)
            for method in here["variant"].values
        }
        mps = [
            {
                "bond": int(bond),
                "parameters": int(here["mps_parameters"].sel(bond=bond)),
                "kl": float(here["mps_kl"].sel(bond=bond)),
                "abs_magnetization_bias": float(here["mps_abs_magnetization_bias"].sel(bond=bond)),
                "mroe": float(here["mps_abs_magnetization_roe"].sel(bond=bond)),
            }
            for bond in here["bond"].values
        ]
        best = {}
        for key in ("within_kl", "within_roe", "within_both"):
            all_found = [
                {"method": name, **own[key]}
                for name, own in methods.items()
                if own[key] is not None
            ]
            best[key] = min(all_found, key=lambda one: (one["count"], one["kl"]), default=None)
        found[f"h={field:g}"] = {
            "dense_kl": dense,
            "half": half,
            "methods": methods,
            "best": best,
            "mps": mps,
        }
    return found


def _method(here: xr.Dataset, dense: float, limit: float, half: int) -> dict[str, Any]:
    there = here["kl"].notnull()
    middle = here[["kl", "abs_magnetization_bias", "abs_magnetization_roe"]].median("seed")
    kl, roe = middle["kl"].values, middle["abs_magnetization_roe"].values

    def smallest(within: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> dict[str, Any] | None:
        places = np.flatnonzero(within)
        if not len(places):
            return None
        k = places[np.argmin(here["count"].values[places])]
        return {
            "count": int(here["count"].values[k]),
            "kl": float(kl[k]),
            "abs_magnetization_bias": float(middle["abs_magnetization_bias"].values[k]),
            "mroe": float(roe[k]),
        }

    half_kl = float(middle["kl"].sel(count=half))
    return {
        "seeds": int(there.any("count").sum()),
        "half_kl": half_kl,
        "half_ratio": half_kl / dense,
        "within_kl": smallest(kl <= 2 * dense),
        "within_roe": smallest(roe < limit),
        "within_both": smallest((kl <= 2 * dense) & (roe < limit)),
    }


def _smallest_within(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    return f"{found['count']} (KL {found['kl']:.2g}, {found['mroe']:.1%})"


def _best(found: dict[str, Any] | None) -> str:
    return "none" if found is None else f"{_smallest_within(found)} by {found['method']}"
