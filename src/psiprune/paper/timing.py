"""Measure how much faster a pruned RBM is trained and sampled, on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from psiprune.core.threads import single_blas_thread
from psiprune.data.shots import Shots
from psiprune.io.provenance import describe_machine
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM
from psiprune.training.cd import CD
from psiprune.training.contrastive_divergence import ContrastiveDivergence
from psiprune.training.method import Method
from psiprune.training.train import fit

#: Gibbs steps of one measurement, some 50 ms with 18 x 9 weights; the fastest of several counts.
_STEPS, _REPEATS = 20_000, 5
#: Training is timed by so many additional updates, so that one-time work does not count.
_UPDATES = 4_000
_CHAINS = 112  # one full tile, on one core


@single_blas_thread()
def time_levels(rbms: Sequence[RBM], shots: Shots, training: Method) -> dict[str, Any]:
    """Time a contrastive divergence update and a Gibbs step of one chain for each RBM.

    In microseconds on one core, the fastest of five; an update has `batch_size` shots and
    `cd_steps` steps.

    Returns:
        {"machine", "unit", "sites", "hidden", "batch_size", "cd_steps", "rows"}; a row has weights,
        density, cd_update and gibbs_step.
    """
    timed = training if isinstance(training, ContrastiveDivergence) else CD()
    part = Shots(shots.bits[: 100 * timed.batch_size], readout=shots.readout)
    each = -(-len(part) // timed.batch_size)
    more = -(-_UPDATES // each)
    short, long = (
        CD(epochs=epochs, batch_size=timed.batch_size, steps=timed.steps, learning_rate=1e-9)
        for epochs in (1, 1 + more)
    )
    fit(rbms[0], part, short, seed=0)  # compiles, or loads from the cache
    rows = []
    for rbm in rbms:
        start = gibbs.random_start(_CHAINS, rbm.visible, 0)
        chains = gibbs.step(gibbs.start_chains(rbm.compiled, start, 0), 10)

        def update(method: CD, rbm: RBM = rbm) -> None:
            fit(rbm, part, method, seed=0)

        def walk(chains: gibbs.Chains = chains) -> None:
            gibbs.step(chains, _STEPS)

        beyond = _fastest(partial(update, long)) - _fastest(partial(update, short))
        rows.append(
            {
                "weights": rbm.number_of_weights,
                "density": rbm.density,
                "cd_update": 1e6 * beyond / (more * each),
                "gibbs_step": 1e6 * _fastest(walk) / (_STEPS * _CHAINS),
            }
        )
    return {
        "machine": describe_machine(),
        "unit": "microseconds",
        "sites": rbms[0].visible,
        "hidden": rbms[0].hidden,
        "batch_size": timed.batch_size,
        "cd_steps": timed.steps,
        "rows": rows,
    }


def _fastest(work: Callable[[], None]) -> float:
    """Return the seconds of the fastest of several runs."""
    times = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)
