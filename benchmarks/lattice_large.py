"""A critical square lattice beyond the reach of DMRG, from Monte Carlo shots to a judged RBM.

The Ising model on an open L x L lattice at h = 3.04 J. --shots shots by projector quantum Monte
Carlo train an RBM of as many hidden units as sites by natural gradient, --epochs steps, with
--links links each, two fifths of them far ones, and --wide more units with all links, with and
without parameters that are tied to the symmetries of the state (--symmetry; "none" for without). A
fifth as many others judge it: likelihood gained on a product of independent bits, <|m|>, structure
factor; and the energy of Monte Carlo. Seconds are processor time.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

import peers
import psiprune as pp
from psiprune.training.symmetry import free_parameters, symmetry_of

FIELD, SEED = 3.04, 0
SYMMETRIES = "none,flip-lattice"


def main() -> None:
    args = peers.options(
        __doc__,
        length=12,
        links="15",
        symmetry=SYMMETRIES,
        wide=2,
        epochs=400,
        shots=100_000,
        draws=50_000,
    )
    length, training = (3, 5_000) if args.quick else (args.length, args.shots)
    model = pp.TFIM2D(length=length, width=length, field=FIELD)
    begin = time.process_time()
    found = pp.quantum_monte_carlo(model, training + training // 5, seed=SEED)
    about = peers.header(
        f"Ising model on {length} x {length} sites, h = {FIELD:g} J",
        f"{len(found.shots):,} shots of Monte Carlo in {time.process_time() - begin:.0f} s: "
        f"E = {found.energy:.3f} +- {found.energy_error:.3f}, a shot every {found.thin} sweeps",
    )
    rows = []
    for symmetry in args.symmetry.split(","):
        for links in "5" if args.quick else args.links.split(","):
            tie: Any = None if symmetry == "none" else symmetry
            method = pp.NaturalGradient(symmetry=tie, epochs=args.epochs)
            size = int(links), args.wide
            rows.append(judged(model, found, training, size, method, args.draws))
            peers.show(rows[-1:])
    peers.show(rows)
    peers.save(args.json, about, lattice_large=rows)


def judged(
    model: pp.TFIM2D,
    found: pp.QMCSample,
    training: int,
    size: tuple[int, int],
    method: pp.NaturalGradient,
    draws: int,
) -> peers.Row:
    """Train one RBM, and compare it with the shots that did not train it."""
    bits, sites = found.shots.bits, found.shots.sites
    begin = time.process_time()
    links, wide = size
    far = round(0.4 * links)
    mask = pp.nearest_mask(
        sites, links=links - far, far=far, global_units=wide, positions=model.places
    )
    shots = pp.Shots(bits[:training], provenance=dict(found.shots.provenance))
    rbm = pp.train(shots, hidden=len(mask), mask=mask, seed=SEED, method=method)
    trained = time.process_time()
    waves = {"S0": partial(structure_factor, model, 0), "S1": partial(structure_factor, model, 1)}
    report = pp.evaluate_on_shots(
        rbm,
        pp.Shots(bits[training:], provenance=dict(found.shots.provenance)),
        draws=draws,
        seed=SEED,
        observables={"energy": model.hamiltonian(), **waves},
    )
    energy = report.comparison("energy")
    row: peers.Row = {
        "symmetry": method.symmetry or "none",
        "epochs": method.epochs,
        "links": links,
        "global units": wide,
        "weights": rbm.number_of_weights,
        "free": free_parameters(mask, symmetry_of(method, shots.positions)),
        "training [s]": trained - begin,
        "judging [s]": time.process_time() - trained,
        "E/N": float(energy.value) / sites,
        "E/N error": float(energy.error) / sites,
        "E/N Monte Carlo": found.energy / sites,
        "its error": found.energy_error / sites,
        "gain": report.log_likelihood_gain.value,
        "gain error": report.log_likelihood_gain.error,
        "log L": report.log_likelihood.value,
    }
    for name in ("abs_magnetization", *waves):
        each = report.comparison(name)
        row[name] = float(each.value)
        row[f"{name} bias"] = float(each.value / each.shots_value - 1)
        row[f"{name} error"] = float(
            (each.error**2 + each.shots_error**2) ** 0.5 / each.shots_value
        )
    return row


def structure_factor(model: pp.TFIM2D, waves: int, bits: np.ndarray) -> np.ndarray:
    """Return |sum_j e^(ikx_j) Z_j|^2 / N of each shot for so many waves along x, [shot]."""
    x = np.array(model.places)[:, 0]
    phase = np.exp(2j * np.pi * waves * x / (x.max() + 1))
    found: np.ndarray = np.abs((1.0 - 2.0 * bits) @ phase) ** 2 / len(x)
    return found


if __name__ == "__main__":
    main()
