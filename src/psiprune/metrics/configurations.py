"""Compare an RBM with held-out shots by configurations, and with independent bits."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.threads import single_blas_thread
from psiprune.data.shots import Shots
from psiprune.inference.log_partition import LogPartition, log_partition
from psiprune.inference.recorded import shots_log_prob
from psiprune.metrics.bootstrap import block_means
from psiprune.metrics.loss_tests import Cells, cell_divergence
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]


class Configurations(NamedTuple):
    """How well an RBM describes the configurations of held-out shots.

    Attributes:
        cells: divergence over the configurations of the training set, see `cell_divergence`.
        product_loss, product_error: mean over the held-out shots of log p_0(v) - log p(v), p_0
            independent bits with the frequencies of the training set; its standard error.
        best_loss, best_error: the same with another model as p_0.
        warning: why log p, and so both, cannot be trusted; empty if no problem was detected.
    """

    cells: Cells
    product_loss: float
    product_error: float
    best_loss: float
    best_error: float
    warning: str = ""


class HeldOut(NamedTuple):
    """The likelihood of held-out shots.

    Attributes:
        rbm: the RBM.
        log_z: its log Z.
        log_p: log p of the shots, with readout errors of the records, [shot].
        error: standard error of their mean beyond the noise of the shots: that of log Z, and the
            noise and bias of the annealing of records.
        warning: why log p cannot be trusted; empty if no problem was detected.
    """

    rbm: RBM
    log_z: LogPartition
    log_p: Float64
    error: float
    warning: str = ""


@single_blas_thread()
def held_out_likelihood(rbm: RBM, training: Shots, held_out: Shots, *, seed: int) -> HeldOut:
    """Return log p(v) of held-out shots; the training shots may help to estimate log Z."""
    log_z = log_partition(rbm, data=training, seed=seed)
    found = shots_log_prob(rbm, held_out, log_z, seed)
    warning = "; ".join(filter(None, (log_z.warning, found.warning)))
    return HeldOut(rbm, log_z, found.values, math.hypot(found.error, found.bias), warning)


@single_blas_thread()
def compare_configurations(
    model: HeldOut, best: HeldOut, training: Shots, held_out: Shots, *, block: int = 1
) -> Configurations:
    """Compare an RBM with held-out shots by configurations, with independent bits and `best`.

    Errors are those of blocks of consecutive held-out shots, see `data.dependence`.
    """
    rbm, log_z, log_p, error, warning = model
    seen, _ = training.unique
    log_p_seen = shots_log_prob(rbm, replace(training, bits=seen), log_z, 0).values
    times = Counter(row.tobytes() for row in held_out.bits)
    counts = [times[row.tobytes()] for row in seen]
    cells = cell_divergence(log_p_seen, counts, len(held_out))
    losses = (independent_bits(training.bits, held_out.bits) - log_p, best.log_p - log_p)
    means = [float(loss.mean()) for loss in losses]
    blocks = [block_means(loss, block) for loss in losses]
    noise = [float(each.std(ddof=1) / np.sqrt(len(each))) for each in blocks]
    errors = np.hypot(noise, [error, float(np.hypot(error, best.error))])
    warnings = dict.fromkeys(filter(None, (warning, best.warning)))
    return Configurations(
        cells, means[0], float(errors[0]), means[1], float(errors[1]), "; ".join(warnings)
    )


def independent_bits(training: NDArray[np.uint8], held_out: NDArray[np.uint8]) -> Float64:
    """Return log p_0(v) of each held-out shot; p_0 gives a value never seen half a shot.

    Both are bits [shot, site].
    """
    ones = (training.sum(axis=0) + 0.5) / (len(training) + 1)
    return np.asarray(held_out @ np.log(ones / (1 - ones)) + np.log1p(-ones).sum())
