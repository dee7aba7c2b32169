"""Metrics of a `PhaseRBM`: quantum Fisher information, and that of shots in given bases.

The quantum Fisher information is four times the Fubini-Study metric. With log p~ and phi real it
has a block for each network and none between them,

    S = Cov_p(d log p~) + Cov_p(d phi),   p = |psi|^2,

and bounds the classical Fisher information F_b of outcomes in any basis b: F_b <= S. Per shot,
F = sum_b share_b F_b with F_b = sum_x dq_b(x) dq_b(x) / q_b(x), q_b = |A_b|^2, or C |A_b|^2 of
records with readout errors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from psiprune.data.readout_error import ReadoutError
from psiprune.inference.fisher import basis_fisher
from psiprune.rbm.likelihood import WeightedConfigurations, hidden_means
from psiprune.rbm.model import RBM
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import all_states
from psiprune.states.basis_rotation import rotate

Float64 = NDArray[np.float64]
_LEAST = 1e-30  # outcomes of no probability have no information


def quantum_fisher(rbm: PhaseRBM) -> tuple[Float64, Float64]:
    """Return the blocks of S for the amplitude and the phase network, [parameter, parameter]."""
    prob = np.abs(rbm.vector) ** 2
    return basis_fisher(rbm.amplitude, prob), basis_fisher(rbm.phase, prob)


def classical_fisher(
    rbm: PhaseRBM, bases: Sequence[str], share: Float64, readout: ReadoutError | None = None
) -> Float64:
    """Return F of outcomes in some bases, each measured in this share of the shots.

    Args:
        rbm: the state, at which F is taken.
        bases: a letter for each site, "ZZXY".
        share: fractions of the shots, [basis].
        readout: errors of the recorded bits, if any.

    Returns:
        F per shot, [parameter, parameter], the amplitude network first.
    """
    changes = state_changes(rbm)
    fisher = np.zeros((len(changes), len(changes)))
    for basis, part in zip(bases, share, strict=True):
        fisher += part * basis_information(rbm, changes, basis, readout)
    return fisher


def basis_information(
    rbm: PhaseRBM,
    changes: NDArray[np.complex128],
    basis: str,
    readout: ReadoutError | None = None,
) -> Float64:
    """Return the Fisher information of a shot in one basis about changes of psi, [change, change].

    Arguments as of `outcome_slopes`.
    """
    slopes = outcome_slopes(rbm, changes, basis, readout)
    return np.asarray(slopes @ slopes.T)


def outcome_slopes(
    rbm: PhaseRBM,
    changes: NDArray[np.complex128],
    basis: str,
    readout: ReadoutError | None = None,
) -> Float64:
    """Return d q / sqrt(q) of all outcomes in one basis for each change of psi, [change, 2^N].

    Args:
        rbm: the state psi.
        changes: derivatives of psi, [change, 2^N].
        basis: a letter for each site.
        readout: errors of the recorded bits, if any.
    """
    amplitude = rotate(rbm.vector, [basis])[0]
    turned = rotate(changes, [basis] * len(changes))
    if readout is not None:
        prob = np.maximum(readout.apply(np.abs(amplitude) ** 2), _LEAST)
        moved = 2 * (turned * amplitude.conj()).real
        return np.stack([readout.apply(row) for row in moved]) / np.sqrt(prob)
    # d q / sqrt(q) = 2 Re(conj(A) dA) / |A|
    phase = amplitude.conj() / np.maximum(np.abs(amplitude), _LEAST)
    return np.asarray(2 * (turned * phase).real)


def state_changes(rbm: PhaseRBM) -> NDArray[np.complex128]:
    """Return d psi(v) / d theta for each parameter, [parameter, 2^N], normalisation included."""
    prob = np.abs(rbm.vector) ** 2
    sizes, turns = (_derivatives(network, prob) for network in (rbm.amplitude, rbm.phase))
    # A phase that all amplitudes share does not matter, so both may be centred.
    return np.concatenate([sizes, 1j * turns]) * (0.5 * rbm.vector)


def _derivatives(network: RBM, prob: Float64) -> Float64:
    """Return d log p~(v) / d theta minus its mean, [parameter, 2^N]."""
    bits = all_states(network.visible)
    given, _ = hidden_means(network, WeightedConfigurations(bits, prob))
    hidden, visible = np.nonzero(network.mask)
    derivatives = np.concatenate([given[hidden] * bits[visible], bits, given])
    return derivatives - (derivatives @ prob)[:, None]
