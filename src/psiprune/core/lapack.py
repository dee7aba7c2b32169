"""Cholesky factor and inverse of large matrices without holding Python's lock.

SciPy's own wrappers hold it until LAPACK returns, a quarter of a minute for the 5,150 parameters of
a 100 x 50 RBM: no other thread runs meanwhile, and nothing hears Ctrl-C. These call the same
routines of the same library through ctypes, which lets go of the lock, and give the same bits.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cython_lapack

Float64 = NDArray[np.float64]


def cholesky_in_place(matrix: Float64) -> Float64:
    """L of a positive matrix L L^T, in its lower triangle; the other one is left as it was.

    `matrix` must be float64 in Fortran order.

    Raises:
        LinAlgError: the matrix is not positive definite.
    """
    fault = _call("dpotrf", matrix)
    if fault > 0:
        raise np.linalg.LinAlgError(f"the leading minor of order {fault} is not positive definite")
    return matrix


def inverse_in_place(factor: Float64) -> Float64:
    """The lower triangle of (L L^T)^-1 from L as `cholesky_in_place` gives it; likewise in place.

    Raises:
        LinAlgError: a number on the diagonal of L is 0.
    """
    fault = _call("dpotri", factor)
    if fault > 0:
        raise np.linalg.LinAlgError(f"the factor is 0 at ({fault}, {fault}) of its diagonal")
    return factor


def _call(name: str, matrix: Float64) -> int:
    """Run NAME(uplo = 'L', n, matrix, n, info) and return info."""
    assert matrix.dtype == np.float64
    assert matrix.flags.f_contiguous
    assert matrix.flags.writeable
    size, info = ctypes.c_int(len(matrix)), ctypes.c_int(0)
    _routine(name)(
        ctypes.c_char_p(b"L"),
        ctypes.byref(size),
        ctypes.c_void_p(matrix.ctypes.data),
        ctypes.byref(size),
        ctypes.byref(info),
    )
    return info.value


def _routine(name: str) -> Any:
    """A routine of SciPy's LAPACK, by the pointer that it exports for Cython."""
    capsule = cython_lapack.__pyx_capi__[name]
    signature, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    signature.restype, signature.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5)(pointer(capsule, signature(capsule)))
