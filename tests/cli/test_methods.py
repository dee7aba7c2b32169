"""Training methods on the command line: options, files, what is printed, and warnings."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, cast, get_args, get_type_hints

import numpy as np
import pytest
from cyclopts import App
from pydantic import Field

import psiprune as pp
import tiny
from outcomes import chooser, json_of
from psiprune.cli import options as method_options
from psiprune.cli.app import Flat, chosen_method
from psiprune.experiments.named_warnings import collected_warnings, repeat_warnings_of_run
from psiprune.io.netcdf import read_dataset
from psiprune.io.run import open_run
from psiprune.rbm.init import initial_rbm
from psiprune.training.method import Method
from psiprune.training.methods import METHOD_FIELDS, METHODS, AnyMethod


def options_of(method: Method, prefix: str = "") -> list[str]:
    """The method with every field as options."""
    return [f"--{prefix}{k.replace('_', '-')}={v}" for k, v in method.model_dump().items()]


def test_prune_and_rewire_name_the_method_of_fine_tuning(stages: Path, tmp_path: Path) -> None:
    method = pp.ExactNaturalGradient(epochs=2)
    files = (stages / "rbm.nc", stages / "shots.nc", *options_of(method, "fine-tune."))
    found = json_of(tiny.call("prune", *files, "--levels=2", "-o", tmp_path / "a", "--json"))
    assert found["fine_tune"] == method.model_dump()
    assert "training_warnings" not in found  # fine-tuning is not checked
    text = tiny.call("prune", *files, "--levels=2", "-o", tmp_path / "b").out
    assert f"fine-tuning: {method}" in text.splitlines()
    files = (tmp_path / "a/level-02.nc", stages / "shots.nc", *options_of(method, "fine-tune."))
    found = json_of(tiny.call("rewire", *files, "--rounds=1", "-o", tmp_path / "c", "--json"))
    assert found["fine_tune"] == method.model_dump()
    assert "training_warnings" not in found


@pytest.mark.usefixtures("undrawn")
def test_study_records_the_methods_used(tmp_path: Path) -> None:
    options = [each for each in tiny.options() if not each.startswith(("--train.", "--fine-tune."))]
    command: tuple[object, ...] = ("study", *options, "--fields=1", "--train.method=auto")
    command = (*command, "--train.epochs=2", "--fine-tune.epochs=3", "--out", tmp_path / "run")
    methods = {
        "train": pp.ExactNaturalGradient(epochs=2),
        "fine_tune": pp.CD.for_fine_tuning(epochs=3),
    }
    found = json_of(tiny.call(*command, "--json"))
    dumped = {name: method.model_dump() for name, method in methods.items()}
    assert found["methods"] == dumped
    assert isinstance(found["training_warnings"], list)
    lines = tiny.call(*command).out.splitlines()
    assert {f"{name}: {method}" for name, method in methods.items()} <= set(lines)
    config = tomllib.loads((tmp_path / "run/config.toml").read_text())
    assert {name: config[name] for name in methods} == dumped
    dataset = read_dataset(tmp_path / "run/study.nc", "study")
    assert {name: dataset.attrs[name] for name in methods} == {
        name: str(method) for name, method in methods.items()
    }
    file = tmp_path / "run/config.toml"
    tiny.call("study", "--config", file, "--out", tmp_path / "run")  # resumes


def test_sweep_records_the_methods_used(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        "[study]\nsites = 4\nhidden = 2\nfields = [1.0]\nshots = 300\nprune.levels = 1\n"
        "measure.draws = 200\ntrain = 'exact'\n"
        "[[grid]]\nproduct.'train.epochs' = [2, 3]\nproduct.'fine_tune.epochs' = [1]\n"
    )
    command = ("sweep", file, "--out", tmp_path / "run", "--scheduler=serial")
    tuning = pp.CD.for_fine_tuning(epochs=1)
    found = json_of(tiny.call(*command, "--json"))
    assert found["methods"] == {
        "train": [pp.ExactNaturalGradient(epochs=n).model_dump() for n in (2, 3)],
        "fine_tune": [tuning.model_dump()],
    }
    assert isinstance(found["training_warnings"], list)
    lines = tiny.call(*command).out.splitlines()
    assert f"fine_tune: {tuning}" in lines
    assert any(line.startswith("train: ") and "train_" in line for line in lines)


class Dummy(pp.CD):
    """A method that is not psiprune's."""

    method: Literal["dummy"] = "dummy"  # type: ignore[assignment]
    its_field: float = Field(default=0.5, description="a field of its own")

    SUMMARY: ClassVar[str] = "the fifth method"


def test_the_command_line_follows_the_list_of_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cast("dict[str, type[Method]]", METHODS), "dummy", Dummy)
    monkeypatch.setattr(method_options, "METHOD_FIELDS", (*METHOD_FIELDS, "its_field"))
    monkeypatch.setattr(
        method_options, "_method_options", method_options._method_options.__wrapped__
    )

    def command(*, method: Annotated[AnyMethod | None, Flat] = None) -> Method:
        return chosen_method(method)

    command.__annotations__ = get_type_hints(command, include_extras=True)
    cli = App()
    cli.default(method_options.with_method_options(command))
    parsed, bound, _ = cli.parse_args("--method dummy --its-field 3 --steps 2", exit_on_error=False)
    assert parsed(*bound.args, **bound.kwargs) == Dummy(its_field=3, steps=2)
    fields = method_options._method_options(False).model_fields
    assert get_args(get_args(fields["method"].annotation)[0]) == tuple(METHODS)
    assert "dummy: the fifth method" in str(fields["method"].description)
    assert fields["its_field"].description == "a field of its own (dummy: 0.5)"


# ---- configuration files


def test_tables_and_names_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = chooser(monkeypatch, "study")
    file = tmp_path / "mine.toml"
    for text, options, train in (
        ("train = 'exact'\n", (), pp.ExactNaturalGradient()),
        ("train = 'exact'\n", ("--train.epochs=9",), pp.ExactNaturalGradient(epochs=9)),
        ("train = 'exact'\n", ("--train.method=cd",), pp.CD()),
        ("[train]\nmethod = 'pcd'\nsteps = 2\n", (), pp.PCD(steps=2)),
        ("[train]\nmethod = 'pcd'\nsteps = 2\n", ("--train.epochs=9",), pp.PCD(steps=2, epochs=9)),
        (
            "[train]\nmethod = 'pcd'\nsteps = 2\n",
            ("--train.method=pcd", "--train.epochs=9"),
            pp.PCD(steps=2, epochs=9),
        ),
        ("[train]\nmethod = 'pcd'\nsteps = 2\n", ("--train.method=natural",), pp.NaturalGradient()),
        ("[train]\nmethod = 'auto'\n", ("--train.epochs=9",), pp.ExactNaturalGradient(epochs=9)),
        ("sites = 50\n[train]\nmethod = 'auto'\n", (), pp.NaturalGradient()),
        ("[train]\nsteps = 2\n", (), pp.CD(steps=2)),
    ):
        file.write_text(text)
        found = chosen("--config", file, *options)
        assert found.for_size().train == train, (text, options)


def test_the_config_of_a_run_can_be_given_another_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = chooser(monkeypatch, "study")
    settings = pp.StudySettings(train=pp.CD(epochs=3, momentum=0.5), fine_tune=pp.PCD(epochs=2))
    with open_run(tmp_path / "run", settings) as folder:
        config = folder / "config.toml"
    table = tomllib.loads(config.read_text())
    assert table["train"] == settings.train.model_dump()
    assert table["fine_tune"] == settings.fine_tune.model_dump()
    assert chosen("--config", config) == settings
    found = chosen("--config", config, "--train.method=exact", "--train.epochs=7")
    assert found.train == pp.ExactNaturalGradient(epochs=7)
    assert found.fine_tune == settings.fine_tune
    found = chosen("--config", config, "--fine-tune.method=exact")
    assert found.fine_tune == pp.ExactNaturalGradient.for_fine_tuning()


def test_naming_a_method_selects_its_own_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file, in Python and on the command line, as a name and in a table."""
    chosen = chooser(monkeypatch, "frontier")
    file = tmp_path / "mine.toml"
    kind, default = pp.ExactNaturalGradient, pp.FrontierSettings().train
    assert default == kind(epochs=100, weight_decay=0.0)
    tuning = kind(epochs=20, weight_decay=0.0)
    for table, train, fine_tune in (
        ("'exact'", kind(), kind.for_fine_tuning()),
        ("{method = 'exact'}", kind(), kind.for_fine_tuning()),
        ("{method = 'exact', epochs = 7}", kind(epochs=7), kind.for_fine_tuning(epochs=7)),
        ("{epochs = 7}", kind(epochs=7, weight_decay=0.0), kind(epochs=7, weight_decay=0.0)),
        ("{}", default, tuning),
    ):
        text = f"train = {table}\nfine_tune = {table}\n"
        file.write_text(text)
        values = tomllib.loads(text)
        given = values["train"] if isinstance(values["train"], dict) else {"method": "exact"}
        flags = [f"--{of}.{k}={v}" for of in ("train", "fine-tune") for k, v in given.items()]
        expected = pp.FrontierSettings(train=train, fine_tune=fine_tune)
        assert pp.FrontierSettings(**values) == expected
        for arguments in (("--config", file), flags):
            assert chosen(*arguments) == expected, (table, arguments)


# ---- warnings


def test_a_bad_training_is_warned_of_on_stderr_and_in_json(tmp_path: Path) -> None:
    bits = np.repeat([[0] * 6, [1] * 6], 500, axis=0).astype(np.uint8)
    shots = pp.Shots(bits).save(tmp_path / "ghz.nc")
    command = ("train", shots, "--method=cd", "--epochs=5", "--json")
    bad = tiny.call(*command, "--out", tmp_path / "bad.nc")
    found = json_of(bad)
    first, *lines = bad.err.splitlines()
    assert first.startswith("psiprune: note: cd (contrastive divergence")
    assert [f"psiprune: warning: {text}" for text in found["training_warnings"]] == lines
    assert any("symmetric pair" in line for line in lines)
    # The exit status is 0 and the file is written: the warning is advice.
    assert (tmp_path / "bad.nc").exists()
    good = tiny.call("train", shots, "--json", "--out", tmp_path / "good.nc")
    assert json_of(good)["training_warnings"] == []
    assert [line[:15] for line in good.err.splitlines()] == ["psiprune: note:"]


@pytest.mark.usefixtures("undrawn")
def test_warnings_of_a_study_name_field_and_seed(tmp_path: Path) -> None:
    """Training that spoils the RBM."""
    options = ["--sites=4", "--hidden=2", "--fields=1", "--shots=300", "--prune.levels=1"]
    options += ["--measure.draws=200", "--train.epochs=2", "--train.learning-rate=20"]
    options += ["--fine-tune.epochs=0", "--seeds=2", "--train.batch-size=50"]
    outcome = tiny.call("study", *options, "--out", tmp_path / "study", "--json")
    found = json_of(outcome)["training_warnings"]
    assert {text.split(":")[0] for text in found} == {"h=1, seed 0", "h=1, seed 1"}
    again = tiny.call("study", *options, "--out", tmp_path / "study", "--json")
    assert sorted(json_of(again)["training_warnings"]) == sorted(found)
    assert sorted(again.err.splitlines()) == sorted(f"psiprune: warning: {text}" for text in found)
    file = tmp_path / "study/h=1/seed-0/level-00.nc"
    described = tiny.call("info", file).out
    for text in found:
        name, problem = text.split(": ", 1)
        assert (f"warning: training: {problem}" in described) == (name == "h=1, seed 0")
    assert "training_warnings" not in described
    known = json_of(tiny.call("info", file, "--json"))["warnings"]
    assert [each["line"] for each in known if each["name"] == "training"] == [
        text.split(": ", 1)[1] for text in found if text.startswith("h=1, seed 0: ")
    ]


#: Training that spoils a small RBM.
SPOILED = ("--train.epochs=2", "--train.learning-rate=20", "--train.batch-size=50")
SMALL = ("--sites=6", "--hidden=3", "--fields=1", "--shots=300", "--seeds=2", "--measure.draws=200")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "options"),
    [
        ("sparse", ("--levels=2", "--fine-tune.epochs=0")),
        ("ablation", ("--levels=2", "--fine-tune.epochs=0", "--shares", "0", "1", "--threshold=1")),
        (
            "frontier",
            (
                *("--levels=2", "--paper-train.epochs=2", "--paper-train.learning-rate=20"),
                *("--paper-fine-tune.epochs=0", "--bonds=1", "--fine-tune.epochs=1"),
                *("--rewired=1", "--costly-seeds=1", "--widths=4", "--train.epochs=1"),
            ),
        ),
        ("reconstruct", tiny.reconstruct_options(**{"learning-rates": 20, "held-out": 0.5})),
    ],
)
def test_warnings_of_an_experiment_are_repeated(
    stages: Path, tmp_path: Path, experiment: str, options: tuple[str, ...]
) -> None:
    """By the same command, and of an ensemble from its files alone."""
    base = (*SMALL, *(() if experiment == "frontier" else SPOILED))
    given = (stages / "shots.nc",) if experiment == "reconstruct" else base
    command = (experiment, *given, *options, "--out", tmp_path / "run", "--json")
    found = json_of(tiny.call(*command))["training_warnings"]
    assert found
    assert sorted(json_of(tiny.call(*command))["training_warnings"]) == sorted(found)
    if experiment != "reconstruct":
        with collected_warnings() as texts:
            repeat_warnings_of_run(tmp_path / "run")
        assert {*texts} == {*found}  # the command line shows each text once


@pytest.mark.parametrize(
    "scheduler", [pytest.param((), marks=pytest.mark.slow), ("--scheduler=serial",)]
)
def test_warnings_of_a_sweep_name_field_and_seed(scheduler: tuple[str], tmp_path: Path) -> None:
    """In this process, and from the workers."""
    file = tmp_path / "mine.toml"
    file.write_text(
        "[study]\nsites = 4\nhidden = 2\nfields = [1.0]\nshots = 300\nseeds = 2\n"
        "prune.levels = 1\nmeasure.draws = 200\nfine_tune.epochs = 0\n"
        "train = {epochs = 2, learning_rate = 20.0, batch_size = 50}\n[local]\nworkers = 1\n"
    )
    outcome = tiny.call("sweep", file, *scheduler, "--out", tmp_path / "sweep", "--json")
    found = json_of(outcome)["training_warnings"]
    names = {text.split(":")[0] for text in found}
    assert names == {f"4 sites, h = 1, seed {seed}" for seed in (0, 1)}
    again = tiny.call("sweep", file, *scheduler, "--out", tmp_path / "sweep", "--json")
    assert sorted(json_of(again)["training_warnings"]) == sorted(found)
    assert ".py:" not in outcome.err


# ---- warnings repeated from the files of a finished run


def test_each_file_is_named_as_its_training_was(tmp_path: Path) -> None:
    rbm, warned = initial_rbm(4, 2, 0), {"training_warnings": "misses it; train longer\nfrozen"}
    for name, provenance in (
        ("h=0.5/seed-0/level-00", warned),
        ("h=0.5/seed-0/level-01", warned),  # not fine-tuned, so with the provenance of level 0
        ("h=0.5/seed-0/sp-ss", {}),
        ("h=1/seed-12/dense", {"training_warnings": "frozen"}),
        ("h=1/seed-12/sp-ss", {"training_warnings": "frozen"}),
    ):
        file = tmp_path / f"{name}.nc"
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(rbm, provenance=provenance).save(file)
    # What is finished needs a damaged file no more.
    (tmp_path / "h=1/seed-12/damaged.nc").write_bytes(b"nothing")
    with collected_warnings() as texts:
        repeat_warnings_of_run(tmp_path)
    assert texts == [
        "h=0.5, seed 0: misses it; train longer",
        "h=0.5, seed 0: frozen",
        "h=1, seed 12: frozen",
        "h=1, seed 12, sp-ss: frozen",
    ]
    (line,) = (each.line for each in pp.describe(file).warnings if each.name == "training")  # type: ignore[union-attr]
    assert line == "frozen"
