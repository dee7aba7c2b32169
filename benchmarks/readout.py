"""How accurate `readout_sensitivity` is above 20 sites, where it is estimated from draws.

Copies of an RBM of 10 sites side by side have a fidelity that is the product of theirs, so the sum
over the states of one copy gives the exact value for any number of sites.
"""

from __future__ import annotations

import time

import numpy as np

import peers
import psiprune as pp

SITES = 10
COPIES = (5, 10)


def main() -> None:
    args = peers.options(__doc__)
    about = peers.header("1 - F for 1 % readout errors, 2000 draws; seconds of wall-clock time")
    rows = [measure(name, rbm, copies) for name, rbm in rbms().items() for copies in COPIES]
    peers.show(rows)
    peers.save(args.json, about, readout=rows)


def rbms() -> dict[str, pp.RBM]:
    generator = np.random.default_rng(peers.SEED)
    ghz = np.repeat(np.array([[0], [1]], np.uint8), SITES, axis=1)
    w = np.eye(SITES, dtype=np.uint8)
    found = {
        f"TFIM h={field:g}": pp.train(
            pp.sample(pp.ground_state(pp.TFIM(sites=SITES, field=field)), 20_000), hidden=5
        )
        for field in (0.2, 0.4, 0.7, 1, 2)
    }
    found["GHZ"] = pp.train(ghz[generator.integers(0, 2, 10_000)], hidden=2)
    found["W"] = pp.train(w[generator.integers(0, SITES, 10_000)], hidden=5)
    found["product"] = pp.RBM(np.zeros((1, SITES)), np.linspace(-1, 1, SITES), np.zeros(1))
    for scale in (1.0, 4.0):
        found[f"random, deviation {scale:g}"] = pp.RBM(
            generator.normal(0, scale, (2 * SITES, SITES)),
            generator.normal(0, scale, SITES),
            generator.normal(0, scale, 2 * SITES),
        )
    return found


def measure(name: str, rbm: pp.RBM, copies: int) -> peers.Row:
    large = pp.RBM(
        np.kron(np.eye(copies), rbm.weights).astype(np.float64),
        np.tile(rbm.visible_bias, copies),
        np.tile(rbm.hidden_bias, copies),
    )
    start = time.perf_counter()
    estimate = pp.readout_sensitivity(large, seed=peers.SEED).infidelity
    seconds = time.perf_counter() - start
    return {
        "state": name,
        "sites": copies * SITES,
        "exact": 1 - (1 - pp.readout_sensitivity(rbm).infidelity.value) ** copies,
        "estimate": estimate.value,
        "error": estimate.error,
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
