"""What limits the KL of a scale-free RBM: links, noise of the shots or the end of the training?

The RBMs are those of `psiprune masks --sites 50 --hidden 50 --weights-per-site 17`, h = J: natural
gradient, 400 steps, 10^5 shots of the seed. Compared with the RBM after the last step, by the same
shots and initial weights:

- the mean of the parameters after the last 40 and the last 120 steps;
- earlier steps, the best of which is what stopping on held-out shots could reach at most;
- the weights shrunk after the last step, each to w^3 / (w^2 + e^2), where e is its standard error
  if it were the only parameter;
- surgeon at the end: the 0.2 of the weights that cost least removed, and the training begun with
  1,250 weights;
- other trainings: a last damping of 1e-6 in place of 1e-4, more steps, a weight decay, more
  weights, more hidden units, half of the units with windows and half with long links, ten times as
  many shots, and the symmetry that the shots support.

KL is against the exact state, with the error of its draws; noise is free parameters / (2 shots).
Minutes on one core; --quick takes one seed at 20 sites, 40 steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import peers
import psiprune as pp
from psiprune.inference.fisher import weight_variances
from psiprune.rbm.likelihood import from_vector, to_vector
from psiprune.rbm.masks import Mask
from psiprune.training import natural_gradient
from psiprune.training.symmetry import free_parameters
from psiprune.training.train import Callback, TrainingProgress

SITES, LINKS, SHOTS, STEPS, SEEDS, DRAWS = 50, 17, 100_000, 400, 3, 200_000
#: Shares of the steps.
AVERAGED, EARLIER = (0.1, 0.3), (0.5, 0.75, 0.9)
#: Of the distances of far links: 17 of each unit of 50 sites beside its two nearest ones.
FAR_RATIO = 1.5


class Variant(NamedTuple):
    """A training: weights and hidden units per site, factors of SHOTS and steps, the method."""

    links: float = LINKS
    units: float = 1.0
    shots: int = 1
    steps: int = 1
    damping: float = 1e-4
    method: dict[str, Any] = {}  # noqa: RUF012
    two_kinds: bool = False

    def mask(self, sites: int) -> Mask:
        """Return its links."""
        units = round(self.units * sites)
        weights = round(min(self.links, sites - 1) * sites)
        if not self.two_kinds:
            return pp.scale_free_mask(sites, units, weights=weights)
        return two_kinds(sites, units, weights)


VARIANTS = {
    "last damping 1e-6": Variant(damping=1e-6),
    "weight decay 1e-5": Variant(method={"weight_decay": 1e-5}),
    "weight decay 1e-4": Variant(method={"weight_decay": 1e-4}),
    "25 links, 1e-6": Variant(25, damping=1e-6),
    "25 links, 1e-6, decay 1e-5": Variant(25, damping=1e-6, method={"weight_decay": 1e-5}),
    "1.5 units, 21 links, 1e-6": Variant(21, 1.5, damping=1e-6),
    "windows and long links": Variant(two_kinds=True),
    "2 x steps, 1e-6": Variant(steps=2, damping=1e-6),
    "10 x shots": Variant(shots=10),
    "10 x shots, 1e-6": Variant(shots=10, damping=1e-6),
    "10 x shots, 4 x steps, 1e-6": Variant(shots=10, steps=4, damping=1e-6),
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
        mask = variant.mask(state.sites)
        usual = natural_gradient._LAST_DAMPING
        natural_gradient._LAST_DAMPING = variant.damping
        rbm = pp.train(
            pp.sample(state, variant.shots * SHOTS, seed=seed),
            hidden=len(mask),
            mask=mask,
            method=pp.NaturalGradient(epochs=variant.steps * steps, **variant.method),
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
    found.append(("weights shrunk by their errors", shrunk(last, seed), SHOTS))
    shots, before = pp.sample(state, SHOTS, seed=seed), train(Variant(25))
    for name, rbm, kept in (
        ("a fifth removed by surgeon", last, 0.8),
        ("25 links, surgeon to 17", before, LINKS / 25),
    ):
        pruned = pp.prune(
            rbm, shots, criterion="surgeon", fraction=0.2, density=kept, seed=seed, progress=False
        )
        found.append((name, pruned[-1].rbm, SHOTS))
    found += [(name, train(each), each.shots * SHOTS) for name, each in VARIANTS.items()]
    return found


def two_kinds(sites: int, units: int, weights: int) -> Mask:
    """Return a mask whose even units have windows, its odd ones two sites and far links."""
    windows = pp.cluster_mask(hidden=units, visible=sites, count=weights)
    far = pp.scale_free_mask(sites, units, ratio=FAR_RATIO, weights=weights)
    odd = np.arange(units)[:, None] % 2 == 1
    return np.where(odd, far, windows)


def shrunk(rbm: pp.RBM, seed: int) -> pp.RBM:
    """Shrink each weight w to w^3 / (w^2 + e^2), where e^2 is 1 / (shots F_ww)."""
    vector, weights = to_vector(rbm), slice(rbm.number_of_weights)
    square = vector[weights] ** 2
    variances = weight_variances(rbm, draws=DRAWS, seed=seed)[rbm.mask]
    vector[weights] *= square / (square + 1 / (SHOTS * variances))
    return from_vector(rbm, vector)


if __name__ == "__main__":
    main()
