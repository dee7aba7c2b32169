"""The dataset of a whole run -> rows of a table."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import xarray as xr


def rows_of(dataset: xr.Dataset) -> Iterator[dict[str, Any]]:
    """One row for each combination of coordinates that single numbers have, NaN alone left out.

    Measures over field, seed and variant have rows of their own, and so have those over epoch
    besides, and so on; the coordinates that a row does not have are missing in it. What no seed has
    a part in, such as a floor over count, stands in every row of a seed that has its coordinates,
    and only if there is none in rows of its own. Arrays over sites and hidden units are left out.
    """
    groups: dict[frozenset[Hashable], list[Hashable]] = {}
    for name, values in dataset.items():
        if all(dim in dataset.coords for dim in values.dims):
            groups.setdefault(frozenset(values.dims), []).append(name)
    of_seeds = [dims for dims in groups if "seed" in dims]
    order_of = {dims: (dims not in of_seeds, len(dims)) for dims in groups}
    for dims, names in sorted(groups.items(), key=lambda group: order_of[group[0]]):
        if dims not in of_seeds and any(dims <= other for other in of_seeds):
            continue
        beside = [
            name
            for other, others in groups.items()
            if dims in of_seeds and other not in of_seeds and other <= dims
            for name in others
        ]
        order = [dim for dim in dataset.sizes if dim in dims]
        frame = dataset[[*names, *beside]].to_dataframe(dim_order=order).reset_index()
        kept = frame.dropna(how="all", subset=names)
        for row in kept.to_dict("records"):
            yield {str(name): value for name, value in row.items()}
