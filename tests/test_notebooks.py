"""Notebooks: executed from their sources, small, shown on the site; bars and tables in Jupyter."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
from pages import ROOT, assert_same
from psiprune.core.repr import html_table

sys.path += [str(ROOT / "docs"), str(ROOT / "scripts")]
notebook = importlib.import_module("notebook")
SOURCES = sorted(notebook.FOLDER.glob("*.py"))
#: Of all notebooks together, in bytes.
MOST = 1_000_000
#: Those that take seconds when their numbers in capitals are small.
QUICK = [notebook.FOLDER / "criterion.py", notebook.FOLDER / "how-small.py"]
SMALL = {"SITES": 6, "SHOTS": 500, "SEEDS": 2, "LEVELS": 4}


def cells_of(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.with_suffix(".ipynb").read_text())["cells"]
    return cells


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_is_its_source_executed(path: Path) -> None:
    cells = cells_of(path)
    assert [(each["cell_type"], "".join(each["source"])) for each in cells] == list(
        notebook.cells(path.read_text())
    ), f"run scripts/run_notebooks.py docs/notebooks/{path.name}"
    code = [each for each in cells if each["cell_type"] == "code"]
    assert [each["execution_count"] for each in code] == [*range(1, len(code) + 1)]
    outputs = [output for each in code for output in each["outputs"]]
    kinds = {kind for output in outputs for kind in output.get("data", {output.get("name"): ""})}
    assert {"image/png", "text/html", "stdout"} >= kinds - {"text/plain"} >= {"image/png"}
    assert all(output["output_type"] != "error" for output in outputs)
    figures = [
        each for each in outputs if "<Figure" in "".join(each.get("data", {}).get("text/plain", ""))
    ]
    assert figures
    assert all("image/png" in each["data"] for each in figures)


def test_notebooks_are_small_and_name_no_folder_of_this_machine() -> None:
    texts = [path.with_suffix(".ipynb").read_text() for path in SOURCES]
    assert sum(map(len, texts)) < MOST
    assert not [each for each in texts if str(ROOT) in each or "/tmp/" in each]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_page_of_a_notebook_shows_all_of_it(path: Path) -> None:
    page, pictures = notebook.as_page(path.with_suffix(".ipynb"))
    assert page.startswith("# ")
    assert f"]({path.stem}.ipynb)" in page
    kinds = [kind for kind, _ in notebook.cells(path.read_text())]
    assert page.count("```python") == kinds.count("code")
    assert len(pictures) >= 1
    for name, content in pictures.items():
        assert f"]({name})" in page
        assert content.startswith(b"\x89PNG")


def run_small(path: Path) -> None:
    """Run the code of a notebook with small numbers, its pictures undrawn."""
    text = path.read_text()
    for name, small in SMALL.items():
        text = re.sub(rf"^{name} = .*$", f"{name} = {small}", text, flags=re.MULTILINE)
    names: dict[str, Any] = {"__name__": "__main__"}
    for kind, code in notebook.cells(text):
        if kind == "code":
            exec(compile(code, path.name, "exec"), names)


@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.stem)
def test_notebooks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_small(path)


def shown_text(output: dict[str, Any]) -> str:
    """The text of an output, tables without tags."""
    data = output.get("data", {})
    text = data.get("text/html") or data.get("text/plain") or output.get("text", "")
    return re.sub(r"<[^>]*>", " ", "".join(text))


@pytest.mark.slow
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_notebooks_show_what_they_print_now(path: Path) -> None:
    pytest.importorskip("nbclient", reason="pip install '.[notebooks]' executes notebooks")
    made = importlib.import_module("run_notebooks").executed(path.read_text())
    for old, new in zip(cells_of(path), made.cells, strict=True):
        before, now = (each.get("outputs", []) for each in (old, new))
        assert len(before) == len(now)
        for shown, printed in zip(before, now, strict=True):
            assert set(shown.get("data", ())) == set(printed.get("data", ()))
            if "image/png" not in shown.get("data", ()):
                assert_same(shown_text(shown), shown_text(printed), path.name)


@pytest.mark.slow
def test_progress_bars_are_widgets_in_jupyter() -> None:
    client = pytest.importorskip("nbclient", reason="pip install '.[notebooks]' has it")
    nbformat = importlib.import_module("nbformat")
    # Longer than a bar waits before it appears.
    train = "pp.train(np.eye(12, dtype='u1').repeat(900, 0), hidden=6, method=pp.CD(epochs=5000)"
    codes = ["import numpy as np, psiprune as pp", f"{train})", f"{train}, progress=False)"]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in codes])
    client.NotebookClient(made, timeout=600).execute()
    bars = [
        [each for each in cell.outputs if "widget-view" in str(each.get("data", ""))]
        for cell in made.cells
    ]
    assert [len(each) for each in bars] == [0, 1, 0]
    assert "training" in bars[1][0].data["text/plain"]
    assert "<table>" in made.cells[1].outputs[-1].data["text/html"]


# ---- tables

#: What is given to functions rather than returned; exceptions and settings aside.
INPUTS = {"Hamiltonian", "PauliBases"}


def test_every_public_result_is_a_table_in_notebooks() -> None:
    """Settings are pydantic models, which Jupyter prints by name and value."""
    classes = {name: each for name in pp.__all__ if inspect.isclass(each := getattr(pp, name))}
    fields = ("__dataclass_fields__", "_fields")
    results = {name for name, each in classes.items() if any(hasattr(each, of) for of in fields)}
    assert {name for name in results if not hasattr(classes[name], "_repr_html_")} == INPUTS
    # In a terminal a line of its own, not that of a dataclass or a tuple, which may be pages long.
    made = {name: vars(classes[name]).get("__repr__") for name in results}
    made |= {name: classes[name].__repr__ for name in results if "Reconstruction" in name}
    assert [name for name, of in made.items() if of is None or hasattr(of, "__wrapped__")] == []


def test_tables_have_the_numbers_and_escape_what_others_wrote() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (200, 4), dtype=np.uint8)
    shots = pp.Shots(bits, source="<b>mine</b>")
    assert "<td>&lt;b&gt;mine&lt;/b&gt;</td>" in shots._repr_html_()  # type: ignore[attr-defined]
    rbm = pp.train(shots, hidden=2, method=pp.CD(epochs=1))
    state = pp.ground_state(pp.TFIM(sites=4))
    report = pp.evaluate(rbm, state, draws=100, observables=["X0 X1"])
    rows = dict(re.findall(r"<tr><td>(\w+)</td><td>([^<]*)</td>", report._repr_html_()))
    assert rows["kl"] == f"{report.kl.value:.5g}"
    assert set(rows) == {*dict(report), "X0_X1"}
    on_shots = pp.evaluate_on_shots(rbm, shots, draws=100)
    found = on_shots._repr_html_()
    assert "<th>200 shots</th>" in found
    assert f"{on_shots.neighbours.shots_value:.5g}" in found
    levels = pp.find_smallest(
        rbm, shots, measure=lambda each: -each.number_of_weights, limit=-5, fine_tune=None
    )
    weights = [each.rbm.number_of_weights for each in levels.trials]
    shown = re.findall(r"<td>[\w-]+</td><td>(\d+)</td>", levels._repr_html_())
    assert list(map(int, shown)) == weights
    assert repr(levels) == "Smallest(5 weights, -5 within -5, 4 exceed it, 5 trials)"
    table = html_table(("a", "b"), [(None, float("nan")), (np.arange(3.0), np.zeros((2, 3)))])
    assert re.findall("<td>(.*?)</td>", table) == ["", "", "0 1 2", "float64[2, 3]"]
