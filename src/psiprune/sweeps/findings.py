"""Sentences of a sweep's report: where the least can be pruned, and what the figures leave out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from psiprune.reporting.traced import (
    Number,
    Sentence,
    count,
    listed,
    percent,
    position,
    say,
    significant,
)
from psiprune.sweeps.dataset import drawn_ratios, drawn_variants
from psiprune.sweeps.table import TABLE

#: Fractions that differ less are equal up to rounding.
_SAME = 1e-9


def left_out(grid: xr.Dataset, fields: bool) -> list[Sentence]:
    """Say what a figure does not show: variants, and fields if it chooses some."""
    sentences = []
    variants, drawn = grid.sizes["variant"], len(drawn_variants(grid))
    if drawn < variants:
        template = (
            "The figure shows the first {drawn} of {all} variants of the grid; the table below "
            "has all."
        )
        shown, every = (
            count(drawn, "variants that are drawn"),
            count(variants, f"{TABLE}: variants"),
        )
        sentences.append(say(template, drawn=shown, all=every))
    ratios, columns = grid.sizes["ratio"], len(drawn_ratios(grid))
    if fields and columns < ratios:
        template = (
            "The figure shows {drawn} of {all} values of h/J: the one nearest to the critical 1, "
            "and, if there are enough, others that all sizes have; the table below has all."
        )
        shown = count(columns, "values of h/J that are drawn")
        every = count(ratios, f"{TABLE}: values of field / coupling")
        sentences.append(say(template, drawn=shown, all=every))
    return sentences


def minimum(grid: xr.Dataset, where: Mapping[str, Hashable]) -> Sentence | None:
    """Say at which fields the least can be pruned, or how much at a single field; None if none."""
    median = grid["prunable"].sel(where).median("seed")
    median = median.sel(ratio=median.notnull())
    fields = median.sizes["ratio"]
    if not fields:
        return None
    least = float(median.min())
    ratios = median["ratio"].values[np.isclose(median.values, least, rtol=0, atol=_SAME)]
    source = f"{TABLE}: median over seed of prunable"
    here, at = position(where), position({**where, "ratio": float(ratios[0])})
    bounded = never_doubled(grid).median("seed").sel(where).sel(ratio=ratios[0]) > least
    rank: Sentence | str = ""
    if fields == 1:
        template = (
            "{sites} sites{variant}: {least} of the weights can be pruned at h/J = {ratio}{capped}."
        )
    elif len(ratios) == fields:
        template = (
            "{sites} sites{variant}: the same fraction can be pruned at all fields, {least} of the "
            "weights{capped}."
        )
    else:
        template = (
            "{sites} sites{variant}: the least can be pruned at h/J = {ratio}, {least} of the "
            "weights{rank}{capped}."
        )
        if fields > 2:  # of two fields, the rank correlation is always 1 or -1
            lengths = grid["correlation_length"].sel(ratio=median["ratio"])
            spearman = float(spearmanr(median.values, lengths.values).statistic)
            origin = f"Spearman of {source}{here} and correlation_length"
            rank = say(
                "; the rank correlation of the fraction prunable with the correlation length over "
                "{fields} fields is {rank}",
                fields=count(fields, f"{source}{here}: fields"),
                rank=Number(spearman, significant(spearman), origin),
            )
    return say(
        template,
        sites=str(where["sites"]),
        variant=f", {where['variant']}" if where["variant"] else "",
        ratio=listed(
            [Number(float(r), significant(r), f"{source}, its least{here}") for r in ratios]
        ),
        least=Number(least, f"{'at least ' * bool(bounded)}{percent(least)}", f"{source}{at}"),
        rank=rank,
        capped=_capped(grid, where),
    )


def never_doubled(grid: xr.Dataset) -> xr.DataArray:
    """Return `prunable` with 1 added where KL never doubled: a quantile that grows is a bound."""
    return grid["prunable"] + grid["prunable_all"]


def _capped(grid: xr.Dataset, where: Mapping[str, Hashable]) -> Sentence | str:
    """Say how many points never doubled, so that more of their weights may be prunable."""
    capped = grid["prunable_all"].sel(where)
    never = int((capped > 0).sum())
    if not never:
        return ""
    source = f"{TABLE}: points{position(where)}"
    return say(
        "; {never} of {points} points never doubled (their value is that of the last level)",
        never=count(never, f"{source} with prunable_all"),
        points=count(int(capped.notnull().sum()), source),
    )
