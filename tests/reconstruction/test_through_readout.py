"""Reconstruction from records with readout errors: the state, not what the detector shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import psiprune as pp
from confusions import pair_matrix, with_rates_times
from machines import random_rbm
from psiprune.data.confusion import Confusion
from psiprune.data.dependence import INDEPENDENT
from psiprune.inference import response
from psiprune.inference.response import Response
from psiprune.metrics.corrected import invert_records
from psiprune.reconstruction import rates
from psiprune.reconstruction.advice import next_steps
from psiprune.reconstruction.command import Request, as_asked
from psiprune.reconstruction.figures import plot_observables
from psiprune.reconstruction.inputs import resolve_settings
from psiprune.reconstruction.rates import rates_sensitivity, with_small_flips
from psiprune.reconstruction.result import request_of
from psiprune.reconstruction.text import reconstruct_numbers, reconstruct_text

ERROR = pp.ReadoutError.from_rates(0.03, 0.06, sites=6)
SETTINGS = pp.ReconstructSettings(seeds=2, hidden=(3,), draws=20_000)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_a_run_reconstructs_the_state_and_names_the_assumption(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, number in (("_RECORDS", 500), ("_DRAWS", 2000), ("_SAMPLES", 5000)):
        monkeypatch.setattr(response, name, number)
    state = pp.ground_state(pp.TFIM(sites=6, field=1.0))
    shots = pp.sample(state, 8000, seed=1).with_readout_error(ERROR, 2)
    found = pp.reconstruct(shots, settings=SETTINGS)
    assert found.verdict == "trusted"
    assert "p(1|0) = 0.03, p(0|1) = 0.06" in str(found)
    assert "rates off by 10% would change F" in " ".join(str(found).split())
    check_errors_of_true_bits(found, shots)
    page = found.to_html()
    assert "Observables as recorded" in page
    assert "Observables of the true bits" in page
    left, right = plot_observables(found.dataset).axes
    assert left.get_xlabel() == "test shots as recorded"
    labels = [str(each.get_label()) for each in right.containers]
    assert labels == [
        "test shots as recorded",
        "smallest RBM as recorded",
        "test shots, readout errors inverted",
        "smallest RBM, true bits",
    ]
    ignoring = pp.reconstruct(replace(shots, readout=None), settings=SETTINGS)
    assert "recorded" not in plot_observables(ignoring.dataset).axes[0].get_xlabel()
    assert "true bits" not in ignoring.to_html()
    fidelity, ignored = (pp.evaluate(each.rbm, state).fidelity.value for each in (found, ignoring))
    assert fidelity > ignored + 0.003


def check_errors_of_true_bits(found: pp.Reconstruction, shots: pp.Shots) -> None:
    """They are those of `evaluate`: of the smallest RBM on the test shots."""
    expected = pp.evaluate_on_shots(found.rbm, shots, draws=20_000).state["neighbours"]
    text = reconstruct_text(found.dataset, found.request)
    table = text.partition("\nObservables of the true bits")[2].splitlines()
    assert table[1].split()[-3:] == ["rates", "training", "sigmas"]
    numbers = reconstruct_numbers(found.dataset, found.request)["observables"]["state_neighbours"]
    for key, error in (("rates", expected.rates_error), ("training", expected.training_error)):
        value = float(found.dataset[f"state_neighbours_{key}_error"])
        assert value == pytest.approx(float(np.asarray(error)), rel=0.2)
        assert numbers[f"{key}_error"] == value
        assert f"{value:.1g}" in next(line for line in table if line.startswith("neighbours"))


def test_other_rates_change_the_state_as_a_new_fit_does() -> None:
    state = pp.ground_state(pp.TFIM(sites=6, field=1.0))
    shots = pp.sample(state, 20_000, seed=1).with_readout_error(ERROR, 2)
    rbm = pp.train(shots)
    found = rates_sensitivity(rbm, shots, seed=0)
    # With all rates 10 % larger <Z Z> of neighbours changes by about 2 * 0.09 * 10 % of it.
    other = pp.train(replace(shots, readout=with_rates_times(1.1, ERROR)))
    change = (
        pp.evaluate_on_shots(each, replace(shots, readout=None), draws=1000)
        for each in (rbm, other)
    )
    first, second = (float(each.neighbours.value) for each in change)
    assert 0 < float(found["neighbours"]) < 2 * abs(second - first) + 0.005
    assert 0 < float(found["infidelity"]) < 0.005
    certain = replace(
        ERROR,
        groups=tuple(replace(group, prepared=np.full(2, 10**12)) for group in ERROR.groups),
    )
    sure = rates_sensitivity(rbm, replace(shots, readout=certain), seed=0)
    assert float(sure["infidelity"]) < 0.1 * float(found["infidelity"])
    assert "calibrated" in str(sure["sentence"].item())


def few_sites(sites: int) -> pp.ReadoutError:
    return pp.ReadoutError.from_rates(0.03, 0.06, sites=sites)


def test_rates_of_more_than_20_sites(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm, seen = random_rbm(21, 2), []

    def noted(_: pp.RBM, __: pp.Shots, sets: list[pp.ReadoutError], *___: object) -> Response:
        seen.extend(sets)
        return Response(np.array([0.001, 0.003]), np.array([[0.03], [-0.04]]))

    monkeypatch.setattr(rates, "linear_response", noted)
    shots = pp.Shots(np.zeros((9, 21), np.uint8), readout=few_sites(21))
    found = rates_sensitivity(rbm, shots, seed=0)
    assert len(seen) == 16
    assert float(found["infidelity"]) == 0.002
    assert float(found["neighbours"]) == pytest.approx(np.sqrt(12.5) / 100)
    assert "F by about 0.002 +- 0.001 and <ZZ> of neighbours by 0.04 +- 0.02" in str(
        found["sentence"].item()
    )
    monkeypatch.setattr(rates, "FISHER_PARAMETERS", 20)
    unknown = rates_sensitivity(rbm, shots, seed=0)
    assert np.isnan(unknown["infidelity"])
    assert "would change F and <ZZ> by amounts" in str(unknown["sentence"].item())
    assert "above 20 parameters" in str(unknown["sentence"].item())


def test_assumed_rates_near_0_state_what_small_flips_change() -> None:
    rbm = random_rbm(4, 2)
    for rate in (0.0, 1e-4):
        readout = pp.ReadoutError.from_rates(rate, sites=4)
        shots = pp.Shots(rbm.sample_exact(500, seed=1), readout=readout)
        found = rates_sensitivity(rbm, shots, seed=0)
        flips = pp.readout_sensitivity(rbm, 0.01).infidelity.value
        assert float(found["infidelity"]) == flips
        assert "not measured; 1% flips per qubit would change F" in str(found["sentence"].item())


def test_some_rates_measured_and_some_assumed() -> None:
    measured, assumed = (
        pp.ReadoutError.from_rates([0.01] * 3, errors=([1e-3] * 3, [1e-3] * 3)),
        few_sites(3),
    )
    mixed = pp.ReadoutError((*measured.groups[:1], *assumed.groups[1:]), "file")
    sentence = rates._sentence(mixed, 0.01, 0.0, 0.01, 0.0)
    assert (
        "calibrated (file), but assumed at 2 of 3 sites (1, 2); their statistical error, and"
        in sentence
    )
    assert "assumed rates off by 10%, would change F" in sentence
    unknown = pp.ReadoutError.from_rates([0.0] * 3)
    mixed = pp.ReadoutError((*measured.groups[:1], assumed.groups[1], unknown.groups[2]), "file")
    sentence = rates._sentence(mixed, 0.01, 0.0, 0.01, 0.0)
    assert "10%, and 1% flips at 1 site assumed at about 0 (2), would change F" in sentence


def test_sites_assumed_at_0_are_flipped_beside_calibrated_ones() -> None:
    rbm = random_rbm(4, 2)
    sure = pp.ReadoutError.from_rates([0.02] * 4, errors=([1e-6] * 4, [1e-6] * 4))
    unknown = pp.ReadoutError((*sure.groups[:2], *pp.ReadoutError.from_rates([0.0] * 4).groups[2:]))
    shots = pp.Shots(sure.misread(rbm.sample_exact(4000, seed=1), 2), readout=sure)
    calibrated = rates_sensitivity(rbm, shots, seed=0)
    found = rates_sensitivity(rbm, replace(shots, readout=unknown), seed=0)
    flips = pp.readout_sensitivity(rbm, 0.01).infidelity.value
    assert float(calibrated["infidelity"]) < 0.01 * flips
    assert 0.1 * flips < float(found["infidelity"]) < 2 * flips
    assert "1% flips at 2 sites assumed at about 0 (2, 3)" in str(found["sentence"].item())


def test_small_flips_of_a_pair() -> None:
    pair = pp.ReadoutError((Confusion((1, 0), pair_matrix(0.03, 0.06)),))
    found = with_small_flips(pair, np.array([True, False]))
    prob = np.random.default_rng(0).dirichlet(np.ones(4))
    flips = pp.ReadoutError.from_rates([0.01, 0.0])
    np.testing.assert_allclose(found.apply(prob), flips.apply(pair.apply(prob)))


def test_the_error_of_neighbours_is_at_least_that_of_the_records_alone() -> None:
    """A product state, whose fit stays at the boundary with any rates."""
    rbm = pp.RBM(np.zeros((1, 4)), np.full(4, -20.0), np.zeros(1))
    errors = pp.ReadoutError.from_rates([0.05] * 4, errors=([0.01] * 4, [0.01] * 4))
    shots = pp.Shots(np.zeros((400, 4), np.uint8), readout=errors)
    found = rates_sensitivity(rbm, shots, seed=0)
    direct = invert_records(shots.bits, errors, 0, INDEPENDENT).estimates["neighbours"]
    assert float(found["neighbours"]) == pytest.approx(float(direct.rates_error))
    assert direct.rates_error > 0.01
    perfect = pp.ReadoutError.from_rates([0.0] * 4)
    unknown = pp.ReadoutError((*errors.groups[:2], *perfect.groups[2:]))
    flipped = rates_sensitivity(rbm, replace(shots, readout=unknown), seed=0)
    # Of bonds 01, 12 and 23 one flips one site and one flips two, 2 % each.
    assert float(flipped["neighbours"]) > 0.018


def test_above_20_sites_the_method_is_stochastic() -> None:
    shots = pp.Shots(np.zeros((400, 21), np.uint8), readout=few_sites(21))
    settings = resolve_settings(pp.ReconstructSettings(hidden=(2, 4)), shots)
    assert (settings.train.method, settings.fine_tune.method) == ("natural", "natural")
    assert [each.method for _, each in settings.candidates(21)] == ["natural", "natural"]
    # The command that repeats the run leaves the method open.
    request = Request(as_asked(settings, 21), 21, 400, "array")
    assert request.command() == "psiprune.reconstruct(shots, hidden=[2, 4])"


def test_a_run_read_back_names_readout_errors_that_its_file_lacks(tmp_path: Path) -> None:
    shots = pp.Shots(np.zeros((4, 2), np.uint8), readout=few_sites(2))
    digest = few_sites(2).full_digest
    (tmp_path / "config.toml").write_text(f'readout_sha256 = "{digest}"\n')
    other = pp.ReadoutError.from_rates(0.1, sites=2)
    np.savetxt(tmp_path / "text.txt", shots.bits, fmt="%d")
    for name, readout in (("with", shots.readout), ("other", other), ("clean", None)):
        replace(shots, readout=readout).save(tmp_path / f"{name}.nc")
    (tmp_path / "odd.nc").write_text("no NetCDF")
    for name in ("with.nc", "other.nc", "clean.nc", "text.txt", "odd.nc", "moved.nc"):
        attrs = {"sites": 2, "shots": 4, "source": str(tmp_path / name)}
        found = request_of(tmp_path, xr.Dataset(attrs=attrs)).readout_options
        assert found == ([] if name == "with.nc" else ["--readout", "READOUT"]), name
    (tmp_path / "config.toml").write_text("")
    attrs = {"sites": 2, "shots": 4, "source": str(tmp_path / "clean.nc")}
    assert request_of(tmp_path, xr.Dataset(attrs=attrs)).readout_options == []


def test_other_shots_are_read_with_the_same_errors(tmp_path: Path) -> None:
    pp.Shots(np.zeros((4, 2), np.uint8)).save(tmp_path / "shots.nc")
    reading = {"format": None, "readout": "0.01,0.03", "readout_qubits": (3, 5)}
    options = "--readout 0.01,0.03 --readout-qubits 3 5"
    request = Request(pp.ReconstructSettings(), 2, 400, str(tmp_path / "shots.nc"), reading)
    for shots in (None, "MORE_SHOTS"):
        assert request.command(shots).endswith(f" {options}")
    assert options in request.import_rows("::2", "sound.nc")
    (step,) = next_steps([], request._replace(folder=tmp_path))
    assert step.command.endswith(f"NEW_SHOTS {options}")


@pytest.mark.slow
def test_a_run_of_24_sites() -> None:
    """Two copies of a small state side by side; two sites are read with correlated errors."""
    pair = Confusion((0, 1), pair_matrix(0.03, 0.06))
    error = replace(few_sites(24), groups=(pair, *few_sites(24).groups[2:]))
    state = pp.ground_state(pp.TFIM(sites=12, field=1.5))
    true = np.hstack([pp.sample(state, 12_000, seed=seed).bits for seed in (1, 2)])
    shots = pp.Shots(true).with_readout_error(error, 3)
    method = pp.NaturalGradient(epochs=60, chains=2000)
    settings = pp.ReconstructSettings(seeds=2, hidden=(8,), draws=4000, train=method)
    found = pp.reconstruct(shots, settings=settings)
    ignoring = pp.reconstruct(replace(shots, readout=None), settings=settings)
    fresh = pp.Shots(np.hstack([pp.sample(state, 12_000, seed=seed).bits for seed in (4, 5)]))
    gain = found.rbm.log_prob(fresh) - ignoring.rbm.log_prob(fresh)
    assert gain.mean() > max(0.02, 5 * gain.std() / np.sqrt(len(gain)))
    assert found.checks[0].answer == "pass"
    assert "rates off by 10% would change F by" in " ".join(str(found).split())
    assert 0 < float(found.dataset["readout_infidelity"]) < 0.005
    assert 0 < float(found.dataset["likelihood_error"]) < 0.02
