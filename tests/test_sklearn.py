"""The estimator keeps scikit-learn's contract, and is psiprune's RBM to the last bit."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import exact
import psiprune as pp
from machines import magnet
from psiprune.data.shots import as_shots
from psiprune.metrics import draws
from refusals import check_facts, refuses

sklearn = pytest.importorskip("sklearn", reason="pip install '.[sklearn]' runs the estimator")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import ConvergenceWarning, NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import Binarizer  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402
from sklearn.utils.validation import validate_data  # noqa: E402

from psiprune.sklearn import RBMDensity  # noqa: E402

BITS = magnet(4, 2, 2.0, tilt=1.0).sample_exact(300, seed=3)
ONE, TWO = pp.CD(epochs=1), pp.CD(epochs=2)

#: Checks of scikit-learn that do not apply, since they fit or score numbers that are no bits.
NOT_BITS = {
    *("check_dict_unchanged", "check_dont_overwrite_parameters", "check_estimators_dtypes"),
    *("check_estimators_fit_returns_self", "check_estimators_overwrite_params"),
    *("check_f_contiguous_array_estimator", "check_fit2d_1feature", "check_fit2d_1sample"),
    *("check_fit2d_predict1d", "check_fit_check_is_fitted", "check_fit_idempotent"),
    *("check_methods_sample_order_invariance", "check_methods_subset_invariance"),
    *("check_n_features_in", "check_n_features_in_after_fitting"),
    *("check_positive_only_tag_during_fit", "check_readonly_memmap_input"),
}


class Thresholded(RBMDensity):
    """The same on any numbers: 1 above 1. It lets the checks through that have no bits."""

    def _shots(self, X: Any, *, reset: bool) -> pp.Shots:
        return pp.Shots(validate_data(self, X, reset=reset) > 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = False
        return tags


def outcomes(estimator: RBMDensity) -> dict[str, tuple[str, str]]:
    """check -> (status, message), the worst of each name."""
    found: dict[str, tuple[str, str]] = {}
    for each in check_estimator(estimator, on_fail=None, on_skip=None):
        if found.get(each["check_name"], ("passed",))[0] == "passed":
            found[each["check_name"]] = each["status"], str(each["exception"])
    # It asks for an environment variable before Python starts, and for arrays of other libraries.
    assert found.pop("check_array_api_input", ("skipped",))[0] == "skipped"
    return found


@pytest.mark.filterwarnings("ignore")
def test_the_checks_of_scikit_learn_pass_or_have_no_bits() -> None:
    found = outcomes(RBMDensity(method=pp.CD(epochs=1, steps=1)))
    assert len(found) > 30
    failed = {name: message for name, (status, message) in found.items() if status != "passed"}
    assert set(failed) <= NOT_BITS
    for name, message in failed.items():
        reason = "Negative values" if "positive" in name else "a bit must be 0 or 1"
        assert reason in message, name


@pytest.mark.filterwarnings("ignore")
def test_the_checks_that_have_no_bits_pass_on_thresholded_numbers() -> None:
    found = outcomes(Thresholded(method=pp.CD(epochs=1, steps=1)))
    assert {name: each for name, each in found.items() if each[0] != "passed"} == {}
    assert set(found) >= NOT_BITS


def test_it_is_the_rbm_of_train() -> None:
    found = RBMDensity(3, method=pp.CD(epochs=4, learning_rate=0.2), random_state=7).fit(BITS)
    rbm = pp.train(BITS, hidden=3, seed=7, method=pp.CD(epochs=4, learning_rate=0.2))
    np.testing.assert_array_equal(found.rbm_.weights, rbm.weights)
    assert found.rbm_.provenance == rbm.provenance
    assert found.n_features_in_ == 4
    space = exact.basis(4)
    np.testing.assert_allclose(found.score_samples(space), rbm.log_prob(space), atol=1e-12)
    assert np.exp(found.score_samples(space)).sum() == pytest.approx(1.0, abs=1e-12)
    assert found.score(BITS) == pytest.approx(rbm.log_prob(BITS).mean(), abs=1e-12)


def test_counts_and_shots_stand_for_their_rows() -> None:
    counts = {"0101": 12, "1100": 3}
    shots = as_shots(counts)
    fitted = [RBMDensity(2, method=ONE, random_state=7).fit(X) for X in (counts, shots, shots.bits)]
    for found in fitted:
        np.testing.assert_array_equal(found.rbm_.weights, fitted[2].rbm_.weights)
        assert found.n_features_in_ == 4
        assert found.score(counts) == found.score(shots) == found.score(shots.bits)
    with pytest.raises(ValueError, match=r"3 features, but RBMDensity is expecting 4"):
        fitted[0].score({"010": 1})
    with refuses("counts"):
        RBMDensity(2).fit({"0101": -1})


def test_parameters_are_those_of_the_settings() -> None:
    names = set(inspect.signature(RBMDensity).parameters)
    assert names == {"hidden", "method", "initial", "random_state"}
    for method in ("exact", pp.CD(epochs=3), {"method": "cd", "epochs": 3}):
        given = RBMDensity(2, method=method, random_state=1)
        assert clone(given).get_params() == given.get_params()
    assert given.set_params(method="cd").method == "cd"


def test_sampling_follows_the_probabilities_and_the_random_state() -> None:
    found = RBMDensity(2, method="exact", random_state=0).fit(BITS)
    drawn = found.sample(4000, random_state=1)
    assert drawn.shape == (4000, 4)
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, found.sample(4000, random_state=1))
    assert (drawn != found.sample(4000, random_state=2)).any()
    expected = 4000 * np.exp(found.score_samples(exact.basis(4)))
    seen = np.bincount(drawn @ (1 << np.arange(4)), minlength=16)
    order = exact.basis(4) @ (1 << np.arange(4))
    chi = ((seen[order] - expected) ** 2 / expected).sum()
    assert chi < 37.7  # 99.9 % of chi-squared with 15 degrees of freedom
    flat = ((seen[order] - 250.0) ** 2 / 250.0).sum()
    assert flat > 1000  # and the test can fail


def test_random_states_of_numpy_go_on() -> None:
    state = np.random.RandomState(0)
    found = RBMDensity(2, method=ONE, random_state=state).fit(BITS)
    other = RBMDensity(2, method=ONE, random_state=state).fit(BITS)
    assert (found.rbm_.weights != other.rbm_.weights).any()
    assert (found.sample(50) != found.sample(50)).any()


def test_without_independent_draws_chains_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    found = RBMDensity(2, method=ONE, random_state=0).fit(BITS)
    monkeypatch.setattr(draws, "independent_draws", lambda *_, **__: None)
    assert found.sample(1500, random_state=0).shape == (1500, 4)
    monkeypatch.setattr(draws, "MOST_R_HAT", 0.5)  # nothing agrees so well
    monkeypatch.setattr(draws, "MOST_STEPS", 2_000)
    with pytest.warns(ConvergenceWarning, match="not converged"):
        found.sample(10, random_state=0)


def test_a_doubtful_partition_sum_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    doubtful = pp.LogPartition(0.0, 1.0, "annealing", 2.0, {"warning": "use more temperatures"})
    monkeypatch.setattr("psiprune.sklearn.log_partition", lambda *_, **__: doubtful)
    with pytest.warns(ConvergenceWarning, match="use more temperatures"):
        RBMDensity(2, method=ONE).fit(BITS)


def test_a_fitted_estimator_can_be_pickled() -> None:
    found = RBMDensity(2, method=ONE, random_state=0).fit(BITS)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.score_samples(BITS), found.score_samples(BITS))
    np.testing.assert_array_equal(again.sample(9, random_state=1), found.sample(9, random_state=1))


def test_a_grid_search_finds_the_hidden_units_that_data_need() -> None:
    # One hidden unit is enough for two wells; without interactions there are none.
    methods = [pp.ExactNaturalGradient(weight_decay=decay) for decay in (0.0, 100.0)]
    grid = {"hidden": [1, 2], "method": methods}
    search = GridSearchCV(RBMDensity(random_state=0), grid, cv=3, error_score="raise").fit(BITS)
    assert search.best_params_["method"].weight_decay == 0.0
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    free = (
        pp.train(BITS, hidden=1, method=pp.ExactNaturalGradient(weight_decay=100.0))
        .log_prob(BITS)
        .mean()
    )
    assert search.best_score_ > free + 0.1
    assert search.score(BITS) == search.best_estimator_.score(BITS)


def test_a_pipeline_from_voltages_to_a_likelihood() -> None:
    volts = BITS - 0.5 + np.random.default_rng(0).uniform(-0.4, 0.4, BITS.shape)
    pipeline = make_pipeline(Binarizer(), RBMDensity(2, method=TWO, random_state=0)).fit(volts)
    alone = RBMDensity(2, method=TWO, random_state=0).fit(BITS)
    np.testing.assert_array_equal(pipeline.score_samples(volts), alone.score_samples(BITS))
    assert pipeline.score(volts) == alone.score(BITS)


@pytest.mark.parametrize(
    ("parameters", "facts"),
    [
        ({"hidden": 0}, ("hidden: ", 1, 0)),
        ({"method": {"method": "cd", "epochs": -1}}, ("epochs: ", 0, -1)),
        ({"method": "sgd"}, ("method: ", "'sgd'")),
        ({"random_state": -1}, ("seed: ", 0, -1)),
        ({"random_state": "now"}, ("'now'", "seed")),
    ],
    ids=str,
)
def test_bad_parameters_are_told_when_fitted(
    parameters: dict[str, Any], facts: tuple[object, ...]
) -> None:
    estimator = RBMDensity(**parameters)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        estimator.fit(BITS)
    check_facts(str(caught.value), *facts)


def test_bad_data_are_told_with_the_way_out() -> None:
    with refuses("array", "0 or 1", -1, "bits = (1 - z) // 2"):
        RBMDensity().fit(1 - 2 * BITS.astype(int))
    with pytest.raises(NotFittedError):
        RBMDensity().score_samples(BITS)
    with refuses("n_samples", 1, 0):
        RBMDensity(method=pp.CD(epochs=0)).fit(BITS).sample(0)


def test_without_scikit_learn_there_is_a_clear_line() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import psiprune.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: psiprune.sklearn needs scikit-learn 1.6 or later; "
        "pip install 'psiprune[sklearn]'"
    )
