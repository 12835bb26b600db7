"""The instructions for bfloat16 numbers (kernels/cpu/gemm/tiles.py, dot.py): what LLVM's assembler makes of them, and
the machine in Python (tests/support/tiles.py) that executes them where no processor can."""

import ctypes
import os
import platform
import re
import subprocess
import sys

import numpy as np
import pytest
from llvmlite import binding, ir
from ml_dtypes import bfloat16
from paths import TESTS
from tiles import Machine

from minicnn.kernels.cpu.gemm import dot, tiles
from minicnn.kernels.cpu.machine.unit import UNITS, unit, why_not

FEATURES = "+avx512f,+avx512bw,+avx512vl,+avx512dq,+avx512bf16,+avx2,+avx,+fma,+amx-tile,+amx-bf16"
WORD, ROW = ir.IntType(64), ir.VectorType(ir.FloatType(), 16)
x86 = pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="this LLVM has no x86 assembler")


def module_of(result, arguments, body):
    """LLVM's text of a function f(arguments) whose body(builder, *arguments) gives its result."""
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(result, arguments), "f")
    builder = ir.IRBuilder(function.append_basic_block())
    value = body(builder, *function.args)
    builder.ret_void() if value is None else builder.ret(value)
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.parse_assembly(str(module))


def assembled(*of_function):
    """The bytes that a processor with all features gets."""
    target = binding.Target.from_triple("x86_64-unknown-linux-gnu")
    code = target.create_target_machine("sapphirerapids", FEATURES, 3).emit_object(module_of(*of_function))
    with binding.object_file.ObjectFileRef.from_data(code) as file:
        return b"".join(bytes(section.data()) for section in file.sections() if section.is_text())


def executed(body, *numbers):
    """What the function gives for whole numbers of 64 bits, on this processor."""
    module = module_of(WORD, [WORD] * len(numbers), body)
    engine = binding.create_mcjit_compiler(module, binding.Target.from_default_triple().create_target_machine())
    engine.finalize_object()
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(numbers))
    return kind(engine.get_function_address("f"))(*numbers)


def tile_instructions(code):
    """[(name, tiles)] of the instructions of AMX in machine code: a prefix of three bytes, opcode, ModRM."""
    found = []
    # C4, 3 bits and the map of opcodes 0F38, then W vvvv L pp: vvvv is a third tile, inverted
    for match in re.finditer(rb"\xc4[\x02\x22\x42\x62\x82\xa2\xc2\xe2](.)([\x49\x4b\x5c])(.)", code, re.S):
        prefix, opcode, operands = (byte[0] for byte in match.groups())
        kind, register, other = prefix & 3, operands >> 3 & 7, operands & 7
        if opcode == 0x5C:
            assert prefix & 0x84 == 0 and kind == 2 and operands >> 6 == 3
            found.append(("tdpbf16ps", [~(prefix >> 3) & 7, other, register]))
        elif opcode == 0x4B:
            found.append(({2: "tilestored", 3: "tileloadd"}[kind], [register]))
        elif kind == 3:
            found.append(("tilezero", [register]))
        else:
            found.append(("tilerelease" if operands == 0xC0 else "ldtilecfg", []))
    return found


def instructions_of(text):
    lines = (line.strip() for line in text.strip().splitlines())
    lines = (line for line in lines if line.startswith(("t", "ld")) and not line.startswith("testq"))
    return [(line.split()[0], [int(tile) for tile in re.findall(r"%tmm(\d)", line)]) for line in lines]


@x86
def test_the_assembler_understands_each_tile_instruction():
    def body(builder, config, a, a_row, b, c, c_row, steps, more):
        tiles.emit(builder, tiles.CONFIGURE, {"config": config})
        given = tiles.registers((a, a_row), b, (c, c_row), steps, more)
        tiles.emit(builder, tiles.PRODUCT, given, tiles.CHANGED, tiles.MADE)
        tiles.emit(builder, tiles.RELEASE, {})

    code = assembled(ir.VoidType(), [WORD] * 8, body)
    expected = instructions_of(f"{tiles.CONFIGURE}\n{tiles.PRODUCT}\n{tiles.RELEASE}")
    assert len(expected) == 22 and tile_instructions(code) == expected


@x86
def test_registers_hold_what_their_names_say():
    text = """
        movq {first}, {sum}
    1:
        addq {step}, {sum}
        decq {count}
        jnz 1b
    """

    def body(builder, first, step, count):
        given = {"first": first, "step": step, "count": count}
        outputs = tiles.emit(builder, text, given, changed=["count"], made=["sum"])
        return builder.add(builder.extract_value(outputs, 1), count)  # LLVM keeps a count of its own

    assert executed(body, 1000, 7, 5) == 1000 + 5 * 7 + 5


@x86
def test_llvm_keeps_no_flags_beyond_instructions_that_change_them():
    """The addition comes first and leaves its overflow in a flag, which testq clears."""

    def body(builder, x, y):
        overflow = builder.extract_value(builder.sadd_with_overflow(x, y), 1)
        tiles.emit(builder, "testq {x}, {x}", {"x": x})
        with builder.if_then(overflow):
            builder.ret(WORD(1))
        return WORD(0)

    assert executed(body, 2**62, 2**62) == 1 and executed(body, 2**62, 2**61) == 0


@x86
def test_the_assembler_understands_the_product_of_pairs(monkeypatch):
    monkeypatch.setattr(dot, "HERE", True)
    words = ir.VectorType(ir.IntType(32), 16)

    def body(builder, total, a, b):
        return dot.add_products(builder, *(builder.bitcast(x, words) for x in (a, b)), total)

    # vdpbf16ps zmm0, zmm1, zmm2; ret
    assert assembled(ROW, [ROW] * 3, body).startswith(bytes.fromhex("62f2764852c2 c3"))


def test_the_product_of_pairs_is_spelled_out_for_other_processors():
    words, row = ir.VectorType(ir.IntType(32), 1), ir.VectorType(ir.FloatType(), 1)

    def body(builder, a, b):
        vectors = [builder.bitcast(builder.trunc(x, ir.IntType(32)), words) for x in (a, b)]
        total = dot.spelled_out(builder, *vectors, ir.Constant(row, [100.0]))
        return builder.zext(builder.bitcast(total, ir.IntType(32)), WORD)

    a, b = (int(np.array(pair, bfloat16).view(np.uint32)[0]) for pair in ([2, 3], [5, -7]))
    assert np.uint32(executed(body, a, b)).view(np.float32) == 100 + 2 * 5 - 3 * 7


# The machine in Python


@pytest.fixture
def machine():
    machine = Machine()
    machine.configure()
    return machine


def factors(rng, steps):
    """a (32, 32*steps) and b, as float64; their bits, b as words of pairs."""
    a, b = (rng.standard_normal(shape).astype(bfloat16) for shape in ((32, 32 * steps), (32 * steps, 32)))
    words = np.ascontiguousarray(b.view(np.uint16).reshape(-1, 2, 32).transpose(0, 2, 1)).view(np.uint32)
    return a.astype(float), b.astype(float), a.view(np.uint16).reshape(-1), words.reshape(-1)


@pytest.mark.parametrize("more", [False, True])
def test_a_machine_multiplies_tiles(machine, more):
    a, b, bits, words = factors(np.random.default_rng(0), 3)
    before = np.random.default_rng(1).standard_normal((32, 40)).astype(np.float32)
    c = before.reshape(-1).copy()
    machine.multiply_tiles((bits, 0, 96), (words, 0), (c, 4, 40), 3, more)
    c = c.reshape(32, 40)
    expected = a @ b + (before[:, 4:36] if more else 0)
    np.testing.assert_allclose(c[:, 4:36], expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_array_equal(np.delete(c, range(4, 36), 1), np.delete(before, range(4, 36), 1))
    assert machine.executed == 3 * 4


def test_a_machine_rounds_in_the_order_of_intels_reference(machine):
    c = np.zeros(32 * 32, np.float32)
    a, b = np.zeros((32, 32), bfloat16), np.zeros(32 * 32 // 2, np.uint32)
    a[0, :3] = 2.0**24, 1, 1  # even ones alone: 2^24 + 1 is 2^24; the odd one comes later, and 2^24 + 1 is 2^24 again
    b[[0, 32]] = 0x3F803F80, 0x3F803F80  # ones
    machine.multiply_tiles((a.view(np.uint16).reshape(-1), 0, 32), (b, 0), (c, 0, 32), 1, False)
    assert c[0] == 2.0**24
    a[0, :4] = 2.0**24, 1, 0, 1  # both odd ones together are 2
    machine.multiply_tiles((a.view(np.uint16).reshape(-1), 0, 32), (b, 0), (c, 0, 32), 1, False)
    assert c[0] == 2.0**24 + 2
    a[0, :4] = 2.0**-130, 0, 0, 0
    machine.multiply_tiles((a.view(np.uint16).reshape(-1), 0, 32), (b, 0), (c, 0, 32), 1, False)
    assert c[0] == 0


def test_a_machine_notices_what_a_processor_would_not_forgive(machine):
    a, b, c = np.zeros(32 * 32, np.uint16), np.zeros(16 * 32, np.uint32), np.zeros(32 * 32, np.float32)
    product = (b, 0), (c, 0, 32), 1, False
    machine.multiply_tiles((a, 0, 32), *product)
    with pytest.raises(AssertionError, match="none of the arrays"):
        machine.multiply_tiles((a, 1, 32), *product)
    with pytest.raises(AssertionError, match="LLVM was not told"):
        machine.run("addq $64, {c}", {"c": 0}, [])
    machine.release()
    with pytest.raises(AssertionError, match="before ldtilecfg"):
        machine.multiply_tiles((a, 0, 32), *product)


# All of it, compiled for processors that have the instructions


COMPILE = """
import re
import numba, numpy as np
from minicnn.kernels.cpu.machine import unit

unit._ask = lambda: 0
from minicnn.kernels.cpu.gemm import amx, matmul

halves, words, sums = (np.zeros(0, dtype) for dtype in (np.uint16, np.uint32, np.float32))
size, a, c = (1, 1, 1), (halves, 0, 0), (sums, 0, 0)
for function, arguments in [
    (amx._multiply, (a, words, c, size, (32, 32), halves, sums)),
    (amx._multiply_transposed, (a, a, c, size, True, words, sums)),
    (matmul.multiply, ((words, 0, 0), (words, 0), c, size, 256)),
]:
    function = numba.njit(function.py_func)
    function.compile(tuple(map(numba.typeof, arguments)))
    text = function.inspect_asm(function.signatures[0])
    print(len(re.findall("tdpbf16ps", text)), len(re.findall("vdpbf16ps", text)))
"""


@x86
@pytest.mark.slow
def test_numba_compiles_the_products(tmp_path):
    variables = {"NUMBA_CPU_NAME": "sapphirerapids", "NUMBA_CPU_FEATURES": FEATURES, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", COMPILE]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    amx, transposed, pairs = (tuple(map(int, line.split())) for line in done.stdout.splitlines())
    # LLVM may write a loop's body more than once, but never part of it: 2 x 2 tiles; 12, 4 and 1 rows of two vectors
    assert all(found > 0 and found % 4 == 0 and other == 0 for found, other in (amx, transposed))
    assert pairs[0] == 0 and pairs[1] > 0 and pairs[1] % (2 * (12 + 4 + 1)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", UNITS)
def test_each_other_unit_that_is_here_multiplies(name):
    if reason := why_not(name):
        pytest.skip(reason)
    if name == unit():
        pytest.skip("every test runs on it")
    tests = [str(TESTS / "kernels/cpu" / f"test_cpu_{page}.py") for page in ("gemm16", "conv16", "conv")]
    chosen = "gemm16 or conv16 or equals_the_reference"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", chosen, *tests]
    variables = {**os.environ, "MINICNN_CPU": name}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
