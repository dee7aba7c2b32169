"""QuCumber's side of a benchmark, run in the peers' environment: JSON in, JSON out, line by line.

The first line it writes names its versions. Then each line read is a request, its arrays given as
paths of .npy files, and each is answered by one line. `peers.Peer` is the other end.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import qucumber
import torch
from qucumber.nn_states import PositiveWaveFunction


class EpochClock:
    """Notes the time after each epoch, and every so many epochs the parameters.

    It stands in for a learning-rate scheduler, which `fit` calls once an epoch. A callback would
    be called at every batch as well, and QuCumber would look slower than it is.
    """

    def __init__(self, state: PositiveWaveFunction, keep_every: int) -> None:
        self.state, self.keep_every = state, keep_every
        self.times = [time.perf_counter()]
        self.kept: dict[str, list[Any]] = {"weights": [], "visible_bias": [], "hidden_bias": []}

    def step(self) -> None:
        self.times.append(time.perf_counter())
        if self.keep_every and (len(self.times) - 1) % self.keep_every == 0:
            for name, values in self.kept.items():
                values.append(getattr(self.state.rbm_am, name).detach().numpy().copy())


def fit(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each epoch of QuCumber's own `fit`; parameters kept go to `folder`."""
    data = np.load(request["data"])
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
    """Seconds of one call of QuCumber's own `sample`, random start included."""
    weights = torch.from_numpy(np.load(request["weights"]))
    torch.manual_seed(request["seed"])
    state = PositiveWaveFunction(weights.shape[1], weights.shape[0], gpu=False)
    state.rbm_am.weights.data[:] = weights
    start = time.perf_counter()
    state.sample(request["steps"], num_samples=request["chains"])
    return {"seconds": time.perf_counter() - start}


def main() -> None:
    versions = {
        "qucumber": qucumber.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        torch.set_num_threads(request["threads"])
        answer = {"fit": fit, "sample": sample}[request["task"]](request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
