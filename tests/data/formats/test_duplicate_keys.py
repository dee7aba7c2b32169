"""A repeated key of JSON is found in linear time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import psiprune as pp


def test_a_repeated_key_among_many_is_found_at_once(tmp_path: Path) -> None:
    keys = [f"{number:017b}" for number in range(50_000)]
    file = tmp_path / "counts.json"
    file.write_text("{" + ", ".join(f'"{key}": 1' for key in [*keys, keys[-1]]) + "}")
    begin = time.monotonic()
    with pytest.raises(pp.InputError, match=f"the key '{keys[-1]}' occurs twice"):
        pp.read_shots(file, "qiskit")
    assert time.monotonic() - begin < 2  # 42 s when each key was counted in the whole list
