"""Every bad input is one line that names the argument or file and states the facts."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from refusals import check_facts, check_refusal

FIXTURES = Path(__file__).parents[1] / "data" / "formats" / "fixtures"
#: The tables of refused/*.toml: files, command lines, and files of sweeps, with their facts.
TABLES: dict[str, dict[str, Any]] = {"files": {}, "refused": {}, "sweeps": {}}
for _file in sorted((Path(__file__).parent / "refused").glob("*.toml")):
    for _name, _rows in tomllib.loads(_file.read_text()).items():
        TABLES[_name] |= _rows


@pytest.fixture(scope="module")
def inputs(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs") / "in"
    shutil.copytree(stages, folder)
    for name, content in TABLES["files"].items():
        (folder / name).write_bytes(content.encode("latin-1"))
    for name in ("state.nc", "shots.nc", "rbm.nc"):
        (folder / f"cut-{name}").write_bytes((folder / name).read_bytes()[:-100])
    np.save(folder / "nan.npy", np.array([[0.0, np.nan, 1.0, 0.0]]))
    state = pp.load_mps(folder / "state.nc")
    signs = [tensor * [[[1.0], [-1.0]]] for tensor in state.tensors]
    pp.mps_from_tensors(signs).save(folder / "signs.nc")
    pp.Shots(pp.read_shots(folder / "shots.nc").bits, basis="X").save(folder / "in-x.nc")
    misread = pp.ReadoutError.from_rates(0.01, sites=4)
    pp.Shots(pp.read_shots(folder / "shots.nc").bits, readout=misread).save(folder / "misread.nc")
    return folder


def check(line: str, first: object, *facts: object) -> None:
    """Assert the facts of a line; one that ends in a colon and a blank is where it begins."""
    if isinstance(first, str) and first.endswith(": "):
        check_refusal(line, first.removesuffix(": "), *facts)
    else:
        check_facts(line, first, *facts)


@pytest.mark.parametrize("command", TABLES["refused"])
def test_bad_input_is_one_line(inputs: Path, tmp_path: Path, command: str) -> None:
    before = tiny.contents(inputs)
    places = {"in": inputs, "out": tmp_path / "out", "formats": FIXTURES}
    arguments = [part.format(**places) for part in command.split()]
    check(tiny.refusal(tiny.call(*arguments)), *TABLES["refused"][command])
    assert tiny.contents(inputs, but=()) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", TABLES["sweeps"])
def test_a_bad_sweep_is_one_line(tmp_path: Path, text: str) -> None:
    config = tiny.write(tmp_path / "sweep.toml", text)
    outcome = tiny.call("sweep", config, "--out", tmp_path / "run", "--scheduler=serial")
    check(tiny.refusal(outcome), *TABLES["sweeps"][text])
    assert [*tmp_path.iterdir()] == [config]
