"""Test of the amplitudes of a state itself for one sign, where its Hamiltonian does not show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.states.mps import MPS
from psiprune.states.sampling import sample
from psiprune.states.signs import Rotation
from psiprune.states.tensors import log_amplitudes

#: Configurations drawn above 20 sites.
SAMPLES = 10_000
#: Probability of the rarer sign that is accepted: sqrt(p) then has an infidelity of 4e-6 at most.
_ACCEPTED = 1e-6


def z_rotated(state: MPS, sites: Iterable[int]) -> MPS:
    """Return the state with a Z on each of these sites, without its Hamiltonian."""
    tensors = [tensor.copy() for tensor in state.tensors]
    for site in sites:
        tensors[site][:, 1] *= -1
    return replace(state, tensors=tuple(tensors), model=None)


def check_one_sign(rotated: MPS, rotation: Rotation) -> None:
    """Test the sign of all amplitudes up to 20 sites, above of 10,000 samples.

    The rarer sign may have 1e-6 of the probability, as J1-J2 chains violate Marshall's rule by so
    little. Samples show no less than some 1e-4.

    Args:
        rotated: the state after the rotation.
        rotation: found by `likely_rotation`; nothing is tested without a `doubt`.

    Raises:
        InputError: amplitudes of the rarer sign have more.
    """
    if not rotation.doubt:
        return
    if rotated.sites <= EXACT_SITES:
        vector = rotated.to_vector()
        negative = float((vector[vector < 0] ** 2).sum())
    else:
        signs, _ = log_amplitudes(rotated.tensors, sample(rotated, SAMPLES, progress=False).bits)
        negative = float((signs < 0).mean())
    if (share := min(negative, 1.0 - negative)) > _ACCEPTED:
        raise InputError(
            f"{rotation.doubt}; after the rotation of the strongest terms psi has both signs, the "
            f"rarer one with {share:.1e} of the probability (limit {_ACCEPTED:g}), by "
            f"{tested_on(rotated.sites)}"
        )


def tested_on(sites: int) -> str:
    """Return what the test looks at, in words."""
    return "all amplitudes" if sites <= EXACT_SITES else f"{SAMPLES:,} samples"
