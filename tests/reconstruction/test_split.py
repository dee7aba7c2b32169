"""Shots in three parts: training, validation, test."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from psiprune.core.exceptions import InputError
from psiprune.data.dependence import Blocks, find_dependence
from psiprune.data.shots import Shots
from psiprune.reconstruction.inputs import MIN_SHOTS, split_shots
from refusals import refuses

SHOTS = Shots(np.random.default_rng(0).integers(0, 2, (60, 3), np.uint8))


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


@pytest.mark.parametrize("blocks", [Blocks(), Blocks(2, 2.0), Blocks(7, 2.6)])
def test_the_way_out_of_too_few_shots_helps(blocks: Blocks) -> None:
    """A smaller record names the fewest shots; with these, a wrong fraction names a good one."""

    def attempt(number: int, held_out: float, found: str = "") -> str:
        dependence = replace(find_dependence(SHOTS), blocks=blocks, order=np.arange(number))
        try:
            split_shots(Shots(np.zeros((number, 3), np.uint8)), held_out, 0, dependence)
        except InputError as error:
            return "".join(re.findall(found, str(error)))
        return "accepted"

    fewest = int(attempt(60, 0.5, "give at least ([0-9]+) shots"))
    for number in (fewest, 2 * fewest):
        fraction = attempt(number, 0.1, "held_out = ([0-9.]+)$")
        assert attempt(number, float(fraction)) == "accepted"


def test_half_of_150_shots_are_enough() -> None:
    split_shots(Shots(np.zeros((5 * MIN_SHOTS, 3), np.uint8)), 0.5, 0)
