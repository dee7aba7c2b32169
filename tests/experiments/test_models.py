"""Hamiltonians other than the open Ising chain in experiments."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from outcomes import json_of, text_of
from psiprune.metrics.settings import MeasureSettings
from psiprune.pruning.settings import PruneSettings
from psiprune.reporting.labels import field_label
from psiprune.states.spin_models import SpinModel
from refusals import refuses

EXACT = {"method": "exact", "epochs": 3}
QUICK: dict[str, Any] = {
    "hidden": 2,
    "shots": 200,
    "train": EXACT,
    "fine_tune": EXACT,
    "prune": PruneSettings(levels=1, fraction=0.4),
    "measure": MeasureSettings(draws=100),
}
TERMS = "-1.0 [Z0 Z1] + -0.5 [X0] + -0.5 [X1]"


def again(settings: pp.StudySettings) -> pp.StudySettings:
    """The settings that config.toml gives."""
    return pp.StudySettings(**settings.model_dump(mode="json", exclude_none=True))


@pytest.mark.parametrize(
    ("given", "fields", "model"),
    [
        ({"model": "xxz", "sites": 6}, (0.0,), pp.XXZ(sites=6)),
        ({"model": pp.XXZ(sites=6, delta=0.5)}, (0.0,), pp.XXZ(sites=6, delta=0.5)),
        (
            {"model": {"kind": "xxz", "delta": 2.0}, "sites": 6, "coupling": 3.0, "fields": (1, 2)},
            (1.0, 2.0),
            pp.XXZ(sites=6, delta=2.0, coupling=3.0, field=2.0),
        ),
        (
            {"model": {"kind": "tfim", "boundary": "periodic", "field": 0.5}, "sites": 5},
            (0.5,),
            pp.IsingChain(sites=5, boundary="periodic", field=0.5),
        ),
        (
            {"model": {"kind": "tfim", "fields": [0.1, 0.2], "couplings": [1.5]}, "sites": 2},
            (0.0,),
            pp.IsingChain(sites=2, fields=(0.1, 0.2), couplings=(1.5,)),
        ),
        (
            {"model": {"kind": "tfim-2d", "length": 2, "width": 3}, "fields": (2.0, 3.0)},
            (2.0, 3.0),
            pp.TFIM2D(length=2, width=3, field=3.0),
        ),
        (
            {"model": {"kind": "rydberg", "positions": [[0, 0], [1, 0.5]]}},
            (0.0,),
            pp.Rydberg(positions=((0, 0), (1, 0.5))),
        ),
        ({"model": pp.Hamiltonian(TERMS)}, (0.0,), pp.Hamiltonian(TERMS)),
        ({"model": {"kind": "terms", "terms": TERMS}}, (0.0,), pp.Hamiltonian(TERMS)),
    ],
)
def test_settings_take_models(
    given: dict[str, Any], fields: tuple[float, ...], model: SpinModel | pp.Hamiltonian
) -> None:
    settings = pp.StudySettings(**given)
    expected = model if isinstance(model, pp.Hamiltonian) else model.hamiltonian()
    assert settings.model_at(fields[-1]) == expected
    assert (settings.sites, settings.fields) == (expected.sites, fields)
    assert again(settings).model_dump() == settings.model_dump()


def test_an_open_chain_is_no_model() -> None:
    plain = pp.StudySettings(sites=5, coupling=2.0, fields=(0.5,))
    chain = pp.IsingChain(sites=5, coupling=2.0, field=0.5)
    assert pp.StudySettings(model=chain).model_dump() == plain.model_dump()
    assert "model" not in plain.model_dump()
    assert plain.model_at(0.5) == pp.TFIM(sites=5, coupling=2.0, field=0.5)
    antiferromagnet = pp.IsingChain(sites=5, coupling=-2.0)
    assert pp.StudySettings(model=antiferromagnet).model_at(1.0) == antiferromagnet.hamiltonian()


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        ({"model": "potts"}, ("model.kind", "rydberg", "'potts'")),
        ({"model": 3}, ("model.kind", "3")),
        ({"model": "xxz"}, ("model.sites", "missing")),
        ({"model": {"kind": "xxz", "sites": 4}, "sites": 6}, ("sites", 4, 6)),
        ({"model": {"kind": "xxz", "delta": "0.5"}, "sites": 6}, ("model.delta", "'0.5'")),
        ({"model": {"kind": "xxz", "dlta": 0.5}, "sites": 6}, ("model.dlta", "delta?")),
        ({"model": "rydberg", "sites": 6, "fields": (1.0,)}, ("fields", "rydberg", "omit")),
        ({"model": {"kind": "terms", "terms": "1 [Z0 Q1]"}}, ("model.terms", "'Q'")),
        ({"fields": (0.0,)}, ("fields.0", 0)),
    ],
)
def test_refused(given: dict[str, Any], facts: tuple[object, ...]) -> None:
    with refuses(*facts):
        pp.StudySettings(**given)


@pytest.mark.slow
def test_a_study_of_another_model(tmp_path: Path) -> None:
    settings = pp.StudySettings(model=pp.XXZ(sites=4, delta=0.5), fields=(0.1,), **QUICK)
    study = pp.run_study(settings, tmp_path / "run", progress=False)
    dense = pp.XXZ(sites=4, delta=0.5, field=0.1).hamiltonian().to_sparse().toarray()
    energies = np.linalg.eigvalsh(dense)[:1]
    np.testing.assert_allclose(study["energy_reference"], energies, rtol=1e-9)
    assert (study["energy"].min(("seed", "level")) > study["energy_reference"]).all()
    assert np.isnan(study["abs_magnetization_bias"]).all()  # |m| = 0
    name = "XXZ(sites=4, delta=0.5, field=0.1)"
    assert study["hamiltonian"].values.tolist() == [name]
    assert field_label(study, 0.1) == field_label(study.sel(field=0.1), 0.1) == name
    config = tomllib.loads((tmp_path / "run/config.toml").read_text())
    assert config["model"] == settings.model_dump()["model"]
    with refuses("config.toml", "model.delta", 0.5, 0.7):
        other = pp.XXZ(sites=4, delta=0.7)
        changed = pp.StudySettings(model=other, fields=(0.1,), **QUICK)
        pp.run_study(changed, tmp_path / "run", progress=False)


@pytest.mark.slow
def test_on_the_command_line(tmp_path: Path) -> None:
    quick = ("--hidden=2", "--shots=200", "--prune.levels=1", "--measure.draws=100")
    exact = ("--train.method=exact", "--train.epochs=2", "--fine-tune.epochs=1")
    options = (*quick, *exact, "--fine-tune.method=exact")
    first = ("study", "--model=rydberg", "--sites=4", "--delta=1.5", *options)
    found = json_of(tiny.call(*first, "--out", tmp_path / "a", "--json"))
    assert list(found["levels"]) == ["h=0"]
    state = pp.load_mps(tmp_path / "a/h=0/state.nc")
    assert state.model == pp.Rydberg(sites=4, delta=1.5).hamiltonian()
    config = ("study", "--config", tmp_path / "a/config.toml")
    text = text_of(tiny.call(*config, "--delta=1.2", "--out", tmp_path / "b"))
    assert text.startswith("Rydberg(sites=4, delta=1.2)\n")
    terms = tiny.write(tmp_path / "own.txt", TERMS)
    assert text_of(tiny.call("study", "--model", terms, *options, "--out", tmp_path / "c"))
    terms.unlink()  # the run has the terms
    again = ("study", "--config", tmp_path / "c/config.toml", "--out", tmp_path / "c")
    assert text_of(tiny.call(*again)).startswith("own.txt\n")
    refused = tiny.refusal(tiny.call("study", "--delta=1", "--out", tmp_path / "d"))
    assert "--delta" in refused
    assert "--model tfim" in refused


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        (
            "sparse",
            "--hidden=2",
            "--density=0.75",
            "--seeds=2",
            "--train.method=exact",
            "--fine-tune.method=exact",
        ),
        ("ablation", "--hidden=4", "--seeds=1", "--threshold=1", "--train.method=exact"),
        (
            "entanglement",
            "--seeds=1",
            "--kinds=magnitude",
            "--weights-per-site=1.5",
            "--prune-fraction=0.4",
        ),
        ("frontier", "--hidden=4", "--fields=0.3", "--seeds=1", "--paper-train.epochs=2"),
    ],
    ids=lambda options: options[0],
)
def test_a_state_without_magnetization(options: tuple[str, ...], tmp_path: Path) -> None:
    state = ("--model=xxz", "--sites=4", "--delta=0.5", "--shots=200")
    few = ("--train.epochs=3", "--fine-tune.epochs=2")
    words = text_of(tiny.call(*options, *state, *few, "--out", tmp_path / "run"))
    assert "XXZ(sites=4, delta=0.5" in words
    assert list((tmp_path / "run").glob("*.png"))


def test_sweeps_vary_a_model() -> None:
    def swept(values: dict[str, Any]) -> pp.SweepSettings:
        study: dict[str, Any] = {"model": {"kind": "xxz"}, "sites": 4}
        table: dict[str, Any] = {"study": study, "grid": [{"product": values}]}
        return pp.SweepSettings(**table)

    settings = swept({"model.delta": [0.5, 1.0], "sites": [4, 6]})
    models = [each.model_at(0.0) for each in settings.configurations()]
    expected = [pp.XXZ(sites=n, delta=d).hamiltonian() for d in (0.5, 1.0) for n in (4, 6)]
    assert models == expected
    with refuses("grid.0.product.model.delt", "model.delta?"):
        swept({"model.delt": [0.5]})
