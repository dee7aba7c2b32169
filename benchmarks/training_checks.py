"""What the checks at the end of a training cost, as a fraction of the training.

`psiprune.train` compares the RBM with product models and watches its chains mix. The goal is below
5 % of the training: CD and exact natural gradient at N = 10 (h = J, 10^4 shots), exact at N = 18
(10^5 shots) and natural at N = 50 (10^4 shots). The training is timed without its checks (`fit`),
the checks alone, both in CPU seconds, after a round that compiles. A minute of one core;
--quick leaves N = 50 out.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import peers
import psiprune as pp
from psiprune.core.threads import single_blas_thread
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
    about = peers.header("Training and its checks, CPU seconds; h = J, N/2 hidden units")
    rows = [measure(*case) for case in (CASES[:3] if args.quick else CASES)]
    peers.show(rows)
    peers.save(args.json, about, training_checks=rows)


def measure(sites: int, count: int, method: Method) -> peers.Row:
    shots = peers.ising_shots(sites, count)
    start = new_rbm(shots, sites // 2, peers.SEED, method.INITIAL[0])

    def check(rbm: pp.RBM) -> None:
        if len(method.INITIAL) > 1:
            misses_structure(rbm, shots)
        training_problems(rbm, shots, method, peers.SEED)

    def cpu_seconds(task: Callable[[], object]) -> float:
        begin = time.process_time()
        task()
        return time.process_time() - begin

    check(fit(start, shots, method.model_copy(update={"epochs": 1}), peers.SEED))
    trained: list[pp.RBM] = []
    with peers.one_core(), single_blas_thread():
        training = cpu_seconds(lambda: trained.append(fit(start, shots, method, peers.SEED)))
        (checks,) = peers.best(3, lambda: cpu_seconds(lambda: check(trained[0])))
    return {
        "N": sites,
        "shots": count,
        "method": method.method,
        "training": training,
        "checks": checks,
        "checks / training": checks / training,
    }


if __name__ == "__main__":
    main()
