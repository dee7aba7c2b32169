"""Damaged and malicious files: one line that names the file, and nothing is run or changed."""

from __future__ import annotations

import ast
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.io.run import open_run
from refusals import check_refusal


def flip(content: bytes, place: int) -> bytes:
    """Return the content with one bit changed."""
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: 2 * len(content) // 3],
    "flip": lambda content: flip(content, len(content) // 2),
    "empty": lambda _: b"",
    "binary": lambda _: b"\x80\x02\xff\x00" * 50,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name",
    [
        *("config.toml", "provenance.json", "h=1/state.nc", "h=2/shots.nc"),
        *("h=1/seed-0/history.nc", "h=1/seed-0/level-00.nc", "h=2/seed-0/level-03.nc"),
    ],
)
def test_a_damaged_file_of_a_run_is_one_line(
    finished: Path, tmp_path: Path, name: str, damage: str
) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "run"))
    file = folder / name
    content = DAMAGES[damage](file.read_bytes())
    if name == "provenance.json" and damage == "flip":  # no other byte of it is looked at
        content = file.read_bytes().replace(b'"psiprune"', b'"psiprunf"')
    file.write_bytes(content)
    before = tiny.contents(folder, but=(".lock", "provenance.json"))
    line = tiny.refusal(tiny.call("study", *tiny.options(), "--out", folder))
    spoiled = name.endswith(".nc") and damage in ("cut", "flip")
    check_refusal(line, file, *(("damaged", "move it away") if spoiled else ()))
    assert file.read_bytes() == content
    assert tiny.contents(folder, but=(".lock", "provenance.json")) == before


def test_every_flipped_bit_of_a_configuration_is_seen_or_means_nothing(
    finished: Path, tmp_path: Path
) -> None:
    whole = (finished / "config.toml").read_bytes()
    config, told = tmp_path / "config.toml", []
    for place in range(len(whole)):
        config.write_bytes(flip(whole, place))
        try:
            with open_run(tmp_path, tiny.settings()):
                pass
        except pp.InputError as error:
            told.append(str(error))
    assert len(told) > 0.9 * len(whole)
    assert all(line.startswith(f"{config}: ") and "\n" not in line for line in told)


def test_a_run_in_a_folder_that_cannot_be_written(finished: Path) -> None:
    with tempfile.TemporaryDirectory() as name:  # others may not enter `tmp_path`
        Path(name).chmod(0o755)
        folder = Path(shutil.copytree(finished, Path(name) / "run"))
        (folder / ".lock").unlink(missing_ok=True)
        before = tiny.contents(folder)
        with tiny.read_only(folder):
            line = tiny.refusal(tiny.call("study", *tiny.options(), "--out", folder), status=1)
        assert line == f"{folder}: Permission denied"
        assert tiny.contents(folder) == before


UNSAFE = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
PACKAGE = Path(__file__).parents[2] / "src" / "psiprune"
#: All but the cache of compiled code, which is code itself and in the user's own folder.
SOURCES = sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / "kernels" / "cache.py"})


def test_no_source_file_can_load_a_pickle() -> None:
    nodes = [node for source in SOURCES for node in ast.walk(ast.parse(source.read_text()))]
    for node in nodes:
        if isinstance(node, ast.Import):
            assert not {name.name.split(".")[0] for name in node.names} & set(UNSAFE)
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in UNSAFE
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            if node.func.attr == "load" and owner in ("np", "numpy", "torch"):
                allowed = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert allowed.get("allow_pickle") == "False", ast.unparse(node)
            assert node.func.attr not in ("read_pickle", "to_pickle")


class Malice:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.file),)


def test_a_malicious_array_is_refused_unread(stages: Path, tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    objects = np.array([[Malice(harm)]], dtype=object)
    np.save(tmp_path / "evil.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "evil.npz", bits=objects)
    for name in ("evil.pt", "evil.nc", "evil.toml", "evil.json", "evil.h5"):
        (tmp_path / name).write_bytes(pickle.dumps(Malice(harm)))
    np.load(tmp_path / "evil.npy", allow_pickle=True)
    assert harm.exists()  # so it would do harm
    harm.rmdir()
    for file in sorted(tmp_path.glob("evil.*")):
        for command in (
            ("train", file, "--out", tmp_path / "out.nc"),
            ("train", stages / "shots.nc", "--config", file, "--out", tmp_path / "out.nc"),
            ("import", "auto", file, "--out", tmp_path / "out.nc"),
            ("import", "numpy", file, "--out", tmp_path / "out.nc"),
            ("import", "hdf5", file, "--out", tmp_path / "out.nc"),
            ("sample", file, "--out", tmp_path / "out.nc"),
            ("evaluate", stages / "rbm.nc", file),
            ("evaluate", file, stages / "state.nc"),
            ("prune", file, stages / "shots.nc", "--out", tmp_path / "out"),
            ("export", "numpy", file, "--out", tmp_path / "out.npz"),
        ):
            assert file.name in tiny.refusal(tiny.call(*command))
            assert not harm.exists()
