"""The table of error against number of weights: all variants, those left out of the figure too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.paper.sentences.common import HARMLESS, fields
from psiprune.reporting.labels import method_title
from psiprune.reporting.page import Table
from psiprune.reporting.traced import Named, Number, Where, median, percent, position, whole

Within = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
#: Its RBM with all weights is the dense one of maximum likelihood, which limits come from.
_REFERENCE = "surgeon"


def frontier_table(frontier: xr.Dataset) -> Table | None:
    """KL at about half of the weights and the fewest weights within each limit, by variant.

    None without the dense RBMs that the limit of KL comes from.
    """
    total = int(frontier.attrs["sites"]) * int(frontier.attrs["hidden"])
    counts = frontier["count"].values
    if _REFERENCE not in frontier["variant"].values or total not in counts:
        return None
    of, limit = Named("frontier", frontier), float(frontier.attrs["limit"])
    half = int(counts[np.abs(counts - total / 2).argmin()])
    head = ["variant"]
    for _, phase in fields(of):
        head += [
            f"{phase}: KL at {half} weights (nat)",
            f"fewest weights with KL ≤ {HARMLESS:g} × dense",
            f"fewest weights with mROE < {percent(limit)}",
        ]
    rows: list[list[str | Number]] = []
    for variant in map(str, frontier["variant"].values):
        row: list[str | Number] = [method_title(variant)]
        for field, _ in fields(of):
            where = {"field": field, "variant": variant}
            dense = {"field": field, "variant": _REFERENCE, "count": total}
            worst = HARMLESS * median(of, "kl", dense).value
            twice = f"<= {HARMLESS:g} x that{position(dense)}"
            row += [
                median(of, "kl", {**where, "count": half}),
                _fewest(of, "kl", where, partial(np.greater_equal, worst), twice),
                _fewest(of, "abs_magnetization_roe", where, partial(np.greater, limit), "< limit"),
            ]
        rows.append(row)
    caption = (
        "All ways to remove weights, medians over seeds; a dash where no count is within the limit"
    )
    return Table(caption, head, rows)


def _fewest(of: Named, variable: str, where: Where, within: Within, limit: str) -> Number:
    """The smallest count at which the median over seeds is within a limit; NaN if none is."""
    middle = of.data[variable].sel(where).median("seed")
    there = middle["count"].values[within(middle.values)]
    fewest = float(there.min()) if len(there) else float("nan")
    source = f"smallest count with median over seed of {variable}{position(where)} {limit}"
    return Number(fewest, whole(fewest), f"{of.name}: {source}")
