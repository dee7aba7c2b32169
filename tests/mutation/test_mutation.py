"""The mutation runner, and whether the lists of mutants match the source."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

import psiprune as pp
from mutation.__main__ import choose, problems
from mutation.baseline import SOURCE
from mutation.by_hand import ROOT, ByHand, by_hand
from mutation.forks import run_in_forks
from mutation.kernel_users import users_of_kernels
from mutation.operators import Mutant, mutants, mutated
from mutation.patch import patch
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
        ("return a.transpose(*b)", ["a.transpose(*b) -> a"]),
        ("return a and not b", ["a and (not b) -> a or not b", "not b -> b"]),
        ("return a[0], b[0]", ["0 -> 1", "0 -> 1 (2)"]),
        ("raise ValueError(a + b)", []),
        ("c: float | None = None", []),
        ("return f'{a + b}' + ' shots'", []),
    ],
)
def test_mutants_of_a_statement(statement: str, changes: list[str]) -> None:
    found = mutants(f"def f(a, b):\n    '''Words + words.'''\n    {statement}\n", "f.py")
    assert [mutant.change for mutant in found] == changes


def test_a_mutant_knows_the_lines_of_its_statement() -> None:
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
def test_functions_properties_and_kernels_in_use_are_patched(
    name: str, value: Callable[[], float]
) -> None:
    def before_and_after(chosen: tuple[Mutant, int], _: Path) -> tuple[float, float]:
        mutant, number = chosen
        before, file = value(), SOURCE / mutant.file
        patch(mutated(file.read_text(), number), file, mutant.function)
        return before, value()

    jobs = choose([f"{name}*"])[:1]
    [(_, (before, after))] = run_in_forks(jobs, before_and_after, lambda _: 120.0, 1)
    assert before != after


def test_hanging_and_crashing_jobs_give_no_result() -> None:
    def work(job: str, folder: Path) -> str:
        if job == "hangs":
            time.sleep(60)
        if job == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if job == "fills the memory":
            raise MemoryError
        if job == "raises":
            raise ValueError("a bug of the runner")
        return f"{job}, {len(list(folder.iterdir()))} files"

    since = time.monotonic()
    jobs = ["hangs", "works", "dies", "fills the memory"]
    assert dict(run_in_forks(jobs, work, lambda _: 1.0, 2)) == {
        **{"hangs": None, "works": "works, 0 files", "dies": None, "fills the memory": None}
    }
    assert time.monotonic() - since < 30
    with pytest.raises(RuntimeError, match="a bug of the runner"):
        list(run_in_forks(["raises"], work, lambda _: 1.0, 1))


def test_results_survive_an_interrupted_run_and_drop_stale_mutants(tmp_path: Path) -> None:
    file = tmp_path / "results"
    first = Results(file, [])
    for name, killer in (("rbm/a", ""), ("rbm/b", "t"), ("rbm/a", "u"), ("old", "t")):
        first.add(name, killer)
    again = Results(file, ["rbm/a", "rbm/b", "rbm/c"])
    assert again == {"rbm/a": "u", "rbm/b": "t"}
    assert scores({**again, "states/d": ""}) == {"rbm": (2, 0), "states": (0, 1), "all": (2, 1)}
    assert list(table(again))[-1] == "| all | 2 | 2 | 0 | 100.0% |"
    again.add("rbm/c", "")
    assert list(problems(again)) == [
        "survived: rbm/c",
        "rbm: the score is below 95%",
        "all: the score is below 95%",
    ]


def test_kernels_have_callers_in_python() -> None:
    users = users_of_kernels()
    assert {path for path, _ in users["kernels/simd.py", "exp32"]} >= {"rbm/gibbs.py"}
    assert all(users.values())
    # Namesakes, and what runs only while a kernel is compiled.
    both = {(f"kernels/{file}.py", "activate") for file in ("layer", "tables")}
    assert both | {("kernels/lookups.py", "_Emitter.sums")} <= set(users)


def test_every_listed_survivor_is_a_mutant() -> None:
    assert set(reasons()) <= set(MUTANTS)
    assert len(MUTANTS) == len(set(MUTANTS)) > 4000


def test_every_hand_written_mutant_matches_the_source_and_a_test() -> None:
    chosen = list(by_hand())
    assert [m for m in chosen if (SOURCE / m.file).read_text().count(m.old) != 1] == []
    assert [m for m in chosen if f"def {_function(m)}(" not in _tests(m).read_text()] == []


def _function(mutant: ByHand) -> str:
    return mutant.test.split("::")[-1].split("[")[0]


def _tests(mutant: ByHand) -> Path:
    return ROOT / mutant.test.split("::")[0]
