"""A Rydberg array beyond the reach of DMRG, from Monte Carlo shots to a judged RBM.

--file holds the shots of

    psiprune sample --model rydberg --length 10 --width 10 --spacing 0.87 --delta 1 \\
        --projection 12 --shots 4000 -o array.nc

near the checkerboard transition. Three quarters of them, of three of the four chains, train an RBM
of as many hidden units as atoms by natural gradient, with --near and --far links each and tied to
the mirror image of the array. The last quarter judges it: likelihood gained on a product of
independent bits, staggered magnetisation and density; and the energy of Monte Carlo. Seconds are
processor time.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

import peers
import psiprune as pp

SPACING, DELTA, SEED = 0.87, 1.0, 0


def main() -> None:
    args = peers.options(__doc__, length=10, file="array.nc", near=9, far=6, draws=10_000)
    length, near, far = (2, 2, 1) if args.quick else (args.length, args.near, args.far)
    model = pp.Rydberg(length=length, width=length, spacing=SPACING, delta=DELTA)
    drawn = (
        pp.quantum_monte_carlo(model, 400, projection=4.0).shots
        if args.quick
        else pp.read_shots(Path(args.file))
    )
    begin = time.process_time()
    atoms, bits, given = model.size, drawn.bits, dict(drawn.provenance)
    part = 3 * len(bits) // 4
    rbm = pp.train(
        pp.Shots(bits[:part], provenance=given),
        hidden=atoms,
        mask=pp.nearest_mask(atoms, links=near, far=far, positions=model.places),
        seed=SEED,
        method=pp.NaturalGradient(symmetry="mirror"),
    )
    trained = time.process_time()
    columns, rows = np.round(np.array(model.places).T / SPACING).astype(int)
    sign = 1 - 2 * ((columns + rows) % 2)

    def staggered(bits: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.abs(((1.0 - 2.0 * bits) * sign).mean(axis=1))
        return found

    def density(bits: np.ndarray) -> np.ndarray:
        found: np.ndarray = bits.mean(axis=1)
        return found

    report = pp.evaluate_on_shots(
        rbm,
        pp.Shots(bits[part:], provenance=given),
        draws=400 if args.quick else args.draws,
        seed=SEED,
        observables={
            # psi = sqrt(p) is the ground state with a Z on each atom.
            "energy": model.hamiltonian().rotated(range(atoms)),
            "staggered": staggered,
            "density": density,
        },
    )
    energy = report.comparison("energy")
    row: peers.Row = {
        "weights": rbm.number_of_weights,
        "training [s]": trained - begin,
        "judging [s]": time.process_time() - trained,
        "E": float(energy.value),
        "E error": float(energy.error),
        "E Monte Carlo": float(given["energy"]),
        "its error": float(given["energy_error"]),
        "gain": report.log_likelihood_gain.value,
        "gain error": report.log_likelihood_gain.error,
    }
    for name, measure in (("staggered", staggered), ("density", density)):
        each, all_shots = report.comparison(name), measure(bits)
        row[name] = float(each.value)
        row[f"{name} error"] = float(each.error)
        row[f"{name} Monte Carlo"] = float(all_shots.mean())
        row[f"{name} its error"] = float(all_shots.std() / len(bits) ** 0.5)
    about = peers.header(f"Rydberg array of {length} x {length} atoms", f"{len(bits):,} shots")
    peers.show([row])
    peers.save(args.json, about, rydberg_large=[row])


if __name__ == "__main__":
    main()
