"""The command `evaluate`: an RBM against a state or against shots."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from psiprune.cli.app import Flat, command_line, show
from psiprune.cli.options import Int, Json, Observables, ReadoutOptions, with_readout
from psiprune.cli.streams import tell
from psiprune.core.exceptions import InputError
from psiprune.metrics.settings import MeasureSettings


def evaluate_command(
    rbm: Path,
    reference: Path,
    /,
    *,
    seed: Int = 0,
    measure: Annotated[MeasureSettings | None, Flat] = None,
    observable: Observables = (),
    cut: Annotated[tuple[Int, ...], Parameter(show_default=False)] = (),
    readout: Annotated[ReadoutOptions | None, Flat] = None,
    json: Json = False,
) -> None:
    """Compare an RBM with a state or with shots.

    Against a state: KL divergence, fidelity, energy, |m|, C(d), entropies. Against shots, which
    should not be those it was trained on: log-likelihood, m, |m|, nearest-neighbour ZZ and C(d). A
    state with phases: fidelity, KL divergence in Z, energy and observables, or log-likelihood by
    basis.

    Args:
        rbm: file of the RBM
        reference: file of the state, or of shots: NetCDF written by psiprune, .npy, .npz, or text
            of 0 and 1
        seed: seed of the samples drawn from the RBM
        cut: numbers of sites on the left of a cut, each from 1 to N - 1: further observables are
            the entanglement entropies there, Renyi-2 and, up to 20 sites, von Neumann
    """
    from psiprune.io.netcdf import kind_of
    from psiprune.metrics.entropy_observable import entropies_at
    from psiprune.rbm.serialization import load_rbm

    if kind_of(rbm) == "phase_rbm":
        from psiprune.cli.phases import evaluate_phase_rbm

        others = {"--draws": measure, "--cut": cut or None}
        evaluate_phase_rbm(rbm, reference, observable, readout, others, json)
        return
    draws = (measure or MeasureSettings()).draws
    machine, kind = load_rbm(rbm), kind_of(reference)
    observable = (*observable, *entropies_at(cut, machine.visible))
    following = ""
    if machine.mask.all() and readout is None:  # pruning takes the readout errors too
        path = Path(rbm).with_name(f"{Path(rbm).stem}-pruned")
        following = command_line("prune", rbm, "SHOTS", "-o", path)
    if kind == "mps":
        if readout is not None:
            raise InputError("--readout: applies to shots, but the reference is a state; omit it")
        from psiprune.metrics.against_state import evaluate
        from psiprune.reporting.metric_tables import report_numbers, report_text, state_answer
        from psiprune.states.mps import load_mps

        with redirect_stdout(sys.stderr):  # functions of users may print
            report = evaluate(
                machine, load_mps(reference), draws=draws, seed=seed, observables=observable
            )
        text = f"{state_answer(report)}\n\n{report_text(report)}"
        show(report_numbers(report), text, json, following)
    elif kind is None or kind == "shots":  # None: a foreign file, an array or text or an error
        from psiprune.data.read_shots import read_shots
        from psiprune.metrics.against_shots import evaluate_on_shots
        from psiprune.metrics.readout import readout_sensitivity
        from psiprune.reporting import metric_tables

        shots = with_readout(read_shots(reference), readout)
        with redirect_stdout(sys.stderr):
            on_shots = evaluate_on_shots(
                machine, shots, draws=draws, seed=seed, observables=observable
            )
        numbers = metric_tables.shots_report_numbers(on_shots)
        text = metric_tables.shots_report_text(on_shots)
        text = f"{metric_tables.shots_answer(on_shots)}\n\n{text}"
        through = shots.readout is not None and not on_shots.readout_warning
        if through and all(each.rates_error is None for each in on_shots.state.values()):
            numbers["rates_note"] = metric_tables.no_rates_sentence()
            text += f"\n{metric_tables.no_rates_text()}"
        if shots.readout is None:
            assumed = readout_sensitivity(machine, data=shots, seed=seed)
            numbers |= metric_tables.assumed_numbers(assumed)
            text += f"\n{metric_tables.assumed_text(assumed)}"
        else:
            numbers["readout"] = metric_tables.modelled_sentence(shots.readout)
            text += f"\n{metric_tables.modelled_text(shots.readout)}"
        if on_shots.readout_warning:
            tell(f"psiprune: warning: {rbm}: {on_shots.readout_warning}")
        show(numbers, text, json, following)
    else:
        raise InputError(
            f"{reference}: expected a state or shots, found a file of kind '{kind}'; give the "
            "output of `psiprune ground-state` or `psiprune sample`, or your own shots"
        )
