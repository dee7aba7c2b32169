"""QuCumber's side of a benchmark, run in the peers' environment; `peers.Peer` is the other end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from qucumber.nn_states import PositiveWaveFunction

from peer_serve import serve


class EpochClock:
    """Notes the CPU time after each epoch, and every so many epochs the parameters.

    It stands in for a learning-rate scheduler, which `fit` calls once an epoch. A callback would
    be called at every batch as well, and QuCumber would look slower than it is.
    """

    def __init__(self, state: PositiveWaveFunction, keep_every: int) -> None:
        self.state, self.keep_every = state, keep_every
        self.times = [time.process_time()]
        self.kept: dict[str, list[Any]] = {"weights": [], "visible_bias": [], "hidden_bias": []}

    def step(self) -> None:
        self.times.append(time.process_time())
        if self.keep_every and (len(self.times) - 1) % self.keep_every == 0:
            for name, values in self.kept.items():
                values.append(getattr(self.state.rbm_am, name).detach().numpy().copy())


def fit(request: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds of each epoch of QuCumber's own `fit`; parameters kept go to `folder`."""
    data = np.load(request["data"])
    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    state = PositiveWaveFunction(data.shape[1], request["hidden"], gpu=False)
    clock = EpochClock(state, request["keep_every"])
    state.fit(
        data,
        epochs=request["epochs"],
        pos_batch_size=request["batch"],
        k=request["cd_steps"],
        lr=request["learning_rate"],
        scheduler=lambda optimizer: clock,
    )
    if request["keep_every"]:
        for name, values in clock.kept.items():
            np.save(Path(request["folder"]) / f"{name}.npy", np.stack(values))
    return {"epoch_seconds": np.diff(clock.times).tolist()}


def sample(request: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds of one call of QuCumber's own `sample`, random start included."""
    weights = torch.from_numpy(np.load(request["weights"]))
    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    state = PositiveWaveFunction(weights.shape[1], weights.shape[0], gpu=False)
    state.rbm_am.weights.data[:] = weights
    start = time.process_time()
    state.sample(request["steps"], num_samples=request["chains"])
    return {"seconds": time.process_time() - start}


if __name__ == "__main__":
    serve(("qucumber", "torch", "numpy"), {"fit": fit, "sample": sample})
