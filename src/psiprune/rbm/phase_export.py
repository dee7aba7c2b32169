"""Write states with phases in the formats of other packages."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.formats.numpy import write_npz
from psiprune.io.netcdf import write_bytes
from psiprune.io.paths import NPZ, TORCH, check_suffix
from psiprune.rbm.export import qucumber_state, torch_file
from psiprune.rbm.model import RBM
from psiprune.rbm.phase import PhaseRBM

PHASE_FORMATS = ("numpy", "qucumber")
_NAMES = {"rbm_am": "amplitude", "rbm_ph": "phase"}


def export_phase_rbm(rbm: PhaseRBM, path: str | os.PathLike[str], format: str) -> Path:
    """Write both RBMs as plain .npz arrays, or as QuCumber's ComplexWaveFunction.

    "numpy": weights [hidden, visible], visible_bias, hidden_bias and mask of each, with the
    prefixes amplitude_ and phase_. "qucumber": a torch file for `ComplexWaveFunction.load`, or, if
    the name ends in .npz, arrays rbm_am_weights and so on without torch; both networks have as many
    hidden units as the larger, see `equal_units`.

    Raises:
        InputError: the format is unknown, the file's suffix belongs to another one, or torch is
            needed and not installed.
        OSError: the file cannot be written.
    """
    if format not in PHASE_FORMATS:
        why = ""
        if format == "netket":
            why = "; NetKet's RBMModPhase has no visible biases, so it cannot hold these phases"
        raise InputError(
            f"format: must be {' or '.join(PHASE_FORMATS)} for a state with phases, found "
            f"{format!r}{why}"
        )
    packed = format == "numpy" or str(path).endswith(".npz")
    check_suffix(path, NPZ if packed else TORCH)
    if format == "numpy":
        arrays = {
            f"{name}_{key}": values
            for name in _NAMES.values()
            for key, values in _arrays(getattr(rbm, name)).items()
        }
        return write_bytes(path, write_npz(arrays))
    alike = equal_units(rbm)
    states = {key: qucumber_state(getattr(alike, name)) for key, name in _NAMES.items()}
    if not packed:
        return write_bytes(path, torch_file(states))
    flat = {
        f"{net}_{key}": values for net, state in states.items() for key, values in state.items()
    }
    return write_bytes(path, write_npz(flat))


def equal_units(rbm: PhaseRBM) -> PhaseRBM:
    """Return the same state with as many hidden units in both networks, as QuCumber has them.

    A unit without weights and bias multiplies p~ by 2: it changes Z, or turns all amplitudes.
    """
    units = max(rbm.amplitude.hidden, rbm.phase.hidden)
    return PhaseRBM(_filled(rbm.amplitude, units), _filled(rbm.phase, units), rbm.provenance)


def _filled(rbm: RBM, units: int) -> RBM:
    none = np.zeros((units - rbm.hidden, rbm.visible))
    weights = np.concatenate([rbm.weights, none])
    mask = np.concatenate([rbm.mask, none.astype(bool)])
    return RBM(weights, rbm.visible_bias, np.pad(rbm.hidden_bias, (0, len(none))), mask)


def _arrays(rbm: RBM) -> dict[str, np.ndarray]:
    return {**qucumber_state(rbm), "mask": rbm.mask}
