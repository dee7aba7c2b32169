"""The dataset of the ablations -> plain text and plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from psiprune.paired import Paired, paired
from psiprune.summaries import field_label
from psiprune.tables.common import BIASES, align, band_numbers, band_text, ratio_text


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
