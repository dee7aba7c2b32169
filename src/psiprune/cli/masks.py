"""The commands `mask`, patterns for `train --mask`, and `clusters`, those of an RBM."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from psiprune.cli.app import Out, Whole, app, check_new, new_file, show
from psiprune.core.exceptions import InputError
from psiprune.experiments.settings import rarest
from psiprune.io.paths import MASK, check_suffix

if TYPE_CHECKING:
    import xarray as xr

    from psiprune.rbm.masks import Mask
    from psiprune.rbm.model import RBM

mask_app = App(
    name="mask",
    help="Make a mask for `psiprune train --mask`: which weights exist, 0 or 1 [hidden, site]; "
    "FILE.npy, or text with a line for each hidden unit.",
)
app.command(mask_app)


@mask_app.command(name="random")
def random_command(
    *,
    out: Out,
    hidden: Annotated[int, Whole],
    sites: Annotated[int, Whole],
    count: Annotated[int, Whole],
    seed: Annotated[int, Whole] = 0,
    json: bool = False,
) -> None:
    """Weights at random, every mask of that number as likely as any other.

    Parameters
    ----------
    out
        file to write the mask to: .npy, else text
    hidden
        number of hidden units
    sites
        number of sites
    count
        number of weights
    seed
        seed of the mask
    json
        print one JSON object on standard output
    """
    from psiprune.rbm.masks import random_mask

    _check_out(out)
    _finish(random_mask(hidden, sites, count, seed), out, json)


@mask_app.command(name="cluster")
def cluster_command(
    *,
    out: Out,
    hidden: Annotated[int, Whole],
    sites: Annotated[int, Whole],
    count: Annotated[int, Whole],
    json: bool = False,
) -> None:
    """Each hidden unit on a cluster of adjacent sites, the graph connected (the paper's "sc").

    Parameters
    ----------
    out
        file to write the mask to: .npy, else text
    hidden
        number of hidden units
    sites
        number of sites
    count
        number of weights
    json
        print one JSON object on standard output
    """
    from psiprune.rbm.masks import cluster_mask

    _check_out(out)
    _finish(cluster_mask(hidden, sites, count), out, json)


@mask_app.command(name="break")
def break_command(
    mask: Path,
    *,
    out: Out,
    share: float,
    seed: Annotated[int, Whole] = 0,
    json: bool = False,
) -> None:
    """Move weights of a mask at random, a share of the way to one that has no clusters left.

    Parameters
    ----------
    mask
        file of a mask, or of an RBM whose mask is taken
    out
        file to write the mask to: .npy, else text
    share
        from 0, the mask itself, to 1, a random mask with as many weights at each unit
    seed
        seed of the random mask and of the order of the moves
    json
        print one JSON object on standard output
    """
    from psiprune.rbm.masks import break_clusters, read_mask

    _check_out(out)
    _finish(break_clusters(read_mask(mask), share, seed), out, json)


@mask_app.command(name="forbid")
def forbid_command(
    rbm: Path,
    *,
    out: Out,
    width: Annotated[int, Whole] = 3,
    threshold: float = 0.05,
    others: bool = False,
    seed: Annotated[int, Whole] = 0,
    json: bool = False,
) -> None:
    """All weights but those inside of the clusters that an RBM has formed.

    Parameters
    ----------
    rbm
        file of the RBM
    out
        file to write the mask to: .npy, else text
    width
        adjacent sites of a cluster
    threshold
        a cluster counts if at most this share of random orders has one as strong; 1 takes every
        unit's strongest window
    others
        the control: forbid as many weights of each unit at random, outside of its cluster
    seed
        seed of that choice
    json
        print one JSON object on standard output
    """
    from psiprune.rbm.clusters import find_clusters
    from psiprune.rbm.masks import exclude_clusters, exclude_matched_control
    from psiprune.rbm.serialization import load_rbm

    _check_out(out)
    found = load_rbm(rbm)
    clusters = find_clusters(found, width=width, threshold=threshold)
    _check_can_count(found.visible, width, threshold)
    inside = clusters["inside"].values
    _finish(
        exclude_matched_control(inside, seed) if others else exclude_clusters(inside), out, json
    )


@app.command(name="clusters")
def clusters_command(
    rbm: Path,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    width: Annotated[int, Whole] = 3,
    threshold: float = 0.05,
    permutations: Annotated[int, Whole] = 10_000,
    seed: Annotated[int, Whole] = 0,
    pruned: bool = False,
    json: bool = False,
) -> None:
    """Find the clusters of an RBM: for each hidden unit a few adjacent sites that hold its weights.

    Parameters
    ----------
    rbm
        file of the RBM
    out
        name of a figure of the weights with their clusters, written as .png and as .svg
    width
        adjacent sites of a cluster
    threshold
        a cluster counts if at most this share of random orders of the unit's weights has one as
        strong; 1 takes every unit's strongest window
    permutations
        random orders behind each share
    seed
        seed of the random orders
    pruned
        count missing weights as 0, not as impossible: for a mask that pruning itself has chosen
    json
        print one JSON object on standard output
    """
    from psiprune.rbm.clusters import find_clusters
    from psiprune.rbm.model import RBM
    from psiprune.rbm.serialization import load_rbm

    found = load_rbm(rbm)
    if pruned:
        found = RBM(found.weights, found.visible_bias, found.hidden_bias)
    files = [] if out is None else [out.with_suffix(suffix) for suffix in (".png", ".svg")]
    for file in files:
        check_new(file)
    clusters = find_clusters(
        found, width=width, threshold=threshold, permutations=permutations, seed=seed
    )
    _check_can_count(found.visible, width, threshold)
    _show_clusters(found, clusters, files, json)


def _check_can_count(sites: int, width: int, threshold: float) -> None:
    """Raise InputError where no cluster could count, whatever the weights: 0 would say nothing."""
    if (least := rarest(sites, width)) > threshold:
        raise InputError(
            f"--threshold: with {sites} sites no cluster of {width} can be rarer than {least:.2g} "
            f"by chance, so none would count at {threshold:g}; give at least that, or 1 to take "
            "every unit's strongest window"
        )


def _show_clusters(rbm: RBM, clusters: xr.Dataset, files: list[Path], json: bool) -> None:
    from psiprune.reporting.metric_tables import clusters_numbers, clusters_text

    if files:
        from psiprune.reporting.figures import save_figure
        from psiprune.reporting.weights_figure import plot_clusters

        with ExitStack() as held:
            for file in files:
                held.enter_context(new_file(file))
            save_figure(plot_clusters(rbm, clusters), files[0].with_suffix(""))
    drawn = "".join(f"\n{file}" for file in files)
    numbers: dict[str, Any] = clusters_numbers(clusters)
    if files:
        numbers["figures"] = [str(file) for file in files]
    show(numbers, f"{clusters_text(clusters)}{drawn}", json)


def _check_out(out: Path) -> None:
    """Refuse a name that is there, or that tells of something else, before anything is made."""
    check_new(out)
    check_suffix(out, MASK)


def _finish(mask: Mask, out: Path, json: bool) -> None:
    from psiprune.rbm.masks import write_mask

    with new_file(out):
        write_mask(mask, out)
    hidden, sites = mask.shape
    count = int(mask.sum())
    show(
        {"file": str(out), "hidden": hidden, "sites": sites, "weights": count},
        f"{out}: {count} of {mask.size} weights between {hidden} hidden units and {sites} sites",
        json,
    )
