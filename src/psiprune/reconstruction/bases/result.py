"""`PhaseReconstruction`: the result of `reconstruct` on shots in several bases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import read_dataset
from psiprune.io.provenance import facts_of
from psiprune.io.toml import read_toml
from psiprune.rbm.phase import PhaseRBM, load_phase_rbm
from psiprune.reconstruction.bases.answer import summarize_bases
from psiprune.reconstruction.bases.figures import draw_figures, plot_answer
from psiprune.reconstruction.bases.files import KIND
from psiprune.reconstruction.bases.report import bases_report
from psiprune.reconstruction.bases.request import BasesRequest
from psiprune.reconstruction.bases.settings import BasesSettings
from psiprune.reconstruction.command import reading_to_repeat
from psiprune.reconstruction.records import Checks
from psiprune.reconstruction.reported import Reported
from psiprune.reconstruction.summary import FILE, Summary
from psiprune.reporting.page import Provenance, Report
from psiprune.reporting.style import AxesArray


@dataclass(frozen=True, eq=False, repr=False)
class PhaseReconstruction(Reported):
    """Result of `reconstruct` on shots in several bases; `print(result)` shows the answer.

    Attributes:
        rbm: the smallest state whose loss is within what the search allows.
        unpruned: the state that was pruned.
        dataset: all numbers; docs/howto/phases.md lists the variables.
        request: what was asked for; `request.folder` is None if nothing is on disk.
        provenance: versions, machine and settings.
    """

    rbm: PhaseRBM
    unpruned: PhaseRBM
    dataset: xr.Dataset
    request: BasesRequest
    provenance: Provenance

    @cached_property
    def summary(self) -> Summary:
        """The answer in sentences."""
        return summarize_bases(self.dataset, self.request)

    @property
    def checks(self) -> Checks:
        """Checks of the result; a sequence that prints as a table, with `to_pandas()`."""
        return Checks(self.summary.checks)

    @property
    def folder(self) -> Path | None:
        """Folder of the run; None if nothing is on disk."""
        return self.request.folder

    def figures(self) -> dict[str, Figure]:
        """Draw the figures of the report: bases, search, graph, entropy."""
        return draw_figures(self.dataset, self.rbm)

    def plot(self, *, ax: ArrayLike | None = None) -> AxesArray:
        """Draw the answer: shots against the state, weights against loss, the graphs.

        Args:
            ax: four axes to draw on; by default of a new figure in psiprune's style, with the
                answer as its title.

        Returns:
            The four axes; `axes[0].figure.savefig("answer.png")` writes the figure.

        Raises:
            InputError: `ax` is not four axes.
        """
        summary = self.summary
        title = f"{summary.reason.text}\n{summary.size.text}\nloss {summary.loss.text}"
        return plot_answer(self.dataset, self.rbm, title, ax=ax)

    def page(self, figures: Mapping[str, Figure]) -> Report:
        """Build the report with figures that have been drawn already."""
        command = self.request.command()
        return bases_report(self.dataset, self.summary, figures, self.provenance, command)


def assemble_bases(
    run: Path, dataset: xr.Dataset, folder: Path | None, reading: Mapping[str, Any]
) -> PhaseReconstruction:
    """Read the files of a run whose dataset is known.

    Args:
        run: folder of the files.
        dataset: reconstruct.nc.
        folder: to name in the result; None if the files are temporary.
        reading: options that the file of the shots was read with; if empty, what it needs.
    """
    provenance = json.loads((run / "provenance.json").read_text())
    request = bases_request_of(run, dataset)
    return PhaseReconstruction(
        load_phase_rbm(run / "smallest.nc"),
        load_phase_rbm(run / "path" / "level-00.nc"),
        dataset,
        request._replace(folder=folder, reading=reading or request.reading),
        Provenance(facts_of(provenance), (run / "config.toml").read_text()),
    )


def bases_request_of(run: Path, dataset: xr.Dataset) -> BasesRequest:
    """Return what a run was asked for, from its config.toml."""
    attrs = dataset.attrs
    settings = BasesSettings(**read_toml(run / "config.toml"))
    sizes = int(attrs["sites"]), int(attrs["shots"])
    reading = reading_to_repeat(attrs["source"], settings.readout_sha256)
    return BasesRequest(settings, *sizes, attrs["source"], reading, run)


def load_bases(run: Path) -> PhaseReconstruction:
    """Read a finished run from its folder.

    Raises:
        InputError: a file is missing or damaged, or was made by another version.
    """
    dataset = read_dataset(run / FILE, KIND)
    try:
        found = assemble_bases(run, dataset, run, {})
        summarize_bases(dataset, found.request)  # needs every number of the answer
    except KeyError:
        raise InputError(
            f"{run / FILE}: lacks numbers that this version of psiprune needs, so another version "
            "made it; rerun psiprune reconstruct with another folder"
        ) from None
    return found
