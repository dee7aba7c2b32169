"""How near the exact state can a sparse RBM come, with the noise of shots taken out?

RBMs are trained to convergence on the ground state itself (N = 18, h = J), each of its 2^18
configurations with its own probability: KL is then what the mask cannot do, and nothing else.
Windows are `cluster_mask`: each hidden unit on adjacent sites, spread evenly, the graph connected.
"surgeon" is pruned from a dense RBM of 9 hidden units 10 % a step, trained to convergence after
each, once more at 62 weights, the count of the prototype. Of `--seeds` initial weights the median,
the best and the worst are shown; "goal" is what a prototype had for windows as narrow and for a
surgeon. Half an hour of one core with three seeds; --quick does one seed of the windows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import peers
import psiprune as pp
from psiprune.metrics.divergence import kl_divergence
from psiprune.metrics.reference import reference_of
from psiprune.pruning.iterative import prune_to_count
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.likelihood import WeightedConfigurations
from psiprune.rbm.masks import cluster_mask

SITES, HIDDEN = 18, 9
TRAINING = pp.ExactNaturalGradient(epochs=300)
#: (hidden units, weights of each, the prototype's KL).
WINDOWS = ((9, 7, 0.022), (9, 11, 0.0054), (17, 4, 0.052))
#: Weights of the surgeon's path, and the prototype's KL there where it has one.
PATH: tuple[tuple[int, float | None], ...] = (
    (162, 0.0015),
    *((count, None) for count in (146, 131, 118, 106, 96)),
    (84, 0.0023),
    (76, 0.0028),
    (69, None),
    (62, 0.0051),
)


def main() -> None:
    args = peers.options(__doc__, seeds=3)
    seeds = range(1 if args.quick else args.seeds)
    peers.header(
        f"Sparse RBMs trained on the exact state, N = {SITES}, h = J",
        f"natural gradient, at most {TRAINING.epochs} steps; seeds 0 to {len(seeds) - 1}",
    )
    state = pp.ground_state(pp.TFIM(sites=SITES, field=1.0))
    log_q = reference_of(state).log_q
    assert log_q is not None  # N <= 20
    basis = (np.arange(1 << SITES) >> np.arange(SITES)[:, None]) & 1
    exact = WeightedConfigurations(basis.astype(np.float64), np.exp(log_q))

    def fitted(start: pp.RBM, seed: int) -> pp.RBM:
        state = TRAINING.init(start, exact, seed)
        while state.epoch < TRAINING.epochs and not state.done:
            state, _ = TRAINING.step(state)
        return state.rbm

    def kl(rbm: pp.RBM) -> float:
        return kl_divergence(log_q, rbm.log_prob_all() - rbm.log_partition())

    rows: list[peers.Row] = []
    for hidden, width, goal in WINDOWS:
        mask = cluster_mask(hidden, SITES, hidden * width)
        kls = [kl(fitted(initial_rbm(SITES, hidden, seed, mask), seed)) for seed in seeds]
        rows.append(row(f"windows {hidden}x{width}", hidden * width, kls, goal))
        peers.show(rows[-1:])
    if not args.quick:

        def path(seed: int) -> Iterator[float]:
            rbm = initial_rbm(SITES, HIDDEN, seed)
            for step, (count, _) in enumerate(PATH):
                pruned = prune_to_count(rbm, count, PruneSettings(criterion="surgeon"), seed, step)
                rbm = fitted(pruned, seed)
                yield kl(rbm)

        paths = [list(path(seed)) for seed in seeds]
        for (count, goal), *kls in zip(PATH, *paths, strict=True):
            rows.append(row("surgeon", count, kls, goal))
    peers.show(rows)
    peers.save(args.json, {}, yardsticks=rows)


def row(what: str, weights: int, kls: list[float], goal: float | None) -> peers.Row:
    return {
        "what": what,
        "weights": weights,
        "KL": float(np.median(kls)),
        "best": min(kls),
        "worst": max(kls),
        "goal": goal,
    }


if __name__ == "__main__":
    main()
