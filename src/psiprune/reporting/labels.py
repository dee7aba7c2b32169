"""Labels shared by tables and figures: fields, phases, methods, seeds."""

from __future__ import annotations

import numpy as np
import xarray as xr

#: Characters of the name of a model in a title.
_LONGEST = 60
#: Titles of the methods of `psiprune frontier`.
_METHODS = {
    "magnitude-cd": "magnitude, CD: the paper",
    "magnitude": "magnitude",
    "magnitude-by-unit": "magnitude, by hidden unit",
    "damage": "damage",
    "surgeon": "surgeon",
    "random": "random (control)",
    "magnitude-alone": "magnitude, no training",
    "magnitude-compensated-alone": "magnitude, biases alone corrected",
    "damage-alone": "damage, no training",
    "surgeon-alone": "surgeon, no training",
    "cluster": "constructed clusters, from the start",
    "scale-free": "scale-free mask, from the start",
    "cluster-rewired": "clusters, rewired",
    "random-rewired": "random mask, rewired",
}


def critical(dataset: xr.Dataset) -> float:
    """Return the field h = J, the critical point, if the dataset has it; else its first field."""
    fields = dataset["field"].values
    return float(fields[(fields == dataset.attrs["coupling"]).argmax()])


def field_label(dataset: xr.Dataset, field: float) -> str:
    """Return the field in units of the coupling, "h/J = 1", or the name of another model."""
    if "hamiltonian" in dataset.coords:
        named = dataset["hamiltonian"]
        text = str((named.sel(field=field) if named.ndim else named).item())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return f"h/J = {field / dataset.attrs['coupling']:g}"


def phase_label(dataset: xr.Dataset, field: float) -> str:
    """Return the field and the phase of the infinite chain: "h/J = 1 (QCP)", "h/J = 2 (PM)"."""
    ratio = field / dataset.attrs["coupling"]
    phase = "QCP" if ratio == 1 else "PM" if ratio > 1 else "ordered"
    return f"{field_label(dataset, field)} ({phase})"


def method_title(variant: str) -> str:
    """Return the title of a method of the frontier, such as "surgeon, 3 hidden units"."""
    start, _, units = variant.rpartition("-")
    if units.isdigit():
        return f"{method_title(start)}, {units} hidden unit{'' if units == '1' else 's'}"
    return _METHODS.get(variant, variant)


def step_share(study: xr.Dataset) -> float:
    """Return the fraction of the remaining weights that a step of a study removes.

    The mean over its steps, as counts are rounded; without the first, which may have a fraction of
    its own, and the last, which may be truncated.
    """
    kept = study["weights_kept"].isel(field=0, seed=0).values
    steps = kept[1:] / kept[:-1]
    inner = steps[1:-1] if len(steps) > 2 else steps
    return float(1.0 - np.exp(np.log(inner).mean()))


def seeds_text(dataset: xr.Dataset) -> str:
    """Return the number of seeds of a dataset: "1 seed", "10 seeds"."""
    seeds = dataset.sizes["seed"]
    return f"{seeds} seed{'s' if seeds > 1 else ''}"
