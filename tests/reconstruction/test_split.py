"""Shots in three parts: training, validation, test."""

from __future__ import annotations

import numpy as np
import pytest

from psiprune.data.shots import Shots
from psiprune.reconstruction.inputs import MIN_SHOTS, split_shots
from refusals import refuses


def test_the_parts_are_those_asked_for_and_at_random() -> None:
    bits = (np.arange(1000)[:, None] >> np.arange(10)) & 1
    parts = split_shots(Shots(bits.astype(np.uint8)), 0.2, seed=3)
    assert [len(part) for part in parts[:3]] == [800, 80, 120]
    rows = [{tuple(row) for row in part.bits.tolist()} for part in parts[:3]]
    assert len(set.union(*rows)) == 1000  # each shot in one part
    assert (parts.part[:100] == 2).any()
    again = split_shots(Shots(bits.astype(np.uint8)), 0.2, seed=3)
    other = split_shots(Shots(bits.astype(np.uint8)), 0.2, seed=4)
    np.testing.assert_array_equal(again.part, parts.part)
    assert (other.part != parts.part).any()


@pytest.mark.parametrize(
    ("number", "held_out", "left", "part"),
    [(250, 0.2, 20, "validation"), (100, 0.8, 20, "training"), (2, 0.5, 1, "training")],
)
def test_too_few_shots(number: int, held_out: float, left: int, part: str) -> None:
    with refuses("array", f"{number} shots", f"{left} for {part}", held_out, MIN_SHOTS):
        split_shots(Shots(np.zeros((number, 3), np.uint8)), held_out, 0)
    split_shots(Shots(np.zeros((5 * MIN_SHOTS, 3), np.uint8)), 0.5, 0)
