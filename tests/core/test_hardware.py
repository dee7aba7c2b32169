"""The CPU that numba and OpenBLAS really use, and the memory that control groups leave."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from psiprune.core import hardware
from psiprune.core.memory import free_memory
from refusals import refuses


def test_the_processor_is_named_where_it_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: A 9000 @ 2 GHz\nmodel name\t: A 9000 @ 2 GHz\n")
    monkeypatch.setattr(hardware, "_CPUS", file)
    assert hardware.processor() == "A 9000 @ 2 GHz"
    file.unlink()
    for known in ("arm", ""):
        monkeypatch.setattr(platform, "processor", lambda known=known: known)
        assert hardware.processor() == known


def test_the_cpu_that_numba_compiles_for_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CPU_NAME", raising=False)
    assert hardware.vector_instructions()
    monkeypatch.setenv("NUMBA_CPU_NAME", "haswell")
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+avx,+avx2,+sse2")
    assert hardware.vector_instructions() == "haswell, AVX2"
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "")
    assert hardware.vector_instructions() == "haswell"


@pytest.mark.parametrize(
    ("wish", "features", "found"),
    [
        (None, "+avx2,+fma", "avx2"),
        (None, "+avx2", "loops"),
        (None, "+avx2,+fma,+avx512f", "avx512"),
        ("", "+avx512f", "avx512"),
        ("avx512", "+avx512f", "avx512"),
        ("avx2", "+avx2,+fma,+avx512f", "avx2"),
        ("loops", "+avx2,+fma,+avx512f", "loops"),
        ("loops", "", "loops"),
        (None, "+neon,+fp-armv8,+fullfp16,+dotprod", "loops"),  # ARM
        (None, "+neon,+sve,+sve2", "loops"),
    ],
)
def test_tables_of_sums_need_vector_instructions(
    wish: str | None, features: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", "imagined")
    monkeypatch.setenv("NUMBA_CPU_FEATURES", features)
    if wish is None:
        monkeypatch.delenv("PSIPRUNE_SIMD")
    else:
        monkeypatch.setenv("PSIPRUNE_SIMD", wish)
    assert hardware.gibbs_sums() == found


def test_avx512_that_numba_is_told_not_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PSIPRUNE_SIMD")
    monkeypatch.setattr(
        hardware, "_host", lambda: ("znver4", frozenset({"avx2", "fma", "avx512f"}))
    )
    assert hardware.gibbs_sums() == "avx512"
    for name, value, sums, vectors in (
        ("NUMBA_CPU_FEATURES", "-avx512f,-sse2", "avx2", "znver4, AVX2"),
        ("NUMBA_ENABLE_AVX", "0", "loops", "znver4"),
    ):
        monkeypatch.setenv(name, value)
        assert (hardware.gibbs_sums(), hardware.vector_instructions()) == (sums, vectors)
        monkeypatch.delenv(name)


def test_a_cpu_that_llvm_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> None:
        raise RuntimeError("failed to get host cpu features")

    monkeypatch.delenv("PSIPRUNE_SIMD")
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", unknown)
    hardware._host.cache_clear()
    try:
        assert hardware.gibbs_sums() == "loops"
    finally:
        hardware._host.cache_clear()


def test_a_wish_that_cannot_be_met_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", "haswell")
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+avx2")
    for wish, facts in (
        ("tables", ("avx512", "avx2", "loops", "tables")),
        ("avx512", ("haswell, AVX2", "use loops", "unset")),
    ):
        monkeypatch.setenv("PSIPRUNE_SIMD", wish)
        with refuses("PSIPRUNE_SIMD", *facts):
            hardware.gibbs_sums()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="kernels of OpenBLAS for x86-64")
def test_blas_kernels_are_those_in_use() -> None:
    if "openblas" not in hardware.blas_kernels():
        pytest.skip("NumPy uses another BLAS")
    script = "from psiprune.core import hardware; print(hardware.blas_kernels())"
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "OPENBLAS_CORETYPE": "NEHALEM"},
        capture_output=True,
        text=True,
        check=True,
    )
    kernels = run.stdout.strip().split(", ")
    assert all(each.endswith("Nehalem") for each in kernels)


# ---- free memory


GIB = 1 << 30


def machine(root: Path, cgroup: str) -> tuple[Path, Path]:
    """A machine with 8 GiB available, in control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable: {8 * GIB >> 10} kB\n")
    (root / "proc/self/cgroup").write_text(cgroup)
    return root / "proc", root / "cgroup"


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def test_the_smallest_of_what_is_left(tmp_path: Path) -> None:
    proc, cgroups = machine(tmp_path, "0::/job/step\n")
    assert free_memory(proc, cgroups) == 8 * GIB
    group(cgroups / "job/step", memory__max="max", memory__current=GIB, memory__stat="anon 1")
    assert free_memory(proc, cgroups) == 8 * GIB
    group(cgroups / "job", memory__max=4 * GIB, memory__current=3 * GIB)
    group(cgroups / "job", memory__stat=f"anon 5\ninactive_file {GIB // 2}")
    assert free_memory(proc, cgroups) == 3 * GIB // 2
    group(cgroups / "job", memory__current=5 * GIB)
    assert free_memory(proc, cgroups) == 0


def test_control_groups_of_version_1(tmp_path: Path) -> None:
    proc, cgroups = machine(tmp_path, "5:cpu,memory:/job\n4:pids:/job\n")
    names = {"memory__limit_in_bytes": 2 * GIB, "memory__usage_in_bytes": GIB}
    group(cgroups / "memory/job", **names, memory__stat="total_inactive_file 0")
    assert free_memory(proc, cgroups) == GIB


def test_other_systems_and_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096}.get(name, GIB >> 12))
    assert free_memory(tmp_path, tmp_path) == GIB // 2
    monkeypatch.delattr(os, "sysconf")
    assert free_memory(tmp_path, tmp_path) == 4 * GIB
    monkeypatch.undo()
    assert 0 < free_memory() < 1 << 50
