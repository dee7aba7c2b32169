"""Report of the paper's reproduction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from psiprune.paper.claims import base
from psiprune.paper.claims.base import FAILS, HOLDS, IN_PART
from psiprune.paper.claims.judge import Judged
from psiprune.paper.explorer import explorer
from psiprune.paper.headlines import Headline
from psiprune.paper.sentences.beyond import on_decay, on_frontier, on_schedules, on_sizes, on_timing
from psiprune.paper.sentences.frontier import frontier_table
from psiprune.paper.sentences.sparse import on_broken, on_forbidden, on_sparse
from psiprune.paper.sentences.study import (
    on_graph,
    on_order,
    on_ranks,
    on_study,
    on_table,
    table_one,
)
from psiprune.reporting.labels import phase_label
from psiprune.reporting.page import Headline as Card
from psiprune.reporting.page import Provenance, Report, Row, Section, Summary, picture
from psiprune.reporting.traced import Number, Sentence, say, significant

Datasets = Mapping[str, xr.Dataset]
_INTRODUCTION = (
    "Golubeva & Melko, Phys. Rev. B 105, 125124 (2022), train restricted Boltzmann machines (RBMs) "
    "on measured bit strings of the transverse-field Ising chain, take their weights away step by "
    "step, and ask what that costs in physics. This page repeats it and judges what the paper "
    "says.",
    "QCP is the quantum critical point, h = J; PM is the paramagnetic phase, h = 2 J. Every number "
    "in the text carries its dataset and variable; see “Where these numbers come from”.",
)


def paper_report(
    datasets: Datasets,
    judged: Sequence[Judged],
    headlines: Sequence[Headline],
    figures: Mapping[str, Figure | str],
    timing: Mapping[str, Any] | None,
    provenance: Provenance,
    command: str,
) -> Report:
    """The report of a run of the paper; what has no data or figure is left out.

    Args:
        datasets: by name: graph, study, size-50, schedule-0.1, sparse, ablation, frontier, models,
            symmetry, decay, ranks.
        judged: the claims with their verdicts.
        headlines: the numbers to read first.
        figures: fig1, ..., fig6, schedules, broken, forbidden, sizes, frontier, timing; a figure or
            the text of an SVG.
        timing: times by density.
        provenance: versions, machine and configuration.
        command: that makes the same again.
    """
    study = datasets.get("study")
    rows = claim_rows(judged)
    return Report(
        title="Pruning restricted Boltzmann machines: the paper, reproduced and judged",
        introduction=_INTRODUCTION,
        summary=Summary(_verdicts(rows), headline_cards(headlines), rows),
        sections=list(_sections(datasets, figures, timing)),
        explorer=None if study is None else explorer(study, datasets.get("models")),
        provenance=provenance,
        command=command,
    )


def _verdicts(claims: Sequence[Row]) -> list[Sentence]:
    if not claims:
        return []
    held, part, failed = (
        sum(row.verdict == verdict for row in claims) for verdict in (HOLDS, IN_PART, FAILS)
    )
    text = (
        f"Of {len(claims)} {'claim' if len(claims) == 1 else 'claims'} of the paper, {held} "
        f"{'holds' if held == 1 else 'hold'}, {part} {'holds' if part == 1 else 'hold'} in part, "
        f"{failed} {'does' if failed == 1 else 'do'} not hold"
    )
    open_ = len(claims) - held - part - failed
    rest = f", and {open_} cannot be decided with this data" if open_ else ""
    return [say("{text}.", text=text + rest)]


def _sections(
    datasets: Datasets, figures: Mapping[str, Figure | str], timing: Mapping[str, Any] | None
) -> Iterator[Section]:
    """All that there is a figure or, for the table, data of, in the order of the paper."""
    table = table_one(datasets["study"]) if "study" in datasets else None
    for name, title in _TITLES.items():
        if name == "table1":
            if table is not None:
                yield Section(name, title, None, on_table(datasets["study"]), table)
        elif name in figures:
            alt = f"{_SEEN[name]} {_phases(datasets, name)}".strip()
            shown = picture(figures[name], alt)
            own = name == "frontier" and "frontier" in datasets
            grid = frontier_table(datasets["frontier"]) if own else None
            yield Section(name, title, shown, _sentences(name, datasets, timing), grid)


_TITLES = {
    "fig1": "Fig. 1: an RBM before and after pruning",
    "fig2": "Fig. 2: five measures against the fraction pruned",
    "fig3": "Fig. 3: the order parameter",
    "fig4": "Fig. 4: decay of correlations",
    "fig5": "Fig. 5: sparse from the start",
    "fig6": "Fig. 6: the measures against KL",
    "table1": "Table I: weights and connectedness",
    "schedules": "Other pruning schedules",
    "broken": "Clusters broken",
    "forbidden": "Clusters forbidden",
    "sizes": "Larger systems",
    "frontier": "Error against number of weights",
    "timing": "Time saved",
}
_SEEN = {
    "fig1": "Graphs of an RBM before pruning and with about half of its weights, lines as wide as "
    "weights are large, solid or hollow by sign, each beside its weight matrix.",
    "fig2": "Line plots on a logarithmic scale of KL, infidelity, eROE, mROE and C_MSE against "
    "the fraction of weights pruned, with the median and a band over seeds and the floor of a "
    "perfect model, which is that of the sampled measures: those without sampling may lie below.",
    "fig3": "Means of m and |m| by pruning level beside the exact values, histograms of m by level "
    "beside the exact one, and the ratio n(v)/n(−v) in the training set.",
    "fig4": "C(d) against distance at the critical point by pruning level beside the exact curve, "
    "one column a system size, once so that a power law and once so that an exponential would be "
    "straight, each curve up to where C(d) is within its errors of 0 or below it; below, by level, "
    "which of the two fits better.",
    "fig5": "Training curves of the error measures for dense, pruned and sparse RBMs.",
    "fig6": "Each error measure against the KL divergence, through training and through pruning.",
    "schedules": "The error measures against the fraction pruned, one line for each schedule.",
    "broken": "The error measures against the share of the mask that is moved to chance.",
    "forbidden": "Maps of the weights of one dense RBM and of one with its clusters forbidden, and "
    "how far clusters have moved in all seeds.",
    "sizes": "KL divergence and other measures against the fraction pruned, one line for each "
    "system size.",
    "frontier": "Error against the number of weights, one line for each way to remove them.",
    "timing": "Time of an update and of a Gibbs step, relative to the dense RBM, against the "
    "density of weights.",
}
_FILES = {"fig5": "sparse", "broken": "ablation", "forbidden": "ablation", "frontier": "frontier"}


def _phases(datasets: Datasets, name: str) -> str:
    """What of the alternative text depends on the run: the phases shown."""
    dataset = datasets.get(_FILES.get(name, "study"))
    if dataset is None or name in ("fig1", "timing"):
        return ""
    phases = [phase_label(dataset, float(field)) for field in dataset["field"].values]
    return f"Shown for {' and '.join(phases)}. The text after the picture gives its numbers."


def _sentences(
    name: str, datasets: Datasets, timing: Mapping[str, Any] | None
) -> Sequence[Sentence]:
    """What the numbers behind a figure say; nothing where they are not there."""
    if name == "timing":
        return on_timing(timing) if timing else ()
    study = datasets.get("study")
    match name:
        case "fig1" if "graph" in datasets:
            return on_graph(datasets["graph"])
        case "fig2" if study is not None:
            return on_study(study)
        case "fig3" if study is not None:
            return on_order(study, datasets.get("symmetry"))
        case "fig4" if "decay" in datasets:
            return on_decay(datasets["decay"])
        case "fig5" if "sparse" in datasets:
            return on_sparse(datasets["sparse"])
        case "fig6" if "ranks" in datasets:
            return on_ranks(datasets["ranks"])
        case "schedules" if study is not None:
            return on_schedules(study, _family(datasets, "schedule-"))
        case "broken" if "ablation" in datasets:
            return on_broken(datasets["ablation"])
        case "forbidden" if "ablation" in datasets:
            return on_forbidden(datasets["ablation"])
        case "sizes":
            return on_sizes(_family(datasets, "size-"))
        case "frontier" if "frontier" in datasets:
            return on_frontier(datasets["frontier"])
    return ()


def _family(datasets: Datasets, prefix: str) -> dict[str, xr.Dataset]:
    """The datasets of this family, by the number in their names."""
    names = [name for name in datasets if name.startswith(prefix)]
    return {name: datasets[name] for name in sorted(names, key=lambda n: float(n[len(prefix) :]))}


def claim_rows(judged: Iterable[Judged]) -> list[Row]:
    """A row for each claim; each of its numbers with how it is made and of which variables."""
    return [
        Row(
            key=claim.key,
            section=claim.section,
            statement=claim.statement,
            rule=claim.rule,
            verdict=finding.verdict,
            measured=finding.measured,
            seeds=finding.seeds,
            numbers={
                name: _number(number, significant(number.value))
                for name, number in finding.numbers.items()
            },
        )
        for claim, finding in judged
    ]


def headline_cards(headlines: Iterable[Headline]) -> list[Card]:
    """The numbers to read first; what their texts add in brackets comes after the words."""
    cards = []
    for each in headlines:
        shown, bracket, rest = each.text.partition(" (")
        words = Sentence((f"{each.label}{bracket}{rest}",))
        cards.append(Card(_number(each.number, shown), words))
    return cards


def _number(number: base.Number, shown: str) -> Number:
    return Number(number.value, shown, f"{number.how} ({', '.join(number.variables)})")
