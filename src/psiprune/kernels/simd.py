"""SIMD primitives that numba lacks: random numbers, exponentials and stack arrays on lanes.

A lane is one Markov chain. Every loop over lanes in `kernels` has a length known at compile time
(16 times the length of the tuple `vectors`), so LLVM unrolls it into full vectors and holds an
accumulator of one unit over all lanes in registers.

The generator is a counter hash without state: the number for (row, lane) is a keyed 32-bit mix of
the lane, with a 64-bit key per row from SplitMix64 (Steele, Lea & Flood 2014). So results do not
depend on the number of threads or on the grouping of chains, and resuming needs no stored state.
The mix is Wellons' lowbias32 (two multiplications) with a second key xored in between them.
numba widens unsigned 32-bit arithmetic to 64 bits, hence the two intrinsics written in LLVM IR.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types, uint64
from numba.core import cgutils
from numba.extending import intrinsic

from psiprune.kernels.cache import KernelCache

#: Reductions over lanes may be reordered and products fused: without it no sum vectorises.
FAST = {"contract", "reassoc", "nsz", "arcp"}
OPTIONS = {"nogil": True, "fastmath": FAST, "error_model": "numpy"}
inlined = njit(inline="always", **OPTIONS)
LANES_PER_VECTOR = 16
LOG2_E = np.float32(1.44269504)
#: Coefficients of a polynomial close to 2^f for |f| <= 1/2, highest power first.
EXP2 = (
    *(np.float32(1.327647129073739e-3), np.float32(9.675540961325169e-3)),
    *(np.float32(5.550713092088699e-2), np.float32(2.4022120237350464e-1)),
    *(np.float32(6.931469440460205e-1), np.float32(1.0)),
)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function of this package on its first call, or load its code from `KernelCache`."""
    dispatcher = njit(**OPTIONS)(function)
    dispatcher._cache = KernelCache(function)  # as `cache=True` does with numba's own
    return dispatcher


@intrinsic
def stack_floats(typingctx: Any, vectors: Any) -> Any:
    """Return a pointer to 16 * len(vectors) floats on the stack, held in registers by LLVM."""
    count = LANES_PER_VECTOR * len(vectors)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = cgutils.alloca_once(builder, ir.ArrayType(ir.FloatType(), count))
        return builder.bitcast(block, ir.FloatType().as_pointer())

    return types.CPointer(types.float32)(vectors), codegen


@intrinsic
def uniform(typingctx: Any, lane: Any, low: Any, high: Any) -> Any:
    """Return a uniform float32 on the 2^23 midpoints of (0, 1) for a lane of the row (low, high).

    `lane` is uint32 from `spread_lanes`.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return in_step(uniform_bits(builder, *arguments))[0]

    return types.float32(types.uint32, types.uint32, types.uint32), codegen


def in_step(*writers: Generator[None, None, Any]) -> list[Any]:
    """Let generators write instructions in turn, one each at a time; return their results.

    Instructions that do not wait for each other then lie close together: a CPU looks ahead only so
    far, and one that ends a long calculation would wait for the begin of the next.
    """
    results: list[Any] = [None] * len(writers)
    left = dict(enumerate(writers))
    while left:
        for number in list(left):
            try:
                next(left[number])
            except StopIteration as end:
                results[number] = end.value
                del left[number]
    return results


def uniform_bits(builder: Any, lane: Any, low: Any, high: Any) -> Generator[None, None, Any]:
    """Write the instructions of `uniform`, for numbers or for vectors, for `in_step`."""
    word = lane.type
    floating = ir.FloatType()
    if isinstance(word, ir.VectorType):
        floating = ir.VectorType(floating, word.count)
    x = builder.add(lane, low)
    yield
    x = builder.xor(x, builder.lshr(x, constant(word, 16)))
    yield
    x = builder.mul(x, constant(word, 0x7FEB352D))
    yield
    x = builder.xor(builder.xor(x, builder.lshr(x, constant(word, 15))), high)
    yield
    x = builder.mul(x, constant(word, 0x846CA68B))
    yield
    # 23 bits of x ^ x >> 16 as the mantissa of a float in [1, 2), then the middle of its cell. The
    # shifts come first, so that AVX-512 has one instruction for the rest.
    x = builder.xor(builder.lshr(x, constant(word, 9)), builder.lshr(x, constant(word, 25)))
    x = builder.or_(x, constant(word, 0x3F800000))
    yield
    shift = constant(floating, float(np.float32(1 - 2.0**-24)))
    return builder.fsub(builder.bitcast(x, floating), shift)


def constant(kind: Any, value: float) -> Any:
    """Return a constant of LLVM, in all lanes of a vector."""
    lanes = [value] * kind.count if isinstance(kind, ir.VectorType) else value
    return ir.Constant(kind, lanes)


@inlined
def spread_lanes(first, lanes, out):  # type: ignore[no-untyped-def]
    """Set out[k] = (first + k) * 2^32 / golden ratio, the lane numbers that `uniform` expects."""
    for k in range(lanes):
        out[k] = (first + k) * 0x9E3779B9


@intrinsic
def times_power_of_two(typingctx: Any, x: Any, exponent: Any) -> Any:
    """Return x * 2^exponent by adding to the exponent bits; exponent is an integer-valued float."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        floating, word, mantissa = {
            types.float32: (ir.FloatType(), ir.IntType(32), 23),
            types.float64: (ir.DoubleType(), ir.IntType(64), 52),
        }[signature.return_type]
        raised = builder.shl(builder.fptosi(arguments[1], word), ir.Constant(word, mantissa))
        return builder.bitcast(builder.add(builder.bitcast(arguments[0], word), raised), floating)

    return x(x, x), codegen


@inlined
def row_key(key: int) -> int:
    """Return SplitMix64 of a 64-bit counter."""
    z = uint64(key + uint64(0x9E3779B97F4A7C15))
    z = uint64((z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9))
    z = uint64((z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB))
    return uint64(z ^ (z >> uint64(31)))


@inlined
def exp32(x: float) -> float:
    """Return exp(x) in float32 for |x| <= 80, beyond that exp(+-80).

    2^n times a polynomial in the fraction of x log2(e), |fraction| <= 1/2, without a branch. The
    relative error is below 3e-7 + 7e-8 |x|, the second part from x log2(e) in float32; in a
    sigmoid it is below 1e-7 absolute.
    """
    x = min(max(x, np.float32(-80.0)), np.float32(80.0))  # type: ignore[assignment]
    y = x * LOG2_E
    n = np.rint(y)
    f = y - n
    p = EXP2[0]
    p = p * f + EXP2[1]
    p = p * f + EXP2[2]
    p = p * f + EXP2[3]
    p = p * f + EXP2[4]
    p = p * f + EXP2[5]
    return times_power_of_two(p, n)


@inlined
def exp64(x: float) -> float:
    """Return exp(x) in float64, exp(+-700) beyond |x| = 700; relative error < 2e-16 (5 + |x|).

    Taylor polynomial of degree 12 on |x - n log 2| <= log(2)/2, without a branch. log 2 is a single
    number, as FAST would let LLVM add up two parts; the error is negligible in 1 + exp(-|x|).
    """
    x = min(max(x, -700.0), 700.0)
    n = np.floor(x * 1.4426950408889634 + 0.5)
    f = x - n * 0.6931471805599453
    p = 1.0 / 479001600.0
    p = p * f + 1.0 / 39916800.0
    p = p * f + 1.0 / 3628800.0
    p = p * f + 1.0 / 362880.0
    p = p * f + 1.0 / 40320.0
    p = p * f + 1.0 / 5040.0
    p = p * f + 1.0 / 720.0
    p = p * f + 1.0 / 120.0
    p = p * f + 1.0 / 24.0
    p = p * f + 1.0 / 6.0
    p = p * f + 0.5
    p = p * f + 1.0
    p = p * f + 1.0
    return times_power_of_two(p, n)
