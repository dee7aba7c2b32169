"""NetKet's side of a benchmark, run in the peers' environment; `peers.Peer` is the other end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import netket as nk
import numpy as np
from netket.experimental import QSR

from peer_serve import serve

STEPS, BATCH = 2000, 1000


def fit(request: dict[str, Any]) -> dict[str, Any]:
    """Reconstruct a positive state from shots in Z; log psi of the states asked for goes to disk.

    The RBM is for psi itself, with N/2 hidden units. The gradient of the normalisation is a sum
    over all states. Reading the shots and compiling the step are not on the clock.
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
    start = time.perf_counter()
    driver.run(STEPS, show_progress=False)
    seconds = time.perf_counter() - start
    log_psi = np.asarray(state.log_value(states)).real
    np.save(Path(request["folder"]) / "log_psi.npy", log_psi)
    return {"seconds": seconds}


if __name__ == "__main__":
    serve(("netket", "jax", "numpy"), {"fit": fit})
