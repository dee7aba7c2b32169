"""Complex states from shots in several bases: fidelity and CPU time.

Each case is `train_phases` with its defaults on new shots for each seed. F is |<psi|psi_true>|^2,
CPU the time of the training alone.

qucumber    the data of QuCumber's second tutorial: 2 qubits, 5 bases, 1,000 shots; seeds differ in
            the initial weights alone.
quench 6    Ising chain, all spins up, after t = 1 at h = J: Z on all sites and 12 random bases of
            1,000 shots each.
quench 10   the same for 10 sites: Z, and XX and XY on each pair of neighbours, 50,000 shots in all.
quench 14   the same for 14 sites, --seeds up to 3.
ground 6    the real positive ground state, h = J, in the bases of quench 6. `z_same` is F of
            the RBM `train` fits to those of the shots that are in Z, `z_all` to as many in Z as
            there are in all bases; `below` counts seeds with F < `z_same` - 0.002, `flat` is the
            smallest |<psi| |psi|>|^2, 1 for a state without phases.
ground 10   the same for 10 sites in the bases of quench 10.

Pruned: 6 + 6 hidden units, 72 weights, on 13 bases of 1,000 shots, pruned in nine steps of 10 % to
28 (61 %) by `prune_phases`, by criterion; F and the weights left in each network. `turned` is
the critical ground state after exp(-i pi/8 sum Z_i Z_{i+1}), `quench` that after t = 0.5. --decay
fixes the weight decay of fine-tuning, which the end of the path chooses otherwise.

Decays: states with the networks that `train` gives them, 6 + 12 hidden units, pruned by surgeon in
nine steps to 42 of 108 weights with a fixed weight decay of fine-tuning and with the one that is
chosen by the end of the path; F before, after the first and after the last step.

Reconstructed: `reconstruct` with its defaults on 13 bases of 1,000 shots: F of the unpruned and the
smallest state, weights, verdicts.

Information: `identifiability` of 6 sites after t = 1, 1,000 shots in each basis, of which it fits
four fifths: the mean of 1 - F by the Fisher information (`expected`), what it is (`found`), and the
smallest fraction of the information about a change of the state that a shot carries.

Peers: the data of `qucumber` and `quench 6` fitted by QuCumber, with the settings of its second
tutorial, and by NetKet's QSR, with those of `peer_netket.py`, for up to --limit (60) CPU seconds
each, beside psiprune; --peer_seeds (3) seeds.

Medians over --seeds (10) seeds, with the smallest F. Minutes on an idle core, most of them for 14
sites; --quick takes 3 seeds and leaves these out. --only takes one table: phases, peers, pruned,
decays, reconstructed or information.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import expm_multiply

import peers
import psiprune as pp
from psiprune.pruning.phases import DECAYS, PhaseCriterion, best_path
from psiprune.states.basis_rotation import rotate
from psiprune.training.phase_starts import frequencies_for

DATA = Path(__file__).parent.parent / "tests/reference/qucumber"
Psi = NDArray[np.complex128]
Table = Callable[[], list[peers.Row]]


def main() -> None:
    args = peers.options(__doc__, seeds=10, decay="chosen", only="", limit=60, peer_seeds=3)
    seeds = range(3 if args.quick else args.seeds)
    about = peers.header("States with phases", f"seeds {seeds}")
    random, z_and_pairs = random_bases(6, 12), pairs(10)
    cases: list[Table] = [
        partial(qucumber, seeds),
        partial(quench, 6, random, 13_000, seeds),
        partial(ground, 6, random, 13_000, seeds),
        partial(quench, 10, z_and_pairs, 50_000, seeds),
        partial(ground, 10, z_and_pairs, 50_000, seeds),
    ]
    if not args.quick:
        cases.append(partial(quench, 14, pairs(14), 50_000, seeds[:3]))
    tables: dict[str, list[Table]] = {
        "phases": cases,
        "peers": [partial(beside_peers, args.peers, seeds[: args.peer_seeds], args.limit)],
        "pruned": [
            partial(pruned, "turned", turned_ground(6), seeds, args.decay),
            partial(pruned, "quench", after_quench(6, 0.5), seeds, args.decay),
        ],
        "decays": [partial(decays, name, seeds) for name in STATES],
        "reconstructed": [partial(reconstructed, name, seeds) for name in STATES],
        "information": [partial(information, seeds)],
    }
    found: dict[str, list[peers.Row]] = {}
    for name, makes in tables.items():
        if args.only in ("", name):
            for make in makes:
                rows = make()
                peers.show(rows)
                found.setdefault(name, []).extend(rows)
    peers.save(args.json, about, **found)


def qucumber(seeds: Sequence[int]) -> list[peers.Row]:
    shots, psi = qucumber_data()
    return fidelities("qucumber", psi, lambda _: shots, seeds)


def qucumber_data() -> tuple[pp.Shots, Psi]:
    bits = np.loadtxt(DATA / "qubits_train.txt", dtype=np.uint8)
    lines = (DATA / "qubits_train_bases.txt").read_text().splitlines()
    shots = pp.Shots(bits, pp.PauliBases.of_shots("".join(line.split()) for line in lines))
    psi: Psi = np.loadtxt(DATA / "qubits_psi.txt") @ np.array([1, 1j])
    return shots, psi.reshape(2, 2).T.ravel()


def quench(sites: int, bases: list[str], shots: int, seeds: Sequence[int]) -> list[peers.Row]:
    psi = after_quench(sites, 1.0)
    return fidelities(
        f"quench {sites}", psi, lambda seed: drawn(psi, bases, shots // len(bases), seed), seeds
    )


def ground(sites: int, bases: list[str], shots: int, seeds: Sequence[int]) -> list[peers.Row]:
    psi = pp.ground_state(pp.TFIM(sites=sites, field=1.0), progress=False).to_vector()
    psi = np.abs(psi).astype(complex)

    def several(seed: int) -> pp.Shots:
        return drawn(psi, bases, shots // len(bases), seed)

    def of_z(data: pp.Shots, seed: int) -> float:
        rbm = pp.train(data, hidden=sites, seed=seed, progress=False)
        return float(psi.real @ np.exp((rbm.log_prob_all() - rbm.log_partition()) / 2)) ** 2

    [row] = fidelities(f"ground {sites}", psi, several, seeds)
    fits = [pp.train_phases(several(seed), seed=seed, progress=False) for seed in seeds]
    same = [of_z(several(seed).in_basis("Z"), seed) for seed in seeds]
    row["z_same"] = median(same)
    row["z_all"] = median(of_z(drawn(psi, bases[:1], shots, seed), seed) for seed in seeds)
    row["below"] = sum(rbm.fidelity(psi) < z - 0.002 for rbm, z in zip(fits, same, strict=True))
    row["flat"] = f"{min(rbm.fidelity(np.abs(rbm.vector)) for rbm in fits):.4f}"
    return [row]


def fidelities(
    case: str, psi: Psi, shots_of: Callable[[int], pp.Shots], seeds: Sequence[int]
) -> list[peers.Row]:
    found, times, equal = [], [], []
    for seed in seeds:
        shots = shots_of(seed)
        begun = process_time()
        trained = pp.train_phases(shots, seed=seed, progress=False)
        times.append(process_time() - begun)
        found.append(trained.fidelity(psi))
        equal.append(float(trained.provenance["equally_likely"]))
    row: peers.Row = {
        "case": case,
        "bases": len(shots.bases),
        "shots": len(shots),
        "F": f"{median(found):.4f}",
        "least_F": f"{min(found):.4f}",
        "cpu_s": median(times),
        "equally_likely": median(equal),
    }
    return [row]


def beside_peers(python: Path, seeds: Sequence[int], limit: float) -> list[peers.Row]:
    """Rows of psiprune and of each peer that there is, on the same shots."""
    (shots, pair), six = qucumber_data(), after_quench(6, 1.0)
    cases: dict[str, tuple[Psi, Callable[[int], pp.Shots]]] = {
        "qucumber": (pair, lambda _: shots),
        "quench 6": (six, lambda seed: drawn(six, random_bases(6, 12), 1000, seed)),
    }
    rows: list[peers.Row] = []
    for case, (psi, shots_of) in cases.items():
        [own] = fidelities(case, psi, shots_of, seeds)
        shown = {key: own[key] for key in ("F", "least_F", "cpu_s")}
        rows.append({"case": case, "by": "psiprune", "epochs": "", **shown})
    for script in ("peer_qucumber.py", "peer_netket.py"):
        with peers.open_peer(python, script) as peer:
            if peer is not None:
                rows += [
                    fitted_by(peer, case, psi, shots_of, seeds, limit)
                    for case, (psi, shots_of) in cases.items()
                ]
    return sorted(rows, key=lambda row: str(row["case"]))


def fitted_by(
    peer: peers.Peer,
    case: str,
    psi: Psi,
    shots_of: Callable[[int], pp.Shots],
    seeds: Sequence[int],
    limit: float,
) -> peers.Row:
    # The peers count states with site 0 as the most significant bit.
    sites = len(psi).bit_length() - 1
    true = psi.reshape((2,) * sites).T.ravel()
    found, times, epochs = [], [], []
    for seed in seeds:
        shots = shots_of(seed)
        bases = np.array([[*name] for name in shots.bases])[shots.basis_of]
        answer = peer.ask("phases", data=shots.bits, bases=bases, seconds=float(limit), seed=seed)
        other: Psi = np.load(peer.folder / "psi.npy")
        found.append(float(np.abs(np.vdot(other, true)) ** 2 / np.vdot(other, other).real))
        times.append(float(answer["seconds"]))
        epochs.append(float(answer["epochs"]))
    return {
        "case": case,
        "by": next(f"{name} {number}" for name, number in peer.about.items()),
        "epochs": median(epochs),
        "F": f"{median(found):.4f}",
        "least_F": f"{min(found):.4f}",
        "cpu_s": median(times),
    }


def pruned(case: str, psi: Psi, seeds: Sequence[int], decay: str = "chosen") -> list[peers.Row]:
    criteria: tuple[PhaseCriterion, ...] = ("magnitude", "damage", "surgeon")
    given = None if decay == "chosen" else float(decay)
    found: dict[str, list[pp.PhaseLevel]] = {each: [] for each in ("dense", *criteria)}
    for seed in seeds:
        shots = drawn(psi, random_bases(6, 12), 1000, seed)
        rbm = pp.train_phases(shots, phase_hidden=6, seed=seed, progress=False)
        for name in criteria:
            path = pp.prune_phases(
                rbm, shots, criterion=name, levels=9, weight_decay=given, progress=False
            )
            found[name].append(path[-1])
        found["dense"].append(path[0])
    rows: list[peers.Row] = []
    for label, levels in found.items():
        fidelity = [level.rbm.fidelity(psi) for level in levels]
        rows.append(
            {
                "case": case,
                "criterion": label,
                "weights": levels[0].rbm.number_of_weights,
                "amplitude": median(level.rbm.amplitude.number_of_weights for level in levels),
                "phase": median(level.rbm.phase.number_of_weights for level in levels),
                "F": f"{median(fidelity):.4f}",
                "least_F": f"{min(fidelity):.4f}",
            }
        )
    return rows


def decays(name: str, seeds: Sequence[int]) -> list[peers.Row]:
    labels = (*(f"{decay:g}" for decay in (0, *DECAYS)), "chosen")
    found: dict[str, list[list[float]]] = {label: [] for label in labels}
    for seed in seeds:
        psi = STATES[name](seed)
        shots = drawn(psi, random_bases(6, 12), 1000, seed)
        rbm = pp.train_phases(shots, seed=seed, progress=False)
        paths = {
            f"{decay:g}": pp.prune_phases(rbm, shots, levels=9, weight_decay=decay, progress=False)
            for decay in (0, *DECAYS)
        }
        # As prune_phases chooses without a weight decay.
        others = [path for label, path in paths.items() if label != "0"]
        paths["chosen"] = best_path(others, frequencies_for(shots))
        for label, path in paths.items():
            found[label].append([path[k].rbm.fidelity(psi) for k in (0, 1, 9)])
    rows: list[peers.Row] = []
    for label, values in found.items():
        dense, first, last = ([value[k] for value in values] for k in range(3))
        rows.append(
            {
                "state": name,
                "decay": label,
                "F_dense": f"{median(dense):.4f}",
                "F_first": f"{median(first):.4f}",
                "F_last": f"{median(last):.4f}",
                "least_F_last": f"{min(last):.4f}",
            }
        )
    return rows


def reconstructed(name: str, seeds: Sequence[int]) -> list[peers.Row]:
    found, times = [], []
    for seed in seeds:
        psi = STATES[name](seed)
        shots = drawn(psi, random_bases(6, 12), 1000, seed)
        begun = process_time()
        result = pp.reconstruct(shots, seed=seed, progress=False)
        times.append(process_time() - begun)
        assert isinstance(result, pp.PhaseReconstruction)
        attrs = result.dataset.attrs
        fidelity = result.unpruned.fidelity(psi), result.rbm.fidelity(psi)
        found.append((*fidelity, attrs["dense_weights"], attrs["weights"], result.verdict))
    dense, small, before, after, verdicts = zip(*found, strict=True)
    row: peers.Row = {
        "state": name,
        "F_unpruned": f"{median(dense):.4f}",
        "F": f"{median(small):.4f}",
        "least_F": f"{min(small):.4f}",
        "unpruned": median(before),
        "weights": median(after),
        "trusted": verdicts.count("trusted"),
        "not": verdicts.count("not trusted"),
        "cpu_s": median(times),
    }
    return [row]


def information(seeds: Sequence[int]) -> list[peers.Row]:
    psi, rows = after_quench(6, 1.0), []
    sets = {"random": random_bases(6, 12), "nearest pairs": pairs(6), "single sites": singles(6)}
    for name, bases in sets.items():
        found = [
            pp.identifiability(drawn(psi, bases, 1000, seed), seed=seed, progress=False)
            for seed in seeds
        ]
        row: peers.Row = {
            "bases": f"{len(bases)}, {name}",
            "expected": median(each.infidelity for each in found),
            "found": median(1 - each.rbm.fidelity(psi) for each in found),
            "least_information": median(float(each.information.fractions[0]) for each in found),
            "agreement": median(each.agreement for each in found),
            "determined": sum(each.determined for each in found),
        }
        rows.append(row)
    return rows


def singles(sites: int) -> list[str]:
    """Z on all sites, and X and Y on each site with Z elsewhere."""
    placed = ["Z" * i + letter + "Z" * (sites - 1 - i) for i in range(sites) for letter in "XY"]
    return ["Z" * sites, *placed]


def turned_ground(sites: int) -> Psi:
    """exp(-i pi/8 sum Z_i Z_{i+1}) on the critical ground state: phases of many bodies."""
    bits = (np.arange(2**sites)[:, None] >> np.arange(sites)) & 1
    state, z = pp.ground_state(pp.TFIM(sites=sites, field=1.0)), 1 - 2 * bits
    turn = np.exp(-1j * np.pi / 8 * (z[:, :-1] * z[:, 1:]).sum(axis=1))
    return np.asarray(np.exp(state.log_prob(bits) / 2) * turn)


def after_quench(sites: int, time: float) -> Psi:
    """exp(-i H t) |00...0> of the open transverse-field Ising chain, J = h = 1."""
    terms = [(-1.0, {i: "Z", i + 1: "Z"}) for i in range(sites - 1)]
    chain = pp.Hamiltonian([*terms, *((-1.0, {i: "X"}) for i in range(sites))])
    start = np.zeros(2**sites, complex)
    start[0] = 1
    return np.asarray(expm_multiply(-1j * time * chain.to_sparse().tocsc(), start))


def pairs(sites: int) -> list[str]:
    """Z on all sites, and XX and XY on each pair of neighbours with Z elsewhere."""
    placed = [
        "Z" * site + pair + "Z" * (sites - 2 - site)
        for site in range(sites - 1)
        for pair in ("XX", "XY")
    ]
    return ["Z" * sites, *placed]


def random_bases(sites: int, count: int) -> list[str]:
    generator = np.random.default_rng(sites)
    return ["Z" * sites, *("".join(generator.choice([*"XYZ"], sites)) for _ in range(count))]


def drawn(psi: Psi, bases: list[str], each: int, seed: int) -> pp.Shots:
    """As many outcomes of a state in each basis."""
    generator, bits = np.random.default_rng([1, seed]), []
    for amplitudes in rotate(psi, bases):
        prob = np.abs(amplitudes) ** 2
        outcome = generator.choice(len(prob), each, p=prob / prob.sum())
        bits.append((outcome[:, None] >> np.arange(len(bases[0]))) & 1)
    index = np.repeat(np.arange(len(bases)), each)
    return pp.Shots(np.concatenate(bits).astype(np.uint8), pp.PauliBases(tuple(bases), index))


def quenched(time: float, _: int) -> Psi:
    return after_quench(6, time)


def xxz(_: int) -> Psi:
    """The ground state of the XXZ chain at Delta = 0.5 with a twist of 0.4 per site."""
    state = pp.ground_state(pp.XXZ(sites=6, delta=0.5), progress=False)
    return np.asarray(pp.twisted(state, 0.4).to_vector(), complex)


def local(seed: int) -> Psi:
    """The critical ground state, each site turned by a random unitary."""
    state = pp.ground_state(pp.TFIM(sites=6, field=1.0), progress=False)
    return np.asarray(pp.randomly_turned(state, seed=seed).to_vector(), complex)


#: States of six sites, by seed.
STATES: dict[str, Callable[[int], Psi]] = {
    **{f"quench, t = {time:g}": partial(quenched, time) for time in (0.5, 1.0, 2.0)},
    "turned": lambda _: turned_ground(6),
    "XXZ, twisted": xxz,
    "local unitaries": local,
}

if __name__ == "__main__":
    main()
