"""What results of `reconstruct` share: verdict, page, and the answer as text."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from psiprune.core.repr import html_table
from psiprune.reconstruction.checks import Verdict
from psiprune.reconstruction.records import Checks
from psiprune.reconstruction.summary import Summary
from psiprune.reconstruction.text import answer_text
from psiprune.reporting.page import Report, render, write_report


class Reported(ABC):
    """A result with checks and a page; `print(result)` shows the answer."""

    @property
    @abstractmethod
    def summary(self) -> Summary:
        """The answer in sentences."""

    @property
    @abstractmethod
    def checks(self) -> Checks:
        """Checks of the result."""

    @property
    @abstractmethod
    def folder(self) -> Path | None:
        """Folder of the run; None if nothing is on disk."""

    @abstractmethod
    def figures(self) -> dict[str, Figure]:
        """Draw the figures of the report by name."""

    @abstractmethod
    def page(self, figures: Mapping[str, Figure]) -> Report:
        """Build the report with figures that have been drawn already."""

    @property
    def verdict(self) -> Verdict:
        """ "trusted", "undecided" or "not trusted", see `psiprune.reconstruction.checks`."""
        return self.summary.verdict

    @property
    def report(self) -> Path | None:
        """Path of report.html; None if the run had no folder, see `save_report`."""
        return None if self.folder is None else self.folder / "report.html"

    def to_html(self) -> str:
        """Return the report as one HTML page that needs no other file."""
        return render(self.page(self.figures()))

    def save_report(self, path: str | os.PathLike[str]) -> Path:
        """Write the report as one HTML file, atomically.

        Raises:
            OSError: the file cannot be written.
        """
        return self.write_report(path, self.figures())

    def write_report(self, path: str | os.PathLike[str], figures: Mapping[str, Figure]) -> Path:
        """Write the report with figures that have been drawn already."""
        return write_report(path, self.page(figures))

    def __str__(self) -> str:
        """Return the answer as the command line prints it first."""
        return answer_text(self.summary)

    def _repr_html_(self) -> str:
        """Return the answer and the checks as tables, for notebooks."""
        answer = html_table((self.verdict, self.summary.reason.text), self.summary.rows)
        return f"{answer}\n{self.checks._repr_html_()}"

    def __repr__(self) -> str:
        """Return one line: the verdict and the number of weights."""
        where = "" if self.folder is None else f", {self.folder}"
        return f"<{type(self).__name__}: {self.verdict}, {self.summary.size.text}{where}>"
