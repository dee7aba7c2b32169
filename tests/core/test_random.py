"""Random streams: no two purposes draw the same numbers."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import psiprune
from machines import random_rbm
from psiprune.core import random
from psiprune.core.random import Stream, derive_seed, generator_for, stream_key
from psiprune.data.shots import Shots
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.training.cd import CD
from psiprune.training.natural_gradient import NaturalGradient
from psiprune.training.pcd import PCD
from psiprune.training.train import fit

SEEDS = (0, 1, 5, 2**31, 2**32, 2**32 + 5, 2**62, 2**63 - 1)
#: Words of an epoch or a step; a trailing 0 and a long word must count.
WORDS: tuple[tuple[int, ...], ...] = ((), (0,), (0, 0), (1,), (5,), (0, 1), (1, 0), (2**32,))


def test_no_two_streams_draw_the_same_numbers() -> None:
    every = list(product(SEEDS, Stream, WORDS))
    keys = {stream_key(seed, stream, *words) for seed, stream, words in every}
    seeds = {derive_seed(seed, stream, *words) for seed, stream, words in every}
    firsts = {
        int(generator_for(seed, stream, *words).integers(2**63)) for seed, stream, words in every
    }
    assert {len(keys), len(seeds), len(firsts)} == {len(every)}
    assert not seeds & set(SEEDS)  # nor those of the user
    assert 0 <= min(seeds) <= max(seeds) < 2**63


def test_draws_with_the_seed_of_the_shots_use_no_stream_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[tuple[int, ...]] = []
    sequence = random._sequence

    def recorded(seed: int, stream: Stream, words: tuple[int, ...]) -> np.random.SeedSequence:
        used.append((seed, stream, *words))
        return sequence(seed, stream, words)

    monkeypatch.setattr(random, "_sequence", recorded)
    rbm = random_rbm(4, 3)
    for method in (CD(epochs=3), PCD(epochs=3), NaturalGradient(epochs=3, chains=20)):
        used.clear()
        bits = rbm.sample_exact(100, seed=3)
        chains = rbm.sample(100, steps=1, seed=3)
        fit(rbm, Shots(np.concatenate([bits, chains])), method, 3)
        evaluate_on_shots(rbm, bits, draws=100, seed=3)
        # At least the shots, an order or numbers for each epoch, and the draws.
        assert len(used) == len(set(used)) > 6


def test_the_list_of_words_that_numpy_confuses_is_told_apart() -> None:
    # Why words do not stand beside the seed: NumPy pads with zeros, and a long seed is two words.
    first, padded = np.random.default_rng([3, 5]), np.random.default_rng([3, 5, 0])
    assert first.random() == padded.random()
    assert stream_key(3, Stream.GIBBS) != stream_key(3, Stream.GIBBS, 0)
    assert stream_key(5, Stream.GIBBS) != stream_key(5 + 2**32 * Stream.GIBBS, Stream.GIBBS)


def test_a_stream_depends_on_nothing_else() -> None:
    assert stream_key(4, Stream.SHUFFLE, 9) == stream_key(4, Stream.SHUFFLE, 9)


def test_every_random_number_comes_from_a_named_stream() -> None:
    package = Path(psiprune.__file__).parent
    used: dict[str, list[str]] = {}
    for file in package.rglob("*.py"):
        text = file.read_text()
        name = file.relative_to(package).as_posix()
        if name == "core/random.py":
            continue
        code = re.sub(r"^\s*(>>>|\.\.\.) .*$", "", text, flags=re.MULTILINE)
        assert not re.search(r"default_rng|SeedSequence|np\.random\.(seed|rand|normal)", code), name
        for stream in set(re.findall(r"Stream\.([A-Z_]+)", text)):
            used.setdefault(stream, []).append(name)
    assert set(used) == {stream.name for stream in Stream}
    # A purpose is one place; two files with one stream would draw the same numbers.
    assert {stream: files for stream, files in used.items() if len(files) > 1} == {}
