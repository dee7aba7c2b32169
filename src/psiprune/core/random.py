"""Random streams: keys and seeds derived from a user's seed and a purpose."""

from __future__ import annotations

import numpy as np


def stream_key(*words: int) -> np.uint64:
    """A 64-bit key for one stream of random numbers, from a seed and what tells streams apart."""
    return np.uint64(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


def seed_for(seed: int, purpose: str) -> int:
    """A seed for draws of a helper's own, which no user's `sample(seed=...)` meets by accident.

    With the same seed the reference draws of KL would be the very shots the RBM was trained on.
    """
    words = [seed, *purpose.encode()]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))
