"""What the report of the paper says about datasets, in sentences and tables."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import xarray as xr
from numpy.typing import ArrayLike

import invented
from invented import frontier_of, study_of
from psiprune.paper.narrative import harmless, write
from psiprune.paper.report import NAMED
from psiprune.paper.tables import frontier_table, schedule_numbers, schedule_text, table_one
from psiprune.reporting.labels import method_title
from psiprune.reporting.traced import Named, Sentence
from tiny_report import TIMING


def sentences(name: str, **datasets: xr.Dataset) -> list[Sentence]:
    """What a section says about these datasets, without any other."""
    named = {key: Named(key, dataset) for key, dataset in datasets.items()}
    return write(name, **{**dict.fromkeys(NAMED, None), **named}).sentences


def levels(**variables: ArrayLike) -> xr.Dataset:
    """A dataset of one field: variables [seed][level], or [level] for all seeds."""
    values = {name: np.atleast_2d(np.asarray(each)) for name, each in variables.items()}
    seeds, number = np.broadcast_shapes(*(each.shape for each in values.values()))
    return study_of(values, 5, field=[1.0], seed=range(seeds), level=range(number))


def steps(kl: list[list[float]], components: ArrayLike = 1) -> xr.Dataset:
    """A study with these KL divergences and parts, [seed][level]; 10 % of 10 weights a level."""
    pruned = np.arange(len(kl[0])) / 10
    kept = np.rint(10 - 10 * pruned).astype(int)
    return levels(kl=kl, components=components, fraction_pruned=pruned, weights_kept=kept)


@pytest.mark.parametrize(
    ("kl", "share"),
    [
        ([[1, 1, 2, 2.1, 1]], 0.2),  # later levels do not count
        ([[1, 1, 1, 1]], 0.3),
        ([[1, 3, 1, 1]], 0.0),
        ([[1, 1, math.nan, 1]], 0.1),
        ([[1, 1, 2, 3], [1, 3, 3, 3], [1, 2, 2, 2]], 0.2),
        ([[math.nan, 1, 1, 1]], 0.0),
    ],
)
def test_harmless_is_up_to_the_first_level_that_hurts(kl: list[list[float]], share: float) -> None:
    assert harmless(Named("study", steps(kl)), 1.0).value == pytest.approx(share)


def test_when_graphs_fall_apart() -> None:
    parts = [[1, 1, 2, 2, 2], [1, 1, 1, 2, 1], [1, 1, 1, 1, 1]]
    study = steps([[1.0] * 5] * 3, parts)
    texts = [said.text for said in sentences("table1", study=study)]
    assert texts == [
        "A connected graph of 5 sites and 2 hidden units needs at least 6 weights; every step "
        "leaves as many.",
        "At h/J = 1 (QCP) the graphs of 2 of 3 seeds fall apart, first at step 2 to 3, step 2.5 in "
        "the median.",
        "Seed by seed the graph is first disconnected at step 2, 3 and never.",
    ]
    table = table_one(study)
    cells = [[c if isinstance(c, str) else c.shown for c in row] for row in table.rows]
    assert cells[0] == ["0", "10", "100.0\xa0%", "3"]
    assert [row[-1] for row in cells] == ["3", "3", "2", "1", "2"]
    connected = steps([[1.0] * 5])
    assert sentences("table1", study=connected)[-1].text == "At h/J = 1 (QCP) no graph falls apart."
    few = [said.text for said in sentences("table1", study=steps([[1.0] * 7], [[1] * 5 + [2, 2]]))]
    assert few[0].endswith("from step 5 on fewer are left.")
    assert few[1] == "At h/J = 1 (QCP) the graph falls apart, first at step 5."


def decay_of(delta: ArrayLike, reference: list[float], sizes: list[int]) -> xr.Dataset:
    """Differences of AIC, [size][seed][level], at one field; 10 % a level."""
    values = np.asarray(delta)[:, None]
    _, _, seeds, number = values.shape
    pruned = np.tile(np.arange(number) / 10, (len(sizes), 1))
    return xr.Dataset(
        {
            "delta_aic": (("size", "field", "seed", "level"), values),
            "delta_aic_reference": (("size", "field"), np.array(reference)[:, None]),
            "fraction_pruned": (("size", "level"), pruned),
        },
        {"size": sizes, "field": [1.0], "seed": np.arange(seeds), "level": np.arange(number)},
        {"coupling": 1.0},
    )


def test_decay_in_words() -> None:
    """Which law is the better one where, and from which level on."""
    deltas = [[[-4.0, -1.0, 3.0]], [[2.0, 1.0, 3.0]], [[-2.0, -1.0, np.nan]]]
    decay = decay_of(deltas, [-5.0, 4.0, np.nan], [18, 50, 100])
    exact, rbms = (said.text for said in sentences("fig4", decay=decay))
    for fact in ("power law at N = 18 (ΔAIC = −5.00)", "exponential at N = 50 (ΔAIC = 4.00)"):
        assert fact in exact
    for fact in (
        "first becomes the better one at N = 18 (one seed) with 20.0\xa0% pruned (ΔAIC = 3.00)",
        "is the better one at N = 50 (one seed) before any pruning (ΔAIC = 2.00)",
        "power law stays the better one at N = 100 (one seed) up to 10.0\xa0% pruned",
    ):
        assert fact in rbms
    unknown = {name: decay[name] * np.nan for name in ("delta_aic", "delta_aic_reference")}
    assert sentences("fig4", decay=decay.assign(unknown)) == []


def test_seeds_of_a_decay_are_counted_by_size() -> None:
    delta = np.full((2, 4, 2), -3.0)
    delta[1, 2:] = np.nan  # the larger size has two seeds, and is padded
    rbms = sentences("fig4", decay=decay_of(delta, [-5.0, -5.0], [18, 50]))[1]
    assert "N = 18 (median of 4 seeds)" in rbms.text
    assert "N = 50 (median of 2 seeds)" in rbms.text
    counts = [(n.value, n.source) for n in rbms.numbers if "number of seeds" in n.source]
    of = "decay: number of seeds with a delta_aic"
    assert counts == [(4, f"{of}[size=18, field=1]"), (2, f"{of}[size=50, field=1]")]


def test_all_ways_to_remove_weights_are_in_the_table() -> None:
    kl = np.array([[1.0, 1.5, 2.0, 9.0], [1.1, 1.2, 5.0, np.nan], [4.0, 4.0, 4.0, 4.0]])
    values = np.stack([[kl] * 2, [2 * kl] * 2])
    variables = {"kl": values, "abs_magnetization_roe": values / 100}
    variants = ["surgeon", "magnitude-by-unit", "damage-alone"]
    frontier = frontier_of(variables, 4, 2, [1.0, 2.0], [0, 1], variants, [8, 6, 4, 2])
    table = frontier_table(frontier)
    assert table is not None
    cells = [[c if isinstance(c, str) else c.shown for c in row] for row in table.rows]
    assert cells == [
        ["surgeon", "2.00", "4", "6", "4.00", "4", "–"],
        ["magnitude, by hidden unit", "5.00", "6", "6", "10.0", "6", "–"],
        ["damage, no training", "4.00", "–", "–", "8.00", "–", "–"],
    ]
    assert len({len(row) for row in [table.head, *table.rows]}) == 1
    assert frontier_table(frontier.sel(variant=["damage-alone"])) is None
    assert method_title("surgeon-1") == "surgeon, 1 hidden unit"


def test_schedules_with_the_same_first_step_are_distinguished() -> None:
    study, schedule = (
        Named(name, levels(kl=1.0, weights_kept=kept, fraction_pruned=1 - np.array(kept) / 100))
        for name, kept in (("a", [100, 90, 81, 73, 66, 59]), ("b", [100, 90, 86, 81, 77, 73]))
    )
    (sentence,) = write("schedules", study=study, schedules=[schedule]).sentences
    first = "nats with 10.0\xa0% in the first step, then"
    assert f"{first} 10\xa0% a step" in sentence.text
    assert f"{first} 5\xa0% a step" in sentence.text


def test_times_in_words() -> None:
    assert [said.text for said in write("timing", timing=TIMING).sentences] == [
        "One CD-10 update takes 24.5 µs and a Gibbs step of one chain 0.0200 µs with 12 weights.",
        "With 4 weights left (33.3\xa0% of them) the update is 2.50 times as fast.",
    ]
    one = {"cd_steps": 1, "rows": TIMING["rows"][:1]}
    assert len(write("timing", timing=one).sentences) == 1
    assert write("timing", timing={**one, "rows": []}).sentences == []


def test_names_in_datasets_are_said_as_they_are(sparse: xr.Dataset) -> None:
    """A page escapes them like all text (tests/reporting/test_page.py)."""
    names = ["</p><script>", *sparse["variant"].values[1:]]
    said = sentences("fig5", sparse=sparse.assign_coords(variant=names))
    assert [len(each.numbers) for each in said] == [
        len(each.numbers) - 1  # sp/ss over dense, of which there is no RBM now
        for each in sentences("fig5", sparse=sparse)
    ]
    assert all(f"{names[0]} {each.numbers[1].shown}" in each.text for each in said)


# ---- Table I


PRINTED = "100.0 90.0 81.0 72.9 65.6 59.0 53.1 47.8 43.0 38.7 34.9 31.4 28.2 25.4 22.9 20.6 18.5"
"""The paper's Table I up to step 16."""


@pytest.fixture(scope="module")
def study() -> xr.Dataset:
    """The paper's schedule; seed 1 falls apart at step 15 at the QCP, and seed 2 never there."""
    made = invented.study(levels=20, fraction=0.1)
    parts = made["components"].copy()
    parts.loc[{"field": 1.0, "seed": 1, "level": slice(15, None)}] = 2
    parts.loc[{"field": 1.0, "seed": 2}] = 1
    return made.assign(components=parts)


def test_as_numbers(study: xr.Dataset) -> None:
    numbers = json.loads(json.dumps(schedule_numbers(study)))
    steps = numbers["steps"]
    assert [row["weights_kept"] for row in steps][:6] == [162, 146, 131, 118, 106, 96]
    assert steps[17]["weights_kept"] == 27
    assert steps[18]["weights_kept"] == 24
    assert steps[18]["percent"] == pytest.approx(14.8, abs=0.05)
    assert [f"{row['paper_percent']:.1f}" for row in steps][:17] == PRINTED.split()
    assert (numbers["tree"], numbers["must_fall_apart"]) == (26, 18)
    qcp, pm = numbers["fields"]["h=1"], numbers["fields"]["h=2"]
    assert qcp["falls_apart"] == {"0": 18, "1": 15, "2": None}
    assert qcp["connected"] == [3] * 15 + [2] * 3 + [1] * 3
    assert pm["falls_apart"] == {"0": 18, "1": 18, "2": 18}


def test_as_text(study: xr.Dataset) -> None:
    head, *lines = schedule_text(study).splitlines()
    assert head.split()[:4] == ["step", "weights", "remaining", "0.9^step"]
    assert lines[5].split()[:6] == ["5", "96", "59.3", "%", "59.0", "%"]
    assert " ".join(lines[5].split()[6:]) == "3 of 3 3 of 3"
    assert " ".join(lines[15].split()[6:]) == "2 of 3 3 of 3"
    assert lines[22] == "26 weights connect all 27 units: fewer are left from step 18 on"
    assert lines[23] == "h/J = 1 (QCP), first disconnected step by seed: 0: 18, 1: 15, 2: never"
    assert lines[24] == "h/J = 2 (PM), first disconnected step by seed: 0: 18, 1: 18, 2: 18"


def test_a_short_path_and_an_unknown_level() -> None:
    short = invented.study(levels=2, fields=(1.0,), seeds=1)
    numbers = schedule_numbers(short)
    assert numbers["must_fall_apart"] is None
    assert numbers["fields"]["h=1"]["falls_apart"] == {"0": None}
    text = schedule_text(invented.without(short, 1))
    assert text.splitlines()[2].split()[:3] == ["1", "-", "-"]
    assert "26 weights connect all 27 units\n" in text
