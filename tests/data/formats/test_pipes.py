"""What comes through a pipe can be read once, and commands look at files more than once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.io.bytes import cached_pipes
from psiprune.io.netcdf import kind_of, read_dataset
from refusals import refused

BITS = np.random.default_rng(0).integers(0, 2, (300, 3)).astype(np.uint8)

Pipe = Callable[[bytes], Path]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Makes a pipe that gives these bytes, as <(command) in a shell does."""
    ends: list[int] = []

    def make(content: bytes) -> Path:
        end, start = os.pipe()
        ends.append(end)
        assert os.write(start, content) == len(content) < 1 << 16
        os.close(start)
        return Path(f"/dev/fd/{end}")

    yield make
    for end in ends:
        os.close(end)


def text(bits: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    return "".join(" ".join(map(str, row)) + "\n" for row in bits.tolist()).encode()


def test_info(pipe: Pipe, tmp_path: Path) -> None:
    told = tiny.call("info", pipe(text(BITS)))
    assert (told.status, told.out.count("300 shots of 3 sites")) == (0, 1), told
    own = pp.Shots(BITS).save(tmp_path / "a.nc").read_bytes()
    assert "300 shots of 3 sites" in tiny.call("info", pipe(own)).out
    rbm = pp.RBM(np.ones((2, 4)), np.zeros(4), np.zeros(2)).save(tmp_path / "b.nc").read_bytes()
    assert "RBM of 4 visible" in tiny.call("info", pipe(rbm)).out
    assert "damaged" in tiny.refusal(tiny.call("info", pipe(own[:-30])))
    assert "the file is empty" in tiny.refusal(tiny.call("info", pipe(b"")))


def test_import_of_two(pipe: Pipe, tmp_path: Path) -> None:
    out = tmp_path / "a.nc"
    done = tiny.call("import", "text", pipe(text(BITS)), pipe(text(1 - BITS)), "-o", out)
    assert done.status == 0, done
    np.testing.assert_array_equal(pp.read_shots(out).bits, np.concatenate([BITS, 1 - BITS]))
    same = [pipe(text(BITS)), pipe(text(BITS))]
    line = tiny.refusal(tiny.call("import", "text", *same, "-o", tmp_path / "b.nc"))
    assert "hold the same bytes" in line
    bases = ("--bases", "Z" * BITS.shape[1], "X" * BITS.shape[1])  # then they are other shots
    same = [pipe(text(BITS)), pipe(text(BITS))]
    assert tiny.call("import", "text", *same, *bases, "-o", tmp_path / "b.nc").status == 0
    once = pipe(text(BITS))
    line = tiny.refusal(tiny.call("import", "text", once, once, "-o", tmp_path / "c.nc"))
    assert "hold the same bytes" in line


def test_export_of_shots_and_of_an_rbm(pipe: Pipe, tmp_path: Path) -> None:
    assert tiny.call("export", "qiskit", pipe(text(BITS)), "-o", tmp_path / "a.json").status == 0
    assert len(pp.read_shots(tmp_path / "a.json", "qiskit")) == 300
    rbm = pp.RBM(np.ones((2, 4)), np.zeros(4), np.zeros(2)).save(tmp_path / "b.nc").read_bytes()
    assert tiny.call("export", "numpy", pipe(rbm), "-o", tmp_path / "b.npz").status == 0


def test_training_and_evaluation(pipe: Pipe, tmp_path: Path) -> None:
    own = pp.Shots(BITS).save(tmp_path / "a.nc").read_bytes()
    rbm = tmp_path / "rbm.nc"
    train = ("train", pipe(own), "--hidden", 2, "--epochs", 2, "-o", rbm)
    assert tiny.call(*train).status == 0
    assert tiny.call("evaluate", rbm, pipe(own)).status == 0
    assert tiny.call("evaluate", pipe(rbm.read_bytes()), pipe(text(BITS))).status == 0


def test_in_python(pipe: Pipe, tmp_path: Path) -> None:
    own = pp.Shots(BITS, basis="X").save(tmp_path / "a.nc").read_bytes()
    assert pp.read_shots(pipe(own)).basis == "X"
    assert pp.describe(pipe(text(BITS))).source.startswith("/dev/fd/")
    twice = pipe(own)
    with cached_pipes():
        with cached_pipes():
            assert kind_of(twice) == "shots"
        assert read_dataset(twice)["bits"].shape == BITS.shape
    refused("empty", read_dataset, twice)


def test_a_device_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psiprune.io.bytes._MOST_OF_PIPE", 1 << 20)
    monkeypatch.setattr("psiprune.data.formats.base.MOST_BYTES", 1 << 20)
    line = tiny.refusal(tiny.call("info", "/dev/zero"))
    assert line.startswith("/dev/zero: is larger than 1048576 bytes")
