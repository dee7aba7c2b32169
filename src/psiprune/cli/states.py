"""Commands about states: `ground-state` and `sample`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel

from psiprune.cli.app import Flat, Out, new_dataset, show
from psiprune.cli.models import chosen_model, model_table, with_model_options
from psiprune.cli.options import Int, Json, ReadoutOptions, readout_of
from psiprune.core.exceptions import InputError
from psiprune.core.text import counted
from psiprune.states.hamiltonian import Hamiltonian

if TYPE_CHECKING:
    from psiprune.states.qmc import QMCSample

#: Sites that a line lists.
_LISTED = 8


@with_model_options
def ground_state_command(
    *,
    out: Out,
    model: Annotated[BaseModel | None, Flat] = None,
    max_bond: Int = 200,
    json: Json = False,
) -> None:
    """Find the ground state of a spin model by DMRG, by default of a transverse-field Ising chain.

    Args:
        out: file to write the state to
        max_bond: largest bond dimension; lattices six sites wide and wider need more
    """
    from psiprune.states.dmrg import ground_state
    from psiprune.states.signs import positive_rotation

    chosen = chosen_model(model)
    with new_dataset(out):
        state = ground_state(chosen, max_bond)
        state.save(out)
    largest = max(state.bond_dimensions)
    numbers: dict[str, Any] = {"file": str(out), "sites": state.sites, "energy": state.energy}
    text = f"{out}: {state.sites} sites, E = {state.energy:.10f}"
    end = f"variance {state.energy_variance:.1e}, bond dimension {largest}"
    if isinstance(state.model, Hamiltonian):
        rotated = positive_rotation(state.model).sites
        numbers |= {"model": state.model.summary(), "rotated_sites": rotated}
        text += f", {end}\nmodel: {numbers['model']['hamiltonian']}; {_rotation_text(rotated)}"
    elif state.model is not None:
        numbers["exact_energy"] = state.model.ground_energy()
        text += f" (exact {numbers['exact_energy']:.10f}), {end}"
    numbers |= {
        "energy_variance": state.energy_variance,
        "truncation_error": state.truncation_error,
        "largest_bond": largest,
    }
    show(numbers, text, json)


def _rotation_text(sites: tuple[int, ...]) -> str:
    if not sites:
        return "psi >= 0"
    listed = ", ".join(map(str, sites[:_LISTED])) + (", ..." if len(sites) > _LISTED else "")
    return f"psi >= 0 after a Z on {counted(len(sites), 'site')}: {listed}"


@with_model_options
def sample_command(
    state: Path | None = None,
    /,
    *,
    out: Out,
    shots: Int = 100_000,
    seed: Int = 0,
    model: Annotated[BaseModel | None, Flat] = None,
    projection: Int | None = None,
    readout: Annotated[ReadoutOptions | None, Flat] = None,
    json: Json = False,
) -> None:
    """Measure a state in the Z basis: independent shots by perfect sampling.

    With a model in place of a state, its ground state is sampled by projector quantum Monte Carlo,
    also where DMRG fails: Ising models in a transverse field, on any lattice. With --readout, the
    bits are misread at these rates, and the errors are saved with the shots.

    Args:
        state: file of the state
        out: file to write the shots to
        shots: number of shots
        seed: the same seed gives the same shots
        projection: terms of the Hamiltonian on either side of the shots in Monte Carlo (default:
            chosen by a test run)
    """
    from psiprune.data.formats.bits import MOST_BITS
    from psiprune.reporting.readout_tables import readout_numbers, readout_text
    from psiprune.states.mps import load_mps
    from psiprune.states.qmc import quantum_monte_carlo
    from psiprune.states.sampling import sample

    if (state is None) == (not model_table(model)):
        raise InputError("state: give the file of a state, or a --model, and not both")
    if state is not None and projection is not None:
        raise InputError("--projection: applies to a --model; omit it, or the state")
    found = None
    with new_dataset(out):
        measured = _hamiltonian(model) if state is None else load_mps(state)
        if shots * measured.sites > MOST_BITS:
            raise InputError(
                f"--shots: {shots} shots of {measured.sites} sites are more than the limit of "
                f"{MOST_BITS} bits; ask for fewer"
            )
        error = readout_of(readout, measured.sites)
        if isinstance(measured, Hamiltonian):
            found = quantum_monte_carlo(measured, shots, seed, projection=projection)
            drawn = found.shots
        else:
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
    if found is not None:
        numbers |= found.summary()
        text += f"\n{_qmc_text(found)}"
    show(numbers, text, json)


def _hamiltonian(model: BaseModel | None) -> Hamiltonian:
    chosen = chosen_model(model)
    return chosen if isinstance(chosen, Hamiltonian) else chosen.hamiltonian()


def _qmc_text(found: QMCSample) -> str:
    return (
        f"E = {found.energy:.6g} +- {found.energy_error:.1g}; autocorrelation time "
        f"{found.autocorrelation_time:.1f} sweeps, a shot every {found.thin}\n"
        f"{found.projection} terms on either side; half of them change <m^2> by "
        f"{100 * found.halved:.2g} +- {100 * found.halved_error:.1g} %"
    )
