"""The commands `mask`, which makes patterns for `train --mask`, and `clusters`."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

from cyclopts import App, Parameter

from psiprune.cli.app import check_new, command_line, new_file, show
from psiprune.cli.catalogue import COMMANDS, MASKS
from psiprune.cli.help import Help
from psiprune.cli.options import Int, Json, OutOption
from psiprune.cli.streams import tell
from psiprune.core.exceptions import InputError
from psiprune.core.text import counted
from psiprune.experiments.settings import smallest_p_value
from psiprune.io.paths import MASK, check_suffix

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from psiprune.rbm.masks import Mask
    from psiprune.rbm.model import RBM

MaskOut = Annotated[
    Path,
    Parameter(name=["--out", "-o"], help="file to write the mask to: .npy, any other name: text"),
]
Hidden = Annotated[Int, Parameter(help="number of hidden units")]
Sites = Annotated[Int, Parameter(help="number of sites")]
Count = Annotated[Int, Parameter(help="number of weights")]
Seed = Annotated[Int, Parameter(help="random seed")]
SitesOrPositions = Annotated[
    Int | None, Parameter(help="number of sites (default: that of --positions)")
]
HiddenLikeSites = Annotated[
    Int | None, Parameter(help="number of hidden units (default: as many as sites)")
]
Weights = Annotated[
    Int | None,
    Parameter(
        name=["--weights", "--count"],
        help="number of weights; near follows from it, and ratio unless given",
    ),
]
Links = Annotated[
    Int | None, Parameter(help="number of sites that each hidden unit is connected to")
]
AllWeights = Annotated[
    Int | None,
    Parameter(name=["--weights", "--count"], help="number of weights, in place of --links"),
]
DrawnWeights = Annotated[Int, Parameter(name=["--weights", "--count"], help="number of weights")]
Periodic = Annotated[
    bool, Parameter(help="make the last site of the chain a neighbour of the first")
]
Positions = Annotated[
    Path | None,
    Parameter(
        help="coordinates of sites that do not form a chain: text with one line per site, or a "
        "file of shots or of a state that has them; distances are Euclidean"
    ),
]
RBMFile = Annotated[Path, Parameter(help="file of the RBM")]
Width = Annotated[Int, Parameter(help="number of adjacent sites in a cluster")]
Threshold = Annotated[
    float,
    Parameter(
        help="largest p-value of a cluster, over random orders of the unit's weights; 1 accepts "
        "the strongest window of every unit"
    ),
]

mask_app = App(
    name="mask",
    help_formatter=Help(COMMANDS["mask"].example),
    help="Create a mask for `psiprune train --mask`: 1 where a weight exists, else 0, [hidden, "
    "site]; as .npy, or as text with one line per hidden unit.",
)


@mask_app.command(name="random")
def random_command(
    *, out: MaskOut, hidden: Hidden, sites: Sites, count: Count, seed: Seed = 0, json: Json = False
) -> None:
    """Place the weights uniformly at random."""
    from psiprune.rbm.masks import random_mask

    _write(out, json, lambda: random_mask(hidden, sites, count, seed))


@mask_app.command(name="cluster")
def cluster_command(
    *, out: MaskOut, hidden: Hidden, sites: Sites, count: Count, json: Json = False
) -> None:
    """Connect each hidden unit to adjacent sites, so that the graph is connected (paper: "sc")."""
    from psiprune.rbm.masks import cluster_mask

    _write(out, json, lambda: cluster_mask(hidden, sites, count))


@mask_app.command(name="scale-free")
def scale_free_command(
    shots: Path | None = None,
    /,
    *,
    out: MaskOut,
    sites: SitesOrPositions = None,
    hidden: HiddenLikeSites = None,
    weights: Weights = None,
    near: Int | None = None,
    ratio: float | None = None,
    periodic: Periodic = False,
    positions: Positions = None,
    json: Json = False,
) -> None:
    """Connect each hidden unit to near sites and to sites at geometrically growing distances.

    Args:
        shots: file of shots of a chain: take the number of sites from it, and as many hidden units
            and weights as its shots support, in place of the options other than --hidden
        near: number of nearest sites of each hidden unit (default: 8)
        ratio: ratio of successive distances, above 1 (default: 1.4)
    """
    if shots is not None:
        from psiprune.data.read_shots import read_shots
        from psiprune.rbm.mask_for_shots import mask_for_shots

        replaced = {
            "--sites": sites,
            "--weights": weights,
            "--near": near,
            "--ratio": ratio,
            "--periodic": periodic or None,
            "--positions": positions,
        }
        for name, value in replaced.items():
            if value is not None:
                raise InputError(
                    f"{name}: cannot be combined with {shots}, whose shots determine the links; "
                    "omit one of them"
                )
        data = read_shots(shots)
        _write(out, json, lambda: mask_for_shots(data, hidden))
        return
    from psiprune.rbm.scale_free import scale_free_mask

    make = partial(scale_free_mask, hidden=hidden, near=near, ratio=ratio, weights=weights)
    _write(out, json, lambda: make(**_sites(sites, positions), periodic=periodic))


@mask_app.command(name="power-law")
def power_law_command(
    *,
    out: MaskOut,
    sites: SitesOrPositions = None,
    hidden: HiddenLikeSites = None,
    weights: DrawnWeights,
    exponent: float = 2.0,
    seed: Seed = 0,
    periodic: Periodic = False,
    positions: Positions = None,
    json: Json = False,
) -> None:
    """Draw links over a distance d with a probability proportional to d^-exponent.

    Args:
        exponent: exponent of the power law; 0 is uniform
    """
    from psiprune.rbm.scale_free import power_law_mask

    make = partial(power_law_mask, hidden=hidden, weights=weights, exponent=exponent, seed=seed)
    _write(out, json, lambda: make(**_sites(sites, positions), periodic=periodic))


@mask_app.command(name="nearest")
def nearest_command(
    *,
    out: MaskOut,
    sites: SitesOrPositions = None,
    hidden: HiddenLikeSites = None,
    links: Links = None,
    weights: AllWeights = None,
    far: Int = 0,
    exponent: float = 3.0,
    shells: bool = False,
    global_units: Int = 0,
    seed: Seed = 0,
    periodic: Periodic = False,
    positions: Positions = None,
    json: Json = False,
) -> None:
    """Connect each hidden unit to the nearest sites, and to some that are drawn from a power law.

    Args:
        far: number of further sites of each hidden unit, drawn with probability distance^-exponent
        exponent: exponent of the power law
        shells: include all sites as near as the last one
        global_units: number of further hidden units that are connected to all sites
    """
    from psiprune.rbm.near_masks import nearest_mask

    make = partial(nearest_mask, hidden=hidden, links=links, weights=weights, far=far)
    make = partial(make, exponent=exponent, shells=shells, seed=seed, periodic=periodic)
    make = partial(make, global_units=global_units)
    _write(out, json, lambda: make(**_sites(sites, positions)))


@mask_app.command(name="correlation")
def correlation_command(
    shots: Path,
    /,
    *,
    out: MaskOut,
    hidden: HiddenLikeSites = None,
    links: Links = None,
    weights: AllWeights = None,
    json: Json = False,
) -> None:
    """Connect each hidden unit to the sites whose bits are most correlated with those of its own.

    Args:
        shots: file of the shots
    """
    from psiprune.data.read_shots import read_shots
    from psiprune.rbm.near_masks import correlation_mask

    make = partial(correlation_mask, hidden=hidden, links=links, weights=weights)
    _write(out, json, lambda: make(read_shots(shots)))


@mask_app.command(name="choose")
def choose_command(
    shots: Path,
    /,
    *,
    out: MaskOut,
    hidden: Annotated[
        tuple[Int, ...], Parameter(help="numbers of hidden units to try (default: N/2 and N)")
    ] = (),
    links: Annotated[
        tuple[Int, ...], Parameter(help="numbers of links of each hidden unit to try")
    ] = (5, 9, 13, 21),
    global_units: Int | None = None,
    positions: Positions = None,
    held_out: float = 0.2,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train RBMs with links to near sites, and choose their number by held-out likelihood.

    Of hidden units and links, the smallest RBM within one standard error of the best is chosen.
    Links go to the nearest sites by the positions in the file of shots or in --positions, else to
    those of the strongest correlations.

    Args:
        shots: file of the shots
        global_units: number of further hidden units that are connected to all sites (default: 2
            for positions of more than 20 sites, else none)
        held_out: fraction of the shots that is not used for training
    """
    from psiprune.data.read_shots import read_shots
    from psiprune.pruning.choose_mask import choose_mask
    from psiprune.rbm.masks import write_mask
    from psiprune.reporting.tables import table

    check_new(out)
    check_suffix(out, MASK)
    found = choose_mask(
        read_shots(shots),
        hidden=hidden or None,
        links=links,
        global_units=global_units,
        positions=None if positions is None else _positions(positions),
        held_out=held_out,
        seed=seed,
    )
    with new_file(out):
        write_mask(found.mask, out)
    names = ("hidden", "links", "global_units", "weights", "loss", "error")
    rows = [{name: getattr(each, name) for name in names} for each in found.candidates]
    shown = [name for name in names[:4] if name != "global_units" or any(r[name] for r in rows)]
    columns = tuple((name.removesuffix("_units"), name, "d") for name in shown)
    losses = (("loss (nat/shot)", "loss", ".5f"), ("error", "error", ".5f"))
    chosen = found.chosen
    further = chosen.global_units and f" and {chosen.global_units} with all sites"
    show(
        {"file": str(out), **{name: getattr(chosen, name) for name in names}, "candidates": rows},
        f"{table((*columns, *losses), rows, keys=2)}\n"
        f"{out}: {counted(chosen.hidden, 'hidden unit')} with {counted(chosen.links, 'link')}"
        f"{further or ''}, {counted(chosen.weights, 'weight')}",
        json,
        _train_with(out),
    )


@mask_app.command(name="break")
def break_command(
    mask: Path, /, *, out: MaskOut, share: float, seed: Seed = 0, json: Json = False
) -> None:
    """Move a fraction of the weights of a mask to random sites, to break its clusters.

    Args:
        mask: file of a mask, or of an RBM, whose mask is used
        share: 0 keeps the mask; 1 gives a random mask with the same number of weights per unit
    """
    from psiprune.rbm.masks import break_clusters, read_mask

    _write(out, json, lambda: break_clusters(read_mask(mask), share, seed))


@mask_app.command(name="forbid")
def forbid_command(
    rbm: RBMFile,
    /,
    *,
    out: MaskOut,
    width: Width = 3,
    threshold: Threshold = 0.05,
    others: bool = False,
    seed: Int = 0,
    json: Json = False,
) -> None:
    """Allow all weights except those in the clusters of an RBM.

    Args:
        others: control: exclude as many weights of each unit at random outside its cluster
        seed: random seed of --others
    """
    from psiprune.rbm.clusters import find_clusters
    from psiprune.rbm.masks import exclude_clusters, exclude_matched_control
    from psiprune.rbm.serialization import load_rbm

    def make() -> Mask:
        model = load_rbm(rbm)
        inside = find_clusters(model, width=width, threshold=threshold)["inside"].values
        if (least := smallest_p_value(model.visible, width)) > threshold:
            raise InputError(f"--threshold: {_none_found(model, width, least, threshold)}")
        return exclude_matched_control(inside, seed) if others else exclude_clusters(inside)

    _write(out, json, make)


for name, example in MASKS.items():
    mask_app[name].help_formatter = Help(example)


def clusters_command(
    rbm: RBMFile,
    /,
    *,
    out: OutOption = None,
    width: Width = 3,
    threshold: Threshold = 0.05,
    permutations: Int = 10_000,
    seed: Int = 0,
    pruned: bool = False,
    json: Json = False,
) -> None:
    """Find clusters in an RBM: hidden units whose weights concentrate on a few adjacent sites.

    Args:
        out: name of a figure of the weights and clusters, .png and .svg
        permutations: number of random orders for each p-value
        seed: random seed of the orders
        pruned: treat missing weights as zeros that the random orders may move; for a mask found by
            pruning
    """
    from psiprune.rbm.clusters import find_clusters
    from psiprune.rbm.model import RBM
    from psiprune.rbm.serialization import load_rbm
    from psiprune.reporting.metric_tables import clusters_numbers, clusters_text

    model = load_rbm(rbm)
    if pruned:
        model = RBM(model.weights, model.visible_bias, model.hidden_bias)
    files = [] if out is None else [out.with_suffix(suffix) for suffix in (".png", ".svg")]
    for file in files:
        check_new(file)
    clusters = find_clusters(
        model, width=width, threshold=threshold, permutations=permutations, seed=seed
    )
    if (least := smallest_p_value(model.visible, width)) > threshold:
        tell(f"psiprune: note: {_none_found(model, width, least, threshold)}")
    if files:
        from psiprune.reporting.figures import save_figure
        from psiprune.reporting.weights_figure import clusters_figure

        with ExitStack() as locks:
            for file in files:
                locks.enter_context(new_file(file))
            save_figure(clusters_figure(model, clusters), files[0].with_suffix(""))
    names = [str(file) for file in files]
    numbers = clusters_numbers(clusters) | ({"figures": names} if names else {})
    show(numbers, "\n".join([clusters_text(clusters), *([""] if names else []), *names]), json)


def _none_found(rbm: RBM, width: int, least: float, threshold: float) -> str:
    """Say why no window can be a cluster, whatever the weights, and what to do."""
    return (
        f"with {rbm.visible} sites no cluster of {width} can have a p-value below {least:.2g}, so "
        f"none is found at {threshold:g}; give --threshold {math.ceil(100 * least) / 100:g}, or 1 "
        "to accept the strongest window of every unit"
    )


class _Sites(TypedDict):
    visible: int
    positions: NDArray[np.float64] | None


def _sites(sites: int | None, positions: Path | None) -> _Sites:
    """Return the number of sites, and their coordinates if a file has them."""
    if positions is None:
        if sites is None:
            raise InputError("--sites: give the number of sites, or a file of --positions")
        return {"visible": sites, "positions": None}
    table = _positions(positions)
    if sites not in (None, len(table)):
        raise InputError(
            f"--sites: {positions} has the coordinates of {len(table)} sites, found {sites}; omit "
            "--sites"
        )
    return {"visible": len(table), "positions": table}


def _positions(file: Path) -> NDArray[np.float64]:
    """Read coordinates [site, axis] from text, or from a file of shots or of a state."""
    from psiprune.data.read_shots import read_shots
    from psiprune.io.netcdf import kind_of
    from psiprune.rbm.geometry import read_positions
    from psiprune.states.mps import load_mps

    if (kind := kind_of(file)) is None:
        return read_positions(file)
    table = None
    if kind == "mps":
        table = getattr(load_mps(file).model, "positions", None)
    elif kind == "shots":
        table = read_shots(file).positions
    if table is None:
        raise InputError(
            f"{file}: has no positions of sites; give a text file with a line of coordinates for "
            "each site, or --sites for a chain"
        )
    return table


def _train_with(mask: Path) -> str:
    return command_line("train", "SHOTS", "--mask", mask, "-o", mask.with_suffix(".nc"))


def _write(out: Path, json: bool, make: Callable[[], Mask]) -> None:
    """Make a mask, write it to a new file and print its size; check the name before."""
    from psiprune.rbm.masks import write_mask

    check_new(out)
    check_suffix(out, MASK)
    mask = make()
    with new_file(out):
        write_mask(mask, out)
    (hidden, sites), count = mask.shape, int(mask.sum())
    show(
        {"file": str(out), "hidden": hidden, "sites": sites, "weights": count},
        f"{out}: {count} of {counted(mask.size, 'weight')} between "
        f"{counted(hidden, 'hidden unit')} and {counted(sites, 'site')}",
        json,
        _train_with(out),
    )
