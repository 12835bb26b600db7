"""The tile instructions of AMX: 8 registers of 16 rows x 64 bytes, and a product of two of them.

A tile holds 16 x 16 float32 numbers, or 16 x 16 words, each a pair of bfloat16 numbers:

    tmm4   16 rows of a, 32 numbers each, as they lie          row m: (a[m,0] a[m,1]) (a[m,2] a[m,3]) ... 16 words
    tmm6   32 rows of b, 16 columns, as words (pairs.py)       row k: (b[2k,0] b[2k+1,0]) (b[2k,1] b[2k+1,1]) ...
    tmm0   16 x 16 sums

    tdpbf16ps %tmm6, %tmm4, %tmm0        sums[m, n] += sum over k of a[m,2k] * b[2k,n] + a[m,2k+1] * b[2k+1,n]

That is 8192 multiplications in an instruction. By Intel's figures a core begins one every 16 cycles, and a load of a
tile every 8. So four tiles of sums, 2 x 2, are kept, for which each tile of a and of b is used twice: 4 loads for 4
products, c (32, 32).

    tileloadd 64(x, row), %tmm4          16 rows of 64 bytes, the first at address x + 64, `row` bytes apart
    tilestored, tilezero                 back to memory; all zeros
    ldtilecfg                            how many rows and bytes each tile has: here all of them, CONFIG
    tilerelease                          the tiles are empty again, and the system need not save them

The configuration belongs to a thread: each that multiplies loads it first, and releases the tiles when it is done. And
a process must have asked the system for tiles (machine/unit.py), or its first ldtilecfg is its last instruction.

Rounding: products are exact. An instruction adds up those of even and of odd numbers apart, 16 each, then both, then
that to the sum, each time rounded to the nearest float32. Numbers below 1.2e-38 count as zero, in factors and in sums.

LLVM has no matrix of registers for Numba: the instructions are text (*inline assembly*) for its assembler, in which
{names} stand for registers. An instruction's last operand is what it writes to, $64 is a number, (x, y) an address.

Source    Intel, "Architecture instruction set extensions programming reference"; "Intel 64 and IA-32 architectures
          optimization reference manual", chapter "Intel Advanced Matrix Extensions"
"""

import struct

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .lanes import indices, pointer

binding.initialize_native_asmparser()  # LLVM is to read instructions as text

WORD = ir.IntType(64)  # what a register holds
# palette 1, the only one; an interrupted load goes on with row 0; places for 16 tiles, of which there are 8
CONFIG = struct.pack("<BB14x16H16B", 1, 0, *[64] * 8, *[0] * 8, *[16] * 8, *[0] * 8)

CONFIGURE = "ldtilecfg ({config})"
RELEASE = "tilerelease"
PRODUCT = """
    movq {a_row}, {a_low}
    shlq $4, {a_low}
    addq {a}, {a_low}
    movq {c_row}, {c_low}
    shlq $4, {c_low}
    addq {c}, {c_low}
    testq {more}, {more}
    jz 1f
    tileloadd ({c}, {c_row}), %tmm0
    tileloadd 64({c}, {c_row}), %tmm1
    tileloadd ({c_low}, {c_row}), %tmm2
    tileloadd 64({c_low}, {c_row}), %tmm3
    jmp 2f
1:
    tilezero %tmm0
    tilezero %tmm1
    tilezero %tmm2
    tilezero %tmm3
2:
    tileloadd ({a}, {a_row}), %tmm4
    tileloadd ({b}, {b_row}), %tmm6
    tdpbf16ps %tmm6, %tmm4, %tmm0
    tileloadd 64({b}, {b_row}), %tmm7
    tdpbf16ps %tmm7, %tmm4, %tmm1
    tileloadd ({a_low}, {a_row}), %tmm5
    tdpbf16ps %tmm6, %tmm5, %tmm2
    tdpbf16ps %tmm7, %tmm5, %tmm3
    addq $64, {a}
    addq $64, {a_low}
    addq $2048, {b}
    decq {steps}
    jnz 2b
    tilestored %tmm0, ({c}, {c_row})
    tilestored %tmm1, 64({c}, {c_row})
    tilestored %tmm2, ({c_low}, {c_row})
    tilestored %tmm3, 64({c_low}, {c_row})
"""
CHANGED = ("a", "b", "steps")  # the registers that PRODUCT counts up or down
MADE = ("a_low", "c_low")  # and those it writes first: addresses of the lower 16 rows


def registers(a, b, c, steps, more):
    """{name: what it holds} for PRODUCT; a, c: (address, bytes from row to row); b: the address of a panel's rows."""
    # a row of a panel is 32 words, 128 bytes
    return {"a": a[0], "a_row": a[1], "b": b, "b_row": 128, "c": c[0], "c_row": c[1], "steps": steps, "more": more}


def emit(builder, text, given, changed=(), made=()):
    """Instructions as text; given: {name of a register: its value}; changed, made: names that they write to.

    Returns what those hold in the end.
    """
    kept = [name for name in given if name not in changed]
    names = [*changed, *made, *kept]  # in LLVM's order: $0, $1, ...
    # what is written to comes out of a register that nothing else shares; what is changed goes into it, too
    outputs = ["=&r"] * (len(changed) + len(made))
    inputs = ["r"] * len(kept) + [str(i) for i in range(len(changed))]
    # by LLVM's own names: others, as C's "cc" for the flags, it passes over without a word
    destroyed = ["~{memory}", "~{flags}", *(f"~{{tmm{i}}}" for i in range(8))]
    values = [given[name] for name in [*kept, *changed]]
    values = [ir.Constant(WORD, value) if isinstance(value, int) else value for value in values]
    result = ir.LiteralStructType([WORD] * len(outputs)) if outputs else ir.VoidType()
    kind = ir.FunctionType(result, [WORD] * len(values))
    text = text.replace("$", "$$").format(**{name: f"${i}" for i, name in enumerate(names)})
    return builder.asm(kind, text, ",".join(outputs + inputs + destroyed), values, True)


@intrinsic
def configure(context):
    """This thread's tiles all have 16 rows of 64 bytes, until release()."""

    def emit_load(context, builder, signature, arguments):
        data = cgutils.global_constant(builder.module, "tile_config", cgutils.make_bytearray(CONFIG))
        emit(builder, CONFIGURE, {"config": builder.ptrtoint(data, WORD)})
        return context.get_dummy_value()

    return types.none(), emit_load


@intrinsic
def release(context):
    """This thread needs no tiles any more."""

    def emit_release(context, builder, signature, arguments):
        emit(builder, RELEASE, {})
        return context.get_dummy_value()

    return types.none(), emit_release


@intrinsic
def multiply_tiles(context, a, b, c, steps, more):
    """c (32, 32) = (c if `more`) + a (32, 32*steps) @ b, a panel of words; at least one step.

    a, c: (array, where it begins, how far its rows are apart), a of 16-bit numbers or of words; b: (array, at).
    """

    def emit_call(context, builder, signature, arguments):
        def place(kind, value):
            """(address, bytes from row to row), or (address,)"""
            array, *numbers = indices(context, builder, kind.types, cgutils.unpack_tuple(builder, value))
            address = pointer(context, builder, kind.types[0], array, numbers[0], ir.IntType(8))
            size = ir.Constant(WORD, kind.types[0].dtype.bitwidth // 8)
            return builder.ptrtoint(address, WORD), *(builder.mul(number, size) for number in numbers[1:])

        kinds = signature.args
        a, (b,), c = (place(*each) for each in zip(kinds[:3], arguments[:3], strict=True))
        (steps,) = indices(context, builder, kinds[3:4], arguments[3:4])
        given = registers(a, b, c, steps, builder.zext(arguments[4], WORD))
        emit(builder, PRODUCT, given, CHANGED, MADE)
        return context.get_dummy_value()

    return types.none(a, b, c, types.intp, types.boolean), emit_call
