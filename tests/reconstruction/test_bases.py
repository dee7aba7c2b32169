"""`reconstruct` on shots in several bases: its files, its numbers, its verdict, and resuming."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.special import chdtrc
from scipy.stats import kstest

import psiprune as pp
import tiny
from machines import random_phase_rbm
from outcomes import json_of, text_of
from psiprune.metrics.loss_tests import deviance, judge_bases
from psiprune.metrics.phase_held_out import log_prob_by_shot
from psiprune.pruning.settings import SearchSettings
from psiprune.reconstruction.bases.checks import FITS, INFORMATION, make_checks
from psiprune.reconstruction.bases.comparison import (
    basis_variables,
    divergence,
    free_parameters,
)
from psiprune.reconstruction.bases.inputs import BasesRun, order_attributes, split_each_basis
from psiprune.reconstruction.bases.models import (
    BasesCandidate,
    _replica,
    likelier_state,
    retrain,
)
from psiprune.reconstruction.bases.pipeline import run_bases
from psiprune.reconstruction.checks import RATES
from psiprune.states.mps import mps_from_vector
from psiprune.training.natural_phase import fit_phases
from psiprune.training.phase_starts import frequencies_for
from refusals import check_refusal, refuses

OPTIONS = "--hidden 2 --seeds 2 --prune.fraction 0.3 --observable Y0_Z1=Y0\u00a0Z1"


@pytest.fixture(scope="module", autouse=True)
def undrawn_figures() -> Iterator[None]:
    """Write no figures, which take longer than all else; one test draws them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", tiny.not_drawn)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shots of a quench of three sites, and a finished run on them by the command line."""
    made = tmp_path_factory.mktemp("bases")
    state = pp.quench(pp.TFIM(sites=3, field=1.0), 0.6, progress=False)
    state.save(made / "state.nc")
    bases = "nearest-pairs"
    pp.sample(state, 3000, seed=1, bases=bases, progress=False).save(made / "shots.nc")
    (made / "printed.json").write_text(text_of(tiny.call(*command(made, made / "run"), "--json")))
    return made


def finished(run: Path) -> pp.PhaseReconstruction:
    found = pp.load_reconstruction(run)
    assert isinstance(found, pp.PhaseReconstruction)
    return found


def command(folder: Path, out: Path) -> tuple[Any, ...]:
    words = [word.replace("\u00a0", " ") for word in OPTIONS.split(" ")]
    return "reconstruct", folder / "shots.nc", *words, "--out", out


def test_what_a_run_holds(folder: Path) -> None:
    found = finished(folder / "run")
    trials = found.dataset["trial_name"].values.tolist()
    names = ("bases", "search", "graph", "entropy")
    figures = [f"figures/{name}.{suffix}" for name in names for suffix in ("svg", "png")]
    assert trials[0] == "level-00"
    made = tiny.names(folder / "run")
    others = {name for name in made if name.startswith("path/decay-")}
    assert len(others) == found.dataset["search_trials"].sum()
    assert made - others | {f"path/{name}.nc" for name in trials} == {
        *("config.toml", "provenance.json", "split.nc", "smallest.nc", "reconstruct.nc"),
        *("report.html", "choice/hidden-2-4.nc", "ensemble/seed-0.nc", "ensemble/seed-1.nc"),
        *(f"path/{name}.nc" for name in trials),
        *figures,
    }
    assert found.rbm.fidelity(pp.load_mps(folder / "state.nc")) > 0.97
    assert found.verdict == "trusted"
    assert f"{found.dataset.attrs['weights']} of 18 weights" in repr(found)
    page = (folder / "run/report.html").read_text()
    for fact in ("for the amplitudes and", "XXZ", "Y0_Z1", "psiprune reconstruct"):
        assert fact in page
    text = text_of(tiny.call(*command(folder, folder / "run"), "--state", folder / "state.nc"))
    for fact in ("Trusted", "independent fits", "information", "XXZ", "fidelity with", "Y0_Z1"):
        assert fact in text
    assert "Trusted" in text_of(tiny.call("info", folder / "run"))


@pytest.mark.slow
def test_the_figures_show_every_state_of_the_search(folder: Path) -> None:
    found = finished(folder / "run")
    drawn = found.figures()
    assert [*drawn] == ["bases", "search", "graph", "entropy"]
    kept = [np.asarray(line.get_ydata()) for line in drawn["search"].axes[1].lines]
    weights = np.sort(found.dataset["trial_weights"].values)[::-1]
    np.testing.assert_array_equal(kept[0] + kept[1], weights)
    assert len(drawn["bases"].axes[1].patches) >= len(found.dataset["basis"])
    axes = found.plot()
    assert found.summary.size.text in axes[0].figure.get_suptitle()
    given = Figure().subplots(2, 2)
    np.testing.assert_array_equal(found.plot(ax=given), given.ravel())
    assert all(ax.has_data() for ax in given.ravel())
    with refuses("ax", "array of 4", "3 Axes"):
        found.plot(ax=given.ravel()[:3])


def test_the_numbers_are_those_of_the_test_shots(folder: Path) -> None:
    shots, found = pp.read_shots(folder / "shots.nc"), finished(folder / "run")
    dataset = found.dataset
    split = split_each_basis(shots, 0.2, 0)
    assert [len(part) for part in split[:3]] == [2400, 240, 360]
    loss = log_prob_by_shot(found.unpruned, split.test) - log_prob_by_shot(found.rbm, split.test)
    assert float(dataset["likelihood_loss"]) == pytest.approx(loss.mean(), abs=1e-12)
    assert float(dataset["likelihood_error"]) == pytest.approx(loss.std() / 360**0.5, rel=0.2)
    smallest = {"trial": int(dataset["trial_smallest"].values.argmax())}
    losses = log_prob_by_shot(found.unpruned, split.not_test)
    losses -= log_prob_by_shot(found.rbm, split.not_test)
    parameters = free_parameters(found.rbm) - free_parameters(found.unpruned)
    losses[:2400] += parameters / 2400  # the training shots flatter the state of more parameters
    assert float(dataset["trial_loss"].isel(smallest)) == pytest.approx(losses.mean(), abs=1e-12)
    for k, (basis, bits) in enumerate(split.test.by_basis().items()):
        signs = 1.0 - 2.0 * bits
        measured = (signs[:, 0] * signs[:, 1]).mean()
        np.testing.assert_allclose(dataset["pairs_shots"][k, 0, 1], measured)
        operator = f"{basis[0]}0 {basis[1]}1"
        value = pp.evaluate_phases(found.rbm, pp.load_mps(folder / "state.nc"), [operator])
        [(mean, _)] = [x for name, x in value.observables.items() if name != "energy"]
        np.testing.assert_allclose(dataset["pairs_value"][k, 0, 1], mean, atol=1e-12)
    replica = pp.load_phase_rbm(folder / "run/ensemble/seed-1.nc")
    share = np.full(5, 0.2)
    distance = divergence(found.unpruned, replica, shots.bases, share)
    assert float(dataset["training_loss"][0]) == pytest.approx(distance)
    # Fits to n shots lose P / 2n on average; one of 28 degrees of freedom.
    assert 0.2 < distance / (free_parameters(found.unpruned) / 4800) < 3
    assert dataset["entropy"].values[0] == pytest.approx(
        pp.entanglement(found.rbm.vector, 1).entropy.value  # type: ignore[union-attr]
    )


def test_the_smallest_is_accepted_and_one_less_is_not(folder: Path) -> None:
    dataset = finished(folder / "run").dataset
    share = dict(zip(dataset["trial_weights"].values, dataset["trial_share"].values, strict=True))
    weights = dataset.attrs["weights"]
    assert share[weights] <= 1
    assert dataset.attrs["fewer"] == weights - 1
    assert weights == dataset["search_weights"].min()
    chosen = dataset["search_decay"].values[dataset["search_chosen"].values]
    assert chosen == [dataset.attrs["weight_decay"]]
    assert share[weights - 1] > 1
    assert weights == dataset.attrs["amplitude_weights"] + dataset.attrs["phase_weights"]


@pytest.mark.slow
def test_a_run_that_lost_files_ends_with_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(folder / "run", tmp_path / "run"))
    last = finished(run).dataset["trial_name"].values.tolist()[-1]
    gone = ("reconstruct.nc", "smallest.nc", "ensemble/seed-1.nc", f"path/{last}.nc", "report.html")
    for name in gone:
        (run / name).unlink()
    settings = pp.BasesSettings(
        hidden=(2,),
        seeds=2,
        prune=SearchSettings(fraction=0.3),
        observable=("Y0_Z1=Y0 Z1",),
    )
    run_bases(settings, pp.read_shots(folder / "shots.nc"), run)
    for name in gone[:-1]:
        assert (run / name).read_bytes() == (folder / "run" / name).read_bytes()
    line = tiny.refusal(tiny.call(*command(folder, run), "--seed", "7"))
    check_refusal(line, "config.toml", "seed = 0", 7)


@pytest.mark.slow
def test_python_gives_the_same_without_a_folder(folder: Path) -> None:
    shots = pp.read_shots(folder / "shots.nc")
    how: dict[str, Any] = {"hidden": 2, "seeds": 2, "prune": {"fraction": 0.3}}
    found = pp.reconstruct(shots, observables={"Y0_Z1": "Y0 Z1"}, progress=False, **how)
    assert isinstance(found, pp.PhaseReconstruction)
    done = finished(folder / "run")
    np.testing.assert_array_equal(found.rbm.vector, done.rbm.vector)
    assert found.report is None
    assert "held_out_by_basis(result.rbm, new_shots)" in str(found)
    assert repr(found.checks) == repr(done.checks)
    printed = json_of(tiny.call(*command(folder, folder / "run"), "--json"))
    assert printed["verdict"] == found.verdict
    assert printed["trials"][0]["weights"] == 18
    assert printed["next"][0]["command"].endswith("run/smallest.nc NEW_SHOTS")
    assert done.request.command() == (
        f"psiprune reconstruct {folder}/shots.nc --hidden 2 --observable "
        "'Y0_Z1=Y0 Z1' --seeds 2 --prune.fraction 0.3"
    )


@pytest.mark.slow
def test_bases_that_leave_a_sign_open_are_not_trusted() -> None:
    # (|00> +- i |11>) / sqrt(2) give the same outcomes in ZZ, XX and YY.
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2, (3, 800, 2), dtype=np.uint8)
    bits[0, :, 1] = bits[0, :, 0]
    shots = pp.Shots(bits.reshape(-1, 2), pp.PauliBases.of_groups(("ZZ", "XX", "YY"), [800] * 3))
    found = pp.reconstruct(shots, hidden=2, seeds=2, starts=6, progress=False)
    answers = {check.name: check.answer for check in found.checks}
    assert answers.pop(FITS) == "fail"
    assert "fail" not in answers.values()
    assert found.verdict == "not trusted"
    [step] = found.summary.steps
    assert "do not determine the state; measure in " in step.reason
    assert "XY" in step.reason
    assert "YX" in step.reason


@pytest.mark.slow
def test_a_mixed_state_is_not_trusted() -> None:
    """Equal parts of |00> and |11>: correlated in Z, and uniform in all other bases."""
    generator = np.random.default_rng(0)
    names = ("ZZ", "XX", "XY", "YX", "YY", "XZ", "ZX")
    bits = generator.integers(0, 2, (7, 600, 2), dtype=np.uint8)
    bits[0, :, 1] = bits[0, :, 0]
    shots = pp.Shots(bits.reshape(-1, 2), pp.PauliBases.of_groups(names, [600] * 7))
    found = pp.reconstruct(shots, hidden=2, seeds=2, starts=2, progress=False)
    failed = {check.name for check in found.checks if check.answer == "fail"}
    assert failed & {"sites and pairs", "configurations", "other models"}
    assert found.verdict == "not trusted"
    assert "unpruned RBM" in found.summary.cause[0].text


def test_a_basis_with_a_small_share_of_the_shots_may_not_be_wrong(folder: Path) -> None:
    """In each basis of the record only 1/28 of the loss per shot counts, whatever it is."""
    generator = np.random.default_rng(3)
    prob = np.full(16, 0.06)
    prob[0] = 0.1
    right = [deviance(prob, generator.multinomial(40, prob)) for _ in range(27)]
    other = np.zeros(16)
    other[[1, 2, 4, 8]] = 0.25
    wrong = deviance(prob, generator.multinomial(40, other))
    for each, expected in ((right[0], "pass"), (wrong, "fail")):
        found, freedom = zip(*right, each, strict=True)
        answer, worst, _, _ = judge_bases(found, freedom, [40] * 28, 0.05)
        assert answer == expected
        assert (worst == 27) == (expected == "fail")
    found, freedom = zip(*right, deviance(prob, np.eye(16)[0] * 4), strict=True)
    answer, worst, _, more = judge_bases(found, freedom, [40] * 27 + [4], 0.05)
    assert (answer, worst) == ("undecided", 27)
    assert more > 2
    run = finished(folder / "run")
    run.dataset["basis_deviance"][2] = 500.0
    check = next(each for each in run.checks if each.name == "bases")
    assert (check.answer, check.cause) == ("fail", "pruning")
    assert str(run.dataset["basis"].values[2]) in check.found
    assert run.verdict == "not trusted"


def test_the_deviance_of_a_right_model_follows_chi_squared() -> None:
    generator = np.random.default_rng(0)
    chances = []
    for _ in range(800):
        prob = generator.dirichlet(np.full(16, 0.5))
        found, freedom = deviance(prob, generator.multinomial(36, prob))
        chances.append(chdtrc(freedom, found))
    # Of 800, 40 and 8 are expected; 7 and 3 standard deviations of the count.
    assert 15 < np.sum(np.array(chances) < 0.05) < 65
    assert np.sum(np.array(chances) < 0.01) < 17


@pytest.mark.slow
def test_a_state_that_is_wrong_in_one_of_many_bases_is_not_trusted() -> None:
    """A W state with phases, of which 2 + 4 hidden units describe all bases but ZZZZ."""
    vector = np.zeros(16, complex)
    vector[[1, 2, 4, 8]] = np.exp(1j * np.random.default_rng(0).uniform(-3, 3, 4)) / 2
    shots = pp.sample(mps_from_vector(vector), 28 * 300, seed=1, bases="all-pairs", progress=False)
    found = pp.reconstruct(shots, hidden=2, starts=4, seeds=2, progress=False)
    assert isinstance(found, pp.PhaseReconstruction)
    assert found.rbm.fidelity(mps_from_vector(vector)) < 0.8
    assert found.verdict == "not trusted"
    assert "bases" in {check.name for check in found.checks if check.answer == "fail"}


@pytest.fixture(scope="module")
def quench() -> tuple[pp.MPS, pp.Shots]:
    """Shots of a quench of six sites in 13 bases, of whose bits 2 to 5 % are misread."""
    state = pp.quench(pp.TFIM(sites=6, field=1.0), 1.0, progress=False)
    zero, one = np.random.default_rng(0).uniform(0.02, 0.05, (2, 6))
    shots = pp.sample(state, 13_000, seed=1, bases="random:13", progress=False)
    return state, shots.with_readout_error(pp.ReadoutError.from_rates(zero, one), 5)


@pytest.mark.slow
def test_misread_shots_with_the_right_rates_are_trusted(quench: tuple[pp.MPS, pp.Shots]) -> None:
    state, shots = quench
    found = pp.reconstruct(shots, hidden=6, progress=False)
    assert isinstance(found, pp.PhaseReconstruction)
    assert found.verdict == "trusted"
    expected = float(found.dataset["infidelity"])
    # A sum over 126 directions, of which each has a relative variance of 2: 13 % at least.
    assert 1 - found.unpruned.fidelity(state) == pytest.approx(expected, rel=0.5)
    assert float(found.dataset["training_infidelity"].mean()) == pytest.approx(expected, rel=0.5)
    assert 1 - found.rbm.fidelity(state) < 3 * expected
    assert "p(1|0) = 0.0335" in str(found)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.0, 0.4, 2.0])
def test_misread_shots_with_wrong_rates_are_not_trusted(
    quench: tuple[pp.MPS, pp.Shots], factor: float
) -> None:
    """The loss of likelihood alone, 0.01 to 0.04 nats per shot, is within the tolerance."""
    shots = quench[1]
    assert shots.readout is not None
    wrong = pp.ReadoutError.from_rates(*factor * shots.readout.rates.T) if factor else None
    found = pp.reconstruct(replace(shots, readout=wrong), hidden=6, seeds=2, progress=False)
    assert {each.name for each in found.checks if each.answer == "fail"} == {RATES}
    assert found.verdict == "not trusted"
    assert "calibrate" in found.summary.steps[0].command


@pytest.mark.slow
def test_readout_errors_are_those_of_the_run(folder: Path, tmp_path: Path) -> None:
    """Other rates are another run; the commands that follow name the rates again."""
    run, call = tmp_path / "run", [*command(folder, tmp_path / "run"), "--readout", "0.001,0.002"]
    printed = json_of(tiny.call(*call, "--json"))
    assert printed["verdict"] == "trusted"
    assert printed["next"][0]["command"].endswith("NEW_SHOTS --readout 0.001,0.002")
    line = tiny.refusal(tiny.call(*command(folder, run), "--readout", "0.002"))
    check_refusal(line, "config.toml", "readout_sha256")
    line = tiny.refusal(tiny.call(*command(folder, run)))
    check_refusal(line, "config.toml", "readout_sha256")
    assert "--readout READOUT" in finished(run).request.command()
    (run / "report.html").unlink()
    assert json_of(tiny.call(*call, "--json")) == printed


def test_comparisons_are_of_records(folder: Path) -> None:
    """Each number of a basis against sums over states with an independent confusion matrix."""
    rbm, readout = finished(folder / "run").rbm, pp.ReadoutError.from_rates([0.1, 0.2, 0.3], 0.05)
    shots = pp.read_shots(folder / "shots.nc").take(slice(None, None, 10))
    found = basis_variables(rbm, replace(shots, readout=readout))
    one, two, three = (np.array([[1 - p, p], [0.05, 0.95]]) for p in (0.1, 0.2, 0.3))
    matrix = np.kron(three, np.kron(two, one))
    signs = np.array([[1 - 2 * (v >> i & 1) for i in range(3)] for v in range(8)])
    for k, (basis, bits) in enumerate(shots.by_basis().items()):
        prob = rbm.probabilities(basis) @ matrix
        logs = np.log(prob)[bits @ (1, 2, 4)]
        assert float(found["basis_log_likelihood"][k]) == pytest.approx(logs.mean())
        assert float(found["basis_expected"][k]) == pytest.approx(prob @ np.log(prob))
        ends = signs[:, 0] * signs[:, 2]
        assert float(found["pairs_value"][k, 0, 2]) == pytest.approx(prob @ ends)
        assert float(found["pairs_value"][k, 1, 1]) == pytest.approx(prob @ signs[:, 1])
    replica = pp.load_phase_rbm(folder / "run/ensemble/seed-1.nc")
    p, q = (each.probabilities("XXZ") @ matrix for each in (rbm, replica))
    assert divergence(rbm, replica, ["XXZ"], np.ones(1), readout) == pytest.approx(
        p @ np.log(p / q)
    )


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"ordered": 0}, set()),
        ({"dependence": "site 1: twice"}, {"independent shots"}),
        ({"drift": "<X> of site 0"}, {"drift"}),
        ({"ordered": 0, "dependence": "each shot twice"}, {"independent shots"}),
    ],
)
def test_the_order_of_the_shots(folder: Path, changed: dict[str, Any], names: set[str]) -> None:
    found = finished(folder / "run")
    made = {each.name for each in make_checks(found.dataset)}
    assert {"independent shots", "drift"} <= made
    found.dataset.attrs.update(changed)
    checks = make_checks(found.dataset)
    assert {each.name for each in checks if each.answer == "fail"} == names
    assert len(checks) == len(made) - (2 if changed == {"ordered": 0} else "ordered" in changed)
    assert ("their order is lost" in " ".join(str(found).split())) == ("ordered" in changed)
    shots = pp.read_shots(folder / "shots.nc")
    assert order_attributes(shots) == {"ordered": 1, "dependence": "", "drift": ""}
    doubled = order_attributes(shots.take(np.repeat(np.arange(3000), 2)))
    assert "recorded twice" in str(doubled["dependence"])


@pytest.mark.slow
def test_p_values_of_misread_outcomes_by_basis_are_uniform() -> None:
    """Of 40 records in 8 bases: Kolmogorov-Smirnov, p > 1e-3; below 1e-6 without the readout."""
    readout = pp.ReadoutError.from_rates([0.03, 0.05, 0.02], [0.04, 0.02, 0.05])
    state = random_phase_rbm(3, 3, 6)
    names = ("ZZZ", "XXX", "YYY", "XYZ", "ZXY", "YZX", "XZY", "ZYX")

    def drawn(each: int, seed: int) -> pp.Shots:
        bits = [state.sample(each, name, seed=8 * seed + k) for k, name in enumerate(names)]
        index = pp.PauliBases.of_groups(names, [each] * 8)
        return pp.Shots(np.concatenate(bits), index).with_readout_error(readout, seed)

    right: list[float] = []
    ignored: list[float] = []
    for seed in range(40):
        # Twenty times as many shots for the fit, whose error is then small beside that of the test.
        rbm = fit_phases(state, frequencies_for(drawn(4000, 2 * seed)), 50).rbm
        test = drawn(200, 2 * seed + 1)
        for shots, chances in ((test, right), (replace(test, readout=None), ignored)):
            found = basis_variables(rbm, shots)
            freedom, deviances = found["basis_freedom"].values, found["basis_deviance"].values
            chances += chdtrc(freedom, deviances).tolist()
    assert kstest(right, "uniform").pvalue > 1e-3
    assert kstest(ignored, "uniform").pvalue < 1e-6


def test_replicas_are_misread(folder: Path) -> None:
    """A readout that flips a third of all bits leaves a third of the correlations squared."""
    readout = pp.ReadoutError.from_rates(1 / 3, sites=3)
    shots = replace(pp.read_shots(folder / "shots.nc"), readout=readout)
    split = split_each_basis(shots, 0.2, 0)
    run = BasesRun(pp.BasesSettings(), shots, split, folder, {})
    rbm = finished(folder / "run").unpruned
    drawn = _replica(run, rbm, 5)
    assert drawn.readout is readout
    signs = 1 - 2 * (np.arange(8)[:, None] >> np.arange(3) & 1)
    for k, basis in enumerate(drawn.bases):
        rows = drawn.basis == k
        frequency = drawn.weight[rows] * drawn.shots.sum() / drawn.shots[k]
        means = frequency @ signs[drawn.outcome[rows]]
        error = 4 / drawn.shots[k] ** 0.5
        np.testing.assert_allclose(means, rbm.probabilities(basis) @ signs / 3, atol=error)


@pytest.mark.parametrize(
    ("chance", "answer"), [(0.02, "pass"), (0.005, "undecided"), (1e-6, "fail")]
)
def test_doubtful_readout_errors(folder: Path, chance: float, answer: str) -> None:
    found = finished(folder / "run")
    found.dataset["flips_p_value"] = chance
    check = next(each for each in make_checks(found.dataset) if each.name == RATES)
    assert check.answer == answer
    assert "likelier state" not in check.found
    [step] = found.summary.steps
    assert ("calibrate" in step.command) == (answer != "pass")
    found.dataset.attrs["agreement"] = 0.5
    check = next(each for each in make_checks(found.dataset) if each.name == RATES)
    assert ("a likelier state was missed" in check.found) == (answer != "pass")


def test_few_shots_are_not_enough_information(folder: Path) -> None:
    found = finished(folder / "run")
    found.dataset["infidelity"] = 0.2
    check = next(each for each in make_checks(found.dataset) if each.name == INFORMATION)
    assert check.answer == "undecided"
    assert check.shots_needed == 6000
    [step] = found.summary.steps
    assert str(found.dataset["suggested_basis"].values[0]) in step.reason
    assert "0.8000 to expect" in found.summary.state[0].text
    found = finished(folder / "run")
    found.dataset["infidelity"] = 1.22  # of earlier versions: a sum of changes that are not small
    assert "with the true state is unknown" in found.summary.state[0].text
    assert "unknown (above 0.5) by Fisher" in make_checks(found.dataset)[-1].found


@pytest.mark.parametrize(
    ("equal", "agreement", "verdict", "advice"),
    [
        (3, 0.3, "not trusted", "measure in XXZ, XYZ too"),
        (1, 0.3, "undecided", "from more starts"),
        (1, 0.95, "undecided", "from more starts"),
        (1, 0.995, "trusted", "new shots"),
    ],
)
def test_fits_that_disagree(
    folder: Path, equal: int, agreement: float, verdict: str, advice: str
) -> None:
    found = finished(folder / "run")
    changed = {"equally_likely": equal, "agreement": agreement, "distinguishing": "XXZ XYZ"}
    assert found.dataset.attrs["mirror"] == 1.0
    found.dataset.attrs.update(changed)
    assert found.verdict == verdict
    assert not found.summary.cause
    [step] = found.summary.steps
    assert advice in step.reason
    assert ("--starts 16" in step.command) == (verdict == "undecided")
    if verdict == "undecided":
        found = finished(folder / "run")
        found.dataset.attrs.update(changed | {"retrained": 1})
        assert "--hidden 4" in found.summary.steps[1].command


def test_a_mirror_image_as_likely_is_not_trusted_though_all_fits_agree(folder: Path) -> None:
    found = finished(folder / "run")
    assert found.dataset.attrs["agreement"] > 0.9
    changed = {"agreement": 0.04, "mirror": 0.04, "distinguishing": "ZZY"}
    found.dataset.attrs.update(changed)
    assert found.verdict == "not trusted"
    assert "with the true state is unknown" in found.summary.state[0].text
    found.dataset.attrs["mirror_sites"] = "0 2"
    assert "image of sites 0, 2 (complex" in make_checks(found.dataset)[-2].found
    assert "measure in ZZY too" in found.summary.steps[0].reason


def test_a_pruned_state_that_is_likelier_is_trained_again(folder: Path) -> None:
    """The unpruned state is not trained at all here, so any other is likelier."""
    found, shots = finished(folder / "run"), pp.read_shots(folder / "shots.nc")
    settings = pp.BasesSettings(hidden=(2,), starts=2, epochs=25)
    split = split_each_basis(shots, 0.2, 0)
    run = BasesRun(settings, shots, split, folder, {})
    poor = replace(random_phase_rbm(3, 2, 4, scale=2.0), provenance={"starts": 2})
    assert likelier_state(run, found.unpruned, [found.unpruned, found.rbm]) is None
    assert likelier_state(run, poor, [poor, found.rbm]) is found.rbm
    chosen = BasesCandidate(2, 4, folder / "choice.nc", poor)
    again = retrain(run, chosen, found.rbm)
    assert again.fidelity(found.unpruned) > 0.99
    assert again.number_of_weights == 18
    made = again.provenance
    assert (made["starts"], made["retrained"]) == (5, 1)


def test_a_basis_with_one_shot_is_in_the_training_set() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (401, 2), dtype=np.uint8)
    shots = pp.Shots(bits, pp.PauliBases.of_groups(("ZZ", "XX", "XY"), [200, 200, 1]))
    split = split_each_basis(shots, 0.6, 0)
    assert split.part[-1] == 0
    assert set(split.training.bases) == {"ZZ", "XX", "XY"}


def test_two_starts_that_agree_do_not_show_that_others_would(folder: Path) -> None:
    found = finished(folder / "run")
    found.dataset.attrs.update({"starts": 3, "equally_likely": 3, "agreement": 1.0})
    check = next(each for each in found.checks if each.name == FITS)
    assert check.answer == "undecided"
    assert "at least 4 starts" in check.found
    assert "--starts" in found.summary.steps[0].command


def test_the_parameters_that_count_are_at_most_those_of_a_state() -> None:
    found = [free_parameters(_rbm(sites)) for sites in (2, 5)]
    assert found == [2 * (2**2 - 1), 2 * (5 * 2 + 5 + 2)]


def _rbm(sites: int) -> pp.PhaseRBM:
    network = pp.RBM(np.ones((2, sites)), np.zeros(sites), np.zeros(2))
    return pp.PhaseRBM(network, network)


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        ({"scale_free": 4}, ["scale_free", "5 bases"]),
        ({"settings": pp.ReconstructSettings()}, ["settings", "BasesSettings"]),
        ({"prune": {"criterion": "random"}}, ["criterion", "'random'"]),
        ({"observables": {"g": "g2"}}, ["observable", "g"]),
        ({"held_out": 0.01}, ["shots.nc", "0.01 held out", 30]),
        ({"starts": 1}, ["starts", 1]),
        ({"max_time": 1e-3}, ["reconstruct", "estimated", "max_time=None"]),
    ],
)
def test_what_is_refused(folder: Path, given: dict[str, Any], facts: list[object]) -> None:
    shots = pp.read_shots(folder / "shots.nc")
    with refuses(*facts):
        pp.reconstruct(shots, progress=False, **given)


def test_shots_in_z_take_no_options_of_several_bases(tmp_path: Path) -> None:
    shots = pp.Shots(np.zeros((400, 2), np.uint8))
    shots.save(tmp_path / "z.nc")
    with refuses("phase_hidden", "several bases", "omit it"):
        pp.reconstruct(shots, phase_hidden=2)
    with refuses("settings", "ReconstructSettings"):
        pp.reconstruct(shots, settings=pp.BasesSettings())
    out = tmp_path / "run"
    line = tiny.refusal(tiny.call("reconstruct", tmp_path / "z.nc", "--starts", 2, "--out", out))
    check_refusal(line, "--starts", "several bases", "omit it")
    assert not out.exists()
