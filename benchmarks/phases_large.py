"""Complex states of more than 16 sites from bases that rotate two sites: F, KL by basis, energy.

The Ising chain, all spins up, after t = 1 at h = J, from Z on all sites and XX and XY on each pair
of neighbours, --shots shots in all, of which a tenth is held out. `train_phases` with its defaults,
but --starts starts, at most --epochs steps and --hidden units of the amplitude network.

F: fidelity with the state, by draws of both. KL by basis: mean of log q_state - log q of the
held-out shots, in nats per shot, and the largest of all bases in standard errors. E: energy by
draws, with that of the state. CPU: of the training, one core.

--sites takes several numbers, 20,30,50. Minutes of CPU for each start.

--only small: chains of 4 to 10 sites instead, 20,000 shots (50,000 at 10 sites), one start for each
of --seeds seeds, by sums over all states, and as above 16 sites with log Z summed and over chains:
medians of F, the least F and how many exceed 0.98.
"""

from __future__ import annotations

from time import process_time
from unittest.mock import patch

import numpy as np

import peers
import psiprune as pp
from psiprune.inference.phase_draws import draws_of, fidelity_by_draws, mean_by_draws
from psiprune.metrics.phase_held_out import split_by_basis
from psiprune.rbm.phase_terms import log_amplitudes, terms_of
from psiprune.states.basis_rotation import MATRICES
from psiprune.states.tensors import log_probability, rotate_sites
from psiprune.training.natural_phase_mcmc import log_likelihood


def main() -> None:
    args = peers.options(
        __doc__, sites="20", shots=100_000, starts=1, epochs=300, hidden=0, seeds=10, only="large"
    )
    about = peers.header("States with phases above 16 sites", f"{args.shots} shots")
    rows: list[peers.Row] = []
    if args.only == "small":
        for sites in (4, 6, 8, 10):
            rows += against_sums(sites, 50_000 if sites == 10 else 20_000, range(args.seeds))
            peers.show(rows[-3:])
        peers.save(args.json, about, small_phases=rows)
        return
    for sites in map(int, str(args.sites).split(",")):
        rows.append(quench(sites, args.shots, args.starts, args.epochs, args.hidden or None))
        peers.show(rows[-1:])
    peers.save(args.json, about, large_phases=rows)


def quench(sites: int, shots: int, starts: int, epochs: int, hidden: int | None) -> peers.Row:
    chain = pp.TFIM(sites=sites, field=1.0)
    state, operator = pp.quench(chain, 1.0, progress=False), chain.hamiltonian()
    drawn = pp.sample(state, shots, seed=1, bases="nearest-pairs", progress=False)
    training, held_out = split_by_basis(drawn, 0.1, 0)
    begun = process_time()
    rbm = pp.train_phases(training, hidden=hidden, starts=starts, epochs=epochs, progress=False)
    seconds = process_time() - begun
    fidelity, error = fidelity_by_draws(rbm, state)
    energy, energy_error = mean_by_draws(rbm, operator, draws_of(rbm.amplitude, 20_000, 2))
    kl = kl_by_basis(rbm, state, held_out)
    worst = max(kl, key=lambda name: kl[name][0] / kl[name][1])
    row: peers.Row = {
        "sites": sites,
        "bases": len(drawn.bases),
        "F": f"{fidelity:.4f}",
        "F_error": f"{error:.4f}",
        "KL_Z": f"{kl['Z' * sites][0]:.4f}",
        "KL_mean": f"{np.mean([mean for mean, _ in kl.values()]):.4f}",
        "KL_worst": f"{kl[worst][0]:.4f} +- {kl[worst][1]:.4f}",
        "E": f"{energy:.3f} +- {energy_error:.3f}",
        "E_state": f"{state.expectation(operator):.3f}",
        "steps": rbm.provenance["epochs_done"],
        "cpu_s": seconds,
    }
    return row


def against_sums(sites: int, shots: int, seeds: range) -> list[peers.Row]:
    """The same fits by sums over all states, and by the two ways above 16 sites."""
    state = pp.quench(pp.TFIM(sites=sites, field=1.0), 1.0, progress=False)
    ways = {"all states": (16, 20), "few terms, log Z summed": (1, 20), "few terms, chains": (1, 0)}
    rows: list[peers.Row] = []
    for name, (states, units) in ways.items():
        found, times = [], []
        with (
            patch("psiprune.training.phases.PHASE_SITES", states),
            patch("psiprune.inference.normalisation.SUMMED_UNITS", units),
        ):
            for seed in seeds:
                drawn = pp.sample(state, shots, seed=seed, bases="nearest-pairs", progress=False)
                begun = process_time()
                rbm = pp.train_phases(drawn, starts=1, seed=seed, progress=False)
                times.append(process_time() - begun)
                found.append(rbm.fidelity(state))
        row: peers.Row = {
            "sites": sites,
            "sums": name,
            "F": f"{np.median(found):.4f}",
            "least_F": f"{min(found):.4f}",
            "above": sum(fidelity > 0.98 for fidelity in found),
            "cpu_s": float(np.median(times)),
        }
        rows.append(row)
    return rows


def kl_by_basis(rbm: pp.PhaseRBM, state: pp.MPS, shots: pp.Shots) -> dict[str, tuple[float, float]]:
    """KL(state || rbm) of each basis in nats, and its standard error, from shots of the state."""
    found = {}
    minus_log_z = log_likelihood(rbm, terms_of({"Z" * rbm.visible: shots.bits[:1]}), 0)[0]
    minus_log_z -= float(log_amplitudes(rbm, terms_of({"Z" * rbm.visible: shots.bits[:1]}))[0][0])
    for basis, bits in shots.by_basis().items():
        rows, counts = np.unique(bits, axis=0, return_counts=True)
        tensors = rotate_sites(state.tensors, [MATRICES[letter] for letter in basis])
        logs = np.concatenate(log_amplitudes(rbm, terms_of({basis: rows}))) + minus_log_z
        gaps = np.repeat(log_probability(tensors, rows) - logs, counts)
        found[basis] = float(gaps.mean()), float(gaps.std() / np.sqrt(len(gaps)))
    return found


if __name__ == "__main__":
    main()
