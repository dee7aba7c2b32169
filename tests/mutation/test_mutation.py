"""The mutation run itself, and that its lists fit the source; `make mutants` does the rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

import psiprune as pp
from mutation.__main__ import choose, problems
from mutation.by_hand import ROOT, ByHand, by_hand
from mutation.covering import SOURCE
from mutation.kernel_users import users_of_kernels
from mutation.live import put
from mutation.operators import Mutant, mutants, mutated
from mutation.processes import each_in_a_fork
from mutation.results import Results, scores, table
from mutation.survivors import reasons
from psiprune.kernels.enumeration import sigmoid_in_place
from psiprune.rbm.init import initial_rbm

MUTANTS = [mutant.name for mutant, _ in choose(["*"])]


@pytest.mark.parametrize(
    ("statement", "changes"),
    [
        ("return a + b", ["a + b -> a - b"]),
        ("return a ** 2", ["a ** 2 -> a * 2", "2 -> 3"]),
        ("return a < b <= 0.5", ["a < b <= 0.5 -> a <= b <= 0.5", "0.5 -> 1.0"]),
        ("return a if b else -a", ["a if b else -a -> -a if b else a", "-a -> a"]),
        ("a -= b", ["a -= b -> a += b", "a -= b -> pass"]),
        ("a = np.abs(b)", ["a = np.abs(b) -> pass", "np.abs(b) -> b"]),
        (
            "c = b.std(ddof=1)",
            ["b.std(ddof=1) -> b.var(ddof=1)", "b.std(ddof=1) -> b.std()", "1 -> 2"],
        ),
        ("return a and not b", ["a and (not b) -> a or not b", "not b -> b"]),
        ("return a[0], b[0]", ["0 -> 1", "0 -> 1 (2)"]),
        ("raise ValueError(a + b)", []),
        ("c: float | None = None", []),
        ("return f'{a + b}' + ' shots'", []),
    ],
)
def test_what_is_changed(statement: str, changes: list[str]) -> None:
    found = mutants(f"def f(a, b):\n    '''Words + words.'''\n    {statement}\n", "f.py")
    assert [mutant.change for mutant in found] == changes


def test_a_statement_of_several_lines_is_changed_where_it_is() -> None:
    source = dedent("""
        class A:
            @property
            def b(self, c=1 + 1):
                if (c
                        > 0):
                    return c
        """)
    (more, zero) = mutants(source, "a.py")
    assert (more.function, more.first, more.last) == ("A.b", 5, 6)
    namespace: dict[str, type] = {}
    exec(compile(mutated(source, 1), "a.py", "exec"), namespace)
    assert zero.change == "0 -> 1"
    assert namespace["A"]().b == 2


def _sigmoid() -> float:
    return float(sigmoid_in_place(np.ones((1, 2)), np.ones(2)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("states/tfim.py TFIM.ground_energy: -", lambda: pp.TFIM(sites=2).ground_energy()),
        ("rbm/model.py RBM.density: ", lambda: initial_rbm(3, 2, seed=0).density),
        ("kernels/enumeration.py sigmoid_in_place: 0.0 -> 1.0", _sigmoid),
    ],
)
def test_functions_properties_and_kernels_in_use_become_mutants(
    name: str, value: Callable[[], float]
) -> None:
    def before_and_after(chosen: tuple[Mutant, int], _: Path) -> tuple[float, float]:
        mutant, number = chosen
        before, file = value(), SOURCE / mutant.file
        put(mutated(file.read_text(), number), file, mutant.function)
        return before, value()

    jobs = choose([f"{name}*"])[:1]
    [(_, (before, after))] = each_in_a_fork(jobs, before_and_after, lambda _: 120.0, 1)
    assert before != after


def test_a_job_that_hangs_or_dies_is_stopped() -> None:
    def work(job: str, folder: Path) -> str:
        if job == "hangs":
            time.sleep(60)
        if job == "dies":
            raise MemoryError
        return f"{job}, {len(list(folder.iterdir()))} files"

    since = time.monotonic()
    jobs = ["hangs", "works", "dies"]
    assert dict(each_in_a_fork(jobs, work, lambda _: 1.0, 2)) == {
        **{"hangs": None, "works": "works, 0 files", "dies": None}
    }
    assert time.monotonic() - since < 30


def test_results_outlive_a_stopped_run_and_forget_mutants_that_are_gone(tmp_path: Path) -> None:
    file = tmp_path / "results"
    first = Results(file, [])
    for name, noticed in (("rbm/a", ""), ("rbm/b", "t"), ("rbm/a", "u"), ("old", "t")):
        first.add(name, noticed)
    again = Results(file, ["rbm/a", "rbm/b", "rbm/c"])
    assert again == {"rbm/a": "u", "rbm/b": "t"}
    assert scores({**again, "states/d": ""}) == {"rbm": (2, 0), "states": (0, 1), "all": (2, 1)}
    assert list(table(again))[-1] == "| all | 2 | 2 | 0 | 100.0% |"
    again.add("rbm/c", "")
    assert list(problems(again)) == [
        "survives: rbm/c",
        "rbm: fewer than 95% were noticed",
        "all: fewer than 95% were noticed",
    ]


def test_kernels_are_tried_by_the_tests_that_call_them() -> None:
    users = users_of_kernels()
    assert {path for path, _ in users["kernels/simd.py", "exp32"]} >= {"rbm/gibbs.py"}
    assert all(users.values())


def test_each_survivor_is_a_mutant() -> None:
    assert set(reasons()) <= set(MUTANTS)
    assert len(MUTANTS) == len(set(MUTANTS)) > 4000


def test_each_mistake_by_hand_fits_the_source_and_has_a_test() -> None:
    chosen = list(by_hand())
    assert [m for m in chosen if (SOURCE / m.file).read_text().count(m.old) != 1] == []
    assert [m for m in chosen if f"def {_function(m)}(" not in _tests(m).read_text()] == []


def _function(mutant: ByHand) -> str:
    return mutant.test.split("::")[-1].split("[")[0]


def _tests(mutant: ByHand) -> Path:
    return ROOT / mutant.test.split("::")[0]
