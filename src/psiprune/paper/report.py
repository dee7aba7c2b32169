"""Report of the paper's reproduction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from psiprune.paper.claims.base import FAILS, HOLDS, IN_PART, UNDECIDED, Datasets, Judged
from psiprune.paper.claims.judge import counts
from psiprune.paper.claims.robust import TRAININGS, robustness_numbers
from psiprune.paper.explorer import explorer
from psiprune.paper.judging import Judgement
from psiprune.paper.narrative import write
from psiprune.paper.tables import frontier_table, table_one
from psiprune.reporting.page import (
    Provenance,
    Report,
    Row,
    Section,
    Summary,
    Table,
    picture,
)
from psiprune.reporting.traced import Named

#: Sections in the order of the paper: the names of figures, of templates and of anchors.
_SECTIONS = (
    *("fig1", "fig2", "fig3", "fig4", "fig5", "fig6", "table1"),
    *("schedules", "trainings", "broken", "forbidden", "sizes", "frontier", "timing"),
)
#: Effects that the table of claims shows of each, the most important ones.
_EFFECTS = 3
#: The datasets that templates use by name; those missing in a run are none.
NAMED = ("graph", "study", "symmetry", "decay", "sparse", "ranks", "ablation", "frontier")


def paper_report(
    datasets: Datasets,
    judgement: Judgement,
    figures: Mapping[str, Figure | str],
    timing: Mapping[str, Any] | None,
    provenance: Provenance,
    banner: Mapping[str, str],
    command: str,
) -> Report:
    """Return the report of a run of the paper, without what has no data or figure.

    Args:
        datasets: by name: graph, study, size-50, schedule-0.1, sparse, ablation, frontier, models,
            symmetry, sums, decay, ranks.
        judgement: the claims with their findings, and the numbers to read first.
        figures: fig1, ..., fig6, schedules, trainings, broken, forbidden, sizes, frontier, timing;
            a figure or the text of an SVG.
        timing: times by density.
        provenance: versions, machine and configuration.
        banner: what the run was, as `psiprune.paper.banner.banner` says it.
        command: that reproduces the run.
    """
    study, judged = datasets.get("study"), judgement.judged
    found = counts(judged)
    verdicts = {"held": found[HOLDS], "partly": found[IN_PART], "failed": found[FAILS]}
    summary = write("summary", claims=len(judged), **verdicts).sentences if judged else ()
    return Report(
        title="Pruning restricted Boltzmann machines: the paper, reproduced and judged",
        introduction=[each.text for each in write("introduction").sentences],
        summary=Summary(summary, judgement.headlines, [_row(each) for each in judged]),
        sections=[*_verdicts(judged), *_sections(datasets, figures, timing)],
        explorer=None if study is None else explorer(study, datasets.get("models")),
        provenance=provenance,
        command=command,
        banner=banner,
    )


def _row(judged: Judged) -> Row:
    claim, finding = judged
    return Row(
        *(claim.key, claim.section, claim.statement, claim.rule),
        *(finding.verdict, finding.measured, finding.seeds, finding.numbers),
        [str(effect) for effect in finding.effects[:_EFFECTS]],
        {
            **finding.readings,
            **{TRAININGS[name]: verdict for name, verdict in finding.schedules.items()},
        },
    )


def _verdicts(judged: Sequence[Judged]) -> Iterator[Section]:
    """The verdicts for each training, if there are several."""
    rows = robustness_numbers(judged)
    if rows:
        names = ["study", *(name for name in TRAININGS if name in rows[0]["verdicts"])]
        cells = [[row["key"], *(_shown(row["verdicts"], name) for name in names)] for row in rows]
        caption = (
            f"{sum(row['robust'] for row in rows)} of {len(rows)} verdicts are the same for every "
            "training; * marks another one, a dash what cannot be decided"
        )
        head = ["claim", "CD-10 (main)", *(TRAININGS[name] for name in names[1:])]
        yield Section("verdicts", "Verdicts by training", table=Table(caption, head, cells))


def _shown(verdicts: Mapping[str, str], name: str) -> str:
    verdict = verdicts.get(name, UNDECIDED)
    if verdict == UNDECIDED:
        return "–"
    return verdict if verdict == verdicts["study"] else f"{verdict} *"


def _sections(
    datasets: Datasets, figures: Mapping[str, Figure | str], timing: Mapping[str, Any] | None
) -> Iterator[Section]:
    """Each section with a figure or, for Table I, with data."""
    tables: dict[str, Table | None] = {}
    if "study" in datasets:
        tables["table1"] = table_one(datasets["study"])
    if "frontier" in datasets:
        tables["frontier"] = frontier_table(datasets["frontier"])
    variables: dict[str, Any] = {
        name: Named(name, datasets[name]) if name in datasets else None for name in NAMED
    }
    families: dict[str, Any] = {
        "sizes": _family(datasets, "size-"),
        "schedules": _family(datasets, "schedule-"),
        "trainings": [
            (words, Named(name, datasets[name]))
            for name, words in TRAININGS.items()
            if name in datasets
        ],
    }
    for name in _SECTIONS:
        if name in figures or (name == "table1" and name in tables):
            text = write(name, timing=timing, **variables, **families)
            shown = picture(figures[name], text.alt) if name in figures else None
            yield Section(name, text.title, shown, text.sentences, tables.get(name))


def _family(datasets: Datasets, prefix: str) -> list[Named]:
    """The datasets of this family, by the number in their names."""
    names = [name for name in datasets if name.startswith(prefix)]
    names.sort(key=lambda name: float(name.removeprefix(prefix)))
    return [Named(name, datasets[name]) for name in names]
