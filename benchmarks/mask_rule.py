"""Does the mask that `pp.mask_for_shots` chooses have a lower KL than others?

For each field, number of shots and set of shots, RBMs trained by the method for their size with a
weight decay of 1 / shots:

- rule: hidden units and weights of `pp.mask_for_shots`;
- scale-free: N / 2 hidden units and the links of `pp.scale_free_mask` by default;
- dense: N / 2 hidden units with all weights.

The rule was fitted at h = J to 10^3 to 10^6 shots, so the defaults here are other fields and other
numbers of shots. KL is exact at 18 sites, and against the exact state with the error of its draws
above. --json FILE keeps the value of each seed. Minutes; --quick takes one seed at 8 sites.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product

import numpy as np

import peers
import psiprune as pp
from psiprune.core.statistics import paired
from psiprune.training.methods import MethodBySize

SITES, FIELDS, SHOTS, SEEDS = 18, (1.5, 3.0), (3_000, 30_000), 5


def main() -> None:
    lists = {"fields": FIELDS, "shots": SHOTS}
    args = peers.options(
        __doc__, sites=SITES, seeds=SEEDS, **{k: ",".join(map(str, v)) for k, v in lists.items()}
    )
    sites, seeds = (8, 1) if args.quick else (args.sites, args.seeds)
    about = peers.header(f"The rule of mask_for_shots, N = {sites}", "weight decay 1 / shots")
    every: list[peers.Row] = []
    rows: list[peers.Row] = []
    for field, shots in cases(args):
        state = pp.ground_state(pp.TFIM(sites=sites, field=field))
        found = [row for seed in range(seeds) for row in trained(state, field, shots, seed)]
        every += found
        rows.append(compared(found))
        peers.show(rows[-1:])
    peers.show(rows)
    peers.save(args.json, about, rule=rows, seeds=every)


def cases(args: argparse.Namespace) -> Iterator[tuple[float, int]]:
    """Fields and numbers of shots."""
    yield from product(map(float, args.fields.split(",")), map(int, args.shots.split(",")))


def trained(state: pp.MPS, field: float, shots: int, seed: int) -> Iterator[peers.Row]:
    """KL of the three RBMs on the shots of a seed."""
    drawn = pp.sample(state, shots, seed=seed)
    masks = {
        "rule": pp.mask_for_shots(drawn),
        "scale-free": pp.scale_free_mask(drawn.sites, drawn.sites // 2),
        "dense": np.ones((drawn.sites // 2, drawn.sites), bool),
    }
    for name, mask in masks.items():
        sized = MethodBySize().for_size(*mask.shape[::-1], weights=int(mask.sum()))
        method = sized.model_copy(update={"weight_decay": 1.0 / shots})
        rbm = pp.train(drawn, mask=mask, hidden=len(mask), seed=seed, method=method)
        kl = pp.evaluate(rbm, state, draws=100_000, seed=seed).kl
        row: peers.Row = {"field": field, "shots": shots, "seed": seed, "RBM": name}
        yield row | {"hidden": len(mask), "weights": int(mask.sum()), "KL": kl.value}


def compared(found: list[peers.Row]) -> peers.Row:
    """Medians over seeds, and in how many of them the rule is better."""
    by_name = {
        name: np.array([row["KL"] for row in found if row["RBM"] == name])
        for name in ("rule", "scale-free", "dense")
    }
    rule = [row for row in found if row["RBM"] == "rule"]
    row: peers.Row = {"field": found[0]["field"], "shots": found[0]["shots"]}
    row |= {key: int(np.median([each[key] for each in rule])) for key in ("hidden", "weights")}
    for name, kl in by_name.items():
        row[f"KL {name}"] = float(np.median(kl))
    for name in ("scale-free", "dense"):
        row[f"below {name}"] = f"{paired(by_name['rule'], by_name[name]).lower} of {len(rule)}"
    return row


if __name__ == "__main__":
    main()
