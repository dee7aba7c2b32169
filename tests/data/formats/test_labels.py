"""Tables with names: which way round they are read, and what is missing in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import xarray as xr

import psiprune as pp
from refusals import refused

BITS = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=np.uint8)


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
