"""Candidates with links to near and far sites, where the shots have positions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.core.limits import FISHER_PARAMETERS
from psiprune.reconstruction.architecture import Architecture
from psiprune.reconstruction.command import Request, as_asked
from psiprune.reconstruction.inputs import resolve_settings
from psiprune.reconstruction.settings import ReconstructSettings
from refusals import refuses

GRID = pp.lattice_positions("square", 4, 4)


def register(positions: np.ndarray[Any, Any] | None, shots: int = 400) -> pp.Shots:
    """Random bits of a register, or of a chain without positions."""
    sites = 16 if positions is None else len(positions)
    bits = np.random.default_rng(0).integers(0, 2, (shots, sites), dtype=np.uint8)
    given = {} if positions is None else {"positions": positions.tolist()}
    return pp.Shots(bits, provenance=given)


def links_of(positions: np.ndarray[Any, Any] | None, **given: Any) -> tuple[int, ...] | None:
    return resolve_settings(pp.ReconstructSettings(**given), register(positions)).links


def test_registers_with_positions_have_them_unless_hidden_is_given() -> None:
    assert links_of(None) == ()
    assert links_of(GRID) == (5, 9, 13)
    assert links_of(pp.lattice_positions("square", 3, 3)) == (5,)
    assert links_of(GRID, hidden=4) == ()
    assert links_of(GRID, scale_free=4) == (5, 9, 13)
    assert links_of(GRID, links=()) == ()
    assert links_of(None, hidden=4, links=(7, 3, 16)) == (3, 7)  # 16 is a dense RBM
    with refuses("links.0", 0):
        ReconstructSettings(links=(0,))


def test_the_surgeon_can_prune_them() -> None:
    settings = ReconstructSettings(positions_sha256="0")
    for sites in (36, 700, 799, 800, 1500):
        for links in settings.links_for(sites):
            assert sites * (links + 4) + 2 <= FISHER_PARAMETERS
    assert [settings.links_for(sites)[-1:] for sites in (256, 799, 800)] == [(21,), (21,), (13,)]


def test_two_fifths_are_far_links() -> None:
    mask = Architecture(16, links=5).mask(16, GRID)
    np.testing.assert_array_equal(mask, pp.nearest_mask(16, links=3, far=2, positions=GRID))
    assert Architecture(16, links=5).size(16, 100).weights == 80
    near = np.linalg.norm(GRID[:, None] - GRID, axis=2) <= 1
    assert mask is not None
    assert (mask & ~near).any()


def test_larger_registers_try_no_quarter_of_the_units() -> None:
    settings = ReconstructSettings(positions_sha256="0")
    assert settings.units_for(20) == (1, 5, 10, 20)
    assert settings.units_for(36) == (1, 18, 36)
    alone = ReconstructSettings(positions_sha256="0", links=())
    assert alone.units_for(36) == ReconstructSettings().units_for(36) == (1, 9, 18, 36)


def test_two_units_of_larger_registers_are_linked_to_all_sites() -> None:
    places = pp.lattice_positions("square", 3, 7)
    settings = ReconstructSettings(positions_sha256="0")
    *_, one = settings.architectures(21)
    assert one == Architecture(23, links=13)
    mask = one.mask(21, places)
    near = pp.nearest_mask(21, links=8, far=5, positions=places, global_units=2)
    np.testing.assert_array_equal(mask, near)
    assert [Architecture(n, links=5).global_units(21) for n in (1, 2, 3, 5)] == [0, 0, 1, 2]
    assert one.which(21) == " with 13 links each, 2 of them with all"
    assert Architecture(23).global_units(21) == one.global_units(20) == 0


def test_fewer_units_follow_until_they_are_not_chosen() -> None:
    settings, tried = ReconstructSettings(), [Architecture(1), Architecture(16)]
    tried += [Architecture(16, links=links) for links in (5, 9)]
    assert settings.between(tried, tried[-1]) == Architecture(8, links=9)
    tried.append(Architecture(8, links=9))
    assert settings.between(tried, tried[-2]) == Architecture(12, links=9)
    assert settings.between(tried, tried[-1]) == Architecture(4, links=9)
    for least in (1, 2):
        few = Architecture(least, links=5)
        follows = settings.between([few], few)
        assert follows == (None if least == 1 else Architecture(1, links=5))


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, ""),
        ({"hidden": (4,)}, "hidden=[4]"),
        ({"links": (5, 9, 13)}, ""),  # the default, spelt out
        ({"links": (3,)}, "links=[3]"),
        ({"links": ()}, "hidden=[1, 4, 8, 16]"),  # all that is left
        ({"hidden": (4,), "links": (9,)}, "hidden=[4], links=[9]"),
        ({"scale_free": (8,)}, "scale_free=[8]"),
        ({"scale_free": (8,), "links": (9,)}, "scale_free=[8], links=[9]"),
    ],
)
def test_the_command_repeats_the_run(given: dict[str, Any], options: str) -> None:
    resolved = resolve_settings(pp.ReconstructSettings(**given), register(GRID))
    asked = as_asked(resolved, 16)
    command = Request(asked, 16, 400, "array").command()
    assert command == f"psiprune.reconstruct(shots, {options})".replace(", )", ")")
    assert asked.for_sites(16).model_dump() == resolved.model_dump()


def test_other_positions_are_another_run() -> None:
    resolved = resolve_settings(ReconstructSettings(), register(GRID))
    with refuses("array", "positions_sha256", str(resolved.positions_sha256)[:12], "positions"):
        resolve_settings(resolved, register(2 * GRID))
    with refuses("array", "no positions", "positions_sha256"):
        resolve_settings(resolved, register(None))


GIVEN: dict[str, Any] = {
    "hidden": 1,
    "links": 5,
    "seeds": 2,
    "draws": 500,
    "train": {"method": "exact", "epochs": 6},
    "fine_tune": {"method": "exact", "epochs": 2},
    "prune": {"levels": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize("width", [3, 4])
def test_a_run_that_chooses_local_links(tmp_path: Path, width: int) -> None:
    model = pp.TFIM2D(length=width, width=width, field=3.04)
    shots = pp.sample(pp.ground_state(model), 4_000, seed=1)
    sites, run = width**2, tmp_path / "run"
    found = pp.reconstruct(shots, run, **GIVEN)
    dataset = found.dataset
    assert dataset["candidate_links"].values.tolist()[:2] == [0, 5]
    chosen = Architecture(int(dataset.attrs["hidden"]), links=5)
    assert dataset.attrs["links"] == 5
    assert (run / f"choice/hidden-{sites}-links-5.nc").exists()
    mask = chosen.mask(sites, np.array(model.places))
    assert mask is not None
    for seed in (0, 1):
        member = pp.load_rbm(run / f"ensemble/seed-{seed}.nc")
        np.testing.assert_array_equal(member.mask, mask)
    assert dataset.attrs["dense_weights"] == mask.sum()
    assert not (found.rbm.mask & ~mask).any()
    assert f"of {mask.sum()} local weights" in str(found)
    report = re.sub("<[^>]*>", "", (run / "report.html").read_text())
    assert " with 5 links each, trained by exact" in report
    assert found.estimate is not None
    assert found.estimate["links"] == [5]
    before = {name: data for name, (data, _) in tiny.contents(run).items()}
    pp.reconstruct(shots, run, **GIVEN)
    assert {name: data for name, (data, _) in tiny.contents(run).items()} == before


@pytest.mark.slow
def test_a_run_tied_to_what_the_shots_support(tmp_path: Path) -> None:
    model = pp.TFIM2D(length=3, width=3, field=3.04)
    shots = pp.sample(pp.ground_state(model), 4_000, seed=1)
    given = GIVEN | {name: GIVEN[name] | {"symmetry": "found"} for name in ("train", "fine_tune")}
    run = tmp_path / "run"
    found = pp.reconstruct(shots, run, **given)
    assert found.dataset.attrs["symmetry"] == "flip-lattice"
    for file in ("ensemble/seed-0.nc", "ensemble/seed-1.nc", "smallest.nc"):
        assert pp.load_rbm(run / file).provenance["symmetry"] == "flip-lattice"
    assert "symmetry flip-lattice: parameters are tied to it" in str(found)
    assert str(found).count("symmetry=flip-lattice") == 2  # of both methods
    assert "symmetry" not in str(pp.reconstruct(shots, tmp_path / "not-tied", **GIVEN))
    before = {name: data for name, (data, _) in tiny.contents(run).items()}
    (run / "reconstruct.nc").unlink()
    pp.reconstruct(shots, run, **given)
    assert {name: data for name, (data, _) in tiny.contents(run).items()} == before
