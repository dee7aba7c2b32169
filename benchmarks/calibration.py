"""How often the verdict of `psiprune reconstruct` is right, where the truth is known.

Known models. Shots are drawn from an RBM q and judged against models whose loss is known: q itself,
which must be trusted in 90 % of the data sets or more, and damaged ones with KL(q || p) = 2 T,
twice the tolerance, which must be trusted in 5 % or less. Half of the damaged models have
parameters moved in a random direction, half have all parameters scaled, until the KL divergence,
summed over all states, is 2 T.

Whole runs. `pp.reconstruct` from shots of the same q; the true loss KL(q || p) of the RBM that it
returns, and its verdict. None of these runs was used to choose a constant of the method.

--sets (200) and --runs (10) are the numbers of data sets for each state and number of shots. Writes
--json FILE after each of them, does not repeat what is in FILE already, and draws --figure FILE.
About 30 minutes of two cores; --quick takes three. With a finished FILE it only draws.
"""

from __future__ import annotations

import json
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock, patch

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import brentq

import peers
import psiprune as pp
from psiprune.data.dependence import find_dependence
from psiprune.reconstruction import comparison
from psiprune.reconstruction.checks import make_checks, verdict_of
from psiprune.reconstruction.inputs import (
    Run,
    dependence_attributes,
    resolve_settings,
    split_shots,
)
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.reporting.figures import BLACK, BLUE, GREY, ORANGE, letter
from psiprune.reporting.style import TWO_COLUMNS, styled

TOLERANCE = 0.05
DRAWS = 20_000
#: Damaged models for each state; the data sets take turns.
DAMAGED = 6
STATES = (
    *("Bell", "GHZ 5", "GHZ 20", "W 6", "W 12", "product 8", "product 20"),
    *(f"TFIM 10 h={field}" for field in (0.2, 0.4, 1.0, 2.0)),
    *(f"TFIM 20 h={field}" for field in (0.2, 1.0, 2.0)),
)
SHOTS = (500, 5_000, 100_000)
#: States of which the largest data sets are drawn, too.
MANY = ("GHZ 5", "W 6", "product 20", "TFIM 10 h=1.0", "TFIM 20 h=2.0")
RUNS = tuple(
    (state, shots)
    for state in (
        "Bell",
        "GHZ 5",
        "W 6",
        "product 8",
        *(f"TFIM 10 h={h}" for h in (0.2, 0.4, 1.0, 2.0)),
    )
    for shots in (500, 5_000)
)


class Cell(NamedTuple):
    """A state and a number of shots."""

    state: str
    shots: int
    sets: int


def main() -> None:
    args = peers.options(__doc__, sets=200, runs=10, figure="", cores=os.cpu_count() or 1)
    sets, runs = (10, 2) if args.quick else (args.sets, args.runs)
    about: dict[str, Any] = peers.header(
        "Calibration of the verdict",
        f"tolerance {TOLERANCE:g} nats per shot; damaged models lose {2 * TOLERANCE:g}",
        f"for each state and number of shots {sets} data sets for known models, {runs} whole runs",
    )
    parts = {
        "known_models": (
            known_models,
            [
                Cell(state, shots, sets)
                for state in STATES
                for shots in (SHOTS if state in MANY else SHOTS[:2])
            ],
        ),
        "whole_runs": (whole_runs, [Cell(*key, runs) for key in RUNS]),
    }
    done: dict[str, list[peers.Row]] = {name: [] for name in parts}
    if args.json is not None and args.json.exists():
        kept = json.loads(args.json.read_text())
        about, done = kept, done | kept.pop("tables")
    with ProcessPoolExecutor(args.cores) as pool:
        for name, (work, cells) in parts.items():
            there = {(row["state"], row["shots"]) for row in done[name]}
            missing = [cell for cell in cells if (cell.state, cell.shots) not in there]
            for rows in pool.map(work, missing):
                done[name] += rows
                row = "  ".join(f"{key} {peers.cell(value)}" for key, value in rows[0].items())
                print(row, flush=True)
                peers.save(args.json, about, **done)
    _summarize(done["known_models"], done["whole_runs"])
    if args.figure:
        draw(done["known_models"], done["whole_runs"]).savefig(args.figure)


@cache
def known(state: str) -> pp.RBM:
    """Return the RBM q of a state."""
    kind, sites, *field = state.split() if state != "Bell" else ("GHZ", "2")
    n = int(sites)
    if kind == "product":
        return pp.RBM(np.zeros((1, n)), np.full(n, np.log(0.3 / 0.7)), np.zeros(1))
    if kind == "GHZ":
        bits = np.repeat([[0], [1]], n, axis=1).repeat(5000, axis=0)
        return pp.train(bits.astype(np.uint8), hidden=1, method="exact")
    if kind == "W":
        return pp.train(np.tile(np.eye(n, dtype=np.uint8), (2000, 1)), hidden=n)
    ground = pp.ground_state(pp.TFIM(sites=n, field=float(field[0].removeprefix("h="))))
    return pp.train(pp.sample(ground, 100_000, seed=1), hidden=n // 2, method="exact")


def log_p(rbm: pp.RBM) -> NDArray[np.float64]:
    """Return log p of all states."""
    return rbm.log_prob_all() - rbm.log_partition()


def divergence(q: NDArray[np.float64], rbm: pp.RBM) -> float:
    """Return KL(q || p), q by the logarithms of its probabilities."""
    return float((np.exp(q) * (q - log_p(rbm))).sum())


@cache
def damaged(state: str, which: int) -> pp.RBM:
    """Return q with parameters moved or scaled until KL(q || p) = 2 T."""
    rbm = known(state)
    q, generator = log_p(rbm), np.random.default_rng(which)
    parts = (rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    if which % 2:
        step = [-part for part in parts]
    else:
        step = [generator.normal(size=part.shape) * (part != 0) for part in parts]
        if which % 4:
            step = [generator.normal(size=part.shape) for part in parts]

    def moved(size: float) -> pp.RBM:
        weights, visible, hidden = (a + size * b for a, b in zip(parts, step, strict=True))
        return replace(rbm, weights=weights * rbm.mask, visible_bias=visible, hidden_bias=hidden)

    reach = 1e-3
    while divergence(q, moved(reach)) < 2 * TOLERANCE:
        reach *= 2
    return moved(brentq(lambda x: divergence(q, moved(x)) - 2 * TOLERANCE, 0, reach, xtol=1e-6))


def judge(q: pp.RBM, models: Sequence[pp.RBM], shots: pp.Shots, seed: int) -> list[str]:
    """Return the verdicts on models that claim to describe shots of q."""
    settings = ReconstructSettings(draws=DRAWS, seeds=2, seed=seed, tolerance=TOLERANCE)
    settings = resolve_settings(settings, shots)
    split = split_shots(shots, settings.held_out_of(len(shots)), seed)
    run = Run(settings, shots, split, Path(), {}, find_dependence(shots))
    attrs = {
        "sites": shots.sites,
        "shots": len(shots),
        "training_shots": len(split.training),
        "test_shots": len(split.test),
        **dependence_attributes(run.dependence),
        "measure": "log_likelihood",
        "own": "",
        "tolerance": TOLERANCE,
        "dense_parameters": q.number_of_parameters,
    }
    # Without files, which take longer than the numbers; and without what no check uses.
    of_q: dict[str, xr.Dataset] = {}

    def make_once(run: Run, name: str, make: Callable[[], xr.Dataset]) -> xr.Dataset:
        if name.startswith("seed-") and not of_q:
            of_q[""] = make()
        return of_q[""] if name.startswith("seed-") else make()

    unused = Mock(return_value=Mock(flip=0.0, infidelity=Mock(value=0.0, error=0.0, warning="")))
    with (
        patch.object(comparison, "_load_or_make", make_once),
        patch.object(comparison, "write_dataset"),
        patch.object(comparison, "readout_sensitivity", unused),
        patch.object(comparison, "readout_variables", lambda _: xr.Dataset()),
    ):
        return [
            verdict_of(
                make_checks(
                    comparison.test(run, [q, q], q, model).assign_attrs(
                        attrs, parameters=model.number_of_parameters
                    )
                )
            )
            for model in models
        ]


def known_models(cell: Cell) -> list[peers.Row]:
    """Judge q and damaged models on data sets of q."""
    warnings.simplefilter("ignore")
    q, names = known(cell.state), ("trusted", "undecided", "not trusted")
    counts = {name: dict.fromkeys(names, 0) for name in ("faithful", "damaged")}
    for k in range(cell.sets):
        shots = pp.Shots(q.sample_exact(cell.shots, seed=1000 + k))
        verdicts = judge(q, [q, damaged(cell.state, k % DAMAGED)], shots, k)
        for of, verdict in zip(counts.values(), verdicts, strict=True):
            of[verdict] += 1
    row: peers.Row = {"state": cell.state, "shots": cell.shots}
    for name, of in counts.items():
        row |= {f"{name} {verdict}": number / cell.sets for verdict, number in of.items()}
    return [row]


def whole_runs(cell: Cell) -> list[peers.Row]:
    """Reconstruct q from data sets of it."""
    warnings.simplefilter("ignore")
    q = known(cell.state)
    rows: list[peers.Row] = []
    for k in range(cell.sets):
        shots = pp.Shots(q.sample_exact(cell.shots, seed=2000 + k))
        found = pp.reconstruct(shots, seed=k, draws=DRAWS, tolerance=TOLERANCE)
        likelihood = found.checks[0]
        rows.append(
            {
                "state": cell.state,
                "shots": cell.shots,
                "verdict": found.verdict,
                "weights": found.rbm.number_of_weights,
                "true loss": divergence(log_p(q), found.rbm),
                "loss": likelihood.loss,
                "at most": likelihood.at_most,
            }
        )
    return rows


def _summarize(known: Sequence[peers.Row], whole: Sequence[peers.Row]) -> None:
    """Print rates, and whether they are what is claimed."""
    print()
    peers.show(known)
    table: list[peers.Row] = []
    for state, shots in dict.fromkeys((row["state"], row["shots"]) for row in whole):
        rows = [row for row in whole if (row["state"], row["shots"]) == (state, shots)]
        true, bound = (
            np.array([float(row[name] or 0) for row in rows]) for name in ("true loss", "at most")
        )
        verdict = np.array([row["verdict"] for row in rows])
        row = {name: float((verdict == name).mean()) for name in ("trusted", "undecided")}
        table.append(
            {
                "state": state,
                "shots": shots,
                **row,
                "median true loss": float(np.median(true)),
                "trusted above 2T": float(((verdict == "trusted") & (true > 2 * TOLERANCE)).mean()),
                "loss above bound": float((true > bound).mean()),
            }
        )
    print()
    peers.show(table)


@styled
def draw(known: Sequence[peers.Row], whole: Sequence[peers.Row]) -> Figure:
    """Draw the rates of known models, and the loss of whole runs against the true one."""
    figure = Figure(figsize=(TWO_COLUMNS, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    states = list(dict.fromkeys(str(row["state"]) for row in known))
    for name, color in (("faithful", BLUE), ("damaged", ORANGE)):
        for k, (shots, marker) in enumerate(zip(SHOTS, "osD", strict=True)):
            rows = [row for row in known if row["shots"] == shots]
            y = [states.index(str(row["state"])) + 0.22 * (k - 1) for row in rows]
            x = [float(row[f"{name} trusted"] or 0) for row in rows]
            face = ("w", color)[k > 0]
            left.plot(x, y, marker, color=color, mfc=face, label=f"{name}, {shots:,} shots")
    left.axvspan(0.9, 1.02, color=BLUE, alpha=0.1, lw=0, label="required: 0.9 or more")
    left.axvspan(-0.02, 0.05, color=ORANGE, alpha=0.1, lw=0, label="required: 0.05 or less")
    left.set_yticks(range(len(states)), [state.replace("h=", "h = ") for state in states])
    left.set_ylim(len(states) - 0.5, -0.5)
    left.set_xlim(-0.02, 1.02)
    left.set_xlabel("fraction of data sets in which the model is trusted")
    left.set_title("known models")
    looks = (("trusted", BLUE, "o"), ("undecided", GREY, "s"), ("not trusted", ORANGE, "^"))
    for verdict, color, marker in looks:
        rows = [row for row in whole if row["verdict"] == verdict]
        x = [max(float(row["true loss"] or 0), 1e-4) for row in rows]
        y = [max(float(row["at most"] or 0), 1e-4) for row in rows]
        label = f"{verdict} ({len(rows)} runs)"
        right.plot(x, y, marker, color=color, mfc="none", alpha=0.7, label=label)
    limits = (1e-4, 2.0)
    right.plot(limits, limits, "-", color=BLACK, lw=0.8, label="bound = true loss")
    twice = f"true loss {2 * TOLERANCE:g}, twice the tolerance"
    right.axvline(2 * TOLERANCE, color=BLACK, lw=0.8, ls=":", label=twice)
    right.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
    right.set_xlabel("true loss KL(q || p), nats per shot")
    right.set_ylabel("upper 95 % bound printed, nats per shot")
    right.set_title("whole runs")
    letter([left, right])
    for ax in (left, right):
        style = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15), "ncols": 2}
        ax.legend(**style)
    return figure


if __name__ == "__main__":
    main()
