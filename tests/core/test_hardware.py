"""The record of the CPU names what numba and OpenBLAS really use."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from psiprune.core import hardware


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
