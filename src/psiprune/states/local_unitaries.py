"""Turn each site of a state by a unitary of its own: a twist about z, or random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.core.validation import check_number, check_seed
from psiprune.states.mps import MPS
from psiprune.states.tensors import rotate_sites

_TOLERANCE = 1e-10


def turn_sites(state: MPS, unitaries: Sequence[ArrayLike]) -> MPS:
    """Return U_0 x ... x U_{N-1} |state>, without the Hamiltonian of the state.

    Args:
        state: the state.
        unitaries: a matrix [outcome, physical] for each site, index 0 for Z = +1.

    Raises:
        InputError: there is not a matrix of 2 x 2 for each site, or one is not unitary to 1e-10.
    """
    matrices: list[NDArray[Any]] = [np.asarray(each) for each in unitaries]
    if len(matrices) != state.sites:
        raise InputError(
            f"unitaries: must be a matrix for each of {state.sites} sites, found {len(matrices)}"
        )
    for site, matrix in enumerate(matrices):
        if matrix.shape != (2, 2) or not (
            np.abs(matrix @ matrix.conj().T - np.eye(2)).max() <= _TOLERANCE
        ):
            raise InputError(f"unitaries: that of site {site} must be a unitary matrix of 2 x 2")
    return MPS(
        rotate_sites(state.tensors, matrices),
        truncation_error=state.truncation_error,
        origin=f"{_named(state)} with each site turned",
    )


def twisted(state: MPS, angle: float) -> MPS:
    """Return the state with site j turned about z by j `angle`: exp(-i j angle Z_j / 2).

    A hopping term X X + Y Y of neighbours becomes cos(angle) (X X + Y Y) + sin(angle) (Y X - X Y),
    with a Dzyaloshinskii-Moriya interaction; the angle is in radians.

    Raises:
        InputError: the angle is not a finite number.
    """
    angle = check_number("twist", angle, "a finite number", lambda _: True)
    half = 0.5j * angle
    turned = turn_sites(
        state, [np.diag(np.exp([-half * site, half * site])) for site in range(state.sites)]
    )
    return replace(turned, origin=f"{_named(state)} with a twist of {angle:g} radians per site")


def randomly_turned(state: MPS, seed: int = 0) -> MPS:
    """Return the state with each site turned by a unitary of its own, uniform by Haar's measure.

    Raises:
        InputError: the seed is not in 0 .. 2^63 - 1.
    """
    seed = check_seed(seed)
    generator = generator_for(seed, Stream.LOCAL_UNITARIES)
    real, imaginary = generator.normal(size=(2, state.sites, 2, 2))
    unitaries = []
    for matrix in real + 1j * imaginary:
        q, r = np.linalg.qr(matrix)
        phases = np.diag(r) / np.abs(np.diag(r))  # without them QR is not uniform
        unitaries.append(q * phases)
    turned = turn_sites(state, unitaries)
    return replace(turned, origin=f"{_named(state)} with random local unitaries, seed {seed}")


def _named(state: MPS) -> str:
    if state.origin:
        return state.origin
    return "a state" if state.model is None else f"the ground state of {state.model!r}"
