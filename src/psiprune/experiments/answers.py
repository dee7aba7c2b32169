"""What an experiment found, in one sentence for each field: the first lines of its output."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import xarray as xr

from psiprune.experiments.tables import TABLES, best_text, smallest_lines
from psiprune.reporting.labels import field_label
from psiprune.reporting.tables import number, wrap

Numbers = Mapping[str, Any]


def answer_text(experiment: str, dataset: xr.Dataset) -> str:
    """Return the answer of an experiment, a sentence for each field."""
    sentences = []
    for field in dataset["field"].values:
        one = dataset.sel(field=field)
        found = _ANSWERS[experiment](TABLES[experiment].numbers(one), one)
        sentences.append(wrap(f"{field_label(dataset, field)}: {found}"))
    return "\n".join(sentences)


def _study(numbers: Numbers, study: xr.Dataset) -> str:
    """Return the fewest weights at which the median KL is at most twice that of the dense RBM."""
    total = study.attrs["sites"] * study.attrs["hidden"]
    if "smallest" in numbers:
        return smallest_lines(numbers["smallest"], total)[0]
    levels = numbers["levels"]
    within = [level for level in levels if level["kl"] <= 2 * levels[0]["kl"]]
    if not within:
        return "the KL of the dense RBM is not known"
    least = min(within, key=lambda level: level["weights_kept"])
    end = least["weights_kept"] == min(level["weights_kept"] for level in levels)
    return (
        f"{least['weights_kept']:g} of {total} weights ({least['fraction_pruned']:.0%} pruned) "
        f"keep KL within twice that of the dense RBM ({number(levels[0]['kl'], '.2g')} nat)"
        f"{', the fewest of all levels: see --prune.levels for fewer' if end else ''}"
    )


def _sparse(numbers: Numbers, _: xr.Dataset) -> str:
    variants = dict(numbers["variants"])
    dense = variants.pop("dense")
    best = min(variants, key=lambda name: variants[name]["kl"]["median"])
    kl = number(variants[best]["kl"]["median"], ".2g")
    return (
        f"least KL among sparse RBMs: {kl} nat by {best}, {variants[best]['weights_kept']} weights "
        f"(dense: {number(dense['kl']['median'], '.2g')}, {dense['weights_kept']} weights)"
    )


def _ablation(numbers: Numbers, _: xr.Dataset) -> str:
    found = numbers["ablation"]
    broken = []
    for start, rows in found["broken"].items():
        ratio = number(rows[-1]["kl"]["median"] / rows[0]["kl"]["median"], ".3g")
        broken.append(f"{ratio} ({start}, {rows[-1]['share']:.0%})")
    forbidden = [
        f"{number(row['against_dense']['ratio'], '.3g')} ({name})"
        for name, row in found["forbidden"].items()
        if name != "dense"
    ]
    return (
        f"clusters broken multiply KL by {', '.join(broken)}; forbidden from the start by "
        f"{', '.join(forbidden)}"
    )


def _frontier(numbers: Numbers, _: xr.Dataset) -> str:
    fewest = best_text(numbers["frontier"]["best"]["within_kl"])
    return f"fewest weights with at most twice the KL of the dense RBM: {fewest}"


def _masks(numbers: Numbers, _: xr.Dataset) -> str:
    rows = numbers["masks"]["rows"]
    best = min(
        (row for row in rows if row["variant"] != "dense"), key=lambda row: row["kl"]["median"]
    )
    return (
        f"least KL of a mask: {number(best['kl']['median'], '.2g')} nat by {best['variant']}, "
        f"{best['count']} weights (dense: {number(best['dense_kl'], '.2g')})"
    )


def _entanglement(numbers: Numbers, _: xr.Dataset) -> str:
    changes = numbers["entanglement"]["changes"]
    first = [each for each in changes if each["width"] == changes[0]["width"]]
    found = [
        f"{_share(each['pruned']['entropy'])} ({_share(each['pruned']['kl'])}) pruned by "
        f"{each['variant']}"
        for each in first
    ]
    return f"entropy (KL) differs from that of dense RBMs with {', '.join(found)}"


def _share(fraction: float) -> str:
    return "never" if fraction >= 1 else "-" if math.isnan(fraction) else f"{fraction:.0%}"


_ANSWERS: Mapping[str, Callable[[Numbers, xr.Dataset], str]] = {
    "study": _study,
    "sparse": _sparse,
    "ablation": _ablation,
    "frontier": _frontier,
    "masks": _masks,
    "entanglement": _entanglement,
}
#: The experiments that `answer_text` knows.
ANSWERED = tuple(_ANSWERS)
