"""Shots: what is accepted, what is refused and in which words, and the way through files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
from psiprune.core.exceptions import InputError
from psiprune.data.shots import Shots, as_shots, check_sites, read_shots
from psiprune.io.netcdf import write_dataset

BITS = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=np.uint8)


@pytest.mark.parametrize(
    "data", [BITS, BITS.astype(bool), BITS.astype(float), BITS.tolist(), np.asfortranarray(BITS)]
)
def test_exact_zeros_and_ones_are_accepted(data: Any) -> None:
    shots = as_shots(data)
    np.testing.assert_array_equal(shots.bits, BITS)
    assert shots.bits.dtype == np.uint8
    assert (len(shots), shots.sites, shots.basis) == (4, 3, "Z")
    assert as_shots(shots) is shots


def test_bits_are_a_copy_and_cannot_be_written() -> None:
    mine = BITS.copy()
    shots = Shots(mine)
    mine[0, 0] = 1
    assert shots.bits[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        shots.bits[0, 0] = 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([[0, 1], [1, 2]], r"row 1, column 1: a bit must be 0 or 1, found 2;"),
        ([[0, 1], [-1, 1]], r"row 1, column 0: .* found -1; .*\(1 - z\) // 2"),
        ([[0, 1], [np.nan, 1]], r"row 1, column 0: .* found nan"),
        ([[0, 0.5]], r"row 0, column 1: .* found 0.5"),
        ([[0, 1], [1]], r"row 1 has 1 values, but row 0 has 2"),
        ([0, 1], r"2 dimensions, found 1"),
        ([], r"2 dimensions, found 1"),
        (np.empty((0, 4)), r"no bits, found 0 shots of 4 sites"),
        (np.empty((4, 0)), r"no bits, found 4 shots of 0 sites"),
        ([["0", "1"]], r"must be numbers"),
        ([[0, None]], r"must be numbers"),
        ([[1j, 0]], r"must be numbers"),
        (None, r"2 dimensions, found 0"),
    ],
)
def test_anything_else_is_refused_in_one_line(data: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Shots(data)
    assert "\n" not in str(caught.value)


def test_bad_basis_and_size() -> None:
    with pytest.raises(InputError, match="basis: must be 'X', 'Y' or 'Z', found 'W'"):
        Shots(BITS, basis="W")
    shots = Shots(BITS, source="my.csv")
    assert check_sites(shots, 3, "the state") is shots
    with pytest.raises(InputError, match=r"my\.csv: has 3 sites .* the state has 4"):
        check_sites(shots, 4, "the state")


@pytest.mark.parametrize("basis", ["X", "Y"])
def test_shots_of_another_basis_are_not_taken_for_z(basis: str) -> None:
    shots = Shots(BITS, basis=basis, source="my.csv")
    rbm = pp.RBM(np.ones((2, 3)), np.zeros(3), np.zeros(2))
    state = pp.ground_state(pp.TFIM(sites=3))
    for use in (
        lambda: check_sites(shots, 3, "the state"),
        lambda: pp.train(shots, hidden=2, method=pp.CD(epochs=1)),
        lambda: rbm.log_prob(shots),
        lambda: rbm.hidden_given_visible(shots),
        lambda: state.log_prob(shots),
    ):
        with pytest.raises(InputError, match=rf"my\.csv: .* in basis {basis}, .* in Z") as caught:
            use()
        assert "\n" not in str(caught.value)


def test_netcdf_keeps_everything(tmp_path: Path) -> None:
    provenance = {"seed": 2**62, "model": {"sites": 3, "field": 1.0}}
    shots = Shots(BITS, basis="X", source="lab", provenance=provenance)
    again = read_shots(shots.save(tmp_path / "shots.nc"))
    np.testing.assert_array_equal(again.bits, BITS)
    assert again.basis == "X"
    assert again.provenance == {**provenance, "source": "lab"}
    assert again.source == str(tmp_path / "shots.nc")


def test_provenance_must_be_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="provenance"):
        Shots(BITS, provenance={"rng": object()}).save(tmp_path / "shots.nc")
    assert list(tmp_path.iterdir()) == []


def saved(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def savetxt() -> bytes:
    stream = io.BytesIO()
    np.savetxt(stream, BITS)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        npy(BITS),
        npy(BITS.astype(float)),
        saved(anything=BITS),
        saved(bits=BITS, other=np.ones(3)),
        savetxt(),
        b"# made by hand\n011\n100\n\n000 # the vacuum\n111\n",
        b"0 1 1\r\n1 0 0\r\n0 0 0\r\n1 1 1",
        b"\xef\xbb\xbf0,1, 1\n1,0,0\n0,0,0\n1,1,1\n",
        b"0\t1\t1\n1\t0\t0\n0\t0\t0\n1.0\t1.0\t1.\n",
        b"q0,q1,q2\n0,1,1\n1,0,0\n0,0,0\n1,1,1\n",
    ],
)
def test_formats_are_told_by_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "shots.dat"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_shots(path).bits, BITS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"# nothing\n", "comments only"),
        (b"010\n01\n", "line 2 has 2 values, but line 1 has 3"),
        (b"# x\n0 1 1\n\n0 1\n", "line 4 has 2 values, but line 2 has 3"),
        (b"010\n012\n", "line 2, column 3: .* found '2'"),
        (b"010\n01x\n", "line 2, column 3: .* found 'x'"),
        (b"0 1\n1 -1\n", r"line 2, column 2: .* found '-1'; .*\(1 - z\) // 2"),
        (b"0,nan\n", "line 1, column 2: .* found 'nan'"),
        (b"0,,1\n", "line 1, column 2: .* found ''"),
        (b"0 10\n", "lines of two strings of 0 and 1, .* header line bitstring,count"),
        (b"01 10\n", "lines of two strings of 0 and 1, .* header line bitstring,count"),
        (b"0,1\nq0,q1\n", "line 2, column 1: .* found 'q0'; mark headers"),
        (b"0.5 1\n", "line 1, column 1: .* found '0.5'"),
        (b"\xff\xfe\x00\x80", "neither NetCDF"),
        (npy(BITS)[:-4], "truncated, damaged"),
        (npy(BITS)[:20], "truncated, damaged"),
        (npy(np.array([[0, None]], dtype=object)), "holds Python objects"),
        (npy(BITS - 2.0), "row 0, column 0: .* found -2.0"),
        (saved(a=BITS, b=BITS), "found .'a', 'b'."),
        (saved(bits=BITS)[:60], "truncated, damaged"),
        (b"\x89HDF\r\n\x1a\nrubbish", "truncated or damaged"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "shots.dat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_shots(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_shots(tmp_path / "none.nc")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_shots(tmp_path)
    path = tmp_path / "text.nc"
    path.write_text("010")
    with pytest.raises(InputError, match="not a NetCDF 4 file"):
        read_shots(path)


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.99])
def test_truncated_netcdf(tmp_path: Path, keep: float) -> None:
    path = Shots(BITS).save(tmp_path / "shots.nc")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match=r"shots\.nc: truncated or damaged"):
        read_shots(path)


def test_netcdf_of_another_make(tmp_path: Path) -> None:
    import xarray as xr

    path = tmp_path / "file.nc"
    write_dataset(path, xr.Dataset(), "mps")
    with pytest.raises(InputError, match="expected a file of kind 'shots', found 'mps'"):
        read_shots(path)
    write_dataset(path, xr.Dataset({"bits": ("shot", BITS[0])}), "shots")
    with pytest.raises(InputError, match=r"dimensions \(shot, site\)"):
        read_shots(path)
    table = xr.Dataset({"bits": (("shot", "site"), BITS)}, attrs={"provenance": "{"})
    write_dataset(path, table, "shots")
    with pytest.raises(InputError, match="JSON"):
        read_shots(path)
    write_dataset(path, xr.Dataset({"bits": (("shot", "site"), BITS + 1)}), "shots")
    with pytest.raises(InputError, match=r"row 0, column 1: .* found 2"):
        read_shots(path)
