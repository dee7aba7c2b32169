"""Two minutes of `make fuzz`, which reads mutated files of every format."""

from __future__ import annotations

import numpy as np
import pytest

import fuzz
from psiprune.data.formats import FORMATS


@pytest.mark.slow
@pytest.mark.parametrize("form", [*FORMATS, fuzz.OWN])
def test_mutated_files(form: str) -> None:
    counts, failures, _ = fuzz.fuzz(form, 100_000, seconds=120 / (len(FORMATS) + 1), seed=1)
    assert not failures
    assert counts["read"] + counts["refused"] > 20
    assert counts["refused"] > 0


def test_mutations_have_names() -> None:
    """A number names a mutation, so that what was found can be repeated."""
    every = {fuzz.mutation("text", 0, number).content for number in range(50)}
    assert len(every) > 40
    assert every == {fuzz.mutation("text", 0, number).content for number in range(50)}
    start = fuzz.starts("text")[0].content
    assert fuzz.mutated(start, start, np.random.default_rng(0)) != start
