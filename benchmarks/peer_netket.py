"""NetKet's side of a benchmark, run in the peers' environment; `peers.Peer` is the other end."""

from __future__ import annotations

import os
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"  # one thread

import jax
import netket as nk
import numpy as np
from netket.experimental import QSR

from peer_serve import serve

STEPS, BATCH = 2000, 1000


def fit(request: dict[str, Any]) -> dict[str, Any]:
    """Reconstruct a positive state from shots in Z; log psi of the states asked for goes to disk.

    The RBM is for psi itself, with N/2 hidden units. The gradient of the normalisation is a sum
    over all states. Reading the shots and compiling the step are not on the clock. Seconds are by
    the clock, and of CPU time.
    """
    data, states = (1 - 2 * np.load(request[name]).astype(np.int8) for name in ("data", "states"))
    sites = data.shape[1]
    state = nk.vqs.FullSumState(
        nk.hilbert.Spin(0.5, sites),
        nk.models.RBM(alpha=0.5, param_dtype=float),
        seed=request["seed"],
    )
    driver = QSR(
        (data, ["I" * sites] * len(data)),
        training_batch_size=BATCH,
        optimizer=nk.optimizer.Adam(0.01),
        variational_state=state,
        control_variate_update_freq="Adaptive",
        seed=request["seed"],
    )
    driver.run(1, show_progress=False)
    start, processor = time.perf_counter(), time.process_time()
    driver.run(request.get("steps", STEPS), show_progress=False)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    log_psi = np.asarray(state.log_value(states)).real
    np.save(Path(request["folder"]) / "log_psi.npy", log_psi)
    return {"seconds": seconds, "CPU seconds": processor}


def phases(request: dict[str, Any]) -> dict[str, Any]:
    """Reconstruct a state with phases; its amplitudes, site 0 first in the index, go to `folder`.

    A complex RBM with N hidden units, and otherwise the settings of `fit`, or fewer steps where
    `seconds` of CPU time are over. Compiling the step is not on the clock.
    """
    bits, bases = np.load(request["data"]), np.load(request["bases"])
    sites = bits.shape[1]
    state = nk.vqs.FullSumState(
        nk.hilbert.Spin(0.5, sites),
        nk.models.RBM(alpha=1, param_dtype=complex),
        seed=request["seed"],
    )
    driver = QSR(
        (1 - 2 * bits.astype(np.int8), ["".join(row) for row in bases]),
        training_batch_size=min(BATCH, len(bits)),
        optimizer=nk.optimizer.Adam(0.01),
        variational_state=state,
        control_variate_update_freq="Adaptive",
        seed=request["seed"],
    )
    driver.run(1, show_progress=False)
    begun = time.process_time()

    def goes_on(step: int, log: Any, driver: Any) -> bool:
        return time.process_time() < begun + request["seconds"]

    # NetKet prints that a callback has ended it, and standard output is for answers.
    with redirect_stdout(sys.stderr):
        driver.run(STEPS, show_progress=False, callback=goes_on)
    seconds = time.process_time() - begun
    states = (np.arange(2**sites)[:, None] >> np.arange(sites)[::-1]) & 1
    log_psi = np.asarray(state.log_value(1 - 2 * states.astype(np.int8)))
    np.save(Path(request["folder"]) / "psi.npy", np.exp(log_psi - log_psi.real.max()))
    return {"seconds": seconds, "epochs": driver.step_count * min(BATCH, len(bits)) / len(bits)}


def half_log_cosh(x: jax.Array) -> jax.Array:
    """The activation for which psi^2 is an RBM of bits."""
    return nk.nn.activation.log_cosh(x) / 2


def sample(request: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds of so many sweeps of Metropolis chains, each a proposed flip for each site.

    psi^2 is the distribution p(v) of the weights [hidden, visible] given, without biases.
    """
    weights = np.load(request["weights"])
    hidden, sites = weights.shape
    model = nk.models.RBM(alpha=hidden / sites, activation=half_log_cosh, param_dtype=float)
    parameters = {
        "Dense": {"kernel": -weights.T / 4, "bias": weights.sum(axis=1) / 4},
        "visible_bias": -weights.sum(axis=0) / 8,
    }
    sampler = nk.sampler.MetropolisLocal(
        nk.hilbert.Spin(0.5, sites), n_chains=request["chains"], sweep_size=sites
    )
    variables = {"params": jax.tree.map(jax.numpy.asarray, parameters)}
    state = sampler.init_state(model, variables, seed=request["seed"])
    times = []
    for _ in range(2):  # the first compiles
        start = time.process_time()
        steps = request["steps"]
        drawn, state = sampler.sample(model, variables, state=state, chain_length=steps)
        jax.block_until_ready(drawn)
        times.append(time.process_time() - start)
    return {"seconds": times[1]}


if __name__ == "__main__":
    serve(("netket", "jax", "numpy"), {"fit": fit, "phases": phases, "sample": sample})
