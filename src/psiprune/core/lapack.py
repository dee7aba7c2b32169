"""Cholesky factor, solution and inverse of large matrices, without Python's global lock.

SciPy's wrappers hold that lock, a quarter of a minute for the 5,150 parameters of a 100 x 50 RBM,
so no other thread runs and Ctrl-C waits; numpy.linalg.cholesky releases it, but copies the matrix
twice, has no matching inverse and does not give the same bits. So SciPy's LAPACK is called by
ctypes, which releases the lock. Its module is loaded by its file: importing `scipy.linalg` around
it takes a tenth of a second, a fifth of a small training.
"""

from __future__ import annotations

import ctypes
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def cholesky_in_place(matrix: Float64) -> Float64:
    """Replace the lower triangle of a positive matrix L L^T by L; the upper one is unchanged.

    `matrix` must be float64 in Fortran order.

    Raises:
        LinAlgError: the matrix is not positive definite.
    """
    fault = _call("dpotrf", matrix)
    if fault > 0:
        raise np.linalg.LinAlgError(f"the leading minor of order {fault} is not positive definite")
    return matrix


def inverse_in_place(factor: Float64) -> Float64:
    """Replace L of `cholesky_in_place` by the lower triangle of (L L^T)^-1.

    Raises:
        LinAlgError: a number on the diagonal of L is 0.
    """
    fault = _call("dpotri", factor)
    if fault > 0:
        raise np.linalg.LinAlgError(f"the factor is 0 at ({fault}, {fault}) of its diagonal")
    return factor


def solve(factor: Float64, vector: Float64) -> Float64:
    """Return x with L L^T x = vector, from L of `cholesky_in_place`."""
    x = vector.astype(np.float64)
    _call("dpotrs", factor, x)
    return x


def _call(name: str, matrix: Float64, vector: Float64 | None = None) -> int:
    """Run NAME(uplo = 'L', n, ..., info) of SciPy's LAPACK and return info."""
    assert matrix.dtype == np.float64
    assert matrix.flags.f_contiguous
    assert matrix.flags.writeable
    size, one, info = ctypes.c_int(len(matrix)), ctypes.c_int(1), ctypes.c_int(0)
    n, a = ctypes.byref(size), ctypes.c_void_p(matrix.ctypes.data)
    arguments: list[Any] = [b"L", n, a, n, ctypes.byref(info)]
    if vector is not None:
        assert vector.shape == (len(matrix),)
        arguments[2:4] = [ctypes.byref(one), a, n, ctypes.c_void_p(vector.ctypes.data), n]
    capsule = _ROUTINES[name]
    routine = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arguments))
    routine(_address(capsule, _label(capsule)))(*arguments)
    return info.value


def _load() -> dict[str, Any]:
    """Return SciPy's LAPACK routines as capsules by name, without importing their package."""
    spec = PathFinder.find_spec("cython_lapack", [f"{folder}/linalg" for folder in scipy.__path__])
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    routines: dict[str, Any] = module.__pyx_capi__
    return routines


_ROUTINES = _load()
_label = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(
    ("PyCapsule_GetName", ctypes.pythonapi)
)
_address = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
