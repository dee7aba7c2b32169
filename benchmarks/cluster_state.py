"""Whether bases determine a cluster state of four sites, and whether fits find it.

The state prod CZ |+...+>, of amplitudes +-1/4. `least` is the smallest fraction of the information
about a change of the state that a shot carries, over all 30 changes, and `without` how many changes
have none. Then --starts fits to the exact probabilities of all bases, as of infinitely many shots:
how many of them describe these within 1e-6 nats per shot, the fidelities of the best and of the
worst of these with the state, and the KL in nats per shot of the best other fit. `by_hand` is F of
a PhaseRBM made for the state: it exists. Half a minute on an idle core.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import peers
import psiprune as pp
from psiprune.rbm.phase_likelihood import BasisFrequencies
from psiprune.states.basis_rotation import rotate
from psiprune.states.basis_sets import basis_set
from psiprune.training.natural_phase import fit_phases
from psiprune.training.phase_starts import PhaseUnits, new_phase_rbm

SITES = 4
_EQUAL = 1e-6


def main() -> None:
    args = peers.options(__doc__, starts=8, epochs=150)
    about = peers.header("Cluster state of four sites", f"{args.starts} starts")
    rows = [of_bases(name, args.starts, args.epochs) for name in ("nearest-pairs", "all-pairs")]
    peers.show(rows)
    peers.save(args.json, about, cluster_state=rows)


def of_bases(name: str, starts: int, epochs: int) -> peers.Row:
    signs = [(-1) ** bin(v & v >> 1).count("1") for v in range(2**SITES)]
    psi: NDArray[np.complex128] = np.array([sign / 4 + 0j for sign in signs])
    bases = basis_set(name, SITES)
    fractions = information(psi, bases)
    prob = np.abs(rotate(psi, bases)) ** 2
    basis, outcome = np.nonzero(prob > 1e-12)
    weight = prob[basis, outcome] / len(bases)
    data = BasisFrequencies(bases, basis, outcome, weight, np.full(len(bases), 1000))
    most = float(weight @ np.log(weight * len(bases)))
    shots = pp.sample(pp.mps_from_vector(psi), 1000 * len(bases), bases=bases, progress=False)
    found = []
    for seed in range(starts):
        start = new_phase_rbm(shots, PhaseUnits(), seed, spread=seed % 2 == 1)
        ended = fit_phases(start, data, epochs)
        found.append((most - ended.log_likelihood, ended.rbm.fidelity(psi)))
    exact = [fidelity for kl, fidelity in found if kl < _EQUAL]
    row: peers.Row = {
        "bases": name,
        "least": f"{fractions[0]:.4f}",
        "without": int((fractions < 1e-9).sum()),
        "exact_fits": len(exact),
        "F_best": f"{max(exact, default=np.nan):.3f}",
        "F_worst": f"{min(exact, default=np.nan):.3f}",
        "KL_others": f"{min((kl for kl, _ in found if kl >= _EQUAL), default=np.nan):.3f}",
        "by_hand": f"{by_hand().fidelity(psi):.6f}",
    }
    return row


def information(psi: NDArray[np.complex128], bases: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the fractions of information of a shot about all changes of psi, ascending."""
    size = len(psi)
    changes = np.concatenate([np.eye(size), 1j * np.eye(size)])
    fisher = np.zeros((2 * size, 2 * size))
    for basis in bases:
        amplitude, turned = rotate(psi, [basis])[0], rotate(changes, [basis] * (2 * size))
        occurs = np.abs(amplitude) > 1e-9
        slope = (turned[:, occurs] * np.exp(-1j * np.angle(amplitude[occurs]))).real
        # An outcome that does not occur tells of both parts of a change, to second order.
        never = turned[:, ~occurs]
        parts = np.concatenate([slope, never.real, never.imag], axis=1)
        fisher += parts @ parts.T / len(bases)
    # The norm and a phase that all amplitudes share are no changes of the state.
    fixed = np.array([[*psi.real, *psi.imag], [*-psi.imag, *psi.real]])
    free = np.linalg.svd(fixed)[2][2:]
    return np.asarray(np.linalg.eigvalsh(free @ fisher @ free.T))


def by_hand() -> pp.PhaseRBM:
    """A unit on each bond turns |11> by pi: softplus(4 pi (v + v') - 6 pi) is 2 pi there."""
    weights, bias = np.zeros((SITES - 1, SITES)), np.full(SITES - 1, -6 * np.pi)
    for bond in range(SITES - 1):
        weights[bond, bond : bond + 2] = 4 * np.pi
    flat = pp.RBM(np.zeros((1, SITES)), np.zeros(SITES), np.zeros(1))
    return pp.PhaseRBM(flat, pp.RBM(weights, np.zeros(SITES), bias))


if __name__ == "__main__":
    main()
