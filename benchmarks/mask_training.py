"""Does another end of the training lower the KL of a scale-free RBM?

The RBMs are those of `psiprune masks --sites 50 --hidden 50 --weights-per-site 17`, h = J: natural
gradient, 400 steps, 10^5 shots of the seed. Compared with the RBM after the last step, by the same
shots and initial weights:

- the mean of the parameters after the last 40 and the last 120 steps;
- earlier steps, the best of which is what stopping on held-out shots could reach at most;
- a last damping of 1e-6 in place of 1e-4;
- ten times as many shots: what remains is not noise of the shots.

KL is against the exact state, with the error of its draws. Minutes on one core; --quick takes one
seed at 20 sites, 40 steps.
"""

from __future__ import annotations

import numpy as np

import peers
import psiprune as pp
from psiprune.rbm.likelihood import from_vector, to_vector
from psiprune.training import natural_gradient
from psiprune.training.train import Callback, TrainingProgress

SITES, LINKS, SHOTS, STEPS, SEEDS = 50, 17, 100_000, 400, 3
#: Shares of the steps.
AVERAGED, EARLIER = (0.1, 0.3), (0.5, 0.75, 0.9)
LAST_DAMPING = 1e-6


def main() -> None:
    args = peers.options(__doc__, seeds=SEEDS)
    sites, steps, seeds = (20, 40, 1) if args.quick else (SITES, STEPS, args.seeds)
    about = peers.header(
        f"The end of a training, N = {sites}, {sites} hidden units, {LINKS} links each",
        f"{SHOTS:,} shots, {steps} steps",
    )
    rows: list[peers.Row] = []
    state = pp.ground_state(pp.TFIM(sites=sites))
    mask = pp.scale_free_mask(sites, sites, weights=min(LINKS, sites - 1) * sites)
    for seed in range(seeds):
        shots = pp.sample(state, SHOTS, seed=seed)
        for name, rbm in trained(shots, mask, steps, seed):
            kl = pp.evaluate(rbm, state, draws=SHOTS, seed=seed).kl
            rows.append({"seed": seed, "RBM": name, "KL": kl.value, "error": kl.error})
            peers.show(rows[-1:])
    peers.show(rows)
    peers.save(args.json, about, training=rows)


def trained(shots: pp.Shots, mask: np.ndarray, steps: int, seed: int) -> list[tuple[str, pp.RBM]]:
    """RBMs of all variants of the training, by name."""
    after: list[np.ndarray] = []

    def note(progress: TrainingProgress) -> None:
        after.append(to_vector(progress.rbm))

    def train(on: pp.Shots, callback: Callback | None = None) -> pp.RBM:
        method = pp.NaturalGradient(epochs=steps)
        return pp.train(
            on, hidden=len(mask), mask=mask, method=method, seed=seed, callback=callback
        )

    last = train(shots, note)
    found = [("last step", last)]
    for share in AVERAGED:
        some = round(share * steps)
        mean = np.mean(after[-some:], axis=0)
        found.append((f"mean of the last {some} steps", from_vector(last, mean)))
    for share in EARLIER:
        step = round(share * steps)
        found.append((f"step {step}", from_vector(last, after[step - 1])))
    usual = natural_gradient._LAST_DAMPING
    natural_gradient._LAST_DAMPING = LAST_DAMPING
    found.append((f"last damping {LAST_DAMPING:g}", train(shots)))
    natural_gradient._LAST_DAMPING = usual
    more = pp.sample(pp.ground_state(pp.TFIM(sites=mask.shape[1])), 10 * SHOTS, seed=seed)
    found.append((f"{10 * SHOTS:,} shots", train(more)))
    return found


if __name__ == "__main__":
    main()
