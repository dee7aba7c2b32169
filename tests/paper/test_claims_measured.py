"""What findings report besides the verdict: growths, titles, the random control."""

from __future__ import annotations

import numpy as np
import pytest

from invented import world
from psiprune.paper.claims.judge import CLAIMS
from spoiled import found, put, scaled, taken

SQUARED = [
    "sensitivity-varies",
    "order-most-sensitive",
    "energy-least-sensitive",
    "correlation-more-than-kl",
]


@pytest.mark.parametrize("key", SQUARED)
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
    roots = [name for name in before if "_sampled_root_" in name]
    assert roots
    for name in roots:
        assert after[name].value == pytest.approx(2 * before[name].value)
        assert f"its root {before[name].value:.2g}" in findings[0].measured


def test_the_growth_of_larger_systems_is_explained() -> None:
    finding = found(world(), "larger-alike")
    assert "(geometric mean over levels; harmed at 80% pruned)" in finding.measured
    for name in ("QCP_18", "PM_50"):
        assert finding.numbers[f"{name}_harmed"].value in (0, 1, 2, 3)


CONTROLLED = ["sparse-trainable", "ss-converges-faster"]


@pytest.mark.parametrize("key", CONTROLLED)
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
        assert {
            name: with_control.numbers[name] for name in with_control.numbers if name not in numbers
        } == (without.numbers)


def test_the_random_control_is_measured_as_the_others() -> None:
    sparse = world()["sparse"].sel(field=1.0, variant="random")
    factor = float((sparse["history_kl"].isel(epoch=0) / sparse["kl"]).median())
    finding = found(world(), "sparse-trainable")
    assert finding.numbers["QCP_random"].value == pytest.approx(factor)
    assert f"{factor:.3g} at the QCP (at least 10 in 100% of seeds)" in finding.measured


def test_the_share_of_comparable_seeds_is_reported() -> None:
    finding = found(world(), "sparse-comparable")
    kl = world()["sparse"]["kl"].sel(field=1.0)
    for kind in ("sp/ss", "sp/os", "sc"):
        share = float((kl.sel(variant=kind) <= 2 * kl.sel(variant="pruned").median()).mean())
        assert finding.numbers[f"QCP_{kind.replace('/', '_')}_share"].value == share
    assert finding.measured.count("within twice,") + finding.measured.count("within twice;") == 5
