"""TOML files that settings cannot come from: one line each, at once."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
from psiprune.core.exceptions import InputError
from psiprune.io.toml import read_toml
from refusals import refused

GRID = "[study]\nsites = 4\n[[grid]]\n"
CASES = {
    "date": ("[study]\nsites = 2024-01-01\n", "study.sites: should be a valid integer, found 2024"),
    "time": ("[study]\nfields = [07:32:00]\n", "study.fields.0: should be a valid number, found"),
    "infinity": ("[study]\ncoupling = -inf\n", "study.coupling: should be a finite number"),
    "nan": (f"{GRID}product.fields = [nan]\n", "should be a finite number, found nan"),
    "date in a grid": (f"{GRID}product.sites = [2024-01-01]\n", "grid.0.product.sites.0: should"),
    "digits": (f"[study]\nshots = {'9' * 4000}\n", ": study.shots: must be an integer of at"),
    "more digits": (f"[study]\nseed = {'9' * 5000}\n", "found one of thousands of digits"),
    "hexadecimal": (f"[study]\nseed = 0x{'f' * 9999}\n", ": study.seed: must be an integer of at"),
    "digits in a grid": (f"{GRID}product.seed = [1{'0' * 99}]\n", ": grid.0.product.seed.0: must"),
    "lists": (f"a = {'[' * 9999}{']' * 9999}\n", "must be nested at most 20 levels deep"),
    "fewer lists": (f"a = {'[' * 30}{']' * 30}\n", "must be nested at most 20 levels deep"),
    "tables": (f"a = {'{a=' * 3000}1{'}' * 3000}\n", "must be nested at most 20 levels deep"),
    "dots": (f"study{'.a' * 3000} = 1\n", "must be nested at most 20 levels deep"),
    "points": (
        GRID
        + "".join(f"product.{key} = {[*range(1, 1001)]}\n" for key in ("shots", "seed", "hidden")),
        "grid: may have at most 100000 points, found 1000000000",
    ),
    "blocks": (
        "[study]\n" + 101 * f"[[grid]]\nproduct.seed = {[*range(1000)]}\n",
        "grid: may have at most 100000 points, found 101000",
    ),
    "RBMs": (
        f"{GRID}product.seeds = {[*range(9000, 9006)]}\n",
        "at most 100000 RBMs, one for each field and seed of each point, found 108030",
    ),
    "bytes": ("\udcff", "cannot be read as TOML: 'utf-8' codec can't decode byte 0xff"),
    "a long value": (f"[study]\nsites = '{'x' * 1000}'\n", "study.sites: should be a number"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_sweep_refuses_it_in_one_line(name: str, tmp_path: Path) -> None:
    text, words = CASES[name]
    file = tmp_path / "sweep.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    line = tiny.refusal(tiny.call("sweep", file, "--dry-run", "--out", tmp_path / "out"))
    assert words in line
    assert len(line) < 300 + len(str(tmp_path))


def test_the_largest_integers_and_the_deepest_tables_are_read(tmp_path: Path) -> None:
    file = tmp_path / "good.toml"
    file.write_text(f"a = {2**64 - 1}\nb = {'[' * 20}1{']' * 20}\n")
    assert read_toml(file)["a"] == 2**64 - 1
    file.write_text(f"a = {2**64}\n")
    refused(r"good\.toml: a: must be an integer of at most 64 bits", read_toml, file)
    with pytest.raises(InputError, match=r"none\.toml: cannot be read as TOML: .*No such file"):
        read_toml(tmp_path / "none.toml")
