"""How far can an RBM of thousands of weights be pruned without training, and in what time?

An RBM with N_h = N/2 is trained by CD-10 on 10^5 shots of the critical chain and pruned 10 % a
step, 20 times, by the surgeon and by magnitude, with no training in between. Some of the levels are
measured against the exact state. CPU seconds are those of pruning up to that level, of all threads
together; training and evaluation are on no clock. The default is 100 x 50; --quick is 24 x 12, with
fewer shots and epochs, in three steps of 40 %.
"""

from __future__ import annotations

import time

import peers
import psiprune as pp
from psiprune.pruning.iterative import prune_to_count
from psiprune.pruning.schedule import count_at
from psiprune.pruning.settings import PruneSettings

SEED = 0
SHOWN = (0, 1, 5, 9, 13, 17, 20)


def main() -> None:
    args = peers.options(__doc__, sites=100)
    sites, levels, shots, epochs, draws = args.sites, 20, 100_000, 500, 100_000
    fraction = 0.1
    if args.quick:
        sites, levels, shots, epochs, draws, fraction = 24, 3, 2_000, 50, 2_000, 0.4
    about = peers.header(
        f"Pruning {sites} x {sites // 2} weights without training, h = J",
        f"CD-10, {epochs} epochs on {shots:,} shots of seed 1; {draws:,} draws an evaluation",
    )
    state = pp.ground_state(pp.TFIM(sites=sites, field=1.0))
    data = pp.sample(state, shots, seed=1)
    dense = pp.train(data, hidden=sites // 2, seed=SEED, method=pp.CD(epochs=epochs))
    rows: list[peers.Row] = []
    for how in (
        PruneSettings(criterion="surgeon", fraction=fraction, levels=levels),
        PruneSettings(criterion="magnitude", fraction=fraction, levels=levels),
    ):
        rbm, cpu = dense, 0.0
        for level in range(levels + 1):
            if level > 0:
                count = count_at(how, dense.number_of_weights, level)
                begin = time.process_time()
                rbm = prune_to_count(rbm, count, how, SEED, level)
                cpu += time.process_time() - begin
            if level in SHOWN or level == levels:
                rows.append(measured(how.criterion, rbm, state, cpu, draws))
                peers.show(rows[-1:])
    peers.show(rows)
    peers.save(args.json, about, pruning_large=rows)


def measured(criterion: str, rbm: pp.RBM, state: pp.MPS, cpu: float, draws: int) -> peers.Row:
    report = pp.evaluate(rbm, state, draws=draws, seed=3)
    return {
        "criterion": criterion,
        "weights": rbm.number_of_weights,
        "KL": report.kl.value,
        "error": report.kl.error,
        "bias of <|m|>": report.abs_magnetization_bias.value,
        "CPU [s]": cpu,
    }


if __name__ == "__main__":
    main()
