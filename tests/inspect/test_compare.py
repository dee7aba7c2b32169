"""Two runs: reproducible to the bit, statistically, or not comparable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import tiny
from psiprune.core.exceptions import InputError
from psiprune.inspect.compare import compare_runs
from psiprune.io.netcdf import write_dataset
from psiprune.io.run import open_run


def run(folder: Path, value: float = 1.0, **settings: Any) -> Path:
    with open_run(folder, tiny.settings(**settings)):
        write_dataset(folder / "study.nc", xr.Dataset({"kl": value}), "study")
    change(folder, git="abc")  # a checkout with changes is unknown code
    return folder


def change(folder: Path, **facts: str) -> None:
    file = folder / "provenance.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **facts}))


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return run(tmp_path / "first")


def test_a_repeated_run_agrees_to_the_bit(first: Path, tmp_path: Path) -> None:
    again = run(tmp_path / "again")
    runs = compare_runs(first, again)
    assert (runs.verdict, runs.settings, runs.reasons) == ("to the bit", (), ())
    assert (runs.same, runs.different, runs.missing) == (1, 0, 0)
    outcome = tiny.call("info", first, again)
    assert outcome.status == 0
    assert outcome.out.splitlines()[-1] == "The runs are reproducible to the bit."
    assert json.loads(tiny.call("info", first, again, "--json").out)["verdict"] == "to the bit"
    assert "--format" in tiny.refusal(tiny.call("info", first, again, "--format", "text"))


def test_what_differs_with_a_reason_or_without(first: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "other", 1.5)
    assert compare_runs(first, other).verdict == "damaged or edited"
    change(other, **{"vector instructions": "power10"})
    runs = compare_runs(first, other)
    assert (runs.verdict, runs.same, runs.different) == ("statistically", 0, 1)
    assert runs.reasons[0].endswith("and power10")
    again = run(tmp_path / "again")
    (again / "study.nc").unlink()
    runs = compare_runs(first, again)
    assert (runs.verdict, runs.same, runs.missing) == ("to the bit", 0, 1)
    runs = compare_runs(first, run(tmp_path / "larger", shots=301))
    assert (runs.verdict, runs.settings) == ("other settings", ("shots: 300 and 301",))


def test_a_folder_without_a_run_is_refused(first: Path, tmp_path: Path) -> None:
    for pair in ((first, tmp_path), (tmp_path, first)):
        with pytest.raises(InputError, match="no run"):
            compare_runs(*pair)
