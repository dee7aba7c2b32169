"""Training methods: fields, the choice by name and size, and one step against its formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import Field, ValidationError

import psiprune as pp
from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_GRADIENT_UNITS, FISHER_PARAMETERS
from psiprune.core.settings import Settings
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from psiprune.training.method import Method, decayed
from psiprune.training.methods import (
    METHOD_FIELDS,
    METHODS,
    AnyMethod,
    MethodBySize,
    as_method,
    by_size_fine_tuning,
    method_fields,
)
from psiprune.training.train import fit
from refusals import refuses

Float64 = NDArray[np.float64]
CONTRASTIVE = {
    *("method", "epochs", "batch_size", "steps", "learning_rate", "learning_rate_decay"),
    *("momentum", "weight_decay"),
}
FIELDS: dict[str, set[str]] = {
    "cd": CONTRASTIVE,
    "pcd": CONTRASTIVE,
    "natural": (CONTRASTIVE - {"batch_size", "momentum"}) | {"chains", "symmetry"},
    "exact": {"method", "epochs", "weight_decay", "symmetry"},
}
KINDS: dict[str, type[Method]] = {
    "cd": pp.CD,
    "pcd": pp.PCD,
    "natural": pp.NaturalGradient,
    "exact": pp.ExactNaturalGradient,
}
names = pytest.mark.parametrize("name", KINDS)


def of(kind: type[Method], **values: Any) -> Method:
    return kind(**values)


# --- fields ----------------------------------------------------------------------------------


@names
def test_a_class_has_its_fields_alone(name: str) -> None:
    kind = KINDS[name]
    assert METHODS[name] is kind
    assert set(kind.model_fields) == FIELDS[name]
    assert of(kind, epochs=1, method=name).method == name
    assert kind(epochs=1).model_dump(exclude_unset=True) == {"epochs": 1, "method": name}
    assert MethodBySize().model_dump(exclude_unset=True) == {"method": "auto"}
    with refuses("epochs", "number", "'3'"):
        of(kind, epochs="3")
    with pytest.raises(ValidationError):
        kind(epochs=1).epochs = 2  # frozen
    for other in set(METHOD_FIELDS) - FIELDS[name]:
        with refuses(other, kind.__name__, *FIELDS[name]):
            of(kind, epochs=1, **{other: 1})


@names
def test_defaults_of_fine_tuning_differ_where_the_class_says_so(name: str) -> None:
    kind = KINDS[name]
    usual, tuning = kind(**{}).model_dump(), kind.for_fine_tuning().model_dump()
    assert {key for key in usual if usual[key] != tuning[key]} == set(kind.FINE_TUNING)
    assert {key: tuning[key] for key in kind.FINE_TUNING} == dict(kind.FINE_TUNING)
    assert kind.for_fine_tuning(epochs=7).epochs == 7


# --- names, tables and None ------------------------------------------------------------------


@names
def test_a_name_stands_for_the_defaults(name: str) -> None:
    kind = KINDS[name]
    assert as_method(name) == kind(**{})
    assert as_method(name, fine_tuning=True) == kind.for_fine_tuning()
    assert as_method({"method": name, "epochs": 3}) == kind(epochs=3)
    tuned = as_method({"method": name, "epochs": 3}, fine_tuning=True)
    assert tuned == kind.for_fine_tuning(epochs=3)
    assert as_method(kind(epochs=3)) == kind(epochs=3)


def test_a_table_without_a_method_changes_the_default() -> None:
    assert as_method({}) == MethodBySize()
    assert as_method({}, fine_tuning=True) == MethodBySize.for_fine_tuning()
    assert as_method({"epochs": 7}) == MethodBySize(epochs=7)
    default = pp.CD(epochs=40, steps=2)
    assert as_method({}, default) == default
    assert as_method({"epochs": 7}, default) == pp.CD(epochs=7, steps=2)


def test_a_table_with_a_method_replaces_the_default() -> None:
    default = pp.CD(epochs=40, steps=2)
    assert as_method({"method": "cd", "momentum": 0.5}, default) == pp.CD(momentum=0.5)
    assert as_method({"method": "pcd", "momentum": 0.5}, default) == pp.PCD(momentum=0.5)
    assert as_method({"method": "exact"}, default) == pp.ExactNaturalGradient()
    assert as_method("cd", default) == pp.CD()


class Both(Settings):
    """Settings of a training and of fine-tuning."""

    train: AnyMethod = Field(default_factory=lambda: pp.CD(epochs=40, steps=2))
    fine_tune: AnyMethod | None = Field(default_factory=by_size_fine_tuning)

    _methods = method_fields("train", "fine_tune")


class Inherits(Both):
    """Whose fields are those of its base."""


@pytest.mark.parametrize("kind", [Both, Inherits])
def test_fields_of_settings_take_names_and_tables(kind: Any) -> None:
    assert (kind().train, kind().fine_tune) == (
        pp.CD(epochs=40, steps=2),
        MethodBySize.for_fine_tuning(),
    )
    assert kind(train={"epochs": 7}).train == pp.CD(epochs=7, steps=2)  # updates the default
    assert kind(train="pcd").train == pp.PCD()
    assert kind(fine_tune=None).fine_tune is None
    with pytest.raises(InputError, match=r"train\.method: must be a method"):
        kind(train=None)
    tuned = kind(fine_tune="pcd").fine_tune
    assert tuned == pp.PCD.for_fine_tuning()
    # Read again from the fields set, also as a method of training.
    assert as_method(tuned.model_dump(exclude_unset=True)) == tuned
    assert as_method(kind(train="pcd").train.model_dump(exclude_unset=True)) == pp.PCD()
    assert kind(train="pcd").train.model_fields_set == {"method"}
    given = kind(fine_tune=pp.PCD(epochs=3)).fine_tune
    assert given == pp.PCD(epochs=3)
    assert as_method(given.model_dump(exclude_unset=True), fine_tuning=True) == given


def test_settings_without_the_fields_may_share_the_validator() -> None:
    class One(Settings):
        fine_tune: AnyMethod = Field(default_factory=by_size_fine_tuning)
        _methods = method_fields("train", "fine_tune")

    assert One(fine_tune="cd").fine_tune == pp.CD.for_fine_tuning()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        (None, ("method", "'auto'", "None")),
        ("sgd", ("method", "auto, exact, natural, pcd, cd", "'sgd'")),
        ({"method": "sgd"}, ("method", "'sgd'")),
        ({"method": ["cd"]}, ("method", "['cd']")),
        ({"method": "exact", "steps": 3}, ("steps", "'exact'", "epochs, weight_decay", "cd")),
        ({"method": "cd", "chains": 3}, ("chains", "'cd'", "batch_size, steps", "natural")),
        ({"method": "cd", "learning_rat": 3}, ("learning_rat", "learning_rate")),
        ({"steps": 3}, ("steps", "by size", "has epochs", "natural, pcd, cd", "name the method")),
        ({"method": "cd", "cd_steps": 3}, ("cd_steps", "give method cd with steps")),
        ({"fine_tuning": True}, ("fine_tuning", "by size")),
        ({"method": "cd", "epochs": "3"}, ("epochs", "number", "'3'")),
        ({"method": "cd", "epochs": True}, ("epochs", "number", "True")),
        ({"method": "cd", "epochs": -1}, ("epochs", "-1")),
        ({"method": "cd", "learning_rate": float("nan")}, ("learning_rate", "nan")),
    ],
    ids=str,
)
def test_what_is_no_method_is_refused(given: Any, facts: tuple[str, ...]) -> None:
    for call in (as_method, lambda method: pp.train([[0, 1], [1, 0]], method=method)):
        with pytest.raises(InputError) as caught:
            call(given)
        message = str(caught.value)
        assert message.startswith(f"{facts[0]}: ")
        assert "\n" not in message
        for fact in facts:
            assert fact in message


# --- the default by size ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visible", "hidden", "kind"),
    [
        (18, 9, pp.ExactNaturalGradient),
        (18, 18, pp.ExactNaturalGradient),
        (18, 40, pp.ExactNaturalGradient),
        (1000, 18, pp.ExactNaturalGradient),
        (19, 19, pp.NaturalGradient),
        (100, 50, pp.NaturalGradient),
        (176, 112, pp.NaturalGradient),  # 177 * 113 - 1 = 20,000 parameters
        (177, 112, pp.PCD),
        (72, 273, pp.PCD),  # 73 * 274 - 1 = 20,001 parameters
        (112, 176, pp.NaturalGradient),
        (1200, 18, pp.PCD),
    ],
)
def test_the_default_follows_the_size(visible: int, hidden: int, kind: type[Method]) -> None:
    assert (EXACT_GRADIENT_UNITS, FISHER_PARAMETERS) == (18, 20_000)
    wide = kind is pp.NaturalGradient and hidden > visible / 2
    steps: dict[str, Any] = {"epochs": 400} if wide else {}
    assert MethodBySize().for_size(visible, hidden) == kind(**steps)
    assert MethodBySize(epochs=7).for_size(visible, hidden) == kind(epochs=7)
    tuning = MethodBySize.for_fine_tuning()
    assert tuning.for_size(visible, hidden) == kind.for_fine_tuning()


def test_the_default_follows_the_number_of_weights() -> None:
    found = {
        weights: MethodBySize().for_size(200, 200, weights=weights)
        for weights in (None, 19_601, 19_600, 2_000)
    }
    assert found == {
        None: pp.PCD(),
        19_601: pp.PCD(),
        19_600: pp.NaturalGradient(epochs=400),  # 20,000 parameters
        2_000: pp.NaturalGradient(epochs=400),
    }
    assert MethodBySize().for_size(40, 20) == pp.NaturalGradient()
    assert MethodBySize().for_size(40, 21) == pp.NaturalGradient(epochs=400)
    assert MethodBySize(epochs=7).for_size(40, 21) == pp.NaturalGradient(epochs=7)
    tuning = MethodBySize.for_fine_tuning().for_size(40, 21)
    assert tuning == pp.NaturalGradient.for_fine_tuning()
    assert pp.NaturalGradient().for_size(200, 200, weights=19_600) == pp.NaturalGradient()
    with refuses("method", "'natural'", "20,000", "20,001", "'pcd'"):
        pp.NaturalGradient().for_size(200, 200, weights=19_601)


def test_train_takes_the_default_of_its_size() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (50, 19), dtype=np.uint8)
    made = {
        hidden: pp.train(bits, hidden=hidden, method={"epochs": 0}).provenance["method"]
        for hidden in (9, 18, 19)
    }
    assert made == {9: "exact", 18: "exact", 19: "natural"}
    with refuses("method", "'exact'", 18, "19 visible", "19 hidden"):
        pp.train(bits, hidden=19, method="exact")


@pytest.mark.parametrize("method", [pp.NaturalGradient(), pp.ExactNaturalGradient()], ids=str)
def test_a_fisher_matrix_has_a_largest_size(
    monkeypatch: pytest.MonkeyPatch, method: Method
) -> None:
    shots, few = pp.Shots(np.eye(4, dtype=np.uint8)), np.eye(3, 4) == 1
    for limit in (19, 18):
        for module in ("natural_gradient", "exact_natural_gradient"):
            monkeypatch.setattr(f"psiprune.training.{module}.FISHER_PARAMETERS", limit)
        calls: list[Callable[[], object]] = [lambda: method.init(initial_rbm(4, 3, 0), shots, 0)]
        if method.method == "natural":
            calls.append(lambda: method.for_size(4, 3))
        for call in calls:
            if limit == 19:
                call()
            else:
                with refuses("method", f"'{method.method}'", 18, 19, "'pcd'"):
                    call()
    assert method.init(initial_rbm(4, 3, 0, few), shots, 0).epoch == 0
    with refuses("method", "'exact'", 18, "19 visible", "20 hidden"):
        pp.ExactNaturalGradient().init(
            initial_rbm(19, 20, 0), pp.Shots(np.eye(19, dtype=np.uint8)), 0
        )


# --- what was used ---------------------------------------------------------------------------


@names
def test_provenance_names_the_method_with_every_field(name: str) -> None:
    method = KINDS[name](epochs=1)
    bits = np.random.default_rng(0).integers(0, 2, (300, 4), dtype=np.uint8)
    rbm = pp.train(bits, hidden=2, seed=3, method=method)
    recorded = dict(rbm.provenance)
    recorded.pop("training_warnings", None)  # one epoch may leave it worse than independent bits
    used = FIELDS[name] - {"symmetry"}  # this training has none
    assert {key: recorded[key] for key in used} == method.model_dump()
    assert recorded["initial"] == method.INITIAL[0]
    others = {"seed": 3, "training_shots": 300, "epochs_done": 1}
    if name == "exact":
        others["converged"] = 0
    assert {key: recorded[key] for key in recorded.keys() - used - {"initial"}} == others
    shown = ", ".join(f"{key}={recorded[key]}" for key in method.model_dump(exclude={"method"}))
    assert str(method) == f"{name} ({shown})"


@names
def test_a_training_is_init_and_steps(name: str) -> None:
    method = KINDS[name](epochs=4)
    shots = pp.Shots(np.random.default_rng(0).integers(0, 2, (300, 4), dtype=np.uint8))
    start = initial_rbm(4, 3, seed=7)
    state = method.init(start, shots, 5)
    assert state.epoch == 0
    seen: list[RBM] = []
    while state.epoch < method.epochs and not state.done:
        before, epoch = state.rbm.weights.copy(), state.epoch
        after, _ = method.step(state)
        np.testing.assert_array_equal(state.rbm.weights, before)  # a state does not change
        assert (state.epoch, after.epoch) == (epoch, epoch + 1)
        state = after
        seen.append(state.rbm)
    watched: list[RBM] = []
    fitted = fit(start, shots, method, 5, lambda progress: watched.append(progress.rbm))
    assert len(watched) == len(seen)
    for one, other in zip([*watched, fitted], [*seen, state.rbm], strict=True):
        for part in ("weights", "visible_bias", "hidden_bias"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_the_learning_rate_falls_exponentially() -> None:
    rates = [decayed(0.5, 0.01, epoch, 5) for epoch in range(5)]
    np.testing.assert_allclose(rates, 0.5 * 0.01 ** (np.arange(5) / 4), rtol=1e-12)
    assert decayed(0.5, 0.01, 0, 1) == 0.5
    assert decayed(0.5, 0.01, 1, 2) == pytest.approx(0.005)


def test_the_method_chosen_by_size_takes_the_weight_decay_that_all_have() -> None:
    for sites, kind in ((4, pp.ExactNaturalGradient), (40, pp.NaturalGradient), (400, pp.PCD)):
        chosen = as_method({"weight_decay": 0.25}).for_size(sites, sites)
        assert (type(chosen), chosen.model_dump()["weight_decay"]) == (kind, 0.25)
        default = as_method("auto").for_size(sites, sites).model_dump()["weight_decay"]
        assert default == kind().weight_decay
