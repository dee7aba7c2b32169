"""One version of psiprune in a process of its own; `peers.Peer` is the other end (earlier.py).

PYTHONPATH names the sources of the version and its folder of benchmarks, whose `peers` it uses.
Times are CPU seconds on one core.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import peers
import psiprune as pp
from peer_serve import serve

CHAINS = 112
_clocks: dict[tuple[int, ...], peers.UpdateClock] = {}


def cpu_seconds(task: Callable[[], object]) -> float:
    """CPU time of a call."""
    start = time.process_time()
    task()
    return time.process_time() - start


def gibbs(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds of a Gibbs step of 112 chains."""
    steps, rbm = request["count"], peers.random_rbm(request["visible"], request["hidden"])
    rbm.sample(CHAINS, steps=1, seed=0)
    return {"seconds": cpu_seconds(lambda: rbm.sample(CHAINS, steps=steps, seed=0)) / steps}


def update(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds of an update: the fastest of five epochs; the training goes on with each request."""
    sizes = request["visible"], request["hidden"], request["cd_steps"]
    if sizes not in _clocks:
        shots = pp.Shots(np.load(request["data"]))
        _clocks[sizes] = peers.UpdateClock(peers.random_rbm(*sizes[:2]), shots, sizes[2])
    return {"seconds": _clocks[sizes](5)}


def trained(request: dict[str, Any]) -> dict[str, Any]:
    """Save the RBM of a training by CD, whose learning rate falls from 0.1 to 0.001."""
    shots, hidden = pp.Shots(np.load(request["data"])), request["hidden"]
    epochs, steps = request["epochs"], request["cd_steps"]
    if hasattr(pp, "CD"):
        rbm = pp.train(shots, hidden=hidden, seed=0, method=pp.CD(epochs=epochs, steps=steps))
    else:  # before methods were classes
        settings: dict[str, Any] = {"method": "cd", "epochs": epochs, "cd_steps": steps}
        rbm = pp.train(shots, hidden=hidden, seed=0, **settings)
    rbm.save(request["file"])
    return {}


def natural(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds of a training by natural gradient, whose RBM is saved."""
    shots = pp.Shots(np.load(request["data"]))
    rbms: list[pp.RBM] = []
    seconds = cpu_seconds(
        lambda: rbms.append(
            pp.train(shots, hidden=shots.bits.shape[1] // 2, seed=0, method="natural")
        )
    )
    rbms[0].save(request["file"])
    return {"seconds": seconds}


if __name__ == "__main__":
    os.cpu_count = lambda: 1
    peers.seconds = cpu_seconds
    serve(("numba", "numpy"), {each.__name__: each for each in (gibbs, update, trained, natural)})
