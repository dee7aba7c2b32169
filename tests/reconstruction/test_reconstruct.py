"""From shots to the smallest RBM: split, choice, search, checks, report, and going on."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import psiprune as pp
import tiny
from psiprune.core.exceptions import DivergenceError, InputError
from psiprune.data.shots import Shots, read_shots
from psiprune.inspect.describe import RunDescription
from psiprune.io.netcdf import read_dataset
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.metrics.agreement import drift
from psiprune.metrics.equivalence import likelihood_band, losses_from
from psiprune.pruning.settings import SearchSettings
from psiprune.rbm.serialization import load_rbm
from psiprune.reconstruction.checks import checks, resolution
from psiprune.reconstruction.custom_code import keep_code
from psiprune.reconstruction.dataset import SUFFIXES, check_own, learning_rate_of
from psiprune.reconstruction.pipeline import FEWEST, run_reconstruct, split_shots
from psiprune.reconstruction.report import reconstruct_report
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.reconstruction.tables import reconstruct_text
from psiprune.reporting.page import Provenance


@pytest.fixture(scope="module")
def done(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pp.Reconstruction]:
    """A finished tiny run with an observable of its own, and what it returned."""
    folder = tmp_path_factory.mktemp("reconstruct")
    (folder / "mine.py").write_text(tiny.OWN)
    settings = tiny.reconstruct_settings(observable=(f"{folder / 'mine.py'}:walls",))
    shots = read_shots(stages / "shots.nc")
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
    ("shots", "held_out", "words"),
    [
        (250, 0.2, "250 shots leave 25 for validation with held_out = 0.2, and at least 30"),
        (100, 0.8, "100 shots leave 20 for training with held_out = 0.8"),
        (2, 0.5, "2 shots leave 1 for training"),
    ],
)
def test_too_few_shots(shots: int, held_out: float, words: str) -> None:
    with pytest.raises(InputError) as caught:
        split_shots(Shots(np.zeros((shots, 3), np.uint8)), held_out, 0)
    assert words in str(caught.value)
    split_shots(Shots(np.zeros((5 * FEWEST, 3), np.uint8)), 0.4, 0)


# ---- a run


def test_what_a_run_holds(done: tuple[Path, pp.Reconstruction], stages: Path) -> None:
    folder, found = done
    names = tiny.names(folder / "run")
    trials = found.dataset["trial_name"].values.tolist()
    assert trials[0] == "level-00"
    figures = ("choice", "search", "observables")
    assert names == {
        *("config.toml", "provenance.json", "split.nc", "smallest.nc", "reconstruct.nc"),
        *("report.html", "observables/1-mine.py", "choice/hidden-2-rate-0.5.nc"),
        *("ensemble/seed-0.nc", "ensemble/seed-1.nc"),
        *(f"path/{name}.nc" for name in trials),
        *(f"observed/smallest-{name}.nc" for name in ("pairs", "standing", "test")),
        *("observed/seed-0-test.nc", "observed/seed-1-test.nc"),
        *(f"figures/{name}.{suffix}" for name in figures for suffix in ("svg", "png")),
    }
    shots = read_shots(stages / "shots.nc")
    parts = split_shots(shots, 0.4, 0)
    training = pp.CD(epochs=3, batch_size=20, learning_rate=0.5)
    for seed in (0, 1):
        expected = pp.train(parts.training, hidden=2, seed=seed, method=training)
        made = load_rbm(folder / f"run/ensemble/seed-{seed}.nc")
        np.testing.assert_array_equal(made.weights, expected.weights)


def test_the_numbers_are_those_of_the_test_shots(
    done: tuple[Path, pp.Reconstruction], stages: Path
) -> None:
    folder, found = done
    dataset = found.dataset
    parts = split_shots(read_shots(stages / "shots.nc"), 0.4, 0)
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
def test_a_run_goes_on_to_the_same_bits(
    done: tuple[Path, pp.Reconstruction], run: Path, stages: Path, gone: tuple[str, ...]
) -> None:
    before = {name: data for name, (data, _) in tiny.contents(run).items()}
    for name in gone:
        (shutil.rmtree if (run / name).is_dir() else Path.unlink)(run / name)
    place = f"{done[0] / 'mine.py'}:walls"
    settings = tiny.reconstruct_settings(observable=(place,))
    pp.reconstruct(read_shots(stages / "shots.nc"), run, settings=settings)
    assert {name: data for name, (data, _) in tiny.contents(run).items()} == before


def test_a_folder_of_other_shots_or_settings_is_refused(
    done: tuple[Path, pp.Reconstruction], run: Path, stages: Path
) -> None:
    shots = read_shots(stages / "shots.nc")
    place = f"{done[0] / 'mine.py'}:walls"
    settings = tiny.reconstruct_settings(observable=(place,))
    before = tiny.contents(run)
    with pytest.raises(InputError, match="the run there has shots_sha256 = "):
        run_reconstruct(settings, shots.bits[::-1], run)
    with pytest.raises(InputError, match="the run there has seeds = 2, this one 3"):
        run_reconstruct(settings.model_copy(update={"seeds": 3}), shots, run)
    with pytest.raises(InputError, match="has the checksum"):
        run_reconstruct(settings.model_copy(update={"shots_sha256": "0" * 64}), shots, run)
    assert tiny.contents(run) == before
    (run / "path/level-00.nc").write_bytes(b"")
    with pytest.raises(InputError, match=r"level-00.nc: the file is empty"):
        run_reconstruct(settings, shots, run)


@pytest.mark.parametrize("measure", ["log_likelihood", "walls"])
def test_what_rests_on_changed_code_is_made_again_and_no_more(
    stages: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, measure: str
) -> None:
    shots, file, run = read_shots(stages / "shots.nc"), tmp_path / "mine.py", tmp_path / "run"
    settings = tiny.reconstruct_settings(observable=(f"{file}:walls",), measure=measure)
    file.write_text(tiny.OWN)
    run_reconstruct(settings, shots, run)
    before = tiny.contents(run)
    run_reconstruct(settings, shots, run)
    assert caplog.text == ""
    file.write_text(tiny.OWN.replace("!=", "=="))
    found = run_reconstruct(settings, shots, run)
    assert caplog.text.count("its own observables have changed") == 1
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


def test_a_copy_of_code_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files of one name stand side by side; a full disk is told by the name of the copy."""
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
            keep_code(run, places, ends_search=False)
    assert caught.value.filename == str(run / "observables/1-mine.py")
    assert list((run / "observables").iterdir()) == []
    keep_code(run, places, ends_search=False)
    copies = [(run / f"observables/{k}-mine.py").read_text() for k in (1, 2)]
    assert copies == [Path(place.rpartition(":")[0]).read_text() for place in places]
    (run / "observables/2-mine.py").write_text(copies[1][:-9])  # as a kill of an older one left it
    (run / "observed/some.nc").touch()
    keep_code(run, places, ends_search=False)
    assert (run / "observables/2-mine.py").read_text() == copies[1]
    assert not (run / "observed/some.nc").exists()


def test_an_observable_that_would_fail_late_fails_before_training(
    stages: Path, tmp_path: Path
) -> None:
    def one_size(bits: Any) -> Any:
        assert len(bits) == 60, "of another size"
        return bits[:, 0]

    shots = read_shots(stages / "shots.nc")
    with pytest.raises(InputError, match=r"'mine': raised AssertionError: of another size .* for"):
        run_reconstruct(tiny.reconstruct_settings(), shots, tmp_path / "run", {"mine": one_size})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["magnetization_error"], "'magnetization_error', which belongs to psiprune's 'magnet"),
        (["magnetization_shots"], "'magnetization_shots', which belongs to psiprune's 'magnet"),
        (["log_likelihood_gain_error"], "which belongs to psiprune's 'log_likelihood_gain'"),
        (["good", "good_error"], "'good_error', which belongs to the observable 'good'"),
        (["good_error", "good"], "'good' would be kept as 'good_error', which belongs to the obs"),
        (["good", "good_shots_error"], "'good_shots_error', which belongs to the observable"),
        (["test"], "'test' would be kept as 'test', which belongs to psiprune's own numbers"),
        (["log_likelihood"], "'log_likelihood' means one of psiprune's"),
        *(
            ([name], f"{name!r} would be kept as {name!r}, which belongs to psiprune's own")
            for name in ("warning", "test_loss", "trial_weights", "trial", "candidate_loss")
        ),
        *(([name], "belongs to psiprune's own") for name in ("distance", "candidate", "seed")),
    ],
)
def test_no_own_observable_stands_in_the_way_of_another_number(
    stages: Path, tmp_path: Path, names: list[str], words: str
) -> None:
    own: dict[str, Any] = dict.fromkeys(names, len)
    with pytest.raises(InputError, match=re.escape(words)):
        run_reconstruct(
            tiny.reconstruct_settings(), read_shots(stages / "shots.nc"), tmp_path / "run", own
        )
    assert not (tmp_path / "run").exists()


def test_every_variable_of_a_run_is_refused_as_a_name(
    done: tuple[Path, pp.Reconstruction],
) -> None:
    dataset = done[1].dataset
    taken = {str(name) for name in (*dataset.variables, *dataset.dims)}
    mine = {name for name in taken if name.startswith("walls")}
    assert mine == {f"walls{suffix}" for suffix in SUFFIXES}
    for name in (taken - mine) | {"warning"}:
        with pytest.raises(InputError, match="give another name"):
            check_own({name: len})
    check_own({"walls": len, "errors": len, "my_trial": len, "drifting": len})


@pytest.mark.parametrize("measure", ["abs_magnetization", "correlation", "first"])
def test_an_observable_ends_the_search(stages: Path, tmp_path: Path, measure: str) -> None:
    shots = read_shots(stages / "shots.nc")
    own: dict[str, Any] = {"first": lambda bits: bits[:, 0]}
    settings = tiny.reconstruct_settings(measure=measure)
    found = run_reconstruct(settings, shots, tmp_path / "run", own)
    parts = split_shots(shots, 0.4, 0)
    dense = [
        evaluate_on_shots(load_rbm(file), parts.test, draws=200, observables=own)
        for file in sorted((tmp_path / "run/ensemble").iterdir())
    ]
    smallest = load_rbm(tmp_path / "run/smallest.nc")
    here = evaluate_on_shots(smallest, parts.test, draws=200, observables=own)
    apart = np.abs(
        here.comparison(measure).value
        - np.mean([each.comparison(measure).value for each in dense], axis=0)
    )
    assert float(found["test_loss"]) in [pytest.approx(x) for x in np.atleast_1d(apart)]
    assert np.isnan(resolution(found))
    # One observable may stay while the rest goes, so the loss of likelihood is looked at as well.
    members = [load_rbm(file) for file in sorted((tmp_path / "run/ensemble").iterdir())]
    log_p = np.mean([member.log_prob(parts.test) for member in members], axis=0)
    lost = float((log_p - smallest.log_prob(parts.test)).mean())
    assert float(found["likelihood_loss"]) == pytest.approx(lost)
    name = "no likelihood that matters is lost"
    assert [each.name for each in checks(found)][1] == name
    for loss, error, fails in ((0.01, 0.02, False), (0.01, 0.03, True), (0.06, 0.001, True)):
        assert (name in changed(found, likelihood_loss=loss, likelihood_error=error)) == fails


def test_learning_rates_that_diverge_are_passed_over(stages: Path, tmp_path: Path) -> None:
    train = pp.CD(epochs=3, batch_size=20, weight_decay=1e30)
    shots = read_shots(stages / "shots.nc")
    with pytest.raises(DivergenceError, match=r"learning_rate = 0.5 is too large"):
        run_reconstruct(tiny.reconstruct_settings(train=train), shots, tmp_path / "all")
    train = pp.CD(epochs=3, batch_size=20, weight_decay=1e4)
    settings = tiny.reconstruct_settings(train=train, learning_rates=(1e-6, 1000.0))
    found = run_reconstruct(settings, shots, tmp_path / "one")
    assert found["candidate_learning_rate"].values.tolist() == [1e-6]


def test_what_there_is_to_choose_from() -> None:
    def rates(**changes: Any) -> list[tuple[int, float]]:
        settings = ReconstructSettings(**changes)
        return [(hidden, learning_rate_of(each)) for hidden, each in settings.candidates(18)]

    assert rates(train="cd") == [(n, rate) for n in (4, 9, 18) for rate in (0.03, 0.1, 0.3)]
    table = {"method": "cd", "learning_rate": 0.2}
    assert rates(hidden=(7,), train=table) == [(7, 0.2)]
    assert rates(hidden=(7,), learning_rates=(0.3,), train=table) == [(7, 0.3)]
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


def changed(found: xr.Dataset, **values: Any) -> list[str]:
    """The checks that fail when some numbers are others."""
    attrs = {name: value for name, value in values.items() if name in found.attrs}
    rest = {name: value for name, value in values.items() if name not in attrs}
    made = found.assign(rest).assign_attrs(attrs)
    return [each.name for each in checks(made) if not each.passed]


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
        ({"test_loss": 0.0124}, "the test shots do not contradict the search"),
        ({"test_loss": np.nan}, "the test shots do not contradict the search"),
        ({"test_error": 0.1}, "the test shots would show a loss that matters"),
        ({"walls_sigmas": -4.0}, "every observable agrees with the test shots"),
        (
            {"correlation_sigmas": ("distance", np.array([0, 0, 4.0]))},
            "every observable agrees with the test shots",
        ),
        ({"pairs_sigmas": 9.0}, "every site and pair agrees with the test shots"),
        ({"drift_sigmas": 9.0}, "the record is steady"),
        (
            {"log_likelihood_gain": -1.0, "log_likelihood_gain_error": 0.1},
            "independent bits do not describe the shots better",
        ),
        ({"dense_parameters": 10_000}, "there are more shots than parameters"),
        ({"warnings": "rests on sand"}, "no estimate carries a warning"),
    ):
        assert changed(found, **{**good, **change}) == [name]


def test_every_check_is_on_the_page(done: tuple[Path, pp.Reconstruction]) -> None:
    page = (Path(__file__).parents[2] / "docs/reconstruct.md").read_text()
    table = page[page.index("| check | fails if |") :].split("\n\n")[0].splitlines()[2:]
    names = [row.split(" | ")[0].removeprefix("| ") for row in table]
    names.remove("no likelihood that matters is lost")  # where an observable ends the search
    assert names == [each.name for each in done[1].checks]


@pytest.mark.parametrize(
    ("gain", "error", "passed", "words"),
    [
        (0.3, 0.01, True, "0.3 ± 0.01 nat a shot above independent bits"),
        (-0.0025, 0.004, True, "; these shots cannot tell it from independent bits"),
        (0.005, 0.004, True, "; these shots cannot tell it from independent bits"),
        (0.0, 0.0, True, "0 ± 0 nat a shot above independent bits; these shots cannot tell"),
        # 4 means of the 60 test shots, 14 parameters fitted to 180: -(4 / 120 + 14 / 360).
        (-0.072, 0.0, True, "; these shots cannot tell it from independent bits"),
        (-0.073, 0.0, False, "; by chance it would not be below -0.0722"),
        (-0.5, 0.1, False, "-0.5 ± 0.1 nat a shot above independent bits; by chance it would not"),
        (float("nan"), 0.1, False, ""),
    ],
)
def test_against_independent_bits(
    done: tuple[Path, pp.Reconstruction], gain: float, error: float, passed: bool, words: str
) -> None:
    """A product state is no worse by independent bits, so an RBM of it may be no better."""
    found = done[1].dataset.assign(log_likelihood_gain=gain, log_likelihood_gain_error=error)
    (check,) = (each for each in checks(found) if "independent" in each.name)
    assert check.passed == passed
    assert words in check.words
    assert ("cannot tell" in check.words) == (passed and gain < 0.1)


def test_of_counts_nothing_is_known_of_drift(
    done: tuple[Path, pp.Reconstruction], stages: Path
) -> None:
    bits = read_shots(stages / "shots.nc").bits
    worst = drift(Shots(bits[np.lexsort(bits.T)]))
    assert np.isnan(worst.sigmas)
    found = done[1].dataset.assign(drift_sigmas=worst.sigmas, drift_where="")
    (check,) = (each for each in checks(found) if "steady" in each.name)
    assert check.passed
    assert check.words.endswith("nothing is known of drift")
    page = reconstruct_report(
        found, dict.fromkeys(("choice", "search", "observables"), Figure()), Provenance({}), ""
    )
    assert page.sections[-1].sentences[1].text.endswith("so nothing is known of drift.")


def test_a_failure_of_the_dense_rbms_is_told(done: tuple[Path, pp.Reconstruction]) -> None:
    found = done[1].dataset
    far = {"walls_sigmas": 40.0, "walls_shots": float(found["walls_dense"].mean()) + 5.0}
    words = [each.words for each in checks(found.assign(far)) if "observable" in each.name]
    assert "so training is to blame; try --train.method exact" in words[0]
    near = {**far, "walls_shots": float(found["walls_dense"].mean())}
    words = [each.words for each in checks(found.assign(near)) if "observable" in each.name]
    assert "so pruning is to blame; --measure walls ends it by that" in words[0]


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
    for found, line, headline in (
        (good, "1 of 8 weights is enough, on 1 hidden unit; ", "weight is enough, of 8"),
        (
            bad,
            "the search ended at 1 of 8 weights, on 1 hidden unit, and 1 of 8 checks failed: not "
            "to be trusted; ",
            "weight, of 8, where the search ended: not to be trusted",
        ),
    ):
        assert reconstruct_text(found).startswith(line)
        page = reconstruct_report(
            found, dict.fromkeys(("choice", "search", "observables"), Figure()), Provenance({}), ""
        )
        assert page.summary.headlines[0].meaning.text == headline
        first = page.summary.sentences[0].text
        assert first.startswith("How small? 1 of 8 weights")
        assert (" enough" in first) == (found is good)
        if found is bad:
            assert "not to be trusted: 1 of 8 checks failed" in first


def test_the_page_says_what_the_dataset_says(done: tuple[Path, pp.Reconstruction]) -> None:
    page = done[1].report.read_text()
    dataset = done[1].dataset
    weights, dense = dataset.attrs["weights"], dataset.attrs["dense_weights"]
    assert "Can it be trusted?" in page
    assert page.index("How small?") < page.index("What does it cost?") < page.index('<h2 id="trust')
    assert f">{weights}</data> of " in page
    assert f">{dense}</data> weights" in page
    for each in done[1].checks:
        assert each.name in page
    assert ("Yes: all" in page) == done[1].trusted
    assert "walls" in page
    assert "psiprune reconstruct" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_command(
    done: tuple[Path, pp.Reconstruction],
    stages: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("psiprune.reporting.figures.save_figure", lambda *_: [])
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
    assert lines[0].startswith(
        f"{printed['weights']} of 8 weights are enough, on 2 hidden units"
        if printed["trusted"]
        else f"the search ended at {printed['weights']} of 8 weights, on 2 hidden units"
    )
    assert any(line.startswith("walls ") for line in lines)
    assert any(line.startswith("Can it be trusted? ") for line in lines)
    # The page names a command that gives the same, and so does the configuration.
    config = ("--config", tmp_path / "run/config.toml", "--out", tmp_path / "again")
    outcome = tiny.call("reconstruct", stages / "shots.txt", *config, "--json")
    again = json.loads(outcome.out)
    assert {k: v for k, v in again.items() if k not in ("folder", "report")} == {
        k: v for k, v in printed.items() if k not in ("folder", "report")
    }


def test_shots_of_any_format_and_words_of_own_code(
    stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psiprune.reporting.figures.save_figure", lambda *_: [])
    shots = read_shots(stages / "shots.nc")
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


def test_smallest_is_an_rbm_as_any_other(done: tuple[Path, pp.Reconstruction]) -> None:
    kept = read_dataset(done[0] / "run/smallest.nc", "rbm")
    assert float(kept["test_loss"]) == float(done[1].dataset["test_loss"])
    assert load_rbm(done[0] / "run/smallest.nc").number_of_weights == kept["mask"].values.sum()
