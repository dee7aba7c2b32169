"""NumPy, HDF5 and NetCDF of any make: which table is taken, and no header is believed blindly."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pytest
import xarray as xr
from scipy.io import netcdf_file

import memory
import psiprune as pp
from psiprune.io.hdf5_reader import HDF5Reader
from refusals import refused

BITS = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=np.uint8)
SPINS = 1 - 2 * BITS.astype(int)


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_npz_with_several_arrays(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", x=BITS, z=BITS[::-1])
    np.testing.assert_array_equal(pp.read_shots(path, key=("z",)).bits, BITS[::-1])
    refused(r"2 arrays: 'x', 'z'.*--key", pp.read_shots, path)
    refused(r"key: .*'y'.*'x', 'z'", pp.read_shots, path, key=("y",))
    refused(r"key: .*one array .*found 2", pp.read_shots, path, key=("*",))
    for arrays in ({"bits": BITS, "z": BITS[::-1]}, {"anything": BITS}):
        path = npz(tmp_path / "b.npz", **arrays)
        np.testing.assert_array_equal(pp.read_shots(path).bits, BITS)


@pytest.mark.parametrize("dtype", ["i1", "i8", "f4", "f8"])
def test_spins(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "a.npy", SPINS.astype(dtype))
    np.testing.assert_array_equal(pp.read_shots(tmp_path / "a.npy", spin=True).bits, BITS)
    refused(r"found -1.*--spin", pp.read_shots, tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", BITS.astype(dtype))
    refused(r"row 0, column 0: .*found 0.*--spin", pp.read_shots, tmp_path / "b.npy", spin=True)


def test_fortran_and_bool(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(BITS.astype(bool)))
    np.testing.assert_array_equal(pp.read_shots(tmp_path / "a.npy").bits, BITS)
    refused(r"key: a \.npy file", pp.read_shots, tmp_path / "a.npy", key=("x",))


def test_a_bit_array_with_the_wrong_number_of_bits(tmp_path: Path) -> None:
    packed = np.array([[4], [1]], dtype=np.uint8)
    np.save(tmp_path / "a.npy", packed)
    found = pp.read_shots(tmp_path / "a.npy", "qiskit", qubits=3)
    assert found.bits.tolist() == [[0, 0, 1], [1, 0, 0]]
    for array, given, words in (
        (packed, {"qubits": 2}, "bit beyond the 2"),
        (packed, {"qubits": 9}, "2 shots of 1 bytes .* 9 bits"),
        (packed, {}, "--qubits N"),
        (packed[None].repeat(2, axis=0), {"qubits": 3}, r"shape \(2,\)"),
        (packed.astype(int), {"qubits": 3}, r"uint8 .*found int64 of shape \(2, 1\)"),
        (packed[:0], {"qubits": 3}, r"non-empty .*found uint8 of shape \(0, 1\)"),
    ):
        np.save(tmp_path / "b.npy", array)
        refused(words, pp.read_shots, tmp_path / "b.npy", "qiskit", **given)
    for path, words in (
        (npz(tmp_path / "c.npz", array=packed), "'array' and 'num_bits'"),
        (npz(tmp_path / "d.npz", array=packed, num_bits=-3), "num_bits .*integer"),
        (npz(tmp_path / "e.npz", array=packed, num_bits=[3, 3]), "num_bits .*integer"),
    ):
        refused(words, pp.read_shots, path, "qiskit")


def test_what_unpacks_to_too_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, bits=np.zeros((1 << 12, 1 << 10)))
    assert path.stat().st_size < 1e5
    monkeypatch.setattr("psiprune.data.formats.numpy.MOST_UNPACKED", 33554559)
    with (
        memory.at_most(20e6),  # the 32 MiB of the table not among them
        pytest.raises(pp.InputError, match=r"'bits' .*33554560 bytes.* 33554559"),
    ):
        pp.read_shots(path)
    monkeypatch.setattr("psiprune.data.formats.numpy.MOST_UNPACKED", 33554560)
    assert len(pp.read_shots(path)) == 1 << 12


def test_a_table_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("bits", data=np.zeros((1 << 8, 1 << 8)), compression="gzip")
    assert len(pp.read_shots(path)) == 256
    monkeypatch.setattr("psiprune.io.hdf5_checks.MOST_UNPACKED", 1 << 18)
    refused(r"^bits: .*524288 bytes.* 262144", HDF5Reader(path.read_bytes(), 1 << 30).read, "bits")


def test_arrays_are_checked_in_little_memory() -> None:
    table = np.zeros((1 << 18, 1 << 6), dtype=np.uint8)
    table.setflags(write=False)
    with memory.at_most(table.size):
        pp.Shots(table)


def test_arrays_that_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0, None]], dtype=object), allow_pickle=True)
    refused("Python objects", pp.read_shots, tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(claim((1 << 16, 4)))
    refused(r"\(65536, 4\)", pp.read_shots, tmp_path / "b.npy")


def hdf5(path: Path, **tables: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, table in tables.items():
            file[name.replace("__", "/")] = table
    return path


def test_hdf5(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a.h5", run__shots=BITS, times=np.arange(4.0))
    for form in (None, "hdf5", "netcdf"):
        shots = pp.read_shots(path, form)
        np.testing.assert_array_equal(shots.bits, BITS)
        assert shots.provenance["dataset"] == "run/shots"
    two = hdf5(tmp_path / "b.h5", x=BITS, z=SPINS)
    np.testing.assert_array_equal(pp.read_shots(two, key=("z",), spin=True).bits, BITS)
    refused("holds 2 tables: 'x', 'z'; choose by --key", pp.read_shots, two)
    refused("no table of numbers", pp.read_shots, hdf5(tmp_path / "c.h5", times=np.arange(4.0)))
    refused("found nan", pp.read_shots, hdf5(tmp_path / "d.h5", x=BITS * np.nan))


def test_files_of_psiprune_keep_their_own_way(tmp_path: Path) -> None:
    shots = pp.Shots(BITS, basis="X", provenance={"lab": 1})
    path = shots.save(tmp_path / "a.nc")
    for form in (None, "netcdf", "hdf5"):
        again = pp.read_shots(path, form)
        assert (again.basis, again.provenance["lab"]) == ("X", 1)
    refused(r"spin: .*psiprune", pp.read_shots, path, spin=True)


def claim(shape: tuple[int, ...]) -> bytes:
    """An .npy file of bytes of this shape, with a part of its content."""
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + b"\0" * 900


def hdf5_claim(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("bits", (1 << 16, 1 << 15), dtype="u1", chunks=(1 << 10, 1 << 10))


def netcdf3_claim(path: Path) -> None:
    with netcdf_file(path, "w") as file:
        file.createDimension("shot", 4)
        file.createDimension("site", 3)
        file.createVariable("bits", "i1", ("shot", "site"))[:] = BITS
    content = path.read_bytes()
    path.write_bytes(
        content.replace(struct.pack(">i", 4) + b"\0", struct.pack(">i", 2**29) + b"\0")
    )


@pytest.mark.parametrize("make", ["npy", "npy of negative size", "npz", "hdf5", "netcdf 3"])
def test_a_claim_of_gigabytes_takes_no_memory(tmp_path: Path, make: str) -> None:
    path = tmp_path / "claim"
    if make.startswith("npy"):
        path.write_bytes(claim((-1, 5) if "negative" in make else (1 << 16, 1 << 15)))
    elif make == "npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("bits.npy", claim((1 << 16, 1 << 15)))
    else:
        {"hdf5": hdf5_claim, "netcdf 3": netcdf3_claim}[make](path)
    assert path.stat().st_size < 20_000
    with memory.at_most(20e6), pytest.raises(pp.InputError):
        pp.read_shots(path)


@pytest.mark.parametrize("form", ["numpy", "hdf5", "netcdf", "qiskit"])
@pytest.mark.parametrize("keep", [10, 0.5, 0.95])
def test_truncated(tmp_path: Path, form: str, keep: float) -> None:
    path = tmp_path / "a"
    if form in ("numpy", "qiskit"):
        path = npz(tmp_path / "a.npz", array=BITS, num_bits=8)
    elif form == "hdf5":
        hdf5(path, bits=BITS)
    else:
        xr.Dataset({"bits": (("shot", "site"), BITS)}).to_netcdf(path, engine="h5netcdf")
    content = path.read_bytes()
    path.write_bytes(content[: round(keep if keep > 1 else keep * len(content))])
    refused(".", pp.read_shots, path, form)


# ---- tables with names


def write(path: Path, make: str, data: xr.Dataset) -> Path:
    engine: Literal["h5netcdf", "scipy"] = "scipy" if make == "NetCDF 3" else "h5netcdf"
    data.to_netcdf(path, engine=engine)
    return path


@pytest.fixture(params=["NetCDF 3", "NetCDF 4"])
def make(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("dimensions", "turned"),
    [
        *((("qubits_x", "shot"), True), (("ion", "shot"), True)),
        *((("channel", "repetitions"), True), (("qubitIndex", "n"), True), (("Atom", "k"), True)),
        *((("shots", "mode"), False), (("k", "n"), False), (("sample", "site"), False)),
        *((("shot_of_site", "repetition"), True), (("shot", "trial"), False)),
    ],
)
def test_dimensions(tmp_path: Path, make: str, dimensions: Any, turned: bool) -> None:
    data = xr.Dataset({"outcome": (dimensions, (BITS.T if turned else BITS).astype("i1"))})
    shots = pp.read_shots(write(tmp_path / "a.nc", make, data))
    np.testing.assert_array_equal(shots.bits, BITS)
    assert f"'{dimensions[0 if turned else 1]}'" in shots.provenance["bit_order"]


@pytest.mark.parametrize("names", [[2, 1, 0], [2.0, 1.0, 0.5], ["q2", "q1", "q0"]])
@pytest.mark.parametrize("turned", [False, True])
def test_a_coordinate_that_falls(tmp_path: Path, make: str, names: list[Any], turned: bool) -> None:
    dimensions = ("site", "shot") if turned else ("shot", "site")
    table = (BITS.T if turned else BITS).astype("i1")
    data = xr.Dataset({"bits": (dimensions, table)}, {"site": names})
    path = write(tmp_path / "a.nc", make, data)
    refused(r"'site' .* q?2.*--order listed", pp.read_shots, path)
    np.testing.assert_array_equal(pp.read_shots(path, order="listed").bits, BITS)
    np.testing.assert_array_equal(pp.read_shots(path, order="reversed").bits, BITS[:, ::-1])


@pytest.mark.parametrize("names", [[0, 1, 2], [3, 5, 9], ["q0", "q1", "q2"], ["left", "m", "r"]])
def test_a_coordinate_that_rises(tmp_path: Path, make: str, names: list[Any]) -> None:
    coordinates = {"site": names, "shot": [9, 7, 8, 1]}
    data = xr.Dataset({"bits": (("shot", "site"), BITS.astype("i1"))}, coordinates)
    shots = pp.read_shots(write(tmp_path / "a.nc", make, data))
    np.testing.assert_array_equal(shots.bits, BITS)


def test_a_coordinate_of_numbers_without_sign(tmp_path: Path, make: str) -> None:
    data = xr.Dataset({"bits": (("shot", "site"), BITS.astype("i1"))})
    data["site"] = ("site", np.array([2, 1, 0], dtype="u1" if make == "NetCDF 4" else "i1"))
    refused(r"2, 1, 0.*--order listed", pp.read_shots, write(tmp_path / "a.nc", make, data))


def test_a_file_of_psiprune_in_another_order(tmp_path: Path) -> None:
    pp.Shots(BITS).save(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as data:
        turned = data.load().assign_coords(site=[0, 1, 2]).isel(site=[2, 1, 0])
    turned.to_netcdf(tmp_path / "b.nc")
    refused(r"b\.nc: .*'site'.*sortby", pp.read_shots, tmp_path / "b.nc")
    turned.sortby("site").to_netcdf(tmp_path / "c.nc")
    np.testing.assert_array_equal(pp.read_shots(tmp_path / "c.nc").bits, BITS)


def test_what_is_masked_is_no_bit() -> None:
    table = np.ma.array(BITS, mask=np.zeros(BITS.shape, dtype=bool))
    np.testing.assert_array_equal(pp.Shots(table).bits, BITS)
    table[2, 1] = np.ma.masked
    refused(r"array: row 2, column 1: .*masked", pp.Shots, table)
    refused(r"row 0, column 0: .*masked", pp.Shots, np.ma.array(BITS, mask=True))
    kept = table[~np.ma.getmaskarray(table).any(axis=1)]  # the way out that the line names
    np.testing.assert_array_equal(pp.Shots(kept).bits, BITS[[0, 1, 3]])
