"""Fidelity of RBMs trained on misread bits: readout errors ignored, modelled, and never made.

Ground states of the Ising chain at h = J. `clean` is the fit of the true bits, `ignored` that of
the records as they are, `modelled` that of the same records with their readout errors; each cell is
the median over --seeds (10) seeds, `worst gain` the smallest value of modelled - ignored. `time` is
the median ratio of the processor times of training, modelled to ignored: of all threads, which both
use alike, so that other work on the machine hardly matters. Flips of `3 %` are 2 % of zeros and 4 %
of ones; `calibrated` estimates them from 2 x 2,000 shots of |0...0> and |1...1>. Exact fidelity up
to 20 sites, above by sampling. `pruned` removes half of the weights by optimal brain surgery in
steps of a tenth and compares KL(q || p) with that of the dense RBM. About 15 minutes on two cores
for N <= 18, and --sites 50 or 100 for one larger chain; --quick takes one.
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median

import numpy as np

import peers
import psiprune as pp
from psiprune.metrics.reference import reference_of

#: Sites, shots, and p(1|0) and p(0|1) of each case.
CASES = {
    "N = 10, 3 %": (10, 20_000, 0.02, 0.04),
    "N = 10, 3 %, calibrated": (10, 20_000, 0.02, 0.04),
    "N = 10, 1 % / 5 %, by site": (10, 20_000, 0.01, 0.05),
    "N = 10, 1 %": (10, 20_000, 0.01, 0.01),
    "N = 18, 3 %": (18, 100_000, 0.02, 0.04),
}
PRUNED = "N = 18, 3 %"


def main() -> None:
    args = peers.options(__doc__, seeds=10, sites=0)
    seeds = range(2 if args.quick else args.seeds)
    cases = dict(CASES)
    if args.sites:
        cases = {f"N = {args.sites}, 3 %": (args.sites, 100_000, 0.02, 0.04)}
    elif args.quick:
        cases.pop(PRUNED)
    about = peers.header("Readout errors: fidelity of the reconstructed state", f"seeds {seeds}")
    rows, pruned = [], []
    for name in cases:
        rows.append(compare(name, *cases[name], seeds))
        peers.show(rows[-1:])
    if PRUNED in cases:
        pruned = [prune(*cases[PRUNED], seed) for seed in seeds]
        peers.show(pruned)
    peers.save(args.json, about, readout=rows, pruned=pruned)


def errors(name: str, sites: int, zero: float, one: float, seed: int) -> pp.ReadoutError:
    """The errors of the device: the same at each site, or up to half smaller and larger."""
    spread = np.ones((2, sites))
    if "by site" in name:
        spread = np.random.default_rng(seed).uniform(0.5, 1.5, (2, sites))
    return pp.ReadoutError.from_rates(zero * spread[0], one * spread[1])


def calibrated(true: pp.ReadoutError, seed: int) -> pp.ReadoutError:
    """The errors estimated from 2,000 shots of all qubits in 0 and 2,000 of all in 1."""
    states = [np.full((2000, true.sites), bit, np.uint8) for bit in (0, 1)]
    read = (true.misread(bits, 1000 + 2 * seed + k) for k, bits in enumerate(states))
    return pp.calibrate_readout(dict(zip(("0" * true.sites, "1" * true.sites), read, strict=True)))


def compare(name: str, sites: int, shots: int, zero: float, one: float, seeds: range) -> peers.Row:
    state = pp.ground_state(pp.TFIM(sites=sites, field=1.0))
    reference = reference_of(state)
    fidelities: list[list[float]] = []
    ratios = []
    for seed in seeds:
        clean = pp.sample(state, shots, seed=seed + 1)
        true = errors(name, sites, zero, one, seed)
        records = clean.with_readout_error(true, seed)
        if "calibrated" in name:
            records = replace(records, readout=calibrated(true, seed))
        seconds, found = [], []
        for data in (clean, replace(records, readout=None), records):
            begin = time.process_time()
            rbm = pp.train(data, hidden=data.sites // 2, seed=seed, progress=False)
            seconds.append(time.process_time() - begin)
            found.append(pp.evaluate(rbm, reference, seed=seed).fidelity.value)
        fidelities.append(found)
        ratios.append(seconds[2] / seconds[1])
    clean_, ignored, modelled = ([values[k] for values in fidelities] for k in range(3))
    return {
        "case": name,
        "clean": f"{median(clean_):.4f}",
        "ignored": f"{median(ignored):.4f}",
        "modelled": f"{median(modelled):.4f}",
        "worst gain": f"{min(m - i for m, i in zip(modelled, ignored, strict=True)):+.4f}",
        "time": median(ratios),
    }


def prune(sites: int, shots: int, zero: float, one: float, seed: int) -> peers.Row:
    """KL of the dense RBM and of half of its weights, all through the readout errors."""
    state = pp.ground_state(pp.TFIM(sites=sites, field=1.0))
    records = pp.sample(state, shots, seed=seed + 1).with_readout_error(
        pp.ReadoutError.from_rates(zero, one, sites=sites), seed
    )
    dense = pp.train(records, seed=seed, progress=False)
    levels = pp.prune(
        dense, records, criterion="surgeon", density=0.5, seed=seed, reference=state, progress=False
    )
    values = [level.metrics.kl.value for level in (levels[0], levels[-1]) if level.metrics]
    return {"seed": seed, "KL dense": values[0], "KL half": values[1]}


if __name__ == "__main__":
    main()
