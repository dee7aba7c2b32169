"""No HDF5 file takes the process down, whatever it holds; the next one is read as before."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.core.memory import free_memory
from psiprune.io import hdf5_guard
from psiprune.io.hdf5_guard import opened
from psiprune.io.hdf5_reader import MOST_DEPTH
from psiprune.io.hdf5_wire import receive, send
from refusals import refused

FILES = Path(__file__).parent / "files"
BITS = np.random.default_rng(0).integers(0, 2, (20, 4)).astype(np.uint8)
TEXT = h5py.string_dtype()
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="time and memory are limited by Linux")


def lab_file(path: Path, **attributes: Any) -> Path:
    """A table of another program, with attributes that describe its dimensions."""
    with h5py.File(path, "w") as file:
        table = file.create_dataset("bits", data=BITS)
        for name, value in attributes.items():
            table.attrs[name] = value
    return path


def refusal(path: Path) -> str:
    line = refused(".", pp.read_shots, path)
    assert line.startswith(f"{path}: ")
    assert "delete" not in line
    assert len(pp.read_shots(FILES / "lab.h5")) == 20
    return line


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (np.array([b"shot"]), "text of shape (1,)"),
        (np.array(["shot"], dtype=TEXT), "text of shape (1,)"),
        ("shot", "text of shape ()"),
        (np.array([1, 2]), "int64 of shape (2,)"),
        (1, "int64 of shape ()"),
        (np.array([0.5, 1.5]), "float64 of shape (2,)"),
        (h5py.Empty("S4"), "text of shape None"),
    ],
)
def test_labels_of_a_wrong_type(tmp_path: Path, value: Any, found: str) -> None:
    path = lab_file(tmp_path / "lab.h5", DIMENSION_LABELS=value)
    line = refusal(path)
    assert f"bits: its attribute DIMENSION_LABELS must be 2 texts, found {found}" in line
    with h5py.File(path, "r+") as file:
        exec(re.search("del file.*", line)[0], {"file": file})  # type: ignore[index]
        file["bits"].attrs["DIMENSION_LABELS"] = np.array([b"site", b"shot"])
    np.testing.assert_array_equal(pp.read_shots(path).bits, BITS.T)


@pytest.mark.parametrize("kind", ["integers", "references", "null"])
def test_coordinates_of_a_wrong_type(tmp_path: Path, kind: str) -> None:
    path = lab_file(tmp_path / "lab.h5")
    with h5py.File(path, "r+") as file:
        table = file["bits"]
        table.attrs["DIMENSION_LIST"] = {
            "integers": np.array([1, 2]),
            "references": np.array([table.ref, table.ref], dtype=h5py.ref_dtype),
            "null": h5py.Empty(h5py.vlen_dtype(h5py.ref_dtype)),
        }[kind]
    assert "bits: its attribute DIMENSION_LIST must be 2 lists of references" in refusal(path)


@pytest.mark.parametrize(("place", "value"), [(2057, 127), (2049, 145), (2075, 32)])
def test_a_changed_byte_that_aborts_the_library(tmp_path: Path, place: int, value: int) -> None:
    content = bytearray((FILES / "lab.h5").read_bytes())
    content[place] = value
    path = tiny.write(tmp_path / "lab.h5", content)
    assert "truncated or damaged" in refusal(path)


@pytest.mark.parametrize(
    ("limit", "seconds", "words"),
    [
        ("CLOCK_SECONDS", 0.5, r"0\.5 s"),
        pytest.param(*("CPU_SECONDS", 1, "1 s of CPU time"), marks=[pytest.mark.slow, LINUX]),
    ],
)
def test_a_file_that_the_library_never_finishes(
    monkeypatch: pytest.MonkeyPatch, limit: str, seconds: float, words: str
) -> None:
    monkeypatch.setattr(hdf5_guard, limit, seconds)
    refused(rf"hang\.nc: .*takes more than {words}", pp.read_shots, FILES / "hang.nc")
    monkeypatch.undo()
    assert len(pp.read_shots(FILES / "lab.h5")) == 20


def with_names(path: Path, texts: list[str], rare: dict[int, int], sites: int = 50_000) -> Path:
    """Names of sites that all refer to the first text, but for the rare ones."""
    with h5py.File(path, "w") as file:
        bits = file.create_dataset("bits", (4, sites), "u1", chunks=(4, sites), compression=9)
        bits[...] = 0
        there = file.create_dataset("texts", (len(texts),), TEXT, chunks=(len(texts),))
        there[...] = texts
        file.flush()
        raw = there.id.read_direct_chunk((0,))[1]
        references = [raw[16 * k : 16 * k + 16] for k in range(len(texts))]
        site = file.create_dataset("site", (sites,), TEXT, chunks=(sites,), compression=9)
        body = b"".join(references[rare.get(k, 0)] for k in range(sites))
        site.id.write_direct_chunk((0,), zlib.compress(body, 9))
        site.make_scale("site")
        bits.dims[1].attach_scale(site)
        bits.dims[0].label, bits.dims[1].label = "shot", "site"
    assert path.stat().st_size < 100_000
    return path


@pytest.mark.parametrize("length", [60_000, 7_000, 900])
def test_names_that_share_one_text(tmp_path: Path, length: int) -> None:
    path = with_names(tmp_path / "lab.h5", ["a" * length], {})
    assert re.search(r"site: its texts take at least \d+ bytes, .* the same long", refusal(path))
    line = refusal(with_names(path, ["b", "a" * 40_000], {7: 1}))  # one long name among many
    assert "site: site names too long: one has 40000 characters, the limit is 1000" in line
    assert "damaged" not in line


def test_one_table_below_many_groups(tmp_path: Path) -> None:
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w", libver="latest") as file:
        group: Any = file
        for _ in range(MOST_DEPTH + 1):
            group = group.create_group("g")
        group["bits"] = BITS
        above = group.parent
        above["bits"] = BITS
    assert f"nested more than {MOST_DEPTH} deep" in refusal(path)
    with h5py.File(path, "r+") as file:
        del file["g/" * MOST_DEPTH]["g"]
        file.create_group("a")["b"] = file["/"]  # a group that holds itself
    assert len(pp.read_shots(path)) == 20


def test_the_limit_is_a_part_of_the_free_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("bits", data=np.zeros((3000, 500), np.uint8), compression="gzip")
    monkeypatch.setattr(hdf5_guard, "free_memory", lambda: 4_000_000)
    line = refusal(path)
    assert "bits: takes 1.5 MB of memory, more than the limit of 1.0 MB (1/4 of the free" in line
    monkeypatch.undo()
    assert len(pp.read_shots(path)) == 3000


@LINUX
def test_the_system_enforces_the_limit() -> None:
    content = (FILES / "lab.h5").read_bytes()
    with opened(content, FILES / "lab.h5") as file:
        file.attributes()
        worker = hdf5_guard._running()._process.pid
        reader = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()[0]
        limits = Path(f"/proc/{reader}/limits").read_text()
        free = free_memory()
    [most] = re.findall(r"Max data size +(\d+)", limits)
    assert int(most) < min(0.6 * free + 2e8, 6e8)  # the file is small
    [seconds] = re.findall(r"Max cpu time +(\d+)", limits)
    assert int(seconds) < 1000


def test_a_crash_is_blamed_on_no_other_file() -> None:
    content = (FILES / "lab.h5").read_bytes()
    with opened(content, FILES / "lab.h5") as file:
        assert file.tables() == ["run/bits"]
    with opened(content, FILES / "lab.h5") as file:
        crash()
        assert file.tables() == ["run/bits"]  # started again, as it had read others
    hdf5_guard.stop()
    with opened(content, FILES / "lab.h5") as file:
        crash()
        refused(r"lab\.h5: .*crashed while reading it: SIGSEGV", file.tables)
        refused("SIGSEGV", file.tables)


def crash() -> None:
    """End the forked process as a crash of the HDF5 library does."""
    worker = hdf5_guard._running()._process.pid
    [reader] = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
    os.kill(int(reader), signal.SIGSEGV)


def test_threads_and_forks_share_no_conversation() -> None:
    path = FILES / "lab.h5"
    bits = pp.read_shots(path).bits
    with ThreadPoolExecutor(4) as threads:
        for shots in threads.map(pp.read_shots, itertools.repeat(path, 12)):
            np.testing.assert_array_equal(shots.bits, bits)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = int(not np.array_equal(pp.read_shots(path).bits, bits))
            hdf5_guard.stop()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(pp.read_shots(path).bits, bits)


def test_ctrl_c_ends_a_stalled_conversation() -> None:
    pp.read_shots(FILES / "lab.h5")
    heard = threading.Event()

    def press() -> None:
        # Python loses an interrupt that arrives in a finaliser, so a user presses again.
        while not heard.wait(0.3):
            os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    # A shell starts background jobs with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pressing.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            pp.read_shots(FILES / "hang.nc")
    finally:
        heard.set()
        pressing.join()
        signal.signal(signal.SIGINT, before)
    assert len(pp.read_shots(FILES / "lab.h5")) == 20


@pytest.mark.slow
def test_the_other_process_ends_with_this_one() -> None:
    code = (
        "import os, psiprune as pp, psiprune.io.hdf5_guard as guard\n"
        f"pp.read_shots({str(FILES / 'lab.h5')!r})\n"
        "print(guard._running()._process.pid, flush=True)\n"
    )
    for end in ("", "os._exit(0)", "os.kill(os.getpid(), 9)"):
        done = subprocess.run(
            [sys.executable, "-c", code + end], capture_output=True, text=True, check=False
        )
        status, limit = Path(f"/proc/{int(done.stdout)}/stat"), time.monotonic() + 4
        while status.exists() and ") Z " not in status.read_text():
            assert time.monotonic() < limit, f"process {done.stdout} is still there"
            time.sleep(0.02)


@pytest.fixture
def forkless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on Windows: no forks, no limits of the system."""
    hdf5_guard.stop()
    start = "import os, sys; del os.fork; sys.modules['resource'] = None; "
    monkeypatch.setattr(hdf5_guard, "_CODE", start + hdf5_guard._CODE)
    yield
    hdf5_guard.stop()


@pytest.mark.usefixtures("forkless")
def test_without_forks(tmp_path: Path) -> None:
    damaged = tiny.write(tmp_path / "lab.h5", (FILES / "lab.h5").read_bytes()[:600])
    for _ in range(2):
        assert len(pp.read_shots(FILES / "lab.h5")) == 20
        refused("truncated or damaged", pp.read_shots, damaged)
    assert len(pp.read_shots(FILES / "lab.h5")) == 20


def test_a_python_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    hdf5_guard.stop()
    for program in ("/nowhere/python", None):
        monkeypatch.setattr(sys, "executable", program)
        with pytest.raises(pp.PsipruneError, match="cannot be started to read an HDF5 file"):
            pp.read_shots(FILES / "lab.h5")
    monkeypatch.undo()
    monkeypatch.setattr(hdf5_guard, "_CODE", "raise SystemExit(7)")
    with pytest.raises(pp.PsipruneError, match="exit status 7"):
        pp.read_shots(FILES / "lab.h5")


@pytest.mark.parametrize(
    "message",
    [
        b"\0" * 4,
        b"\xff" * 8,
        b"\2\0\0\0\0\0\0\0[",
        b"\2\0\0\0\0\0\0\0[}",
        b'\x21\0\0\0\0\0\0\0{"dtype": "<f8", "shape": [99999]}',
        b'\x1e\0\0\0\0\0\0\0{"dtype": "|O8", "shape": [1]}',
    ],
)
def test_nonsense_from_the_other_process(message: bytes) -> None:
    source, sink = os.pipe()
    os.write(sink, message)
    os.close(sink)
    with pytest.raises((EOFError, ValueError)):
        receive(source, 1000)
    os.close(source)


def test_what_is_sent_is_received() -> None:
    source, sink = os.pipe()
    values = [np.arange(6.0).reshape(2, 3), np.zeros((0, 4)), np.array(7, ">i4"), np.array([b"ab"])]
    send(sink, ["é\udcff", None, [1.5], *values])
    text, nothing, numbers, *arrays = receive(source, 1000)
    assert (text, nothing, numbers) == ("é\udcff", None, [1.5])
    for found, value in zip(arrays, values, strict=True):
        assert found.dtype == value.dtype
        np.testing.assert_array_equal(found, value)
    os.close(source)
    os.close(sink)
