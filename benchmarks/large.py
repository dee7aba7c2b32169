"""How near the exact state does training come at 50 and 100 sites, and what stops it?

Each row trains one RBM with N_h = N/2 on 10^5 shots of the ground state (seed 1) and measures it
against that state. The last rows of a critical chain change one thing at a time: three times the
steps (is it the optimisation?), ten times the shots (is it the data?), twice the hidden units (is
it the capacity?). Floor: parameters / (2 shots), the mean KL of a maximum-likelihood fit of a
correct model. CPU seconds are those of training, of all threads together; evaluation is on no
clock. One run of everything takes over an hour on two cores; --quick does N = 50 alone, and
--only natural the rows with that word in their settings.
"""

from __future__ import annotations

import time
from typing import Any

import peers
import psiprune as pp

SHOTS, SEED = 100_000, 0
NATURAL: dict[str, Any] = {"method": "natural"}
ROWS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("CD-10, random start, 500 epochs", 1, {"method": "cd"}),
    ("CD-10, local start, 500 epochs", 1, {"method": "cd", "initial": "local"}),
    ("PCD-10, local start, 500 epochs", 1, {"method": "pcd", "initial": "local"}),
    ("natural, random start, 150 steps", 1, {**NATURAL, "initial": "random"}),
    ("natural, local start, 150 steps: the default", 1, NATURAL),
)
LIMITS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("... natural, 450 steps", 1, {"method": pp.NaturalGradient(epochs=450)}),
    ("... natural, 10^6 shots", 10, NATURAL),
    ("... natural, N_h = N", 1, {**NATURAL, "hidden": 0}),
)


def main() -> None:
    args = peers.options(__doc__, only="")
    peers.header(
        "Training at 50 and 100 sites",
        f"{SHOTS:,} shots of seed 1, training seed {SEED}, 10^5 draws an evaluation",
    )
    rows: list[peers.Row] = []
    for sites in (50,) if args.quick else (50, 100):
        for field in (1.0, 2.0):
            state = pp.ground_state(pp.TFIM(sites=sites, field=field))
            shots = {times: pp.sample(state, times * SHOTS, seed=1) for times in (1, 10)}
            for name, times, settings in (*ROWS, *(LIMITS if field == 1.0 else ())):
                if args.only not in name:
                    continue
                row = measured(state, shots[times], name, dict(settings))
                rows.append({"N": sites, "h": field, **row})
                peers.show(rows[-1:])
    peers.show(rows)
    peers.save(args.json, {}, large=rows)


def measured(state: pp.MPS, shots: pp.Shots, name: str, settings: dict[str, Any]) -> peers.Row:
    hidden = settings.pop("hidden", shots.sites // 2) or shots.sites
    begin = time.process_time()
    rbm = pp.train(shots, hidden=hidden, seed=SEED, **settings)
    seconds = time.process_time() - begin
    report = pp.evaluate(rbm, state, seed=3)
    return {
        "settings": name,
        "CPU [s]": seconds,
        "KL": report.kl.value,
        "error": report.kl.error,
        "floor": report.kl.floor,
        "F": report.fidelity.value,
        "mROE": report.abs_magnetization_roe.value,
        "bias of <|m|>": report.abs_magnetization_bias.value,
    }


if __name__ == "__main__":
    main()
