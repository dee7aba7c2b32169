"""Write RBMs in the formats of other packages."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.numpy import write_npz
from psiprune.io.netcdf import write_bytes
from psiprune.io.paths import NPZ, TORCH, check_suffix
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
RBM_FORMATS = ("numpy", "qucumber", "netket")


def export_rbm(rbm: RBM, path: str | os.PathLike[str], format: str) -> Path:
    """Write an RBM as plain .npz arrays, QuCumber's state dictionary, or NetKet's parameters.

    "numpy": weights [hidden, visible], visible_bias, hidden_bias, mask. "qucumber": a torch file
    for `PositiveWaveFunction.load`, or, if the name ends in .npz, the same arrays without torch.
    "netket": arrays "Dense/kernel" [visible, hidden], "Dense/bias", "visible_bias", for the
    activation (1/2) log cosh. Pruned weights are 0; only "numpy" stores the mask.

    Raises:
        InputError: the format is unknown, the file's suffix belongs to another one, or torch is
            needed and not installed.
        OSError: the file cannot be written.
    """
    if format not in RBM_FORMATS:
        raise InputError(f"format: must be one of {', '.join(RBM_FORMATS)}, found {format!r}")
    packed = format != "qucumber" or str(path).endswith(".npz")
    check_suffix(path, NPZ if packed else TORCH)
    if format == "numpy":
        return write_bytes(path, write_npz({**qucumber_state(rbm), "mask": rbm.mask}))
    if format == "qucumber":
        state = qucumber_state(rbm)
        return write_bytes(path, write_npz(state) if packed else torch_file({"rbm_am": state}))
    parameters = netket_parameters(rbm)
    flat = {f"Dense/{name}": array for name, array in parameters["Dense"].items()}
    return write_bytes(path, write_npz({**flat, "visible_bias": parameters["visible_bias"]}))


def qucumber_state(rbm: RBM) -> dict[str, Float64]:
    """Return the state dictionary of QuCumber's BinaryRBM: psi(v) = exp(-E(v)/2), v_i = 0 or 1.

    E(v) = -b.v - sum_j log(1 + exp(c_j + W_j.v)), so the parameters are the same.
    """
    return {name: getattr(rbm, name) for name in ("weights", "visible_bias", "hidden_bias")}


def netket_parameters(rbm: RBM) -> dict[str, Any]:
    """Return the parameters of `netket.models.RBM` with the activation (1/2) log cosh.

    {"Dense": {"kernel": [visible, hidden], "bias": [hidden]}, "visible_bias": [visible]}
    """
    weights = rbm.weights
    return {
        "Dense": {"kernel": -weights.T / 4, "bias": rbm.hidden_bias / 2 + weights.sum(axis=1) / 4},
        "visible_bias": -rbm.visible_bias / 4 - weights.sum(axis=0) / 8,
    }


def torch_file(states: dict[str, dict[str, Float64]]) -> bytes:
    """Return a torch file with the dictionary of networks that QuCumber's `save` writes."""
    try:
        import torch
    except ImportError:
        raise InputError(
            "format: a QuCumber file needs torch; pip install 'psiprune[torch]', or use a name "
            "that ends in .npz for the same arrays (the page Formats shows how to load them)"
        ) from None
    networks = {
        network: {name: torch.tensor(array) for name, array in state.items()}
        for network, state in states.items()
    }
    stream = io.BytesIO()
    torch.save(networks, stream)
    return stream.getvalue()
