"""What `psiprune reconstruct` found -> plain text and plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from psiprune.reconstruction.checks import checks
from psiprune.reconstruction.dataset import OBSERVABLES, SUFFIXES
from psiprune.reporting.tables import align, number

_HEAD = ["observable", "shots", "error", "dense", "spread", "smallest", "error", "sigmas"]


def reconstruct_text(found: xr.Dataset) -> str:
    """How small, every observable beside the test shots, and the checks with their answer.

    C(d) stands at d = 1, 2, 4, ... and at the end; `dense` is the mean over the ensemble.
    """
    own = found.attrs
    listed = checks(found)
    failed = sum(not each.passed for each in listed)
    lines = [
        f"{_how_small(found, failed, len(listed))}; {_end(found)}.",
        f"loss of {own['measure']} on the test shots {float(found['test_loss']):.3g} +- "
        f"{float(found['test_error']):.2g}, without damage up to "
        f"{float(found['test_allowed']):.3g}.",
    ]
    rows = [_HEAD]
    for name in _names(found):
        value = found[name]
        for d in _shown(value.size) if value.ndim else [None]:
            at = {} if d is None else {"distance": d}
            each = {
                key: float(found[f"{name}{key}"].isel(at))
                for key in ("_shots", "_shots_error", "", "_error", "_sigmas")
            }
            dense = found[f"{name}_dense"].isel(at)
            rows.append(
                [
                    name if d is None else f"{name} d={d}",
                    number(each["_shots"], ".5g"),
                    number(each["_shots_error"], ".1e"),
                    number(float(dense.mean()), ".5g"),
                    number(float(dense.std(ddof=1)), ".1e"),
                    number(each[""], ".5g"),
                    number(each["_error"], ".1e"),
                    number(each["_sigmas"], "+.1f"),
                ]
            )
    marks = [f"{'yes' if each.passed else 'NO ':3}  {each.name}: {each.words}" for each in listed]
    answer = "yes" if not failed else f"no, {failed} of {len(listed)} checks failed"
    return "\n".join([*lines, "", align(rows), "", *marks, f"Can it be trusted? {answer}."])


def reconstruct_numbers(found: xr.Dataset) -> dict[str, Any]:
    """The same for JSON, with every candidate and every RBM of the search."""
    own = found.attrs
    listed = checks(found)
    return {
        **{
            key: value.item() if isinstance(value, np.generic) else value
            for key, value in own.items()
        },
        "trusted": all(each.passed for each in listed),
        "checks": [each._asdict() for each in listed],
        "test": {name: float(found[f"test_{name}"]) for name in ("loss", "error", "allowed")},
        "observables": {
            name: {
                key.strip("_") or "value": found[f"{name}{key}"].values.tolist() for key in SUFFIXES
            }
            for name in (*_names(found), "log_likelihood", "log_likelihood_gain")
            if f"{name}_sigmas" in found
        },
        "candidates": _rows(found, "candidate"),
        "trials": _rows(found, "trial"),
    }


def _rows(found: xr.Dataset, along: str) -> list[dict[str, Any]]:
    names = [str(name) for name in found if str(name).startswith(f"{along}_")]
    columns = [found[name].values.tolist() for name in names]
    keys = [name.removeprefix(f"{along}_") for name in names]
    return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]


def _names(found: xr.Dataset) -> list[str]:
    return [*OBSERVABLES, *(name for name in found.attrs["own"].split(", ") if name)]


def _shown(size: int) -> list[int]:
    return sorted({1 << k for k in range(size.bit_length()) if 1 << k < size} | {size - 1})


def _how_small(found: xr.Dataset, failed: int, listed: int) -> str:
    """Where the search ended; that it is enough only where nothing speaks against it."""
    own = found.attrs
    weights = f"{own['weights']} of {own['dense_weights']} weights"
    units = f"on {own['hidden']} hidden unit{'' if own['hidden'] == 1 else 's'}"
    if not failed:
        return f"{weights} {'is' if own['weights'] == 1 else 'are'} enough, {units}"
    return (
        f"the search ended at {weights}, {units}, and {failed} of {listed} checks failed: not to "
        "be trusted"
    )


def _end(found: xr.Dataset) -> str:
    fewer = found.attrs["fewer"]
    if fewer < 0:
        return "the search ended there"
    at = found["trial_weights"].values == fewer
    share = float(found["trial_share"].values[at][0])
    return f"with {fewer} the loss is {share:.2f} times what is allowed"
