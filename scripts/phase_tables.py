"""The tables of docs/sweep.md on phases, of the folder of `psiprune sweep docs/phases.toml`.

python scripts/phase_tables.py runs/phases
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from psiprune.crossing import crossing
from psiprune.summaries import QUANTILES
from psiprune.sweeping.table import TABLE

#: A limit of KL that is the same at every field of a size: so many times what a fit to so many
#: shots misses.
COMMON = 10
#: Times that seeds are drawn again, each field by itself.
DRAWS = 10_000
KEYS = ["sites", "prune_criterion", "field", "seed"]

Seeds = dict[float, np.ndarray[tuple[int], np.dtype[np.float64]]]


def points(file: str) -> pd.DataFrame:
    """One row a point: dense KL, the fraction prunable, and that within the common limit."""
    levels = pd.read_parquet(file).sort_values("level")

    def own(path: pd.DataFrame) -> pd.Series[float]:
        kl, pruned = path["kl"].to_numpy(), path["fraction_pruned"].to_numpy()
        first = path.iloc[0]
        limit = COMMON * float(first["kl_floor"])
        within = float(min(crossing(pruned, kl, limit), pruned[-1]))
        names = ["prunable", "correlation_length", "kl", "kl_floor"]
        return pd.Series({**{name: float(first[name]) for name in names}, "common": within})

    return levels.groupby(KEYS).apply(own, include_groups=False).reset_index()


def band(values: pd.Series[float]) -> str:
    """Median over seeds, with 16 to 84 % of them, in percent."""
    low, middle, high = 100 * np.quantile(values, QUANTILES)
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def by_field(found: pd.DataFrame, name: str) -> None:
    """A row a field, a column a size and criterion."""
    groups = list(found.groupby(["sites", "prune_criterion"]).groups)
    print("| h/J | xi |", " | ".join(f"{n}, {criterion}" for n, criterion in groups), "|")
    for field, here in found.groupby("field"):
        cells = []
        for n, criterion in groups:
            own = here[(here["sites"] == n) & (here["prune_criterion"] == criterion)]
            cells.append(band(own[name]) if len(own) else "")
        length = here["correlation_length"].iloc[0]
        print(f"| {field:g} | {length:.2f} |", " | ".join(cells), "|")


def dense(found: pd.DataFrame) -> None:
    """Median KL of the RBMs with all weights over what a fit to so many shots misses."""
    for n, here in found.groupby("sites"):
        each = here.groupby("field")[["kl", "kl_floor"]].median()
        told = ", ".join(
            f"{h:g}: {kl:.2g} ({kl / floor:.1f})" for h, kl, floor in each.itertuples()
        )
        print(f"{n} sites, dense KL by h/J (times its floor): {told}")


def drawn(seeds: Seeds, of: Callable[[np.ndarray], float]) -> list[float]:
    """16, 50 and 84 % of a number made of the medians, over seeds drawn again at each field."""
    rng = np.random.default_rng(0)
    medians = np.column_stack(
        [np.median(rng.choice(own, (DRAWS, len(own))), axis=1) for own in seeds.values()]
    )
    values = np.array([of(row) for row in medians])
    return [float(value) for value in np.quantile(values, QUANTILES)]


def peaks(found: pd.DataFrame, name: str) -> None:
    """Where least can be pruned, and how the fraction prunable goes with the correlation length."""
    print("| sites | criterion | least at h/J | drawn again | rank | drawn again |")
    for (n, criterion), here in found.groupby(["sites", "prune_criterion"]):
        seeds: Seeds = {float(h): own[name].to_numpy() for h, own in here.groupby("field")}
        fields = np.array(list(seeds))
        lengths = here.groupby("field")["correlation_length"].first().to_numpy()
        middle = np.array([np.median(own) for own in seeds.values()])

        def least(medians: np.ndarray, fields: np.ndarray = fields) -> float:
            return float(fields[medians.argmin()])

        def rank(medians: np.ndarray, lengths: np.ndarray = lengths) -> float:
            return float(spearmanr(medians, lengths).statistic)

        low, _, high = drawn(seeds, least)
        bottom, _, top = drawn(seeds, rank)
        print(
            f"| {n} | {criterion} | {least(middle):g} | {low:g} to {high:g} "
            f"| {rank(middle):.2f} | {bottom:.2f} to {top:.2f} |"
        )


def sides(found: pd.DataFrame, name: str) -> None:
    """The fraction prunable at equal correlation length on both sides of h = J."""
    for (n, criterion), here in found.groupby(["sites", "prune_criterion"]):
        each = here.groupby("field")[[name, "correlation_length"]].median()
        above = each[each.index > 1].sort_values("correlation_length")
        told = [
            f"rank {spearmanr(own[name], own['correlation_length']).statistic:.2f} at {words}"
            for words, own in (("h <= J", each[each.index <= 1]), ("h >= J", each[each.index >= 1]))
        ]
        for h, value, length in each[each.index < 1].itertuples():
            if above["correlation_length"].min() <= length <= above["correlation_length"].max():
                other = np.interp(length, above["correlation_length"], above[name])
                told.append(f"xi {length:.2f} (h = {h:g} J) {value:.0%} against {other:.0%}")
        print(f"{n} sites, {criterion}, ordered against disordered:", "; ".join(told))


def gains(found: pd.DataFrame, name: str) -> None:
    """What surgeon prunes more than magnitude, of the same dense RBM."""
    wide = found.pivot(index=["sites", "field", "seed"], columns="prune_criterion", values=name)
    more = (wide["surgeon"] - wide["magnitude"]).dropna().groupby(["sites", "field"])
    for n, here in more.median().groupby("sites"):
        told = ", ".join(f"{h:g}: {100 * value:+.0f}" for (_, h), value in here.items())
        print(f"{n} sites, surgeon over magnitude by h/J, points of percent: {told}")


def main() -> None:
    """All of them."""
    found = points(f"{sys.argv[1]}/{TABLE}")
    dense(found)
    for name, words in (
        ("prunable", "until KL has doubled"),
        ("common", f"until KL is {COMMON} times its floor"),
    ):
        print(f"\nfraction prunable {words}, %\n")
        by_field(found, name)
        print()
        peaks(found, name)
        print()
        sides(found, name)
        print()
        gains(found, name)


if __name__ == "__main__":
    main()
