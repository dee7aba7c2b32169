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
#: Lanes of two vectors, the second from 16 on, that `summed` adds at each level.
_HALVES = [
    tuple([number + half for number in lanes] for half in (0, step))
    for step, lanes in (
        (8, [*range(8), *range(16, 24)]),
        (4, [8 * k + i for k in range(4) for i in range(4)]),
        (2, [4 * k + m + i for k in range(4) for m in (0, 16) for i in range(2)]),
        (1, [4 * k + m + i for k in range(4) for m in (0, 16) for i in (0, 2)]),
    )
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
        row, bit = emit.unit(8, arguments[9], count)
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


@intrinsic
def gather_bits(typingctx: Any, x: Any, place: Any, words: Any, column: Any, vectors: Any) -> Any:
    """Set bit lane % 32 of words[lane // 32, column] to bit place % 4 of x[place // 4, lane].

    Of an odd number of vectors the last sets half of a word.
    """
    count = len(vectors)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, signature, arguments)
        row, bit = emit.unit(0, arguments[1], count)
        words = builder.bitcast(emit.data(2), _MASK.as_pointer())
        two = ir.Constant(arguments[3].type, 2)
        half, step = builder.mul(arguments[3], two), builder.mul(emit.width(2), two)
        for number in range(count):
            found = builder.and_(emit.load(_WORDS, row, number), bit)
            some = builder.icmp_unsigned("!=", found, constant(_WORDS, 0))
            at = builder.add(half, ir.Constant(half.type, number % 2))
            builder.store(builder.bitcast(some, _MASK), builder.gep(words, [at]))
            if number % 2:
                half = builder.add(half, step)
        return context.get_dummy_value()

    return types.void(x, _INDEX, words, _INDEX, vectors), codegen


@intrinsic
def add_products(
    typingctx: Any,
    x: Any,
    y: Any,
    p: Any,
    q: Any,
    first: Any,
    entries: Any,
    total: Any,
    at: Any,
    step: Any,
    rows: Any,
    columns: Any,
) -> Any:
    """Add to total[at + j * step + k] the sum over lanes of p[first + j, lane] x_k - q[...] y_k.

    For j < len(rows) and k < 16 * len(columns); x and y [lane // 4, k] hold the bits of four lanes
    in each int32, and the first `entries` of them count.
    """
    blocks = len(columns)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, signature, arguments)
        units = [emit.plus(arguments[4], j) for j in range(len(rows))]
        weights = [[emit.start(argument, unit) for unit in units] for argument in (2, 3)]
        at, ends = arguments[7], []
        for _ in rows:
            ends.append(builder.gep(emit.data(6), [at]))
            at = builder.add(at, arguments[8])
        sums = [
            [cgutils.alloca_once(builder, _FLOATS) for _ in range(blocks)] for _ in range(len(rows))
        ]
        for row, end in zip(sums, ends, strict=True):
            for block, value in enumerate(row):
                builder.store(emit.load(_FLOATS, end, block), value)
        count = arguments[5]
        zero, one = (ir.Constant(count.type, k) for k in range(2))
        with cgutils.for_range_slice(builder, zero, count, one, count.type) as (entry, _):
            for argument, add in ((0, builder.fadd), (1, builder.fsub)):
                bits = emit.row(argument, entry, blocks)
                states = [emit.load(_WORDS, bits, block) for block in range(blocks)]
                for row, weight in zip(sums, weights[argument], strict=True):
                    table = emit.table(weight, entry)
                    for value, state in zip(row, states, strict=True):
                        builder.store(add(builder.load(value), emit.found(table, state)), value)
        for row, end in zip(sums, ends, strict=True):
            for block, value in enumerate(row):
                emit.store(builder.load(value), end, block)
        return context.get_dummy_value()

    return types.void(x, y, p, q, _INDEX, _INDEX, total, _INDEX, _INDEX, rows, columns), codegen


@intrinsic
def add_few_products(
    typingctx: Any,
    x: Any,
    y: Any,
    p: Any,
    q: Any,
    group: Any,
    first: Any,
    total: Any,
    at: Any,
    vectors: Any,
) -> Any:
    """Add to total[at + 4 * j + k] the sum over lanes of p[first + j, lane] x_k - q[...] y_k.

    For j, k = 0 .. 3; x and y [group, lane] hold the bits of four units k in each int32.
    """
    count = len(vectors)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, signature, arguments)
        units = [emit.plus(arguments[5], j) for j in range(4)]
        sums = [constant(_FLOATS, 0.0)] * 16  # of unit j and bit k in 4 * k + j
        one, none = constant(_FLOATS, 1.0), constant(_FLOATS, 0.0)
        phases = []
        for argument in range(2):
            bits = emit.row(argument, arguments[4], count)
            phases.append((bits, [emit.row(argument + 2, unit, count) for unit in units], argument))
        for number in range(count):
            for bits, rows, negative in phases:
                state = emit.load(_WORDS, bits, number)
                terms = [emit.load(_FLOATS, row, number) for row in rows]
                if negative:
                    terms = [builder.fneg(term) for term in terms]
                for k in range(4):
                    bit = builder.and_(state, constant(_WORDS, 1 << k))
                    some = builder.icmp_unsigned("!=", bit, constant(_WORDS, 0))
                    factor = builder.select(some, one, none)
                    for j, term in enumerate(terms):
                        sums[4 * k + j] = emit.fma(term, factor, sums[4 * k + j])
        end = builder.gep(emit.data(6), [arguments[7]])
        emit.store(builder.fadd(emit.load(_FLOATS, end, 0), emit.summed(sums)), end, 0)
        return context.get_dummy_value()

    return types.void(x, y, p, q, _INDEX, _INDEX, total, _INDEX, vectors), codegen


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
            table = self.table(weight, entry)
            index = builder.load(builder.gep(group, [entry]))
            row = self.row(0, builder.zext(index, entry.type), count)
            for number, total in enumerate(totals):
                bits = self.load(_WORDS, row, number)
                builder.store(builder.fadd(builder.load(total), self.found(table, bits)), total)
        return [builder.load(total) for total in totals]

    def table(self, weight: Any, entry: Any) -> Any:
        """Return the 16 sums of weight[4 * entry : 4 * entry + 4]."""
        builder = self._builder
        four = builder.gep(weight, [builder.mul(entry, ir.Constant(entry.type, 4))])
        weights = [
            self.splat(builder.load(builder.gep(four, [ir.Constant(entry.type, k)])))
            for k in range(len(_WITH_BIT))
        ]
        table = builder.fmul(weights[0], _WITH_BIT[0])
        for number, with_bit in zip(weights[1:], _WITH_BIT[1:], strict=True):
            table = self.fma(number, with_bit, table)
        return table

    def found(self, table: Any, bits: Any) -> Any:
        """Return what a table has at the lowest four bits of each lane."""
        return self._call("llvm.x86.avx512.permvar.sf.512", table, bits)

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

    def summed(self, vectors: list[Any]) -> Any:
        """Return the sums over lanes of 16 vectors: lane 4 * m + k has that of vector 4 * k + m."""
        shuffle = self._builder.shuffle_vector
        for masks in _HALVES:
            first, second = (ir.Constant(_WORDS, lanes) for lanes in masks)
            vectors = [
                self._builder.fadd(shuffle(a, b, first), shuffle(a, b, second))
                for a, b in zip(vectors[::2], vectors[1::2], strict=True)
            ]
        return vectors[0]

    def plus(self, value: Any, number: int) -> Any:
        """Return an integer plus a constant."""
        return self._builder.add(value, ir.Constant(value.type, number))

    def start(self, argument: int, row: Any) -> Any:
        """Return the pointer to a row of an array with two axes."""
        builder = self._builder
        return builder.gep(self.data(argument), [builder.mul(row, self.width(argument))])

    def width(self, argument: int) -> Any:
        """Return the length of the rows of an argument that is an array with two axes."""
        kind, value = self._signature.args[argument], self._arguments[argument]
        shape = self._context.make_array(kind)(self._context, self._builder, value).shape
        return self._builder.extract_value(shape, 1)

    def row(self, argument: int, group: Any, count: int) -> Any:
        """Return the pointer to a row of an array [group, lane]."""
        lanes = ir.Constant(group.type, count * LANES_PER_VECTOR)
        return self._builder.gep(self.data(argument), [self._builder.mul(group, lanes)])

    def unit(self, argument: int, place: Any, count: int) -> tuple[Any, Any]:
        """Return the pointer to the row of a unit in an array [group, lane], and its bit."""
        builder, word = self._builder, ir.IntType(32)
        row = self.row(argument, builder.lshr(place, ir.Constant(place.type, 2)), count)
        shift = builder.trunc(builder.and_(place, ir.Constant(place.type, 3)), word)
        return row, self.splat(builder.shl(ir.Constant(word, 1), shift))

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
