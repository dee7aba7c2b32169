"""What limits the KL of a scale-free RBM: links, noise of the shots or the end of the training?

The RBMs are those of `psiprune masks --sites 50 --hidden 50 --weights-per-site 17`, h = J: natural
gradient, 400 steps, 10^5 shots of the seed. Compared with the RBM after the last step, by the same
shots and initial weights:

- the mean of the parameters after the last 40 and the last 120 steps;
- earlier steps, the best of which is what stopping on held-out shots could reach at most;
- other trainings: a last damping of 1e-6 in place of 1e-4, a weight decay, more weights, more
  hidden units, ten times as many shots, and the symmetry that the shots support.

KL is against the exact state, with the error of its draws; noise is free parameters / (2 shots).
Minutes on one core; --quick takes one seed at 20 sites, 40 steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import peers
import psiprune as pp
from psiprune.rbm.likelihood import from_vector, to_vector
from psiprune.training import natural_gradient
from psiprune.training.symmetry import free_parameters
from psiprune.training.train import Callback, TrainingProgress

SITES, LINKS, SHOTS, STEPS, SEEDS, DRAWS = 50, 17, 100_000, 400, 3, 200_000
#: Shares of the steps.
AVERAGED, EARLIER = (0.1, 0.3), (0.5, 0.75, 0.9)


class Variant(NamedTuple):
    """A training: weights and hidden units per site, shots times SHOTS, fields of the method."""

    links: float = LINKS
    units: float = 1.0
    shots: int = 1
    damping: float = 1e-4
    method: dict[str, Any] = {}  # noqa: RUF012


VARIANTS = {
    "last damping 1e-6": Variant(damping=1e-6),
    "weight decay 1e-5": Variant(method={"weight_decay": 1e-5}),
    "weight decay 1e-4": Variant(method={"weight_decay": 1e-4}),
    "25 links, 1e-6": Variant(25, damping=1e-6),
    "25 links, 1e-6, decay 1e-5": Variant(25, damping=1e-6, method={"weight_decay": 1e-5}),
    "1.5 units, 21 links, 1e-6": Variant(21, 1.5, damping=1e-6),
    "10 x shots": Variant(shots=10),
    "10 x shots, 1e-6": Variant(shots=10, damping=1e-6),
    "23.6 links, symmetry found": Variant(23.6, method={"symmetry": "found"}),
}


def main() -> None:
    args = peers.options(__doc__, seeds=SEEDS)
    sites, steps, seeds = (20, 40, 1) if args.quick else (SITES, STEPS, args.seeds)
    about = peers.header(
        f"The end of a training, N = {sites}, {sites} hidden units, {LINKS} links each",
        f"{SHOTS:,} shots, {steps} steps; other numbers of links are weights per site",
    )
    rows: list[peers.Row] = []
    state = pp.ground_state(pp.TFIM(sites=sites))
    for seed in range(seeds):
        for name, rbm, shots in trained(state, steps, seed):
            kl = pp.evaluate(rbm, state, draws=DRAWS, seed=seed).kl
            free = free_parameters(rbm.mask, rbm.provenance.get("symmetry"))  # type: ignore[arg-type]
            row: peers.Row = {"seed": seed, "RBM": name, "KL": kl.value, "error": kl.error}
            rows.append(row | {"noise": free / (2.0 * shots)})
            peers.show(rows[-1:])
    peers.show(rows)
    peers.save(args.json, about, training=rows)


def trained(state: pp.MPS, steps: int, seed: int) -> list[tuple[str, pp.RBM, int]]:
    """RBMs of all variants of the training, by name, and their numbers of shots."""
    after: list[np.ndarray] = []

    def note(progress: TrainingProgress) -> None:
        after.append(to_vector(progress.rbm))

    def train(variant: Variant, callback: Callback | None = None) -> pp.RBM:
        sites = state.sites
        mask = pp.scale_free_mask(
            sites,
            round(variant.units * sites),
            weights=round(min(variant.links, sites - 1) * sites),
        )
        usual = natural_gradient._LAST_DAMPING
        natural_gradient._LAST_DAMPING = variant.damping
        rbm = pp.train(
            pp.sample(state, variant.shots * SHOTS, seed=seed),
            hidden=len(mask),
            mask=mask,
            method=pp.NaturalGradient(epochs=steps, **variant.method),
            seed=seed,
            callback=callback,
        )
        natural_gradient._LAST_DAMPING = usual
        return rbm

    last = train(Variant(), note)
    found = [("last step", last, SHOTS)]
    for share in AVERAGED:
        some = round(share * steps)
        mean = np.mean(after[-some:], axis=0)
        found.append((f"mean of the last {some} steps", from_vector(last, mean), SHOTS))
    for share in EARLIER:
        step = round(share * steps)
        found.append((f"step {step}", from_vector(last, after[step - 1]), SHOTS))
    found += [(name, train(each), each.shots * SHOTS) for name, each in VARIANTS.items()]
    return found


if __name__ == "__main__":
    main()
