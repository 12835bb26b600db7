"""A machine of tiles in Python: it executes the text of kernels/cpu/gemm/tiles.py, line by line, over real memory.

So the walk around the tiles, and what it packs, can be tested where no processor has AMX: addresses, strides, edges,
counting, the order of the sums and their rounding. What it cannot know: whether Intel's documents have been read
rightly.
"""

import ctypes
import functools
import itertools
import re
import struct

import numpy as np

from minicnn.kernels.cpu.gemm import tiles

TINY = np.finfo(np.float32).tiny


class Machine:
    """Tiles and a few registers. It touches nothing but the arrays that it was given."""

    def __init__(self):
        self.tiles, self.executed = None, 0  # none before ldtilecfg; how many products of tiles

    # What stands for the intrinsics

    def configure(self):
        self.run(tiles.CONFIGURE, {"config": _address(_CONFIG)}, [_CONFIG])

    def release(self):
        self.run(tiles.RELEASE, {}, [])

    def multiply_tiles(self, a, b, c, steps, more):
        assert steps >= 1 and isinstance(more, (bool, np.bool_))
        (a, a_row), (b,), (c, c_row) = (_bytes(*place) for place in (a, b, c))
        holds = tiles.registers((a[0], a_row), b[0], (c[0], c_row), int(steps), int(more))
        self.run(tiles.PRODUCT, holds, [a[1], b[1], c[1]])

    # What a processor does

    def run(self, text, registers, arrays):
        """Execute instructions, with these numbers in registers."""
        self.registers, self.zero = dict(registers), False
        self.arrays = [(_address(array), _address(array) + array.nbytes) for array in arrays]
        lines, labels = _parsed(text)
        at = 0
        while at < len(lines):
            name, operands = lines[at]
            at += 1
            if name in ("jz", "jmp", "jnz"):
                to, direction = labels[operands[0][:-1]], operands[0][-1]
                assert direction == ("f" if to >= at else "b"), "a jump looks for its label on the other side"
                if {"jz": self.zero, "jmp": True, "jnz": not self.zero}[name]:
                    at = to
            else:
                getattr(self, name)(*operands)

    def testq(self, first, second):
        self.zero = self.value(first) & self.value(second) == 0

    def movq(self, value, register):
        self.write(register, self.value(value))

    def shlq(self, places, register):
        self.write(register, self.value(register) << self.value(places))

    def addq(self, number, register):
        self.write(register, self.value(register) + self.value(number))

    def decq(self, register):
        self.write(register, self.value(register) - 1)

    def ldtilecfg(self, address):
        config = self.memory(*self.address(address)[:1], 64).tobytes()
        palette, start, *bytes_of_rows = struct.unpack_from("<BB14x16H", config)
        rows = config[48:]
        assert (palette, start, config[2:16]) == (1, 0, bytes(14))
        assert not any(bytes_of_rows[8:]) and not any(rows[8:])  # there are 8 tiles
        self.tiles = [np.zeros((rows[i], bytes_of_rows[i]), np.uint8) for i in range(8)]
        assert all(tile.shape == (16, 64) for tile in self.tiles)

    def tilerelease(self):
        assert self.tiles, "tiles that nobody has configured are released"
        self.tiles = None

    def tilezero(self, tile):
        self.tile(tile)[:] = 0

    def tileloadd(self, address, tile):
        self.tile(tile)[:] = self.rows(address)

    def tilestored(self, tile, address):
        self.rows(address)[:] = self.tile(tile)

    def tdpbf16ps(self, b, a, sums):
        """TDPBF16PS of Intel's reference: even and odd products apart, then both, then to the sums."""
        self.executed += 1
        a, b = (_flushed(self.tile(tile).view(np.uint16).astype(np.uint32) << 16) for tile in (a, b))
        a, b = a.reshape(16, 16, 2).transpose(1, 2, 0), b.reshape(16, 16, 2).transpose(0, 2, 1)  # (k, even and odd, 16)
        with np.errstate(invalid="ignore", over="ignore"):
            products = a[..., None] * b[:, :, None]  # exact: rounding comes with the sum, as in a fused multiply-add
            parts = np.add.accumulate(products)  # over k, one after the other
            if (_flushed(parts) != parts).any():  # some part of a sum counts as zero, and changes what comes next
                parts = list(itertools.accumulate(products, lambda total, more: _flushed(total + more)))
            total = self.tile(sums).view(np.float32)
            total[...] = _flushed(total + _flushed(parts[-1][0] + parts[-1][1]))

    # Operands

    def value(self, operand):
        return int(operand[1:]) if operand.startswith("$") else self.registers[operand.strip("{}")]

    def write(self, register, value):
        name = register.strip("{}")
        assert name in tiles.CHANGED + tiles.MADE, f"{name} is written to, and LLVM was not told"
        self.registers[name], self.zero = value, value == 0

    def address(self, operand):
        """(address, what the second register holds, if any) of 64({a}, {b})."""
        distance, inside = re.fullmatch(r"(-?\d*)\((.*)\)", operand).groups()
        base, *index = (self.value(name.strip()) for name in inside.split(","))
        return base + int(distance or 0), *index

    def tile(self, operand):
        assert self.tiles, "a tile is used before ldtilecfg"
        return self.tiles[int(operand.removeprefix("%tmm"))]

    def rows(self, operand):
        """The 16 rows of 64 bytes at (where the first is, how far they are apart)."""
        start, row = self.address(operand)
        assert row >= 64, "rows overlap"
        span = self.memory(start, 15 * row + 64)
        return np.lib.stride_tricks.as_strided(span, (16, 64), (row, 1))

    def memory(self, start, size):
        """Bytes at an address, as an array."""
        inside = any(first <= start and start + size <= last for first, last in self.arrays)
        assert inside, f"{size} bytes at {start:#x} are in none of the arrays"
        return np.frombuffer((ctypes.c_uint8 * size).from_address(start), np.uint8)


@functools.cache
def _parsed(text):
    """([(instruction, operands)], {label: the number of what comes behind it})."""
    lines, labels = [], {}
    for line in map(str.strip, text.strip().splitlines()):
        if line.endswith(":"):
            labels[line[:-1]] = len(lines)
        else:
            name, _, rest = line.partition(" ")
            lines.append((name, re.findall(r"-?\d*\(.*?\)|[^,\s]+", rest)))
    return lines, labels


def _bytes(array, at, *row):
    """((the address of array[at], array), how far rows are apart in bytes)."""
    return (_address(array) + int(at) * array.itemsize, array), *(int(number) * array.itemsize for number in row)


def _address(array):
    return array.__array_interface__["data"][0]


def _flushed(numbers):
    """float32 numbers, or their bits, with 0 for those that are smaller than any with all their digits."""
    numbers = numbers.view(np.float32) if numbers.dtype == np.uint32 else numbers
    return np.where(np.abs(numbers) < TINY, np.float32(0), numbers)


_CONFIG = np.frombuffer(tiles.CONFIG, np.uint8)
