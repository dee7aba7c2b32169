"""The part of a sweep's report about whole runs: what each has come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from psiprune.report.numbers import Number, significant, whole
from psiprune.report.page import Table
from psiprune.sweeping.ends import End

#: Title and introduction by experiment; those of a study are about the fraction prunable.
ABOUT: Mapping[str, tuple[str, Sequence[str]]] = {
    "sparse": (
        "Sparse training over a grid",
        (
            "Each point is one run of `psiprune sparse`: restricted Boltzmann machines that are "
            "dense, pruned, or sparse from the start, trained on the same measured bit strings of "
            "the transverse-field Ising chain.",
        ),
    ),
    "ablation": (
        "Ablations over a grid",
        (
            "Each point is one run of `psiprune ablation`: restricted Boltzmann machines whose "
            "pruned masks are broken step by step, and such as may not form the clusters that the "
            "dense ones form.",
        ),
    ),
    "frontier": (
        "Error against weights over a grid",
        (
            "Each point is one run of `psiprune frontier`: restricted Boltzmann machines of all "
            "sizes by every method; the table has the one with the fewest weights of each.",
        ),
    ),
}


def ends_table(ends: Sequence[End], source: str) -> Table:
    """A row for each run, field and variant, with what runs differ in.

    Args:
        ends: as `ends_of` gives them.
        source: the file that they come from.
    """
    until = any(not math.isnan(end.smallest) for end in ends)

    def median(value: float, name: str, shown: str) -> Number:
        return Number(value, shown, f"{source}: median over seed of {name} at the end")

    rows: list[list[str | Number]] = []
    for end in ends:
        smallest = median(end.smallest, "smallest_weights", whole(end.smallest))
        rows.append(
            [
                str(end.sites),
                end.settings,
                f"{end.ratio:g}",
                end.variant,
                median(end.weights, "the weights", whole(end.weights)),
                median(end.kl, "KL", significant(end.kl)),
                median(end.bias, "the bias of <|m|>", significant(end.bias)),
                *([smallest] if until else []),
                str(end.seeds),
            ]
        )
    head = ["sites", "settings", "h/J", "variant", "weights", "KL", "bias of <|m|>"]
    head += [*(["smallest, weights"] if until else []), "seeds"]
    return Table("Medians over seeds at the end of each run", head, rows)
