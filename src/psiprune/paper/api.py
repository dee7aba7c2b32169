"""Reproduce and judge the paper: experiments, figures, claims and report in one folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from psiprune.core.exceptions import InputError
from psiprune.experiments.answers import ANSWERED, answer_text
from psiprune.experiments.figures.ablation import plot_broken, plot_forbidden
from psiprune.experiments.figures.frontier import plot_frontier
from psiprune.experiments.figures.sparse import plot_sparse
from psiprune.experiments.figures.study import study_figure
from psiprune.io.provenance import facts_of, other_stages
from psiprune.io.run import open_run
from psiprune.paper.banner import banner
from psiprune.paper.figures.against_kl import plot_measures_against_kl
from psiprune.paper.figures.decay import plot_decay
from psiprune.paper.figures.graph import plot_graph
from psiprune.paper.figures.order import plot_order
from psiprune.paper.figures.robustness import plot_robustness
from psiprune.paper.figures.schedules import plot_schedules
from psiprune.paper.figures.sizes import plot_sizes
from psiprune.paper.figures.timing import plot_timing
from psiprune.paper.judging import TABLE, Outcome, judge_datasets, write_claims
from psiprune.paper.report import paper_report
from psiprune.paper.settings import PaperSettings
from psiprune.paper.stages import PARTS, TIMES, Paper, read_times, run_paper
from psiprune.paper.tables import schedule_numbers, schedule_text
from psiprune.reporting.figures import save_figures
from psiprune.reporting.page import Provenance, write_report


class Drawing:
    """A figure: the function that draws it, and the parts of a run that this takes, in order."""

    def __init__(self, plot: Callable[..., Figure], *parts: str) -> None:
        """Name the parts as `PARTS` does."""
        self.plot, self.parts = plot, parts

    def draw(self, paper: Paper) -> Figure:
        """Draw the figure of a run."""
        return self.plot(*(paper.part(name) for name in self.parts))


#: All figures by file stem.
DRAWINGS: Mapping[str, Drawing] = {
    "fig1": Drawing(plot_graph, "graph"),
    "fig2": Drawing(study_figure, "study"),
    "fig3": Drawing(plot_order, "study", "symmetry"),
    "fig4": Drawing(plot_decay, "sizes", "decay"),
    "fig5": Drawing(plot_sparse, "sparse"),
    "fig6": Drawing(plot_measures_against_kl, "study", "ranks"),
    "schedules": Drawing(plot_schedules, "study", "schedules"),
    "trainings": Drawing(plot_robustness, "study", "robust"),
    "broken": Drawing(plot_broken, "ablation"),
    "forbidden": Drawing(plot_forbidden, "ablation"),
    "sizes": Drawing(plot_sizes, "sizes"),
    "frontier": Drawing(plot_frontier, "frontier"),
    "timing": Drawing(plot_timing, "timing"),
}


def reproduce(
    settings: PaperSettings, folder: str | os.PathLike[str], only: Sequence[str] = ()
) -> Outcome:
    """Run the paper's experiments, draw its figures, judge its claims and write the report.

    In addition to the stages of `run_paper` the folder then holds figures/NAME.svg and .png,
    claims.json, claims.md and report.html.

    Args:
        settings: sizes, seeds, training.
        folder: of the run; call again with the same folder to resume.
        only: names of `DRAWINGS`, or "table1": these alone, with the experiments that they need.
            By default everything, with claims and report.

    Raises:
        InputError: there is no such figure, the folder belongs to another run, or a file in it is
            damaged.
        OSError: the folder cannot be written; what was finished stays.
    """
    for name in only:
        if name not in DRAWINGS and name != TABLE:
            known = ", ".join([*DRAWINGS, TABLE])
            raise InputError(f"only: must be among {known}, found {name!r}")
    wanted = list(dict.fromkeys(only)) or list(DRAWINGS)
    needs = [DRAWINGS[name].parts if name != TABLE else ("study",) for name in wanted]
    with open_run(folder, settings) as run:  # until the last file is written
        paper = run_paper(settings, run, {*chain(*needs)} if only else PARTS)
        figures = {name: DRAWINGS[name].draw(paper) for name in wanted if name != TABLE}
        drawn = [file.relative_to(run) for file in save_figures(figures, run / "figures")]
        if only:
            return _alone(run, paper, wanted, drawn)
        return _judged(run, paper, figures)


def _alone(run: Path, paper: Paper, wanted: Sequence[str], drawn: Sequence[Path]) -> Outcome:
    files = f"{run}: {', '.join(map(str, drawn))}" if drawn else ""
    numbers: dict[str, Any] = {"figures": [str(file) for file in drawn]}
    if TABLE in wanted:
        numbers[TABLE] = schedule_numbers(paper.datasets["study"])
        return Outcome(schedule_text(paper.datasets["study"]), numbers, files)
    parts = dict.fromkeys(chain(*(DRAWINGS[name].parts for name in wanted)))
    found = [
        f"{name}:\n{answer_text(name, paper.datasets[name])}"
        for name in parts
        if name in ANSWERED and name in paper.datasets
    ]
    return Outcome("\n".join(found) or f"drawn: {', '.join(wanted)}", numbers, files)


def _stages(run: Path) -> dict[str, dict[str, Any]]:
    """The provenance of each stage in the folder of a run."""
    stages = {}
    for file in sorted(run.glob("*/provenance.json")):
        try:
            stages[file.parent.name] = dict(json.loads(file.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{file}: cannot be read: {error!r}; delete it") from None
    return stages


def _judged(run: Path, paper: Paper, figures: Mapping[str, Figure]) -> Outcome:
    """Write claims and report of a complete run."""
    judgement = judge_datasets(paper.datasets)
    write_claims(run, paper.settings, judgement)
    provenance = json.loads((run / "provenance.json").read_text())
    source = Provenance(
        facts_of(provenance),
        (run / "config.toml").read_text(),
        other_stages(provenance, _stages(run)),
    )
    report = paper_report(
        paper.datasets,
        judgement,
        figures,
        paper.timing,
        source,
        banner(paper.settings, read_times(run / TIMES), provenance),
        "psiprune paper --config config.toml --out FOLDER",
    )
    page = write_report(run / "report.html", report)
    place = f"{page}; in the same folder: claims.json, figures/ and the datasets"
    return Outcome(judgement.text, judgement.numbers, place)
