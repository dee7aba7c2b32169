"""The dataset of error against number of weights -> plain text and plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from psiprune.tables.common import align, number

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
                _smallest(own["within_kl"]),
                _smallest(own["within_roe"]),
                _smallest(own["within_both"]),
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


def _smallest(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    return f"{found['count']} (KL {found['kl']:.2g}, {found['mroe']:.1%})"


def _best(found: dict[str, Any] | None) -> str:
    return "none" if found is None else f"{_smallest(found)} by {found['method']}"
