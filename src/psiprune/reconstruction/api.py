"""`reconstruct`: run the pipeline, then make figures, checks and the report."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from psiprune.core.durations import parse_duration
from psiprune.core.exceptions import InputError
from psiprune.core.progress import no_progress_bars, visible
from psiprune.data.shots import Shots, ShotsLike, as_shots
from psiprune.metrics.custom import Observable
from psiprune.metrics.observable_text import Given, text_of
from psiprune.pruning.settings import SearchSettings
from psiprune.reconstruction.bases.api import bases_settings, reconstruct_bases
from psiprune.reconstruction.bases.estimate import begin_bases
from psiprune.reconstruction.bases.settings import BasesSettings
from psiprune.reconstruction.estimate import Begin, Estimate, begin_run
from psiprune.reconstruction.pipeline import run_reconstruct
from psiprune.reconstruction.result import Reconstruction, assemble
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.reporting.figures import save_figures
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.training.limits import DEFAULT_MAX_TIME, PYTHON
from psiprune.training.methods import MethodLike


def reconstruct(
    shots: ShotsLike,
    folder: str | os.PathLike[str] | None = None,
    *,
    observables: Mapping[str, Given] | None = None,
    settings: ReconstructSettings | BasesSettings | None = None,
    hidden: int | Sequence[int] | None = None,
    phase_hidden: int | None = None,
    starts: int | None = None,
    scale_free: int | Sequence[int] | None = None,
    links: int | Sequence[int] | None = None,
    learning_rates: float | Sequence[float] | None = None,
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
) -> Reconstruction | Any:  # a PhaseReconstruction, which the types of arguments do not tell
    """Reconstruct a state from measured shots with as few weights as possible.

    Chooses the number of hidden units and their links (and the learning rate of CD) by the
    likelihood, trains replicas of the chosen RBM on draws of it, prunes until the loss is
    significant, bisects to the smallest RBM, and tests it on shots that had no part in any of this.
    No reference state is needed.

    Shots in several bases give a state with phases, up to 16 sites: an RBM for the amplitudes and
    one for the phases, pruned together. Independent fits then show whether the bases determine the
    state.

    With a folder, call it again to resume an interrupted run; the folder holds every RBM,
    smallest.nc, reconstruct.nc, figures/ and report.html. Without one nothing stays on disk.

    Args:
        shots: Shots, bits [shot, site] or counts {"0101": 12}, in Z or in several bases.
        folder: of the run; if not given, nothing stays on disk.
        observables: further ones by name: functions bits [shot, site] -> one value per shot, or
            one for all shots; sums of Pauli strings as `Hamiltonian` or text, or ready-made names.
        settings: all settings at once, see ReconstructSettings and, for shots in several bases,
            `psiprune.reconstruction.bases.settings.BasesSettings`. The arguments below change
            single ones; None leaves a setting as it is.
        hidden: numbers of hidden units to choose from, each linked to all sites; by default 1, N/4,
            N/2 and N, without N/4 above 20 sites with positions.
        phase_hidden: hidden units of the phases, for shots in several bases; by default twice
            those of the amplitudes.
        starts: independent fits of each size, for shots in several bases; by default 4.
        scale_free: numbers of hidden units to choose from with the links of `mask_for_shots`, or of
            `scale_free_mask` where sites have positions; by default N/2 and N above 20 sites, N
            with positions, and none where `hidden` is given.
        links: numbers of links of each of N hidden units to choose from, to near and some far
            sites, above 20 sites beside 2 units linked to all; by default 5, 9, 13 and 21 where the
            shots have positions, and none where `hidden` is given.
        learning_rates: rates that cd and pcd choose from.
        held_out: share of the shots kept out of training.
        measure: what ends the pruning.
        significance: one-sided level of the test that ends the pruning.
        tolerance: loss of log-likelihood, in nats per shot, that does not matter; an RBM that may
            lose twice as much is not trusted.
        observable: further observables as text: "X0 X3", "NAME=TEXT", "FILE.py:function".
        draws: RBM samples behind each sampled observable.
        seed: of the split and of the candidates.
        seeds: number of unpruned RBMs: the chosen one, and replicas trained on draws of it.
        train: method of training each RBM, see `train`; by default "auto", the best for its size.
        fine_tune: method of training after each pruning step, see `prune`; by default "auto".
        prune: criterion and schedule of pruning.
        max_time: estimated time above which nothing is begun: seconds, or text such as "30m", "2h"
            or "1d". None begins whatever the estimate is, also if the memory does not suffice.
        progress: show what the run will take, and progress bars with the time left, in terminals
            and notebooks.

    Returns:
        The result; a `PhaseReconstruction` for shots in several bases.

    Raises:
        InputError: an argument breaks its rule, there are too few shots, a custom observable fails,
            the folder belongs to another run, or a file in it is damaged; or the run would take
            longer than `max_time` or more than the free memory, and the message says which sizes
            would not.
        DivergenceError: training diverged at every learning rate.
        OSError: the folder cannot be written; finished files remain.

    Examples:
        >>> import psiprune as pp
        >>> shots = pp.sample(pp.ground_state(pp.TFIM(sites=6)), shots=20_000)
        >>> result = pp.reconstruct(shots, seed=0)  # doctest: +SKIP
        >>> print(result)  # doctest: +SKIP
        >>> result.verdict, result.rbm, result.checks, result.levels  # doctest: +SKIP
        >>> result.plot()[0].figure.savefig("answer.png")  # doctest: +SKIP
    """
    data = as_shots(shots)
    custom: dict[str, Observable] = {}
    for name, each in (observables or {}).items():
        if isinstance(each, str | Hamiltonian):
            observable = (*(observable or ()), text_of(name, each))
        else:
            custom[name] = each
    given = {
        "hidden": hidden,
        "phase_hidden": phase_hidden,
        "starts": starts,
        "scale_free": scale_free,
        "links": links,
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
    limit = math.inf if max_time is None else parse_duration("max_time", max_time)

    def tell(line: str) -> None:
        if progress and visible() and line:
            print(f"reconstruct: {line}", file=sys.stderr)

    if len(data.bases) > 1:
        if isinstance(settings, ReconstructSettings):
            raise InputError(
                f"settings: must be BasesSettings, as {data.source} has shots in "
                f"{len(data.bases)} bases, found ReconstructSettings"
            )
        for_bases = bases_settings(data, changes, settings)
        begins = partial(begin_bases, limit=limit, announce=tell, spell=PYTHON)
        with nullcontext() if progress else no_progress_bars():
            run = None if folder is None else Path(folder)
            return reconstruct_bases(data, run, for_bases, custom, begin=begins)
    for name in ("phase_hidden", "starts"):
        if name in changes:
            raise InputError(
                f"{name}: is for shots in several bases, but all of {data.source} are in "
                f"{data.bases[0][0]}; omit it"
            )
    if isinstance(settings, BasesSettings):
        raise InputError(
            f"settings: must be ReconstructSettings, as all of {data.source} are in one basis, "
            "found BasesSettings"
        )
    chosen = settings if settings is not None else ReconstructSettings()
    if changes:
        values = {name: getattr(chosen, name) for name in chosen.model_fields_set}
        chosen = ReconstructSettings(**{**values, **changes})

    def announce(estimate: Estimate) -> None:
        for line in (estimate.line, estimate.warning, estimate.note):
            tell(line)

    begin = partial(begin_run, limit=limit, announce=announce, spell=PYTHON)
    with nullcontext() if progress else no_progress_bars():
        if folder is not None:
            return reconstruct_and_report(data, Path(folder), chosen, custom, {}, begin)
        with tempfile.TemporaryDirectory(prefix="psiprune-") as temporary:
            run = Path(temporary)
            dataset = run_reconstruct(chosen, data, run, custom, begin=begin)
            return assemble(run, dataset, None, {}, tuple(custom))


def reconstruct_and_report(
    data: Shots,
    run: Path,
    chosen: ReconstructSettings,
    observables: Mapping[str, Observable],
    reading: Mapping[str, Any],
    begin: Begin | None = None,
) -> Reconstruction:
    """Do the same in a folder, with figures and report; `reading`: how the file was read."""
    dataset = run_reconstruct(chosen, data, run, observables, begin=begin)
    result = assemble(run, dataset, run, reading, tuple(observables))
    figures = result.figures()
    save_figures(figures, run / "figures")
    result.write_report(run / "report.html", figures)
    return result
