"""CD-k in JAX for a benchmark, run in the peers' environment; `peers.Peer` is the other end."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"  # one thread

import jax
import jax.numpy as jnp
import numpy as np

from peer_serve import serve

Parameters = tuple[jax.Array, jax.Array, jax.Array]


def fit(request: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds of each epoch; the first compiles it. Parameters go to `folder`.

    One compiled scan over all batches of an epoch, float32, with weights ~ N(0, 1) / sqrt(N).
    """
    data = jnp.asarray(np.load(request["data"]), jnp.float32)
    hidden, batch = request["hidden"], request["batch"]
    key = jax.random.key(request["seed"])
    key, first = jax.random.split(key)
    weights = jax.random.normal(first, (hidden, data.shape[1])) / np.sqrt(data.shape[1])
    params: Parameters = weights, jnp.zeros(data.shape[1]), jnp.zeros(hidden)
    times = []
    for _ in range(request["epochs"]):
        start = time.process_time()
        key, now = jax.random.split(key)
        params = epoch(params, data, now, batch, request["cd_steps"], request["learning_rate"])
        jax.block_until_ready(params)
        times.append(time.process_time() - start)
    names = "weights", "visible_bias", "hidden_bias"
    for name, values in zip(names, params, strict=True):
        np.save(f"{request['folder']}/{name}.npy", np.asarray(values)[None])
    return {"epoch_seconds": times}


@partial(jax.jit, static_argnames=("batch", "cd_steps"))
def epoch(
    params: Parameters, data: jax.Array, key: jax.Array, batch: int, cd_steps: int, rate: float
) -> Parameters:
    """Shuffle the shots and take a step for each batch; what does not fill one is left out."""
    shuffle, key = jax.random.split(key)
    count = len(data) // batch
    order = jax.random.permutation(shuffle, len(data))[: count * batch].reshape(count, batch)

    def update(params: Parameters, item: tuple[jax.Array, jax.Array]) -> tuple[Parameters, None]:
        weights, visible_bias, hidden_bias = params
        rows, key = item
        v = data[rows]
        start = jax.nn.sigmoid(v @ weights.T + hidden_bias)

        def gibbs(x: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
            one, two = jax.random.split(key)
            h = jax.random.bernoulli(one, jax.nn.sigmoid(x @ weights.T + hidden_bias))
            p = jax.nn.sigmoid(h.astype(jnp.float32) @ weights + visible_bias)
            return jax.random.bernoulli(two, p).astype(jnp.float32), None

        x, _ = jax.lax.scan(gibbs, v, jax.random.split(key, cd_steps))
        end = jax.nn.sigmoid(x @ weights.T + hidden_bias)
        gradient = start.T @ v - end.T @ x, (v - x).sum(axis=0), (start - end).sum(axis=0)
        stepped = (p + rate / batch * g for p, g in zip(params, gradient, strict=True))
        return tuple(stepped), None

    params, _ = jax.lax.scan(update, params, (order, jax.random.split(key, count)))
    return params


if __name__ == "__main__":
    serve(("jax", "numpy"), {"fit": fit})
