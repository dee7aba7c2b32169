"""Sums over neighbours by lookup in AVX-512 registers, written in LLVM IR.

States are bits, so the weights of four neighbours have 16 possible sums. These fill one register,
and a `vpermps` looks up the sums of 16 chains by their four bits, in place of four multiply-adds.
LLVM does not find this by itself.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from psiprune.kernels.simd import EXP2, LANES_PER_VECTOR, LOG2_E, constant, uniform_bits

_FLOATS = ir.VectorType(ir.FloatType(), LANES_PER_VECTOR)
_WORDS = ir.VectorType(ir.IntType(32), LANES_PER_VECTOR)
_MASK = ir.IntType(LANES_PER_VECTOR)
#: 1 in the lanes whose number has bit k.
_WITH_BIT = [
    ir.Constant(_FLOATS, [float(lane >> k & 1) for lane in range(LANES_PER_VECTOR)])
    for k in range(4)
]
_INDEX = types.intp


@intrinsic
def look_up(
    typingctx: Any, x: Any, groups: Any, first: Any, last: Any, bias: Any, total: Any, vectors: Any
) -> Any:
    """Set total[lane] = bias + sum over entries first .. last - 1 of weight . bits of x.

    x [group, lane] holds four bits of units in each int32; `groups` is the tuple (group, weight)
    of arrays, for each entry the group that it reads and the weights of its four units.
    """
    count = len(vectors)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, signature, arguments)
        lanes = emit.data(5)
        for number, value in enumerate(emit.sums(count)):
            emit.store(value, lanes, number)
        return context.get_dummy_value()

    return types.void(x, groups, _INDEX, _INDEX, types.float32, total, vectors), codegen


@intrinsic
def draw(
    typingctx: Any,
    x: Any,
    groups: Any,
    first: Any,
    last: Any,
    bias: Any,
    spread: Any,
    low: Any,
    high: Any,
    y: Any,
    place: Any,
    vectors: Any,
) -> Any:
    """Set bit place % 4 of y[place // 4, lane], which is 0, with probability sigmoid(total[lane]).

    The total is that of `look_up`, the random numbers are those of `uniform`: u < 1 / (1 + e) is
    tested as u + u e < 1. `vscalefps` of e = 2^(-total log2(e)) needs no bounds: beyond those of
    float32, e is 0 or infinite.
    """
    count = len(vectors)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, signature, arguments)
        low, high = (emit.splat(word) for word in arguments[6:8])
        place, word = arguments[9], ir.IntType(32)
        row = emit.row(8, builder.lshr(place, ir.Constant(place.type, 2)), count)
        shift = builder.trunc(builder.and_(place, ir.Constant(place.type, 3)), word)
        bit = emit.splat(builder.shl(ir.Constant(word, 1), shift))
        lanes = emit.data(5)
        for number, value in enumerate(emit.sums(count)):
            u = uniform_bits(builder, emit.load(_WORDS, lanes, number), low, high)
            e = emit.exp2(builder.fmul(value, constant(_FLOATS, -float(LOG2_E))))
            below = builder.fcmp_ordered("<", emit.fma(u, e, u), constant(_FLOATS, 1.0))
            old = emit.load(_WORDS, row, number)
            emit.store(builder.select(below, builder.or_(old, bit), old), row, number)
        return context.get_dummy_value()

    return types.void(
        *(x, groups, _INDEX, _INDEX, types.float32),
        *(spread, types.uint32, types.uint32, y, _INDEX, vectors),
    ), codegen


class _Emitter:
    """Writes vector instructions into a function of numba."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self._context, self._builder = context, builder
        self._signature, self._arguments = signature, arguments

    def sums(self, count: int) -> list[Any]:
        """Return the totals of `look_up`, one value for each vector of lanes."""
        builder = self._builder
        _, groups, first, last, bias = self._arguments[:5]
        group, weight = (
            self._array(kind, builder.extract_value(groups, k))
            for k, kind in enumerate(self._signature.args[1].types)
        )
        totals = [cgutils.alloca_once_value(builder, self.splat(bias)) for _ in range(count)]
        one = ir.Constant(first.type, 1)
        with cgutils.for_range_slice(builder, first, last, one, first.type) as (entry, _):
            four = builder.gep(weight, [builder.mul(entry, ir.Constant(entry.type, 4))])
            weights = [
                self.splat(builder.load(builder.gep(four, [ir.Constant(entry.type, k)])))
                for k in range(len(_WITH_BIT))
            ]
            table = builder.fmul(weights[0], _WITH_BIT[0])
            for number, with_bit in zip(weights[1:], _WITH_BIT[1:], strict=True):
                table = self.fma(number, with_bit, table)
            index = builder.load(builder.gep(group, [entry]))
            row = self.row(0, builder.zext(index, entry.type), count)
            for number, total in enumerate(totals):
                bits = self.load(_WORDS, row, number)
                found = self._call("llvm.x86.avx512.permvar.sf.512", table, bits)
                builder.store(builder.fadd(builder.load(total), found), total)
        return [builder.load(total) for total in totals]

    def exp2(self, y: Any) -> Any:
        """Return 2^y, as `exp32` does without its bounds."""
        builder = self._builder
        n = self._call("llvm.rint.v16f32", y)
        f = builder.fsub(y, n)
        p = constant(_FLOATS, float(EXP2[0]))
        for coefficient in EXP2[1:]:
            p = self.fma(p, f, constant(_FLOATS, float(coefficient)))
        every, nearest = ir.Constant(_MASK, -1), ir.Constant(ir.IntType(32), 4)
        return self._call("llvm.x86.avx512.mask.scalef.ps.512", p, n, p, every, nearest)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a b + c with one rounding."""
        return self._call("llvm.fma.v16f32", a, b, c)

    def splat(self, scalar: Any) -> Any:
        """Return a vector with the same number in all lanes."""
        whole = ir.VectorType(scalar.type, LANES_PER_VECTOR)
        zero = ir.Constant(ir.IntType(32), 0)
        first = self._builder.insert_element(ir.Constant(whole, ir.Undefined), scalar, zero)
        return self._builder.shuffle_vector(
            first, ir.Constant(whole, ir.Undefined), ir.Constant(_WORDS, [0] * LANES_PER_VECTOR)
        )

    def data(self, argument: int) -> Any:
        """Return the pointer to the items of an argument that is an array."""
        return self._array(self._signature.args[argument], self._arguments[argument])

    def row(self, argument: int, group: Any, count: int) -> Any:
        """Return the pointer to a row of an array [group, lane]."""
        lanes = ir.Constant(group.type, count * LANES_PER_VECTOR)
        return self._builder.gep(self.data(argument), [self._builder.mul(group, lanes)])

    def load(self, kind: Any, pointer: Any, number: int) -> Any:
        """Return a vector of the items at a pointer."""
        return self._builder.load(self._at(kind, pointer, number), align=4)

    def store(self, value: Any, pointer: Any, number: int) -> None:
        """Store a vector of the items at a pointer."""
        self._builder.store(value, self._at(value.type, pointer, number), align=4)

    def _at(self, kind: Any, pointer: Any, number: int) -> Any:
        offset = ir.Constant(ir.IntType(64), number * LANES_PER_VECTOR)
        return self._builder.bitcast(self._builder.gep(pointer, [offset]), kind.as_pointer())

    def _array(self, kind: Any, value: Any) -> Any:
        return self._context.make_array(kind)(self._context, self._builder, value).data

    def _call(self, name: str, *arguments: Any) -> Any:
        kinds = [argument.type for argument in arguments]
        function = ir.FunctionType(arguments[0].type, kinds)
        declared = cgutils.get_or_insert_function(self._builder.module, function, name)
        return self._builder.call(declared, arguments)
