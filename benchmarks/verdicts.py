"""Verdicts of `psiprune reconstruct` with its defaults on states whose probabilities are known.

For each state one data set, split by --seeds (20) different seeds: how often each verdict comes
out, how many weights are left, and the fidelity of the smallest RBM, F = (sum_v sqrt(p q))^2 with
the exact probabilities. The verdict should not depend on the seed.

With --qucumber FOLDER also the data of QuCumber's first tutorial, 10,000 shots of ten qubits:
tfim1d_data.txt and tfim1d_psi.txt of examples/Tutorial1_TrainPosRealWaveFunction in
https://github.com/PIQuIL/QuCumber. About 15 minutes of two cores; --quick takes three seeds.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import peers
import psiprune as pp

Float64 = NDArray[np.float64]


class Case(NamedTuple):
    """Shots of a state, and its probabilities: of v at index sum_i v_i 2^i, or None if unknown."""

    name: str
    bits: NDArray[np.uint8]
    exact: Float64


def main() -> None:
    args = peers.options(__doc__, seeds=20, qucumber="")
    seeds = 3 if args.quick else args.seeds
    warnings.simplefilter("ignore")
    about = peers.header(
        "Verdicts with defaults", f"{seeds} seeds of the split and of training for each data set"
    )
    rows = []
    for case in cases(args.qucumber):
        rows.append(measure(case, seeds))
        print(
            "  ".join(f"{key} {peers.cell(value)}" for key, value in rows[-1].items()), flush=True
        )
    print()
    peers.show(rows)
    peers.save(args.json, about, verdicts=rows)


def cases(qucumber: str) -> Iterator[Case]:
    """Yield all data sets."""
    yield drawn("Bell", 500, [0.5, 0, 0, 0.5])
    yield drawn("GHZ 5", 2_000, np.eye(32)[[0, 31]].mean(axis=0))
    yield drawn("W 6", 3_000, np.eye(64)[[1 << k for k in range(6)]].mean(axis=0))
    ones = basis(8).sum(axis=1)
    yield drawn("product 8", 2_000, 0.3**ones * 0.7 ** (8 - ones))
    for field, shots in ((0.2, 10_000), (0.4, 10_000), (1.0, 10_000), (1.0, 500), (2.0, 2_000)):
        state = pp.ground_state(pp.TFIM(sites=10, field=field))
        yield drawn(f"TFIM 10 h={field}", shots, np.exp(state.log_prob(basis(10))))
    state = pp.ground_state(pp.TFIM(sites=8, field=2.0))
    case = drawn("each shot twice", 10_000, np.exp(state.log_prob(basis(8))))
    yield case._replace(bits=case.bits.repeat(2, axis=0))
    again = np.random.default_rng(1).random(20_000) < 0.5
    bits = drawn("", 20_000, case.exact).bits
    for k in np.flatnonzero(again[1:]) + 1:
        bits[k] = bits[k - 1]
    yield Case("half the shots repeat", bits, case.exact)
    if qucumber:
        folder = Path(qucumber)
        data = np.loadtxt(folder / "tfim1d_data.txt", dtype=np.uint8)
        psi = np.loadtxt(folder / "tfim1d_psi.txt")[:, 0]
        # In the file the first qubit is the most significant bit.
        yield Case("QuCumber's tutorial", data, psi.reshape((2,) * 10).T.ravel() ** 2)


def basis(sites: int) -> NDArray[np.uint8]:
    """Return all configurations [state, site], v at index sum_i v_i 2^i."""
    return (np.arange(1 << sites)[:, None] >> np.arange(sites) & 1).astype(np.uint8)


def drawn(name: str, shots: int, exact: object) -> Case:
    """Draw shots from exact probabilities."""
    p = np.asarray(exact, float)
    p = p / p.sum()
    which = np.random.default_rng(0).choice(len(p), shots, p=p)
    return Case(name, basis(len(p).bit_length() - 1)[which], p)


def fidelity(rbm: pp.RBM, exact: Float64) -> float:
    """Return F = (sum_v sqrt(p q))^2."""
    p = np.exp(rbm.log_prob_all() - rbm.log_partition())
    return float(np.sqrt(p * exact).sum() ** 2)


def measure(case: Case, seeds: int) -> peers.Row:
    """Reconstruct from every split of a data set."""
    verdicts: Counter[str] = Counter()
    weights, values = [], []
    for seed in range(seeds):
        found = pp.reconstruct(pp.Shots(case.bits), seed=seed)
        verdicts[found.verdict] += 1
        weights.append(found.rbm.number_of_weights)
        values.append(fidelity(found.rbm, case.exact))
    return {
        "state": case.name,
        "shots": len(case.bits),
        "trusted": verdicts["trusted"],
        "undecided": verdicts["undecided"],
        "not trusted": verdicts["not trusted"],
        "weights": f"{min(weights)} to {max(weights)}",
        "lowest F": min(values),
        "median F": float(np.median(values)),
    }


if __name__ == "__main__":
    main()
