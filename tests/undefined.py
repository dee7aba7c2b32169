"""A state with m = 0 in every configuration, such as of an XXZ chain: no bias of <|m|>."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from psiprune.reporting.figures import NOTHING


def without_bias(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with NaN for each bias of <|m|>, its floor and its relative observable error."""
    undefined = ("abs_magnetization_bias", "abs_magnetization_roe")
    return dataset.assign(
        {
            name: xr.full_like(values, np.nan, float)
            for name, values in dataset.items()
            if any(each in str(name) for each in undefined)
        }
    )


def check_figure(plot: Callable[[xr.Dataset], Figure], dataset: xr.Dataset) -> None:
    """In the figure of a dataset without bias just the panels of the bias are empty and say why."""
    axes = plot(without_bias(dataset)).get_axes()
    labels = {}
    for ax in axes:
        ax.yaxis.get_ticklocs()  # refused on a logarithmic axis without limits
        empty = NOTHING in {text.get_text() for text in ax.texts}
        assert not empty or ax.get_yscale() == "linear"
        if ax.get_ylabel():  # the others share the axis of one that has a label
            labels[ax.get_ylabel()] = empty
    assert labels == {label: "⟨|m|⟩" in label for label in labels}
    assert any(labels.values())
