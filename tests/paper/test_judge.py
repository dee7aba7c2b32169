"""All claims together: which there are, their JSON and table, and the way back to the data."""

from __future__ import annotations

import html
import json
import math
import re

import numpy as np
import pytest
import xarray as xr

from invented import Datasets, world
from psiprune.paper.claims.base import FAILS, HOLDS, UNDECIDED, VERDICTS
from psiprune.paper.claims.judge import (
    CLAIMS,
    claims_markdown,
    claims_numbers,
    claims_text,
    counts,
    judge,
)
from psiprune.paper.headlines import headlines
from spoiled import put, taken


def doubled(datasets: Datasets) -> Datasets:
    """Twice as many seeds that all agree with those there are."""

    def twice(dataset: xr.Dataset) -> xr.Dataset:
        number = dataset.sizes.get("seed", 0)
        again = dataset.isel(seed=[*range(number)] * 2) if number else dataset
        return again.assign_coords(seed=range(2 * number)) if number else again

    return {key: twice(dataset) for key, dataset in datasets.items()}


def test_claims_are_distinct_and_explained() -> None:
    assert len({claim.key for claim in CLAIMS}) == len(CLAIMS)
    known = {*world(), "size-*", "schedule-*"}
    for claim in CLAIMS:
        assert claim.statement.endswith(".")
        assert claim.rule.endswith(".")
        assert claim.section
        assert set(claim.needs) <= known


def test_without_data_nothing_is_decided() -> None:
    judged = judge({})
    assert [each.claim for each in judged] == list(CLAIMS)
    assert counts(judged) == {verdict: len(CLAIMS) * (verdict == UNDECIDED) for verdict in VERDICTS}
    for claim, finding in judged:
        assert finding.measured == f"Not run: {', '.join(claim.needs)}."


def test_the_reason_says_what_it_takes() -> None:
    claim = next(claim for claim in CLAIMS if claim.key == "order-rises-at-once")
    ((_, finding),) = judge(taken("study", seed=slice(0, 3))(world()), [claim])
    assert finding.measured == "The rule needs at least 5 seeds, found 3."
    assert finding.seeds == 0


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_few_seeds_decide_no_claim_that_rests_on_signed_ranks(count: int) -> None:
    datasets = {
        key: dataset.isel(seed=slice(0, count)) if "seed" in dataset.dims else dataset
        for key, dataset in world().items()
    }
    for claim, finding in judge(datasets):
        if "signed ranks" in claim.rule and claim.key != "clusters-re-form":
            assert finding.verdict == UNDECIDED, claim.key


def test_seeds_that_agree_change_nothing() -> None:
    datasets = world()
    before, after = judge(datasets), judge(doubled(datasets))
    for (claim, one), (_, two) in zip(before, after, strict=True):
        assert two.verdict == one.verdict, claim.key
        assert two.seeds == (1 if one.seeds == 1 else 2 * one.seeds), claim.key


def test_a_seed_that_is_not_known_does_not_count() -> None:
    claims = [claim for claim in CLAIMS if claim.key in ("pm-unharmed-75", "order-rises-at-once")]
    datasets = put("study", "abs_magnetization_roe", np.nan, seed=4, level=7)(world())
    assert [finding.seeds for _, finding in judge(datasets, claims)] == [9, 9]


def test_numbers_lead_back_to_variables() -> None:
    datasets = world()
    for row in claims_numbers(judge(datasets)):
        assert set(row["sources"]) == set(row["numbers"])
        assert row["numbers"], row["key"]
        for source in row["sources"].values():
            assert source["how"]
            assert source["variables"]
            for name in source["variables"]:
                key, variable = name.split("/")
                dataset = datasets[key]
                if variable.startswith("@"):
                    assert variable[1:] in dataset.attrs
                else:
                    assert variable in dataset.variables


def test_numbers_are_those_of_the_variables() -> None:
    datasets = world()
    rows = {row["key"]: row for row in claims_numbers(judge(datasets))}
    kl = datasets["study"]["kl"].sel(field=1.0)
    ratio = float((kl.isel(level=7) / kl.isel(level=0)).median())
    assert rows["qcp-damaged-beyond-25"]["numbers"]["kl_ratio"] == pytest.approx(ratio)
    sparse = datasets["sparse"]["kl"].sel(field=2.0)
    median = float(sparse.sel(variant="sp/os").median())
    assert rows["pm-os-worst"]["numbers"]["kl_sp_os"] == pytest.approx(median)
    elsewhere = datasets["ablation"]["overlap"].sel(field=2.0, model="control") == 0
    assert rows["positions-not-fixed"]["numbers"]["PM_control"] == pytest.approx(
        float(elsewhere.mean())
    )


def test_json_is_plain_and_finite() -> None:
    # Up to 46 % pruned nothing is harmed in the paramagnetic phase: no number of where.
    datasets = taken("study", level=slice(0, 7))(world())
    judged = judge(datasets)
    rows = claims_numbers(judged)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    row = next(row for row in rows if row["key"] == "pm-up-to-50")
    assert row["numbers"]["kl_leaves"] is None
    assert row["numbers"]["kl_growth"] < 1.1
    finding = next(each.finding for each in judged if each.claim.key == "pm-up-to-50")
    assert math.isinf(finding.numbers["kl_leaves"].value)
    assert "KL never" in finding.measured
    assert list(row) == [
        *("key", "section", "statement", "rule", "needs", "verdict", "measured", "seeds"),
        *("numbers", "sources"),
    ]


def test_the_table() -> None:
    judged = judge(world())
    text = claims_text(judged)
    lines = text.splitlines()
    assert lines[0].split() == ["verdict", "claim", "section", "seeds"]
    for line, (claim, finding) in zip(lines[1:], judged, strict=False):
        assert line.startswith(finding.verdict)
        assert f" {claim.key} " in line
    found = counts(judged)
    assert found[HOLDS] == len(CLAIMS) - 1
    assert found[FAILS] == 1
    assert lines[-1] == (
        f"{len(CLAIMS)} claims: {found[HOLDS]} holds, 0 holds in part, 1 does not hold, "
        "0 cannot be decided with this data"
    )


def test_the_markdown_table_has_three_cells_a_row() -> None:
    judged = judge(world())
    lines = claims_markdown(judged).splitlines()
    assert lines[0].startswith(f"{len(CLAIMS)} claims: ")
    rows = lines[4:]
    assert len(rows) == len(CLAIMS)
    for row, (claim, finding) in zip(rows, judged, strict=True):
        cells = re.split(r"(?<!\\)\|", row)
        assert "<" not in row  # <m> would be taken for a tag
        assert [html.unescape(cell.strip().replace("\\|", "|")) for cell in cells] == [
            "",
            f"{claim.statement} ({claim.section})",
            finding.verdict,
            finding.measured,
            "",
        ]


def test_five_headlines() -> None:
    datasets = world()
    found = headlines(datasets, judge(datasets))
    assert [each.number.shown for each in found] == [
        *("27%", "27%", "61%", "63 of 162", f"{len(CLAIMS) - 1} of {len(CLAIMS)}")
    ]
    assert found[3].meaning.text.endswith("(surgeon)")
    assert found[4].meaning.text.endswith("(0 in part, 1 not, 0 undecided)")
    assert [each.number.value for each in found] == pytest.approx(
        [1 - 118 / 162, 1 - 118 / 162, 1 - 63 / 162, 63, len(CLAIMS) - 1]
    )
    for each in found:
        assert each.number.variables
        for name in each.number.variables:
            key, variable = name.split("/")
            attributes = {f"@{attribute}" for attribute in datasets[key].attrs}
            assert variable in {*datasets[key].variables, *attributes}


def test_headlines_of_what_there_is() -> None:
    datasets = world()
    assert headlines({}, []) == []
    only = {"frontier": datasets["frontier"].isel(field=[1])}
    assert [each.number.shown for each in headlines(only, [])] == ["27%"]
    only = {"frontier": datasets["frontier"].isel(seed=[0])}
    assert [each.number.shown for each in headlines(only, [])] == ["63 of 162"]
    one = {"frontier": datasets["frontier"].isel(variant=[0])}
    assert headlines(one, []) == []
    limited = {"frontier": datasets["frontier"].assign_attrs(limit=0.001)}
    assert [each.number.shown for each in headlines(limited, [])] == ["27%", "27%", "61%"]


def test_real_datasets_of_tiny_runs(
    study: xr.Dataset, sparse: xr.Dataset, ablation: xr.Dataset
) -> None:
    # Four sites and three seeds decide next to nothing, but no rule may break on them.
    judged = judge({"study": study, "size-4": study, "sparse": sparse, "ablation": ablation})
    assert {finding.verdict for _, finding in judged} <= set(VERDICTS)
    decided = [claim.key for claim, finding in judged if finding.numbers]
    assert "data-m" in decided
    json.dumps(claims_numbers(judged), allow_nan=False)
