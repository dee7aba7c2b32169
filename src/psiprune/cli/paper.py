"""`psiprune paper`: everything in the paper, in one folder with a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from psiprune.cli.app import Flat, app, chosen_settings, show
from psiprune.cli.experiments import Folder, folder_of
from psiprune.cli.logging import stages_logged
from psiprune.cli.options import with_method_options
from psiprune.core.exceptions import InputError
from psiprune.paper.settings import PaperSettings

#: What can be made alone.
Piece = Literal[
    "fig1",
    "fig2",
    "fig3",
    "fig4",
    "fig5",
    "fig6",
    "table1",
    "schedules",
    "broken",
    "forbidden",
    "sizes",
    "frontier",
    "timing",
]


@app.command(name="paper")
@with_method_options
def paper_command(
    *,
    out: Folder = None,
    quick: Annotated[bool, Parameter(negative=())] = False,
    only: tuple[Piece, ...] = (),
    settings: Annotated[PaperSettings | None, Flat] = None,
    config: Path | None = None,
    json: bool = False,
) -> None:
    """Run every experiment of the paper and judge its claims; a second start goes on.

    Writes datasets, figures (SVG and PNG), claims.json and report.html into one folder.

    Parameters
    ----------
    out
        folder of the run; runs/paper-HASH of its configuration if not given
    quick
        3 seeds, 20,000 shots, 10 and 18 qubits: minutes instead of hours; other options win
    only
        these figures or tables alone, with the experiments behind them; no claims, no report
    config
        TOML file of the settings, such as a run's config.toml; options given here win
    json
        print one JSON object on standard output
    """
    if quick and config is not None:
        raise InputError("quick: is a configuration of its own; leave out --config or --quick")
    chosen = chosen_settings(
        PaperSettings, settings, config, PaperSettings.quick() if quick else {}
    )
    folder = folder_of(out, "paper", chosen)
    from psiprune.paper.api import reproduce

    with stages_logged():
        outcome = reproduce(chosen, folder, only)
    show({"folder": str(folder), **outcome.numbers}, outcome.text, json)
