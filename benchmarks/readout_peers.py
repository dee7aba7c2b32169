"""Fidelity from misread bits: psiprune through the readout errors, and programs without them.

Ground state of the Ising chain at h = J, the same shots for all methods, N_h = N/2. `corrected`
inverts the confusion matrices on the counts of all states, moves the result to the nearest
distribution (Smolin, Gambetta, Smith, PRL 108, 070502 (2012)) and trains on that. QuCumber trains
500 epochs, by CD-10 in batches of 100 at learning rate 0.01, as in its first tutorial, and by CD-1
in batches of 1,000 at 0.1; NetKet (driver QSR with its control variates, an RBM for psi) 2,000
steps of Adam in batches of 1,000; all with one thread. F is the sum over all states, its median
over --seeds (3) seeds with the smallest and the largest value; seconds are those of training. At
N = 10 several minutes a seed on an idle core, most of them for the tutorial's settings, which
--quick leaves out; --sites 18 takes 10^5 shots and leaves out these settings and NetKet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import peers
import psiprune as pp
from psiprune.metrics.divergence import fidelity
from psiprune.metrics.reference import Reference, reference_of

Trained = tuple[float, float]  # fidelity, seconds
Settings = dict[str, Any]
#: p(1|0) and p(0|1) of each case.
CASES = {"no errors": (0.0, 0.0), "3 %": (0.03, 0.03), "1 % and 5 %": (0.01, 0.05)}
EPOCHS = 500  # of QuCumber
#: Steps of contrastive divergence, batch and learning rate of QuCumber: of its tutorial, and fast.
TUTORIAL: Settings = {"cd_steps": 10, "batch": 100, "learning_rate": 0.01}
FAST: Settings = {"cd_steps": 1, "batch": 1000, "learning_rate": 0.1}
#: What a method makes of the records, None if nothing new; and how it trains on that with a seed.
Methods = dict[
    str, tuple[Callable[[pp.Shots], pp.Shots | None], Callable[[pp.Shots, int], Trained]]
]


def main() -> None:
    args = peers.options(__doc__, seeds=3, sites=10)
    seeds = range(1 if args.quick else args.seeds)
    state = pp.ground_state(pp.TFIM(sites=args.sites, field=1.0))
    reference, shots = reference_of(state), 20_000 if args.sites <= 10 else 100_000
    ours(pp.sample(state, 100), reference, 0)  # compiles
    with (
        peers.open_peer(args.peers) as qucumber,
        peers.open_peer(args.peers, "peer_netket.py") as netket,
    ):
        about = peers.header(
            f"Fidelity from {shots:,} misread shots of {args.sites} sites",
            *(f"with {peer.about}" for peer in (qucumber, netket) if peer is not None),
            f"seeds {seeds}",
        )
        rows = []
        methods = contestants(reference, qucumber, netket if args.sites <= 10 else None)
        if args.quick or args.sites > 10:
            methods.pop("QuCumber, tutorial", None)
        for case, rates in CASES.items():
            with peers.one_core():
                found = compare(records_of(state, shots, rates, seeds), methods)
            rows += [summary(case, name, values) for name, values in found.items()]
            peers.show(rows[-len(found) :])
    peers.save(args.json, about, readout_peers=rows)


def records_of(
    state: pp.MPS, shots: int, rates: tuple[float, float], seeds: range
) -> Iterator[tuple[int, pp.Shots]]:
    """Each seed with its shots; they carry their errors, if there are any."""
    error = pp.ReadoutError.from_rates(*rates, sites=state.sites)
    for seed in seeds:
        clean = pp.sample(state, shots, seed=seed + 1)
        yield seed, clean.with_readout_error(error, seed) if any(rates) else clean


def compare(data: Iterator[tuple[int, pp.Shots]], methods: Methods) -> dict[str, list[Trained]]:
    """What each method reaches with each seed, in the order of the seeds."""
    found: dict[str, list[Trained]] = {}
    for seed, records in data:
        for name, (prepare, train) in methods.items():
            prepared = prepare(records)
            if prepared is not None:
                found.setdefault(name, []).append(train(prepared, seed))
    return found


def contestants(
    reference: Reference, qucumber: peers.Peer | None, netket: peers.Peer | None
) -> Methods:
    """The methods by name, those of the peers where they are there."""

    def train(shots: pp.Shots, seed: int) -> Trained:
        return ours(shots, reference, seed)

    methods: Methods = {
        "psiprune": (lambda records: records, train),
        "psiprune, errors ignored": (ignored, train),
        "psiprune, counts corrected": (corrected, train),
    }
    if qucumber is not None:
        for name, settings in (("tutorial", TUTORIAL), ("fast", FAST)):
            fit = partial(by_qucumber, qucumber, reference, settings)
            methods[f"QuCumber, {name}"] = bare, fit
    if netket is not None:
        methods["NetKet"] = (bare, lambda shots, seed: by_netket(netket, shots, reference, seed))
    return methods


def summary(case: str, method: str, values: list[Trained]) -> peers.Row:
    """Median and range of the fidelity, median of the seconds."""
    found, seconds = zip(*values, strict=True)
    return {
        "case": case,
        "method": method,
        "F": f"{median(found):.4f} ({min(found):.4f}-{max(found):.4f})",
        "seconds": median(seconds),
    }


# --- the records ------------------------------------------------------------------------------


def bare(records: pp.Shots) -> pp.Shots:
    """The recorded bits as they are."""
    return replace(records, readout=None)


def ignored(records: pp.Shots) -> pp.Shots | None:
    """The recorded bits as they are, where they have errors."""
    return None if records.readout is None else bare(records)


def corrected(records: pp.Shots) -> pp.Shots | None:
    """Shots with the frequencies that the inverted confusion matrices give, where there are any."""
    if records.readout is None:
        return None
    sites, shots = records.sites, len(records)
    index = records.bits.astype(np.int64) @ (1 << np.arange(sites)[::-1])
    frequency = np.bincount(index, minlength=1 << sites).reshape((2,) * sites) / shots
    for site, (one, zero) in enumerate(records.readout.rates):  # p(1|0), p(0|1)
        inverse = np.linalg.inv([[1 - one, zero], [one, 1 - zero]])
        frequency = np.moveaxis(np.tensordot(inverse, frequency, (1, site)), 0, site)
    counts = rounded(nearest_distribution(frequency.ravel()) * shots)
    return pp.Shots(np.array(np.unravel_index(counts, (2,) * sites), np.uint8).T.copy())


def nearest_distribution(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distribution of least squared distance from numbers that add up to 1."""
    decreasing = np.sort(values)[::-1]
    excess = (np.cumsum(decreasing) - 1.0) / np.arange(1, len(values) + 1)
    return np.maximum(values - excess[decreasing > excess][-1], 0.0)


def rounded(expected: NDArray[np.float64]) -> NDArray[np.intp]:
    """Each state as often as expected, rounded so that the total stays the same."""
    upto = np.rint(np.cumsum(expected)).astype(np.intp)
    return np.repeat(np.arange(len(expected)), np.diff(upto, prepend=0))


# --- the trainings ----------------------------------------------------------------------------


def ours(shots: pp.Shots, reference: Reference, seed: int) -> Trained:
    begin = time.perf_counter()
    rbm = pp.train(shots, seed=seed, progress=False)
    seconds = time.perf_counter() - begin
    return fidelity_of(rbm, reference), seconds


def by_qucumber(
    peer: peers.Peer, reference: Reference, settings: Settings, shots: pp.Shots, seed: int
) -> Trained:
    answer = peer.ask(
        "fit",
        data=shots.bits,
        hidden=shots.sites // 2,
        **settings,
        epochs=EPOCHS,
        keep_every=EPOCHS,
        seed=seed,
    )
    names = ("weights", "visible_bias", "hidden_bias")
    rbm = pp.RBM(*(np.load(peer.folder / f"{name}.npy")[-1] for name in names))
    return fidelity_of(rbm, reference), sum(answer["epoch_seconds"])


def by_netket(peer: peers.Peer, shots: pp.Shots, reference: Reference, seed: int) -> Trained:
    states = (np.arange(1 << shots.sites)[:, None] >> np.arange(shots.sites)) & 1
    answer = peer.ask("fit", data=shots.bits, states=states.astype(np.uint8), seed=seed)
    log_p = 2.0 * np.load(peer.folder / "log_psi.npy")
    assert reference.log_q is not None
    return fidelity(reference.log_q, log_p - np.logaddexp.reduce(log_p)), answer["seconds"]


def fidelity_of(rbm: pp.RBM, reference: Reference) -> float:
    assert reference.log_q is not None  # N <= 20
    return fidelity(reference.log_q, rbm.log_prob_all() - rbm.log_partition())


if __name__ == "__main__":
    main()
