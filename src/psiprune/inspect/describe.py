"""`describe`: what a file or a run folder contains, with warnings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.text import counted
from psiprune.core.validation import as_count
from psiprune.data.basis_diagnostics import describe_bases
from psiprune.data.diagnostics import DataWarning, describe_shots
from psiprune.data.read_shots import read_shots
from psiprune.data.shots import Shots, ShotsLike
from psiprune.inspect.descriptions import (
    DatasetDescription,
    Description,
    Float64,
    RBMDescription,
    RunDescription,
    StateDescription,
    VariableDescription,
)
from psiprune.io.bytes import cached_pipes
from psiprune.io.netcdf import kind_of, read_arrays, read_dataset, verify
from psiprune.io.run import in_use
from psiprune.rbm.clusters import cluster_p_values
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_stored
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import MPS, load_mps
from psiprune.states.tfim import TFIM

if TYPE_CHECKING:
    import xarray as xr

_WIDTH, _CHANCE = 3, 0.05  # sites of a cluster, and its largest p-value


@cached_pipes()
def describe(
    what: str | os.PathLike[str] | ShotsLike | MPS | RBM, format: str | None = None, **settings: Any
) -> Description:
    """What a file, a run folder, or an object of psiprune holds, and what about it is doubtful.

    Args:
        what: a file of psiprune, a file of shots of any format, a run folder; or shots (also as an
            array [shot, site] or counts {"0101": 12}), a state or an RBM.
        format: of a file of shots; what its content shows if not given.
        **settings: how shots are read, as in `read_shots`.

    Raises:
        InputError: the file cannot be read or is none of these, the folder holds no run, or a
            format is given for something else than a file of shots.
    """
    match what:
        case MPS():
            return _describe_state(what, "state")
        case RBM():
            return _describe_rbm(what, "rbm", {})
    if format is not None or settings or not isinstance(what, str | os.PathLike):
        return _describe_shots(read_shots(what, format, **settings))
    path = Path(what)
    if path.is_dir():
        return _describe_run(path)
    kind = kind_of(path)
    if kind in (None, "shots"):
        return _describe_shots(read_shots(path))
    if kind == "mps":
        return _describe_state(load_mps(path), str(path))
    if kind == "rbm":
        stored = read_arrays(path, kind)
        single = {
            name: each.item() for name, (_, each) in stored.variables.items() if not each.ndim
        }
        return _describe_rbm(rbm_from_stored(stored, path), str(path), single)
    return _describe_dataset(read_dataset(path), str(path), str(kind))


def _describe_shots(shots: Shots) -> Description:
    return describe_shots(shots) if isinstance(shots.basis, str) else describe_bases(shots)


def _describe_state(state: MPS, source: str) -> StateDescription:
    nan = float("nan")
    chain = state.model if isinstance(state.model, TFIM) else None
    return StateDescription(
        source=source,
        sites=state.sites,
        is_complex=state.is_complex,
        bond_dimensions=state.bond_dimensions,
        free_parameters=state.free_parameters,
        model=_model_text(state),
        field=nan if chain is None else chain.field,
        coupling=nan if chain is None else chain.coupling,
        energy=state.energy,
        energy_variance=state.energy_variance,
        exact_energy=nan if chain is None else chain.ground_energy(),
        truncation_error=state.truncation_error,
        magnetization=state.magnetization(),
        abs_magnetization=state.abs_magnetization(),
        neighbours=float(np.diag(state.correlations(), 1).mean()),
        warnings=tuple(_state_warnings(state)),
    )


def _model_text(state: MPS) -> str:
    if state.origin:
        return state.origin
    match state.model:
        case TFIM(coupling=coupling, field=field):
            return f"transverse-field Ising chain, J = {coupling:g}, h = {field:g}"
        case Hamiltonian():
            return state.model.name or repr(state.model)
    return "unknown Hamiltonian"


def _state_warnings(state: MPS) -> Iterator[DataWarning]:
    exact = state.energy
    if isinstance(state.model, TFIM):
        exact = state.model.ground_energy()
        if state.energy - exact > 1e-6 * abs(exact):
            yield DataWarning(
                "energy",
                f"{state.energy - exact:.2g} above the ground-state energy {exact:.8f}: not the "
                "ground state of its model; recompute it with ground-state",
            )
    if state.energy_variance > 1e-6 * exact**2:  # NaN without a model
        yield DataWarning(
            "variance",
            f"standard deviation of the energy {state.energy_variance**0.5:.2g}: not an "
            "eigenstate; increase the bond dimension",
        )
    if state.sites <= EXACT_SITES:
        from psiprune.metrics.reference import reference_of

        try:
            reference_of(state)
        except InputError as error:
            yield DataWarning("signs", str(error).removeprefix("state: "))


def _describe_rbm(rbm: RBM, source: str, measures: Mapping[str, float | str]) -> RBMDescription:
    from psiprune.experiments.settings import smallest_p_value

    units, sites = rbm.mask.sum(axis=1), rbm.mask.sum(axis=0)
    clusters = None
    if rbm.visible >= _WIDTH and smallest_p_value(rbm.visible, _WIDTH) <= _CHANCE:
        unmasked = RBM(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
        clusters = int((cluster_p_values(unmasked, _WIDTH) <= _CHANCE).sum())
    weights = rbm.weights[rbm.mask]
    ranges = {
        "W": weights,
        "|W|": np.abs(weights),
        "visible bias b": rbm.visible_bias,
        "hidden bias c": rbm.hidden_bias,
    }
    description = RBMDescription(
        source=source,
        visible=rbm.visible,
        hidden=rbm.hidden,
        weights=rbm.number_of_weights,
        parameters=rbm.number_of_parameters,
        density=rbm.density,
        components=rbm.components,
        ranges={name: _range(values) for name, values in ranges.items()},
        weights_by_hidden=units,
        dead=tuple(np.flatnonzero(units == 0).tolist()),
        lone=tuple(np.flatnonzero(units == 1).tolist()),
        apart=tuple(np.flatnonzero(sites == 0).tolist()),
        clusters=clusters,
        measures=measures,
        provenance=rbm.provenance,
        warnings=(),
    )
    return replace(description, warnings=tuple(_rbm_warnings(description)))


def _range(values: Float64) -> tuple[float, float, float]:
    if not values.size:
        return (float("nan"),) * 3
    return float(values.min()), float(np.median(values)), float(values.max())


def _rbm_warnings(rbm: RBMDescription) -> Iterator[DataWarning]:
    for name, units, word in (("dead", rbm.dead, "no weights"), ("lone", rbm.lone, "one weight")):
        if units:
            yield DataWarning(
                name,
                f"{len(units)} of {rbm.hidden} hidden units have {word}; rbm.compact() removes "
                "them without changing the distribution",
            )
    parts = rbm.components - len(rbm.dead)
    if rbm.apart:
        yield DataWarning(
            "apart",
            f"{len(rbm.apart)} of {rbm.visible} sites have no weights, so they are independent of "
            "all others; prune less, or rewire",
        )
    elif parts > 1:
        yield DataWarning(
            "parts",
            f"the graph has {parts} components that are independent of each other; prune less, or "
            "rewire",
        )
    for line in str(rbm.provenance.get("training_warnings", "")).splitlines():
        yield DataWarning("training", line)
    shots = as_count(rbm.provenance.get("training_shots"))
    if shots is not None and shots < rbm.parameters:
        yield DataWarning(
            "few",
            f"trained on {counted(shots, 'shot')} but has {rbm.parameters} parameters; "
            "evaluate it on held-out shots",
        )


def _describe_dataset(dataset: xr.Dataset, source: str, kind: str) -> DatasetDescription:
    names = [*dataset.coords, *dataset.data_vars]
    return DatasetDescription(
        source=source,
        kind=kind,
        sizes={str(name): size for name, size in dataset.sizes.items()},
        variables=tuple(_describe_variable(str(name), dataset[name]) for name in names),
        attributes={
            name: value.tolist() if isinstance(value, np.generic | np.ndarray) else value
            for name, value in dataset.attrs.items()
        },
    )


def _describe_variable(name: str, variable: xr.DataArray) -> VariableDescription:
    numeric = variable.dtype.kind in "biuf" and variable.size
    values = variable.values.astype(np.float64) if numeric else np.zeros(0)
    known = values[~np.isnan(values)]
    least, _, largest = _range(known)
    return VariableDescription(
        name=name,
        dimensions=tuple(map(str, variable.dims)),
        meaning=str(variable.attrs.get("long_name", "")),
        units=str(variable.attrs.get("units", "")),
        least=least,
        largest=largest,
        missing=1 - known.size / values.size if numeric else 0.0,
    )


def _describe_run(folder: Path) -> RunDescription:
    """Describe a run without writing; damaged files are listed, not raised."""
    # Imported where used: it imports all experiments.
    from psiprune.inspect.contents import contents_of, read_config, result_of

    if not (folder / "config.toml").exists():
        raise InputError(f"{folder}: contains no run (no config.toml); give a file or a run folder")
    damaged: dict[str, str] = {}
    config: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name[0] != ".")
    for file in files:
        name = str(file.relative_to(folder))
        try:
            if file.suffix == ".nc":
                verify(file)
            elif file.suffix == ".json":
                content = json.loads(file.read_text())
                provenance = dict(content) if name == "provenance.json" else provenance
            elif name == "config.toml":
                config = read_config(folder)
        except InputError as error:
            damaged[name] = str(error).removeprefix(f"{file}: ")
        except (OSError, ValueError, TypeError) as error:
            damaged[name] = f"cannot be read: {error}"
    contents = contents_of(folder, config) if config else None
    if contents is None:
        damaged.setdefault(
            "config.toml",
            "fits no command of this version, so the expected files are unknown; it is damaged or "
            "was written by another version",
        )
    expected = [] if contents is None else list(map(str, contents.files))
    exists = {file: (folder / file).exists() for file in expected}
    missing = tuple(file for file in expected if not exists[file])
    return RunDescription(
        source=str(folder),
        command=None if contents is None else contents.command,
        config=config,
        provenance=provenance,
        done=tuple(file for file in expected if exists[file]),
        missing=missing,
        damaged=tuple(damaged.items()),
        files=len(files),
        bytes=sum(file.stat().st_size for file in files),
        running=in_use(folder),
        resume="" if contents is None or not (missing or damaged) else contents.resume,
        result=() if contents is None or missing or damaged else result_of(folder, contents),
    )
