"""Drafts of commands that were killed while they wrote: the next start clears them away."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny

SLOW = pytest.mark.slow  # all write in the same way; two commands are enough at first


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("train", "{in}/shots.nc --hidden 2 --epochs 2"),
        ("export", "numpy {in}/shots.nc"),
        pytest.param("ground-state", "--sites 2", marks=SLOW),
        pytest.param("sample", "{in}/state.nc --shots 10", marks=SLOW),
        pytest.param("import", "text {in}/shots.txt", marks=SLOW),
        pytest.param("mask", "random --hidden 2 --sites 4 --count 3", marks=SLOW),
    ],
)
def test_no_draft_of_a_killed_start_stays(
    stages: Path, tmp_path: Path, name: str, rest: str
) -> None:
    out = tmp_path / {"export": "a.npz", "mask": "a.txt"}.get(name, "a.nc")
    words = (name, *rest.replace("{in}", str(stages)).split(), "--out", out)
    tiny.kill_as_it_writes(1, *words)
    assert any(tmp_path.glob(".*.draft"))
    other = tmp_path / f".{out.name}.old.0123abcd.draft"
    other.write_text("of somebody else")
    assert tiny.call(*words).status == 0
    assert {*tmp_path.iterdir()} == {out, other}
