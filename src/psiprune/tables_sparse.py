"""Datasets of sparse training and of the ablations -> plain text and plain numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from psiprune.paired import Paired, paired
from psiprune.tables import align

#: Measure and its name in a table.
_COLUMNS = (
    ("kl", "KL (nat)"),
    ("infidelity", "1 - F"),
    ("energy_bias", "E bias"),
    ("abs_magnetization_bias", "|m| bias"),
    ("correlation_mse", "C_MSE"),
)


def sparse_text(sparse: xr.Dataset) -> str:
    """For each field: median and 16 to 84 % of each measure, then the ratio to dense with its p."""
    blocks = []
    for field in sparse["field"].values:
        here = sparse.sel(field=field)
        head = f"h/J = {field / sparse.attrs['coupling']:g}"
        values = [["variant", "weights", *(title for _, title in _COLUMNS)]]
        ratios = [["variant", *(title for _, title in _COLUMNS)]]
        for variant in here["variant"].values:
            own = here.sel(variant=variant)
            weights = f"{int(own['weights_kept'].median())}"
            values.append([variant, weights, *(_band(own[name]) for name, _ in _COLUMNS)])
            if variant != "dense":
                ratios.append([variant, *(_ratio(_to_dense(here, own, k)) for k, _ in _COLUMNS)])
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
                    name: _numbers(here.sel(variant=variant)[name])
                    | {"against_dense": _to_dense(here, here.sel(variant=variant), name)._asdict()}
                    for name, _ in _COLUMNS
                },
            }
            for variant in here["variant"].values
        }
        for field, here in ((field, sparse.sel(field=field)) for field in sparse["field"].values)
    }


def ablation_text(ablation: xr.Dataset) -> str:
    """For each field: the measures by share broken, and where forbidden clusters went."""
    blocks = []
    for field in ablation["field"].values:
        here = ablation.sel(field=field)
        head = f"h/J = {field / ablation.attrs['coupling']:g}"
        seeds = ablation.sizes["seed"]
        rows = [["start", "broken", "adjacent", "roomy", *(title for _, title in _COLUMNS)]]
        for start in here["start"].values:
            for share in here["share"].values:
                own = here.sel(start=start, share=share)
                counts = [f"{float(own[f'broken_{k}'].median()):g}" for k in ("adjacent", "roomy")]
                bands = [_band(own[f"broken_{name}"]) for name, _ in _COLUMNS]
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
                    _band(here.sel(model=model)["forbidden_kl"]),
                    "" if model == "dense" else _ratio(Paired(**found["against_dense"])),
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
                    name: _numbers(here[f"broken_{name}"].sel(start=start, share=share))
                    for name, _ in _COLUMNS
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
        "kl": _numbers(own["forbidden_kl"]),
        "against_dense": against._asdict(),
    }


def _numbers(values: xr.DataArray) -> dict[str, float]:
    low, middle, high = (float(values.quantile(q)) for q in (0.16, 0.5, 0.84))
    return {"median": middle, "low": low, "high": high}


def _band(values: xr.DataArray) -> str:
    found = _numbers(values)
    return f"{found['median']:.2g} ({found['low']:.2g} to {found['high']:.2g})"


def _to_dense(here: xr.Dataset, own: xr.Dataset, name: str) -> Paired:
    return paired(own[name].values, here.sel(variant="dense")[name].values)


def _ratio(found: Paired) -> str:
    ratio = f"{found.ratio:.2f}" if math.isfinite(found.ratio) else "-"
    return f"{ratio} ({found.p:.2g})"
