"""The command `reconstruct`: from measured shots to a small RBM and a report."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from psiprune.cli.app import Flat, chosen_format, chosen_settings, show
from psiprune.cli.experiments import folder_of
from psiprune.cli.options import (
    Int,
    Json,
    OutOption,
    ReadoutOptions,
    Yes,
    with_method_options,
    with_readout,
)
from psiprune.cli.streams import tell
from psiprune.core.durations import parse_duration
from psiprune.core.exceptions import InputError
from psiprune.data.formats.settings import ReadSettings
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.training.limits import DEFAULT_MAX_TIME

if TYPE_CHECKING:
    from psiprune.metrics.reference import Reference


@with_method_options
def reconstruct_command(
    shots: Path,
    /,
    *,
    out: OutOption = None,
    settings: Annotated[ReconstructSettings | None, Flat] = None,
    phase_hidden: Int | None = None,
    starts: Int | None = None,
    format: str | None = None,
    reading: Annotated[ReadSettings | None, Flat] = None,
    readout: Annotated[ReadoutOptions | None, Flat] = None,
    state: Path | None = None,
    config: Path | None = None,
    max_time: str = DEFAULT_MAX_TIME,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Find the smallest RBM that describes your shots; no reference state is needed.

    Chooses the number of hidden units, prunes until the loss is significant, tests the smallest RBM
    on shots used for nothing else, and writes report.html. Rerun the same command to resume.
    Shots in several bases give a state with phases, up to 16 sites: an RBM for the amplitudes and
    one for the phases, pruned together. Then --scale-free, --links, --learning-rates, --measure,
    --draws, --train and --fine-tune do not apply.

    Args:
        shots: file of shots, in any format that `psiprune import` reads
        out: folder of the run (default: runs/reconstruct-HASH, with the hash of its settings)
        phase_hidden: hidden units of the RBM of the phases, for shots in several bases (default:
            twice those of the amplitudes)
        starts: independent fits of each size, for shots in several bases (default: 4)
        format: format of the shots, as in psiprune import (default: detected)
        state: file of a state to compare the smallest RBM with, as psiprune evaluate does, with the
            observables in its frame; it does not affect the run
        config: TOML file of settings, such as a run's config.toml; options given here take
            precedence
        max_time: estimated time above which nothing is begun: seconds, or 30m, 2h, 1d
    """
    from psiprune.data.read_shots import read_shots
    from psiprune.reconstruction.api import reconstruct_and_report
    from psiprune.reconstruction.estimate import Estimate, begin_run
    from psiprune.reconstruction.inputs import resolve_settings
    from psiprune.reconstruction.text import reconstruct_numbers, reconstruct_text, steps_text
    from psiprune.training.limits import OPTIONS

    limit = math.inf if yes else parse_duration("--max-time", max_time)

    def announce(estimate: Estimate) -> None:
        tell(f"psiprune: note: {estimate.line}")
        if estimate.warning:
            tell(f"psiprune: warning: {estimate.warning}")
        if estimate.note:
            tell(f"psiprune: note: {estimate.note}")

    form, options = chosen_format(format, reading)
    data = with_readout(read_shots(shots, form, **options), readout)
    given = {} if readout is None else readout.model_dump(exclude_defaults=True)
    of_bases = {"phase_hidden": phase_hidden, "starts": starts}
    if len(data.bases) > 1:
        from psiprune.cli.phases import reconstruct_on_bases

        reconstruct_on_bases(
            data,
            out,
            settings,
            of_bases,
            config,
            {"format": form, **options, **given},
            state,
            limit,
            json,
        )
        return
    for name, value in of_bases.items():
        if value is not None:
            raise InputError(
                f"--{name.replace('_', '-')}: is for shots in several bases, but all of {shots} "
                f"are in {data.bases[0][0]}; omit it"
            )
    chosen = chosen_settings(ReconstructSettings, settings, config)
    folder = folder_of(out, "reconstruct", resolve_settings(chosen, data))
    reference = None if state is None else _reference(state, data.sites, chosen.observable)
    with redirect_stdout(sys.stderr):  # custom observables may print
        result = reconstruct_and_report(
            data,
            folder,
            chosen,
            {},
            {"format": form, **options, **given},
            partial(begin_run, limit=limit, announce=announce, spell=OPTIONS),
        )
    text = reconstruct_text(result.dataset, result.request)
    numbers: dict[str, Any] = {"folder": str(folder), "report": str(result.report)}
    numbers["estimate"] = result.estimate
    if reference is not None:
        from psiprune.metrics.against_state import evaluate
        from psiprune.reporting.metric_tables import report_numbers, report_text

        measured = evaluate(result.rbm, reference, draws=chosen.draws, seed=chosen.seed)
        numbers["against_state"] = report_numbers(measured)
        frame = ", observables in the frame of the state" if measured.custom else ""
        text += f"\n\nsmallest RBM against {state}{frame}:\n{report_text(measured)}"
    text += f"\n\n{folder}: report.html, smallest.nc"
    then = steps_text(result.summary)
    show({**numbers, **reconstruct_numbers(result.dataset, result.request)}, text, json, then)


def _reference(state: Path, sites: int, texts: Sequence[str]) -> Reference:
    """Return a state as a reference; raise InputError, before any training, if it does not fit.

    Its observables are those of `texts` that no file of code gives.
    """
    from psiprune.metrics.observable_text import is_code, read_observables
    from psiprune.metrics.reference import reference_of
    from psiprune.states.hamiltonian import positions_of
    from psiprune.states.mps import load_mps

    loaded = load_mps(state)
    if loaded.sites != sites:
        raise InputError(f"{state}: has {loaded.sites} sites, but the shots have {sites}")
    given, places = [text for text in texts if not is_code(text)], positions_of(loaded.model)
    return reference_of(loaded, read_observables(given, sites, positions=places))
