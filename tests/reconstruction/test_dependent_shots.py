"""Dependent shots in `reconstruct`: whole blocks are split, and the dataset says so."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
import tiny
from psiprune.data.dependence import INDEPENDENT, Blocks, find_dependence
from psiprune.io.netcdf import read_dataset
from psiprune.metrics.equivalence import likelihood_band, losses_from
from psiprune.reconstruction.checks import make_checks
from psiprune.reconstruction.inputs import MIN_SHOTS, Split, dependence_attributes, split_shots
from psiprune.reconstruction.pipeline import run_reconstruct
from psiprune.reconstruction.settings import ReconstructSettings
from records import Bits, independent, sticky
from refusals import refuses

pytestmark = pytest.mark.usefixtures("undrawn")

SITES, SHOTS = 4, 300


def shots_of(seed: int = 0) -> Bits:
    return independent("paramagnet", SITES, SHOTS, np.random.default_rng(seed))


def split_of(bits: Bits, seed: int = 0) -> Split:
    shots = pp.Shots(bits)
    return split_shots(shots, 0.4, seed, find_dependence(shots))


@pytest.mark.parametrize("kind", ["succession", "again", "both"])
def test_copies_of_a_shot_are_in_one_part_and_adjacent(kind: str) -> None:
    bits = shots_of()

    def repeat(rows: NDArray[Any]) -> NDArray[Any]:
        if kind == "succession":
            return np.repeat(rows, 3, axis=0)
        if kind == "both":
            rows = np.repeat(rows, 2, axis=0)
        return np.concatenate([rows] * (3 if kind == "again" else 2))

    whose = repeat(np.arange(SHOTS))
    copies = len(whose) // SHOTS
    split = split_of(repeat(bits))
    for shot in range(SHOTS):
        assert len(set(split.part[whose == shot].tolist())) == 1
    for k, part in enumerate(split[:3]):
        assert len(part) == (split.part == k).sum()
        rows = part.bits.reshape(-1, copies, SITES)
        np.testing.assert_array_equal(rows, rows[:, :1].repeat(copies, axis=1))
        kept = np.unique(whose[split.part == k])
        np.testing.assert_array_equal(rows[:, 0], bits[kept])  # in the order of the record
    assert [len(part) for part in split[:3]] == [copies * 180, copies * 48, copies * 72]
    np.testing.assert_array_equal(split.part, split_of(repeat(bits)).part)
    assert (split.part != split_of(repeat(bits), 1).part).any()


@pytest.mark.parametrize("copies", [2, 3])
def test_copies_in_any_order_are_in_one_part_and_adjacent(copies: int) -> None:
    """Each part has every configuration a multiple of so many times."""
    generator = np.random.default_rng(0)
    bits = independent("paramagnet", 8, 1500, generator)
    record = generator.permutation(np.repeat(bits, copies, axis=0))
    split = split_of(record)
    for k, part in enumerate(split[:3]):
        rows = part.bits.reshape(-1, copies, 8)
        np.testing.assert_array_equal(rows, rows[:, :1].repeat(copies, axis=1))
        _, counts = np.unique(record[split.part == k], axis=0, return_counts=True)
        assert (counts % copies == 0).all()
    # Configurations that were measured once are in one part.
    found, counts = np.unique(record, axis=0, return_counts=True)
    for row in found[counts == copies]:
        assert len(set(split.part[(record == row).all(axis=1)].tolist())) == 1
    assert [len(part) for part in split[:3]] == [copies * n for n in (900, 240, 360)]


def test_blocks_of_correlated_shots_stay_together() -> None:
    generator = np.random.default_rng(0)
    bits = sticky(independent("paramagnet", SITES, 5000, generator), 0.5, generator)
    block = find_dependence(pp.Shots(bits)).blocks.length
    assert 10 < block < 30
    split = split_of(bits)
    starts = np.arange(0, 5000, block)
    for start in starts:
        assert len(set(split.part[start : start + block].tolist())) == 1
    for k, part in enumerate(split[:3]):
        np.testing.assert_array_equal(part.bits, bits[split.part == k])
    held_out = sum(len(part) for part in split[1:3]) / block
    assert held_out == pytest.approx(0.4 * len(starts), abs=1)
    assert len(split.test) / block == pytest.approx(0.6 * held_out, abs=1)


def test_independent_shots_are_split_as_without_a_judgement() -> None:
    bits = shots_of()
    plain = split_shots(pp.Shots(bits), 0.4, 7)
    np.testing.assert_array_equal(split_of(bits, 7).part, plain.part)


def test_independent_shots_count_for_the_smallest_part() -> None:
    bits = shots_of()
    assert len(split_of(np.repeat(bits[:190], 4, axis=0)).validation) == 4 * MIN_SHOTS
    few = np.repeat(bits[:180], 4, axis=0)
    with refuses(
        "array", "720 shots", "count as 180 independent ones", "28 for validation", MIN_SHOTS
    ):
        split_of(few)


def test_a_run_says_what_it_found(tmp_path: Path) -> None:
    """Its errors are those of the shots without their copies."""
    bits = np.repeat(shots_of(), 2, axis=0)
    settings = tiny.reconstruct_settings(hidden=(1, 2))
    found = run_reconstruct(settings, bits, tmp_path / "run")
    smallest = pp.load_rbm(tmp_path / "run" / "smallest.nc")
    attrs = read_dataset(tmp_path / "run" / "reconstruct.nc", "reconstruct").attrs
    assert (attrs["ordered"], attrs["block"], attrs["inefficiency"]) == (1, 2, 2)
    assert attrs["effective_shots"] == SHOTS
    assert attrs["repetition"] == "each shot is recorded twice in succession"
    assert attrs["dependence"].startswith(f"{attrs['repetition']}; at most {SHOTS} of the 600 ")
    assert attrs["shots_warnings"].startswith(f"repetition: {attrs['repetition']}")
    assert attrs["drift"] == ""
    once = split_of(bits).test.bits[::2]
    report = pp.evaluate_on_shots(smallest, once, draws=200, blocks=INDEPENDENT)
    for name in ("magnetization", "abs_magnetization", "neighbours"):
        wanted = float(report.comparison(name).shots_error)
        assert float(found[f"{name}_shots_error"]) == pytest.approx(wanted, rel=1e-4)
    validation = pp.Shots(split_of(bits).validation.bits[::2])
    files = sorted((tmp_path / "run/choice").iterdir())
    # Of training and validation shots, which are the blocks of two copies each.
    training = pp.Shots(split_of(bits).training.bits[::2])
    gains = []
    for file in files:
        rbm = pp.load_rbm(file)
        fresh = rbm.log_prob(training) - rbm.number_of_parameters / len(training)
        gains.append(np.concatenate([fresh, rbm.log_prob(validation)]))
    loss = gains[0] - gains[1]
    error = loss.std(ddof=1) / np.sqrt(len(loss))
    assert float(found["candidate_loss_error"].max()) == pytest.approx(error)
    members = [pp.load_rbm(tmp_path / f"run/ensemble/seed-{seed}.nc") for seed in (0, 1)]
    losses = losses_from(members[0], pp.Shots(once), draws=200, seed=0)
    band = likelihood_band(losses, 0.05, 0)(smallest)
    assert float(found["test_error"]) == pytest.approx(band.error, rel=1e-3, abs=1e-12)
    floor = float(found["likelihood_floor"])
    assert floor == pytest.approx(SITES / (2 * attrs["training_shots"] / 2))
    checks = {each.name: each for each in make_checks(found)}
    assert checks["independent shots"].answer == "fail"
    assert attrs["dependence"].startswith(checks["independent shots"].found)
    assert checks["independent shots"].rows in attrs["dependence"]


def test_attributes_of_independent_shots_and_of_counts() -> None:
    bits = shots_of()
    found = dependence_attributes(find_dependence(pp.Shots(bits)))
    assert (found["ordered"], found["block"], found["inefficiency"]) == (1, 1, 1)
    assert found["effective_shots"] == SHOTS
    for name in ("repetition", "dependence", "drift", "order_assumption", "shots_warnings"):
        assert found[name] == ""
    rows, counts = np.unique(bits, axis=0, return_counts=True)
    grouped = find_dependence(pp.Shots(np.repeat(rows, counts, axis=0)))
    unknown = dependence_attributes(grouped)
    assert str(unknown["order_assumption"]).startswith("the order of the shots is unknown")
    assert unknown == {**found, "ordered": 0, "order_assumption": unknown["order_assumption"]}


# ---- shots in three parts


FEW = pp.Shots(np.random.default_rng(0).integers(0, 2, (60, 3), np.uint8))


def test_the_parts_are_those_asked_for_and_at_random() -> None:
    bits = (np.arange(1000)[:, None] >> np.arange(10)) & 1
    parts = split_shots(pp.Shots(bits.astype(np.uint8)), 0.2, seed=3)
    assert [len(part) for part in parts[:3]] == [800, 80, 120]
    rows = [{tuple(row) for row in part.bits.tolist()} for part in parts[:3]]
    assert len(set.union(*rows)) == 1000  # each shot in one part
    assert (parts.part[:100] == 2).any()
    again = split_shots(pp.Shots(bits.astype(np.uint8)), 0.2, seed=3)
    other = split_shots(pp.Shots(bits.astype(np.uint8)), 0.2, seed=4)
    np.testing.assert_array_equal(again.part, parts.part)
    assert (other.part != parts.part).any()


@pytest.mark.parametrize(
    ("number", "held_out", "left", "part"),
    [(250, 0.2, 20, "validation"), (100, 0.8, 20, "training"), (2, 0.5, 1, "training")],
)
def test_too_few_shots(number: int, held_out: float, left: int, part: str) -> None:
    with refuses("array", f"{number} shots", f"{left} for {part}", held_out, MIN_SHOTS):
        split_shots(pp.Shots(np.zeros((number, 3), np.uint8)), held_out, 0)
    split_shots(pp.Shots(np.zeros((5 * MIN_SHOTS, 3), np.uint8)), 0.5, 0)  # are enough


@pytest.mark.parametrize("blocks", [Blocks(), Blocks(2, 2.0), Blocks(7, 2.6)])
def test_the_way_out_of_too_few_shots_helps(blocks: Blocks) -> None:
    """At once: so many shots are enough for all parts, and the last that are not name the same."""
    default = ReconstructSettings().held_out_of

    def attempt(number: int, held_out: float | None = None) -> str:
        dependence = replace(find_dependence(FEW), blocks=blocks, order=np.arange(number))
        data = pp.Shots(np.zeros((number, 3), np.uint8))
        try:
            split_shots(data, default(number) if held_out is None else held_out, 0, dependence)
        except pp.InputError as error:
            return str(error).rpartition("needed; ")[2]
        return "accepted"

    (found,) = re.findall("^give at least ([0-9]+) shots$", attempt(60))
    fewest = int(found)
    assert attempt(fewest - blocks.length) == attempt(60)
    assert attempt(60, 0.1) == attempt(60) + ", and omit --held-out"
    assert attempt(fewest, 0.1) == "omit --held-out"
    assert attempt(fewest) == attempt(2 * fewest) == attempt(20 * fewest) == "accepted"


def test_a_single_shot_is_refused_in_singular() -> None:
    with refuses("array", "1 shot leaves 1 for training", "give at least 150 shots"):
        split_shots(pp.Shots(np.zeros((1, 3), np.uint8)), 0.5, 0)
