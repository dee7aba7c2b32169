"""Orders of the sites of a square lattice in an MPS: the exact state truncated, snake and diagonal.

The Ising model on open L x L lattices at h = 3.04 J, L of --sizes. For each order a ground state by
DMRG is truncated to several bond dimensions. KL is a sum over all states at 4 x 4, above it a mean
over 100,000 shots of that state. Parameters are free of gauge, for tensors of any kind and for
those that conserve parity. --json writes the rows, --quick is 2 x 3 sites.
"""

from __future__ import annotations

import numpy as np

import peers
import psiprune as pp
from psiprune.experiments.problem import Problem
from psiprune.experiments.truncated import truncated_states
from psiprune.metrics.reference import reference_of

FIELD = 3.04
BONDS = (4, 8, 16, 32, 64)
#: At which a state of diagonal order is accepted; those of the snake reach less.
MAX_VARIANCE = 1e-8


def main() -> None:
    args = peers.options(__doc__, sizes="4,5")
    shapes = [(2, 3)] if args.quick else [(int(each),) * 2 for each in args.sizes.split(",")]
    about = peers.header("Orders of the sites of a square lattice in an MPS", f"h = {FIELD:g} J")
    rows = [
        row for shape in shapes for order in ("snake", "diagonal") for row in rows_of(*shape, order)
    ]
    peers.show(rows)
    peers.save(args.json, about, lattice_orders=rows)


def rows_of(length: int, width: int, order: str) -> list[peers.Row]:
    """Return a row for each bond dimension."""
    state = pp.ground_state(model_of(length, width, order), 300, max_variance=MAX_VARIANCE)
    exact = reference_of(state)
    problem = Problem(peers.HERE, FIELD, exact, pp.sample(state, 100_000, seed=0))
    found = truncated_states([problem], BONDS).isel(field=0)
    return [
        {
            "lattice": f"{length} x {width}",
            "order": order,
            "bond": bond,
            "parameters": int(found["mps_parameters"].sel(bond=bond)),
            "with parity": int(found["mps_parity_parameters"].sel(bond=bond)),
            "KL": float(found["mps_kl"].sel(bond=bond)),
        }
        for bond in BONDS
    ]


def model_of(length: int, width: int, order: str) -> pp.TFIM2D:
    """Return the model with its sites in snake order, or along the diagonals."""
    places = pp.lattice_positions("square", length, width)
    if order == "diagonal":
        places = places[np.lexsort((places[:, 0], places.sum(axis=1)))]
    return pp.TFIM2D(positions=tuple(map(tuple, places.tolist())), field=FIELD)


if __name__ == "__main__":
    main()
