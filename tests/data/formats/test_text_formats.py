"""Text of any separator, with and without a header; QuCumber's pair of files; Stim's lines."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import psiprune as pp
from psiprune.data.formats.text import _parse_line
from refusals import refused

BITS = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0]], dtype=np.uint8)


def read(tmp_path: Path, text: str | bytes, form: str | None = "text", **settings: Any) -> pp.Shots:
    path = tmp_path / "shots.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return pp.read_shots(path, form, **settings)


@pytest.mark.parametrize(
    "text",
    [
        "q0,q1,q2\n0,1,1\n1,0,0\n0,0,0\n",
        '"q0","q1","q2"\n"0","1","1"\n"1","0","0"\n"0","0","0"\n',
        "left;mid;right\n0;1;1\n1;0;0\n0;0;0\n",
        "s1 s2 s3\n0 1 1\n1 0 0\n0 0 0\n",
        "bitstring\n011\n100\n000\n",
        "# a remark\nq0\tq1\tq2\n0\t1\t1\n\n1\t0\t0 # odd\n0\t0\t0\n",
        "q9,q10,q11\r\n0,1,1\r\n1,0,0\r\n0,0,0\r\n",
        # Lines as Python prints them, truth values, Stim's lines.
        "[0, 1, 1]\n[1, 0, 0]\n[0, 0, 0]\n",
        "(0,1,1)\n(1,0,0)\n(0,0,0)",
        "[0 1 1]\n[1 0 0]\n[0 0 0]\n",
        "False,True,True\nTrue,False,False\nFalse,False,False\n",
        "a b c\n0 true 1\n1 0 0\nfalse 0 0\n",
        "011\n100\n000\n",
        "011\r\n100\r\n000",
        "# made by hand\n011\n\n100 # the vacuum\n000\n",
        "\ufeff0,1, 1\n1,0,0\n0,0,0\n",
        "0\t1\t1.\n1.0\t0\t0\n0\t0\t0\n",
        "0.00e+00 1.00e+00 1.00e+00\n1.00e+00 0.00e+00 0.00e+00\n0.00e+00 0.00e+00 0.00e+00\n",
    ],
)
def test_every_way_to_write_bits(tmp_path: Path, text: str) -> None:
    for form in ("text", None, *(["stim-01"] if text.startswith("011") else [])):
        np.testing.assert_array_equal(read(tmp_path, text, form).bits, BITS)


def test_the_provenance_says_it_all(tmp_path: Path) -> None:
    shots = read(tmp_path, "a,b\n0,1\n")
    assert shots.provenance == {
        "file": "shots.csv",
        "format": "text",
        "bit_order": "site 0 is the first value of a line",
        "dropped": {},
        "columns": "a, b",
    }
    again = pp.read_shots(shots.save(tmp_path / "a.nc"))
    assert again.provenance == {**shots.provenance, "source": shots.source}


def test_columns_whose_numbers_fall_need_a_word(tmp_path: Path) -> None:
    text = "q2,q1,q0\n0,1,1\n1,0,0\n0,0,0\n"
    refused(r"q2, q1, q0.*--order listed", read, tmp_path, text)
    np.testing.assert_array_equal(read(tmp_path, text, order="listed").bits, BITS)
    turned = read(tmp_path, text, order="reversed")
    np.testing.assert_array_equal(turned.bits, BITS[:, ::-1])
    assert turned.provenance["bit_order"].startswith("reversed")


def test_spins(tmp_path: Path) -> None:
    text = "+1 -1 -1\n-1 1 1.0\n1 1 +1\n"
    np.testing.assert_array_equal(read(tmp_path, text, spin=True).bits, BITS)
    refused(r"line 1, column 1: .*found '\+1'.*--spin", read, tmp_path, text)
    refused(r"line 1, column 1: .*found '0'.*--spin", read, tmp_path, "0 1\n", spin=True)
    refused(r"line 1, column 2: .*found 'nan'", read, tmp_path, "1 nan\n", spin=True)


BAD: dict[str, list[tuple[str | bytes, str]]] = {
    "text": [
        ("shot,q0,q1\n0,1,1\n1,0,0\n", "'shot'.*index=False"),
        ("q0,q1,Count\n0,1,1\n", "'Count'"),
        ("q0,q1\n0,1,1\n", "2 names.* 3 values"),
        (",0,1\n0,1,0\n", "first column.*index=False"),
        ("q0,q1\n0,1\n1,x\n", "line 3, column 2: .*found 'x'"),
        ("nan,nan\n0,1\n", "line 1, column 1: .* found 'nan'"),
        ("0,1,\n", "line 1, column 3: .* found ''"),
        ("a b c\n\n", "only comments"),
        (" \n\n", "empty"),
        ("# x\n0 1 1\n\n0 1\n", "line 4 has 2.*line 2 has 3"),
        ("010\n01x\n", "line 2, column 3: .*found 'x'"),
        ("0 1\n1 -1\n", r"line 2, column 2: .*found '-1'.*\(1 - z\) // 2"),
        ("0 10\n", "header .*bitstring,count"),
        ("0.5 1\n", "line 1, column 1: .*found '0.5'"),
        (b"0 1\n\xe9 1\n", "UTF-8.* 0xe9 at 4"),
    ],
    "counts": [
        ("01,10\n11,11\n", "bitstring,count"),
        ("01,12\n11\n", "line 2: .*found '11'"),
        ("01,12\n11,-1\n", "line 2: .*found '11 -1'"),
        ("01,12\n11,1.5\n", "line 2: .*found '11 1.5'"),
        ("01,12\n11,007\n", "line 2: .*found '11 007'"),
        ("01,12\n11," + "9" * 5000 + "\n", "line 2: .*found '11 999"),
        ("01,12\n01,2\n", "line 2: 01 .*twice"),
        ("01,12\n011,2\n", "'011' has 3 .*'01' has 2"),
        ("01,0\n11,20000000\n", "20000000 shots of 2 sites"),
        ("bitstring,count\n01,0\n", "all counts are 0"),
    ],
    "stim-01": [
        ("01\n012\n", "entry 1: .*found '012'"),
        ("01\n\n01\n", "entry 1: .*found ''"),
        ("01\n011\n", "'011' has 3 .*'01' has 2"),
        ("0 1\n", "found '0 1'"),
    ],
}


@pytest.mark.parametrize(
    ("form", "text", "words"), [(form, *case) for form, cases in BAD.items() for case in cases]
)
def test_bad_text(tmp_path: Path, form: str, text: str | bytes, words: str) -> None:
    order = {"order": "listed"} if form == "counts" else {}
    refused(words, read, tmp_path, text, "text" if form == "counts" else form, **order)


def test_compressed_files_are_recognised_whatever_their_name(tmp_path: Path) -> None:
    content = gzip.compress(b'{"01": 3}')
    assert b"\0" in content
    for form in (None, "text", "qiskit"):
        refused("gunzip", read, tmp_path, content, form)


# ---- counts


@pytest.mark.parametrize(
    "text",
    [
        "011,1\n100,2\n",
        "bitstring,count\n011,1\n100,2\n",
        "011 1\n100 2\n",
        "state;shots\n011;1\n100;2",
    ],
)
def test_counts(tmp_path: Path, text: str) -> None:
    for form in ("text", None):
        shots = read(tmp_path, text, form, order="listed")
        np.testing.assert_array_equal(shots.bits, BITS[[0, 1, 1]])
        turned = read(tmp_path, text, form, order="reversed")
        np.testing.assert_array_equal(turned.bits, BITS[[0, 1, 1], ::-1])
    assert shots.provenance["bit_order"] == "site 0 is the first character of a bit string"
    refused(r"site 0.*--order listed", read, tmp_path, text)
    assert read(tmp_path, "0,2\n1,1\n", order="listed").bits.tolist() == [[0], [0], [1]]


# ---- uniform lines are read in a faster way, with the same result


def outcome(tmp_path: Path, content: bytes, **settings: Any) -> Any:
    try:
        return read(tmp_path, content, **settings).bits.tolist()
    except pp.InputError as error:
        return str(error)


TOKENS = ["0", "1", "0", "1", "01", "0.0", "1.0", "1.00", "2", "-1", "x"]
TOKENS += [" ", ",", "\t", '"1"', "# 1"]
LINES = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=5).map("".join)
ENDS = st.sampled_from(["\n", "\n", "\r\n", "\r", "\x0b", "\u2028", "\n\n"])


@settings(deadline=None, max_examples=300)
@given(
    head=st.sampled_from(["", "", "q0,q1\n", "# remark\n", "a\x0cb\n", "\ufeff", "\n"]),
    line=LINES,
    change=st.lists(st.tuples(st.integers(0, 40), st.sampled_from("01 ,2.\n#\r")), max_size=3),
    copies=st.integers(1, 4),
    end=ENDS,
    skip=st.integers(0, 2),
)
@example(head="", line="0 1", change=[], copies=3, end="\n", skip=0)
@example(head="q0,q1\n", line="0,1", change=[], copies=3, end="\r\n", skip=0)
@example(head="", line="1.0 0.0", change=[(0, "0")], copies=2, end="\n", skip=0)
@example(head="", line="1.0 0.0", change=[(2, "1")], copies=2, end="\n", skip=0)
@example(head="", line="01", change=[(4, "2")], copies=2, end="\n", skip=0)
def test_both_ways_agree(
    head: str, line: str, change: list[tuple[int, str]], copies: int, end: str, skip: int
) -> None:
    body = list((line + end) * copies)
    for place, mark in change:
        body[place % len(body)] = mark
    content = (head + "".join(body)).encode()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        fast = outcome(Path(folder), content, skip=skip)
        patch.setattr("psiprune.data.formats.text._uniform_lines", lambda *_: None)
        assert outcome(Path(folder), content, skip=skip) == fast


@pytest.mark.parametrize(
    "text",
    [
        "0 1 1\n1 0 0\n0 0 0\n",
        "011\n100\n000",
        "# a remark\nq0,q1,q2\r\n0,1,1\r\n1,0,0\r\n0,0,0\r\n\r\n",
        '"0";"1";"1"\n"1";"0";"0"\n"0";"0";"0"\n',
        "0.0 1.0 1.0\n1.0 0.0 0.0\n0.0 0.0 0.0\n",
        "0.00e+00 1.00e+00 1.00e+00\n1.00e+00 0.00e+00 0.00e+00\n0.00e+00 0.00e+00 0.00e+00\n",
    ],
)
def test_plain_files_take_the_fast_way(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psiprune.data.formats.text._CHUNK", 2)
    calls = []

    def parse(*given: Any) -> str:
        calls.append(given)
        return _parse_line(*given)

    monkeypatch.setattr("psiprune.data.formats.text._parse_line", parse)
    np.testing.assert_array_equal(read(tmp_path, text).bits, BITS)
    assert len(calls) == 1


# ---- QuCumber


def pair(tmp_path: Path, samples: str, bases: str) -> pp.Shots:
    (tmp_path / "bases.txt").write_text(bases)
    return read(tmp_path, samples, "qucumber", bases=tmp_path / "bases.txt")


@pytest.mark.parametrize("bases", ["Z Z Z\nX Z Z\nZ Z Z\n", "ZZZ\nXZZ\nZZZ\n", "III\nX,I,Z\nI Z Z"])
def test_each_shot_keeps_its_basis(tmp_path: Path, bases: str) -> None:
    shots = pair(tmp_path, "0 1 1\n1 0 0\n0 0 0\n", bases)
    assert (shots.bases, shots.basis_of.tolist()) == (("ZZZ", "XZZ"), [0, 1, 0])
    np.testing.assert_array_equal(shots.bits, BITS)
    np.testing.assert_array_equal(shots.in_basis("Z").bits, BITS[[0, 2]])
    assert shots.provenance["dropped"] == {}
    assert shots.provenance["bases"] == "bases.txt"
    np.testing.assert_array_equal(read(tmp_path, "0.0 1.0\n", "qucumber").bits, BITS[:1, :2])


@pytest.mark.parametrize(
    ("bases", "words"),
    [
        ("Z Z Z\nZ Z Z\n", "2 shots.* 3 shots"),
        ("Z Z\nZ Z\nZ Z\n", "line 1 .*2 sites.* have 3"),
        ("Z Z Z\nZ z Z\nZ Z Z\n", "line 2, column 2: .*found 'z'"),
        ("Z Z Z\n0 1 1\nZ Z Z\n", "line 2, column 1: .*found '0'"),
        ("Z Z Z\nZ W Z\nZ Z Z\n", "line 2, column 2: .*found 'W'"),
        ("", "empty"),
    ],
)
def test_bases_that_do_not_fit(tmp_path: Path, bases: str, words: str) -> None:
    refused(words, pair, tmp_path, "0 1 1\n1 0 0\n0 0 0\n", bases)


# ---- files of bases beside shots, and other files of QuCumber that are no shots


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
    line = refused(r"seems to hold the bases .*2 of 3 in Z", pp.read_shots, shots, form)
    assert f"--bases {beside} " in line
    assert pp.read_shots(shots, form, bases=beside).bases == ("ZZ", "XZ")
    every = pp.read_shots(shots, form, bases="none")
    assert every.bits.tolist() == [[0, 1], [1, 0], [1, 1]]
    assert every.provenance["bases"] == "none"


def test_a_header_and_bases(tmp_path: Path) -> None:
    shots, beside = write(tmp_path, "run.csv", "run_bases.csv", "q1,q0\n0,1\n1,0\n1,1\n")
    found = pp.read_shots(shots, bases=beside, order="numbered")
    assert found.bits.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert found.provenance["columns"] == "q0, q1"
    # The letters belong to the columns as listed.
    assert [found.bases[k] for k in found.basis_of] == ["ZZ", "ZX", "ZZ"]


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


@pytest.mark.parametrize("line", ["0101 ZZXQ", "0101 zzxx"])
def test_wrong_letters_beside_bits_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "shots.txt"
    path.write_text(f"{line}\n")
    refused(f"column 2: a basis .* found '{line.split()[1]}'", pp.read_shots, path)
