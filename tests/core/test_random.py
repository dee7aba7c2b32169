"""Random streams: no two purposes draw the same numbers."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import psiprune
from machines import distribution, random_rbm
from psiprune.core import random
from psiprune.core.random import Stream, derive_seed, generator_for, stream_key
from psiprune.data.shots import Shots
from psiprune.inference import log_partition
from psiprune.inference.log_partition import annealed_log_partition
from psiprune.metrics import draws
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.metrics.divergence import sampled_kl_and_fidelity
from psiprune.states.mps import mps_from_vector
from psiprune.states.sampling import sample
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
    assert stream_key(4, Stream.SHUFFLE, 9) == stream_key(4, Stream.SHUFFLE, 9)


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
    state = mps_from_vector(np.sqrt(distribution(rbm)))
    bits = sample(state, 100, seed=3, progress=False).bits
    shots = Shots(np.concatenate([bits, rbm.sample_exact(9, seed=3), rbm.sample(9, seed=3)]))
    of_shots = list(used)
    unused = draws.Draws(bits[:, None, :], "", "")

    def by_chains() -> None:
        for module in (draws, log_partition):
            monkeypatch.setattr(module, "independent_draws", lambda *_, **__: None)
        evaluate_on_shots(rbm, shots, draws=100, seed=3)

    for call in (
        lambda: fit(rbm, shots, CD(epochs=3), 3),
        lambda: fit(rbm, shots, PCD(epochs=3), 3),
        lambda: fit(rbm, shots, NaturalGradient(epochs=3, chains=20), 3),
        lambda: sampled_kl_and_fidelity(rbm, state, unused, 100, 3),
        lambda: evaluate_on_shots(rbm, shots, draws=100, seed=3),
        lambda: annealed_log_partition(rbm, shots.bits, 100, 10, 3),
        by_chains,
        lambda: annealed_log_partition(rbm, shots.bits, 100, 10, 3),
    ):
        used[:] = of_shots
        call()
        assert len(of_shots) < len(used) == len(set(used))


def test_the_list_of_words_that_numpy_confuses_is_told_apart() -> None:
    # Why words do not stand beside the seed: NumPy pads with zeros, and a long seed is two words.
    first, padded = np.random.default_rng([3, 5]), np.random.default_rng([3, 5, 0])
    assert first.random() == padded.random()
    assert stream_key(3, Stream.GIBBS) != stream_key(3, Stream.GIBBS, 0)
    assert stream_key(5, Stream.GIBBS) != stream_key(5 + 2**32 * Stream.GIBBS, Stream.GIBBS)


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
