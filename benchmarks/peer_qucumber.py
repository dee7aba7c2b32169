"""QuCumber's side of a benchmark, run in the peers' environment; `peers.Peer` is the other end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from qucumber.callbacks import LambdaCallback
from qucumber.nn_states import ComplexWaveFunction, PositiveWaveFunction

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


def phases(request: dict[str, Any]) -> dict[str, Any]:
    """Reconstruct a state with phases; its amplitudes, site 0 first in the index, go to `folder`.

    Epochs, batches, learning rate and steps of contrastive divergence of QuCumber's second
    tutorial, as many hidden units as sites, or fewer batches where `seconds` of CPU time are over.
    """
    bits, bases = np.load(request["data"]).astype(float), np.load(request["bases"])
    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    state = ComplexWaveFunction(bits.shape[1], bits.shape[1], gpu=False)
    begun, batches = time.process_time(), 0

    def count(state: ComplexWaveFunction, epoch: int, batch: int) -> None:
        nonlocal batches
        batches += 1
        state.stop_training = time.process_time() > begun + request["seconds"]

    state.fit(
        bits,
        epochs=500,
        pos_batch_size=100,
        neg_batch_size=100,
        lr=0.1,
        k=10,
        input_bases=bases,
        callbacks=[LambdaCallback(on_batch_end=count)],
    )
    seconds = time.process_time() - begun
    real, imaginary = (part.detach().numpy() for part in state.psi(state.generate_hilbert_space()))
    np.save(Path(request["folder"]) / "psi.npy", real + 1j * imaginary)
    return {"seconds": seconds, "epochs": batches / -(-len(bits) // 100)}


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
    serve(("qucumber", "torch", "numpy"), {"fit": fit, "phases": phases, "sample": sample})
