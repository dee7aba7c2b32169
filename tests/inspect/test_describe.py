"""`describe` and `psiprune info`: states, RBMs, datasets; runs whole, unfinished and damaged."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray

import psiprune as pp
import tiny
from outcomes import json_of, run_of, text_of
from psiprune.core.settings import Settings
from psiprune.data.diagnostics import ShotsDescription
from psiprune.experiments.path_settings import PathSettings, RewirePathSettings, UntilSettings
from psiprune.inspect.contents import contents_of, read_config
from psiprune.inspect.descriptions import (
    DatasetDescription,
    RBMDescription,
    StateDescription,
)
from psiprune.inspect.tables import description_numbers, description_text
from psiprune.pruning.settings import RewireSettings
from refusals import check_facts


def numbers(*arguments: object) -> dict[str, Any]:
    return json_of(tiny.call("info", *arguments, "--json"))


def lines(*arguments: object) -> list[str]:
    """The description that is printed, without the line of the next command."""
    printed = text_of(tiny.call("info", *arguments)).splitlines()
    return printed[:-1] if printed[-1].startswith("next: ") else printed


Kind = TypeVar("Kind")


def description(thing: Any, kind: type[Kind]) -> Kind:
    """What `describe` says, of the kind that it should be."""
    found = pp.describe(thing)
    assert isinstance(found, kind)
    return found


def names(found: Any) -> set[str]:
    return {each.name for each in found.warnings}


# ---- shots


def test_shots(stages: Path) -> None:
    file = stages / "shots.nc"
    shots = pp.read_shots(file)
    found = numbers(file)
    assert found["what"] == "shots"
    assert (found["shots"], found["sites"], found["basis"]) == (300, 4, "Z")
    np.testing.assert_allclose(found["magnetization"], 1 - 2 * shots.bits.mean(axis=0))
    assert sum(count for _, count in found["frequent"]) <= 300
    assert set(found) == {"what", *(each.name for each in dataclasses.fields(ShotsDescription))}
    text = lines(file)
    assert text[0] == f"{file}: 300 shots of 4 sites in basis Z"
    check_facts(text[1], "sampler: mps", "seed: 1", "sites 4", "field 1.0")
    assert not [line for line in text if line.startswith("warning")]
    assert description_text(pp.describe(shots)) == "\n".join(text)
    assert lines(stages / "shots.txt")[2:-1] == text[2:-1]


def test_shots_of_other_programs(stages: Path, tmp_path: Path) -> None:
    bits = pp.read_shots(stages / "shots.nc").bits
    pp.export_shots(pp.Shots(bits), tmp_path / "a.b8", "stim-b8")
    found = numbers(tmp_path / "a.b8", "--format", "stim-b8", "--qubits", 4)
    assert found["shots"] == 300
    assert numbers(tmp_path / "a.b8", "--qubits", 4) == found
    assert "next:" not in text_of(tiny.call("info", tmp_path / "a.b8", "--qubits", 4))
    np.savetxt(tmp_path / "spins.txt", 1 - 2.0 * bits, fmt="%d")
    assert numbers(tmp_path / "spins.txt", "--spin")["distinct"] == found["distinct"]


@pytest.mark.parametrize(
    ("name", "then"),
    [
        ("shots.nc", "reconstruct {} -o result"),
        ("state.nc", "sample {} -o {}-shots.nc"),
        ("pruned.nc", "evaluate {} SHOTS"),
    ],
)
def test_the_next_command_ends_the_output(
    stages: Path, monkeypatch: pytest.MonkeyPatch, name: str, then: str
) -> None:
    monkeypatch.chdir(stages)
    command = then.format(name, name.removesuffix(".nc"))
    assert text_of(tiny.call("info", name)).splitlines()[-1] == f"next: psiprune {command}"
    assert "next" not in json_of(tiny.call("info", name, "--json"))


def test_states_with_phases_are_sampled_in_several_bases(tmp_path: Path) -> None:
    for sites, bases in ((2, "random:9"), (3, "random:13")):
        phases = np.exp(1j * np.arange(2**sites)) / 2 ** (sites / 2)
        file = tmp_path / f"{sites}.nc"
        pp.mps_from_vector(phases).save(file)
        last = text_of(tiny.call("info", file)).splitlines()[-1]
        command = last[last.index("psiprune ") :].split()
        assert command[1:5] == ["sample", str(file), "--bases", bases]
        assert tiny.call(*command[1:], "--shots", 20).status == 0


def test_a_format_is_given_again_to_import(stages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stages)
    printed = text_of(tiny.call("info", "shots.txt", "--format", "text"))
    assert printed.splitlines()[-1] == "next: psiprune import text shots.txt -o shots.nc"


def test_warnings_come_last(tmp_path: Path) -> None:
    """20 shots are few, site 1 is constant, and no shot repeats, so that entropy is a bound."""
    bits = np.zeros((20, 6), int)
    bits[:, 2:] = np.arange(20)[:, None] >> np.arange(4) & 1
    bits[16:, 0] = 1
    file = tmp_path / "a.txt"
    np.savetxt(file, np.random.default_rng(0).permutation(bits), fmt="%d")
    text, found = lines(file), numbers(file)
    assert [line.split(":")[1].strip() for line in text[-2:]] == ["few", "constant"]
    then = text_of(tiny.call("info", file)).splitlines()[-1]
    assert then == f"next: see the warnings, then psiprune reconstruct {file} -o result"
    pp.Shots(bits, basis="X").save(tmp_path / "x.nc")  # which no command takes
    assert "next:" not in text_of(tiny.call("info", tmp_path / "x.nc"))
    assert [each["name"] for each in found["warnings"]] == ["few", "constant"]
    (line,) = [line for line in text if line.startswith("entropy")]
    assert "above 3.00 nats" in line
    assert found["ordering"] is None


# ---- a state


def test_a_state(stages: Path) -> None:
    file = stages / "state.nc"
    state = pp.load_mps(file)
    found = description(file, StateDescription)
    assert found.warnings == ()
    assert found.bond_dimensions == state.bond_dimensions
    assert (found.field, found.coupling) == (1.0, 1.0)
    assert found.energy == pytest.approx(found.exact_energy, rel=1e-10)
    assert found.abs_magnetization == state.abs_magnetization()
    z = 1 - 2 * ((np.arange(16)[:, None] >> np.arange(4)) & 1)
    exact = (state.to_vector() ** 2) @ (z[:, 1:] * z[:, :-1]).mean(axis=1)
    assert found.neighbours == pytest.approx(exact, abs=1e-12)
    text = lines(file)
    assert text[0] == f"{file}: matrix product state of 4 sites"
    assert "J = 1, h = 1" in text[1]
    assert f"exact {found.exact_energy:.10f}" in text[3]
    assert numbers(file)["what"] == "state"


def test_doubtful_states() -> None:
    model = pp.TFIM(sites=8, field=1.0)
    vector = pp.ground_state(model).to_vector()
    cut = pp.describe(pp.mps_from_vector(vector, model, max_bond=2))
    assert names(cut) == {"energy", "variance"}
    signs = np.where(np.arange(256) % 2, -1.0, 1.0)
    own = description(pp.mps_from_vector(vector * signs), StateDescription)
    assert names(own) == {"signs"}
    assert np.isnan(own.energy)
    assert "J =" not in description_text(own)
    (line,) = [line for line in description_text(own).splitlines() if line.startswith("energy ")]
    assert line.split() == ["energy", "-"]


# ---- an RBM


def test_an_rbm(stages: Path) -> None:
    file = stages / "rbm.nc"
    rbm = pp.load_rbm(file)
    found = description(file, RBMDescription)
    assert (found.visible, found.hidden, found.weights, found.components) == (4, 2, 8, 1)
    assert found.parameters == 14
    assert found.ranges["W"] == (rbm.weights.min(), np.median(rbm.weights), rbm.weights.max())
    assert found.ranges["|W|"][0] == np.abs(rbm.weights).min()
    assert found.weights_by_hidden.tolist() == [4, 4]
    assert found.clusters is None
    assert found.warnings == ()
    assert lines(file)[0] == f"{file}: RBM of 4 visible and 2 hidden units"
    assert "8 of 8 (100.0%); 4 to 4 per" in lines(file)[1]
    assert repr(found).startswith("RBMDescription(source=")
    assert len(repr(found)) < 150 + len(str(file))
    assert numbers(file)["what"] == "rbm"


def test_a_pruned_rbm() -> None:
    weights = np.zeros((4, 12))
    weights[0, 2:5] = 3.0  # a cluster, as p = 10 / C(12, 3) = 0.045
    weights[1, 7] = 1.0
    weights[3, [0, 11]] = 1.0
    found = rbm_of(weights, training_shots=10)
    assert found.clusters == 1
    assert (found.dead, found.lone) == ((2,), (1,))
    assert found.apart == (1, 5, 6, 8, 9, 10)
    assert names(found) == {"dead", "lone", "apart", "few"}
    weights[3, list(found.apart)] = 0.5
    joined = rbm_of(weights, training_shots=True)  # a damaged file
    assert (joined.apart, joined.components) == ((), 4)
    assert "few" not in names(joined)
    assert names(joined) == {"dead", "lone", "parts"}
    assert " 3 " in next(each.line for each in joined.warnings if each.name == "parts")
    bare = rbm_of(np.zeros((1, 2)))
    assert np.isnan(bare.ranges["W"]).all()
    assert "- to -, median -" in description_text(bare)
    json.dumps(description_numbers(bare))


def rbm_of(weights: NDArray[np.float64], **provenance: int) -> RBMDescription:
    """The description of an RBM of these weights alone."""
    hidden, visible = weights.shape
    rbm = pp.RBM(weights, np.zeros(visible), np.zeros(hidden), weights != 0, provenance)
    return description(rbm, RBMDescription)


def test_a_level_of_a_study(finished: Path) -> None:
    found = description(finished / "h=1" / "seed-0" / "level-01.nc", RBMDescription)
    assert found.weights == 8
    assert {"kl", "infidelity", "energy_roe"} <= set(found.measures)
    (line,) = [line for line in description_text(found).splitlines() if line.startswith("kl ")]
    assert line.split() == ["kl", f"{found.measures['kl']:.6g}"]


# ---- a dataset


def test_a_dataset(finished: Path) -> None:
    file = finished / "study.nc"
    found = description(file, DatasetDescription)
    assert (found.kind, found.sizes["level"], found.attributes["sites"]) == ("study", 4, 4)
    by_name = {each.name: each for each in found.variables}
    assert by_name["kl"].dimensions == ("field", "seed", "level")
    assert by_name["kl"].largest >= by_name["kl"].least >= 0
    assert by_name["field"].least == 1
    text = lines(file)
    assert text[0].startswith(f"{file}: dataset of kind 'study'")
    assert "field 2, seed 1, level 4" in text[0]
    (head,) = [line for line in text if line.startswith("variable ")]
    assert head.split() == ["variable", "dimensions", "min", "max", "missing", "units", "meaning"]
    assert numbers(file)["what"] == "dataset"


# ---- a run


@pytest.mark.parametrize(
    ("fixture", "command"),
    [
        *(("finished", "study"), ("sparse_run", "sparse"), ("ablation_run", "ablation")),
        pytest.param("paper_run", "paper", marks=pytest.mark.slow),
    ],
)
def test_finished_runs_hold_what_they_should(
    fixture: str, command: str, request: pytest.FixtureRequest
) -> None:
    """All files of NetCDF that a run wrote, and no others, so that none is forgotten here."""
    folder = request.getfixturevalue(fixture)
    before = tiny.contents(folder, but=())
    found = run_of(folder)
    assert tiny.contents(folder, but=()) == before
    assert (found.command, found.damaged, found.running) == (command, (), False)
    assert lines(folder)[0] == f"{folder}: run of psiprune {command}"
    stages = [folder]
    if command == "paper":
        assert found.missing == ("claims.json", "report.html")
        stages = [folder / name for name in ("study", "sparse", "ablation", "frontier", "size-4")]
    for stage in stages:
        own = run_of(stage)
        assert (own.missing, own.resume) == ((), "")
        assert set(own.done) == {file for file in tiny.names(stage) if file.endswith(".nc")}
    config = read_config(stages[0])
    assert contents_of(stages[0], config) is not None
    assert contents_of(stages[0], {**config, "new": 1}) is None
    del config["seed"]
    assert contents_of(stages[0], config) is None  # of a version that had no such key


@pytest.mark.usefixtures("undrawn")
def test_an_unfinished_run(finished: Path, tmp_path: Path) -> None:
    """Its folder has blanks and quotes in its name, and the command that is printed resumes it."""
    folder = shutil.copytree(finished, tmp_path / "my runs" / "it's a b")
    for file in ("study.nc", "h=2/seed-0/level-02.nc", "h=2/seed-0/level-03.nc"):
        (folder / file).unlink()
    found = run_of(folder)
    assert found.missing == ("h=2/seed-0/level-02.nc", "h=2/seed-0/level-03.nc", "study.nc")
    assert len(found.done) == 12
    words = shlex.split(found.resume)
    assert words == [
        *("psiprune", "study", "--config", str(folder / "config.toml"), "--out", str(folder))
    ]
    text = " ".join("\n".join(lines(folder)).split())
    assert "complete 12 of 15 " in text
    assert f"missing {', '.join(found.missing)} resume {found.resume} settings" in text
    assert tiny.call(*words[1:]).status == 0
    assert run_of(folder).missing == ()


def test_damaged_files_are_named(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "run")
    level = folder / "h=1" / "seed-0" / "level-01.nc"
    content = bytearray(level.read_bytes())
    content[len(content) // 2] ^= 4
    level.write_bytes(content)
    (folder / "study.nc").write_bytes((folder / "study.nc").read_bytes()[:200])
    (folder / "provenance.json").write_text("{")
    found = run_of(folder)
    names = ["h=1/seed-0/level-01.nc", "provenance.json", "study.nc"]
    assert [file for file, _ in found.damaged] == names
    check_facts(found.damaged[0][1], "truncated or damaged", "restore it", "make it again")
    assert found.missing == ()
    assert found.resume
    assert sum(line.startswith("warning: damaged: ") for line in lines(folder)) == 3
    (folder / "config.toml").write_text("sites = ")
    found = run_of(folder)
    assert found.command is None
    assert "config.toml" in [file for file, _ in found.damaged]
    assert "psiprune" not in lines(folder)[0].removeprefix(str(folder))


def test_a_run_that_is_written_to(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "run")
    with FileLock(folder / ".lock"):
        assert run_of(folder).running
        assert "not in use" not in "\n".join(lines(folder))
    assert not run_of(folder).running
    assert "not in use" in "\n".join(lines(folder))
    (folder / ".lock").unlink()
    assert not run_of(folder).running
    assert not (folder / ".lock").exists()


def test_a_path_and_an_unknown_configuration(stages: Path, tmp_path: Path) -> None:
    out = tmp_path / "path"
    files = (stages / "rbm.nc", stages / "shots.nc")
    assert tiny.call("prune", *files, "-o", out, "--levels=2", "--no-fine-tune").status == 0
    found = run_of(out)
    assert (found.command, found.missing, len(found.done)) == ("prune", (), 3)
    (out / "level-02.nc").unlink()
    assert run_of(out).missing == ("level-02.nc",)
    assert run_of(out).resume.startswith(f"psiprune prune RBM SHOTS --out {out}, with the same")
    for content in ("other = 1\n", ""):
        (out / "config.toml").write_text(content)
        found = run_of(out)
        assert (found.command, found.done, found.missing, found.resume) == (None, (), (), "")
        warnings = [line for line in lines(out) if line.startswith("warning: ")]
        assert len(warnings) == 1
        assert warnings[0].startswith("warning: damaged: config.toml: ")


def test_the_result_of_a_search_lists_its_files(observable_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(observable_run, tmp_path / "run")
    found = run_of(run)
    assert found.missing == ()
    assert set(found.done) == {
        *(file for file in tiny.names(run) if file.endswith(".nc")),
        "report.html",
    }
    lost = ("observed/seed-1-test.nc", "path/level-01.nc")
    for file in lost:
        (run / file).unlink()
    found = run_of(run)
    assert sorted(found.missing) == sorted(lost)
    assert found.resume
    (run / "reconstruct.nc").write_bytes((run / "reconstruct.nc").read_bytes()[:3000])
    found = run_of(run)
    assert found.missing == ()
    assert [file for file, _ in found.damaged] == ["reconstruct.nc"]


# ---- the command that resumes a run


@pytest.mark.parametrize(
    ("settings", "command", "file"),
    [
        (
            PathSettings(rbm="0", shots="0", until=UntilSettings(measure="kl")),
            "prune RBM SHOTS --out 'a b'",
            "smallest.nc",
        ),
        (
            RewirePathSettings(rbm="0", shots="0", rewire=RewireSettings(rounds=2)),
            "rewire RBM SHOTS --out 'a b'",
            "level-02.nc",
        ),
        (
            tiny.reconstruct_settings().for_sites(4),
            "reconstruct SHOTS --config 'a b/config.toml' --out 'a b'",
            "report.html",
        ),
    ],
)
def test_of_every_command_the_folder_is_quoted(settings: Settings, command: str, file: str) -> None:
    found = contents_of(Path("a b"), settings.model_dump(mode="json", exclude_none=True))
    assert found is not None
    assert found.command == command.split()[0]
    assert found.resume.startswith(f"psiprune {command}, with the same ")
    assert file in map(str, found.files)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_custom_observables_are_found_in_the_run(
    stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, elsewhere = tmp_path / "lab", tmp_path / "elsewhere"
    for folder in (lab, elsewhere):
        folder.mkdir()
    (lab / "obs.py").write_text(tiny.OWN)
    monkeypatch.chdir(lab)
    options = (*tiny.reconstruct_options(), "--observable", "obs.py:walls", "--out", "run")
    assert tiny.call("reconstruct", stages / "shots.nc", *options).status == 0
    before = (lab / "run/reconstruct.nc").read_bytes()
    (lab / "run/reconstruct.nc").unlink()
    monkeypatch.chdir(elsewhere)
    words = shlex.split(run_of(Path("../lab/run")).resume.partition(", with")[0])
    outcome = tiny.call(*[stages / "shots.nc" if word == "SHOTS" else word for word in words[1:]])
    assert outcome.status == 0, outcome
    assert tiny.errors(outcome) == []  # no recomputation: the copy is what the run used
    assert (lab / "run/reconstruct.nc").read_bytes() == before
    assert [file.name for file in (lab / "run/observables").glob("*.py")] == ["1-obs.py"]
