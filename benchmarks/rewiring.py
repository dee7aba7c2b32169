"""What should a rewiring drop, and how much? From three masks, N = 18, h = J.

Each mask is trained to maximum likelihood on 10^5 shots, then rewired: 20 rounds of 20 exact steps.
KL is to the exact state. One seed, a quarter of an hour on two cores; --quick is 8 sites.
"""

from __future__ import annotations

import peers
import psiprune as pp
from psiprune.pruning.settings import Criterion

SEED = 0
WAYS: tuple[tuple[Criterion, float], ...] = (
    ("surgeon", 0.3),
    ("surgeon", 0.15),
    ("magnitude", 0.3),
)


def main() -> None:
    args = peers.options(__doc__)
    sites, amount, rounds = (8, 2_000, 3) if args.quick else (18, 100_000, 20)
    hidden = sites // 2
    many, few = (16, 12) if args.quick else (63, 33)
    about = peers.header(
        f"Rewiring, N = {sites}, {hidden} hidden units, h = J",
        f"{amount:,} shots of seed {SEED}; {rounds} rounds",
    )
    state = pp.ground_state(pp.TFIM(sites=sites))
    shots = pp.sample(state, amount, seed=SEED)
    masks = {
        f"{many} random": pp.random_mask(hidden, sites, many, SEED),
        f"{many} clusters": pp.cluster_mask(hidden, sites, many),
        f"{few} random": pp.random_mask(hidden, sites, few, SEED),
    }
    rows: list[peers.Row] = []
    for name, mask in masks.items():
        start = pp.train(shots, hidden=hidden, seed=SEED, method="exact", mask=mask)
        row: peers.Row = {"mask": name, "KL before": pp.evaluate(start, state).kl.value}
        for criterion, share in WAYS:
            *_, last = pp.rewire(
                start,
                shots,
                rounds=rounds,
                share=share,
                criterion=criterion,
                seed=SEED,
                fine_tune=pp.ExactNaturalGradient.for_fine_tuning(epochs=20),
            )
            row[f"{criterion}, share {share:g}"] = pp.evaluate(last.rbm, state).kl.value
        rows.append(row)
        peers.show(rows[-1:])
    peers.show(rows)
    peers.save(args.json, about, rewiring=rows)


if __name__ == "__main__":
    main()
