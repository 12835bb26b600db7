"""Compiled work that threads share without Python in between: for ops so short that waking a thread takes as long.

To share an op's chunks, threads.py has a Python thread woken, which must then wait for the interpreter's lock: 50
microseconds, in which two cores make 13 million multiplications. One picture passes fifty layers of that size. Here a
thread of the pool waits inside compiled code, its eyes on a *box* in memory, for 200 microseconds after its last work;
then it sleeps. What is put into the box begins 1 microsecond later:

    main        hands chunk 1 over to the box ── does chunk 0 ──────────── takes chunk 1 back, or waits for its end
    worker      looks ... looks ... takes it ──── does chunk 1 ── is done ── looks ... looks

A chunk that nobody has taken when the main thread is done with its own, it takes back: a worker that has not woken up
yet, or has other work, holds nobody up. Whoever changes a box's state from HANDED to TAKEN, atomically, has the chunk.

    @jit
    def double(limits, arguments):                       # limits: a row of the table
        (x,) = arguments
        for i in range(limits[0], limits[1]):
            x[i] *= 2

    @jit
    def doubled(boxes, table, arguments):
        return stage(boxes, double, table, arguments)    # of all rows; several stages may follow one another

    threads.run_compiled(doubled, np.array([[0, 50], [50, 100]]), (x,))

Such a function must not raise an error, but for want of memory, and does not call Python. What it works with is packed
into the main thread's stack (`_bundle`), with the address of a small function that unpacks it there: so a worker needs
to know no types. Where `POSSIBLE` is False there are no such workers: the main thread does all.
"""

import functools
import itertools
import os

import numpy as np
from llvmlite import ir
from numba import typeof, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .jit import jit
from .keeper import MONOTONIC, clock_gettime, pause, read

POSSIBLE = os.name == "posix"
AWAKE = 200_000  # nanoseconds that a worker looks at its box after it has had work there; then it sleeps
PATIENCE = 1 << 12  # looks at a worker's box before the core is offered to others between them

STATE, CODE, DATA, NUMBER, FAILED = range(5)  # the words of a box: what is handed over, and how that ended
CALLS, ASLEEP, READ, WRITE, BYTE = range(16, 21)  # on other cache lines: Python's calls; a pipe to sleep at
WORDS = 32
FREE, HANDED, TAKEN = range(3)  # states

_write = types.ExternalFunction("write", types.intp(types.intc, types.voidptr, types.uintp))
_sched_yield = types.ExternalFunction("sched_yield", types.intc())


def new_boxes(count):
    """A box for each of so many workers, with a pipe to sleep at: (count, WORDS)."""
    space = np.zeros((count + 1) * WORDS, np.int64)
    skipped = -space.ctypes.data % 128 // 8  # two cache lines, as they are fetched in pairs
    boxes = space[skipped : skipped + count * WORDS].reshape(count, WORDS)
    for box in boxes:
        box[READ], box[WRITE] = os.pipe()
    stand_by.compile((typeof(boxes[0]), types.intp))  # now: no thread may be at that when the process forks or ends
    return boxes


def close(box):
    """Give the pipe of a worker that is gone back."""
    os.close(box[READ])
    os.close(box[WRITE])


NOBODY = np.zeros((0, WORDS), np.int64)


@functools.lru_cache(1024)
def table(n, count, unit):
    """range(n) in at most `count` equal pieces of whole units, of which the last may be cut: a row (start, stop, number
    of the piece) for each."""
    units = -(-n // unit)
    limits = [min(n, i * units // count * unit) for i in range(count + 1)]
    pieces = [(start, stop) for start, stop in itertools.pairwise(limits) if start < stop]
    return np.array([(*piece, i) for i, piece in enumerate(pieces)], np.int64).reshape(len(pieces), 3)


@jit(keep=False)  # it is compiled for each kernel, in whatever calls it, and kept as a part of that
def stage(boxes, kernel, table, arguments):
    """kernel(table[i], arguments), compiled, for each row i of a table (rows, numbers), with the workers' help.

    Returns 0, or 1 if memory was short for one of them; all of them have ended.
    """
    code, data = _bundle(kernel, table, arguments)
    helpers = min(len(boxes), len(table) - 1)
    for i in range(helpers):
        _hand_over(boxes[i], code, data, i + 1)
    failed = _call(code, data, 0) if len(table) else 0
    for i in range(helpers + 1, len(table)):
        failed |= _call(code, data, i)
    for i in range(helpers):
        failed |= _end(boxes[i], code, data, i + 1)
    return failed


@jit
def stand_by(box, seen):
    """Do what is handed to this box. Returns the box's count of Python's calls, once that is not `seen` any more."""
    time, last = np.zeros(2, np.int64), -AWAKE
    while True:
        if change(box, STATE, HANDED, TAKEN):
            box[FAILED] = _call(box[CODE], box[DATA], box[NUMBER])
            put(box, STATE, FREE)
            last = _now(time)
        if look(box, CALLS) != seen:
            return look(box, CALLS)
        if _now(time) - last < AWAKE:
            for _ in range(8):
                if look(box, STATE) == HANDED:
                    break
                pause()
            continue
        put(box, ASLEEP, 1)  # before the last look: whoever comes later sees it
        if look(box, STATE) != HANDED and look(box, CALLS) == seen:
            read(box[READ], box[BYTE:].ctypes, 1)
        put(box, ASLEEP, 0)
        last = _now(time)


@jit
def call_python(box):
    """Have stand_by() return."""
    put(box, CALLS, box[CALLS] + 1)
    _wake(box)


@jit
def _hand_over(box, code, data, number):
    box[CODE], box[DATA], box[NUMBER] = code, data, number
    put(box, STATE, HANDED)
    _wake(box)


@jit
def _end(box, code, data, number):
    """Take the chunk back, and do it, or wait until it is done."""
    if change(box, STATE, HANDED, FREE):
        return _call(code, data, number)
    looks = 0
    while look(box, STATE) != FREE:
        looks += 1
        if looks < PATIENCE:
            pause()
        else:  # more threads than cores: perhaps it is this one that keeps the worker from its work
            _sched_yield()
    return box[FAILED]


@jit
def _wake(box):
    if change(box, ASLEEP, 1, 0):  # once for each sleep
        _write(box[WRITE], box[BYTE:].ctypes, 1)


@jit
def _now(time):
    clock_gettime(MONOTONIC, time.ctypes)
    return time[0] * 1_000_000_000 + time[1]


# What Python, and Numba, have no words for

_WORD = ir.IntType(64)
_CODE = ir.FunctionType(_WORD, [_WORD, _WORD])  # of (address of what is packed, number of the chunk)


@intrinsic
def _bundle(context, kernel, table, arguments):
    """(The address of a function, that of its data): ``_call`` of both and i is kernel(table[i], arguments).

    The data lie in the calling function's stack.
    """
    row = types.Array(table.dtype, 1, "C")
    signature = kernel.get_call_type(context, (row, arguments), {})

    def emit(context, builder, _, values):
        packed = cgutils.alloca_once_value(builder, context.make_tuple(builder, kinds, values[1:]))
        function = ir.Function(builder.module, _CODE, f"{builder.function.name}.chunk")
        function.linkage = "internal"
        inside = ir.IRBuilder(function.append_basic_block())
        both = inside.load(inside.inttoptr(function.args[0], packed.type), typ=packed.type.pointee)
        rows, given = cgutils.unpack_tuple(inside, both)
        array = context.make_array(table)(context, inside, rows)
        width = inside.extract_value(array.shape, 1)
        one = context.make_array(row)(context, inside)
        offset = inside.mul(inside.mul(function.args[1], width), ir.Constant(_WORD, table.dtype.bitwidth // 8))
        start = cgutils.pointer_add(inside, array.data, offset)
        size = ir.Constant(_WORD, table.dtype.bitwidth // 8)
        populate_array(one, start, [width], [size], size, None)
        compiled = kernel.dispatcher.get_compile_result(signature)
        callee = context.declare_function(builder.module, compiled.fndesc)
        context.add_linking_libs([compiled.library])
        status, _ = context.call_conv.call_function(
            inside, callee, types.none, signature.args, [one._getvalue(), given]
        )
        inside.ret(inside.zext(status.is_error, _WORD))
        addresses = [builder.ptrtoint(function, _WORD), builder.ptrtoint(packed, _WORD)]
        return context.make_tuple(builder, types.UniTuple(types.intp, 2), addresses)

    kinds = types.Tuple((table, arguments))
    return types.UniTuple(types.intp, 2)(kernel, table, arguments), emit


@intrinsic
def _call(context, code, data, number):
    """What the function at that address returns: 0, or 1 if memory was short."""

    def emit(context, builder, signature, values):
        return builder.call(builder.inttoptr(values[0], _CODE.as_pointer()), values[1:])

    return types.intp(types.intp, types.intp, types.intp), emit


def _word(context, builder, signature, values):
    """The address of box[i]."""
    data = context.make_array(signature.args[0])(context, builder, values[0]).data
    return builder.gep(data, [values[1]])


@intrinsic
def look(context, box, i):
    """box[i] as it is now in memory."""

    def emit(context, builder, signature, values):
        return builder.load_atomic(_word(context, builder, signature, values), "seq_cst", 8)

    return types.intp(box, types.intp), emit


@intrinsic
def put(context, box, i, value):
    """box[i] = value, behind all that was written before, and before all that is read later."""

    def emit(context, builder, signature, values):
        builder.store_atomic(values[2], _word(context, builder, signature, values), "seq_cst", 8)
        return context.get_dummy_value()

    return types.none(box, types.intp, types.intp), emit


@intrinsic
def change(context, box, i, old, new):
    """Whether box[i] was `old`, and has been made `new`, in one step."""

    def emit(context, builder, signature, values):
        place = _word(context, builder, signature, values)
        return builder.extract_value(builder.cmpxchg(place, values[2], values[3], "seq_cst", "seq_cst"), 1)

    return types.boolean(box, types.intp, types.intp, types.intp), emit
