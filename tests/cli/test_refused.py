"""Mistakes that only show when a file is opened or an array is made: status 2, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

import psiprune as pp
import tiny
from refusals import check_refusal

REWIRE = "rewire {in}/pruned.nc {in}/shots.nc --rounds 1 --out {out}"
PRUNE = "prune {in}/rbm.nc {in}/shots.nc --out {out}"


@pytest.mark.parametrize(
    ("command", "facts"),
    [
        (f"{PRUNE} --state no.nc", ("no.nc", "No such file")),
        (f"{PRUNE} --state {{in}}", ("in", "Is a directory")),
        (f"{PRUNE} --until kl --state no.nc", ("no.nc", "No such file")),
        (f"{REWIRE} --state no.nc", ("no.nc", "No such file")),
        (
            "train {in}/shots.nc --hidden 99999999999 --out {out}",
            ("hidden", 99999999999, 4),
        ),
        (
            "train {in}/shots.nc --hidden 99999999999 --initial local --out {out}",
            ("hidden", 99999999999, 4),
        ),
        (
            "evaluate {in}/rbm.nc {in}/state.nc --draws 99999999999999999999",
            ("draws", 99999999999999999999, 4),
        ),
        (
            "evaluate {in}/rbm.nc {in}/shots.nc --draws 99999999999",
            ("draws", 99999999999, 4),
        ),
    ],
)
def test_it_is_one_line(
    stages: Path, tmp_path: Path, command: str, facts: tuple[object, ...]
) -> None:
    rbm = pp.load_rbm(stages / "rbm.nc")
    mask = rbm.mask.copy()
    mask[0, 0] = False
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("rbm.nc", "shots.nc", "state.nc"):
        (folder / name).symlink_to(stages / name)
    rbm.with_mask(mask).save(folder / "pruned.nc")
    out = tmp_path / "out"
    places = {"in": folder, "out": out}
    line = tiny.refusal(tiny.call(*(word.format(**places) for word in command.split())))
    check_refusal(line, *facts)
    assert not out.exists()
