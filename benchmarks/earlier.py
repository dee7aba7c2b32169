"""How much faster is this version than an earlier commit, and is it as accurate?

Both in one run, each in a process of its own with its sources and the same libraries, in turn on
one core; CPU time, least of several rounds. A Gibbs step is one of 112 chains; an update is one of
CD with batch 100 at learning rate 0.01, on shots of the Ising chain at h = 2 (h = 1 at 18 sites).
KL is that to the exact state after 20 epochs at a rate that falls from 0.1 to 0.001. The last row
is natural gradient from shots to RBM, with the defaults of each version, at h = 1.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from functools import partial
from pathlib import Path

import peers
import psiprune as pp

GIBBS = ((18, 9), (100, 50), (200, 100))
EPOCHS = 20
UPDATES = ((18, 9, 1), (18, 9, 10), (100, 50, 1), (100, 50, 10))


def main() -> None:
    args = peers.options(__doc__, commit="5e24bed")
    shots, rounds, draws = (5_000, 2, 2_000) if args.quick else (50_000, 8, 20_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(args.commit, folder / "then")
        about = peers.header(
            f"This version (now) and commit {args.commit} (then): CPU time",
            f"{shots:,} shots, batch {peers.BATCH}, seed {peers.SEED}; least of {rounds}",
        )
        versions = [start(folder, each) for each in (peers.HERE.parent, folder / "then")]
        rows = [gibbs(versions, *size, 2 * rounds) for size in GIBBS]
        peers.show(rows)
        states = {
            sites: pp.ground_state(pp.TFIM(sites=sites, field=1.0 if sites == 18 else 2.0))
            for sites in (18, 100)
        }
        data = {sites: pp.sample(state, shots, seed=0) for sites, state in states.items()}
        for visible, hidden, cd_steps in UPDATES:
            rows.append(
                updates(versions, data[visible], states[visible], hidden, cd_steps, rounds, draws)
            )
            peers.show(rows[-1:])
        if not args.quick:
            state = pp.ground_state(pp.TFIM(sites=100, field=1.0))
            rows.append(natural(versions, pp.sample(state, 100_000, seed=1), state, draws))
        for version in versions:
            version.close()
    peers.show(rows)
    peers.save(args.json, about, earlier=rows)


def unpack(commit: str, folder: Path) -> None:
    """Write the files of a commit to a folder."""
    made = subprocess.run(
        ["git", "archive", commit],
        cwd=peers.HERE.parent,  # the top of the checkout, as `git archive` takes its folder
        capture_output=True,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(folder, filter="data")


def start(folder: Path, tree: Path) -> peers.Peer:
    """The process of a version, whose sources are in `tree`."""
    path = os.pathsep.join(map(str, (tree / "src", tree / "benchmarks", peers.HERE)))
    return peers.Peer(sys.executable, folder, "version_serve.py", path)


def row(work: str, size: tuple[int, int], seconds: list[float], unit: float) -> peers.Row:
    now, then = seconds
    shown = "s" if unit == 1 else "us"
    return {
        "work": work,
        "RBM": f"{size[0]}x{size[1]}",
        f"now [{shown}]": unit * now,
        f"then [{shown}]": unit * then,
        "ratio": then / now,
    }


def gibbs(versions: list[peers.Peer], visible: int, hidden: int, rounds: int) -> peers.Row:
    """Gibbs steps."""
    count = 20 + 2_000_000 // (visible * hidden)

    def task(version: peers.Peer) -> float:
        return float(version.ask("gibbs", visible=visible, hidden=hidden, count=count)["seconds"])

    seconds = peers.best(rounds, *(partial(task, version) for version in versions))
    return row("Gibbs step", (visible, hidden), seconds, 1e6)


def updates(
    versions: list[peers.Peer],
    shots: pp.Shots,
    state: pp.MPS,
    hidden: int,
    cd_steps: int,
    rounds: int,
    draws: int,
) -> peers.Row:
    """Updates, and the KL of both after a training."""
    size = shots.sites, hidden
    request = {"visible": shots.sites, "hidden": hidden, "cd_steps": cd_steps}

    def task(version: peers.Peer) -> float:
        return float(version.ask("update", data=shots.bits, **request)["seconds"])

    seconds = peers.best(rounds, *(partial(task, version) for version in versions))
    found = row(f"CD-{cd_steps} update", size, seconds, 1e6)
    for k, version in enumerate(versions):
        file = str(version.folder / f"{k}.nc")
        version.ask("trained", data=shots.bits, file=file, epochs=EPOCHS, **request)
    return found | kls(versions[0].folder, state, draws)


def natural(versions: list[peers.Peer], shots: pp.Shots, state: pp.MPS, draws: int) -> peers.Row:
    """One training by natural gradient."""
    seconds = [
        float(
            version.ask("natural", data=shots.bits, file=str(version.folder / f"{k}.nc"))["seconds"]
        )
        for k, version in enumerate(versions)
    ]
    found = row("natural gradient", (shots.sites, shots.sites // 2), seconds, 1)
    return found | kls(versions[0].folder, state, draws)


def kls(folder: Path, state: pp.MPS, draws: int) -> peers.Row:
    """KL of the RBMs that both versions have saved."""
    reports = [
        pp.evaluate(pp.load_rbm(folder / f"{k}.nc"), state, seed=3, draws=draws) for k in (0, 1)
    ]
    names = "KL now", "KL then"
    return {name: report.kl.value for name, report in zip(names, reports, strict=True)}


if __name__ == "__main__":
    main()
