"""How long does one update take, ours against QuCumber's?

The same shots, batch, k and learning rate on both sides, one thread each; QuCumber gets two where
that is faster. Least of several epochs, both sides in turn.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import peers
from psiprune import Shots

ROWS = ((18, 9, 1), (18, 9, 10), (100, 50, 1), (100, 50, 10))


def main() -> None:
    args = peers.options(__doc__)
    shots, rounds, epochs = (20_000, 1, 2) if args.quick else (100_000, 3, 3)
    data = {sites: peers.ising_shots(sites, shots) for sites, *_ in ROWS}
    with peers.open_peer(args.peers) as peer:
        about = peers.header(
            "Training: microseconds per update",
            f"{shots:,} shots, batch {peers.BATCH}, learning rate 0.01, seed {peers.SEED}",
            f"least of {rounds} x {epochs} epochs of QuCumber and {rounds} x {4 * epochs} of ours;"
            " shuffling counts",
            peer=peer,
        )
        rows, starts = [], []
        for visible, hidden, cd_steps in ROWS:
            clock = peers.UpdateClock(peers.random_rbm(visible, hidden), data[visible], cd_steps)
            starts.append(clock.first_epoch)
            ours, theirs, threads = compare(
                clock, peer, data[visible], hidden, cd_steps, rounds, epochs
            )
            row: peers.Row = {"visible": visible, "hidden": hidden, "k": cd_steps}
            row |= {"ours [us]": ours, "QuCumber [us]": theirs, "its threads": threads}
            rows.append(row | {"ratio": theirs / ours if theirs else None})
        peers.show(rows)
        imports = [sys.executable, "-c", "import psiprune.training"]
        about["not counted [s]"] = {
            "our imports": peers.seconds(lambda: subprocess.run(imports, check=True)),
            "our first epoch, kernels compiled or read from numba's cache": starts[0],
            "imports of the peer": peer.start_seconds if peer is not None else None,
        }
        for what, time in about["not counted [s]"].items():
            print(f"not counted: {what}: {peers.cell(time)} s")
    peers.save(args.json, about, training=rows)


def compare(
    clock: peers.UpdateClock,
    peer: peers.Peer | None,
    shots: Shots,
    hidden: int,
    cd_steps: int,
    rounds: int,
    epochs: int,
) -> tuple[float, float | None, int | None]:
    """Microseconds per update, ours and QuCumber's, and the threads it did best with."""

    def ours() -> float:
        return 1e6 * clock(4 * epochs)

    if peer is None:
        return peers.best(rounds, ours)[0], None, None

    def theirs(count: int, threads: int) -> float:
        # One epoch more than is measured, as a warm-up.
        times = peer.fit(shots.bits[:count], hidden, cd_steps, epochs + 1, threads=threads)
        return 1e6 * min(times[1:]) * peers.BATCH / count

    # Where the cores are busy two threads cost it up to forty times as much, so a short trial tells
    # whether they are worth a measurement; one thread is measured always.
    one, two = peers.best(3, *(partial(theirs, 20 * peers.BATCH, n) for n in (1, 2)))
    choices = (1, 2) if two < one else (1,)
    here, *there = peers.best(rounds, ours, *(partial(theirs, len(shots), n) for n in choices))
    return here, min(there), choices[there.index(min(there))]


if __name__ == "__main__":
    main()
