"""Several numbers side by side in a vector register, written out for Numba.

A loop over the channels of a pixel does the same to each of them, and a processor can do it to 8 or 16 at once. LLVM
finds that by itself in a loop that touches two or three places in memory. In one that reads six and writes six others
it would first have to prove that no two of them overlap, and gives up. So the transforms of winograd.py say it:

    d = load(x, start, step, 6, 0, 6)     six vectors, d[i] from x[start + i*step] on
    e = B(d)                              linear combinations of them, where B = linear_map([[1, -3/2, -2, ...], ...])
    store(y, start, step, 0, 6, e)        and back to memory

Of arrays with the bits of bfloat16 numbers, `load_real` makes vectors of float32 numbers, and `store_real` rounds such
vectors into one; of other arrays they are `load` and `store`.

A vector holds `lanes(x)` numbers of x's dtype, as many as fill a register of the unit that multiplies (unit.py): 64
bytes with AVX-512, 32 with AVX2, else 16. Arrays are 1-D here, and nobody checks an index.

These are *intrinsics*: Numba does not compile their Python. It runs it, once for each kind of arguments: the function
says what types go in and come out, and its `emit` writes the instructions, by calls of a `builder`, in the language of
LLVM, which Numba makes machine code of. So a loop of `emit` over i is not a loop there, but its body so many times.
"""

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils, errors
from numba.extending import intrinsic, models, register_model

from ..machine.bfloat16 import real_of, round_, widen
from ..machine.jit import jit
from ..machine.unit import VECTOR_BYTES, unit

REGISTER = VECTOR_BYTES.get(unit(), 64)  # bytes of a vector
REGISTERS = 16 if get_host_cpu_features().get("sse2") and REGISTER < 64 else 32  # how many of them there are


class Vector(types.Type):
    """The Numba type of a vector register full of numbers of `dtype`."""

    def __init__(self, dtype):
        self.dtype, self.lanes = dtype, REGISTER * 8 // dtype.bitwidth
        super().__init__(f"Vector({dtype} x {self.lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        number = manager.lookup(kind.dtype).get_value_type()  # LLVM's type of one number
        super().__init__(manager, kind, ir.VectorType(number, kind.lanes))


@intrinsic
def lanes(context, x):
    """How many numbers of x's dtype a vector holds: a constant."""
    count = Vector(x.dtype).lanes
    return types.intp(x), lambda context, builder, signature, arguments: context.get_constant(types.intp, count)


def _loading(as_it_lies):
    @intrinsic(prefer_literal=True)
    def apply(context, x, start, step, count, first, last):
        """The vectors at x[start + i*step], i in [0, count), as a tuple; a zero instead unless first <= i < last."""
        if not isinstance(count, types.IntegerLiteral):
            raise errors.TypingError("load: count must be a constant")
        number = count.literal_value  # so the loop below is written out
        kind = types.UniTuple(Vector(x.dtype if as_it_lies else real_of(x.dtype)), number)

        def emit(context, builder, signature, arguments):
            array, start, step, _, first, last = indices(context, builder, signature.args, arguments)
            vector = context.get_value_type(kind.dtype)
            there = ir.VectorType(context.get_value_type(x.dtype), vector.count)  # in memory
            values = []
            for i in range(number):
                inside, place = _inside(i, builder, first, last), ir.Constant(step.type, i)
                place = builder.select(inside, place, first)  # what is outside is not read, but one inside instead
                address = pointer(context, builder, signature.args[0], array, _at(builder, start, step, place), there)
                value = builder.load(address, align=x.dtype.bitwidth // 8, typ=there)
                value = value if there == vector else widen(builder, value)
                values.append(builder.select(inside, value, ir.Constant(vector, None)))
            return context.make_tuple(builder, kind, values)

        return kind(x, types.intp, types.intp, count, types.intp, types.intp), emit

    return apply


def _storing(as_it_lies):
    @intrinsic
    def apply(context, y, start, step, first, last, values):
        """Write values[i] to y[start + i*step] for each i with first <= i < last."""

        def emit(context, builder, signature, arguments):
            array, start, step, first, last, values = indices(context, builder, signature.args, arguments)
            for i, value in enumerate(cgutils.unpack_tuple(builder, values)):
                # with constant bounds LLVM knows the answer, and no test is left
                with builder.if_then(_inside(i, builder, first, last)):
                    place = _at(builder, start, step, ir.Constant(step.type, i))
                    value = value if as_it_lies or y.dtype == values_dtype else round_(builder, value)
                    address = pointer(context, builder, signature.args[0], array, place, value.type)
                    builder.store(value, address, align=y.dtype.bitwidth // 8)
            return context.get_dummy_value()

        values_dtype = values.dtype.dtype
        return types.none(y, types.intp, types.intp, types.intp, types.intp, values), emit

    return apply


load, store = _loading(as_it_lies=True), _storing(as_it_lies=True)
load_real, store_real = _loading(as_it_lies=False), _storing(as_it_lies=False)


@intrinsic
def stream(context, y, start, step, values):
    """Write values[i] to y[start + i*step] past the caches, for what is more than they hold.

    `store` has a line read before it is overwritten, and others make room for it. Each place must be a multiple of
    REGISTER bytes in memory. Before another thread reads it: ``end_of_stream()``.
    """

    def emit(context, builder, signature, arguments):
        array, start, step, values = indices(context, builder, signature.args, arguments)
        vector = context.get_value_type(signature.args[-1].dtype)
        mark = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        for i, value in enumerate(cgutils.unpack_tuple(builder, values)):
            place = _at(builder, start, step, ir.Constant(step.type, i))
            address = pointer(context, builder, signature.args[0], array, place, vector)
            builder.store(value, address, align=REGISTER).set_metadata("nontemporal", mark)
        return context.get_dummy_value()

    return types.none(y, types.intp, types.intp, values), emit


@intrinsic
def end_of_stream(context):
    """What was streamed is in memory when this is over."""

    def emit(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.none(), emit


@intrinsic
def nothing(context, x):
    """A vector of zeros, of x's dtype."""
    kind = Vector(x.dtype)
    return kind(x), lambda context, builder, signature, arguments: ir.Constant(context.get_value_type(kind), None)


@intrinsic
def transpose(context, x, start, step, y, to, y_step):
    """A square of numbers mirrored: y[to + j*y_step + i] = x[start + i*step + j] for i, j in range(lanes(x)).

    In log2(lanes) steps: in the square of 2 x 2 quarters, swap the upper right one with the lower left one, and so on
    with the quarters of each of the four (Eklundh 1972); here the smallest come first.
    """

    def emit(context, builder, signature, arguments):
        x_array, start, step, y_array, to, y_step = indices(context, builder, signature.args, arguments)
        vector = context.get_value_type(Vector(x.dtype))
        count, size = vector.count, x.dtype.bitwidth // 8  # lanes; bytes of a number
        places = [_at(builder, start, step, ir.Constant(step.type, i)) for i in range(count)]
        places = [pointer(context, builder, x, x_array, place, vector) for place in places]
        rows = [builder.load(place, align=size, typ=vector) for place in places]
        for half in (1 << i for i in range(count.bit_length() - 1)):
            # of rows i and i + half, side by side as lanes 0 ... 2*count - 1, the numbers that the new ones have
            upper = [count + j - half if j & half else j for j in range(count)]
            lower = [count + j if j & half else j + half for j in range(count)]
            upper, lower = (ir.Constant(ir.VectorType(ir.IntType(32), count), mask) for mask in (upper, lower))
            for i in range(count):
                if not i & half:
                    pair = rows[i], rows[i + half]
                    rows[i], rows[i + half] = (builder.shuffle_vector(*pair, mask) for mask in (upper, lower))
        for i, row in enumerate(rows):
            place = _at(builder, to, y_step, ir.Constant(to.type, i))
            builder.store(row, pointer(context, builder, y, y_array, place, vector), align=size)
        return context.get_dummy_value()

    i = types.intp
    return types.none(x, i, i, y, i, i), emit


@jit(forceinline=True)
def copy(x, at, y, to, count):
    """y[to : to+count] = x[at : at+count], a vector at a time; the last one may repeat what the one before has done."""
    if count < lanes(x):
        for i in range(count):
            y[to + i] = x[at + i]
        return
    for i in range(0, count, lanes(x)):
        i = min(i, count - lanes(x))
        store(y, to + i, 0, 0, 1, load(x, at + i, 0, 1, 0, 1))


@jit(forceinline=True)
def clear(y, to, count):
    """y[to : to+count] = 0."""
    y[to : to + count] = 0


def linear_map(matrix):
    """The function that takes a tuple of vectors d to the tuple of sum_j matrix[i][j] * d[j]; zeros cost nothing."""

    @intrinsic
    def apply(context, d):
        kind = types.UniTuple(d.dtype, len(matrix))

        def emit(context, builder, signature, arguments):
            vectors = cgutils.unpack_tuple(builder, arguments[0])
            values = [_combination(builder, row, vectors) for row in matrix]
            return context.make_tuple(builder, kind, values)

        return kind(d), emit

    return apply


def _combination(builder, coefficients, vectors):
    """sum_j coefficients[j] * vectors[j], of the terms that are not zero, each fused with its sum where that exists."""
    total = None
    for coefficient, vector in zip(coefficients, vectors, strict=True):
        factor = ir.Constant(vector.type, [float(coefficient)] * vector.type.count)
        if total is None and coefficient:  # the first term begins the sum
            total = vector if coefficient == 1 else builder.fmul(vector, factor)
        elif coefficient in (1, -1):
            total = (builder.fadd if coefficient == 1 else builder.fsub)(total, vector)
        elif coefficient:
            total = multiply_add(builder, vector, factor, total)
    return total


def multiply_add(builder, a, b, c):
    """a*b + c, in one instruction where the processor has one for it."""
    # fmuladd: fused where that is one instruction, else two; fma would call a function there
    name = f"llvm.fmuladd.v{a.type.count}{a.type.element.intrinsic_name}"
    kind = ir.FunctionType(a.type, [a.type] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c])


def prefetch(builder, address, for_writing=False, level=1):
    """Have the cache line at `address` (wherever that points) brought to the cache of that level in the meantime."""
    flags = [ir.Constant(ir.IntType(32), value) for value in (int(for_writing), 4 - level, 1)]
    address = builder.bitcast(address, ir.IntType(8).as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [address.type, *(flag.type for flag in flags)])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0"), [address, *flags])


def indices(context, builder, kinds, values):
    """Values of these Numba types, the integers among them all as intp."""
    return [
        context.cast(builder, value, kind, types.intp) if isinstance(kind, types.Integer) else value
        for value, kind in zip(values, kinds, strict=True)
    ]


def _inside(i, builder, first, last):
    place = ir.Constant(first.type, i)
    return builder.and_(builder.icmp_signed("<=", first, place), builder.icmp_signed("<", place, last))


def _at(builder, start, step, place):
    return builder.add(start, builder.mul(step, place))


def pointer(context, builder, kind, array, index, vector):
    """Where array[index] lies in memory, as the address of a `vector`; `kind` is the array's type."""
    data = context.make_array(kind)(context, builder, array).data
    offset = builder.mul(index, ir.Constant(index.type, kind.dtype.bitwidth // 8))  # bytes
    return cgutils.pointer_add(builder, data, offset, vector.as_pointer())
