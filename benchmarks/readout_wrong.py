"""Fidelity of a state reconstructed from misread bits where the assumed errors are wrong.

Ising chain of 10 sites at h = J, 20,000 shots in which 1 % of zeros and 5 % of ones are flipped;
errors that drift or that hit pairs of neighbours come on top. Exact fidelities, medians over
--seeds (3) seeds, and how many sets of shots contradict the errors. A minute on an idle core.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from statistics import median

import numpy as np
from numpy.typing import NDArray

import peers
import psiprune as pp
from psiprune.data.readout_range import contradicted_rates

SITES, SHOTS = 10, 20_000
PAIRS = [(site, site + 1) for site in range(0, SITES, 2)]
#: The share of shots in which the two bits of a pair flip together.
TOGETHER = 0.02
Case = tuple[str, pp.MPS, NDArray[np.uint8], pp.ReadoutError | None]


def main() -> None:
    args = peers.options(__doc__, seeds=3)
    seeds = range(1 if args.quick else args.seeds)
    about = peers.header("Fidelity with wrong readout errors", f"seeds {seeds}")
    found: dict[str, list[float]] = {}
    contradicted: Counter[str] = Counter()
    for seed in seeds:
        for name, state, bits, assumed in cases(seed):
            shots = pp.Shots(bits, readout=assumed)
            with warnings.catch_warnings(action="ignore", category=pp.TrainingWarning):
                rbm = pp.train(shots, seed=seed, progress=False)
            found.setdefault(name, []).append(pp.evaluate(rbm, state).fidelity.value)
            contradicted[name] += bool(contradicted_rates(shots))
    rows: list[peers.Row] = [
        {"assumed": name, "F": f"{median(values):.4f}", "contradicted": contradicted[name]}
        for name, values in found.items()
    ]
    peers.show(rows)
    peers.save(args.json, about, readout_wrong=rows)


def cases(seed: int) -> Iterator[Case]:
    """The assumed errors in words, the state, its records, and these errors."""
    state, device, later = (
        pp.ground_state(pp.TFIM(sites=SITES)),
        rates(0.01, 0.05),
        rates(0.02, 0.1),
    )
    true = pp.sample(state, SHOTS, seed=seed + 1).bits
    records = device.misread(true, seed)
    yield "right rates", state, records, device
    yield "none", state, records, None
    yield "half of the rates", state, records, rates(0.005, 0.025)
    yield "twice the rates", state, records, later
    yield "3 % of all bits", state, records, rates(0.03, 0.03)
    half = SHOTS // 2
    drifting = np.concatenate([records[:half], later.misread(true[half:], seed)])
    yield "rates double halfway: the first", state, drifting, device
    yield "rates double halfway: the mean", state, drifting, rates(0.015, 0.075)
    together = pairs_too(device, true, seed)
    prepared = {
        two * (SITES // 2): pairs_too(device, prepare(two), 1000 + 4 * seed + k)
        for k, two in enumerate(("00", "11", "01", "10"))
    }
    yield "pairs flip too: by site", state, together, pp.calibrate_readout(prepared)
    yield "pairs flip too: by pair", state, together, pp.calibrate_readout(prepared, groups=PAIRS)
    ends = np.zeros(1 << SITES)
    ends[[0, -1]] = np.sqrt(0.5)
    ghz = pp.mps_from_vector(ends)
    records = device.misread(pp.sample(ghz, SHOTS, seed=seed + 1).bits, seed)
    yield "GHZ state: right rates", ghz, records, device
    yield "GHZ state: none", ghz, records, None
    yield "GHZ state: twice the rates", ghz, records, later


def rates(zero: float, one: float) -> pp.ReadoutError:
    return pp.ReadoutError.from_rates(zero, one, sites=SITES)


def pairs_too(device: pp.ReadoutError, bits: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Bits misread by the device, and pairs of neighbours that flip together."""
    both = np.random.default_rng(seed).random((len(bits), SITES // 2)) < TOGETHER
    return device.misread(bits, seed) ^ np.repeat(both, 2, axis=1)


def prepare(two: str) -> NDArray[np.uint8]:
    """Calibration shots of the state in which all pairs are in one state."""
    return np.tile(np.array([int(bit) for bit in two], np.uint8), (SHOTS, SITES // 2))


if __name__ == "__main__":
    main()
