"""The style of all figures, psiprune.mplstyle, and the axes that public functions draw on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from importlib.resources import as_file, files
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError

#: Widths of one and of two columns of a journal, in inches: 8.6 and 17.8 cm.
ONE_COLUMN, TWO_COLUMNS = 8.6 / 2.54, 17.8 / 2.54
with as_file(files("psiprune") / "psiprune.mplstyle") as _file:
    #: Parameters of the style sheet, which `plt.style.use("psiprune.psiprune")` sets for good.
    STYLE: dict[Any, Any] = dict(matplotlib.rc_params_from_file(_file, use_default_template=False))
AxesArray = NDArray[np.object_]
P = ParamSpec("P")
Drawn = TypeVar("Drawn", Figure, Axes, AxesArray)


def styled(plot: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """Decorate a function that draws a figure, so that it has psiprune's style.

    The global parameters of matplotlib are the same afterwards. The figure's `savefig` has the
    style too. On axes that the caller gives as `ax` the caller's parameters hold.
    """

    @wraps(plot)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Drawn:
        if kwargs.get("ax") is not None:
            return plot(*args, **kwargs)
        with matplotlib.rc_context(STYLE):
            drawn = plot(*args, **kwargs)
            first: Any = np.ravel(np.asarray(drawn, object))[0]
            figure = first if isinstance(first, Figure) else first.figure
            _fix_ticks(figure)
            # Resolution, fonts, and whether text remains text are looked up while saving.
            figure.savefig = partial(_save, figure)  # type: ignore[method-assign]
        return drawn

    return in_style


def _save(figure: Figure, *args: Any, **kwargs: Any) -> None:
    with matplotlib.rc_context(STYLE):
        Figure.savefig(figure, *args, **kwargs)


def _fix_ticks(figure: Figure) -> None:
    """Set the look of all ticks, most of which are made only when the figure is drawn."""
    parameters: Any = matplotlib.rcParams
    for ax in figure.get_axes():
        for name, axis in (("xtick", ax.xaxis), ("ytick", ax.yaxis)):
            shared = {key: parameters[f"{name}.{key}"] for key in ("direction", "labelsize")}
            for which in ("major", "minor"):
                size, width, pad = (
                    parameters[f"{name}.{which}.{key}"] for key in ("size", "width", "pad")
                )
                look = {**shared, "length": size, "width": width, "pad": pad}
                axis.set_tick_params(which=which, **(look | axis.get_tick_params(which)))


def given_axes(
    ax: ArrayLike | Axes | None, shape: tuple[int, ...], size: tuple[float, float], **grid: Any
) -> AxesArray:
    """Return the axes to draw on: those of the caller, or those of a new figure of pyplot.

    A figure of pyplot is shown by notebooks without being returned.

    Args:
        ax: as many axes as `shape` has, in order; None for a new figure.
        shape: (rows, columns).
        size: width and height of a new figure in inches.
        grid: arguments of `plt.subplots`.

    Returns:
        The axes, [row, column].

    Raises:
        InputError: `ax` is not axes, or another number of them.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=size, layout="constrained")
        return np.asarray(figure.subplots(*shape, squeeze=False, **grid))
    axes = np.ravel(np.asarray(ax, object))
    count = int(np.prod(shape))
    if len(axes) != count or not all(isinstance(each, Axes) for each in axes):
        wanted = "one matplotlib Axes" if count == 1 else f"an array of {count} matplotlib Axes"
        raise InputError(
            f"ax: must be {wanted}, found {_found(axes)}; leave it out for a new figure"
        )
    return axes.reshape(shape)


def _found(axes: AxesArray) -> str:
    others = [each for each in axes if not isinstance(each, Axes)]
    return f"a {type(others[0]).__name__}" if others else f"{len(axes)} Axes"
