"""What shots in given bases tell about a state with phases, and which further bases would help.

With S the quantum Fisher information of the parameters and F that of a shot in the bases measured
(`psiprune.inference.phase_fisher`), F u = lambda S u has 0 <= lambda <= 1: the fraction of the
information about a change u of the state that the shots carry. A maximum-likelihood fit to n shots
then has the mean infidelity

    E[1 - F] = sum_k 1 / (4 n lambda_k),

over the directions that change the state at all. A direction of lambda = 0 is undetermined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from psiprune.core.repr import one_line
from psiprune.core.threads import single_blas_thread
from psiprune.data.readout_error import ReadoutError
from psiprune.inference.phase_fisher import (
    basis_information,
    classical_fisher,
    quantum_fisher,
    state_changes,
)
from psiprune.rbm.phase import PhaseRBM
from psiprune.states.basis_rotation import rotate

Complex128 = NDArray[np.complex128]
Float64 = NDArray[np.float64]
#: Eigenvalues of S below this part of the largest belong to changes of parameters alone.
_RANK = 1e-7
#: Directions of least information that a suggestion of bases is about.
_WEAKEST = 8
_LEAST = 1e-30
#: A basis that lowers the infidelity by less than this part of it does not help.
_GAIN = 1e-6


@one_line
class PhaseInformation(NamedTuple):
    """Information of shots about a state.

    Attributes:
        fractions: lambda_k, ascending, [direction].
        directions: changes of the parameters u_k with u_k S u_l = 1[k = l], [direction, parameter].
    """

    fractions: Float64
    directions: Float64

    def infidelity(self, shots: int) -> float:
        """Return the mean infidelity of a fit to so many shots, sum_k 1 / (4 n lambda_k).

        At most a quarter for each direction, whose lambda is unknown below 1 / n, and 1 in all.
        """
        return min(1.0, float((0.25 / np.maximum(shots * self.fractions, 1.0)).sum()))


@single_blas_thread()
def phase_information(
    rbm: PhaseRBM, bases: Sequence[str], share: Float64, readout: ReadoutError | None = None
) -> PhaseInformation:
    """Return the fraction of information that a shot carries, direction by direction.

    Args:
        rbm: the state, up to 16 sites.
        bases: measured, "ZZXY".
        share: the part of the shots in each, [basis].
        readout: errors of the recorded bits, if any.
    """
    size, root = np.linalg.eigh(scipy.linalg.block_diag(*quantum_fisher(rbm)))
    kept = size > _RANK * size[-1]
    whitened = root[:, kept] / np.sqrt(size[kept])
    fisher = whitened.T @ classical_fisher(rbm, bases, share, readout) @ whitened
    fractions, turned = np.linalg.eigh(fisher)
    return PhaseInformation(np.clip(fractions, 0.0, 1.0), (whitened @ turned).T)


def candidate_bases(sites: int) -> list[str]:
    """Return X and Y on each site, and XX, XY, YX and YY on each pair, with Z elsewhere."""
    placed = [{site: letter} for site in range(sites) for letter in "XY"]
    placed += [
        {one: first, other: second}
        for one in range(sites)
        for other in range(one + 1, sites)
        for first in "XY"
        for second in "XY"
    ]
    return ["".join(letters.get(site, "Z") for site in range(sites)) for letters in placed]


def suggested_bases(
    rbm: PhaseRBM,
    information: PhaseInformation,
    shots: int,
    candidates: Sequence[str],
    count: int = 3,
    readout: ReadoutError | None = None,
) -> list[tuple[str, float]]:
    """Return the bases that would lower the mean infidelity most, each with what it lowers it to.

    Greedily, for a tenth of the shots more in each, as long as one helps: the infidelity of the 8
    directions of least information is the trace of the inverse of their information, A-optimal
    design.
    """
    weakest = information.directions[:_WEAKEST]
    changes = weakest @ state_changes(rbm)
    held = np.diag(np.maximum(shots * information.fractions[:_WEAKEST], 1.0))
    rest = (0.25 / np.maximum(shots * information.fractions[_WEAKEST:], 1.0)).sum()
    gains = [basis_information(rbm, changes, basis, readout) * shots / 10 for basis in candidates]
    found: list[tuple[str, float]] = []
    for _ in range(count):
        before = 0.25 * float(np.trace(np.linalg.inv(held)))
        left = [0.25 * float(np.trace(np.linalg.inv(held + gain))) for gain in gains]
        best = int(np.argmin(left))
        if not left[best] < before * (1 - _GAIN):
            break
        held = held + gains[best]
        found.append((candidates[best], min(1.0, float(rest + left[best]))))
    return found


def distinguishing_bases(
    one: Complex128,
    other: Complex128,
    candidates: Sequence[str],
    count: int = 3,
    readout: ReadoutError | None = None,
) -> list[tuple[str, float]]:
    """Return the bases whose outcomes tell two states [2^N] apart best, with nats per shot.

    The nats are -log sum_x sqrt(q_1 q_2), the rate at which the error of a test between the states
    decreases with shots at least (Chernoff's bound at 1/2).
    """
    overlaps = []
    for basis in candidates:
        probabilities = (np.abs(rotate(psi, [basis])[0]) ** 2 for psi in (one, other))
        first, second = (
            np.sqrt(prob if readout is None else readout.apply(prob)) for prob in probabilities
        )
        overlaps.append(float(first @ second))
    order = np.argsort(overlaps, kind="stable")[:count]
    return [(candidates[k], -float(np.log(max(overlaps[k], _LEAST)))) for k in order]
