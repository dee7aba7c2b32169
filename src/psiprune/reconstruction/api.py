"""`reconstruct`: run the pipeline, then make figures, checks and the report."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from psiprune.core.durations import parse_duration
from psiprune.core.progress import no_progress_bars, visible
from psiprune.data.shots import Shots, ShotsLike, as_shots
from psiprune.io.provenance import facts_of
from psiprune.metrics.custom import Observable
from psiprune.pruning.settings import SearchSettings
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import load_rbm
from psiprune.reconstruction.checks import Check, Verdict, make_checks, verdict_of
from psiprune.reconstruction.estimate import Begin, Estimate, begin_run, read_estimate
from psiprune.reconstruction.figures import plot_choice, plot_observables, plot_search
from psiprune.reconstruction.pipeline import run_reconstruct
from psiprune.reconstruction.report import reconstruct_report
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.reporting.figures import save_figures
from psiprune.reporting.page import Provenance, write_report
from psiprune.training.limits import DEFAULT_MAX_TIME, PYTHON
from psiprune.training.methods import MethodLike


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Result of `reconstruct`.

    Attributes:
        rbm: the smallest RBM whose loss is not significant on the shots.
        dataset: all numbers; docs/reconstruct.md lists the variables.
        checks: of the result; the verdict follows from them.
        report: path of report.html.
    """

    rbm: RBM
    dataset: xr.Dataset
    checks: tuple[Check, ...]
    report: Path

    @property
    def verdict(self) -> Verdict:
        """Return "trusted", "undecided" or "not trusted", see `psiprune.reconstruction.checks`."""
        return verdict_of(self.checks)

    def __repr__(self) -> str:
        """Return one line: weights and whether the result is trusted."""
        attrs = self.dataset.attrs
        return (
            f"<Reconstruction: {attrs['weights']} of {attrs['dense_weights']} weights, "
            f"{self.verdict}, {self.report}>"
        )


def reconstruct(
    shots: ShotsLike,
    folder: str | os.PathLike[str] | None = None,
    *,
    observables: Mapping[str, Observable] | None = None,
    settings: ReconstructSettings | None = None,
    hidden: Sequence[int] | None = None,
    learning_rates: Sequence[float] | None = None,
    held_out: float | None = None,
    measure: str | None = None,
    significance: float | None = None,
    tolerance: float | None = None,
    observable: Sequence[str] | None = None,
    draws: int | None = None,
    seed: int | None = None,
    seeds: int | None = None,
    train: MethodLike | None = None,
    fine_tune: MethodLike | None = None,
    prune: SearchSettings | Mapping[str, Any] | None = None,
    max_time: float | str | None = DEFAULT_MAX_TIME,
    progress: bool = True,
) -> Reconstruction:
    """Reconstruct a state from measured shots with as few weights as possible; write a report.

    Chooses the number of hidden units (and the learning rate of CD) by held-out likelihood, trains
    an ensemble, prunes until the loss is significant on held-out shots, bisects to the smallest
    RBM, and tests it on shots that had no part in any of this. No reference state is needed. Call
    it again to resume an interrupted run. The folder holds every RBM, smallest.nc, reconstruct.nc,
    figures/ and report.html.

    Args:
        shots: measured in the Z basis: Shots, bits [shot, site] or counts {"0101": 12}.
        folder: of the run; a new temporary one if not given, which stays.
        observables: custom ones by name, functions bits [shot, site] -> one value per shot, or one
            for all shots.
        settings: all settings at once, see ReconstructSettings. The arguments below change single
            ones; None leaves a setting as it is.
        hidden: numbers of hidden units to choose from.
        learning_rates: rates that cd and pcd choose from.
        held_out: share of the shots kept out of training.
        measure: what ends the pruning.
        significance: one-sided level of the test that ends the pruning.
        tolerance: loss of log-likelihood, in nats per shot, that does not matter; an RBM that may
            lose twice as much is not trusted.
        observable: custom observables in files, "FILE.py:function".
        draws: RBM samples behind each sampled observable.
        seed: of the split, and of the first RBM.
        seeds: number of RBMs of the dense ensemble.
        train: method of training each RBM, see `train`; by default "auto", the best for its size.
        fine_tune: method of training after each pruning step, see `prune`; by default "auto".
        prune: criterion and schedule of pruning.
        max_time: estimated time above which nothing is begun: seconds, or text such as "30m", "2h"
            or "1d". None begins whatever the estimate is, also if the memory does not suffice.
        progress: show what the run will take, and progress bars with the time left, in terminals
            and notebooks.

    Raises:
        InputError: an argument breaks its rule, there are too few shots, a custom observable fails,
            the folder belongs to another run, or a file in it is damaged; or the run would take
            longer than `max_time` or more than the free memory, and the message says which sizes
            would not.
        DivergenceError: training diverged at every learning rate.
        OSError: the folder cannot be written; finished files remain.

    Example:
        >>> import psiprune as pp
        >>> shots = pp.sample(pp.ground_state(pp.TFIM(sites=6)), shots=20_000)
        >>> result = pp.reconstruct(shots, "mine", train={"method": "exact"})  # doctest: +SKIP
        >>> result.rbm.number_of_weights, result.trusted  # doctest: +SKIP
    """
    data = as_shots(shots)
    given = {
        "hidden": hidden,
        "learning_rates": learning_rates,
        "held_out": held_out,
        "measure": measure,
        "significance": significance,
        "tolerance": tolerance,
        "observable": observable,
        "draws": draws,
        "seed": seed,
        "seeds": seeds,
        "train": train,
        "fine_tune": fine_tune,
        "prune": prune,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    chosen = settings if settings is not None else ReconstructSettings()
    if changes:
        values = {name: getattr(chosen, name) for name in chosen.model_fields_set}
        chosen = ReconstructSettings(**{**values, **changes})
    run = tempfile.mkdtemp(prefix="psiprune-") if folder is None else folder
    limit = math.inf if max_time is None else parse_duration("max_time", max_time)

    def announce(estimate: Estimate) -> None:
        if progress and visible():
            for line in filter(None, (estimate.line, estimate.warning)):
                print(f"reconstruct: {line}", file=sys.stderr)

    begin = partial(begin_run, limit=limit, announce=announce, spell=PYTHON)
    with nullcontext() if progress else no_progress_bars():
        return reconstruct_and_report(data, Path(run), chosen, observables or {}, {}, begin)


def reconstruct_and_report(
    data: Shots,
    run: Path,
    chosen: ReconstructSettings,
    observables: Mapping[str, Observable],
    reading: Mapping[str, Any],
    begin: Begin | None = None,
) -> Reconstruction:
    """Do the same with the options the file was read with, for the command on the page."""
    dataset = run_reconstruct(chosen, data, run, observables, begin=begin)
    figures = {
        "choice": plot_choice(dataset),
        "search": plot_search(dataset),
        "observables": plot_observables(dataset),
    }
    save_figures(figures, run / "figures")
    provenance = json.loads((run / "provenance.json").read_text())
    report = reconstruct_report(
        dataset,
        figures,
        Provenance(facts_of(provenance), (run / "config.toml").read_text()),
        _command(data.source, reading, chosen, observables),
        read_estimate(run),
    )
    page = write_report(run / "report.html", report)
    return Reconstruction(load_rbm(run / "smallest.nc"), dataset, make_checks(dataset), page)


def _command(
    source: str,
    reading: Mapping[str, Any],
    settings: ReconstructSettings,
    custom: Mapping[str, Observable],
) -> str:
    """Build the command that reproduces the run, or a Python call if the shots are no file."""
    given = settings.model_dump(mode="json", exclude_unset=True, exclude={"shots_sha256"})
    if custom or not Path(source).is_file():
        names = f"observables={{{', '.join(custom)}}}, " if custom else ""
        return f"psiprune.reconstruct(shots, FOLDER, {names}**{given!r})"
    words = ["psiprune", "reconstruct", source, *_options(reading), *_options(given)]
    words += ["--out", "FOLDER"]
    return " ".join(shlex.quote(word) for word in words)


def _options(given: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Write settings as options of the command line."""
    for name, value in given.items():
        option = f"--{prefix}{name.replace('_', '-')}"
        if isinstance(value, dict):
            yield from _options(value, f"{option[2:]}.")
        elif isinstance(value, list | tuple):
            yield from (option, *map(str, value))
        elif isinstance(value, bool):
            yield from (option,) * value
        elif value is not None:
            yield from (option, str(value))
