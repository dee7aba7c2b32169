"""All claims together: which there are, their JSON and table, and the way back to the data."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest
import xarray as xr

from invented import WRONG, Datasets, world
from psiprune.paper.claims.base import FAILS, HOLDS, UNDECIDED, VERDICTS, Claim, Judged
from psiprune.paper.claims.judge import (
    CLAIMS,
    claims_markdown,
    claims_numbers,
    claims_text,
    counts,
    judge,
)
from psiprune.paper.headlines import headlines
from spoiled import few, found, put, scaled, taken
from spoiled import found as found_in


@cache
def judged_world() -> list[Judged]:
    """All claims where the paper is right; it takes a second or two."""
    return judge(world())


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


def test_the_reason_says_what_it_takes_and_unknown_seeds_do_not_count() -> None:
    finding = found_in(few("study", 3)(world()), "order-rises-at-once")
    assert (finding.measured, finding.seeds) == ("The rule needs at least 5 seeds, found 3.", 0)
    datasets = put("study", "abs_magnetization_roe", np.nan, seed=4, level=7)(world())
    for key in ("pm-unharmed-75", "order-rises-at-once"):
        assert found_in(datasets, key).seeds == 9


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
    before, after = judged_world(), judge(doubled(datasets))
    for (claim, one), (_, two) in zip(before, after, strict=True):
        assert two.verdict == one.verdict, claim.key
        assert two.seeds == (1 if one.seeds == 1 else 2 * one.seeds), claim.key


def known(names: Iterable[str], datasets: Datasets) -> bool:
    """Whether there are names, each of a variable or, with an @, an attribute of a dataset."""
    every = {f"{key}/{name}" for key, dataset in datasets.items() for name in dataset.variables}
    every |= {f"{key}/@{name}" for key, dataset in datasets.items() for name in dataset.attrs}
    return bool(names) and set(names) <= every


def test_numbers_are_those_of_variables_and_lead_back_to_them() -> None:
    datasets = world()
    rows = {row["key"]: row for row in claims_numbers(judged_world())}
    for key, row in rows.items():
        assert set(row["sources"]) == set(row["numbers"])
        assert row["numbers"], key
        for source in row["sources"].values():
            assert source["how"]
            assert known(source["variables"], datasets), source
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
        *("effects", "readings", "schedules", "numbers", "sources"),
    ]


def test_the_table() -> None:
    judged = judged_world()
    text = claims_text(judged)
    lines = text.splitlines()
    assert lines[0].split() == ["verdict", "claim", "section", "effect", "n"]
    for line, (claim, finding) in zip(lines[1:], judged, strict=False):
        assert line.startswith(finding.verdict)
        assert f" {claim.key} " in line
    found = counts(judged)
    assert found[HOLDS] == len(CLAIMS) - len(WRONG)
    assert found[FAILS] == len(WRONG)
    assert lines[-1] == (
        f"{len(CLAIMS)} claims: {found[HOLDS]} holds, 0 holds in part, 2 does not hold, "
        "0 cannot be decided with this data"
    )


def test_the_markdown_table_has_four_cells_a_row() -> None:
    judged = judged_world()
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
            "; ".join(map(str, finding.effects[:3])),
            finding.measured,
            "",
        ]


def test_five_headlines() -> None:
    datasets = world()
    found = headlines(datasets, judged_world())
    assert [each.number.shown for each in found] == [
        *("27%", "27%", "61%", "63 of 162", f"{len(CLAIMS) - 2} of {len(CLAIMS)}")
    ]
    assert found[3].meaning.text.endswith("(surgeon)")
    assert found[4].meaning.text.endswith("(0 in part, 2 not, 0 undecided)")
    assert [each.number.value for each in found] == pytest.approx(
        [1 - 118 / 162, 1 - 118 / 162, 1 - 63 / 162, 63, len(CLAIMS) - 2]
    )
    assert all(known(each.number.variables, datasets) for each in found)


def test_headlines_of_what_there_is() -> None:
    assert headlines({}, []) == []
    frontier = world()["frontier"]
    for part, shown in (
        (frontier.isel(field=[1]), ["27%"]),
        (frontier.isel(seed=[0]), ["63 of 162"]),
        (frontier.isel(variant=[0]), []),
        (frontier.assign_attrs(limit=0.001), ["27%", "27%", "61%"]),
    ):
        assert [each.number.shown for each in headlines({"frontier": part}, [])] == shown


def test_real_datasets_of_tiny_runs(
    study: xr.Dataset, sparse: xr.Dataset, ablation: xr.Dataset
) -> None:
    # Four sites and three seeds decide next to nothing, but no rule may break on them.
    judged = judge({"study": study, "size-4": study, "sparse": sparse, "ablation": ablation})
    assert {finding.verdict for _, finding in judged} <= set(VERDICTS)
    decided = [claim.key for claim, finding in judged if finding.numbers]
    assert "data-m" in decided
    json.dumps(claims_numbers(judged), allow_nan=False)


# ---- what findings report besides the verdict


@pytest.mark.parametrize(
    "key",
    [
        *("sensitivity-varies", "order-most-sensitive", "energy-least-sensitive"),
        "correlation-more-than-kl",
    ],
)
def test_the_growth_of_a_mean_square_is_reported_with_that_of_its_root(key: str) -> None:
    # So much higher at all levels but the dense one that it grows the most.
    findings = [
        found(scaled("study", "correlation_mse", factor, level=range(1, 21))(world()), key)
        for factor in (100.0, 400.0)
    ]
    before, after = (each.numbers for each in findings)
    assert "geometric mean" in findings[0].measured
    (claim,) = (claim for claim in CLAIMS if claim.key == key)
    assert "square doubles the logarithm" in claim.rule
    # Eq. (8) as printed has another C(d), which does not grow here.
    roots = [n for n in before if "_sampled_root_" in n and not n.startswith("printed_")]
    assert roots
    for name in roots:
        assert after[name].value == pytest.approx(2 * before[name].value)
        assert f"its root {before[name].value:.2g}" in findings[0].measured


def test_the_growth_of_larger_systems_is_explained() -> None:
    finding = found(world(), "larger-alike")
    assert "(geometric mean over levels; harmed at 80% pruned)" in finding.measured
    for name in ("QCP_18", "PM_50"):
        assert finding.numbers[f"{name}_harmed"].value in (0, 1, 2, 3)


@pytest.mark.parametrize("key", ["sparse-trainable", "ss-converges-faster"])
def test_the_random_control_is_reported_and_decides_nothing(key: str) -> None:
    with_control = found(world(), key)
    assert "random control, which decides nothing" in with_control.measured
    numbers = [name for name in with_control.numbers if "random" in name]
    assert len(numbers) >= 4
    for change in (
        taken("sparse", variant=slice(0, 5)),
        put("sparse", "kl", np.nan, variant="random"),
    ):
        without = found(change(world()), key)
        assert "random" not in without.measured
        assert (without.verdict, without.seeds) == (with_control.verdict, with_control.seeds)
        rest = {k: v for k, v in with_control.numbers.items() if k not in numbers}
        assert rest == without.numbers


def test_scale_free_masks_are_reported_next_to_those_of_adjacent_sites() -> None:
    finding = found(world(), "rules-often-poor")
    kls = world()["sparse"]["kl"].sel(field=1.0)
    ratio = float((kls.sel(variant="scale-free") / kls.sel(variant="sc")).median())
    assert finding.numbers["kl_QCP_scale_free_ratio"].value == pytest.approx(ratio)
    assert f"scale-free masks, which decide nothing, have {ratio:.2f} (p" in finding.measured
    without = found(taken("sparse", variant=slice(0, 6))(world()), "rules-often-poor")
    assert "scale-free" not in without.measured
    assert without.readings == finding.readings


def test_the_random_control_is_measured_as_the_others() -> None:
    sparse = world()["sparse"].sel(field=1.0, variant="random")
    factor = float((sparse["history_kl"].isel(epoch=0) / sparse["kl"]).median())
    finding = found(world(), "sparse-trainable")
    assert finding.numbers["kl_QCP_random"].value == pytest.approx(factor)
    assert f"{factor:.3g} at the QCP (at least 10 in 100% of seeds)" in finding.measured


def test_the_share_of_comparable_seeds_is_reported() -> None:
    finding = found(world(), "sparse-comparable")
    kl = world()["sparse"]["kl"].sel(field=1.0)
    for kind in ("sp/ss", "sp/os", "sc"):
        share = float((kl.sel(variant=kind) <= 2 * kl.sel(variant="pruned").median()).mean())
        assert finding.numbers[f"kl_QCP_{kind.replace('/', '_')}_share"].value == share
    # Of three measures.
    assert finding.measured.count("within twice,") + finding.measured.count("within twice;") == 15


# ---- every number in a text is among the numbers of its finding


_TOKEN = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?%?")
#: What is no measurement: names, sizes and seeds that the data is of, and the rule's thresholds.
_NO_NUMBERS = (
    r"Eqs\. \(3\) and \(8\)|1 - F|3 N_h|Fig\. 1|0\.9\^n|16 to 84 %|m = 0\b|below 0\b",  # names
    r"N = \d+|K = \d+|\d+ units has|step 18\b|have \d\b",  # of what: sizes, steps, widths
    r"\d+ (dense )?(seeds|RBMs|pairs)",
    r"\d+%: (?=N =)|harmed at 80%|of 3 harmed|within 10? %|at least (5 times|10 in)",  # rules
    r"0\.98 ± 0\.19|it is 0 in",  # what the paper says, and what is exact
)


def untraced(judged: Judged) -> list[str]:
    """The numbers in the words of a finding that none of its numbers rounds to."""
    finding = judged.finding
    text = re.sub("|".join(_NO_NUMBERS), "", finding.measured)
    values = [each.value for each in finding.numbers.values() if math.isfinite(each.value)]
    return [token for token in _TOKEN.findall(text) if not any(_is(token, v) for v in values)]


def _is(token: str, value: float) -> bool:
    """Whether a value, or its percentage, reads like this."""
    digits_shown = token.rstrip("%")
    scale = 100.0 if token.endswith("%") else 1.0
    mantissa, _, power = digits_shown.partition("e")
    digits = len(mantissa.partition(".")[2])
    half = 0.5 * 10.0 ** (int(power or 0) - digits)
    return abs(float(digits_shown) - scale * value) <= half * (1 + 1e-6)


@pytest.mark.parametrize("claim", CLAIMS, ids=[claim.key for claim in CLAIMS])
def test_every_number_in_the_text_has_its_variables(claim: Claim) -> None:
    (judged,) = judge(world(), [claim])
    assert not untraced(judged), judged.finding.measured


def test_a_number_without_variables_is_noticed() -> None:
    (judged,) = judge(world(), [claim for claim in CLAIMS if claim.key == "table-1"])
    finding = judged.finding
    for wrong in ("5 % of 17 weights", "-0.03", "1e-07", "99.2%"):
        spoilt = finding._replace(measured=f"{finding.measured} {wrong}")
        assert untraced(Judged(judged.claim, spoilt))
    lost = {name: each for name, each in finding.numbers.items() if name != "kept_7"}
    assert untraced(Judged(judged.claim, finding._replace(numbers=lost))) == ["77"]
