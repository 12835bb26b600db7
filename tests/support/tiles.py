"""A machine of tiles in Python: it executes the text of kernels/cpu/gemm/tiles.py, line by line, over real memory.

So the walk around the tiles, and what it packs, can be tested where no processor has AMX: addresses, strides, edges,
counting, the order of the sums and their rounding. What it cannot know: whether Intel's documents have been read
rightly.
"""

import ctypes
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
        lines = [line.strip() for line in text.strip().splitlines()]
        labels = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
        at = 0
        while at < len(lines):
            name, _, rest = lines[at].partition(" ")
            at += 1
            if name.endswith(":"):
                continue
            operands = re.findall(r"-?\d*\(.*?\)|[^,\s]+", rest)
            if name in ("jz", "jmp", "jnz"):
                if {"jz": self.zero, "jmp": True, "jnz": not self.zero}[name]:
                    at = labels[operands[0][:-1]]
                    assert (labels[operands[0][:-1]] >= at) == (operands[0][-1] in "bf")
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
        start, row = self.address(address)
        for i, numbers in enumerate(self.tile(tile)):
            numbers[:] = self.memory(start + i * row, len(numbers))

    def tilestored(self, tile, address):
        start, row = self.address(address)
        for i, numbers in enumerate(self.tile(tile)):
            self.memory(start + i * row, len(numbers))[:] = numbers

    def tdpbf16ps(self, b, a, sums):
        """TDPBF16PS of Intel's reference: even and odd products apart, then both, then to the sums."""
        self.executed += 1
        a, b = (_flushed(self.tile(tile).view(np.uint16).astype(np.uint32) << 16) for tile in (a, b))
        parts = np.zeros((2, 16, 16), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            for k in range(16):
                pairs = a[:, 2 * k : 2 * k + 2].T[:, :, None], b[k].reshape(16, 2).T[:, None]  # even ones, odd ones
                # products are exact in float32: rounding comes with the sum, as in a fused multiply-add
                parts = _flushed(parts + pairs[0] * pairs[1])
            total = self.tile(sums).view(np.float32)
            total[...] = _flushed(total + _flushed(parts[0] + parts[1]))

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

    def memory(self, start, size):
        """Bytes at an address, as an array."""
        inside = any(first <= start and start + size <= last for first, last in self.arrays)
        assert inside, f"{size} bytes at {start:#x} are in none of the arrays"
        return np.frombuffer((ctypes.c_uint8 * size).from_address(start), np.uint8)


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
