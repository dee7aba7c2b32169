"""The command `paper`, which reproduces the paper in one folder with a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from psiprune.cli.app import Flat, chosen_settings, command_line, show
from psiprune.cli.experiments import folder_of
from psiprune.cli.logging import stages_logged
from psiprune.cli.options import Json, OutOption, with_method_options
from psiprune.core.exceptions import InputError
from psiprune.paper.settings import PaperSettings

#: Figures and tables that `--only` selects.
Figure = Literal["fig1", "fig2", "fig3", "fig4", "fig5", "fig6"]
Other = Literal[
    "table1", "schedules", "trainings", "broken", "forbidden", "sizes", "frontier", "timing"
]
Piece = Literal[Figure, Other]
#: Options that `--judge` excludes.
_OF_A_RUN = {
    "out": "--out",
    "quick": "--quick",
    "only": "--only",
    "config": "--config",
    "settings": "settings of a run",
}


@with_method_options
def paper_command(
    *,
    out: OutOption = None,
    quick: bool = False,
    only: tuple[Piece, ...] = (),
    judge: Path | None = None,
    settings: Annotated[PaperSettings | None, Flat] = None,
    config: Path | None = None,
    json: Json = False,
) -> None:
    """Run every experiment of the paper and test its claims.

    Writes datasets, figures (SVG and PNG), claims.json and report.html into one folder. Rerun the
    same command to resume.

    Args:
        out: folder of the run (default: runs/paper-HASH, with the hash of its settings)
        quick: 3 seeds, 20,000 shots, 10 and 18 qubits: minutes instead of hours; other options take
            precedence
        only: make only these figures or tables, without claims and report; runs only the
            experiments needed
        judge: folder of a finished run or of a copy such as docs/paper: judge the claims again by
            its datasets, and compare with its claims.json; runs and writes nothing
        config: TOML file of settings, such as a run's config.toml; options given here take
            precedence
    """
    if judge is not None:
        _judge(judge, json, out=out, quick=quick, only=only, settings=settings, config=config)
        return
    if quick and config is not None:
        raise InputError("--quick: cannot be combined with --config; omit one of them")
    chosen = chosen_settings(
        PaperSettings, settings, config, PaperSettings.quick() if quick else {}
    )
    folder = folder_of(out, "paper", chosen)
    from psiprune.experiments.ensemble import methods_of
    from psiprune.paper.api import reproduce

    with stages_logged():
        outcome = reproduce(chosen, folder, only)
    methods = methods_of(chosen)
    numbers = {
        "folder": str(folder),
        **outcome.numbers,
        "methods": {field: method.model_dump() for field, method in methods.items()},
        "training_warnings": [],
    }
    lines = [f"{field}: {method}" for field, method in methods.items()]
    lines += [outcome.written] if outcome.written else []
    show(numbers, "\n".join([outcome.text, "", *lines]), json, command_line("info", folder))


def _judge(folder: Path, json: bool, **others: object) -> None:
    """Judge a finished run; refuse options of a run."""
    for name, value in others.items():
        if value:
            raise InputError(
                f"--judge: cannot be combined with {_OF_A_RUN[name]}; omit one of them"
            )
    from psiprune.paper.judging import judge_folder

    outcome = judge_folder(folder)
    show({"folder": str(folder), **outcome.numbers}, outcome.text, json)
