"""How fast are configurations drawn: chains against QuCumber's and NetKet's, MPS shots and TeNPy's?

Each side through its own public function, `RBM.sample` against `PositiveWaveFunction.sample`,
random starts and conversions included, and NetKet's `MetropolisLocal.sample`, which has no Gibbs
steps: a step there is a sweep of N proposed flips. `psiprune.sample` against
`MPS.sample_measurements` on the same tensors, without charges, which is TeNPy's fastest. CPU time
of one thread; ours on all cores beside it, by the clock.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
from tenpy.networks.mps import MPS
from tenpy.networks.site import SpinHalfSite

import peers
import psiprune as pp

#: Chains and steps of psiprune, and of each peer.
CHAINS, STEPS = 10_000, 100
PEERS = {
    "QuCumber": ("peer_qucumber.py", CHAINS, STEPS),
    "NetKet": ("peer_netket.py", 1_000, 10),
}


def main() -> None:
    args = peers.options(__doc__)
    repeats = 2 if args.quick else 7
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(peers.open_peer(args.peers, script))
            for name, (script, _, _) in PEERS.items()
        }
        about = peers.header(
            "Sampling: chain-steps and shots per second",
            f"Gibbs: {CHAINS:,} chains x {STEPS} steps; MPS: N = 18, h = 1; seed {peers.SEED}",
            f"least of {repeats} calls after one to warm up; all cores here: {os.cpu_count()}",
            *(f"{name}: {peer.about}" for name, peer in opened.items() if peer is not None),
        )
        rows = [
            gibbs(*size, repeats, name, peer)
            for size in ((18, 9), (100, 50))
            for name, peer in opened.items()
        ]
    rows.append(shots(repeats, *((20_000, 10) if args.quick else (100_000, 50))))
    peers.show(rows)
    peers.save(args.json, about, sampling=rows)


def gibbs(visible: int, hidden: int, repeats: int, name: str, peer: peers.Peer | None) -> peers.Row:
    """Gibbs chains; a chain-step draws every hidden and then every visible unit of a chain once."""
    rbm = peers.random_rbm(visible, hidden)
    _, chains, steps = PEERS[name]

    def ours() -> object:
        return rbm.sample(CHAINS, steps=STEPS, seed=peers.SEED)

    def theirs() -> float:
        assert peer is not None
        answer = peer.ask("sample", weights=rbm.weights, chains=chains, steps=steps)
        return float(answer["seconds"])

    times = measure(repeats, ours, theirs if peer is not None else None)
    return line(
        f"Gibbs chain-steps, {visible} x {hidden}", name, CHAINS * STEPS, chains * steps, *times
    )


def shots(repeats: int, count: int, count_there: int) -> peers.Row:
    """Perfect sampling of an MPS."""
    state = pp.ground_state(pp.TFIM(sites=18, field=1.0))
    site = SpinHalfSite(conserve=None)
    tensors = [tensor.transpose(1, 0, 2) for tensor in state.tensors]  # TeNPy: [p, left, right]
    with warnings.catch_warnings():  # of an argument that TeNPy will want one day
        warnings.simplefilter("ignore")
        psi = MPS.from_Bflat([site] * state.sites, tensors, form="B")
    generator = np.random.default_rng(peers.SEED)

    def ours() -> object:
        return pp.sample(state, count, seed=peers.SEED)

    def theirs() -> float:
        return peers.cpu_seconds(
            lambda: [psi.sample_measurements(rng=generator) for _ in range(count_there)]
        )

    times = measure(repeats, ours, theirs)
    return line("shots of an MPS, N = 18", "TeNPy", count, count_there, *times)


def measure(
    repeats: int, ours: Callable[[], object], theirs: Callable[[], float] | None
) -> tuple[float, float, float | None]:
    """CPU seconds of ours on one core, seconds of ours on all, CPU seconds of theirs."""

    def on_one() -> float:
        with peers.one_core():
            return peers.cpu_seconds(ours)

    tasks = [on_one, lambda: peers.seconds(ours), *([theirs] if theirs else [])]
    for task in tasks:
        task()
    one, every, *there = peers.best(repeats, *tasks)
    return one, every, there[0] if there else None


def line(
    what: str, peer: str, work: int, work_there: int, one: float, every: float, there: float | None
) -> peers.Row:
    """One line of the table: rates in units of work per second."""
    rate = work_there / there if there else None
    return {
        "what": what,
        "ours, one core [1/s]": work / one,
        "ours, all cores [1/s]": work / every,
        "peer": peer,
        "peer [1/s]": rate,
        "ratio, one core": work / one / rate if rate else None,
    }


if __name__ == "__main__":
    main()
