"""How `--help` looks: the example first, then options in groups, the most used ones before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

#: Groups of options in this order, with patterns of their names; the first that matches counts.
GROUPS = {
    "Reading files": (
        *("--format", "--qubits", "--key", "--outcomes", "--bases", "--spin", "--on-missing"),
        *("--copies", "--order", "--skip", "--rows", "--modulus"),
    ),
    "Readout errors": ("--readout", "--readout-qubits"),
    "Hamiltonian": (
        *("--model", "--sites", "--boundary", "--coupling*", "--field*", "--longitudinal-field"),
        *("--alpha", "--delta", "--staggered-field", "--spacing", "--positions", "--omega"),
        *("--c6", "--length", "--width"),
    ),
    "Model": (
        *("--hidden", "--mask", "--initial", "--scale-free", "--kinds", "--widths"),
        *("--dense-widths", "--bonds"),
        *("--weights-per-site", "--weights", "--near", "--ratio", "--exponent"),
    ),
    "Pruning": (
        *("--criterion", "--fraction", "--first-fraction", "--density", "--levels"),
        *("--compensate", "--rewind", "--rewind-epoch", "--rounds", "--share", "--prune*"),
        *("--rewire.*", "--rewired", "--first-fractions"),
    ),
    "Search for the smallest model": (
        *("--until*", "--limit", "--others", "--no-bisect", "--measure", "--significance"),
        *("--tolerance", "--held-out"),
    ),
    "Metrics": ("--observable", "--state", "--history*", "--draws", "--measure.*", "--cut"),
    "Training": (
        *("--method", "--epochs", "--symmetry", "--weight-decay", "--chains", "--steps"),
        *("--learning-rate*", "--batch-size", "--momentum", "--folds", "--keep-epochs"),
        *("--train.*",),
    ),
    "Training of dense RBMs": ("--dense-train.*",),
    "Training as in the paper": ("--paper-train.*",),
    "Fine-tuning": ("--fine-tune.*", "--no-fine-tune"),
    "Fine-tuning as in the paper": ("--paper-fine-tune.*",),
    "Run": (
        *("--out", "--seed", "--seeds", "--shots", "--config", "--max-time", "--yes", "--json"),
        *("--*-sha256",),
    ),
}
_REST = "More options"


def group_of(option: str) -> str:
    """Return the title of the group of an option such as "--prune.levels"."""
    for title, patterns in GROUPS.items():
        if any(fnmatch(option, pattern) for pattern in patterns):
            return title
    return _REST


@dataclass(frozen=True)
class Help:
    """Formats the help of a command, as cyclopts asks for it part by part.

    Attributes:
        example: command lines shown under the description.
        common: options to list first, in this order.
        optional: arguments that may be left out, which cyclopts calls ARGS.
    """

    example: str = ""
    common: tuple[str, ...] = ()
    optional: str = ""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print a panel; one of options is split by groups."""
        from cyclopts.help.formatters import DefaultFormatter

        for part in self.parts(panel):
            DefaultFormatter()(console, options, part)

    def parts(self, panel: HelpPanel) -> Iterator[HelpPanel]:
        """Yield the panels to show in place of one."""
        entries = [_tidy(entry) for entry in panel.entries]
        if panel.title != "Parameters" or not self.common:
            title = "Options" if panel.title == "Parameters" else panel.title
            yield panel.copy(title=title, entries=entries)
            return
        named = {entry.positive_names[0]: entry for entry in entries}
        first = [named.pop(name) for name in self.common]
        yield panel.copy(title="Most used options", entries=first)
        groups: dict[str, list[HelpEntry]] = {title: [] for title in (*GROUPS, _REST)}
        for name, entry in named.items():
            groups[group_of(name)].append(entry)
        for title, members in groups.items():
            if members:
                yield panel.copy(title=title, entries=members)

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print the line of usage."""
        from cyclopts.help.formatters import DefaultFormatter

        line = re.sub(r"\[ARGS(\.\.\.)?\]", self.optional, str(usage))
        DefaultFormatter().render_usage(console, options, line)

    def render_description(self, console: Console, options: ConsoleOptions, text: Any) -> None:
        """Print the description with its lines joined, then the example."""
        from rich.text import Text

        if text:
            console.print(Text(f"{joined(_plain(text))}\n"))
        if self.example:
            lines = self.example.replace("\n", "\n  ")
            console.print(Text(f"Example:\n  {lines}\n"), soft_wrap=True)


def joined(text: str) -> str:
    """Return a docstring with each paragraph on one line; indented lines stay as they are."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", text.strip())


def _plain(text: Any) -> str:
    """Return what cyclopts has wrapped for printing in the format "plaintext"."""
    return str(text.primary_renderable.plain)


def _tidy(entry: HelpEntry) -> HelpEntry:
    """Return an entry with its lines joined, without a default that says only "not given"."""
    from cyclopts.help.inline_text import InlineText

    text = entry.description
    if isinstance(text, InlineText):
        text = InlineText.from_format(joined(_plain(text)), "plaintext")
    default = None if entry.default in ("False", "()") else entry.default
    return entry.copy(description=text, default=default)
