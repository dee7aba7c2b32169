"""The command `identifiability`: whether shots in several bases determine a state."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from psiprune.cli.app import Flat, command_line, show
from psiprune.cli.options import Int, Json, ReadoutOptions, with_readout
from psiprune.training.phases import EPOCHS, STARTS


def identifiability_command(
    shots: Path,
    /,
    *,
    hidden: Int | None = None,
    phase_hidden: Int | None = None,
    starts: Int = STARTS,
    epochs: Int = EPOCHS,
    held_out: float = 0.2,
    seed: Int = 0,
    readout: Annotated[ReadoutOptions | None, Flat] = None,
    json: Json = False,
) -> None:
    """Find out whether shots in several bases determine a state, and which bases would help.

    Fits states with phases to part of the shots from independent starts, up to 16 sites. Nothing is
    written.

    Args:
        shots: file of shots in several bases
        hidden: hidden units of the RBM of the amplitudes (default: as many as sites)
        phase_hidden: hidden units of the RBM of the phases (default: twice those of the amplitudes)
        starts: independent fits, at least 2
        epochs: the most training steps of each
        held_out: fraction of the shots of each basis that the fits do not see
        seed: random seed of the initial weights and of the split
    """
    from psiprune.data.read_shots import read_shots
    from psiprune.reconstruction.command import readout_options
    from psiprune.reconstruction.identifiability import identifiability

    found = identifiability(
        with_readout(read_shots(shots), readout),
        hidden=hidden,
        phase_hidden=phase_hidden,
        starts=starts,
        epochs=epochs,
        held_out=held_out,
        seed=seed,
    )
    again = [] if readout is None else readout_options(readout.model_dump(exclude_defaults=True))
    numbers = {
        "determined": found.determined,
        "agreement": found.agreement,
        "fits": [{"nats_below": nats, "fidelity": fidelity} for nats, fidelity in found.fits],
        "infidelity": found.infidelity,
        "least_information": float(found.information.fractions[0]),
        "bases": [fit._asdict() for fit in found.held_out],
        "suggested": dict(found.suggested),
        "distinguishing": dict(found.distinguishing),
    }
    text, command = str(found), command_line("reconstruct", shots, *again)
    if not found.determined:
        bases = ", ".join(basis for basis, _ in found.distinguishing or found.suggested)
        text += f"\n\nmeasure in {bases} too, and repeat" if bases else ""
        command = command_line("identifiability", "MORE_SHOTS", *again)
    show(numbers, text, json, command)
