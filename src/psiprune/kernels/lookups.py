"""Sums over neighbours by lookup in registers of AVX-512 or AVX2, written in LLVM IR.

States are bits, so the weights of four neighbours have 16 possible sums. These fill one register of
AVX-512, and a `vpermps` looks up the sums of 16 chains by their four bits, in place of four
multiply-adds. LLVM does not find this by itself. A register of AVX2 has the 8 sums of three
neighbours. So the length of the tuple `units` says which it is: 2^units lanes fill a register.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from psiprune.kernels.simd import EXP2, LANES_PER_VECTOR, LOG2_E, constant, in_step, uniform_bits

#: Lanes of a register of AVX-512.
_WIDEST = 16
#: Registers of sums at once; AVX2 has 16 in all.
_AT_ONCE = 7
_INDEX = types.intp


@intrinsic
def look_up(
    typingctx: Any, x: Any, groups: Any, first: Any, last: Any, bias: Any, total: Any, vectors: Any
) -> Any:
    """Set total[lane] = bias + sum over entries first .. last - 1 of weight . bits of x.

    x [group, lane] holds the bits of a group of units in each int32; `groups` is the tuple (group,
    weight, units) of two arrays, for each entry the group that it reads and the weights of its
    units, and of a tuple with an item for each unit of a group.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, signature, arguments, groups[2], vectors)
        lanes = emit.data(5)
        for numbers in emit.rounds():
            for number, value in emit.sums(numbers):
                emit.store(value, lanes, number)
        return context.get_dummy_value()

    return types.void(x, groups, _INDEX, _INDEX, types.float32, total, vectors), codegen


@intrinsic
def probability(
    typingctx: Any,
    x: Any,
    groups: Any,
    first: Any,
    last: Any,
    bias: Any,
    counted: Any,
    p: Any,
    unit: Any,
    vectors: Any,
) -> Any:
    """Set p[unit, lane] = counted[lane] * sigmoid(total[lane]) for the total of `look_up`."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, signature, arguments, groups[2], vectors)
        counted, out = emit.data(5), emit.row(6, arguments[7])

        def found(number: int, y: Any) -> Generator[None, None, None]:
            e = yield from emit.exp2(y)
            value = emit.share(emit.load(emit.floats, counted, number), e)
            emit.store(value, out, number)

        for numbers in emit.rounds():
            in_step(*(found(*each) for each in emit.sums(numbers, -float(LOG2_E))))
        return context.get_dummy_value()

    return types.void(
        *(x, groups, _INDEX, _INDEX, types.float32, counted, p, _INDEX, vectors)
    ), codegen


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
    """Set the bit of y [group, lane] at a place, which is 0, with probability sigmoid(total[lane]).

    The total is that of `look_up`, the random numbers are those of `uniform`: u < 1 / (1 + e) is
    tested as u + u e < 1 with e = 2^(-total log2(e)).
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, signature, arguments, groups[2], vectors)
        low, high = (emit.splat(word) for word in arguments[6:8])
        row, bit = emit.unit(8, arguments[9])
        lanes = emit.data(5)

        def drawn(number: int, y: Any) -> Generator[None, None, None]:
            u = yield from uniform_bits(builder, emit.load(emit.words, lanes, number), low, high)
            e = yield from emit.exp2(y)
            below = builder.fcmp_ordered("<", emit.fma(u, e, u), constant(emit.floats, 1.0))
            yield
            old = emit.load(emit.words, row, number)
            new = builder.or_(old, builder.select(below, bit, constant(emit.words, 0)))
            emit.store(new, row, number)

        for numbers in emit.rounds():
            in_step(*(drawn(*each) for each in emit.sums(numbers, -float(LOG2_E))))
        return context.get_dummy_value()

    return types.void(
        *(x, groups, _INDEX, _INDEX, types.float32),
        *(spread, types.uint32, types.uint32, y, _INDEX, vectors),
    ), codegen


@intrinsic
def gather_bits(
    typingctx: Any, x: Any, place: Any, words: Any, column: Any, units: Any, vectors: Any
) -> Any:
    """Set bits of words [., column] to those of x [group, lane] at a place.

    A word has the bits of 8 * units lanes, from the lowest on; of the last, some may be left as
    they are.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, signature, arguments, units, vectors)
        row, bit = emit.unit(0, arguments[1])
        mask = ir.IntType(emit.lanes)
        words = builder.bitcast(emit.data(2), mask.as_pointer())
        parts, used = 32 // emit.lanes, 8 * len(units) // emit.lanes  # of a word
        size = ir.Constant(arguments[3].type, parts)
        first, step = builder.mul(arguments[3], size), builder.mul(emit.width(2), size)
        for number in range(emit.count):
            found = builder.and_(emit.load(emit.words, row, number), bit)
            some = builder.icmp_unsigned("!=", found, constant(emit.words, 0))
            at = emit.plus(first, number % used)
            builder.store(builder.bitcast(some, mask), builder.gep(words, [at]))
            if number % used == used - 1:
                first = builder.add(first, step)
        return context.get_dummy_value()

    return types.void(x, _INDEX, words, _INDEX, units, vectors), codegen


@intrinsic
def add_products(
    typingctx: Any,
    x: Any,
    y: Any,
    p: Any,
    q: Any,
    entries: Any,
    total: Any,
    first: Any,
    column: Any,
    units: Any,
    rows: Any,
    columns: Any,
) -> Any:
    """Add to total[first + j, column + k] a sum over lanes, p[first + j, lane] x_k - q[...] y_k.

    For j < len(rows) and k < 16 * len(columns); x and y are words as `gather_bits` sets them, of
    which the lanes of the first `entries` groups count.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = _Emitter(context, builder, signature, arguments, units, columns)
        hidden = [emit.plus(arguments[6], j) for j in range(len(rows))]
        weights = [[emit.start(argument, unit) for unit in hidden] for argument in (2, 3)]
        ends = [builder.gep(emit.start(5, unit), [arguments[7]]) for unit in hidden]
        sums = [
            [cgutils.alloca_once(builder, emit.floats) for _ in range(emit.count)] for _ in hidden
        ]
        for row, end in zip(sums, ends, strict=True):
            for block, value in enumerate(row):
                builder.store(emit.load(emit.floats, end, block), value)
        count = arguments[4]
        zero, one, eight = (ir.Constant(count.type, k) for k in (0, 1, 8))
        with cgutils.for_range_slice(builder, zero, count, one, count.type) as (entry, _):
            shift = builder.mul(builder.urem(entry, eight), ir.Constant(entry.type, len(units)))
            shift = emit.splat(builder.trunc(shift, ir.IntType(32)))
            for argument, add in ((0, builder.fadd), (1, builder.fsub)):
                bits = emit.start(argument, builder.udiv(entry, eight))
                bits = builder.gep(bits, [arguments[7]])
                states = [
                    builder.lshr(emit.load(emit.words, bits, block), shift)
                    for block in range(emit.count)
                ]
                for row, weight in zip(sums, weights[argument], strict=True):
                    table = emit.table(weight, entry)
                    for value, state in zip(row, states, strict=True):
                        builder.store(add(builder.load(value), emit.found(table, state)), value)
        for row, end in zip(sums, ends, strict=True):
            for block, value in enumerate(row):
                emit.store(builder.load(value), end, block)
        return context.get_dummy_value()

    return types.void(*(x, y, p, q, _INDEX, total, _INDEX, _INDEX, units, rows, columns)), codegen


class _Emitter:
    """Writes vector instructions into a function of numba."""

    def __init__(
        self,
        context: Any,
        builder: Any,
        signature: Any,
        arguments: Any,
        units: Any,
        vectors: Any,
    ) -> None:
        """Take the types of the tuples `units` and `vectors`, whose vectors have 16 lanes each."""
        self._context, self._builder = context, builder
        self._signature, self._arguments = signature, arguments
        self.units, self.lanes = len(units), 1 << len(units)
        self.count = LANES_PER_VECTOR * len(vectors) // self.lanes
        self.floats = ir.VectorType(ir.FloatType(), self.lanes)
        self.words = ir.VectorType(ir.IntType(32), self.lanes)

    def rounds(self) -> list[range]:
        """Return the numbers of the vectors that are summed together."""
        size = -(-self.count // -(-self.count // _AT_ONCE))
        return [range(k, min(k + size, self.count)) for k in range(0, self.count, size)]

    def sums(self, numbers: range, factor: float = 1.0) -> list[tuple[int, Any]]:
        """Return `factor` times the totals of `look_up` for some vectors, each with its number."""
        builder = self._builder
        _, groups, first, last, bias = self._arguments[:5]
        group, weight = (
            self._array(self._signature.args[1].types[k], builder.extract_value(groups, k))
            for k in range(2)
        )
        start = self.splat(builder.fmul(bias, ir.Constant(bias.type, factor)))
        totals = [cgutils.alloca_once_value(builder, start) for _ in numbers]
        one = ir.Constant(first.type, 1)
        with cgutils.for_range_slice(builder, first, last, one, first.type) as (entry, _):
            table = self.table(weight, entry, factor)
            index = builder.load(builder.gep(group, [entry]))
            row = self.row(0, builder.zext(index, entry.type))
            for number, total in zip(numbers, totals, strict=True):
                bits = self.load(self.words, row, number)
                builder.store(builder.fadd(builder.load(total), self.found(table, bits)), total)
        return [
            (number, builder.load(total)) for number, total in zip(numbers, totals, strict=True)
        ]

    def table(self, weight: Any, entry: Any, factor: float = 1.0) -> Any:
        """Return the sums of factor * weight[units * entry + k], k < units, for all their bits."""
        builder = self._builder
        first = builder.gep(weight, [builder.mul(entry, ir.Constant(entry.type, self.units))])
        table = None
        for k in range(self.units):
            number = self.splat(builder.load(builder.gep(first, [ir.Constant(entry.type, k)])))
            with_bit = ir.Constant(
                self.floats, [factor * (lane >> k & 1) for lane in range(self.lanes)]
            )
            table = self.fma(number, with_bit, table) if k else builder.fmul(number, with_bit)
        return table

    def found(self, table: Any, bits: Any) -> Any:
        """Return what a table has at the lowest bits of each lane, as many as a group has units."""
        wide = self.lanes == _WIDEST
        name = "llvm.x86.avx512.permvar.sf.512" if wide else "llvm.x86.avx2.permps"
        return self._call(name, table, bits)

    def exp2(self, y: Any) -> Generator[None, None, Any]:
        """Return 2^y, as `exp32` does, for `in_step`.

        `vscalefps` of AVX-512 needs no bounds: beyond those of float32, 2^y is 0 or infinite.
        Without it 2^y is bounded by 2^-120 and 2^120.
        """
        builder, wide = self._builder, self.lanes == _WIDEST
        if not wide:
            for name, bound in (("maxnum", -120.0), ("minnum", 120.0)):
                y = self._call(f"llvm.{name}.v8f32", y, constant(self.floats, bound))
        yield
        n = self._call(f"llvm.rint.v{self.lanes}f32", y)
        yield
        f = builder.fsub(y, n)
        p = constant(self.floats, float(EXP2[0]))
        for coefficient in EXP2[1:]:
            yield
            p = self.held(self.fma(p, f, constant(self.floats, float(coefficient))))
        yield
        if wide:
            every, nearest = ir.Constant(ir.IntType(_WIDEST), -1), ir.Constant(ir.IntType(32), 4)
            return self._call("llvm.x86.avx512.mask.scalef.ps.512", p, n, p, every, nearest)
        raised = builder.shl(builder.fptosi(n, self.words), constant(self.words, 23))
        return builder.bitcast(builder.add(builder.bitcast(p, self.words), raised), self.floats)

    def held(self, x: Any) -> Any:
        """Return x; LLVM, which would undo the order of `in_step`, keeps that of these calls."""
        kind = ir.FunctionType(x.type, [x.type])
        return self._builder.call(ir.InlineAsm(kind, "", "=v,0", True), [x])

    def share(self, a: Any, e: Any) -> Any:
        """Return a / (1 + e) for e >= 0 (below 1e-30 a if e is infinite), on AVX-512 by products.

        `vrcp14ps` has a relative error of 2^-14, of which one step of Newton's method leaves 2^-28,
        less than rounding.
        """
        one = constant(self.floats, 1.0)
        if self.lanes != _WIDEST:
            return self._builder.fdiv(a, self._builder.fadd(one, e))
        e = self._call("llvm.minnum.v16f32", e, constant(self.floats, 2.0**100))
        d = self._builder.fadd(one, e)
        every = ir.Constant(ir.IntType(_WIDEST), -1)
        r = self._call("llvm.x86.avx512.rcp14.ps.512", d, constant(self.floats, 0.0), every)
        a = self._builder.fmul(a, r)
        return self.fma(self.fma(self._builder.fneg(d), r, one), a, a)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a b + c with one rounding."""
        return self._call(f"llvm.fma.v{self.lanes}f32", a, b, c)

    def splat(self, scalar: Any) -> Any:
        """Return a vector with the same number in all lanes."""
        whole = ir.VectorType(scalar.type, self.lanes)
        zero = ir.Constant(ir.IntType(32), 0)
        first = self._builder.insert_element(ir.Constant(whole, ir.Undefined), scalar, zero)
        return self._builder.shuffle_vector(
            first, ir.Constant(whole, ir.Undefined), constant(self.words, 0)
        )

    def data(self, argument: int) -> Any:
        """Return the pointer to the items of an argument that is an array."""
        return self._array(self._signature.args[argument], self._arguments[argument])

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

    def row(self, argument: int, group: Any) -> Any:
        """Return the pointer to a row of an array [group, lane]."""
        lanes = ir.Constant(group.type, self.count * self.lanes)
        return self._builder.gep(self.data(argument), [self._builder.mul(group, lanes)])

    def unit(self, argument: int, place: Any) -> tuple[Any, Any]:
        """Return the pointer to the row of a unit in an array [group, lane], and its bit."""
        builder, word, units = self._builder, ir.IntType(32), ir.Constant(place.type, self.units)
        row = self.row(argument, builder.udiv(place, units))
        shift = builder.trunc(builder.urem(place, units), word)
        return row, self.splat(builder.shl(ir.Constant(word, 1), shift))

    def load(self, kind: Any, pointer: Any, number: int) -> Any:
        """Return a vector of the items at a pointer."""
        return self._builder.load(self._at(kind, pointer, number), align=4)

    def store(self, value: Any, pointer: Any, number: int) -> None:
        """Store a vector of the items at a pointer."""
        self._builder.store(value, self._at(value.type, pointer, number), align=4)

    def _at(self, kind: Any, pointer: Any, number: int) -> Any:
        offset = ir.Constant(ir.IntType(64), number * self.lanes)
        return self._builder.bitcast(self._builder.gep(pointer, [offset]), kind.as_pointer())

    def _array(self, kind: Any, value: Any) -> Any:
        return self._context.make_array(kind)(self._context, self._builder, value).data

    def _call(self, name: str, *arguments: Any) -> Any:
        kinds = [argument.type for argument in arguments]
        function = ir.FunctionType(arguments[0].type, kinds)
        declared = cgutils.get_or_insert_function(self._builder.module, function, name)
        return self._builder.call(declared, arguments)
