"""The processor, its vector instructions and the BLAS kernels, on which last bits depend.

numba compiles for the CPU it runs on, and a wider vector adds up in another order; OpenBLAS selects
its kernels by CPU family.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

from psiprune.core.exceptions import InputError

_CPUS = Path("/proc/cpuinfo")
#: Features of LLVM, widest first, and the name of their instruction set.
_VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sse2": "SSE2", "neon": "NEON"}
#: Ways to add up weights, fastest first, and the features of LLVM that they need.
_SUMS = {"avx512": {"avx512f"}, "avx2": {"avx2", "fma"}, "loops": set[str]()}


def processor() -> str:
    """Return the processor model from Linux, else from Python; empty if neither knows it."""
    try:
        lines = _CPUS.read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def vector_instructions() -> str:
    """Return the CPU that numba compiles for and its widest vectors: "znver4, AVX-512"."""
    cpu, present = _target()
    return ", ".join([cpu, *[name for key, name in _VECTORS.items() if key in present][:1]])


def gibbs_sums() -> str:
    """Return how Gibbs sampling adds up the weights of neighbours: "avx512", "avx2" or "loops".

    The first two look up sums of four or three weights in registers of these instructions.
    PSIPRUNE_SIMD overrides the choice.

    Raises:
        InputError: PSIPRUNE_SIMD is none of them, or needs another CPU.
    """
    chosen, present = os.environ.get("PSIPRUNE_SIMD"), _target()[1]
    able = [name for name, needed in _SUMS.items() if needed <= present]
    if not chosen:
        return able[0]
    if chosen not in _SUMS:
        raise InputError(f"PSIPRUNE_SIMD: must be one of {', '.join(_SUMS)}, found {chosen!r}")
    if chosen not in able:
        raise InputError(
            f"PSIPRUNE_SIMD: {chosen} needs instructions that {vector_instructions()} lacks; "
            f"use {able[0]}, or unset it"
        )
    return chosen


def _target() -> tuple[str, frozenset[str]]:
    """Return name and features of the CPU that numba compiles for."""
    cpu, present = os.environ.get("NUMBA_CPU_NAME"), frozenset[str]()
    if cpu is None:
        cpu, present = _host()
    changes = os.environ.get("NUMBA_CPU_FEATURES", "").split(",")
    present |= {name[1:] for name in changes if name.startswith("+")}
    present -= {name[1:] for name in changes if name.startswith("-")}
    if os.environ.get("NUMBA_ENABLE_AVX") == "0":
        present = frozenset(name for name in present if not name.startswith("avx"))
    return cpu, present


@cache
def _host() -> tuple[str, frozenset[str]]:
    import llvmlite.binding as llvm

    try:
        features = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know this platform's
        features = {}
    return llvm.get_host_cpu_name(), frozenset(name for name, on in features.items() if on)


def blas_kernels() -> str:
    """Return the BLAS libraries of NumPy and SciPy with their kernels: "openblas 0.3.30 Zen"."""
    import scipy.linalg  # noqa: F401  (loads SciPy's own copy)
    from threadpoolctl import threadpool_info

    names = (
        (pool["internal_api"], pool["version"], pool.get("architecture"))
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    )
    return ", ".join(sorted({" ".join(str(part) for part in name if part) for name in names}))
