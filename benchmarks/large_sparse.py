"""How near the exact state do sparse RBMs come at 200 and 400 sites, and what do they take?

Each row trains one RBM by the default method, natural gradient, on shots of the critical ground
state (seed 1), with N hidden units and the links of `scale_free_mask` or with N/2 units and windows
of adjacent sites, and measures its KL divergence against that state, found by DMRG. log Z is by
annealing between the RBM and independent bits, in both directions. CPU seconds are those of
training and of evaluation; memory is what the process held at most. --sites, --shots, --draws and
--steps make it smaller or larger.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from numpy.typing import NDArray

import peers
import psiprune as pp

SEED = 0
LINKS, WINDOW = 7, 14  # weights of a site, and sites of a window


def main() -> None:
    args = peers.options(__doc__, sites="200,400", shots=100_000, draws=20_000, steps=0)
    sizes = [50] if args.quick else [int(each) for each in args.sites.split(",")]
    about = peers.header(
        "Sparse RBMs of large chains, h = 1",
        f"{args.shots:,} shots, {args.steps or 'the default number of'} steps, seed {SEED}",
        f"KL over {args.draws:,} draws of the state",
    )
    rows: list[peers.Row] = []
    for sites in sizes:
        begin = time.process_time()
        state = pp.ground_state(pp.TFIM(sites=sites, field=1.0))
        shots = pp.sample(state, args.shots, seed=1)
        print(f"N = {sites}: state and shots in {time.process_time() - begin:.0f} s of CPU time")
        links = pp.scale_free_mask(visible=sites, hidden=sites, weights=LINKS * sites)
        for name, mask in (("scale-free", links), ("windows", windows(sites))):
            rows.append(measured(state, shots, name, mask, args.steps, args.draws))
            peers.show(rows[-1:])
    peers.show(rows)
    peers.save(args.json, about, large_sparse=rows)


def windows(sites: int) -> NDArray[np.bool_]:
    """Hidden unit j sees the 14 sites around site 2 j."""
    mask = np.zeros((sites // 2, sites), bool)
    for unit, row in enumerate(mask):
        first = min(max(0, 2 * unit - WINDOW // 2), sites - WINDOW)
        row[first : first + WINDOW] = True
    return mask


def measured(
    state: pp.MPS, shots: pp.Shots, name: str, mask: NDArray[np.bool_], steps: int, draws: int
) -> peers.Row:
    """Train one RBM and evaluate it against the state."""
    begin = time.process_time()
    method = pp.NaturalGradient(epochs=steps) if steps else "auto"
    rbm = pp.train(shots, hidden=len(mask), mask=mask, seed=SEED, method=method)
    trained = time.process_time()
    report = pp.evaluate(rbm, state, seed=3, draws=draws)
    return {
        "N": shots.sites,
        "mask": name,
        "weights": rbm.number_of_weights,
        "steps": int(rbm.provenance["epochs_done"]),
        "training [s]": trained - begin,
        "KL": report.kl.value,
        "error": report.kl.error,
        "floor": report.kl.floor,
        "F": report.fidelity.value,
        "evaluation [s]": time.process_time() - trained,
        "memory [MB]": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


if __name__ == "__main__":
    main()
