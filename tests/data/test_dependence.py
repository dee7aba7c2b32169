"""Whether shots of a record are independent: no false alarms, and what each dependence gives."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import psiprune as pp
import rates
import tiny
from psiprune.data.dependence import Dependence, find_dependence
from psiprune.data.diagnostics import LEVEL
from psiprune.data.repetition import find_repetition, gather_copies
from psiprune.data.shots import as_shots
from records import STATES, Bits, independent, sticky
from refusals import check_facts

SITES, SHOTS = 5, 300


def judged(bits: Bits) -> Dependence:
    return find_dependence(pp.Shots(bits))


# ---- no false alarms


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("counts", [False, True])
def test_independent_shots_are_found_independent(state: str, counts: bool) -> None:
    """No more of 200 records than 1 in 10^4 tests at twice `LEVEL` find (problem or drift): two."""
    generator = np.random.default_rng(3)
    wrong, records = 0, 20 if counts else 200  # counts have no order that could be wrong
    for _ in range(records):
        bits = independent(state, SITES, SHOTS, generator)
        if counts:
            bits = np.repeat(*np.unique(bits, axis=0, return_counts=True), axis=0)
        found = judged(bits)
        assert found.ordered != counts
        assert found.repetition == ""
        wrong += found.problem != "" or found.drift != ""
        if not found.problem:
            assert (found.blocks.length, found.effective) == (1, SHOTS)
            np.testing.assert_array_equal(found.order, np.arange(SHOTS))
    assert wrong <= scipy.stats.binom.isf(1e-4, records, 2 * LEVEL)


@pytest.mark.parametrize("bits", [np.zeros((100, 3)), np.ones((1, 1)), np.eye(2), np.ones((2, 2))])
def test_the_smallest_and_constant_records(bits: Bits) -> None:
    found = judged(bits)
    assert (found.repetition, found.problem, found.effective) == ("", "", len(bits))


@pytest.mark.parametrize(("sites", "shots"), [(1, 6), (1, 12), (2, 8), (3, 16), (8, 6)])
def test_the_level_of_a_repetition(sites: int, shots: int) -> None:
    """Few shots agree by chance; at a level of 0.3 in at most so many records."""
    generator, found = np.random.default_rng(0), []
    for _ in range(rates.repeats(0.3, 1.5, at_most=True)):
        bits = generator.integers(0, 2, (shots, sites), dtype=np.uint8)
        counts = np.unique(bits, axis=0, return_counts=True)[1]
        found.append(find_repetition(np.packbits(bits, axis=1), counts, 0.3) is not None)
    rates.check(np.array(found), 0.3, 1.5, at_most=True)


# ---- exact repetition


def rows_in_succession(bits: Bits, copies: int) -> Bits:
    return np.repeat(bits, copies, axis=0)


def rows_again(bits: Bits, copies: int) -> Bits:
    return np.tile(bits, (copies, 1))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("repeat", "copies", "words"),
    [
        (rows_in_succession, 2, "each shot is recorded twice in succession"),
        (rows_in_succession, 3, "each shot is recorded 3 times in succession"),
        (rows_again, 2, "the second half of the record repeats the first, shot by shot"),
        (rows_again, 6, "the record is its first 300 shots 6 times over"),
    ],
)
def test_a_repetition_is_named(
    state: str, repeat: Callable[[Bits, int], Bits], copies: int, words: str
) -> None:
    bits = independent(state, SITES, SHOTS, np.random.default_rng(1))
    found = judged(repeat(bits, copies))
    assert found.repetition == words
    assert found.problem.startswith(f"{words}; at most {SHOTS} of the {copies * SHOTS} shots are")
    assert (found.blocks.length, found.effective) == (copies, SHOTS)
    assert {each.name for each in found.warnings} == {"repetition"}
    blocks = repeat(bits, copies)[found.order].reshape(SHOTS, copies, SITES)
    np.testing.assert_array_equal(blocks, blocks[:, :1].repeat(copies, axis=1))


def test_a_copy_may_be_missing_at_the_end_but_none_may_differ() -> None:
    bits = independent("paramagnet", SITES, SHOTS, np.random.default_rng(1))
    found = judged(np.repeat(bits, 3, axis=0)[:-1])
    assert found.repetition == "each shot is recorded 3 times in succession"
    np.testing.assert_array_equal(found.order, np.arange(3 * SHOTS - 1))
    twice = np.repeat(bits, 2, axis=0)
    twice[100, 2] ^= 1
    found = judged(twice)
    assert found.repetition == ""
    assert SHOTS / 1.3 < found.effective < SHOTS * 1.3


def test_a_record_that_is_repeated_twice_over() -> None:
    """Each shot twice, and all of that again; each shot twice of shots that are correlated."""
    generator = np.random.default_rng(1)
    bits = independent("paramagnet", SITES, SHOTS, generator)
    record = np.tile(np.repeat(bits, 2, axis=0), (2, 1))
    found = judged(record)
    assert (found.blocks.length, found.effective) == (4, SHOTS)
    blocks = record[found.order].reshape(SHOTS, 4, SITES)
    np.testing.assert_array_equal(blocks, blocks[:, :1].repeat(4, axis=1))
    slow = sticky(independent("paramagnet", SITES, 4000, generator), 0.5, generator)
    once, twice = judged(slow), judged(np.repeat(slow, 2, axis=0))
    assert twice.effective == pytest.approx(once.effective)
    assert twice.blocks.length == 2 * once.blocks.length


def test_counts_of_shots_recorded_twice() -> None:
    """Their order is lost, but independent counts are not all even."""
    generator = np.random.default_rng(1)
    rows, counts = np.unique(
        independent("paramagnet", SITES, SHOTS, generator), axis=0, return_counts=True
    )
    found = judged(np.repeat(rows, 2 * counts, axis=0))
    assert found.repetition.startswith("every configuration occurs a multiple of 2 times")
    assert (found.ordered, found.effective) == (False, SHOTS)
    # A Bell state may have even counts.
    bell = judged(np.repeat([[0, 0], [1, 1]], [240, 260], axis=0))
    assert (bell.ordered, bell.repetition, bell.effective) == (False, "", 500)


@pytest.mark.parametrize("state", ["ghz", "w", "paramagnet"])
@pytest.mark.parametrize("files", [2, 5])
def test_joined_counts_have_no_order_either(state: str, files: int) -> None:
    generator = np.random.default_rng(1)
    parts = [
        np.repeat(
            *np.unique(independent(state, SITES, SHOTS, generator), axis=0, return_counts=True),
            axis=0,
        )
        for _ in range(files)
    ]
    for joined in (parts, [parts[0]] * files):
        found = find_dependence(pp.join_shots(joined))
        assert (found.ordered, found.problem, found.drift) == (False, "", "")
        assert found.assumption
    # Single shots that are correlated are no counts, whatever they were joined from.
    slow = [sticky(generator.permutation(part), 0.5, generator) for part in parts]
    found = find_dependence(pp.join_shots(slow))
    assert found.ordered
    assert found.problem
    assert found.assumption == ""


# ---- serial correlation, drift


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("stay", "inefficiency", "shots"), [(0.5, 3, 4000), (0.8, 9, 20_000)])
def test_the_effective_number_of_correlated_shots(
    state: str, stay: float, inefficiency: int, shots: int
) -> None:
    """Of 20 records each is within a factor of 1.6 of the true number, their mean within 1.25."""
    generator = np.random.default_rng(5)
    found = [
        judged(sticky(independent(state, SITES, shots, generator), stay, generator))
        for _ in range(20)
    ]
    ratios = np.array([each.effective for each in found]) * inefficiency / shots
    assert ((ratios > 1 / 1.6) & (ratios < 1.6)).all(), ratios
    assert 1 / 1.25 < ratios.mean() < 1.25
    for each in found:
        assert each.ordered
        assert 4 * inefficiency / 1.6 < each.blocks.length <= shots / 10
        assert "count as about" in each.problem
        assert {"repeats", "memory", "dependent"} <= {line.name for line in each.warnings}


def test_one_site_with_memory_decides() -> None:
    generator = np.random.default_rng(2)
    bits = independent("paramagnet", SITES, 8000, generator)
    bits[:, 3] = sticky(bits[:, 3:4], 0.5, generator)[:, 0]
    found = judged(bits)
    assert 1 / 1.4 < found.effective * 3 / 8000 < 1.4


def test_correlated_shots_do_not_seem_to_drift() -> None:
    """Their means scatter more: of 100 records at most as many drift as of independent shots."""
    generator = np.random.default_rng(6)
    drifts = [
        judged(sticky(independent("paramagnet", SITES, 1000, generator), 0.8, generator)).drift
        for _ in range(100)
    ]
    assert sum(map(bool, drifts)) <= 1
    calm = independent("product", SITES, 4000, generator)
    calm[2000:, 1] |= (generator.random(2000) < 0.2).astype(np.uint8)
    found = judged(calm)
    assert found.drift.startswith("<Z> of site 1 is ")
    assert found.blocks.length == 1
    assert [each.name for each in found.warnings] == ["drift"]


# ---- the way out


@pytest.mark.parametrize("kind", ["succession", "again", "sticky", "drift"])
def test_the_way_out_leads_out(kind: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(8)
    bits = independent("paramagnet", SITES, 4000, generator)
    drifted = bits.copy()
    drifted[2000:, 1] |= (generator.random(2000) < 0.3).astype(np.uint8)
    bits = {
        "succession": np.repeat(bits, 2, axis=0),
        "again": np.tile(bits, (2, 1)),
        "sticky": sticky(bits, 0.5, generator),
        "drift": drifted,
    }[kind]
    file, out = tmp_path / "shots.nc", tmp_path / "out.nc"
    pp.Shots(bits).save(file)
    found = judged(bits)
    command = (found.problem or found.drift).partition(": psiprune ")[2]
    names = {"FILE": str(file), "OUT": str(out)}
    done = tiny.call(*[names.get(word, word) for word in command.split()])
    assert done.status == 0, done
    better = find_dependence(pp.read_shots(out))
    assert (better.problem, better.drift, better.warnings) == ("", "", ())
    assert better.effective == better.shots >= len(bits) / 10


# ---- copies of shots in any order


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
