"""RBMs of a critical square lattice on several sets of shots, with and without tied parameters.

The Ising model on an open L x L lattice at --field times J. Each RBM has as many hidden units as
sites, or --units, and --links links each, of which the fraction --far are far ones drawn with
probability distance^-exponent, or with 0 links all, and --wide more units with all links. It trains
by natural gradient, --epochs steps, on --shots shots of its seed and is compared with the exact
state, which --state keeps. --symmetry none, flip, flip-mirror or flip-lattice ties parameters
(training.md); with more values, or more links or seeds, there is a row for each. KL is a mean over
draws of the state. The rows in the file of --json are not measured again, and those of --bonds are
the state truncated. Seconds are processor time.
"""

from __future__ import annotations

import json
import math
import time
from itertools import product
from pathlib import Path
from typing import Any

import peers
import psiprune as pp
from psiprune.experiments.problem import Problem
from psiprune.experiments.truncated import truncated_states
from psiprune.metrics.reference import Reference, reference_of
from psiprune.training.symmetry import free_parameters, symmetry_named

#: h / J, where a row has none.
FIELD = 3.04
#: The fraction of far links, and the exponent of their power law, where a row has none.
FAR, EXPONENT = 0.4, 3.0
#: What tells rows apart; a row lacks those of the defaults.
KEYS = (
    "symmetry",
    "links",
    "shots",
    "seed",
    "far",
    "exponent",
    "epochs",
    "global units",
    "units",
    "field",
)
#: Steps of the training, where a row has none.
EPOCHS = 150
WAVES = {"structure": "structure_factor(0,0)"}


def main() -> None:
    args = peers.options(
        __doc__,
        length=6,
        links="15",
        symmetry="none",
        seeds="0",
        far=FAR,
        exponent=EXPONENT,
        epochs=EPOCHS,
        wide=0,
        units=0,
        field=FIELD,
        bonds="",
        shots=100_000,
        draws=50_000,
        state="",
    )
    length, args.links = (3, "3") if args.quick else (args.length, args.links)
    shots, draws = (1_000, 500) if args.quick else (args.shots, args.draws)
    about = peers.header(
        f"RBMs of {length} x {length} sites, h = {args.field:g} J", "seeds of shots"
    )
    state = state_of(length, args.field, Path(args.state) if args.state else None)
    exact = reference_of(state, WAVES)
    tables = {"lattice_sets": list[peers.Row](), "lattice_mps": list[peers.Row]()}
    if args.json and args.json.exists():
        tables = json.loads(args.json.read_text())["tables"]
    rows = tables["lattice_sets"]
    options = product(args.seeds.split(","), args.symmetry.split(","), args.links.split(","))
    for seed, symmetry, links in options:
        key: peers.Row = {"symmetry": symmetry, "links": int(links), "shots": shots}
        key["seed"] = int(seed)
        key |= {} if args.far == FAR else {"far": args.far}
        key |= {} if args.exponent == EXPONENT else {"exponent": args.exponent}
        key |= {} if args.epochs == EPOCHS else {"epochs": args.epochs}
        key |= {"global units": args.wide} if args.wide else {}
        key |= {"units": args.units} if args.units else {}
        key |= {} if args.field == FIELD else {"field": args.field}
        if all(any(row.get(name) != key.get(name) for name in KEYS) for row in rows):
            rows.append(key | measured(exact, key, draws))
            peers.show(rows[-1:])
            peers.save(args.json, about, **tables)
    for bond in map(int, filter(None, args.bonds.split(","))):
        if all(row["bond"] != bond for row in tables["lattice_mps"]):
            tables["lattice_mps"].append(truncated(exact, args.field, bond, draws))
            peers.save(args.json, about, **tables)
    for each in tables.values():
        peers.show(each)


def state_of(length: int, field: float, file: Path | None) -> pp.MPS:
    """Return the ground state, from its file if there is one."""
    if file is not None and file.exists():
        return pp.load_mps(file)
    model = pp.TFIM2D(length=length, width=length, field=field)
    state = pp.ground_state(model, 200, max_variance=1e-7)
    if file is not None:
        state.save(file)
    return state


def measured(exact: Reference, of: peers.Row, draws: int) -> peers.Row:
    """Train one RBM and compare it with the state."""
    seed, links, sites = int(of["seed"] or 0), int(of["links"] or 0), exact.state.sites
    symmetry: Any = None if of["symmetry"] == "none" else of["symmetry"]
    method = pp.NaturalGradient(symmetry=symmetry, epochs=int(of.get("epochs") or EPOCHS))
    shots = pp.sample(exact.state, int(of["shots"] or 0), seed=seed)
    far = round(float(of.get("far") or FAR) * links)
    exponent = float(of.get("exponent") or EXPONENT)
    mask, wide = None, int(of.get("global units") or 0)
    if links:
        how: dict[str, Any] = {"links": links - far, "far": far, "exponent": exponent, "seed": seed}
        how |= {"global_units": wide, "positions": shots.positions}
        mask = pp.nearest_mask(sites, **how)
    begin = time.process_time()
    rbm = pp.train(
        shots, hidden=int(of.get("units") or sites) + wide, mask=mask, seed=seed, method=method
    )
    trained = time.process_time()
    report = pp.evaluate(rbm, exact, seed=seed, draws=draws)
    free = free_parameters(rbm.mask, symmetry_named(symmetry, shots.positions))
    wave = report.custom["structure"]
    reference = exact.observables.abs_magnetization.value
    found = report.observables.abs_magnetization
    return {
        "weights": rbm.number_of_weights,
        "parameters": rbm.number_of_parameters,
        "free": free,
        "KL": report.kl.value,
        "error": report.kl.error,
        "noise": free / (2 * len(shots)),
        "|m| bias": float(found.value / reference - 1),
        "its error": float(found.error / reference),
        "E bias": report.energy_bias.value,
        "S bias": float(wave.value / wave.reference - 1),
        "S error": float(wave.error / wave.reference),
        "training [s]": trained - begin,
        "evaluation [s]": time.process_time() - trained,
    }


def truncated(exact: Reference, field: float, bond: int, draws: int) -> peers.Row:
    """Compare the state truncated to a bond dimension with the state."""
    problem = Problem(peers.HERE, field, exact, pp.sample(exact.state, draws, seed=0))
    found = truncated_states([problem], [bond]).isel(field=0, bond=0)
    names = {"parameters": "parameters", "with parity": "parity_parameters", "KL": "kl"}
    names |= {"|m| bias": "abs_magnetization_bias"}
    values = {title: float(found[f"mps_{name}"]) for title, name in names.items()}
    return {"bond": bond, **{k: v for k, v in values.items() if not math.isnan(v)}}


if __name__ == "__main__":
    main()
