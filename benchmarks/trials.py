"""Is there a better weight to remove than the one that the surgeon takes?

From a level of a surgeon's path (N = 18, 9 hidden units, 10^5 shots, exact training) weights go one
at a time in two ways: by the surgeon, and by trial, where each of all weights is taken out once,
the biases of its units compensated, and four steps of exact training done; of the three most likely
RBMs 20 steps of training tell the best. Both see the shots alone; KL is to the exact state. A
quarter of an hour on two cores; --quick goes two weights at 8 sites.
"""

from __future__ import annotations

import numpy as np

import peers
import psiprune as pp
from psiprune.pruning.criteria import absorb_into_biases
from psiprune.pruning.iterative import fine_tuned, prune_to_count
from psiprune.pruning.settings import PruneSettings

SEED = 0
BRIEF = pp.ExactNaturalGradient.for_fine_tuning(epochs=4)
FULL = pp.ExactNaturalGradient.for_fine_tuning(epochs=20)
SURGEON = PruneSettings(criterion="surgeon")
#: Field, the level to begin at, and weights removed from there on.
RANGES = ((1.0, 8, 8), (2.0, 14, 7))
FINALISTS = 3


def main() -> None:
    args = peers.options(__doc__)
    sites, amount, ranges = 18, 100_000, RANGES
    if args.quick:
        sites, amount, ranges = 8, 2_000, ((1.0, 4, 2), (2.0, 4, 2))
    about = peers.header(
        f"Weights removed one at a time, N = {sites}, {sites // 2} hidden units",
        f"{amount:,} shots of seed {SEED}; the likelihood is that of the shots",
    )
    rows: list[peers.Row] = []
    for field, level, steps in ranges:
        state = pp.ground_state(pp.TFIM(sites=sites, field=field))
        shots = pp.sample(state, amount, seed=SEED)
        dense = pp.train(shots, hidden=sites // 2, seed=SEED, method="exact")
        path = pp.prune(
            dense,
            shots,
            criterion="surgeon",
            levels=level,
            seed=SEED,
            fine_tune=pp.ExactNaturalGradient.for_fine_tuning(epochs=FULL.epochs),
        )
        operated = tried = path[-1].rbm
        for step in range(steps + 1):
            if step > 0:
                count = operated.number_of_weights - 1
                operated = prune_to_count(operated, count, SURGEON, SEED, level + step)
                operated = fine_tuned(operated, shots, FULL, SEED, level + step)
                tried = best_removal(tried, shots)
            rows.append(
                {
                    "h/J": field,
                    "weights": tried.number_of_weights,
                    "KL, surgeon": pp.evaluate(operated, state).kl.value,
                    "KL, all tried": pp.evaluate(tried, state).kl.value,
                    "same mask": "yes" if np.array_equal(operated.mask, tried.mask) else "no",
                }
            )
            peers.show(rows[-1:])
    peers.show(rows)
    peers.save(args.json, about, trials=rows)


def best_removal(rbm: pp.RBM, shots: pp.Shots) -> pp.RBM:
    """The likeliest RBM with one weight less, after training."""
    trials = []
    for there in np.argwhere(rbm.mask):
        mask = rbm.mask.copy()
        mask[tuple(there)] = False
        trials.append(fine_tuned(absorb_into_biases(rbm, mask), shots, BRIEF, SEED, 0))
    trials.sort(key=lambda trial: -likelihood(trial, shots))
    finalists = [fine_tuned(trial, shots, FULL, SEED, 0) for trial in trials[:FINALISTS]]
    return max(finalists, key=lambda trial: likelihood(trial, shots))


def likelihood(rbm: pp.RBM, shots: pp.Shots) -> float:
    """The mean log-likelihood of a shot."""
    return float(rbm.log_prob(shots).mean())


if __name__ == "__main__":
    main()
