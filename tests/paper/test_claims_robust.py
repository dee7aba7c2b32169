"""Claims judged again: by each measure, with the printed equations, and for other trainings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from invented import world
from psiprune.paper.claims.base import FAILS, HOLDS, IN_PART, UNDECIDED, Judged
from psiprune.paper.claims.judge import CLAIMS, claims_numbers, claims_text, judge
from psiprune.paper.claims.robust import (
    STUDIED,
    TRAININGS,
    robustness_markdown,
    robustness_numbers,
    robustness_text,
)
from spoiled import EXACT, KINDS, PM, QCP, flat, found, grow, kl, taken, without

ORDER = "order-most-sensitive"
CLAIM = [claim for claim in CLAIMS if claim.key == ORDER]


def judged_with(*trainings: str) -> list[Judged]:
    """One claim, which fails in these trainings alone."""
    datasets = world()
    spoilt = grow("abs_magnetization", 0.5)(datasets)["study"]
    datasets |= {name: spoilt if name in trainings else datasets["study"] for name in TRAININGS}
    return judge(datasets, CLAIM)


def test_a_verdict_that_changes_with_the_training_says_so() -> None:
    ((_, finding),) = judged_with()
    assert finding.measured.endswith(" Trained otherwise, the same.")
    assert dict(finding.schedules) == dict.fromkeys(TRAININGS, HOLDS)
    ((_, finding),) = judged_with("robust-cd-1", "robust-exact")
    assert finding.verdict == HOLDS  # the main training decides
    assert finding.schedules["robust-cd-1"] == FAILS
    assert finding.measured.endswith(
        " Trained otherwise, it does not hold with CD-1 and exact natural gradient."
    )


def test_the_table_of_trainings() -> None:
    judged = judged_with("robust-cd-1")
    (row,) = robustness_numbers(judged)
    assert json.loads(json.dumps(row)) == row
    expected = {"study": HOLDS, **dict.fromkeys(TRAININGS, HOLDS), "robust-cd-1": FAILS}
    assert row["verdicts"] == expected
    assert not row["robust"]
    assert robustness_numbers(judged_with())[0]["robust"]
    lines = robustness_text(judged).splitlines()
    assert lines[1].split()[0] == ORDER
    assert lines[1].count("does not hold *") == 1
    assert lines[-1].startswith("0 of 1 verdicts are the same for every training")
    table = robustness_markdown(judged).splitlines()
    assert table[2] == f"| Claim | CD-10 (main) | {' | '.join(TRAININGS.values())} |"
    assert table[4].split(" | ")[1:] == [HOLDS, HOLDS, "does not hold *", HOLDS, "holds |"]


def test_a_training_whose_data_cannot_decide_is_no_other_verdict() -> None:
    datasets = world()
    datasets["robust-exact"] = taken("study", seed=slice(0, 2))(datasets)["study"]
    datasets["robust-cd-1"] = datasets["study"]
    judged = judge(datasets, CLAIM)
    assert judged[0].finding.schedules["robust-exact"] == UNDECIDED
    assert judged[0].finding.measured.endswith("Trained otherwise, the same.")
    assert "–" in robustness_text(judged)
    assert robustness_numbers(judged)[0]["robust"]


def test_only_claims_that_training_can_change_are_judged_again() -> None:
    keys = {claim.key for claim in STUDIED}
    assert {"pm-unharmed-75", "qcp-damaged-beyond-25", "threshold-differs", ORDER} <= keys
    assert not {"data-abs-m", "table-1", "pm-ss-best", "schedules-alike"} & keys
    assert all(claim.needs == ("study",) for claim in STUDIED)


@pytest.mark.parametrize(
    ("name", "title"),
    [("kl", "KL"), ("abs_magnetization_bias", "|m| bias"), ("energy_bias", "Energy bias")],
)
def test_the_verdict_says_by_which_measure(name: str, title: str) -> None:
    finding = found(kl("sc", QCP, 0.3, name)(world()), "qcp-sc-worst")
    assert finding.verdict == IN_PART
    failed = [by for by, verdict in finding.readings.items() if verdict == FAILS]
    assert failed == [title.replace("E", "e")]
    first, _, _ = finding.measured.partition(". ")
    assert f"{failed[0]}: does not hold".lower() in first.lower()
    assert f"{name}_to_sp_os_ratio" in finding.numbers


def test_biases_that_the_training_set_does_not_resolve_decide_nothing() -> None:
    biases = kl(slice(None), PM, 0.1, "abs_magnetization_bias")(world())
    finding = found(biases, "pm-ss-beats-dense")
    assert (finding.verdict, finding.readings["|m| bias"]) == (HOLDS, UNDECIDED)
    assert "|m| bias: neither sp/ss nor dense is above the 0.00" in finding.measured
    assert "|m| bias: cannot be decided with this data" in finding.measured


def test_the_printed_equations_are_reported_and_decide_nothing() -> None:
    """With q from the training set KL has a floor, so that mROE is more sensitive than KL."""
    datasets = grow("abs_magnetization", 0.2)(world())
    finding = found(datasets, "order-more-than-kl")
    alone = found(without("sums")(datasets), "order-more-than-kl")
    assert finding.verdict == alone.verdict == FAILS
    assert not alone.readings
    assert dict(finding.readings) == {"against the exact state": FAILS, "as printed": HOLDS}
    assert "With Eqs. (3) and (8) as printed it holds: " in finding.measured
    number = finding.numbers["printed_QCP_sampled_kl"]
    assert number.variables == ("sums/kl_data",)
    kls = datasets["sums"]["kl_data"].sel(field=QCP)[:, :18].values
    growth = np.exp(np.median(np.log(kls / kls[:, :1])[:, 1:].mean(axis=1)))
    assert number.value == pytest.approx(growth)


def test_the_printed_correlations_are_those_of_the_training_set() -> None:
    datasets = flat((KINDS[4], EXACT[4]), PM)(world())
    finding = found(datasets, "pm-unharmed-75")
    assert "With Eqs. (3) and (8) as printed, the same." in finding.measured
    number = finding.numbers["printed_correlation_mse_growth"]
    assert number.variables == ("study/correlation", "study/correlation_data")


def test_effects_are_in_every_table() -> None:
    judged = judge(world(), [claim for claim in CLAIMS if claim.key == "qcp-damaged-beyond-25"])
    (effect, *_) = judged[0].finding.effects
    kls = world()["study"]["kl"].sel(field=QCP)
    ratio = float((kls.isel(level=7) / kls.isel(level=0)).median())
    assert effect.value == pytest.approx(ratio)
    assert effect.n == 10
    assert effect.shown in claims_text(judged)
    (row,) = claims_numbers(judged)
    assert row["effects"][0]["value"] == effect.value
    assert row["readings"] == dict(judged[0].finding.readings)
