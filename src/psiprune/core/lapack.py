"""In-place Cholesky factor and inverse of large matrices, without Python's global lock.

SciPy's wrappers hold that lock, a quarter of a minute for the 5,150 parameters of a 100 x 50 RBM,
so no other thread runs and Ctrl-C waits; numpy.linalg.cholesky releases it, but copies the matrix
twice, has no matching inverse and does not give the same bits. So SciPy's LAPACK is called by
ctypes, which releases the lock.
"""

from __future__ import annotations

import ctypes

import numpy as np
from numba.extending import get_cython_function_address
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
_ROUTINE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5)


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


def _call(name: str, matrix: Float64) -> int:
    """Run NAME(uplo = 'L', n, matrix, n, info) of SciPy's LAPACK and return info."""
    assert matrix.dtype == np.float64
    assert matrix.flags.f_contiguous
    assert matrix.flags.writeable
    size, info = ctypes.c_int(len(matrix)), ctypes.c_int(0)
    n = ctypes.byref(size)
    routine = _ROUTINE(get_cython_function_address("scipy.linalg.cython_lapack", name))
    routine(b"L", n, ctypes.c_void_p(matrix.ctypes.data), n, ctypes.byref(info))
    return info.value
