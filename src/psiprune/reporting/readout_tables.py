"""Readout errors as text and as plain numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.data.readout_error import ReadoutError
from psiprune.data.readout_summary import ReadoutSummary, summarize_readout
from psiprune.reporting.tables import align

_NAMES = ("p(1|0)", "p(0|1)")


def readout_text(error: ReadoutError) -> str:
    """Return mean and range of the rates and their source in one line."""
    return f"{rates_text(error)}, from {summarize_readout(error).source}"


def rates_text(error: ReadoutError) -> str:
    """Return mean and range of the rates in one line."""
    return _rates(summarize_readout(error))


def readout_numbers(error: ReadoutError) -> dict[str, Any]:
    """Return rates and their standard errors, [site], for JSON."""
    summary = summarize_readout(error)
    (p10, p01), (p10_error, p01_error) = summary.rates.T, summary.rate_errors.T
    return {
        "source": summary.source,
        "measured": summary.measured,
        "groups": [list(group) for group in summary.groups],
        "p10": p10.tolist(),
        "p10_error": p10_error.tolist(),
        "p01": p01.tolist(),
        "p01_error": p01_error.tolist(),
    }


def readout_rows(summary: ReadoutSummary, basis: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each property, for `psiprune info`."""
    yield "readout errors", _rates(summary)
    known = "assumed, not measured"
    if summary.measured:
        known = f"measured, standard errors up to {summary.rate_errors.max():.2g}"
    elif not summary.assumed.all():
        known = f"measured, but assumed at {summary.assumed.sum()} of {len(summary.assumed)} sites"
    yield "  source", f"{summary.source} ({known})"
    if summary.groups:
        named = ", ".join("-".join(map(str, group)) for group in summary.groups)
        yield "  together", f"sites {named}; rates are averages over the other sites of a group"
    least, most = summary.attenuation.min(), summary.attenuation.max()
    offset = summary.rates[:, 1] - summary.rates[:, 0]
    yield (
        f"  <{basis}> of a site",
        f"recorded as {_range(least, most)} times the true value"
        f"{_offset(float(offset.min()), float(offset.max()))}",
    )
    pairs = summary.covariance_range
    if pairs is not None:
        yield "  C of a pair", f"recorded as {_range(*pairs)} times the true value"


def calibration_table(error: ReadoutError) -> str:
    """Return rates with standard errors and the number of calibration shots, a line per site."""
    rows = [["site", "p(1|0)", "error", "p(0|1)", "error", "shots in 0", "shots in 1"]]
    numbers = np.hstack([error.rates, error.rate_errors])
    shots = _shots_by_state(error)
    for site, (p10, p01, p10_error, p01_error) in enumerate(numbers):
        rates = [f"{each:.5f}" for each in (p10, p10_error, p01, p01_error)]
        rows.append([str(site), *rates, *map(str, shots[site])])
    return align(rows)


def _shots_by_state(error: ReadoutError) -> NDArray[np.int64]:
    """Return how many calibration shots had each site in 0 and in 1, [site, 2]."""
    shots = np.zeros((error.sites, 2), np.int64)
    for group in error.groups:
        if group.prepared is None:
            continue
        states = np.arange(len(group.prepared))
        for position, site in enumerate(group.sites):
            for value in (0, 1):
                shots[site, value] = group.prepared[(states >> position) & 1 == value].sum()
    return shots


def _rates(summary: ReadoutSummary) -> str:
    parts = []
    for name, rates in zip(_NAMES, summary.rates.T, strict=True):
        least, most = f"{rates.min():.3g}", f"{rates.max():.3g}"
        spread = "" if least == most else f" ({least} to {most})"
        parts.append(f"{name} = {rates.mean():.3g}{spread}")
    return ", ".join(parts)


def _range(least: float, most: float) -> str:
    low, high = f"{least:.3f}", f"{most:.3f}"
    return low if low == high else f"{low} to {high}"


def _offset(least: float, most: float) -> str:
    low, high = f"{least:+.3f}", f"{most:+.3f}"
    if low == high:
        return "" if abs(least) < 5e-4 else f", {low}"
    return f", {low} to {high}"
