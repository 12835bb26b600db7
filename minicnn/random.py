"""Random numbers: one seeded stream for each purpose, so that a run repeats and a checkpoint can hold them.

    init      initial weights, and what minicnn.randn and its kind draw: a NumPy Generator
    dropout   counter-based: (key, number of calls so far); the numbers are a pure function of these and of the
              position in the array, so that every device draws the same mask and backward can draw it again

A batch that is worked on in parts, by several processes or one part after the other, is dropped as if it were whole:

    call = random.dropout_calls()
    for part in range(0, len(images), 32):
        random.set_dropout_calls(call)         # each layer's call has the same number in every part
        with random.rows(part):                # and the part's first row is not the batch's
            loss = ...

The order of the training pictures and their augmentation need no state at all: they are functions of the seed,
the epoch and the picture's index (``minicnn.data``).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .settings import whole
from .switch import Block, PerThread
from .types import Array


class Streams:
    """The two streams above, started from `seed`."""

    def __init__(self, seed: int | None) -> None:
        init, dropout = np.random.SeedSequence(seed).spawn(2)
        self.init = np.random.default_rng(init)
        self.dropout_key = int(dropout.generate_state(1, np.uint64)[0])
        self.dropout_calls = 0


_streams = Streams(None)  # unseeded until manual_seed is called: different in every process


def manual_seed(seed: int) -> None:
    """Start every random stream of the library again from `seed`, a non-negative int."""
    global _streams
    _streams = Streams(whole("manual_seed", "seed", seed, 0))


def init_generator() -> np.random.Generator:
    """The NumPy Generator that initial weights, and the numbers of ``creation.py``, are drawn from."""
    return _streams.init


def next_dropout_stream() -> tuple[int, int]:
    """(key, call): a stream of dropout numbers that nobody has used before."""
    call = _streams.dropout_calls
    _streams.dropout_calls += 1
    return _streams.dropout_key, call


def dropout_calls() -> int:
    """How often dropout has drawn since the stream began."""
    return _streams.dropout_calls


def dropout_key() -> int:
    """The key of dropout's stream: another one after ``manual_seed``."""
    return _streams.dropout_key


def set_dropout_calls(calls: int) -> None:
    """The next dropout draws as if it came after so many `calls`: a whole number from 0 to 2^64 - 1."""
    _streams.dropout_calls = whole("set_dropout_calls", "calls", calls, 0, 2**64 - 1)


_first_row = PerThread(0)


class rows(Block):
    """``with rows(first): ...`` (or as a decorator): dropout draws as if its input were rows first, first + 1, ... of a
    larger one, in this thread.

    `first` is a whole number from 0 to 2^32 - 1. The rows of what is dropped have to be the batch's. Where they are
    not, as those of a layer's weights, which are the same in every part, put ``with rows(0)`` around it.
    """

    def __init__(self, first: int) -> None:
        super().__init__(_first_row, whole("rows", "first", first, 0, 2**32 - 1))


def first_row() -> int:
    """The number that the first row of dropout's input has in this thread: that of ``rows``, 0 outside of it."""
    return _first_row.value


def get_state() -> dict[str, Any]:
    """Every stream's state, as plain values that JSON can hold."""
    return {**vars(_streams), "init": _streams.init.bit_generator.state}


def set_state(state: Mapping[str, Any]) -> None:
    """Continue exactly where ``get_state`` was called."""
    _streams.init.bit_generator.state = state["init"]
    _streams.dropout_key = state["dropout_key"]
    _streams.dropout_calls = state["dropout_calls"]


def philox_uniform(key: int, call: int, start: int, size: int) -> Array:
    """`size` uniform float32 numbers in [0, 1): the stream (key, call), from number `start` on.

    Number i is made of the upper 24 bits of word i % 4 of block i // 4, so that any of them can be computed alone.
    """
    first, skip = divmod(start, 4)
    stop = first + (skip + size + 3) // 4
    words = philox_words(key, call, np.arange(first, stop, dtype=np.uint64)).reshape(-1)[skip : skip + size]
    return (words >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)


def philox_words(key: int, call: int, block: Array) -> Array:
    """Four random 32-bit words, (len(block), 4) uint64, for each block number (uint64) of the stream (key, call).

    Philox4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a block
    cipher encrypts the counter (block number, call), 128 bits, with the key, 64 bits.
    """
    mask, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    c: tuple[Any, ...] = block & mask, block >> shift, np.uint64(call) & mask, np.uint64(call) >> shift  # the counter
    k0, k1 = np.uint64(key) & mask, np.uint64(key) >> shift
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]  # 64 bits each: high and low words go on
        c = (p1 >> shift) ^ c[1] ^ k0, p1 & mask, (p0 >> shift) ^ c[3] ^ k1, p0 & mask
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & mask, (k1 + np.uint64(0xBB67AE85)) & mask
    return np.stack(np.broadcast_arrays(*c), axis=-1)
