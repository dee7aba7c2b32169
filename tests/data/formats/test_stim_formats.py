"""Stim's formats against the same shots in its format 01, and their rules for what is no shot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
from refusals import refused

WHOLE = ("r8", "ptb64", "hits", "dets", "b8")
#: The same shots (1, 1, 0, 0), (0, 0, 0, 1), (0, 0, 0, 0) by hand, as doc/result_formats.md says.
BY_HAND = {
    "r8": bytes([0, 0, 2, 3, 0, 4]),
    "hits": b"0,1\n3\n\n",
    "dets": b"shot M0 M1\nshot M3\nshot\n",
    "b8": bytes([3, 8, 0]),
    "01": b"1100\n0001\n0000\n",
}
BITS = [[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def read(tmp_path: Path, content: bytes, suffix: str, **given: Any) -> Any:
    path = tmp_path / f"shots.{suffix}"
    path.write_bytes(content)
    return pp.read_shots(path, **given).bits.tolist()


@pytest.mark.parametrize("suffix", BY_HAND)
def test_files_by_hand(tmp_path: Path, suffix: str) -> None:
    assert read(tmp_path, BY_HAND[suffix], suffix, qubits=4) == BITS
    if suffix != "01":
        refused(f"{suffix} does not hold .*--qubits N", read, tmp_path, BY_HAND[suffix], suffix)


@pytest.mark.parametrize("suffix", WHOLE)
def test_the_suffix_decides(tmp_path: Path, suffix: str) -> None:
    # Even where the lines could be shots of one or two sites.
    for content in (b"0\n1\n", b"0,1\n"):
        refused("--qubits N", read, tmp_path, content, suffix)


def test_blocks_of_64_shots(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(2, size=(128, 3), dtype=np.uint8)
    content = b"".join(
        int("".join(map(str, column[::-1])), 2).to_bytes(8, "little")
        for block in (bits[:64], bits[64:])
        for column in block.T.tolist()
    )
    assert read(tmp_path, content, "ptb64", qubits=3) == bits.tolist()
    for qubits in (5, 7):
        with pytest.raises(pp.InputError, match=f"48 bytes .*{8 * qubits} bytes per 64 shots"):
            read(tmp_path, content, "ptb64", qubits=qubits)


def test_long_runs_of_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 600 zeros and the end, then a one at 255 and the end.
    content = bytes([255, 255, 90, 255, 0, 255, 89])
    for chunk in (1, 2, 1 << 20):
        monkeypatch.setattr("psiprune.data.formats.stim._CHUNK", chunk)
        first, second = read(tmp_path, content, "r8", qubits=600)
        assert (sum(first), sum(second), second[255]) == (0, 1, 1)


def test_detectors_and_observables(tmp_path: Path) -> None:
    content = b"shot D0 D2 L0\nshot L1\n"
    refused(r"2 letters: 'D', 'L'; .*such as --key D$", read, tmp_path, content, "dets", qubits=3)
    assert read(tmp_path, content, "dets", qubits=3, key=("D",)) == [[1, 0, 1], [0, 0, 0]]
    assert read(tmp_path, content, "dets", qubits=2, key=("L",)) == [[1, 0], [0, 1]]
    assert read(tmp_path, b"shot\nshot\n", "dets", qubits=2) == [[0, 0], [0, 0]]
    assert read(tmp_path, b"shot D1\n", "dets", qubits=2) == [[0, 1]]


@pytest.mark.parametrize(
    ("suffix", "content", "words"),
    [
        ("hits", b"0,4\n", "line 1: measurement 4 is beyond the 4"),
        ("hits", b"1,1\n", "line 1: measurement numbers must differ, found 1, 1"),
        ("hits", b"0,\n", "line 1: must be numbers such as 0,4, found '0,'"),
        ("hits", b"0 1\n", "line 1: .*found '0 1'"),
        ("hits", b"0\n1", "the last line has no end"),
        ("hits", b"\xff\n", "must be text"),
        ("hits", b"9" * 400 + b"\n", "line 1"),
        ("dets", b"shot M4\n", "line 1: measurement 4 is beyond"),
        ("dets", b"shot L9\n", "line 1: logical observable 9 is beyond"),
        ("dets", b"shot M0\n\n", "line 2: must be 'shot'"),
        ("dets", b"M0\n", "line 1: must be 'shot' and hits .*found 'M0'"),
        ("dets", b"shot X0\n", "line 1"),
        ("dets", b"shot M0", "no end"),
        ("r8", bytes([0, 0, 2, 3]), "not made of shots of 4 bits"),
        ("r8", bytes([0, 0, 2, 255]), "not made of shots of 4 bits"),
        ("r8", bytes([9]), "not made of shots of 4 bits"),
        ("r8", bytes([255]), "not made of shots of 4 bits"),
        ("ptb64", b"\0" * 31, "31 bytes are not a multiple of 32 bytes per 64 shots"),
        ("ptb64", b"", "empty"),
    ],
)
def test_bad_files(tmp_path: Path, suffix: str, content: bytes, words: str) -> None:
    refused(words, read, tmp_path, content, suffix, qubits=4)


def test_any_bits_written_by_stim(tmp_path: Path) -> None:
    stim = pytest.importorskip("stim", reason="pip install '.[vendors]' runs Stim itself")
    rng = np.random.default_rng(1)
    for sites in (1, 2, 7, 8, 9, 300):
        bits = rng.random((64, sites)) < 0.1
        for form in WHOLE:
            path = tmp_path / f"{sites}.{form}"
            stim.write_shot_data_file(
                data=bits, path=str(path), format=form, num_measurements=sites
            )
            np.testing.assert_array_equal(pp.read_shots(path, qubits=sites).bits, bits)
