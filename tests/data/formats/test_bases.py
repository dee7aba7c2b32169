"""Files of bases beside shots, and other files of QuCumber that are no shots."""

from __future__ import annotations

from pathlib import Path

import pytest

import psiprune as pp
from refusals import refused

SHOTS = "0 1 \n1 0 \n1 1 \n"
BASES = "Z Z \nX Z \nZ Z \n"
NAMES = [
    ("train.txt", "train_bases.txt"),
    ("train_samples.txt", "train_bases.txt"),
    ("samples.txt", "Bases.txt"),
    ("shots.txt", "train_bases.txt"),
]


def write(
    folder: Path, name: str, bases: str, text: str, letters: str = BASES
) -> tuple[Path, Path]:
    shots, beside = folder / name, folder / bases
    shots.write_text(text)
    beside.write_text(letters)
    return shots, beside


@pytest.mark.parametrize(("name", "bases"), NAMES)
@pytest.mark.parametrize("form", ["qucumber", "text", None])
def test_bases_beside_shots_are_not_ignored(
    tmp_path: Path, name: str, bases: str, form: str | None
) -> None:
    shots, beside = write(tmp_path, name, bases, SHOTS)
    with pytest.raises(pp.InputError, match=r"seems to hold the bases .*2 of 3 in Z") as caught:
        pp.read_shots(shots, form)
    assert f"--bases {beside} " in str(caught.value)
    assert pp.read_shots(shots, form, bases=beside).bits.tolist() == [[0, 1], [1, 1]]
    every = pp.read_shots(shots, form, bases="none")
    assert every.bits.tolist() == [[0, 1], [1, 0], [1, 1]]
    assert every.provenance["bases"] == "none"


def test_a_header_and_bases(tmp_path: Path) -> None:
    shots, beside = write(tmp_path, "run.csv", "run_bases.csv", "q1,q0\n0,1\n1,0\n1,1\n")
    found = pp.read_shots(shots, bases=beside, order="numbered")
    assert found.bits.tolist() == [[1, 0], [1, 1]]
    assert found.provenance["columns"] == "q0, q1"
    assert found.provenance["dropped"] == {"not measured in Z everywhere": 1}


def test_bases_that_are_not_of_these_shots(tmp_path: Path) -> None:
    for name, letters in (
        ("other_bases.txt", "Z Z\nX Z\n"),  # of two shots
        ("wide_bases.txt", "Z Z Z\nX Z Z\nZ Z Z\n"),
        ("train_bases.txt", "Z Z\nZ Z\nZ Z\n"),  # all in Z: nothing to ask
        ("bases.md", "a remark on bases\n"),
        ("bases.bin", "\0\0\0"),
        ("bases_large.txt", "X Z\n" * 3 + "#" * 100),
    ):
        shots, beside = write(tmp_path, "train.txt", name, SHOTS, letters)
        assert len(pp.read_shots(shots)) == 3
        beside.unlink()
    (tmp_path / "bases").mkdir()
    assert len(pp.read_shots(shots)) == 3


def test_bases_of_another_file(tmp_path: Path) -> None:
    shots, _ = write(tmp_path, "other.txt", "train_bases.txt", SHOTS)
    for owner in ("train.txt", "train_data.txt"):
        (tmp_path / owner).write_text(SHOTS)
        assert len(pp.read_shots(shots)) == 3
        refused("seems to hold the bases", pp.read_shots, tmp_path / owner)
        (tmp_path / owner).unlink()


def test_bases_of_this_name_that_do_not_fit_are_asked_about(tmp_path: Path) -> None:
    shots, beside = write(tmp_path, "train.txt", "train_bases.txt", SHOTS, "Z Z\nX Z\n")
    refused("1 of 2 in Z everywhere", pp.read_shots, shots)
    refused(r"bases for 2 shots, but .* has 3 shots", pp.read_shots, shots, bases=beside)


def test_bases_are_no_shots(tmp_path: Path) -> None:
    path = tmp_path / "train_bases.txt"
    for text in (BASES, "ZZ\nZX\n"):
        path.write_text(text)
        for form in ("qucumber", "text", None):
            refused(r"a file of bases belongs to .*--bases", pp.read_shots, path, form)


def test_density_matrices_are_no_shots(tmp_path: Path) -> None:
    zeros, path = "0.0 0.0\n0.0 0.0\n", tmp_path / "target_imag.txt"
    path.write_text(zeros)
    for form in ("qucumber", "text", None):
        refused(r"part of a density matrix.*rename the file", pp.read_shots, path, form)
    (tmp_path / "target_real.txt").write_text("0.5 0.0\n0.0 0.5\n")
    refused("part of a density matrix", pp.read_shots, tmp_path / "target_real.txt")
    assert len(pp.read_shots(path.rename(tmp_path / "shots.txt"))) == 2
    path.write_text("0 0\n0 0\n0 1\n")
    assert len(pp.read_shots(path)) == 3
