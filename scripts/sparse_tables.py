"""The tables of docs/sparse.md, of the datasets of `psiprune sparse` and `psiprune ablation`.

python scripts/sparse_tables.py docs/paper
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.stats import wilcoxon

from psiprune.io.netcdf import read_dataset

#: A seed beyond it is called stuck: several times what any trained RBM of these sizes has.
STUCK = 0.009
EPOCHS = (10, 20, 50, 100, 200, 500)


def band(values: xr.DataArray) -> str:
    """Median over seeds, with 16 to 84 % of them."""
    low, middle, high = np.quantile(values, (0.16, 0.5, 0.84))
    return f"{middle:.2g} ({low:.2g} to {high:.2g})"


def ratio(values: xr.DataArray, to: xr.DataArray) -> str:
    """Ratio of medians, and p by signed ranks of the pairs of one seed."""
    p = wilcoxon(values.values, to.values).pvalue
    return f"{float(values.median() / to.median()):.3g} ({p:.1g})"


def row(cells: Iterable[object]) -> None:
    """One line of a table."""
    print("|", " | ".join(map(str, cells)), "|")


def kinds(data: xr.Dataset, field: float) -> None:
    """Six kinds of RBM at one field."""
    here = data.sel(field=field)
    names = ["KL (nat)", "energy bias", "bias of \\|m\\|", "KL over dense (p)", "stuck"]
    row([f"h = {field:g}", *names])
    dense = here["kl"].sel(variant="dense")
    for name in here["variant"].values:
        one = here.sel(variant=name)
        row(
            [
                name,
                band(one["kl"]),
                f"{float(one['energy_bias'].median()):.2g}",
                f"{float(one['abs_magnetization_bias'].median()):.2g}",
                "" if name == "dense" else ratio(one["kl"], dense),
                int((one["kl"] > STUCK).sum()),
            ]
        )
    pruned = here["kl"].sel(variant="pruned")
    for name in ("sp/ss", "sp/os", "sc"):
        other = here["kl"].sel(variant=name)
        print(
            f"{name} over pruned: {ratio(other, pruned)}, lower in {int((other < pruned).sum())};",
            f"lower than dense in {int((other < dense).sum())}",
        )
    lowest = here["variant"].values[here["kl"].argmin("variant")].tolist()
    print("lowest KL of each seed:", ", ".join(lowest))


def curves(data: xr.Dataset) -> None:
    """Median KL by epoch."""
    row(["median KL at epoch", *EPOCHS])
    for field in data["field"].values:
        for name in ("dense", "sp/ss", "sp/os", "sc"):
            kl = data["history_kl"].sel(field=field, variant=name, epoch=list(EPOCHS))
            row([f"h = {field:g}: {name}", *(f"{v:.2g}" for v in kl.median("seed").values)])


def broken(data: xr.Dataset) -> None:
    """KL against the share of clusters broken."""
    fields = data["field"].values
    starts = ("from the start", "from dense")
    row(
        ["broken", "pairs", *(f"h = {field:g}: KL {start}" for field in fields for start in starts)]
    )
    for share in data["share"].values:
        here = data.sel(share=share)
        adjacent = here["broken_adjacent"].sel(start="initial").median("seed")
        pairs = " / ".join(f"{value:.0f}" for value in adjacent.values)
        cells = [
            band(here["broken_kl"].sel(field=field, start=start))
            for field in data["field"].values
            for start in ("initial", "dense")
        ]
        row([f"{share:.0%}", pairs, *cells])
    for field in data["field"].values:
        for share in (0.2, 0.4):
            for start in ("initial", "dense"):
                kl = data["broken_kl"].sel(field=field, start=start)
                times = np.sort((kl.sel(share=share) / kl.sel(share=0.0)).values)
                told = ", ".join(f"{v:.2g}" for v in times)
                print(f"h = {field:g}, {share:.0%}, {start}: KL over that of 0 %: {told}")
        bias = data["broken_abs_magnetization_bias"].sel(field=field, start="initial")
        told = ", ".join(f"{v:.2g}" for v in bias.median("seed").values)
        print(f"h = {field:g}: bias of |m| by share: {told}")


def forbidden(data: xr.Dataset) -> None:
    """Clusters that were forbidden, and where they are then."""
    row(
        [
            "",
            "weights",
            "with a cluster",
            "moved by 3",
            "median shift",
            "KL (nat)",
            "over dense (p)",
        ]
    )
    for field in data["field"].values:
        dense = data["forbidden_kl"].sel(field=field, model="dense")
        for name in data["model"].values:
            one = data.sel(field=field, model=name)
            counts = sorted(set(one["forbidden_weights_kept"].values.astype(int).tolist()))
            found = one["found"].astype(bool)
            moved, shift = "", ""
            if name != "dense":
                there = one["shift"].values[found.values]
                moved, shift = str(int((np.abs(there) >= 3).sum())), f"{np.median(np.abs(there)):g}"
            over = "" if name == "dense" else ratio(one["forbidden_kl"], dense)
            clusters = f"{int(found.sum())} of {found.size}"
            kl = band(one["forbidden_kl"])
            row([f"h = {field:g}: {name}", counts, clusters, moved, shift, kl, over])

    taken = [data["taken"].sel(model=name) for name in ("forbidden", "dense")]
    counts = [int((sites >= 2).sum()) for sites in taken]
    print(
        f"old windows that another unit's cluster covers by 2 sites or more: {counts[0]},", end=" "
    )
    print(f"in the dense RBMs themselves {counts[1]}, of {taken[0].size}")
    near = data["shift"].sel(model="control")
    print(f"control: within one site of where it was: {int((np.abs(near) <= 1).sum())}")


def main() -> None:
    """All of them."""
    folder = Path(sys.argv[1])
    sparse = read_dataset(folder / "sparse" / "sparse.nc", "sparse")
    for field in sparse["field"].values:
        kinds(sparse, float(field))
        print()
    curves(sparse)
    print()
    ablation = read_dataset(folder / "ablation" / "ablation.nc", "ablation")
    broken(ablation)
    print()
    forbidden(ablation)


if __name__ == "__main__":
    main()
