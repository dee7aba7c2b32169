"""How long does one update take, ours against QuCumber's and JAX's, and how near does it come?

The same shots, batch, k and learning rate on both sides, one thread each; CPU time, least of
several epochs, both sides in turn. KL is that to the exact state after ten epochs at learning rate
0.1, each side from its own random weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

import numpy as np

import peers
import psiprune as pp
from psiprune.rbm.init import initial_rbm
from psiprune.training.train import fit

ROWS = ((18, 9, 1), (18, 9, 10), (100, 50, 1), (100, 50, 10))
PEERS = {"QuCumber": "peer_qucumber.py", "JAX": "peer_jax.py"}
DRAWS, RATE = 20_000, 0.1


def main() -> None:
    args = peers.options(__doc__)
    count, rounds, epochs = (20_000, 1, 2) if args.quick else (100_000, 3, 10)
    states = {
        sites: pp.ground_state(pp.TFIM(sites=sites, field=1.0 if sites == 18 else 2.0))
        for sites in (18, 100)
    }
    shots = {sites: pp.sample(state, count, seed=peers.SEED) for sites, state in states.items()}
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(peers.open_peer(args.peers, script))
            for name, script in PEERS.items()
        }
        there = {name: peer for name, peer in opened.items() if peer is not None}
        about = peers.header(
            "Training: microseconds of CPU time per update",
            f"{count:,} shots, batch {peers.BATCH}, learning rate 0.01, seed {peers.SEED}",
            f"least of {rounds} epochs of a peer and {rounds} x 12 of ours; shuffling counts",
            f"h = 1 at 18 sites, h = 2 at 100; KL after {epochs} epochs at learning rate {RATE}",
            *(f"{name}: {peer.about}" for name, peer in there.items()),
        )
        rows, starts = [], []
        for visible, hidden, cd_steps in ROWS:
            clock = peers.UpdateClock(peers.random_rbm(visible, hidden), shots[visible], cd_steps)
            starts.append(clock.first_epoch)
            row: peers.Row = {"visible": visible, "hidden": hidden, "k": cd_steps}
            row |= compare(clock, there, shots[visible], hidden, cd_steps, rounds)
            row |= kls(there, shots[visible], states[visible], hidden, cd_steps, epochs)
            rows.append(row)
            peers.show(rows[-1:])
        peers.show(rows)
    about["not counted [s]"] = {
        "our first epoch, kernels compiled or read from the cache": starts[0],
        **{f"imports of {name}, by the clock": peer.start_seconds for name, peer in there.items()},
    }
    for what, time in about["not counted [s]"].items():
        print(f"not counted: {what}: {peers.cell(time)} s")
    peers.save(args.json, about, training=rows)


def compare(
    clock: peers.UpdateClock,
    others: Mapping[str, peers.Peer],
    shots: pp.Shots,
    hidden: int,
    cd_steps: int,
    rounds: int,
) -> peers.Row:
    """Microseconds per update, ours and the peers'."""

    def ours() -> float:
        return 1e6 * clock(12)

    def theirs(peer: peers.Peer) -> float:
        times = peer.fit(shots.bits, hidden, cd_steps, 2)  # the first epoch warms up
        return 1e6 * times[1] * peers.BATCH / len(shots)

    here, *found = peers.best(rounds, ours, *(partial(theirs, peer) for peer in others.values()))
    row: peers.Row = {"ours [us]": here}
    for name, time in zip(others, found, strict=True):
        row |= {f"{name} [us]": time, f"{name} ratio": time / here}
    return row


def kls(
    others: Mapping[str, peers.Peer],
    shots: pp.Shots,
    state: pp.MPS,
    hidden: int,
    cd_steps: int,
    epochs: int,
) -> peers.Row:
    """KL of all sides after so many epochs."""
    method = pp.CD(epochs=epochs, steps=cd_steps, learning_rate=RATE, learning_rate_decay=1.0)
    rbm = fit(initial_rbm(shots.sites, hidden, peers.SEED), shots, method, peers.SEED)
    found: peers.Row = {"KL, ours": kl_of(rbm, state)}
    for peer_name, peer in others.items():
        peer.fit(shots.bits, hidden, cd_steps, epochs, keep_every=epochs, learning_rate=RATE)
        names = ("weights", "visible_bias", "hidden_bias")
        last = [np.load(peer.folder / f"{name}.npy")[-1].astype(np.float64) for name in names]
        found[f"KL, {peer_name}"] = kl_of(pp.RBM(*last), state)
    return found


def kl_of(rbm: pp.RBM, state: pp.MPS) -> float:
    """KL to a state."""
    return pp.evaluate(rbm, state, seed=3, draws=DRAWS).kl.value


if __name__ == "__main__":
    main()
