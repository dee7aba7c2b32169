"""Candidates with scale-free links: which there are, how a run uses them and how it is repeated."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from invented import markov_chain
from psiprune.core.limits import FISHER_PARAMETERS
from psiprune.reconstruction.architecture import Architecture
from psiprune.reconstruction.command import Request, as_asked
from psiprune.reconstruction.models import mask_of
from psiprune.reconstruction.settings import ReconstructSettings
from refusals import refuses

SITES = 12


def units(sites: int, **given: Any) -> tuple[int, ...]:
    return pp.ReconstructSettings(**given).scale_free_for(sites)


def test_long_chains_have_one_unless_hidden_is_given() -> None:
    assert [units(sites) for sites in (1, 20, 21, 100)] == [(), (), (11, 21), (50, 100)]
    assert units(100, hidden=50) == ()
    assert units(100, hidden=50, scale_free=(30, 20)) == (20, 30)
    assert units(10, scale_free=10) == (10,)
    assert units(2001) == ()
    assert units(100, positions_sha256="0") == (100,)
    for name in ("hidden", "scale_free"):
        with refuses(f"{name}.0", 0):
            units(25, **{name: (0,)})


@pytest.mark.slow
def test_the_surgeon_can_prune_it() -> None:
    for sites, hidden in ((500, 500), (600, 300), (2000, 250)):
        assert units(sites) == (hidden // 2, hidden)
        size = Architecture(hidden, scale_free=True).size(sites, 0)
        assert size.weights == pp.scale_free_mask(sites, hidden).sum()
        assert size.parameters <= FISHER_PARAMETERS
        if hidden < sites:
            twice = Architecture(2 * hidden, scale_free=True).size(sites, 0)
            assert twice.parameters > FISHER_PARAMETERS


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, ""),
        ({"scale_free": (30,)}, "scale_free=[30]"),
        ({"hidden": (1, 6, 12, 25)}, "hidden=[1, 6, 12, 25]"),  # the default, without scale-free
        ({"hidden": (12,)}, "hidden=[12]"),
        ({"hidden": (12,), "scale_free": (25,)}, "hidden=[12], scale_free=[25]"),
        ({"hidden": (1, 6, 12, 25), "scale_free": (13, 25)}, ""),  # the default, spelt out
    ],
)
def test_the_command_repeats_the_run(given: dict[str, Any], options: str) -> None:
    resolved = pp.ReconstructSettings(**given).for_sites(25)
    asked = as_asked(resolved, 25)
    command = Request(asked, 25, 400, "array").command()
    assert command == f"psiprune.reconstruct(shots, {options})".replace(", )", ")")
    assert asked.for_sites(25).model_dump() == resolved.model_dump()


def test_the_command_repeats_a_run_whose_criterion_has_no_largest_size() -> None:
    large: dict[str, Any] = {"hidden": (1, 65), "scale_free": (300,)}
    prune: Any = {"criterion": "magnitude"}
    for given, options in (({}, ""), (large, "hidden=[1, 65], scale_free=[300], ")):
        resolved = ReconstructSettings(**given, prune=prune).for_sites(300)
        asked = as_asked(resolved, 300)
        command = Request(asked, 300, 400, "array").command()
        written = f"psiprune.reconstruct(shots, {options}prune={{'criterion': 'magnitude'}})"
        assert command == written
        assert asked.for_sites(300).model_dump() == resolved.model_dump()


def test_between_sizes_of_the_same_kind_only() -> None:
    tried = [Architecture(1), Architecture(8), Architecture(20, scale_free=True)]
    settings = ReconstructSettings()
    assert settings.between(tried, Architecture(8)) == Architecture(4)
    assert settings.between(tried, Architecture(20, scale_free=True)) is None
    more = [*tried, Architecture(10, scale_free=True)]
    wanted = Architecture(15, scale_free=True)
    assert settings.between(more, Architecture(20, scale_free=True)) == wanted


def test_links_follow_the_positions_of_the_sites() -> None:
    places = pp.lattice_positions("square", 3, 4)
    mask = pp.scale_free_mask(12, 6, positions=places)
    np.testing.assert_array_equal(Architecture(6, scale_free=True).mask(12, places), mask)
    assert Architecture(6).mask(12, places) is None


def test_links_of_a_chain_follow_its_training_shots() -> None:
    training = pp.Shots(markov_chain(3.0, SITES, 20_000))
    for places in (None, pp.lattice_positions("square", 3, 4)):
        run: Any = SimpleNamespace(
            shots=SimpleNamespace(positions=places, sites=SITES),
            split=SimpleNamespace(training=training),
        )
        one = Architecture(7, scale_free=True)
        mask = pp.mask_for_shots(training, 7) if places is None else one.mask(SITES, places)
        assert mask is not None
        np.testing.assert_array_equal(mask_of(run, one), mask)
        assert mask_of(run, Architecture(7)) is None
    assert pp.mask_for_shots(training, 7).sum() != pp.scale_free_mask(SITES, 7).sum()


def test_its_time_is_estimated_for_the_most_weights_that_so_many_shots_support() -> None:
    one = Architecture(40, scale_free=True)
    long, short = (pp.Shots(markov_chain(length, 40, 20_000)) for length in (1e6, 1.0))
    size = one.size(40, 20_000)
    assert size.weights == pp.mask_for_shots(long, 40).sum() > pp.mask_for_shots(short, 40).sum()
    assert size.shots == 20_000
    assert one.size(40, 300).weights == 6 * 40


@pytest.mark.slow
@pytest.mark.parametrize("on_a_chain", [True, False])
def test_a_run_that_chooses_scale_free_links(tmp_path: Path, on_a_chain: bool) -> None:
    places = None if on_a_chain else pp.lattice_positions("square", 3, 4)
    model = pp.TFIM(sites=SITES) if on_a_chain else pp.TFIM2D(length=3, width=4, field=3.0)
    shots = pp.sample(pp.ground_state(model), 4_000, seed=1)
    given: dict[str, Any] = {
        "hidden": 1,
        "scale_free": SITES,
        "seeds": 2,
        "draws": 2_000,
        "train": {"method": "exact", "epochs": 12},
        "fine_tune": {"method": "exact", "epochs": 3},
        "prune": {"levels": 2},
    }
    found = pp.reconstruct(shots, tmp_path / "run", **given)
    assert found.dataset["candidate_scale_free"].values.tolist() == [False, True]
    assert found.dataset.attrs["scale_free"] == 1
    assert (tmp_path / "run/choice/hidden-12-scale-free.nc").exists()
    mask = pp.scale_free_mask(SITES, positions=places)
    if on_a_chain:  # as many weights as the training shots support
        count = pp.load_rbm(tmp_path / "run/ensemble/seed-0.nc").number_of_weights
        assert abs(count - pp.mask_for_shots(shots, SITES).sum()) <= 8
        mask = pp.scale_free_mask(SITES, weights=count)
    for seed in (0, 1):
        member = pp.load_rbm(tmp_path / f"run/ensemble/seed-{seed}.nc")
        np.testing.assert_array_equal(member.mask, mask)
    assert found.dataset.attrs["dense_weights"] == mask.sum()
    assert not (found.rbm.mask & ~mask).any()
    assert " with scale-free links, trained by exact" in (tmp_path / "run/report.html").read_text()
    assert found.estimate is not None
    assert found.estimate["scale_free"] == [SITES]
    before = {name: data for name, (data, _) in tiny.contents(tmp_path / "run").items()}
    pp.reconstruct(shots, tmp_path / "run", **given)
    after = {name: data for name, (data, _) in tiny.contents(tmp_path / "run").items()}
    assert after == before
