"""The instruction vdpbf16ps (AVX512-BF16): products of pairs of bfloat16 numbers, added to float32 sums.

A vector of 64 bytes is 16 words, each a pair of numbers; to each of the 16 sums it adds both products of two words:

    a       (a0, a1)   (a2, a3)   ...        total[i] += a[2i+1] * b[2i+1]
    b       (b0, b1)   (b2, b3)   ...        total[i] += a[2i] * b[2i]
    total       t0         t1     ...

Products are exact; each of the two sums is rounded to the nearest float32 number. Numbers below 1.2e-38 count as zero,
in the factors and in the sums, whatever the processor does elsewhere. (Source: Intel, "Architecture instruction set
extensions programming reference", VDPBF16PS.)
"""

from llvmlite import binding, ir

from ..machine.unit import why_not
from .lanes import multiply_add

binding.initialize_native_asmparser()  # LLVM is to read instructions as text
HERE = why_not("avx512bf16") is None  # whether this processor has the instruction


def add_products(builder, a, b, total):
    """total + both products, for vectors of words a and b: the instruction, where there is one for such vectors."""
    if HERE and total.type.count == 16:
        kind = ir.FunctionType(total.type, [total.type, a.type, b.type])
        return builder.asm(kind, "vdpbf16ps $3, $2, $0", "=v,0,v,v", [total, a, b], False)
    return spelled_out(builder, a, b, total)


def spelled_out(builder, a, b, total):
    """The same in other instructions, which keep numbers below 1.2e-38; for any length of vectors, on any processor."""
    for half in (_upper, _lower):
        numbers = [builder.bitcast(half(builder, words), total.type) for words in (a, b)]
        total = multiply_add(builder, *numbers, total)
    return total


def _upper(builder, words):
    return builder.and_(words, ir.Constant(words.type, [0xFFFF0000] * words.type.count))


def _lower(builder, words):
    return builder.shl(words, ir.Constant(words.type, [16] * words.type.count))
