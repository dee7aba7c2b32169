"""What `describe` returns: descriptions of states, RBMs, datasets and run folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.repr import one_line
from psiprune.data.basis_diagnostics import BasesDescription
from psiprune.data.diagnostics import DataWarning, ShotsDescription

Float64 = NDArray[np.float64]


@one_line
@dataclass(frozen=True, eq=False)
class StateDescription:
    """A matrix product state; energies as in `MPS`, NaN where no Hamiltonian is known.

    Attributes:
        source: the file.
        sites: N.
        is_complex: whether the amplitudes have phases.
        bond_dimensions: of the N - 1 bonds.
        free_parameters: of the tensors, without the gauge freedom.
        model: the Hamiltonian in words, or how another state was made.
        field, coupling: h and J of the Ising chain, NaN for other models.
        energy, energy_variance: <H> and <H^2> - <H>^2.
        exact_energy: of the ground state of the Ising chain, by free fermions.
        truncation_error: the largest weight discarded at one bond.
        magnetization: <Z_i>, [site].
        abs_magnetization: <|m|>.
        neighbours: mean of <Z_i Z_{i+1}> over the bonds.
        warnings: what to know before using it.
    """

    source: str
    sites: int
    is_complex: bool
    bond_dimensions: tuple[int, ...]
    free_parameters: int
    model: str
    field: float
    coupling: float
    energy: float
    energy_variance: float
    exact_energy: float
    truncation_error: float
    magnetization: Float64
    abs_magnetization: float
    neighbours: float
    warnings: tuple[DataWarning, ...]


@one_line
@dataclass(frozen=True, eq=False)
class RBMDescription:
    """An RBM.

    Attributes:
        source: the file.
        visible, hidden, weights, parameters, density, components: as in `RBM`.
        ranges: minimum, median and maximum of the weights that exist, of their absolute values, and
            of the biases of both layers; NaN without weights.
        weights_by_hidden: weights of each hidden unit, [hidden].
        dead: hidden units without weights, which have no effect.
        lone: hidden units with one weight, which only change the bias of its site.
        apart: sites without weights, independent of all others.
        clusters: hidden units whose strongest three adjacent weights are a cluster according to
            `find_clusters`, pruned weights counted as 0; None where N is too small for
            significance.
        measures: scalars stored with the RBM, such as kl, and warnings about them.
        provenance: how it was made.
        warnings: what to know before using it.
    """

    source: str
    visible: int
    hidden: int
    weights: int
    parameters: int
    density: float
    components: int
    ranges: Mapping[str, tuple[float, float, float]]
    weights_by_hidden: NDArray[np.int64]
    dead: tuple[int, ...]
    lone: tuple[int, ...]
    apart: tuple[int, ...]
    clusters: int | None
    measures: Mapping[str, float | str]
    provenance: Mapping[str, str | int | float]
    warnings: tuple[DataWarning, ...]


@dataclass(frozen=True)
class VariableDescription:
    """A variable of a dataset: dimensions, minimum and maximum, fraction of missing values."""

    name: str
    dimensions: tuple[str, ...]
    meaning: str
    units: str
    least: float
    largest: float
    missing: float


@one_line
@dataclass(frozen=True, eq=False)
class DatasetDescription:
    """A labelled dataset of another kind, such as study.nc.

    Attributes:
        source: the file.
        kind: what the file says it is.
        sizes: dimensions and their lengths.
        variables: all of them, coordinates first.
        attributes: of the dataset.
    """

    source: str
    kind: str
    sizes: Mapping[str, int]
    variables: tuple[VariableDescription, ...]
    attributes: Mapping[str, Any]


@one_line
@dataclass(frozen=True, eq=False)
class RunDescription:
    """A run folder.

    Attributes:
        source: the folder.
        command: the command that made it; None if it is unknown.
        config: config.toml.
        provenance: provenance.json.
        done, missing: files of a finished run that exist, and that do not.
        damaged: files that cannot be read, and why.
        files, bytes: number and total size of all files.
        running: whether a process writes to it now.
        resume: command that resumes the run; empty if it is complete.
        result: of a complete run: the answer of an experiment or a reconstruction in lines of at
            most 100 columns, else the name of its last file.
    """

    source: str
    command: str | None
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    done: tuple[str, ...]
    missing: tuple[str, ...]
    damaged: tuple[tuple[str, str], ...]
    files: int
    bytes: int
    running: bool
    resume: str
    result: tuple[str, ...]


Description = (
    ShotsDescription
    | BasesDescription
    | StateDescription
    | RBMDescription
    | DatasetDescription
    | RunDescription
)
