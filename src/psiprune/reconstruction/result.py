"""`Reconstruction`: the result of `reconstruct`, in memory or read back from its folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import kind_of, read_dataset
from psiprune.io.provenance import facts_of
from psiprune.io.toml import read_toml
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import load_rbm
from psiprune.reconstruction.bases.files import KIND
from psiprune.reconstruction.bases.result import PhaseReconstruction, load_bases
from psiprune.reconstruction.checks import make_checks
from psiprune.reconstruction.command import Request, as_asked, reading_to_repeat
from psiprune.reconstruction.dataset import levels_of
from psiprune.reconstruction.estimate import read_estimate
from psiprune.reconstruction.figures import draw_figures, plot_answer
from psiprune.reconstruction.records import Checks, Levels, SearchLevel
from psiprune.reconstruction.report import reconstruct_report
from psiprune.reconstruction.reported import Reported
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.reconstruction.summary import FILE, Summary, summarize
from psiprune.reporting.page import Provenance, Report
from psiprune.reporting.style import AxesArray


@dataclass(frozen=True, eq=False, repr=False)
class Reconstruction(Reported):
    """Result of `reconstruct`; `print(result)` shows the answer.

    Attributes:
        rbm: the smallest RBM whose loss is within what the search allows.
        dataset: all numbers; docs/reconstruct.md lists the variables.
        levels: every RBM of the search, with its loss and whether that was accepted; a sequence
            that prints as a table, with `to_pandas()`.
        request: what was asked for; `request.folder` is None if nothing is on disk.
        provenance: versions, machine and settings.
        estimate: what the run was expected to take; None if it was not estimated.
    """

    rbm: RBM
    dataset: xr.Dataset
    levels: Levels
    request: Request
    provenance: Provenance
    estimate: Mapping[str, Any] | None

    @cached_property
    def checks(self) -> Checks:
        """Checks of the result; a sequence that prints as a table, with `to_pandas()`."""
        return Checks(make_checks(self.dataset))

    @cached_property
    def summary(self) -> Summary:
        """The answer in sentences."""
        return summarize(self.dataset, self.request)

    @property
    def folder(self) -> Path | None:
        """Folder of the run; None if nothing is on disk."""
        return self.request.folder

    def figures(self) -> dict[str, Figure]:
        """Draw the figures of the report: observables, search, graph, choice."""
        return draw_figures(self.dataset, self.rbm)

    def plot(self, *, ax: ArrayLike | None = None) -> AxesArray:
        """Draw the answer: shots against RBM, weights against loss, the graph.

        Args:
            ax: three axes to draw on; by default of a new figure in psiprune's style, with the
                answer as its title.

        Returns:
            The three axes; `axes[0].figure.savefig("answer.png")` writes the figure.

        Raises:
            InputError: `ax` is not three axes.
        """
        summary = self.summary
        title = f"{summary.reason.text}\n{summary.size.text}\nloss {summary.loss.text}"
        return plot_answer(self.dataset, self.rbm, title, ax=ax)

    def page(self, figures: Mapping[str, Figure]) -> Report:
        """Build the report with figures that have been drawn already."""
        command = self.request.command()
        return reconstruct_report(self.dataset, self.summary, figures, self.provenance, command)


def load_reconstruction(
    folder: str | os.PathLike[str],
) -> Reconstruction | PhaseReconstruction:
    """Read a finished run of `reconstruct` from its folder.

    Returns:
        The result; a `PhaseReconstruction` of shots in several bases.

    Raises:
        InputError: the folder holds no finished run, one made by another version, or a file in it
            is missing or damaged.
    """
    run = Path(folder)
    if not (run / FILE).exists():
        raise InputError(
            f"{run}: holds no finished reconstruction (no {FILE}); give the folder of a run of "
            "psiprune reconstruct, or rerun its command to finish it"
        )
    if kind_of(run / FILE) == KIND:
        return load_bases(run)
    dataset = read_dataset(run / FILE, "reconstruct")
    try:
        make_checks(dataset)
        found = assemble(run, dataset, run, {}, ())
        summarize(dataset, found.request)  # needs every number of the answer
    except KeyError:
        raise InputError(
            f"{run / FILE}: lacks numbers that this version of psiprune needs, so another version "
            "made it; rerun psiprune reconstruct with another folder"
        ) from None
    return found


def assemble(
    run: Path,
    dataset: xr.Dataset,
    folder: Path | None,
    reading: Mapping[str, Any],
    functions: tuple[str, ...],
) -> Reconstruction:
    """Read the files of a run whose dataset is known.

    Args:
        run: folder of the files.
        dataset: reconstruct.nc.
        folder: to name in the result; None if the files are temporary.
        reading: see `Request`; if empty, what the files need.
        functions: see `Request`.
    """
    provenance = json.loads((run / "provenance.json").read_text())
    request = request_of(run, dataset)
    levels = [
        SearchLevel(*level, rbm=load_rbm(run / "path" / f"{level[0]}.nc"))
        for level in levels_of(dataset)
    ]
    return Reconstruction(
        load_rbm(run / "smallest.nc"),
        dataset,
        Levels(levels),
        request._replace(folder=folder, reading=reading or request.reading, functions=functions),
        Provenance(facts_of(provenance), (run / "config.toml").read_text()),
        read_estimate(run),
    )


def request_of(run: Path, dataset: xr.Dataset) -> Request:
    """Return what a run was asked for, from its config.toml."""
    attrs = dataset.attrs
    settings = as_asked(ReconstructSettings(**read_toml(run / "config.toml")), int(attrs["sites"]))
    return Request(
        settings,
        int(attrs["sites"]),
        int(attrs["shots"]),
        attrs["source"],
        reading=reading_to_repeat(attrs["source"], settings.readout_sha256),
        folder=run,
    )
