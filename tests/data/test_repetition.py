"""Copies of shots in any order: every configuration occurs a multiple of their number."""

from __future__ import annotations

from math import factorial
from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.data.dependence import find_dependence
from psiprune.data.diagnostics import LEVEL
from psiprune.data.repetition import find_repetition, gather_copies
from psiprune.data.shots import as_shots
from records import Bits, independent
from refusals import check_facts


def shuffled(bits: Bits, copies: int, generator: np.random.Generator) -> Bits:
    return generator.permutation(np.repeat(bits, copies, axis=0))


@pytest.mark.parametrize("state", ["paramagnet", "product", "ordered"])
@pytest.mark.parametrize("copies", [2, 3, 4])
def test_copies_in_any_order_are_named(state: str, copies: int) -> None:
    generator = np.random.default_rng(copies)
    bits = independent(state, 8, 1500, generator)
    record = shuffled(bits, copies, generator)
    found = find_dependence(pp.Shots(record))
    check_facts(found.repetition, f"every configuration occurs a multiple of {copies} times")
    check_facts(found.problem, found.repetition, "at most 1500", 1500 * copies, "original record")
    assert [each.name for each in found.warnings] == ["repetition"]
    assert (found.blocks.length, found.blocks.inefficiency) == (copies, copies)
    assert (found.ordered, found.effective) == (True, 1500)
    blocks = record[found.order].reshape(1500, copies, 8)
    np.testing.assert_array_equal(blocks, blocks[:, :1].repeat(copies, axis=1))
    np.testing.assert_array_equal(np.sort(found.order), np.arange(len(record)))
    # The original record, which is the way out, and one shot more are no exact repetition.
    assert find_dependence(pp.Shots(bits)).problem == ""
    assert find_dependence(pp.Shots(np.append(record, record[:1], axis=0))).repetition == ""


@pytest.mark.parametrize(
    ("state", "sites"),
    [
        *(("ghz", 2), ("ghz", 6), ("w", 8), ("product", 6)),
        *(("paramagnet", 4), ("paramagnet", 6), ("paramagnet", 8)),
    ],
)
def test_independent_shots_are_no_copies(state: str, sites: int) -> None:
    """Few configurations (a Bell pair: two) often have even counts, but say nothing."""
    generator = np.random.default_rng(2)
    even = 0
    for shots in (10, 100, 1000):
        for _ in range(200):
            bits = independent(state, sites, shots, generator)
            packed = np.packbits(bits, axis=1)
            counts = np.unique(packed, return_counts=True)[1]
            even += bool((counts % 2 == 0).all())
            assert find_repetition(packed, counts, LEVEL) is None
    assert even > 100 or state != "ghz"


@pytest.mark.parametrize("copies", [2, 3, 5])
@pytest.mark.parametrize("configurations", [2, 5, 8])
def test_the_bound_on_the_chance_of_multiples(copies: int, configurations: int) -> None:
    """The exact probability for any p, relative to that of these configurations to occur.

    Both are coefficients of products of exponential series, x^n / n! for n shots.
    """
    generator = np.random.default_rng(3)
    number = np.arange(4 * copies * configurations + 1)
    factorials = np.array([float(factorial(n)) for n in number])
    for spread in (0.3, 1.0, 30.0) * 5:
        multiple, any_count = np.eye(1, len(number))[0], np.eye(1, len(number))[0]
        for p in generator.dirichlet(np.full(configurations, spread)):
            series = (copies * configurations * p) ** number / factorials
            series[0] = 0
            any_count = np.convolve(any_count, series)[: len(number)]
            series = np.where(number % copies == 0, series, 0)
            multiple = np.convolve(multiple, series)[: len(number)]
        bound = min(copies, 3) ** (1.0 - configurations)
        assert (multiple <= bound * any_count * (1 + 1e-6)).all()
        assert multiple.any()


def test_copies_that_are_themselves_copied() -> None:
    generator = np.random.default_rng(4)
    record = shuffled(independent("paramagnet", 6, 400, generator), 2, generator)
    for again in (np.tile(record, (3, 1)), np.repeat(record, 3, axis=0)):
        found = find_dependence(pp.Shots(again))
        assert (found.blocks.length, found.effective) == (6, 400)
        blocks = again[found.order].reshape(400, 6, 6)
        np.testing.assert_array_equal(blocks, blocks[:, :1].repeat(6, axis=1))


def test_gathered_copies_are_in_the_order_of_the_record() -> None:
    record = np.array([[1, 0], [0, 0], [0, 0], [1, 0], [0, 0], [0, 1], [0, 0], [0, 1]], np.uint8)
    np.testing.assert_array_equal(gather_copies(record, 2), [0, 3, 1, 2, 4, 6, 5, 7])


@pytest.mark.parametrize("copies", [2, 3])
def test_info_names_copies_in_files(copies: int, tmp_path: Path) -> None:
    """In a file of single shots, and in counts, which have no order."""
    generator = np.random.default_rng(6)
    bits = independent("paramagnet", 8, 500, generator)
    single, counts = tmp_path / "shots.txt", tmp_path / "counts.json"
    rows = ["".join(map(str, row)) for row in shuffled(bits, copies, generator).tolist()]
    single.write_text("\n".join(rows) + "\n")
    pairs = ", ".join(f'"{row}": {rows.count(row)}' for row in sorted(set(rows)))
    counts.write_text(f"{{{pairs}}}")
    line = f"warning: repetition: every configuration occurs a multiple of {copies} times"
    half = f"at most 500 of the {500 * copies} shots are independent"
    for arguments in ([single], [counts, "--format", "braket"]):
        done = tiny.call("info", *arguments)
        assert line in done.out, done
        assert half in done.out
    found = find_dependence(as_shots({row: rows.count(row) for row in rows}))
    assert (found.ordered, found.effective) == (False, 500)
    assert found.assumption.endswith("as equal configurations are adjacent")
