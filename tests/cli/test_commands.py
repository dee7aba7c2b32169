"""States, shots, masks, clusters, measures and experiments on the command line."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import psiprune as pp
import tiny
from outcomes import chooser, json_of, text_of
from psiprune.io.netcdf import read_dataset
from psiprune.rbm.masks import break_clusters, cluster_mask, read_mask
from refusals import check_facts, check_refusal


def test_ground_state(tmp_path: Path) -> None:
    file = tmp_path / "state.nc"
    found = json_of(tiny.call("ground-state", "--sites=5", "--field=0.7", "-o", file, "--json"))
    assert found["file"] == str(file)
    assert found["sites"] == 5
    exact = pp.TFIM(sites=5, field=0.7).ground_energy()
    assert found["exact_energy"] == exact
    assert found["energy"] == pytest.approx(exact, rel=1e-9)
    state = pp.load_mps(file)
    assert state.model == pp.TFIM(sites=5, field=0.7)
    assert state.energy == found["energy"]
    assert found["largest_bond"] == max(state.bond_dimensions)
    made = text_of(tiny.call("ground-state", "--sites", "2", "--out", tmp_path / "two.nc"))
    line, then = made.splitlines()
    assert then.split()[:3] == ["next:", "psiprune", "sample"]
    assert "2 sites, E = -2.2360679775" in line


def test_ground_states_of_other_models(tmp_path: Path) -> None:
    file = tmp_path / "state.nc"
    command = ("ground-state", "--model=xxz", "--sites=4", "--delta=0.5", "-o", file)
    found = json_of(tiny.call(*command, "--json"))
    model = pp.XXZ(sites=4, delta=0.5).hamiltonian()
    assert found["model"] == model.summary()
    assert found["rotated_sites"] == [0, 2]
    assert "exact_energy" not in found
    state = pp.load_mps(file)
    assert state.model == model
    assert state.energy == found["energy"]
    shots = tmp_path / "shots.nc"
    tiny.call("sample", file, "--shots=100", "-o", shots)
    for what in (file, shots):
        assert "XXZ(sites=4, delta=0.5)" in text_of(tiny.call("info", what))
    assert "exact" not in text_of(tiny.call("info", file))
    rbm = tmp_path / "rbm.nc"
    tiny.call("train", shots, "--hidden=2", "--method=exact", "--epochs=2", "-o", rbm)
    measured = json_of(tiny.call("evaluate", rbm, file, "--draws=200", "--json"))
    assert 0 < measured["energy_bias"]["value"] < 1


@pytest.mark.parametrize(
    ("options", "model", "words"),
    [
        (
            ("--sites=3", "--boundary=periodic"),
            pp.IsingChain(sites=3, boundary="periodic"),
            "psi >= 0\n",
        ),
        (
            ("--model=rydberg", "--positions", "-1,0", "0,0", "-.5e0,-1.5", "--delta", "-1"),
            pp.Rydberg(positions=((-1.0, 0.0), (0.0, 0.0), (-0.5, -1.5)), delta=-1.0),
            "after a Z on 3 sites: 0, 1, 2",
        ),
        (
            ("--sites=3", "--fields", -1, 1, 1),
            pp.IsingChain(sites=3, fields=(-1.0, 1.0, 1.0)),
            "after a Z on 1 site: 0\n",
        ),
        (
            ("--sites=3", "--field=-1"),
            pp.IsingChain(sites=3, field=-1.0),
            "after a Z on 3 sites: 0, 1, 2",
        ),
        (("--model=tfim-2d", "--length=2", "--width=2"), pp.TFIM2D(length=2, width=2), "TFIM2D"),
    ],
)
def test_options_of_models(
    tmp_path: Path, options: tuple[object, ...], model: Any, words: str
) -> None:
    file = tmp_path / "state.nc"
    assert words in text_of(tiny.call("ground-state", *options, "-o", file))
    assert pp.load_mps(file).model == model.hamiltonian()


def test_a_file_of_terms(tmp_path: Path) -> None:
    terms = tiny.write(tmp_path / "own.txt", "-1.0 [Z0 Z1]\n+ 0.5 [X0] + 0.5 [X1]\n+ 0.1 [X0 X1]")
    out = text_of(tiny.call("ground-state", "--model", terms, "-o", tmp_path / "c.nc"))
    assert "psi >= 0 after a Z on 2 sites: 0, 1 (tested on all amplitudes" in out
    tiny.write(terms, terms.read_text().replace("+ 0.1", "- 0.1"))
    out = text_of(tiny.call("ground-state", "--model", terms, "-o", tmp_path / "a.nc"))
    assert "model: own.txt; psi >= 0 after a Z on 2 sites: 0, 1" in out
    found = pp.load_mps(tmp_path / "a.nc").model
    assert found == pp.read_hamiltonian(terms)
    text_of(tiny.call("ground-state", "--model", terms, "--sites=3", "-o", tmp_path / "b.nc"))
    assert pp.load_mps(tmp_path / "b.nc").sites == 3


def test_sample_a_model(tmp_path: Path) -> None:
    file = tmp_path / "shots.nc"
    command = ("sample", "--sites=3", "--field=2", "--shots=40", "--seed=1", "--projection=9")
    found = json_of(tiny.call(*command, "-o", file, "--json"))
    drawn = pp.quantum_monte_carlo(pp.TFIM(sites=3, field=2.0), 40, seed=1, projection=9)
    assert found == {"file": str(file), "shots": 40, "sites": 3, "seed": 1, **drawn.summary()}
    np.testing.assert_array_equal(pp.read_shots(file).bits, drawn.shots.bits)
    text = text_of(tiny.call(*command, "-o", tmp_path / "again.nc"))
    assert f"E = {drawn.energy:.6g} +- " in text
    assert f"a shot every {drawn.thin}\n9 terms" in text


def test_sample_a_rydberg_array(tmp_path: Path) -> None:
    file = tmp_path / "shots.nc"
    command = ("sample", "--model=rydberg", "--length=2", "--width=2", "--projection=3")
    text = text_of(tiny.call(*command, "--shots=40", "-o", file))
    drawn = pp.quantum_monte_carlo(pp.Rydberg(length=2, width=2), 40, projection=3.0)
    assert "\nimaginary time 3 on either side; half of it changes the order parameter by" in text
    shots = pp.read_shots(file)
    np.testing.assert_array_equal(shots.bits, drawn.shots.bits)
    np.testing.assert_array_equal(shots.positions, pp.lattice_positions("square", 2, 2))


def test_sample(stages: Path, tmp_path: Path) -> None:
    command = ("sample", stages / "state.nc", "--shots=300", "--seed=1")
    found = json_of(tiny.call(*command, "--out", tmp_path / "a.nc", "--json"))
    assert found == {"file": str(tmp_path / "a.nc"), "shots": 300, "sites": 4, "seed": 1}
    np.testing.assert_array_equal(
        pp.read_shots(tmp_path / "a.nc").bits, pp.read_shots(stages / "shots.nc").bits
    )
    assert "300 shots of 4 sites" in text_of(tiny.call(*command, "-o", tmp_path / "b.nc"))
    tiny.call("sample", stages / "state.nc", "--shots=300", "--seed=2", "-o", tmp_path / "c.nc")
    other = pp.read_shots(tmp_path / "c.nc").bits
    assert (other != pp.read_shots(stages / "shots.nc").bits).any()


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., np.ndarray[Any, Any]]:
    """Make a mask by a command, in mask.txt, and read it."""

    def make(*command: object) -> np.ndarray[Any, Any]:
        file = tmp_path / "mask.txt"
        file.unlink(missing_ok=True)
        assert str(file) in text_of(tiny.call("mask", *command, "--out", file))
        return read_mask(file)

    return make


def test_scale_free_masks(tmp_path: Path, made: Callable[..., np.ndarray[Any, Any]]) -> None:
    scale_free = made("scale-free", "--sites=6", "--hidden=4", "--weights=13")
    np.testing.assert_array_equal(scale_free, pp.scale_free_mask(6, 4, weights=13))
    ring = made("scale-free", "--sites=9", "--near=2", "--ratio=2", "--periodic")
    np.testing.assert_array_equal(ring, pp.scale_free_mask(9, near=2, ratio=2, periodic=True))
    bits = np.repeat(np.eye(2, dtype=np.uint8), [30, 31], axis=0).repeat(4, axis=1)
    pp.Shots(bits).save(tmp_path / "shots.nc")
    from_shots = made("scale-free", tmp_path / "shots.nc", "--hidden=3")
    np.testing.assert_array_equal(from_shots, pp.mask_for_shots(bits, 3))
    square = tmp_path / "square.txt"
    square.write_text("0 0\n0 1\n1 0\n1 1\n")
    drawn = made("power-law", "--positions", square, "--count=10", "--exponent=1", "--seed=3")
    positions = [[0, 0], [0, 1], [1, 0], [1, 1]]
    expected = pp.power_law_mask(4, weights=10, exponent=1, seed=3, positions=positions)
    np.testing.assert_array_equal(drawn, expected)


def test_masks_of_near_sites(tmp_path: Path, made: Callable[..., np.ndarray[Any, Any]]) -> None:
    model = pp.TFIM2D(length=2, width=3)
    state = replace(pp.mps_from_vector(np.ones(64)), model=model.hamiltonian())
    file, shots = state.save(tmp_path / "state.nc"), pp.sample(state, 50)
    saved = shots.save(tmp_path / "shots.nc")
    expected = pp.nearest_mask(
        *(6, 4),
        links=2,
        far=1,
        exponent=1,
        seed=3,
        shells=True,
        global_units=1,
        positions=model.places,
    )
    options = ["--hidden=4", "--links=2", "--far=1", "--exponent=1", "--seed=3", "--shells"]
    options.append("--global-units=1")
    for each in (file, saved):
        found = made("nearest", "--positions", each, *options)
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        made("correlation", saved, "--links=3", "--hidden=5"),
        pp.correlation_mask(shots, 5, links=3),
    )


def test_masks(stages: Path, tmp_path: Path, made: Callable[..., np.ndarray[Any, Any]]) -> None:
    clusters = made("cluster", "--hidden=3", "--sites=6", "--count=11")
    np.testing.assert_array_equal(clusters, cluster_mask(3, 6, 11))
    shutil.copy(tmp_path / "mask.txt", tmp_path / "clusters.txt")
    broken = made("break", tmp_path / "clusters.txt", "--share=0.5", "--seed=3")
    np.testing.assert_array_equal(broken, break_clusters(clusters, 0.5, seed=3))
    inside = pp.find_clusters(pp.load_rbm(stages / "rbm.nc"), threshold=1.0)["inside"].values
    forbidden = made("forbid", stages / "rbm.nc", "--threshold=1")
    np.testing.assert_array_equal(forbidden, ~inside)
    control = made("forbid", stages / "rbm.nc", "--threshold=1", "--others", "--seed=3")
    np.testing.assert_array_equal(control, pp.exclude_matched_control(inside, 3))


def test_clusters(tmp_path: Path) -> None:
    weights = np.full((2, 18), 0.1)
    weights[1, 4:7] = -2.0
    mask = np.ones((2, 18), bool)
    mask[1, 7:] = False
    rbm = pp.RBM(weights, np.zeros(18), np.zeros(2), mask)
    rbm.save(tmp_path / "rbm.nc")
    command = ("clusters", tmp_path / "rbm.nc", "--permutations=500")
    found = json_of(tiny.call(*command, "--json"))
    expected = pp.find_clusters(rbm, permutations=500)
    assert [unit["p_value"] for unit in found["units"]] == expected["p_value"].values.tolist()
    assert [unit["found"] for unit in found["units"]] == expected["found"].values.tolist()
    lines = text_of(tiny.call(*command, "--pruned", "--out", tmp_path / "figure.svg")).splitlines()
    assert lines[:2] == ["1 of 2 units with a cluster of 3 sites (p <= 0.05)", ""]
    assert lines[4].split() == ["1", "4", "to", "6", *lines[4].split()[4:6], "yes"]
    assert lines[5:] == ["", *(str(tmp_path / f"figure.{kind}") for kind in ("png", "svg"))]
    assert all(Path(line).stat().st_size > 1000 for line in lines[6:])


def test_clusters_of_few_sites_are_listed_though_none_can_be_significant(stages: Path) -> None:
    command = ("clusters", stages / "rbm.nc", "--permutations=500")
    done = tiny.call(*command)
    assert done.out.startswith("0 of 2 units with a cluster of 3 sites (p <= 0.05)\n")
    check_facts(done.err.strip(), "note: with 4 sites", 3, "below 0.5", 0.05, "--threshold 0.5")
    assert tiny.call(*command, "--threshold=0.5").err == ""


def test_evaluate(stages: Path) -> None:
    command = ("evaluate", stages / "rbm.nc", stages / "state.nc", "--draws=300", "--seed=7")
    found = json_of(tiny.call(*command, "--json"))
    rbm, state = pp.load_rbm(stages / "rbm.nc"), pp.load_mps(stages / "state.nc")
    report = pp.evaluate(rbm, state, draws=300, seed=7)
    # The RBM's number of training shots is not known, so neither are two floors.
    unknown = {"kl", "fidelity"}
    assert found == {
        name: vars(measure) | ({"floor": None} if name in unknown else {})
        for name, measure in report
    }
    answer, empty, *lines, then = text_of(tiny.call(*command)).splitlines()
    out = stages / "rbm-pruned"
    assert then == f"next: psiprune prune {stages / 'rbm.nc'} SHOTS -o {out}"
    kl, fidelity = report.kl.value, report.fidelity.value
    assert (answer, empty) == (f"fidelity {fidelity:.4f}, KL divergence {kl:.3g} nat", "")
    assert [line.split()[0] for line in lines] == ["measure", *found]


@pytest.mark.parametrize("kind", ["nc", "txt", "npy"])
def test_evaluate_on_shots(stages: Path, tmp_path: Path, kind: str) -> None:
    shots = pp.read_shots(stages / "shots.nc")
    np.save(tmp_path / "shots.npy", shots.bits)
    file = tmp_path / "shots.npy" if kind == "npy" else stages / f"shots.{kind}"
    command = ("evaluate", stages / "rbm.nc", file, "--draws=300", "--seed=7")
    found = json_of(tiny.call(*command, "--json"))
    rbm = pp.load_rbm(stages / "rbm.nc")
    report = pp.evaluate_on_shots(rbm, shots, draws=300, seed=7)
    assert found["shots"] == 300
    for name, each in report:
        assert found[name]["value"] == np.asarray(each.value).tolist()
        assert found[name]["error"] == np.asarray(each.error).tolist()
    assert found["log_likelihood"]["floor"] is None
    assert found["training_excess"] == (8 + 4 + 2) / 300
    assert "not trained on" in found["note"]
    answer, empty, *lines, then = text_of(tiny.call(*command)).splitlines()
    assert then.startswith("next: psiprune prune ")
    likelihood = report.log_likelihood
    assert answer.startswith(f"log-likelihood {likelihood.value:.4f} ± {likelihood.error:.1g} nats")
    assert empty == ""
    assert [line.split()[0] for line in lines[:5]] == ["measure", *list(found)[1:5]]
    assert any(line.startswith("note: ") for line in lines)
    sentence = pp.readout_sensitivity(rbm).sentence
    assert found["assumed"]["readout"]["sentence"] == sentence
    assert lines[-1] == sentence


def test_nothing_is_next_after_the_evaluation_of_a_pruned_rbm(stages: Path, tmp_path: Path) -> None:
    rbm = pp.load_rbm(stages / "rbm.nc")
    mask = np.arange(rbm.mask.size).reshape(rbm.mask.shape) > 0
    pp.RBM(rbm.weights, rbm.visible_bias, rbm.hidden_bias, mask).save(tmp_path / "pruned.nc")
    for reference in ("state.nc", "shots.nc"):
        command = ("evaluate", tmp_path / "pruned.nc", stages / reference, "--draws=100")
        assert "next:" not in text_of(tiny.call(*command))


def test_only_the_result_is_on_standard_output(tmp_path: Path) -> None:
    """In a process of its own, where no library can hide what it prints."""
    file = tmp_path / "state.nc"
    made = tiny.finish(tiny.start("ground-state", "--sites=5", "--out", file, "--json"))
    assert json_of(made)["file"] == str(file)
    assert file.exists()
    refused = tiny.finish(tiny.start("train", file, "--out", tmp_path / "rbm.nc", "--json"))
    check_refusal(tiny.refusal(refused), file, "'shots'", "'mps'")


# ---- experiments: folders, tables, and options on top of a file


def test_study(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    command = ("study", *tiny.options(), "--fields", "1", "2", "--out", folder)
    found = json_of(tiny.call(*command, "--json"))
    assert found["folder"] == str(folder)
    assert {key: len(levels) for key, levels in found["levels"].items()} == {"h=1": 4, "h=2": 4}
    api = read_dataset(finished / "study.nc", "study")
    assert tiny.raw(read_dataset(folder / "study.nc", "study")) == tiny.raw(api)
    assert found["levels"]["h=2"][3]["kl"] == float(api["kl"].sel(field=2.0)[0, 3])
    assert tiny.names(folder) == tiny.names(finished) | {"figure.png", "figure.svg"}
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    # Started again, from its own configuration: nothing is left to do, the table is the same.
    before = tiny.contents(folder)
    monkeypatch.setattr("psiprune.experiments.figures.study.study_figure", lambda _: None)
    monkeypatch.setattr("psiprune.reporting.figures.save_figure", lambda *_: [Path("figure.png")])
    out = text_of(tiny.call("study", "--config", folder / "config.toml", "--out", folder))
    assert out.startswith("h/J = 1: ")
    assert "\n\nh/J = 1\npruned  weights" in out
    assert f"\n{folder}: study.nc, figure.png\nnext: psiprune info" in out
    after = tiny.contents(folder)
    made = [file for file in before if "h=" in file]
    assert {name: after[name] for name in made} == {name: before[name] for name in made}
    assert after["study.nc"][0] == before["study.nc"][0]


def test_study_goes_to_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "psiprune.experiments.study.run_study", lambda *_: read_dataset(finished / "study.nc")
    )
    monkeypatch.setattr("psiprune.experiments.figures.study.study_figure", lambda _: None)
    monkeypatch.setattr("psiprune.reporting.figures.save_figure", lambda *_: [])
    first, again, other = (
        json_of(tiny.call("study", "--seed", seed, "--json"))["folder"] for seed in (0, 0, 1)
    )
    assert first == again != other
    assert re.fullmatch(r"runs/study-[0-9a-f]{8}", first)


@pytest.mark.parametrize(
    ("command", "figures", "key"),
    [
        ("sparse", ["figure"], "variants"),
        pytest.param("ablation", ["broken", "forbidden"], "ablation", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_sparse_and_ablation(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: str,
    figures: list[str],
    key: str,
) -> None:
    drawn: list[Path] = []

    def save(figure: Figure, stem: Path) -> list[Path]:
        assert figure.get_axes()
        drawn.append(stem)
        return [Path(f"{stem}.png")]

    monkeypatch.setattr("psiprune.reporting.figures.save_figure", save)
    done: Path = request.getfixturevalue(f"{command}_run")
    folder = Path(shutil.copytree(done, tmp_path / "run"))
    # From its own configuration: nothing is left to do but figures, JSON and table.
    again = (command, "--config", folder / "config.toml", "--out", folder)
    found = json_of(tiny.call(*again, "--json"))
    assert found["folder"] == str(folder)
    assert "h=1" in found[key]
    assert drawn == [folder / name for name in figures]
    assert tiny.names(folder) == tiny.names(done)
    assert (folder / f"{command}.nc").read_bytes() == (done / f"{command}.nc").read_bytes()
    module = f"psiprune.experiments.{command}.run_{command}"
    monkeypatch.setattr(module, lambda *_: read_dataset(folder / f"{command}.nc"))
    out = text_of(tiny.call(*again))
    assert out.startswith("h/J = 1: ")
    assert "KL" in out.splitlines()[0]
    names = ", ".join(f"{name}.png" for name in figures)
    assert out.splitlines()[-2] == f"{folder}: {command}.nc, {names}"
    assert out.splitlines()[-1].startswith("next: psiprune info")


def test_options_stand_on_top_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = chooser(monkeypatch, "study")
    file = tmp_path / "mine.toml"
    file.write_text("sites = 6\nfields = [0.5]\n[train]\nepochs = 7\nmomentum = 0.5\n")
    assert chosen() == pp.StudySettings()
    found = chosen("--config", file)
    train = pp.CD(epochs=7, momentum=0.5)
    assert found == pp.StudySettings(sites=6, fields=(0.5,), train=train)
    found = chosen("--config", file, "--train.epochs=8", "--prune.levels=3", "--fields=1")
    train = pp.CD(epochs=8, momentum=0.5)
    prune = pp.PruneSettings(levels=3)
    assert found == pp.StudySettings(sites=6, fields=(1.0,), train=train, prune=prune)
    # An option that says the default still wins over the file.
    assert chosen("--config", file, "--sites=18").sites == 18
    # Options need only go together with the file.
    file.write_text("[train]\nepochs = 1000\n")
    assert chosen("--config", file, "--rewind-epoch", "900").rewind_epoch == 900
    line = tiny.refusal(tiny.call("study", "--config", file, "--rewind-epoch", "1001"))
    check_refusal(line, "--rewind-epoch", "train.epochs", 1000, 1001)
    # Without a file the command line gives what TOML gives, by both spellings of a list.
    for fields in (("--fields", "1", "2"), ("--fields", "1", "--fields", "2")):
        assert chosen(*tiny.options(), *fields) == tiny.settings()
