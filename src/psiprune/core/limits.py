"""Limits of exact methods and of counts, each with its reason."""

from __future__ import annotations

#: Largest smaller layer for which each gradient sums over all of its states.
EXACT_GRADIENT_UNITS = 18
#: RBMs of an ensemble: more of them say no more, and a mistyped number ends here.
MOST_SEEDS = 10_000
#: Pruning steps of a path, rounds of rewiring: likewise.
MOST_LEVELS = 10_000
#: Most parameters of natural gradient with chains: their Fisher matrix and its factor take 6 GiB.
LARGEST_FISHER = 20_000
