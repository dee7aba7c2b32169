"""A user's own observables: loaded from a file, called with care, compared with shots."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rates
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.metrics.custom import Observable, _lies_in, load_observable, observe
from psiprune.metrics.loss_tests import judge_observables
from psiprune.metrics.observed import estimate_from_draws
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from refusals import refuses

BITS = np.random.default_rng(0).integers(0, 2, (50, 4), dtype=np.uint8)
RBM_OF_4 = initial_rbm(4, 2, seed=3)


def test_a_function_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import numpy as np\ndef first(bits):\n    return bits[:, 0]\n")
    name, function = load_observable(f"{file}:first")
    assert name == "first"
    np.testing.assert_array_equal(observe(name, function, BITS), BITS[:, 0])
    assert observe("mean", lambda bits: bits.mean(), BITS).shape == ()


def test_a_file_with_a_dataclass_and_a_module_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from helper import site\n"
        "from helpers.more import more\n"
        "@dataclass\nclass Part:\n    first: int\n"
        "def one(bits):\n    return bits[:, Part(site + more).first]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)  # the file's own folder comes first
    (tmp_path / "helper.py").write_text("site = 1\n")
    before, path = set(sys.modules), list(sys.path)
    for folder, site in (("a", 0), ("b", 2)):  # one name, two folders: each has its own helper
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(code)
        (tmp_path / folder / "helper.py").write_text(f"site = {site}\n")
        (tmp_path / folder / "helpers").mkdir()
        (tmp_path / folder / "helpers/__init__.py").touch()
        (tmp_path / folder / "helpers/more.py").write_text(f"more = {site // 2}\n")
    a = load_observable(f"{tmp_path}/a/mine.py:one")[1]
    b = load_observable(f"{tmp_path}/b/mine.py:one")[1]
    np.testing.assert_array_equal(observe("one", a, BITS), BITS[:, 0])
    np.testing.assert_array_equal(observe("one", b, BITS), BITS[:, 3])
    assert sys.path == path
    assert not [name for name in set(sys.modules) - before if "psiprune_own" not in name]


def test_a_module_that_is_new_in_a_known_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}_helper.py").write_text("site = 1\n")
        code = f"from {name}_helper import site\ndef one(bits): return site\n"
        (tmp_path / f"{name}.py").write_text(code)
        os.utime(tmp_path, (1e9, 1e9))  # as if both were written within a tick of the clock
        assert observe("one", load_observable(f"{tmp_path}/{name}.py:one")[1], BITS) == 1


@pytest.mark.parametrize(
    ("code", "place", "facts"),
    [
        ("", "mine.py", ("FILE.py:function", "mine.py'")),
        ("", "mine.txt:first", ("FILE.py:function", "mine.txt:first'")),
        ("", "mine.py:1st", ("FILE.py:function", "mine.py:1st'")),
        ("", "mine.py:class", ("FILE.py:function", "mine.py:class'")),
        ("", "none.py:first", ("no file", "none.py")),
        ("def other(bits): ...", "mine.py:first", ("mine.py", "'first'", "other")),
        ("def _f(): ...\nfrom os import stat", "mine.py:first", ("mine.py", "it has none")),
        ("first = 3", "mine.py:first", ("mine.py", "'first'", "it has none")),
        ("def first(", "mine.py:first", ("SyntaxError: '('", "(line 1)")),
        ("\n1 / 0", "mine.py:first", ("ZeroDivisionError", "(mine.py line 2)")),
        ("raise SystemExit(3)", "mine.py:first", ("SystemExit: 3",)),
    ],
)
def test_a_file_that_does_not_do(
    tmp_path: Path, code: str, place: str, facts: tuple[str, ...]
) -> None:
    (tmp_path / "mine.py").write_text(code)
    with refuses("observable", *facts):
        load_observable(str(tmp_path / place))


def change(bits: Any) -> Any:
    bits[0, 0] = 1
    return bits[:, 0]


@pytest.mark.parametrize(
    ("function", "facts"),
    [
        (lambda bits: 1 / 0, ("ZeroDivisionError", "test_custom.py line ")),
        (lambda: 0, ("TypeError: ",)),
        (lambda bits: bits, ([50, 4],)),
        (lambda bits: bits[:3, 0], ("50 shots", [3])),
        (lambda bits: float("nan"), ("finite", "nan")),
        (lambda bits: np.where(np.arange(len(bits)) == 7, np.inf, 0), ("finite", "inf", "shot 7")),
        (lambda bits: "many", ("numbers", "str")),
        (lambda bits: 1j, ("numbers", "complex")),
        (lambda bits: None, ("numbers", "NoneType")),
        (lambda bits: {"a": 1}, ("numbers", "dict")),
        (lambda bits: ["a"] * len(bits), ("numbers", "<U1")),
        (lambda bits: sys.exit(3), ("SystemExit: 3", "test_custom.py line ")),
        (change, ("ValueError: ", "read-only", "test_custom.py line ")),
    ],
)
def test_a_function_that_fails_is_one_line(function: Observable, facts: tuple[object, ...]) -> None:
    with refuses("observable 'mine'", *facts):
        evaluate_on_shots(RBM_OF_4, BITS, draws=100, observables={"mine": function})
    with refuses("observable 'mine'", *facts) as caught:
        observe("mine", function, BITS)
    assert (" line " in str(caught.value)) == any(" line " in str(fact) for fact in facts)
    assert BITS.flags.writeable


@pytest.mark.parametrize(
    ("names", "facts"),
    [
        ({"correlation": len}, ("'correlation'",)),
        ({"shots": len}, ("'shots'",)),
        ({"a b": len}, ("identifier", "'a b'")),
        ({"a": 3}, ("'a'", "function", 3)),
    ],
)
def test_names(names: Any, facts: tuple[object, ...]) -> None:
    with refuses("observables", *facts):
        evaluate_on_shots(RBM_OF_4, BITS, draws=100, observables=names)


def test_own_observables_stand_as_psiprunes_do() -> None:
    """|m| as one's own is |m|; as one number for all shots it has the same error, resampled."""

    def size(bits: Any) -> Any:
        return np.abs(1 - 2 * bits.mean(axis=1))

    own: dict[str, Observable] = {"mine": size, "number": lambda bits: size(bits).mean()}
    shots = RBM_OF_4.sample_exact(2000, seed=1)
    report = evaluate_on_shots(RBM_OF_4, shots, draws=2000, seed=2, observables=own)
    theirs, mine, number = (
        report.comparison(name) for name in ("abs_magnetization", "mine", "number")
    )
    for each in (mine, number):
        assert each.value == pytest.approx(theirs.value, rel=1e-12)
        assert each.shots_value == pytest.approx(theirs.shots_value, rel=1e-6)
    assert mine.error == pytest.approx(theirs.error, rel=1e-9)
    assert mine.shots_error == pytest.approx(theirs.shots_error, rel=1e-4)
    # 100 resamples know an error to 7 %, 400 to 3.5 %.
    assert number.error == pytest.approx(theirs.error, rel=0.3)
    assert number.shots_error == pytest.approx(theirs.shots_error, rel=0.35)
    assert [name for name, _ in report][-2:] == ["mine", "number"]
    plain = evaluate_on_shots(RBM_OF_4, shots, draws=2000, seed=2)
    assert plain.log_likelihood.error == report.log_likelihood.error
    # The product that resamples has more columns with them, which some BLAS round differently.
    np.testing.assert_allclose(
        plain.correlation.shots_error, report.correlation.shots_error, rtol=1e-6
    )


def test_a_number_that_no_shot_changes_is_still_uncertain() -> None:
    """Its error is 1 / n like that of values of single shots, so a rounding error is no loss."""
    frozen = RBM(np.zeros((1, 3)), np.full(3, 50.0), np.zeros(1))
    own: dict[str, Observable] = {
        "number": lambda bits: (0.1 * bits.mean(axis=1)).mean(),
        "values": lambda bits: 0.1 * bits.mean(axis=1),
    }
    bits = np.ones((1200, 3), np.uint8)
    report = evaluate_on_shots(frozen, bits, draws=3001, observables=own)
    for name in own:
        found = report.comparison(name)
        assert float(found.error) == pytest.approx(1 / 3001)
        assert float(found.shots_error) == 1 / 1200
        assert found.variance == pytest.approx(1 / 1200)
        gap = found.value - found.shots_value
        assert judge_observables(gap, found.error, found.variance, 1200, 0.05).answer == "pass"


@rates.factors
@pytest.mark.parametrize("block", [1, 2])
def test_the_error_of_one_number_for_all_shots_covers(block: int, factor: float) -> None:
    """The share of ones, by resamples of chains or of blocks of two equal ones, known to 7 %."""
    generator, level, missed = np.random.default_rng(block), 0.3, []
    for seed in range(rates.repeats(level, factor)):
        bits = generator.integers(0, 2, (100, 1, 3), dtype=np.uint8).repeat(block, axis=0)
        found = estimate_from_draws("ones", lambda x: np.float64(x.mean()), bits, seed, block)
        missed.append(rates.misses(found.value, found.error, 0.5, level))
    rates.check(np.array(missed), level, factor)


def test_modules_without_a_file_lie_in_no_folder() -> None:
    assert not _lies_in(Path("/"), "sys")
    assert not _lies_in(Path("/"), "no_such_module")
