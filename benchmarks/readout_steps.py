"""KL divergence of the true state during training: does it rise again, and does `folds` help?

Ground states of the Ising chain at h = J. Up to 20 sites method `exact` trains to convergence, on
the true bits and on the records through their readout errors; `least` is the smallest KL(q || p) of
any step, after the step in brackets, `end` that of the last step, and `folds = 5` that of training
which ends where cross-validation says, with its time relative to training to convergence. `half`
prunes that RBM to half of its weights by optimal brain surgery with the default fine-tuning: all
steps after each pruning step, or those of the cross-validation. Medians over --seeds (5) seeds,
exact KL; a few minutes on an idle core. --sites 24 instead follows method
`natural` with 5,000 chains for its 150 steps, also with `folds = 5` (the number of steps in
brackets), and for five times as many, KL over 50,000 draws of the state.
"""

from __future__ import annotations

import time
import warnings
from statistics import median

import numpy as np
from numpy.typing import NDArray

import peers
import psiprune as pp
from psiprune.training.method import Method

#: Sites, shots, and the share of flipped bits.
CASES = {
    "N = 10, 20,000 shots, 3 %": (10, 20_000, 0.03),
    "N = 10, 20,000 shots, 8 %": (10, 20_000, 0.08),
    "N = 10, 5,000 shots, 5 %": (10, 5_000, 0.05),
    "N = 10, 1,000 shots, 5 %": (10, 1_000, 0.05),
}
DRAWS = 50_000


def main() -> None:
    args = peers.options(__doc__, seeds=5, sites=10)
    seeds = range(2 if args.quick else args.seeds)
    about = peers.header("KL divergence during training through readout errors", f"seeds {seeds}")
    rows = []
    with warnings.catch_warnings(), peers.one_core():
        warnings.simplefilter("ignore", pp.TrainingWarning)  # 1,000 shots are few
        if args.sites == 10:
            for name, case in CASES.items():
                rows.append({"case": name, **exact(*case, seeds)})
                peers.show(rows[-1:])
        else:
            for shots, flip in ((20_000, 0.03), (2_000, 0.05)):
                rows += chains(args.sites, shots, flip, 60 if args.quick else 150)
                peers.show(rows[-4:])
    peers.save(args.json, about, readout_steps=rows)


class Divergence:
    """KL(q || p) after each step of a training, as its callback."""

    def __init__(self, state: pp.MPS) -> None:
        sites = state.sites
        every = ((np.arange(1 << min(sites, 20))[:, None] >> np.arange(sites)) & 1).astype(np.uint8)
        self.bits = every if sites <= 20 else pp.sample(state, DRAWS, seed=99).bits
        self.log_q = state.log_prob(self.bits)
        self.weight = np.exp(self.log_q) if sites <= 20 else np.full(DRAWS, 1.0 / DRAWS)
        self.values: list[float] = []

    def __call__(self, progress: object) -> None:
        self.values.append(self.of(progress.rbm))  # type: ignore[attr-defined]

    def of(self, rbm: pp.RBM) -> float:
        log_p = rbm.log_prob_unnormalized(self.bits) - rbm.log_partition()
        return float(self.weight @ (self.log_q - log_p))

    def during(self, shots: pp.Shots, method: Method, seed: int) -> NDArray[np.float64]:
        self.values = []
        pp.train(shots, seed=seed, method=method, initial="local", callback=self, progress=False)
        return np.array(self.values)


def exact(sites: int, shots: int, flip: float, seeds: range) -> peers.Row:
    state = pp.ground_state(pp.TFIM(sites=sites, field=1.0))
    divergence, found = Divergence(state), []
    for seed in seeds:
        clean = pp.sample(state, shots, seed=seed + 1)
        records = clean.with_readout_error(
            pp.ReadoutError.from_rates(flip, flip, sites=sites), seed
        )
        true = divergence.during(clean, pp.ExactNaturalGradient(), seed)
        begin = time.perf_counter()
        read = divergence.during(records, pp.ExactNaturalGradient(), seed)
        middle = time.perf_counter()
        rbm = pp.train(records, seed=seed, initial="local", folds=5, progress=False)
        ratio = (time.perf_counter() - middle) / (middle - begin)
        folds = divergence.of(rbm)
        halves = [half(rbm, records, number, seed) for number in (0, None)]
        found.append(
            (
                *(true.min(), true[-1], read.min(), read.argmin() + 1, read[-1], folds, ratio),
                *map(divergence.of, halves),
            )
        )
    values = [median(column) for column in zip(*found, strict=True)]
    return {
        "true bits: least": f"{values[0]:.4f}",
        "end": f"{values[1]:.4f}",
        "records: least": f"{values[2]:.4f} ({values[3]:.0f})",
        "end ": f"{values[4]:.4f}",
        "folds = 5": f"{values[5]:.4f}",
        "time": values[6],
        "half: all steps": f"{values[7]:.4f}",
        "half: folds": f"{values[8]:.4f}",
    }


def half(rbm: pp.RBM, records: pp.Shots, folds: int | None, seed: int) -> pp.RBM:
    levels = pp.prune(
        rbm, records, criterion="surgeon", density=0.5, folds=folds, seed=seed, progress=False
    )
    return levels[-1].rbm


def chains(sites: int, shots: int, flip: float, epochs: int) -> list[peers.Row]:
    state = pp.ground_state(pp.TFIM(sites=sites, field=1.0))
    divergence = Divergence(state)
    rows: list[peers.Row] = []
    clean = pp.sample(state, shots, seed=1)
    records = clean.with_readout_error(pp.ReadoutError.from_rates(flip, flip, sites=sites), 0)
    for name, data in (("true bits", clean), ("records", records)):
        for steps in (epochs, 5 * epochs):
            method = pp.NaturalGradient(epochs=steps, chains=5000)
            values = divergence.during(data, method, 0)
            folds = None
            if steps == epochs:
                rbm = pp.train(
                    data, hidden=sites // 2, method=method, initial="local", folds=5, progress=False
                )
                folds = f"{divergence.of(rbm):.4f} ({rbm.provenance['epochs_done']})"
            rows.append(
                {
                    "case": f"N = {sites}, {shots:,} shots, {flip:.0%}",
                    "shots": name,
                    "steps": steps,
                    "least": f"{values.min():.4f} ({values.argmin() + 1})",
                    "end": f"{values[-1]:.4f}",
                    "folds = 5": folds,
                }
            )
    return rows


if __name__ == "__main__":
    main()
