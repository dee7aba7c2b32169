"""How long does a step of natural gradient take, and what KL does training by it reach?

The first table compares two ways to the direction (F + lambda 1)^-1 g of a step, over the same
10,000 chains, in CPU seconds: 20 iterations of conjugate gradients, as where F is large, and
forming and factorising F. Both then serve for about 16 steps, conjugate gradients with 4 more
iterations in each. The error is that of conjugate gradients, sqrt(e.A.e / x.A.x) with
A = F + lambda 1. RBMs are those after five steps on shots of the Ising
chain at h = 2, with all weights or the largest ones; lambda is 1e-3, in the middle of its range.

The second table trains 100 x 50 RBMs on 10^5 shots at h = 1 (seed 1) and measures seconds, the
memory that training adds, and KL to the exact state. --quick leaves it out.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

import peers
import psiprune as pp
from psiprune.core.threads import single_blas_thread
from psiprune.inference.fisher import damped_factor, factors_of_parameters, sample_fisher
from psiprune.inference.natural_direction import (
    Conjugate,
    conjugate_gradients,
    damped_fisher,
    sample_scores,
)
from psiprune.rbm.likelihood import unique_configurations
from psiprune.training.natural_metric import FIRST_PRODUCTS
from psiprune.training.train import fit, new_rbm

SHOTS, SEED, DAMPING = 100_000, 0, 1e-3
SIZES = ((50, 1.0), (100, 1.0), (100, 0.2), (200, 0.1))
SCHEDULES = ((40, 0), (150, 0), (150, 1), (150, 2))  # steps, random seed


def main() -> None:
    args = peers.options(__doc__)
    about = peers.header("Natural gradient", "F over 10,000 chains")
    rows: list[peers.Row] = []
    for sites, density in SIZES[: 2 if args.quick else None]:
        with peers.one_core():
            rows.append(directions(sites, density))
        peers.show(rows[-1:])
    peers.show(rows)
    trained: list[peers.Row] = []
    if not args.quick:
        state = pp.ground_state(pp.TFIM(sites=100, field=1.0))
        shots = pp.sample(state, SHOTS, seed=1)
        for steps, seed in SCHEDULES:
            trained.append(training(steps, seed, shots, state))
            peers.show(trained[-1:])
        peers.show(trained)
    peers.save(args.json, about, directions=rows, training=trained)
    if args.update and trained:
        peers.update_page("natural-training", trained)


@single_blas_thread()
def directions(sites: int, density: float) -> peers.Row:
    """Time both ways to the direction of the sixth step."""
    shots, hidden = peers.ising_shots(sites, 20_000), sites // 2
    mask = largest(new_rbm(shots, hidden, SEED, "local").weights, density)
    method = pp.NaturalGradient(epochs=6)
    state = method.init(new_rbm(shots, hidden, SEED, "local", mask), shots, SEED)
    for _ in range(5):
        state, _ = method.step(state)
    rbm, chains = state.rbm, state.chains
    slope = mean_score(rbm, shots.bits) - mean_score(rbm, chains)
    begin = time.process_time()
    matrix = damped_fisher(rbm, sample_scores(rbm, chains), DAMPING)
    none = Conjugate.none(len(slope))
    found, _ = conjugate_gradients(matrix, slope, none, FIRST_PRODUCTS)
    middle = time.process_time()
    fisher = sample_fisher(rbm, unique_configurations(chains))
    factor, _ = damped_factor(fisher.T, DAMPING)
    exact = scipy.linalg.cho_solve((factor, True), slope)
    formed, iterated = time.process_time() - middle, middle - begin
    return {
        "RBM": f"{sites} x {hidden}",
        "density": f"{100 * density:.0f} %",
        "parameters": len(slope),
        "conjugate gradients [s]": iterated,
        "F formed [s]": formed,
        "ratio": formed / iterated,
        "error": float(np.sqrt(1 - slope @ found / (slope @ exact))),  # x.A.x is x.g for both
    }


def training(steps: int, seed: int, shots: pp.Shots, state: pp.MPS) -> peers.Row:
    """Train once, and evaluate against the state."""
    start = new_rbm(shots, shots.sites // 2, SEED, "local")
    before = peak_memory()
    elapsed, processor = time.perf_counter(), time.process_time()
    rbm = fit(start, shots, pp.NaturalGradient(epochs=steps), seed)
    elapsed, processor = time.perf_counter() - elapsed, time.process_time() - processor
    memory = peak_memory(reset=False) - before
    kl = pp.evaluate(rbm, state, seed=3, draws=20_000).kl
    return {
        "steps": steps,
        "seed": seed,
        "seconds": elapsed,
        "CPU [s]": processor,
        "memory [MB]": memory / 1024,
        "KL": kl.value,
        "error": kl.error,
        "floor": kl.floor,
    }


def peak_memory(*, reset: bool = True) -> int:
    """KiB that this process held at most since the last reset; Linux keeps count."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def mean_score(rbm: pp.RBM, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The mean of d log p~(v) / d theta over configurations, [parameter]."""
    (s,), (v,) = sample_scores(rbm, bits)
    return (s @ v.T / len(bits))[factors_of_parameters(rbm)].astype(np.float64)


def largest(weights: NDArray[np.float64], density: float) -> NDArray[np.bool_]:
    """The mask of a share of the weights, the largest ones."""
    kept = np.argsort(-np.abs(weights), axis=None)[: round(density * weights.size)]
    return np.isin(np.arange(weights.size), kept).reshape(weights.shape)


if __name__ == "__main__":
    main()
