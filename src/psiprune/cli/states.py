"""Commands about states: `ground-state`, `quench`, `rotate` and `sample`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel

from psiprune.cli.app import Flat, Out, command_line, new_dataset, show
from psiprune.cli.models import chosen_model, model_table, with_model_options
from psiprune.cli.options import Int, Json, ReadoutOptions, readout_of
from psiprune.cli.streams import tell
from psiprune.core.exceptions import InputError
from psiprune.core.limits import PHASE_SITES
from psiprune.core.text import counted
from psiprune.states.hamiltonian import Hamiltonian

if TYPE_CHECKING:
    from psiprune.rbm.phase import PhaseRBM
    from psiprune.states.mps import MPS
    from psiprune.states.qmc import QMCSample

#: Sites that a line lists.
_LISTED = 8


@with_model_options
def ground_state_command(
    *,
    out: Out,
    model: Annotated[BaseModel | None, Flat] = None,
    max_bond: Int = 200,
    max_variance: float = 1e-10,
    json: Json = False,
) -> None:
    """Find the ground state of a spin model by DMRG, by default of a transverse-field Ising chain.

    Args:
        out: file to write the state to
        max_bond: largest bond dimension; lattices six sites wide and wider need more
        max_variance: largest energy variance that is accepted, relative to the energy squared
    """
    from psiprune.states.dmrg import ground_state
    from psiprune.states.one_sign import tested_on
    from psiprune.states.signs import likely_rotation

    chosen = chosen_model(model)
    with new_dataset(out):
        state = ground_state(chosen, max_bond, max_variance=max_variance)
        state.save(out)
    largest = max(state.bond_dimensions)
    numbers: dict[str, Any] = {"file": str(out), "sites": state.sites, "energy": state.energy}
    text = f"{out}: {counted(state.sites, 'site')}, E = {state.energy:.10f}"
    end = f"variance {state.energy_variance:.1e}, bond dimension {largest}"
    if isinstance(state.model, Hamiltonian):
        rotation = likely_rotation(state.model)
        numbers |= {"model": state.model.summary(), "rotated_sites": rotation.sites}
        text += f", {end}\nmodel: {numbers['model']['hamiltonian']}; "
        text += _rotation_text(rotation.sites)
        if rotation.doubt:
            numbers["sign_tested_on"] = tested_on(state.sites)
            text += f" (tested on {numbers['sign_tested_on']}, as terms contradict each other)"
    elif state.model is not None:
        numbers["exact_energy"] = state.model.ground_energy()
        text += f" (exact {numbers['exact_energy']:.10f}), {end}"
    numbers |= {
        "energy_variance": state.energy_variance,
        "truncation_error": state.truncation_error,
        "largest_bond": largest,
    }
    show(numbers, text, json, sample_of(out, state.sites, state.is_complex))


def _bases_for(sites: int) -> str:
    """Return bases that show phases: above 16 sites those that rotate few of them."""
    return f"random:{min(13, 3**sites)}" if sites <= PHASE_SITES else "nearest-pairs"


def sample_of(state: Path, sites: int, phases: bool) -> str:
    """Return the command that draws shots of a state, in bases that show its phases."""
    bases = ("--bases", _bases_for(sites)) if phases else ()
    return command_line("sample", state, *bases, "-o", state.with_name(f"{state.stem}-shots.nc"))


def _rotation_text(sites: tuple[int, ...]) -> str:
    if not sites:
        return "psi >= 0"
    listed = ", ".join(map(str, sites[:_LISTED])) + (", ..." if len(sites) > _LISTED else "")
    return f"psi >= 0 after a Z on {counted(len(sites), 'site')}: {listed}"


@with_model_options
def quench_command(
    *,
    out: Out,
    time: float,
    model: Annotated[BaseModel | None, Flat] = None,
    initial: str = "0",
    max_bond: Int = 128,
    step: float = 0.05,
    json: Json = False,
) -> None:
    """Evolve a product state in time, by default by a transverse-field Ising chain.

    The result has phases, so it is a test of reconstruction from several bases. Exact up to 16
    sites; above by the time-dependent variational principle for matrix product states.

    Args:
        out: file to write the state to
        time: time of the evolution, in inverse energies of the model
        initial: product state before: 0 or 1 (Z = +1, -1), + or - (X = +1, -1) for each site, or
            one of them for all
        max_bond: largest bond dimension, above 16 sites
        step: time step, above 16 sites
    """
    from psiprune.states.evolution import initial_energy, quench

    chosen = chosen_model(model)
    h = chosen if isinstance(chosen, Hamiltonian) else chosen.hamiltonian()
    with new_dataset(out):
        state = quench(chosen, time, initial=initial, max_bond=max_bond, step=step)
        state.save(out)
    before, after = initial_energy(h, initial), state.energy
    numbers: dict[str, Any] = {
        "file": str(out),
        "sites": state.sites,
        "time": time,
        "initial": initial,
        "model": h.summary(),
        "initial_energy": before,
        "energy": after,
        "truncation_error": state.truncation_error,
        "largest_bond": max(state.bond_dimensions),
    }
    show(
        numbers,
        f"{out}: {counted(state.sites, 'site')}, t = {time:g}, E = {after:.10f} "
        f"(before {before:.10f}), "
        f"bond dimension {numbers['largest_bond']}\nmodel: {numbers['model']['hamiltonian']}",
        json,
        sample_of(out, state.sites, state.is_complex),
    )


def rotate_command(
    state: Path,
    /,
    *,
    out: Out,
    twist: float | None = None,
    random: Int | None = None,
    json: Json = False,
) -> None:
    """Turn each site of a state by a rotation of its own, which gives amplitudes phases.

    Args:
        state: file of the state
        out: file to write the state to
        twist: turn site j about z by j times this angle in radians: exp(-i j twist Z_j / 2)
        random: seed of random rotations, uniform by Haar's measure
    """
    from psiprune.states.local_unitaries import randomly_turned, twisted
    from psiprune.states.mps import load_mps

    if (twist is None) == (random is None):
        found = "neither" if twist is None else "both"
        raise InputError(f"--twist, --random: give one of the two, found {found}")
    with new_dataset(out):
        before = load_mps(state)
        turned = (
            twisted(before, twist) if twist is not None else randomly_turned(before, random or 0)
        )
        turned.save(out)
    numbers = {"file": str(out), "sites": turned.sites, "origin": turned.origin}
    show(
        numbers,
        f"{out}: {counted(turned.sites, 'site')}, {turned.origin}",
        json,
        sample_of(out, turned.sites, turned.is_complex),
    )


@with_model_options
def sample_command(
    state: Path | None = None,
    /,
    *,
    out: Out,
    shots: Int = 100_000,
    seed: Int = 0,
    model: Annotated[BaseModel | None, Flat] = None,
    projection: float | None = None,
    bases: tuple[str, ...] = ("Z",),
    readout: Annotated[ReadoutOptions | None, Flat] = None,
    json: Json = False,
) -> None:
    """Measure a state in the Z basis or in several: independent shots by perfect sampling.

    The state of an RBM, with or without phases, is sampled too. With a model in place of a state,
    its ground state is sampled by projector quantum Monte Carlo, also where DMRG fails: Ising
    models in a transverse field and Rydberg arrays, on any lattice. With --readout, the bits are
    misread at these rates, and the errors are saved with the shots.

    Args:
        state: file of the state, or of an RBM
        out: file to write the shots to
        shots: number of shots, in all bases together
        seed: the same seed gives the same shots
        projection: terms of the Hamiltonian on either side of the shots in Monte Carlo, or with
            fields along Z the imaginary time (default: chosen by a test run)
        bases: random:K (Z on every site and K - 1 random bases), nearest-pairs or all-pairs (Z on
            every site, and X X and X Y on each pair), a basis such as ZZXY, a letter for all
            sites, or a file with a basis in each line; several are joined
    """
    from psiprune.data.formats.bits import MOST_BITS
    from psiprune.rbm.phase import PhaseRBM
    from psiprune.rbm.phase_shots import shots_of
    from psiprune.reporting.readout_tables import readout_numbers, readout_text
    from psiprune.states.qmc import quantum_monte_carlo
    from psiprune.states.sampling import sample

    if (state is None) == (not model_table(model)):
        raise InputError("state: give the file of a state, or a --model, and not both")
    if state is not None and projection is not None:
        raise InputError("--projection: applies to a --model; omit it, or the state")
    if state is None and bases != ("Z",):
        raise InputError(
            "--bases: Monte Carlo measures in Z alone; give the file of a state, as of ground-state"
        )
    found = None
    with new_dataset(out):
        measured = _hamiltonian(model) if state is None else _state_of(state)
        sites = measured.visible if isinstance(measured, PhaseRBM) else measured.sites
        if shots * sites > MOST_BITS:
            raise InputError(
                f"--shots: {shots} shots of {sites} sites are more than the limit of "
                f"{MOST_BITS} bits; ask for fewer"
            )
        error = readout_of(readout, sites)
        if isinstance(measured, Hamiltonian):
            found = quantum_monte_carlo(measured, shots, seed, projection=projection)
            drawn = found.shots
        elif isinstance(measured, PhaseRBM):
            drawn = shots_of(measured, shots, bases, seed=seed)
        else:
            drawn = sample(measured, shots, seed=seed, bases=bases)
        if error is not None:
            drawn = drawn.with_readout_error(error, seed)
        drawn.save(out)
    if drawn.basis == "Z" and getattr(measured, "is_complex", isinstance(measured, PhaseRBM)):
        tell(
            "psiprune: note: shots in Z alone do not show the phases of the state; "
            f"--bases {_bases_for(sites)} does"
        )
    numbers: dict[str, Any] = {"file": str(out), "shots": len(drawn), "sites": drawn.sites}
    numbers["seed"] = seed
    text = f"{out}: {counted(len(drawn), 'shot')} of {counted(drawn.sites, 'site')}"
    if drawn.basis != "Z":
        numbers["bases"] = {name: len(bits) for name, bits in drawn.by_basis().items()}
        text += f", measured in {drawn.basis}"
    if error is not None:
        numbers["readout"] = readout_numbers(error)
        text += f"; misread: {readout_text(error)}"
    if found is not None:
        numbers |= found.summary()
        text += f"\n{_qmc_text(found)}"
    rbm = out.with_name(f"{out.stem}-rbm.nc")
    show(numbers, text, json, command_line("train", out, "-o", rbm))


def _state_of(file: Path) -> MPS | PhaseRBM:
    """Read a state; that of an RBM without phases has one phase for all amplitudes."""
    from psiprune.io.netcdf import kind_of
    from psiprune.rbm.phase import load_phase_rbm
    from psiprune.rbm.phase_shots import without_phases
    from psiprune.rbm.serialization import load_rbm
    from psiprune.states.mps import load_mps

    kind = kind_of(file)
    if kind == "phase_rbm":
        return load_phase_rbm(file)
    return without_phases(load_rbm(file)) if kind == "rbm" else load_mps(file)


def _hamiltonian(model: BaseModel | None) -> Hamiltonian:
    chosen = chosen_model(model)
    return chosen if isinstance(chosen, Hamiltonian) else chosen.hamiltonian()


def _qmc_text(found: QMCSample) -> str:
    projection = f"imaginary time {found.projection:g} on either side; half of it changes"
    if isinstance(found.projection, int):
        projection = f"{found.projection} terms on either side; half of them change"
    return (
        f"E = {found.energy:.6g} +- {found.energy_error:.1g}; autocorrelation time "
        f"{found.autocorrelation_time:.1f} sweeps, a shot every {found.thin}\n"
        f"{projection} the order parameter by "
        f"{100 * found.halved:.2g} +- {100 * found.halved_error:.1g} %"
    )
