"""Commands about states: `ground-state` and `sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from psiprune.cli.app import Flat, Out, app, new_dataset, show
from psiprune.cli.options import Int, Json, ReadoutOptions, readout_of
from psiprune.core.exceptions import InputError
from psiprune.states.tfim import TFIM


@app.command(name="ground-state")
def ground_state_command(*, out: Out, model: Annotated[TFIM, Flat], json: Json = False) -> None:
    """Find the ground state of a transverse-field Ising chain by DMRG.

    Args:
        out: file to write the state to
    """
    from psiprune.states.dmrg import ground_state

    with new_dataset(out):
        state = ground_state(model)
        state.save(out)
    exact = state.model.ground_energy() if state.model else float("nan")
    numbers = {
        "file": str(out),
        "sites": state.sites,
        "energy": state.energy,
        "exact_energy": exact,
        "energy_variance": state.energy_variance,
        "truncation_error": state.truncation_error,
        "largest_bond": max(state.bond_dimensions),
    }
    show(
        numbers,
        f"{out}: {state.sites} sites, E = {state.energy:.10f} (exact {exact:.10f}), variance "
        f"{state.energy_variance:.1e}, bond dimension {numbers['largest_bond']}",
        json,
    )


@app.command(name="sample")
def sample_command(
    state: Path,
    *,
    out: Out,
    shots: Int = 100_000,
    seed: Int = 0,
    readout: Annotated[ReadoutOptions | None, Flat] = None,
    json: Json = False,
) -> None:
    """Measure a state in the Z basis: independent shots by perfect sampling.

    With --readout, the bits are misread at these rates, and the errors are saved with the shots.

    Args:
        state: file of the state
        out: file to write the shots to
        shots: number of shots
        seed: the same seed gives the same shots
    """
    from psiprune.data.formats.bits import MOST_BITS
    from psiprune.reporting.readout_tables import readout_numbers, readout_text
    from psiprune.states.mps import load_mps
    from psiprune.states.sampling import sample

    with new_dataset(out):
        measured = load_mps(state)
        if shots * measured.sites > MOST_BITS:
            raise InputError(
                f"--shots: {shots} shots of {measured.sites} sites are more than the limit of "
                f"{MOST_BITS} bits; ask for fewer"
            )
        error = readout_of(readout, measured.sites)
        drawn = sample(measured, shots, seed=seed)
        if error is not None:
            drawn = drawn.with_readout_error(error, seed)
        drawn.save(out)
    numbers: dict[str, Any] = {"file": str(out), "shots": len(drawn), "sites": drawn.sites}
    numbers["seed"] = seed
    text = f"{out}: {len(drawn)} shots of {drawn.sites} sites"
    if error is not None:
        numbers["readout"] = readout_numbers(error)
        text += f"; misread: {readout_text(error)}"
    show(numbers, text, json)
