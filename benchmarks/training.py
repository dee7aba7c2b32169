"""How long does one update take, ours against QuCumber's, and how near does it come?

The same shots, batch, k and learning rate on both sides, one thread each; CPU time, least of
several epochs, both sides in turn. KL is that to the exact state after ten epochs at learning rate
0.1, each side from its own random weights.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

import peers
import psiprune as pp
from psiprune.rbm.init import initial_rbm
from psiprune.training.train import fit

ROWS = ((18, 9, 1), (18, 9, 10), (100, 50, 1), (100, 50, 10))
DRAWS, RATE = 20_000, 0.1


def main() -> None:
    args = peers.options(__doc__)
    count, rounds, epochs = (20_000, 1, 2) if args.quick else (100_000, 3, 10)
    states = {
        sites: pp.ground_state(pp.TFIM(sites=sites, field=1.0 if sites == 18 else 2.0))
        for sites in (18, 100)
    }
    shots = {sites: pp.sample(state, count, seed=peers.SEED) for sites, state in states.items()}
    with peers.open_peer(args.peers) as peer:
        about = peers.header(
            "Training: microseconds of CPU time per update",
            f"{count:,} shots, batch {peers.BATCH}, learning rate 0.01, seed {peers.SEED}",
            f"least of {rounds} epochs of QuCumber and {rounds} x 12 of ours; shuffling counts",
            f"h = 1 at 18 sites, h = 2 at 100; KL after {epochs} epochs at learning rate {RATE}",
            peer=peer,
        )
        rows, starts = [], []
        for visible, hidden, cd_steps in ROWS:
            clock = peers.UpdateClock(peers.random_rbm(visible, hidden), shots[visible], cd_steps)
            starts.append(clock.first_epoch)
            ours, theirs = compare(clock, peer, shots[visible], hidden, cd_steps, rounds)
            row: peers.Row = {"visible": visible, "hidden": hidden, "k": cd_steps}
            row |= {"ours [us]": ours, "QuCumber [us]": theirs}
            row |= {"ratio": theirs / ours if theirs else None}
            row |= kls(peer, shots[visible], states[visible], hidden, cd_steps, epochs)
            rows.append(row)
            peers.show(rows[-1:])
        peers.show(rows)
        imports = [sys.executable, "-c", "import psiprune.training.train"]
        before = os.times()
        subprocess.run(imports, check=True)
        after = os.times()
        about["not counted [s]"] = {
            "our imports": after.children_user - before.children_user,
            "our first epoch, kernels compiled or read from numba's cache": starts[0],
            "imports of the peer, by the clock": None if peer is None else peer.start_seconds,
        }
        for what, time in about["not counted [s]"].items():
            print(f"not counted: {what}: {peers.cell(time)} s")
    peers.save(args.json, about, training=rows)


def compare(
    clock: peers.UpdateClock,
    peer: peers.Peer | None,
    shots: pp.Shots,
    hidden: int,
    cd_steps: int,
    rounds: int,
) -> tuple[float, float | None]:
    """Microseconds per update, ours and QuCumber's."""

    def ours() -> float:
        return 1e6 * clock(12)

    if peer is None:
        return peers.best(rounds, ours)[0], None

    def theirs() -> float:
        # The first epoch warms up.
        times = peer.fit(shots.bits, hidden, cd_steps, 2)
        return 1e6 * times[1] * peers.BATCH / len(shots)

    here, there = peers.best(rounds, ours, theirs)
    return here, there


def kls(
    peer: peers.Peer | None,
    shots: pp.Shots,
    state: pp.MPS,
    hidden: int,
    cd_steps: int,
    epochs: int,
) -> peers.Row:
    """KL of both sides after so many epochs."""
    method = pp.CD(epochs=epochs, steps=cd_steps, learning_rate=RATE, learning_rate_decay=1.0)
    rbm = fit(initial_rbm(shots.sites, hidden, peers.SEED), shots, method, peers.SEED)
    found: peers.Row = {"KL, ours": kl_of(rbm, state), "KL, QuCumber": None}
    if peer is not None:
        peer.fit(shots.bits, hidden, cd_steps, epochs, keep_every=epochs, learning_rate=RATE)
        names = ("weights", "visible_bias", "hidden_bias")
        last = [np.load(peer.folder / f"{name}.npy")[-1] for name in names]
        found["KL, QuCumber"] = kl_of(pp.RBM(*last), state)
    return found


def kl_of(rbm: pp.RBM, state: pp.MPS) -> float:
    """KL to a state."""
    return pp.evaluate(rbm, state, seed=3, draws=DRAWS).kl.value


if __name__ == "__main__":
    main()
