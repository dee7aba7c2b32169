"""From shots to the smallest RBM: split, choice, search, checks, report, and resuming."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from markupsafe import escape
from matplotlib.figure import Figure

import psiprune as pp
import tiny
from psiprune.core.exceptions import DivergenceError, InputError
from psiprune.data.shots import Shots, read_shots
from psiprune.inspect.descriptions import RunDescription
from psiprune.io.netcdf import read_dataset
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.metrics.agreement import drift
from psiprune.metrics.equivalence import likelihood_band, losses_from
from psiprune.pruning.settings import SearchSettings
from psiprune.rbm.serialization import load_rbm
from psiprune.reconstruction.checks import Check, checks, resolution
from psiprune.reconstruction.custom_code import save_code
from psiprune.reconstruction.dataset import SUFFIXES, check_observable_names, learning_rate_of
from psiprune.reconstruction.inputs import MIN_SHOTS, split_shots
from psiprune.reconstruction.pipeline import run_reconstruct
from psiprune.reconstruction.report import reconstruct_report
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.reconstruction.summary import (
    methods_text,
    reconstruct_numbers,
    reconstruct_text,
    summarize,
)
from psiprune.reporting.page import Provenance
from refusals import refuses


@pytest.fixture(scope="module")
def shots(stages: Path) -> Shots:
    """300 shots of 4 sites."""
    return read_shots(stages / "shots.nc")


@pytest.fixture(scope="module")
def done(shots: Shots, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pp.Reconstruction]:
    """A finished tiny run with an observable of its own, and what it returned."""
    folder = tmp_path_factory.mktemp("reconstruct")
    (folder / "mine.py").write_text(tiny.OWN)
    settings = tiny.reconstruct_settings(observable=(f"{folder / 'mine.py'}:walls",))
    return folder, pp.reconstruct(shots, folder / "run", settings=settings)


@pytest.fixture
def run(done: tuple[Path, pp.Reconstruction], tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    return Path(shutil.copytree(done[0] / "run", tmp_path / "run"))


def test_info_knows_such_a_run(run: Path) -> None:
    found = pp.describe(run)
    assert isinstance(found, RunDescription)
    assert (found.command, found.missing, found.resume) == ("reconstruct", (), "")
    (run / "ensemble" / "seed-1.nc").unlink()
    found = pp.describe(run)
    assert isinstance(found, RunDescription)
    assert found.missing == ("ensemble/seed-1.nc",)
    assert found.resume.startswith(f"psiprune reconstruct SHOTS --config {run}/config.toml")


# ---- the split


def test_the_parts_are_those_asked_for_and_at_random() -> None:
    bits = (np.arange(1000)[:, None] >> np.arange(10)) & 1
    parts = split_shots(Shots(bits.astype(np.uint8)), 0.2, seed=3)
    assert [len(part) for part in parts[:3]] == [800, 100, 100]
    rows = [{tuple(row) for row in part.bits.tolist()} for part in parts[:3]]
    assert len(set.union(*rows)) == 1000  # each shot in one part
    assert (parts.part[:100] == 2).any()
    again = split_shots(Shots(bits.astype(np.uint8)), 0.2, seed=3)
    other = split_shots(Shots(bits.astype(np.uint8)), 0.2, seed=4)
    np.testing.assert_array_equal(again.part, parts.part)
    assert (other.part != parts.part).any()


@pytest.mark.parametrize(
    ("number", "held_out", "left", "part"),
    [(250, 0.2, 25, "validation"), (100, 0.8, 20, "training"), (2, 0.5, 1, "training")],
)
def test_too_few_shots(number: int, held_out: float, left: int, part: str) -> None:
    with refuses("array", f"{number} shots", f"{left} for {part}", held_out, MIN_SHOTS):
        split_shots(Shots(np.zeros((number, 3), np.uint8)), held_out, 0)
    split_shots(Shots(np.zeros((5 * MIN_SHOTS, 3), np.uint8)), 0.4, 0)


# ---- a run


def test_what_a_run_holds(done: tuple[Path, pp.Reconstruction], shots: Shots) -> None:
    folder, found = done
    names = tiny.names(folder / "run")
    trials = found.dataset["trial_name"].values.tolist()
    assert trials[0] == "level-00"
    assert f"{found.dataset.attrs['weights']} of 8 weights" in repr(found)
    assert "\n" not in repr(found)
    figures = ("choice", "search", "observables")
    assert names == {
        *("config.toml", "provenance.json", "split.nc", "smallest.nc", "reconstruct.nc"),
        *("report.html", "estimate.json", "observables/1-mine.py", "choice/hidden-2-rate-0.5.nc"),
        *("ensemble/seed-0.nc", "ensemble/seed-1.nc"),
        *(f"path/{name}.nc" for name in trials),
        *(f"observed/smallest-{name}.nc" for name in ("pairs", "standing", "test")),
        *("observed/seed-0-test.nc", "observed/seed-1-test.nc"),
        *(f"figures/{name}.{suffix}" for name in figures for suffix in ("svg", "png")),
    }
    parts = split_shots(shots, 0.4, 0)
    training = pp.CD(epochs=3, batch_size=20, learning_rate=0.5)
    for seed in (0, 1):
        expected = pp.train(parts.training, hidden=2, seed=seed, method=training)
        made = load_rbm(folder / f"run/ensemble/seed-{seed}.nc")
        np.testing.assert_array_equal(made.weights, expected.weights)


def test_the_numbers_are_those_of_the_test_shots(
    done: tuple[Path, pp.Reconstruction], shots: Shots
) -> None:
    folder, found = done
    dataset = found.dataset
    parts = split_shots(shots, 0.4, 0)
    members = [load_rbm(folder / f"run/ensemble/seed-{seed}.nc") for seed in (0, 1)]
    parent = members[dataset.attrs["parent_seed"]]
    for part, loss, allowed in (
        (parts.test, dataset["test_loss"], dataset["test_allowed"]),
        (
            parts.validation,
            dataset["trial_loss"][dataset["trial_smallest"].values][0],
            dataset["trial_allowed"][dataset["trial_smallest"].values][0],
        ),
    ):
        each = [member.log_prob(part).mean() for member in members]
        expected = np.mean(each) - found.rbm.log_prob(part).mean()
        assert float(loss) == pytest.approx(expected, abs=1e-12)
        losses = losses_from(parent, part, draws=200, seed=0)
        assert float(allowed) == likelihood_band(members, losses, 0.05, 0)(found.rbm).allowed
    report = evaluate_on_shots(found.rbm, parts.test, draws=200)
    assert float(dataset["abs_magnetization"]) == report.abs_magnetization.value
    assert float(dataset["abs_magnetization_shots"]) == report.abs_magnetization.shots_value
    walls = (parts.test.bits[:, 1:] != parts.test.bits[:, :-1]).sum(axis=1)
    assert float(dataset["walls_shots"]) == pytest.approx(walls.mean())
    assert dataset["walls_dense"].dims == ("seed",)


def test_the_smallest_is_within_the_band_and_one_less_is_not(
    done: tuple[Path, pp.Reconstruction],
) -> None:
    dataset = done[1].dataset
    share = dict(zip(dataset["trial_weights"].values, dataset["trial_share"].values, strict=True))
    assert share[dataset.attrs["weights"]] <= 1
    assert done[1].rbm.number_of_weights == dataset.attrs["weights"]
    if dataset.attrs["fewer"] >= 0:
        assert dataset.attrs["fewer"] == dataset.attrs["weights"] - 1
        assert share[dataset.attrs["fewer"]] > 1


@pytest.mark.parametrize(
    "gone",
    [
        ("ensemble", "path", "smallest.nc", "report.html", "figures"),
        ("choice", "ensemble", "path", "observed", "split.nc", "reconstruct.nc"),
    ],
)
def test_a_resumed_run_gives_the_same_bits(
    done: tuple[Path, pp.Reconstruction], run: Path, shots: Shots, gone: tuple[str, ...]
) -> None:
    before = {name: data for name, (data, _) in tiny.contents(run).items()}
    for name in gone:
        (shutil.rmtree if (run / name).is_dir() else Path.unlink)(run / name)
    place = f"{done[0] / 'mine.py'}:walls"
    settings = tiny.reconstruct_settings(observable=(place,))
    again: Any = pp.reconstruct if "figures" in gone else run_reconstruct
    again(**{"shots": shots, "folder": run, "settings": settings})
    assert {name: data for name, (data, _) in tiny.contents(run).items()} == before


def test_a_folder_of_other_shots_or_settings_is_refused(
    done: tuple[Path, pp.Reconstruction], run: Path, shots: Shots
) -> None:
    place = f"{done[0] / 'mine.py'}:walls"
    settings = tiny.reconstruct_settings(observable=(place,))
    before = tiny.contents(run)
    with refuses(run / "config.toml", "shots_sha256"):
        run_reconstruct(settings, shots.bits[::-1], run)
    with refuses(run / "config.toml", "seeds = 2", 3):
        run_reconstruct(settings.model_copy(update={"seeds": 3}), shots, run)
    with refuses("shots.nc", "shots_sha256", "000000000000..."):
        run_reconstruct(settings.model_copy(update={"shots_sha256": "0" * 64}), shots, run)
    assert tiny.contents(run) == before
    (run / "path/level-00.nc").write_bytes(b"")
    with refuses("level-00.nc", "empty"):
        run_reconstruct(settings, shots, run)


@pytest.mark.parametrize("measure", ["log_likelihood", "walls"])
def test_only_results_of_changed_code_are_recomputed(
    shots: Shots, tmp_path: Path, caplog: pytest.LogCaptureFixture, measure: str
) -> None:
    file, run = tmp_path / "mine.py", tmp_path / "run"
    settings = tiny.reconstruct_settings(observable=(f"{file}:walls",), measure=measure)
    file.write_text(tiny.OWN)
    run_reconstruct(settings, shots, run)
    before = tiny.contents(run)
    run_reconstruct(settings, shots, run)
    assert caplog.text == ""
    file.write_text(tiny.OWN.replace("!=", "=="))
    found = run_reconstruct(settings, shots, run)
    (record,) = caplog.records
    assert str(run) in record.getMessage()
    assert (run / "observables/1-mine.py").read_text() == file.read_text()
    test = split_shots(shots, 0.4, 0).test.bits
    assert float(found["walls_shots"]) == pytest.approx((test[:, 1:] == test[:, :-1]).sum() / 60)
    after = tiny.contents(run)
    kept = ("choice", "ensemble", *(() if measure == "walls" else ("path",)))
    for name in before:
        if name.startswith(kept):
            assert after[name] == before[name]
    made_new = [name for name in after if name.startswith(("path", "observed"))]
    assert any(after[name][1] != before.get(name, (b"", 0))[1] for name in made_new)
    fresh = run_reconstruct(settings, shots, tmp_path / "fresh")
    xr.testing.assert_identical(found, fresh)


def test_copies_of_code_are_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal file names get numbers; a full disk is reported with the name of the copy."""
    places = []
    for folder, sign in (("a", "!="), ("b", "==")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(
            tiny.OWN.replace("walls", f"walls_{folder}").replace("!=", sign)
        )
        places.append(f"{tmp_path / folder / 'mine.py'}:walls_{folder}")
    run = tmp_path / "run"
    (run / "observed").mkdir(parents=True)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("psiprune.io.netcdf.os.fsync", full)
        with pytest.raises(OSError, match="No space") as caught:
            save_code(run, places, ends_search=False)
    assert caught.value.filename == str(run / "observables/1-mine.py")
    assert list((run / "observables").iterdir()) == []
    save_code(run, places, ends_search=False)
    copies = [(run / f"observables/{k}-mine.py").read_text() for k in (1, 2)]
    assert copies == [Path(place.rpartition(":")[0]).read_text() for place in places]
    (run / "observables/2-mine.py").write_text(copies[1][:-9])  # as a kill of an older one left it
    (run / "observed/some.nc").touch()
    save_code(run, places, ends_search=False)
    assert (run / "observables/2-mine.py").read_text() == copies[1]
    assert not (run / "observed/some.nc").exists()


def test_an_observable_that_would_fail_late_fails_before_training(
    shots: Shots, tmp_path: Path
) -> None:
    def one_size(bits: Any) -> Any:
        assert len(bits) == 60, "of another size"
        return bits[:, 0]

    with refuses("observable 'mine'", "AssertionError", "of another size"):
        run_reconstruct(tiny.reconstruct_settings(), shots, tmp_path / "run", {"mine": one_size})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("names", "variable", "user"),
    [
        (["magnetization_error"], "magnetization_error", "magnetization"),
        (["magnetization_shots"], "magnetization_shots", "magnetization"),
        (["log_likelihood_gain_error"], "log_likelihood_gain_error", "log_likelihood_gain"),
        (["good", "good_error"], "good_error", "good"),
        (["good_error", "good"], "good_error", "good_error"),
        (["good", "good_shots_error"], "good_shots_error", "good"),
        (["log_likelihood"], "log_likelihood", ""),
        *(
            ([name], name, "")
            for name in (
                *("test", "warning", "test_loss", "trial_weights", "trial", "candidate_loss"),
                *("distance", "candidate", "seed"),
            )
        ),
    ],
)
def test_observables_whose_variables_would_collide(
    shots: Shots, tmp_path: Path, names: list[str], variable: str, user: str
) -> None:
    custom: dict[str, Any] = dict.fromkeys(names, len)
    with pytest.raises(InputError, match="observables: ") as caught:
        run_reconstruct(tiny.reconstruct_settings(), shots, tmp_path / "run", custom)
    for name in (names[-1], variable, *([user] if user else [])):
        assert repr(name) in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_every_variable_of_a_run_is_refused_as_a_name(
    done: tuple[Path, pp.Reconstruction],
) -> None:
    dataset = done[1].dataset
    taken = {str(name) for name in (*dataset.variables, *dataset.dims)}
    mine = {name for name in taken if name.startswith("walls")}
    assert mine == {f"walls{suffix}" for suffix in SUFFIXES}
    for name in (taken - mine) | {"warning"}:
        with refuses("observables", f"'{name}'"):
            check_observable_names({name: len})
    check_observable_names({"walls": len, "errors": len, "my_trial": len, "drifting": len})


@pytest.mark.parametrize("measure", ["abs_magnetization", "correlation", "first"])
def test_an_observable_ends_the_search(
    shots: Shots, observable_run: Path, tmp_path: Path, measure: str
) -> None:
    own: dict[str, Any] = {"first": tiny.first}
    run = observable_run if measure == "abs_magnetization" else tmp_path / "run"
    if run == observable_run:
        found = read_dataset(run / "reconstruct.nc", "reconstruct")
    else:
        found = run_reconstruct(tiny.reconstruct_settings(measure=measure), shots, run, own)
    parts = split_shots(shots, 0.4, 0)
    dense = [
        evaluate_on_shots(load_rbm(file), parts.test, draws=200, observables=own)
        for file in sorted((run / "ensemble").iterdir())
    ]
    smallest = load_rbm(run / "smallest.nc")
    here = evaluate_on_shots(smallest, parts.test, draws=200, observables=own)
    apart = np.abs(
        here.comparison(measure).value
        - np.mean([each.comparison(measure).value for each in dense], axis=0)
    )
    assert float(found["test_loss"]) in [pytest.approx(x) for x in np.atleast_1d(apart)]
    assert np.isnan(resolution(found))
    # One observable may stay while the rest goes, so the loss of likelihood is looked at as well.
    members = [load_rbm(file) for file in sorted((run / "ensemble").iterdir())]
    log_p = np.mean([member.log_prob(parts.test) for member in members], axis=0)
    lost = float((log_p - smallest.log_prob(parts.test)).mean())
    assert float(found["likelihood_loss"]) == pytest.approx(lost)
    for loss, error, fails in ((0.01, 0.02, False), (0.01, 0.03, True), (0.06, 0.001, True)):
        failed = changed(found, likelihood_loss=loss, likelihood_error=error)
        assert ("likelihood" in failed) == fails


def test_diverging_learning_rates_are_skipped(shots: Shots, tmp_path: Path) -> None:
    train = pp.CD(epochs=3, batch_size=20, weight_decay=1e30)
    with pytest.raises(DivergenceError, match=r"learning_rate = 0\.5 "):
        run_reconstruct(tiny.reconstruct_settings(train=train), shots, tmp_path / "all")
    train = pp.CD(epochs=3, batch_size=20, weight_decay=1e4)
    settings = tiny.reconstruct_settings(train=train, learning_rates=(1e-6, 1000.0))
    found = run_reconstruct(settings, shots, tmp_path / "one")
    assert found["candidate_learning_rate"].values.tolist() == [1e-6]


def test_settings_that_would_not_be_used_are_refused(shots: Shots, tmp_path: Path) -> None:
    table: Any = {"method": "cd", "learning_rate": 0.2}
    exact: Any = "exact"
    with refuses("learning_rates", (0.3,), "train.learning_rate = 0.2"):
        ReconstructSettings(learning_rates=(0.3,), train=table)
    with refuses("learning_rates", "'exact'", "cd or pcd"):
        ReconstructSettings(learning_rates=(0.3,), train=exact)
    with refuses("learning_rates", "'exact'", "cd or pcd"):
        pp.reconstruct(shots, tmp_path / "new", learning_rates=(0.3,))
    assert not (tmp_path / "new").exists()
    with pytest.raises(TypeError, match="hiden"):
        pp.reconstruct(shots, tmp_path / "new", hiden=(2,))  # type: ignore[call-arg]


def test_resolved_settings_hold_what_is_used(shots: Shots) -> None:
    exact = ReconstructSettings().for_sites(18)
    assert exact.learning_rates is None
    assert exact.train == pp.ExactNaturalGradient()
    assert exact.fine_tune == pp.ExactNaturalGradient.for_fine_tuning()
    for settings, sites in (
        (ReconstructSettings(train=pp.CD(), learning_rates=(0.05, 0.2)), 6),
        (ReconstructSettings(train=pp.PCD(learning_rate=0.2)), 6),
        (ReconstructSettings(), 50),  # exact for 12 hidden units, natural for the others
        (ReconstructSettings(), 300),  # pcd for the largest numbers of hidden units
    ):
        resolved = settings.for_sites(sites)
        assert resolved.candidates(sites) == settings.candidates(sites)
        again = ReconstructSettings(**resolved.model_dump(mode="json", exclude_none=True))
        assert again.for_sites(sites).model_dump() == resolved.model_dump()


def test_methods_used_are_recorded(done: tuple[Path, pp.Reconstruction]) -> None:
    folder, made = done
    train = pp.CD(epochs=3, batch_size=20, learning_rate=0.5)
    tuning = pp.CD.for_fine_tuning(epochs=1)
    found = reconstruct_numbers(made.dataset)
    assert found["methods"] == {"train": train.model_dump(), "fine_tune": tuning.model_dump()}
    assert methods_text(made.dataset) == f"train: {train}\nfine_tune: {tuning}"
    config = tomllib.loads((folder / "run/config.toml").read_text())
    assert config["train"] == train.model_dump()
    assert config["learning_rates"] == [0.5]
    assert f"{made.dataset.attrs['weights']} of " in made.verdict


def test_without_a_folder(shots: Shots, done: tuple[Path, pp.Reconstruction]) -> None:
    made = pp.reconstruct(shots, settings=tiny.reconstruct_settings(), draws=200)
    assert made.report.is_file()
    np.testing.assert_array_equal(made.rbm.weights, done[1].rbm.weights)
    shutil.rmtree(made.report.parent)


def test_an_argument_changes_no_other_setting(
    shots: Shots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ReconstructSettings] = []
    monkeypatch.setattr(
        "psiprune.reconstruction.api.reconstruct_and_report",
        lambda data, run, chosen, observables, reading, begin: seen.append(chosen),
    )
    # Values equal to the defaults of training, which are not those of fine-tuning.
    settings = ReconstructSettings(fine_tune=pp.ExactNaturalGradient(), seeds=3)
    pp.reconstruct(shots, tmp_path / "run", settings=settings, seed=4)
    assert seen == [settings.model_copy(update={"seed": 4})]


def test_candidates() -> None:
    def rates(**changes: Any) -> list[tuple[int, float]]:
        settings = ReconstructSettings(**changes)
        return [(hidden, learning_rate_of(each)) for hidden, each in settings.candidates(18)]

    assert rates(train="cd") == [(n, rate) for n in (4, 9, 18) for rate in (0.03, 0.1, 0.3)]
    table = {"method": "cd", "learning_rate": 0.2}
    assert rates(hidden=(7,), train=table) == [(7, 0.2)]
    assert rates(hidden=(7,), learning_rates=(0.2, 0.3), train=table) == [(7, 0.2), (7, 0.3)]
    assert [hidden for hidden, _ in rates()] == [4, 9, 18]
    assert {each.method for _, each in ReconstructSettings().candidates(18)} == {"exact"}
    large = ReconstructSettings().candidates(50)
    assert [(n, each.method) for n, each in large] == [
        (12, "exact"),
        (25, "natural"),
        (50, "natural"),
    ]
    assert ReconstructSettings().units_for(1) == (1,)
    search = ReconstructSettings(prune=SearchSettings(fraction=0.2)).prune
    assert (search.criterion, search.levels) == ("surgeon", 1000)


# ---- the checks


#: The checks in order.
ORDER = (
    *("loss", "likelihood", "observables", "pairs", "drift", "product", "parameters", "warnings"),
)


def check_of(found: xr.Dataset, key: str) -> Check:
    return dict(zip(ORDER, checks(found), strict=True))[key]


def changed(found: xr.Dataset, **values: Any) -> list[str]:
    """The checks that fail when some numbers are others."""
    attrs = {name: value for name, value in values.items() if name in found.attrs}
    rest = {name: value for name, value in values.items() if name not in attrs}
    made = found.assign(rest).assign_attrs(attrs)
    return [key for key, each in zip(ORDER, checks(made), strict=True) if not each.passed]


def sound(found: xr.Dataset) -> dict[str, Any]:
    """Numbers with which every check passes, beside an empty attribute `warnings`."""
    return {
        "test_loss": 0.0,
        "trial_allowed": ("trial", np.full(found.sizes["trial"], 0.01)),
        "test_error": 0.001,
        "magnetization_sigmas": 0.0,
        "abs_magnetization_sigmas": 0.0,
        "neighbours_sigmas": 0.0,
        "walls_sigmas": 0.0,
        "correlation_sigmas": ("distance", np.zeros(3)),
        "pairs_sigmas": 0.0,
        "drift_sigmas": 0.0,
        "log_likelihood_gain": 1.0,
    }


def test_every_check_can_fail(done: tuple[Path, pp.Reconstruction]) -> None:
    found = done[1].dataset
    good = {**sound(found), "warnings": ""}
    assert changed(found, **good) == []
    assert changed(found, **{**good, "test_loss": 0.0123}) == []  # 0.01 + 2.33 errors
    for change, name in (
        ({"test_loss": 0.0124}, "loss"),
        ({"test_loss": np.nan}, "loss"),
        ({"test_error": 0.1}, "likelihood"),
        ({"walls_sigmas": -4.0}, "observables"),
        (
            {"correlation_sigmas": ("distance", np.array([0, 0, 4.0]))},
            "observables",
        ),
        ({"pairs_sigmas": 9.0}, "pairs"),
        ({"drift_sigmas": 9.0}, "drift"),
        (
            {"log_likelihood_gain": -1.0, "log_likelihood_gain_error": 0.1},
            "product",
        ),
        ({"dense_parameters": 10_000}, "parameters"),
        ({"warnings": "rests on sand"}, "warnings"),
    ):
        assert changed(found, **{**good, **change}) == [name]


def test_every_check_is_on_the_page(done: tuple[Path, pp.Reconstruction]) -> None:
    page = (Path(__file__).parents[2] / "docs/reconstruct.md").read_text()
    table = page[page.index("| check | fails if |") :].split("\n\n")[0].splitlines()[2:]
    names = [row.split(" | ")[0].removeprefix("| ") for row in table]
    by_observable = done[1].dataset.assign(likelihood_loss=0.0, likelihood_error=0.1)
    other = checks(by_observable.assign_attrs(measure="walls"))[1].name
    expected = [each.name for each in done[1].checks]
    assert names == [*expected[:2], other, *expected[2:]]


@pytest.mark.parametrize(
    ("gain", "error", "passed", "facts"),
    [
        (0.3, 0.01, True, ["+0.3 ± 0.01"]),
        (-0.0025, 0.004, True, ["-0.0025 ± 0.004"]),
        (0.005, 0.004, True, ["+0.005 ± 0.004"]),
        (0.0, 0.0, True, []),
        # 4 means of the 60 test shots, 14 parameters fitted to 180: -(4 / 120 + 14 / 360).
        (-0.072, 0.0, True, ["-0.072"]),
        (-0.073, 0.0, False, ["-0.073", "-0.0722"]),
        (-0.5, 0.1, False, ["-0.5 ± 0.1"]),
        (float("nan"), 0.1, False, []),
    ],
)
def test_against_a_product_model(
    done: tuple[Path, pp.Reconstruction], gain: float, error: float, passed: bool, facts: list[str]
) -> None:
    """A product model describes a product state best, so an RBM of it may be no better."""
    found = done[1].dataset.assign(log_likelihood_gain=gain, log_likelihood_gain_error=error)
    check = check_of(found, "product")
    assert check.passed == passed
    for fact in facts:
        assert fact in check.words
    assert ("indistinguishable" in check.words) == (passed and gain < 0.1)


def test_drift_is_unknown_for_counts(done: tuple[Path, pp.Reconstruction], shots: Shots) -> None:
    bits = shots.bits
    worst = drift(Shots(bits[np.lexsort(bits.T)]))
    assert np.isnan(worst.sigmas)
    found = done[1].dataset.assign(drift_sigmas=worst.sigmas, drift_where="")
    check = check_of(found, "drift")
    assert check.passed
    assert "unknown" in check.words
    assert check.words in {each.words for each in summarize(found).checks}


def test_the_cause_of_a_deviation_is_named(done: tuple[Path, pp.Reconstruction]) -> None:
    found = done[1].dataset
    far = {"walls_sigmas": 40.0, "walls_shots": float(found["walls_dense"].mean()) + 5.0}
    words = check_of(found.assign(far), "observables").words
    assert "training is " in words
    assert "--train.method exact" in words
    near = {**far, "walls_shots": float(found["walls_dense"].mean())}
    words = check_of(found.assign(near), "observables").words
    assert "pruning is " in words
    assert "--measure walls" in words


@pytest.mark.slow
def test_a_sparse_truth_is_found_and_trusted(tmp_path: Path) -> None:
    """Shots of an RBM of 8 weights: at most a few more are kept, and 1 of 4 may fail a check."""
    mask = np.zeros((3, 6), bool)
    mask[[0, 0, 0, 1, 1, 1, 2, 2], [0, 1, 2, 2, 3, 4, 4, 5]] = True
    truth = pp.RBM(6.0 * mask, -4 * np.ones(6), -7 * np.ones(3), mask)
    trusted = 0
    for seed in range(8):
        shots = Shots(truth.sample_exact(20_000, seed=seed))
        found = pp.reconstruct(
            shots,
            tmp_path / f"{seed}",
            hidden=(3,),
            draws=20_000,
            train=pp.ExactNaturalGradient(),
            fine_tune=pp.ExactNaturalGradient.for_fine_tuning(),
            prune=SearchSettings(),
        )
        trusted += found.trusted
        assert found.rbm.number_of_weights <= 14
        kl = float(
            np.exp(truth.log_prob_all() - truth.log_partition())
            @ (
                truth.log_prob_all()
                - truth.log_partition()
                - found.rbm.log_prob_all()
                + found.rbm.log_partition()
            )
        )
        assert kl < resolution(found.dataset) + 0.005
    assert trusted >= 6


# ---- the page and the command


def test_no_success_is_claimed_where_a_check_failed(done: tuple[Path, pp.Reconstruction]) -> None:
    settled = {"weights": 1, "hidden": 1, "fewer": -1, "warnings": ""}
    good = (
        done[1]
        .dataset.assign(**sound(done[1].dataset), pairs_limit=9.0, drift_limit=9.0)
        .assign_attrs(settled)
    )
    bad = good.assign(drift_sigmas=99.0)
    for found in (good, bad):
        summary, text = summarize(found), reconstruct_text(found)
        page = reconstruct_report(
            found, dict.fromkeys(("choice", "search", "observables"), Figure()), Provenance({}), ""
        )
        assert "1 of 8 weights" in summary.size.text
        assert "1 hidden unit;" in summary.size.text.replace(", but", ";")
        assert (" suffices" in summary.size.text) == (found is good)
        assert ("1 of 8 checks failed" in summary.size.text) == (found is bad)
        assert summary.trust.text.startswith("Trusted" if found is good else "Not trusted")
        assert list(page.summary.sentences) == list(summary[:3])
        assert [one.number.value for one in page.summary.headlines][::2] == [1, 8 - (found is bad)]
        assert text.splitlines()[-1].startswith(summary.trust.text[:12])
        assert max(map(len, text.splitlines())) <= 100


def test_the_page_says_what_the_dataset_says(done: tuple[Path, pp.Reconstruction]) -> None:
    page = done[1].report.read_text()
    dataset = done[1].dataset
    weights, dense = dataset.attrs["weights"], dataset.attrs["dense_weights"]
    assert f">{weights}</data> of " in page
    assert f">{dense}</data> weights" in page
    for each in done[1].checks:
        assert str(escape(f"{each.name}: {each.words}")) in page
    assert ("Trusted: all" in page) == done[1].trusted
    assert "walls" in page
    assert "psiprune reconstruct" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.usefixtures("undrawn")
def test_the_command(done: tuple[Path, pp.Reconstruction], stages: Path, tmp_path: Path) -> None:
    place = f"{done[0] / 'mine.py'}:walls"
    command = ("reconstruct", stages / "shots.txt", *tiny.reconstruct_options())
    options = ("--observable", place, "--out", tmp_path / "run")
    outcome = tiny.call(*command, *options, "--json")
    assert (outcome.status, tiny.errors(outcome)) == (0, [])
    printed = json.loads(outcome.out)
    dataset = done[1].dataset
    assert printed["weights"] == dataset.attrs["weights"]
    assert printed["test"]["loss"] == float(dataset["test_loss"])
    assert printed["trusted"] == done[1].trusted
    assert len(printed["trials"]) == dataset.sizes["trial"]
    assert set(printed["observables"]) >= {"walls", "correlation"}
    outcome = tiny.call(*command, *options)
    assert (outcome.status, tiny.errors(outcome)) == (0, [])
    lines = outcome.out.splitlines()
    assert f"{printed['weights']} of 8 weights" in lines[0]
    assert (" suffice" in lines[0]) == printed["trusted"]
    assert any(line.startswith("walls ") for line in lines)
    marks = [line[:4] == "pass" for line in lines if line.startswith(("pass: ", "FAIL: "))]
    assert marks == [each["passed"] for each in printed["checks"]]
    # The page names a command that gives the same, and so does the configuration.
    config = ("--config", tmp_path / "run/config.toml", "--out", tmp_path / "again")
    outcome = tiny.call("reconstruct", stages / "shots.txt", *config, "--json")
    again = json.loads(outcome.out)
    for each in (again, printed):  # what differs from folder to folder, and from time to time
        assert Path(each.pop("report")).parent == Path(each.pop("folder"))
        assert each["estimate"].pop("seconds") > 0
    assert again == printed


@pytest.mark.usefixtures("undrawn")
def test_shots_of_any_format_and_output_of_custom_code(shots: Shots, tmp_path: Path) -> None:
    pp.export_shots(shots, tmp_path / "shots.b8", "stim-b8")
    (tmp_path / "mine.py").write_text(
        "print('loaded')\ndef first(bits):\n    print('called')\n    return bits[:, 0]\n"
    )
    command = ("reconstruct", tmp_path / "shots.b8", *tiny.reconstruct_options())
    assert "give --qubits N" in tiny.refusal(tiny.call(*command, "--out", tmp_path / "run"))
    own = ("--observable", f"{tmp_path / 'mine.py'}:first", "--out", tmp_path / "run")
    reading = ("--format", "stim-b8", "--qubits", 4, "--order", "reversed")
    outcome = tiny.call(*command, *reading, *own, "--json")
    assert outcome.status == 0, outcome
    printed = json.loads(outcome.out)  # nothing else stands there
    assert "loaded" in outcome.err
    assert "called" in outcome.err
    first = split_shots(Shots(shots.bits[:, ::-1]), 0.4, 0).test.bits[:, 0]
    assert printed["observables"]["first"]["shots"] == pytest.approx(first.mean())
    page = (tmp_path / "run/report.html").read_text()
    assert "shots.b8 --format stim-b8 --qubits 4 --order reversed --hidden 2 " in page


def test_the_smallest_rbm_can_be_loaded(done: tuple[Path, pp.Reconstruction]) -> None:
    kept = read_dataset(done[0] / "run/smallest.nc", "rbm")
    assert float(kept["test_loss"]) == float(done[1].dataset["test_loss"])
    assert load_rbm(done[0] / "run/smallest.nc").number_of_weights == kept["mask"].values.sum()
