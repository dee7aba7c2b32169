"""What the checks at the end of a training cost, as a fraction of the training.

`psiprune.train` compares the RBM with product models and watches its chains mix. The goal is below
5 % of the training: CD and exact natural gradient at N = 10 (h = J, 10^4 shots), exact at N = 18
(10^5 shots) and natural at N = 50 (10^4 shots). The training is timed without its checks (`fit`),
the checks alone, each once after a short training that compiles. Two minutes of one core;
--quick leaves N = 50 out.
"""

from __future__ import annotations

import peers
import psiprune as pp
from psiprune.training.diagnostics import misses_structure, training_problems
from psiprune.training.method import Method
from psiprune.training.train import fit, new_rbm

CASES: tuple[tuple[int, int, Method], ...] = (
    (10, 10_000, pp.CD()),
    (10, 10_000, pp.ExactNaturalGradient()),
    (18, 100_000, pp.ExactNaturalGradient()),
    (50, 10_000, pp.NaturalGradient()),
)


def main() -> None:
    args = peers.options(__doc__)
    about = peers.header("Training and its checks, seconds; h = J, N/2 hidden units")
    rows: list[peers.Row] = []
    for sites, count, method in CASES[:3] if args.quick else CASES:
        shots = peers.ising_shots(sites, count)
        start = new_rbm(shots, sites // 2, peers.SEED, method.INITIAL[0])

        def train(method: Method, start: pp.RBM = start, shots: pp.Shots = shots) -> None:
            trained.append(fit(start, shots, method, peers.SEED))

        def check(method: Method = method, shots: pp.Shots = shots) -> None:
            if len(method.INITIAL) > 1:
                misses_structure(trained[-1], shots)
            training_problems(trained[-1], shots, method, peers.SEED)

        trained: list[pp.RBM] = []
        train(method.model_copy(update={"epochs": 1}))
        check()
        training = peers.seconds(lambda train=train, method=method: train(method))  # type: ignore[misc]
        checks = peers.best(3, lambda check=check: peers.seconds(check))[0]  # type: ignore[misc]
        rows.append(
            {
                "N": sites,
                "shots": count,
                "method": method.method,
                "training": training,
                "checks": checks,
                "checks / training": checks / training,
            }
        )
    peers.show(rows)
    peers.save(args.json, about, training_checks=rows)


if __name__ == "__main__":
    main()
