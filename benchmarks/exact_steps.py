"""Steps and weight decay of exact natural gradient: KL and processor time, Ising and XXZ chains.

10^5 shots of each ground state, N/2 hidden units for Ising chains, N and 18 for XXZ. KL is a sum
over all states; the time does not include it. Fewer steps are taken where training converges.
--quick is a few small chains.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import peers
import psiprune as pp
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.reference import Reference, reference_of
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.method import Initial
from psiprune.training.train import TrainingProgress

STEPS = (500, 1000)
DECAYS = (1e-6, 1e-7, 1e-8)


class Chain(NamedTuple):
    """A model with the hidden units and the initial weights of its RBMs."""

    title: str
    model: pp.TFIM | pp.XXZ
    hidden: int
    initial: Initial


def main() -> None:
    args = peers.options(__doc__, seeds=3)
    ising = [
        Chain(f"Ising, N = {n}, h = {h:g} J", pp.TFIM(sites=n, field=h), n // 2, "local")
        for n in ([4] if args.quick else [10, 18])
        for h in (1.0, 2.0)
    ]
    xxz = [(0.5, 12), (0.5, 18), (1.0, 12), (1.0, 18)]
    sites = 4 if args.quick else 12
    chains = ising + [
        Chain(f"XXZ, N = {sites}, Delta = {d:g}", pp.XXZ(sites=sites, delta=d), hidden, "coded")
        for d, hidden in (xxz[:1] if args.quick else xxz)
    ]
    shots, seeds = (2_000, 1) if args.quick else (100_000, args.seeds)
    title = "Steps and weight decay of exact natural gradient"
    about = peers.header(title, f"{shots:,} shots of seed 0; KL of each of {seeds} seeds")
    rows = [row for chain in chains for row in rows_of(chain, shots, seeds)]
    peers.show(rows)
    peers.save(args.json, about, exact_steps=rows)


def rows_of(chain: Chain, shots: int, seeds: int) -> list[peers.Row]:
    """Return a row for each decay."""
    state = pp.ground_state(chain.model)
    reference, data = reference_of(state), pp.sample(state, shots, seed=0)
    rows = []
    for decay in DECAYS:
        found = [measure(chain, data, reference, decay, seed) for seed in range(seeds)]
        row: peers.Row = {"model": chain.title, "hidden": chain.hidden, "decay": f"{decay:g}"}
        for steps in STEPS:
            row[f"KL, {steps}"] = " ".join(peers.cell(each[steps][0]) for each in found)
            row[f"s, {steps}"] = min(each[steps][1] for each in found)
        rows.append(row)
    return rows


def measure(
    chain: Chain, data: pp.Shots, reference: Reference, decay: float, seed: int
) -> dict[int, tuple[float, float]]:
    """Return KL and seconds after each number of steps of one training."""
    found: dict[int, tuple[float, float]] = {}
    start, measuring = time.process_time(), 0.0

    def note(progress: TrainingProgress) -> None:
        nonlocal measuring
        if progress.epoch in STEPS:
            begin = time.process_time()
            kl = exact_metrics(progress.rbm, reference).kl
            found[progress.epoch] = kl, begin - start - measuring
            measuring += time.process_time() - begin

    rbm = pp.train(
        data,
        hidden=chain.hidden,
        method=ExactNaturalGradient(epochs=STEPS[-1], weight_decay=decay),
        initial=chain.initial,
        seed=seed,
        callback=note,
        progress=False,
    )
    seconds = time.process_time() - start - measuring
    for steps in STEPS:  # those after convergence
        found.setdefault(steps, (exact_metrics(rbm, reference).kl, seconds))
    return found


if __name__ == "__main__":
    main()
