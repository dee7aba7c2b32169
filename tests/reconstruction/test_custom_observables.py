"""The user's own observables in a reconstruction: code, names, and a search that one ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import psiprune as pp
import tiny
from psiprune.io.netcdf import read_dataset
from psiprune.reconstruction.checks import make_checks
from psiprune.reconstruction.custom_code import save_code
from psiprune.reconstruction.dataset import SUFFIXES, check_observable_names
from psiprune.reconstruction.inputs import split_shots
from psiprune.reconstruction.pipeline import run_reconstruct
from refusals import refuses
from spies import failing

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.mark.parametrize(
    "measure", [pytest.param("log_likelihood", marks=pytest.mark.slow), "walls"]
)
def test_only_results_of_changed_code_are_recomputed(
    shots: pp.Shots, tmp_path: Path, caplog: pytest.LogCaptureFixture, measure: str
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
    same = (test[:, 1:] == test[:, :-1]).sum(axis=1)
    assert float(found["walls_shots"]) == pytest.approx(same.mean())
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

    with monkeypatch.context() as patched:
        full = OSError(28, "No space left on device")
        patched.setattr("psiprune.io.netcdf.os.fsync", failing(full))
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
    shots: pp.Shots, tmp_path: Path
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
    shots: pp.Shots, tmp_path: Path, names: list[str], variable: str, user: str
) -> None:
    custom: dict[str, Any] = dict.fromkeys(names, len)
    with pytest.raises(pp.InputError, match="observables: ") as caught:
        run_reconstruct(tiny.reconstruct_settings(), shots, tmp_path / "run", custom)
    for name in (names[-1], variable, *([user] if user else [])):
        assert repr(name) in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_every_variable_of_a_run_is_refused_as_a_name(done: tuple[Path, pp.Reconstruction]) -> None:
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
    shots: pp.Shots, observable_run: Path, tmp_path: Path, measure: str
) -> None:
    own: dict[str, Any] = {"first": tiny.first}
    run = observable_run if measure == "abs_magnetization" else tmp_path / "run"
    if run == observable_run:
        found = read_dataset(run / "reconstruct.nc", "reconstruct")
    else:
        found = run_reconstruct(tiny.reconstruct_settings(measure=measure), shots, run, own)
    parts = split_shots(shots, 0.4, 0)
    dense = [
        pp.evaluate_on_shots(pp.load_rbm(file), parts.test, draws=200, observables=own)
        for file in sorted((run / "ensemble").iterdir())
    ]
    smallest = pp.load_rbm(run / "smallest.nc")
    here = pp.evaluate_on_shots(smallest, parts.test, draws=200, observables=own)
    apart = np.abs(
        here.comparison(measure).value
        - np.mean([each.comparison(measure).value for each in dense], axis=0)
    )
    assert float(found["test_loss"]) in [pytest.approx(x) for x in np.atleast_1d(apart)]
    # One observable may stay while the rest goes, so the loss of likelihood is tested as well.
    log_p = pp.load_rbm(run / "ensemble/seed-0.nc").log_prob(parts.test)
    lost = float((log_p - smallest.log_prob(parts.test)).mean())
    assert float(found["likelihood_loss"]) == pytest.approx(lost)
    failing = make_checks(found.assign(likelihood_loss=9.0))[0]
    assert (failing.name, failing.answer, failing.cause) == ("log-likelihood", "fail", "pruning")
