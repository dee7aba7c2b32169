"""Mutate files of each format and read them: no hang, no signal, no traceback, bounded memory.

    python tests/fuzz.py --mutations 100000 [--seconds 3600] [--seed 0] [FORMAT ...]

Each format is read by a process of its own, whose memory the system limits. A mutation is named by
its number, so `--first N --mutations 1` repeats one. The exit status is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

import psiprune as pp
from psiprune.data.formats import FORMATS, read_bits
from psiprune.data.formats.base import SourceFile
from psiprune.data.formats.settings import ReadSettings
from psiprune.io import hdf5_guard
from psiprune.io.netcdf import kind_of, read_dataset

FIXTURES = Path(__file__).parent / "data/formats/fixtures"
#: Reading files of psiprune itself, their checksum made right again after each mutation.
OWN = "psiprune"
#: A mutation may take so long; the process that does not come back is killed later.
MOST_SECONDS, GRACE = 30, 90
#: Bytes that the process may take beside what it has loaded; the formats' own limits are lower.
MOST_BYTES = 3 << 30
#: The HDF5 library's share of the time for one file: shorter than for users, as stalls are many.
CPU_SECONDS = 2
NUMBERS = [0, 1, 127, 128, 255]
NUMBERS += [(1 << bits) - less for bits in (15, 16, 31, 32, 63, 64) for less in (0, 1)]
TOKENS = [
    *(b"NaN", b"-1", b"1e999", b"9" * 400, b"0" * 3000, b"0x", b"2", b"null", b"[" * 300, b"{}"),
    *(b'""', b'"a":', b",", b"  ", b"\r", b"\n\n", b"\0", b"\x1b[2J", b"\xff\xfe", "é".encode()),
]


SELF, CHILDREN = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN


class Start(NamedTuple):
    """A file that is read as it is, and the settings that it needs."""

    content: bytes
    settings: dict[str, Any]


def starts(form: str) -> list[Start]:
    """Return small files to mutate: of the format, or of all formats where none is known."""
    made = dict(_made())
    if form in made:
        return made[form]
    found = [
        Start(file.read_bytes(), {"qubits": 10} if form in ("stim-b8", "stim-ptb64") else {})
        for file in sorted(FIXTURES.iterdir())
        if _belongs(file, form)
    ]
    return found or [start for each in made.values() for start in each]


def _belongs(file: Path, form: str) -> bool:
    if form.startswith("stim-"):
        return file.suffix == f".{form.removeprefix('stim-')}"
    return file.name.startswith(f"{form}_")


def _made() -> Iterator[tuple[str, list[Start]]]:
    """Yield the formats that a few lines can write."""
    bits = np.random.default_rng(0).integers(0, 2, (30, 4)).astype(np.uint8)
    lines = "\n".join(" ".join(map(str, row)) for row in bits.tolist())
    text = [lines, lines.replace(" ", ","), "# remark\nq0,q1,q2,q3\n" + lines.replace(" ", ",")]
    yield "text", [Start(each.encode(), {}) for each in (*text, lines.replace(" ", ""))]
    yield "qucumber", [Start(lines.encode(), {})]
    arrays = []
    for save in (np.save, np.savez_compressed):
        stream = io.BytesIO()
        save(stream, bits)
        arrays.append(Start(stream.getvalue(), {}))
    yield "numpy", arrays
    tables = [Start(_lab(version), {}) for version in ("earliest", "latest")]
    yield "hdf5", tables
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file.nc"
        pp.Shots(bits).save(file)
        again = []
        for engine, version in (("netcdf4", "NETCDF4"), ("scipy", "NETCDF3_64BIT")):
            other = Path(folder) / f"{engine}.nc"
            dataset = read_dataset(file).assign_coords(site=list("abcd"))
            dataset.to_netcdf(other, engine=engine, format=version)  # type: ignore[call-overload]
            again.append(Start(other.read_bytes(), {}))
        yield "netcdf", again
        shots = Start(file.read_bytes(), {})
        pp.ground_state(pp.TFIM(sites=3)).save(file)
        yield OWN, [shots, Start(file.read_bytes(), {}), *again]


def _lab(version: str) -> bytes:
    """A table of another program with labels, coordinates, names and compression."""
    stream = io.BytesIO()
    bits = np.random.default_rng(5).integers(0, 2, (20, 4)).astype(np.uint8)
    with h5py.File(stream, "w", libver=version) as file:
        table = file.create_dataset("run/bits", data=bits, compression="gzip", chunks=(10, 4))
        table.dims[0].label, table.dims[1].label = "shot", "site"
        names = [f"q{k}" for k in range(4)]
        file.create_dataset("site", data=names, dtype=h5py.string_dtype()).make_scale("site")
        table.dims[1].attach_scale(file["site"])
    return stream.getvalue()


def mutated(content: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """Return content with one to three changes; `other` is a second file to take pieces of."""
    data = bytearray(content)
    for _ in range(int(random.choice((1, 1, 1, 1, 2, 3)))):
        place = int(random.integers(0, max(1, len(data))))
        length = int(random.integers(1, 1 + min(64, max(1, len(data)))))
        match int(random.choice((0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8))):
            case 0 if data:
                data[place % len(data)] ^= 1 << int(random.integers(0, 8))
            case 1 if data:
                data[place % len(data)] = int(random.integers(0, 256))
            case 2:
                size = int(random.choice((1, 2, 4, 8)))
                number = NUMBERS[int(random.integers(0, len(NUMBERS)))] % (1 << 8 * size)
                data[place : place + size] = number.to_bytes(size, "little")
            case 3:
                del data[place : place + length]
            case 4:
                data[place:place] = data[place : place + length]
            case 5:
                data[place:place] = TOKENS[int(random.integers(0, len(TOKENS)))]
            case 6:
                del data[place:]
            case 7:
                start = int(random.integers(0, max(1, len(other))))
                data[place : place + length] = other[start : start + length]
            case 8:
                data[place : place + length] = random.bytes(length)
    return bytes(data)


def mutation(form: str, seed: int, number: int) -> Start:
    """Return a mutation by its number."""
    random = np.random.default_rng([seed, number])
    every = starts(form) if form not in _cache else _cache[form]
    _cache[form] = every
    start, other = (every[int(random.integers(0, len(every)))] for _ in range(2))
    content = mutated(start.content, other.content, random)
    if form == OWN and random.random() < 0.5:
        content = re.sub(rb"psiprune-crc32=[0-9a-f]{8}\n\Z", b"", content)
        content += b"psiprune-crc32=%08x\n" % zlib.crc32(content)
    return Start(content, start.settings)


_cache: dict[str, list[Start]] = {}


def read(form: str, start: Start, number: int, folder: Path) -> str:
    """Read a mutation as a user would; return what came out, or raise what must not happen."""
    try:
        if form == OWN:
            path = folder / "file.nc"
            path.write_bytes(start.content)
            kind_of(path)
            read_dataset(path)
            return "read"
        file = SourceFile(folder / "file", start.content)
        # Every third is recognized by its content, as `psiprune info` does.
        name, given = (form, start.settings) if number % 3 else (None, {})
        read_bits(file, name, ReadSettings(**given))
        return "read"
    except pp.InputError as error:
        line = str(error)
        if "\n" in line or len(line) > 3000:
            raise AssertionError(f"a message of several lines: {line[:200]!r}") from None
        if "ends the process" in line:
            return "crash contained"
        return "stall contained" if re.search(r"takes more than \d+ s", line) else "refused"


def serve(form: str, seed: int, first: int, last: int, progress: Path) -> None:
    """Read mutations one by one; write each number before, and what was found to stdout."""
    hdf5_guard.CPU_SECONDS = CPU_SECONDS
    mutation(form, seed, 0)
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    loaded = int(status["VmData"].split()[0]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (loaded + MOST_BYTES, resource.RLIM_INFINITY))
    for number in range(first, last):
        progress.write_text(str(number))
        begun = time.monotonic()
        try:
            found = read(form, mutation(form, seed, number), number, progress.parent)
        except Exception as error:
            found = f"FAILED: {type(error).__name__}: {error}"
        taken = time.monotonic() - begun
        if taken > MOST_SECONDS:
            found = f"FAILED: took {taken:.0f} s"
        sizes = (resource.getrusage(who).ru_maxrss for who in (SELF, CHILDREN))
        memory = max(sizes) >> 10
        print(json.dumps([number, found, taken, memory]), flush=True)


def fuzz(
    form: str, mutations: int, seconds: float, seed: int = 0, first: int = 0
) -> tuple[Counter[str], list[str], str]:
    """Return how often what came out, what must not have, and the slowest and largest."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    slowest, largest, number = 0.0, 0, first
    end, until = first + mutations, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        progress, output = Path(folder) / "progress", Path(folder) / "output"
        while number < end and time.monotonic() < until:
            words = [form, str(seed), str(number), str(end), str(progress)]
            with output.open("w") as stream:
                process = subprocess.Popen(
                    [sys.executable, __file__, "--serve", *words], stdout=stream
                )
            progress.write_text("")
            while process.poll() is None and time.monotonic() < until:
                time.sleep(0.1)
                if time.time() - progress.stat().st_mtime > GRACE:
                    break
            stopped = process.poll() is None
            process.kill()
            status = process.wait()
            for line in output.read_text().splitlines():
                if not line.endswith("]"):
                    break
                number, found, taken, memory = json.loads(line)
                counts[found.partition(":")[0]] += 1
                slowest, largest = max(slowest, taken), max(largest, memory)
                if found.startswith("FAILED"):
                    failures.append(f"{form} {number}: {found}")
                number += 1
            if number < end and time.monotonic() < until:
                why = f"no answer after {GRACE} s" if stopped else f"ended with status {status}"
                failures.append(f"{form} {number}: FAILED: {why}")
                counts["FAILED"] += 1
                number += 1
    return counts, failures, f"slowest {slowest:.1f} s, {largest} MB"


def main() -> int:
    """Fuzz each format, print a line for it, and return the exit status."""
    if sys.argv[1:2] == ["--serve"]:
        form, seed, first, last, progress = sys.argv[2:]
        serve(form, int(seed), int(first), int(last), Path(progress))
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help="all of them if not given")
    parser.add_argument("--mutations", type=int, default=1000, help="of each format")
    parser.add_argument("--seconds", type=float, default=1e9, help="for all formats together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    given = parser.parse_args()
    forms = given.formats or [*FORMATS, OWN]
    every: list[str] = []
    for form in forms:
        share = given.seconds / len(forms)
        counts, failures, extremes = fuzz(form, given.mutations, share, given.seed, given.first)
        every += failures
        parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        print(f"{form:12} {counts.total()} mutations: {parts}; {extremes}", flush=True)
    print(*every, sep="\n", end="\n" if every else "")
    return bool(every)


if __name__ == "__main__":
    sys.exit(main())
