"""The tables of docs/sweep.md on phases, of the folder of `psiprune sweep phases.toml` there.

python scripts/phase_tables.py runs/phases
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from psiprune.core.statistics import QUANTILES, crossing
from psiprune.sweeps.table import TABLE

#: A limit of KL that is the same at every field of a size: so many times what a fit to so many
#: shots misses.
COMMON = 10
#: Times that seeds are drawn again, each field by itself.
DRAWS = 10_000
KEYS = ["sites", "prune_criterion", "field", "seed"]

Seeds = dict[float, np.ndarray[tuple[int], np.dtype[np.float64]]]


def points(levels: pd.DataFrame) -> pd.DataFrame:
    """One row a point: dense KL, the fraction prunable, and that within the common limit."""

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


def optima(found: pd.DataFrame, sites: int, field: float) -> None:
    """The dense KL of each seed, where training ends in one of a few optima."""
    here = found[(found["sites"] == sites) & (found["field"] == field)]
    each = ", ".join(f"{kl:.4f}" for kl in sorted(here.groupby("seed")["kl"].first()))
    print(f"{sites} sites, h/J = {field:g}, dense KL of each seed: {each}")


def tipped(levels: pd.DataFrame, sites: int, field: float) -> None:
    """m and KL of each seed, level by level, and how often KL is ten times that of the dense."""
    here = levels[(levels["sites"] == sites) & (levels["field"] == field)]
    for (criterion, seed), path in here.groupby(["prune_criterion", "seed"]):
        kl = path["kl"].to_numpy()
        high = kl > 10 * kl[0]
        told = ", ".join(
            f"{pruned:.0%} (m {m:+.2f}, KL {value:.2g})"
            for pruned, m, value in path[["fraction_pruned", "magnetization", "kl"]].to_numpy()
        )
        words = f"{high.sum()} of {len(kl)} levels above 10 times the dense KL"
        print(f"{sites} sites, h/J = {field:g}, {criterion}, seed {seed}: {words}; {told}")


def costs(run: Path, levels: pd.DataFrame) -> None:
    """Processor time: of all stages, and the median of a path by size and criterion."""
    taken = {
        file.parent.name: json.loads(file.read_text())["seconds"]
        for file in run.glob("*/*/seconds.json")
        if file.parent.parent.name == "point"
    }
    every = [json.loads(file.read_text())["seconds"] for file in run.glob("*/*/seconds.json")]
    print(f"{sum(every) / 3600:.1f} core-hours in {len(every)} stages whose time is known")
    own = levels.drop_duplicates("point").assign(seconds=lambda rows: rows["point"].map(taken))
    middle = own.groupby(["sites", "prune_criterion"])["seconds"].median()
    for (n, criterion), value in middle.items():
        print(f"{n} sites, {criterion}: {value:.0f} s a path")


def drawn(seeds: Seeds, of: Callable[[np.ndarray], float]) -> NDArray[np.float64]:
    """A number made of the medians, for seeds drawn again at each field, [draw]."""
    rng = np.random.default_rng(0)
    medians = np.column_stack(
        [np.median(rng.choice(own, (DRAWS, len(own))), axis=1) for own in seeds.values()]
    )
    return np.array([of(row) for row in medians])


def peaks(found: pd.DataFrame, name: str) -> None:
    """Where least can be pruned, and how the fraction prunable goes with the correlation length."""
    print("| sites | criterion | least at h/J | drawn again | there | rank | drawn again |")
    for (n, criterion), here in found.groupby(["sites", "prune_criterion"]):
        seeds: Seeds = {float(h): own[name].to_numpy() for h, own in here.groupby("field")}
        fields = np.array(list(seeds))
        lengths = here.groupby("field")["correlation_length"].first().to_numpy()
        middle = np.array([np.median(own) for own in seeds.values()])

        def least(medians: np.ndarray, fields: np.ndarray = fields) -> float:
            return float(fields[medians.argmin()])

        def rank(medians: np.ndarray, lengths: np.ndarray = lengths) -> float:
            return float(spearmanr(medians, lengths).statistic)

        places = drawn(seeds, least)
        low, _, high = np.quantile(places, QUANTILES)
        bottom, _, top = np.quantile(drawn(seeds, rank), QUANTILES)
        print(
            f"| {n} | {criterion} | {least(middle):g} | {low:g} to {high:g} "
            f"| {np.mean(places == least(middle)):.2%} "
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
    run = Path(sys.argv[1])
    levels = pd.read_parquet(run / TABLE).sort_values("level")
    found = points(levels)
    costs(run, levels)
    dense(found)
    optima(found, 18, 0.8)
    tipped(levels, 50, 0.5)
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
