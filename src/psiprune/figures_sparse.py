"""Figures of sparse training, of the ablations and of clusters; medians and bands, no more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from psiprune.figures import BLUE, GREY, ORANGE
from psiprune.rbm import RBM

#: Colour, line and meaning of each variant; colours of Okabe & Ito, lines for those without colour.
_VARIANTS = {
    "dense": ("#000000", "-", "dense"),
    "pruned": (BLUE, "-", "pruned: dense, then pruned and fine-tuned"),
    "sp/ss": (ORANGE, "-", "sp/ss: mask of pruning, same seed"),
    "sp/os": ("#E69F00", "--", "sp/os: mask of pruning, other seed"),
    "sc": ("#009E73", "-.", "sc: constructed clusters"),
    "random": ("#CC79A7", ":", "random mask"),
}
_STARTS = {
    "initial": (ORANGE, "o-", "trained from the start"),
    "dense": (BLUE, "s--", "dense RBM, masked and fine-tuned"),
}
_MODELS = {"dense": "dense", "forbidden": "clusters forbidden", "control": "others forbidden"}
_MEASURES = (
    ("kl", "KL divergence (nat)"),
    ("infidelity", "infidelity 1 − F"),
    ("energy_bias", "energy bias |ΔE/E|"),
    ("abs_magnetization_bias", "bias of ⟨|m|⟩"),
    ("correlation_mse", "$C_{\\mathrm{MSE}}$"),
)


def plot_sparse(sparse: xr.Dataset) -> Figure:
    """The paper's Fig. 5: five error measures by epoch for each variant, one column a field.

    Lines are medians over seeds, bands hold 16 to 84 % of the seeds. The untrained RBM, at epoch 0,
    is not shown. "pruned" begins where the dense RBM's training ends; a thin line draws the level
    of its last value, to be compared with.
    """
    figure, axes = _grid(sparse, "epochs")
    for column, field in enumerate(sparse["field"].values):
        for row, (name, _) in enumerate(_MEASURES):
            for variant, (color, line, label) in _VARIANTS.items():
                here = sparse[f"history_{name}"].sel(field=field, variant=variant)
                curve = here.dropna("epoch").sel(epoch=slice(1, None))
                if variant == "pruned":
                    last = sparse[name].sel(field=field, variant=variant).median()
                    axes[row, column].axhline(float(last), lw=0.7, color=color)
                    curve = curve.sel(epoch=slice(sparse.attrs["train_epochs"], None))
                _band(axes[row, column], curve["epoch"].values, curve, color, line, label)
    return _finish(figure, axes, columns=2)


def plot_broken(ablation: xr.Dataset) -> Figure:
    """Five error measures against the share broken of a pruned mask, one column a field."""
    figure, axes = _grid(ablation, "clusters broken (%)")
    percent = 100 * ablation["share"].values
    for column, field in enumerate(ablation["field"].values):
        for row, (name, _) in enumerate(_MEASURES):
            ax = axes[row, column]
            for start, (color, line, label) in _STARTS.items():
                here = ablation[f"broken_{name}"].sel(field=field, start=start)
                _band(ax, percent, here, color, line, label)
            dense = ablation[f"forbidden_{name}"].sel(field=field, model="dense").median()
            ax.axhline(float(dense), ls=":", lw=1.0, color=GREY, label="dense RBM, no mask")
    return _finish(figure, axes, columns=3)


def plot_forbidden(ablation: xr.Dataset) -> Figure:
    """Where clusters are that were forbidden, one row a field.

    From the left: the weights of the first seed's dense RBM and of the one trained without its
    clusters; how far the strongest window of each unit has moved, over all seeds; KL by seed.
    """
    fields = ablation["field"].values
    figure = Figure(figsize=(14.0, 0.8 + 3.1 * len(fields)), layout="constrained")
    axes = figure.subplots(len(fields), 4, squeeze=False)
    width = int(ablation.attrs["width"])
    for row, field in enumerate(fields):
        here = ablation.sel(field=field)
        scale = float(np.abs(here["weights"].isel(seed=0)).max())
        for ax, model in zip(axes[row, :2], ("dense", "forbidden"), strict=True):
            one = here.sel(model=model).isel(seed=0)
            first, found = one["first_site"].values, one["found"].values
            image = _weights(ax, one["weights"].values, one["mask"].values, scale)
            _outlines(ax, first, found, width)
            ax.set_title(_MODELS[model])
            ax.set_xlabel("site")
        axes[row, 0].set_ylabel(f"h/J = {field / ablation.attrs['coupling']:g}\nhidden unit")
        figure.colorbar(image, ax=axes[row, 1], label="weight")
        _shifts(axes[row, 2], here)
        _by_seed(axes[row, 3], here)
    return figure


def plot_clusters(rbm: RBM, clusters: xr.Dataset) -> Figure:
    """The weights of an RBM with the clusters that `find_clusters` found in it.

    Solid outlines are clusters that count, dashed ones the strongest windows of the other units,
    crosses weights that do not exist.
    """
    width, found = int(clusters.attrs["width"]), clusters["found"].values
    figure = Figure(
        figsize=(2.2 + 0.32 * rbm.visible, 1.6 + 0.32 * rbm.hidden), layout="constrained"
    )
    ax = figure.subplots()
    image = _weights(ax, rbm.weights, rbm.mask, float(np.abs(rbm.weights).max()))
    _outlines(ax, clusters["first_site"].values, found, width)
    ax.set_xlabel("site")
    ax.set_ylabel("hidden unit")
    ax.set_title(f"{int(found.sum())} of {rbm.hidden} units with a cluster of {width} sites")
    figure.colorbar(image, ax=ax, label="weight")
    return figure


def _grid(dataset: xr.Dataset, along: str) -> tuple[Figure, NDArray[np.object_]]:
    """A row a measure, a column a field, labelled."""
    fields = dataset["field"].values
    figure = Figure(figsize=(1.2 + 3.6 * len(fields), 11.0), layout="constrained")
    axes = figure.subplots(len(_MEASURES), len(fields), sharex=True, sharey="row", squeeze=False)
    for ax, field in zip(axes[0], fields, strict=True):
        ax.set_title(f"h/J = {field / dataset.attrs['coupling']:g}")
    for ax in axes[-1]:
        ax.set_xlabel(along)
    for ax, (_, label) in zip(axes[:, 0], _MEASURES, strict=True):
        ax.set_ylabel(label)
    return figure, axes


def _finish(figure: Figure, axes: NDArray[np.object_], columns: int) -> Figure:
    for ax in figure.get_axes():
        ax.set_yscale("log")
        ax.grid(alpha=0.25, lw=0.5)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    return figure


def _band(
    ax: Axes,
    along: NDArray[np.float64],
    values: xr.DataArray,
    color: str,
    line: str,
    label: str,
) -> None:
    low, middle, high = (values.quantile(q, "seed").values for q in (0.16, 0.5, 0.84))
    ax.plot(along, middle, line, ms=3.5, lw=1.2, color=color, label=label)
    ax.fill_between(along, low, high, color=color, alpha=0.13, lw=0)


def _weights(
    ax: Axes, weights: NDArray[np.float64], mask: NDArray[np.generic], scale: float
) -> AxesImage:
    image = ax.imshow(weights, cmap="RdBu_r", vmin=-scale, vmax=scale, aspect="auto")
    unit, site = np.nonzero(~mask.astype(bool))
    ax.plot(site, unit, "x", ms=3, mew=0.6, color=GREY)
    if len(weights) <= 20:
        ax.set_yticks(range(len(weights)))
    return image


def _outlines(
    ax: Axes, first: Sequence[int] | NDArray[np.int64], found: NDArray[np.bool_], width: int
) -> None:
    for unit, (site, there) in enumerate(zip(first, found, strict=True)):
        box = Rectangle((site - 0.5, unit - 0.5), width, 1, fill=False, lw=1.4)
        box.set_linestyle("-" if there else ":")
        ax.add_patch(box)


def _shifts(ax: Axes, ablation: xr.Dataset) -> None:
    span = ablation.attrs["sites"] - ablation.attrs["width"]
    edges = [shift - 0.5 for shift in range(-span, span + 2)]
    for model, style in (
        ("control", {"histtype": "step", "color": BLUE, "lw": 1.2}),
        ("forbidden", {"histtype": "stepfilled", "color": ORANGE, "alpha": 0.8}),
    ):
        shift = ablation["shift"].sel(model=model).values.ravel()
        ax.hist(shift, edges, label=_MODELS[model], **style)  # type: ignore[arg-type]
    ax.set_xlabel("shift of a unit's cluster (sites)")
    ax.set_ylabel("units, all seeds")
    ax.set_title(" ")
    ax.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 1), ncols=2)


def _by_seed(ax: Axes, ablation: xr.Dataset) -> None:
    kl = ablation["forbidden_kl"].transpose("model", "seed").values
    ax.plot(range(len(kl)), kl, "-", color=GREY, lw=0.5, alpha=0.6)
    ax.plot(range(len(kl)), kl, "o", color=BLUE, ms=3)
    ax.plot(range(len(kl)), np.median(kl, axis=1), "_", color=ORANGE, ms=26, mew=2)
    names = [_MODELS[str(model)] for model in ablation["model"].values]
    ax.set_xticks(range(len(kl)), [name.replace(" ", "\n") for name in names])
    ax.set_xlim(-0.5, len(kl) - 0.5)
    ax.set_yscale("log")
    ax.set_ylabel("KL (nat), each seed and median")
