"""Shots and RBMs as files of other programs.

An RBM here is psi(v) = sqrt(p(v)), p~(v) = exp(b.v) prod_j (1 + exp(c_j + W_j.v)), v_i = 0 or 1.
QuCumber's has the same parameters. NetKet's has spins s_i = 1 - 2 v_i = +1 or -1 and
psi(s) = exp(a.s + sum_j log cosh(k_j + K_j.s)). There |psi|^2 is the square of a product of cosh,
where our p has the product itself: with

    K = -W/4,   k = c/2 + sum_i W_i/4,   a = -b/4 - sum_j W_j/8,

log psi(v) = a.s + (1/2) sum_j log cosh(k_j + K_j.s) + const. The factor 1/2 is no parameter of
NetKet's, so it has to be given as the activation; no real weights replace it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.files import write_bytes
from psiprune.formats.arrays import write_npz
from psiprune.formats.qiskit import write_counts
from psiprune.formats.stim import write_b8
from psiprune.formats.text import write_text
from psiprune.inputs import InputError
from psiprune.rbm import RBM
from psiprune.shots import Shots
from psiprune.suffixes import B8, JSON, NPZ, TEXT, TORCH, check_suffix

Float64 = NDArray[np.float64]

#: How shots are written, by format.
SHOT_FORMATS: dict[str, Callable[[NDArray[np.uint8]], bytes]] = {
    "text": write_text,
    "numpy": lambda bits: write_npz({"bits": bits}),
    "qiskit": write_counts,
    "stim-b8": write_b8,
}
_SHOTS_ARE = {"text": TEXT, "numpy": NPZ, "qiskit": JSON, "stim-b8": B8}
#: What an RBM can be written as.
RBM_FORMATS = ("numpy", "qucumber", "netket")


def export_shots(shots: Shots, path: str | os.PathLike[str], format: str) -> Path:
    """Write shots as text, as .npz with the array `bits`, as Qiskit counts or as Stim's b8.

    Counts keep how often, not when. The number of sites is not in a b8 file.

    Raises:
        InputError: there is no such format, the file's suffix tells of another one, or the shots
            were not measured in Z, which none of the formats can tell.
        OSError: the file cannot be written.
    """
    if format not in SHOT_FORMATS:
        raise InputError(
            f"format: shots can be written as {', '.join(SHOT_FORMATS)}, found {format!r}"
        )
    check_suffix(path, _SHOTS_ARE[format])
    if shots.basis != "Z":
        raise InputError(
            f"{shots.source}: was measured in basis {shots.basis}, which the format {format} "
            "cannot tell; keep them in psiprune's own file"
        )
    return write_bytes(path, SHOT_FORMATS[format](shots.bits))


def export_rbm(rbm: RBM, path: str | os.PathLike[str], format: str) -> Path:
    """Write an RBM as plain .npz arrays, QuCumber's state dictionary, or NetKet's parameters.

    "numpy": weights [hidden, visible], visible_bias, hidden_bias, mask. "qucumber": a file of
    torch for `PositiveWaveFunction.load`, or, if the name ends in .npz, the same arrays without
    torch. "netket": arrays "Dense/kernel" [visible, hidden], "Dense/bias", "visible_bias", for an
    activation of (1/2) log cosh. Pruned weights are 0; only "numpy" keeps the mask.

    Raises:
        InputError: there is no such format, the file's suffix tells of another one, or torch is
            needed and not installed.
        OSError: the file cannot be written.
    """
    if format not in RBM_FORMATS:
        raise InputError(
            f"format: an RBM can be written as {', '.join(RBM_FORMATS)}, found {format!r}"
        )
    packed = format != "qucumber" or str(path).endswith(".npz")
    check_suffix(path, NPZ if packed else TORCH)
    if format == "numpy":
        arrays = {name: getattr(rbm, name) for name in ("weights", "visible_bias", "hidden_bias")}
        return write_bytes(path, write_npz({**arrays, "mask": rbm.mask}))
    if format == "qucumber":
        state = qucumber_state(rbm)
        return write_bytes(path, write_npz(state) if packed else _torch(state))
    parameters = netket_parameters(rbm)
    flat = {f"Dense/{name}": array for name, array in parameters["Dense"].items()}
    return write_bytes(path, write_npz({**flat, "visible_bias": parameters["visible_bias"]}))


def qucumber_state(rbm: RBM) -> dict[str, Float64]:
    """The state dictionary of QuCumber's BinaryRBM: psi(v) = exp(-E(v)/2), v_i = 0 or 1.

    E(v) = -b.v - sum_j log(1 + exp(c_j + W_j.v)), so it has the parameters as they are.
    """
    return {
        "weights": rbm.weights,
        "visible_bias": rbm.visible_bias,
        "hidden_bias": rbm.hidden_bias,
    }


def netket_parameters(rbm: RBM) -> dict[str, Any]:
    """The parameters of `netket.models.RBM` with the activation (1/2) log cosh, see above.

    {"Dense": {"kernel": [visible, hidden], "bias": [hidden]}, "visible_bias": [visible]}
    """
    weights = rbm.weights
    return {
        "Dense": {
            "kernel": -weights.T / 4,
            "bias": rbm.hidden_bias / 2 + weights.sum(axis=1) / 4,
        },
        "visible_bias": -rbm.visible_bias / 4 - weights.sum(axis=0) / 8,
    }


def _torch(state: dict[str, Float64]) -> bytes:
    """A file of torch with the dictionary that QuCumber's `save` writes."""
    try:
        import torch
    except ImportError:
        raise InputError(
            "format: QuCumber's file is one of torch, which is not installed; install it, or give "
            "a name that ends in .npz for the same arrays (docs/formats.md: how to load them)"
        ) from None
    tensors = {name: torch.tensor(array) for name, array in state.items()}
    stream = io.BytesIO()
    torch.save({"rbm_am": tensors}, stream)
    return stream.getvalue()
