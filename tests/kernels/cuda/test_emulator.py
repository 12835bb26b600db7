"""The emulator: what a GPU has works, and what a GPU would answer with garbage is reported, by kernel and thread."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from checks import needs_compiler

from minicnn.emulated import on_device
from minicnn.kernels.cuda.launch import Kernel, KernelError

pytestmark = [needs_compiler, pytest.mark.emulator]

RIGHT, WRONG = (Path(__file__).with_name(f"kernels_{name}.cu") for name in ("right", "wrong"))
both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def numbers(size, dtype=np.float32):
    return on_device(np.random.default_rng(0).standard_normal(size).astype(dtype))


def zeros(size, dtype=np.float32):
    return on_device(np.zeros(size, dtype))


def run(name, grid, block, *arguments, **options):
    Kernel(RIGHT, name)[grid, block](*arguments, **options)


def equal(array, expected):
    np.testing.assert_array_equal(np.asarray(array), np.asarray(expected))


# What works


@both_types
@pytest.mark.parametrize("grid", [3, (3,), (2, 3), (2, 3, 2)])
@pytest.mark.parametrize("block", [1, 37, (5, 7), (4, 3, 2), 1024])
def test_grids_and_blocks(dtype, grid, block):
    count, threads = math.prod(np.atleast_1d(grid)), math.prod(np.atleast_1d(block))
    like, thread, blocks = (
        zeros(count * threads, dtype),
        zeros(count * threads, np.int32),
        zeros(count * threads, np.int32),
    )
    run("where_am_i", grid, block, like, thread, blocks)
    equal(thread, np.tile(np.arange(threads), count))
    equal(blocks, np.repeat(np.arange(count), threads))
    equal(like, np.full(count * threads, 32))


@both_types
def test_static_shared_memory(dtype):
    x, y = numbers(192, dtype), zeros(192, dtype)
    run("reverse_blocks", 3, 64, x, y)
    equal(y, x.reshape(3, 64)[:, ::-1].reshape(-1))


@both_types
@pytest.mark.parametrize("size, threads", [(1000, 128), (5, 1), (64, 64), (1030, 1024)])
def test_dynamic_shared_memory_and_a_barrier_in_a_loop(dtype, size, threads):
    blocks = math.ceil(size / threads)
    x, y = on_device(np.arange(size).astype(dtype)), zeros(blocks, dtype)
    run("sum_blocks", blocks, threads, x, y, size, shared=threads * x.itemsize)
    equal(y, [np.asarray(x)[b * threads : (b + 1) * threads].sum() for b in range(blocks)])


@both_types
def test_several_shared_arrays_and_one_of_a_helper(dtype):
    x, y = on_device(np.arange(16).astype(dtype)), zeros(16, dtype)
    run("transpose_tile", 1, 16, x, y)
    equal(y, np.arange(16).reshape(4, 4).T.reshape(-1) + 2 * np.arange(15, -1, -1))


@both_types
def test_shuffles_and_votes(dtype):
    x, y, votes = numbers(32, dtype), zeros((5, 32), dtype), zeros(4, np.uint32)
    run("warp_words", 1, 32, x, y, votes)
    lanes, values = np.arange(32), np.asarray(x)
    equal(y[0], np.full(32, values[3]))
    equal(y[1], values[np.where(lanes < 2, lanes, lanes - 2)])
    equal(y[2], values[np.where(lanes % 8 + 2 < 8, (lanes + 2) % 32, lanes)])
    equal(y[3], values[lanes ^ 5])
    equal(y[4], values[np.where(lanes < 16, lanes ^ 1, lanes)])
    equal(votes, [0xAAAAAAAA, 1, 0, 32])


def test_lanes_that_returned_are_not_waited_for():
    x, y = on_device(np.arange(48, dtype=np.float64)), zeros(1, np.float64)
    run("sum_of_a_half_warp", 1, 48, x, y)
    equal(y, [np.arange(16).sum()])


def test_a_warp_that_shares_memory():
    x, y = numbers(64), zeros(64)
    run("rotate_warps", 1, 64, x, y)
    equal(y, np.roll(np.asarray(x).reshape(2, 32), -3, axis=1).reshape(-1))


@both_types
def test_atomics_and_other_types(dtype):
    x, counts, total, flags = numbers(300, dtype), zeros(5, np.int32), zeros(1, dtype), zeros(300, np.uint8)
    run("count", 3, 128, x, counts, total, flags, 300)
    positive = np.asarray(x) > 0
    equal(counts, [300 - positive.sum(), positive.sum(), 7, 9, 299])
    equal(total, [300])
    equal(flags, positive)


@both_types
@pytest.mark.parametrize("splits, sums", [(1, 1), (2, 3), (37, 2)])
def test_the_last_block_to_arrive(dtype, splits, sums):
    x, part = numbers((sums, splits, 64), dtype), zeros((2, sums, splits, 64), dtype)
    y, arrived = zeros((sums, 64), dtype), zeros(2 * sums, np.uint32)
    run("sum_by_the_last_block", (splits, sums), 64, x, part, y, arrived)
    expected = 2 * np.asarray(x, float).sum(1)[:, ::-1]
    np.testing.assert_allclose(np.asarray(y), expected, rtol=1e-4 if dtype is np.float32 else 1e-12, atol=1e-5)
    equal(arrived, np.zeros(2 * sums))  # as they were


def test_a_thread_that_fences_what_it_has_written_needs_no_barrier():
    x, y = on_device(np.arange(9, dtype=np.float32)), zeros(1)
    run("sum_by_the_last_thread", 9, 32, x, zeros(9), y, zeros(1, np.uint32))
    equal(y, [36])


def test_uncoalesced_but_right():
    x, y = numbers((7, 13)), zeros((7, 13))
    run("uncoalesced_copy", 4, 32, x, y, 7, 13)
    equal(y, x)


def test_vectors():
    x, y = numbers(40), zeros(40)
    run("double_in_fours", 1, 32, x, y, zeros(1), 10)
    equal(y, 2 * x)


@both_types
def test_asynchronous_copies(dtype):
    per_copy = 16 // np.dtype(dtype).itemsize
    x, y = numbers((64, per_copy), dtype), zeros((64, per_copy), dtype)
    run("reverse_by_copies", 1, 64, x[:50], y, 50)
    equal(y[14:], x[49::-1])
    equal(y[:14], np.zeros((14, per_copy)))


def test_arithmetic():
    x, y = numbers(1), zeros(9)
    run("arithmetic_words", 1, 1, x, y, x)
    equal(y, np.array([0.5, 7, 7, 1.5, 1, x[0].item(), 3, 2, 2.5], np.float32))


def test_one_array_in_and_out():
    x = zeros(64)
    run("reverse_blocks", 1, 64, x, x)
    equal(x, np.zeros(64))


# What is reported


def line_of(name):
    """The number of the line marked `// here` in a kernel of kernels_wrong.cu."""
    lines = WRONG.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if f" {name}(" in line)
    return next(i for i, line in enumerate(lines[start:], start + 1) if "// here" in line)


def array(size):
    """As long as asked for, with memory of others all around."""
    return on_device(np.zeros(size + 128, np.float32)[64 : 64 + size])


@pytest.mark.parametrize(
    "name, grid, block, arguments, parts",
    [
        (
            "read_past_the_end",
            2,
            8,
            (array(11), array(11), 11),
            ["block (1, 0, 0)", "(2, 0, 0)", "reads 4 bytes at x[11]", "11 el"],
        ),
        ("read_before_the_start", 1, 8, (array(8), array(8), 8), ["thread (0, 0, 0)", "x[-1]"]),
        (
            "write_past_the_end",
            1,
            16,
            (array(11), array(11), 11),
            ["thread (11, 0, 0)", "writes 4 bytes at y[11]", "11 el"],
        ),
        ("past_a_shared_array", 1, 32, (array(32),), ["thread (31, 0, 0)", "first[32]", "32 elements"]),
        ("past_the_dynamic_array", 1, 32, (array(32),), ["thread (16, 0, 0)", "raw[64]", "64 elements"]),
        ("a_null_array", 1, 8, (array(8), None, array(8)), ["out of bounds", "reads 4 bytes"]),
        (
            "missing_barrier",
            1,
            64,
            (array(64), array(64)),
            ["thread (32, 0, 0)", "writes tile[32]", "(31, 0, 0) has read"],
        ),
        (
            "missing_second_barrier",
            1,
            64,
            (array(64), array(64)),
            ["race", "reads tile[", "has written", "no __syncthreads"],
        ),
        (
            "everybody_writes",
            1,
            64,
            (array(64),),
            ["race", "(1, 0, 0)", "writes sum[0]", "thread (0, 0, 0) has written"],
        ),
        (
            "barrier_under_a_guard",
            2,
            64,
            (array(64), array(64), 50),
            ["thread (0, 0, 0)", "barrier", "(50, 0, 0) has returned"],
        ),
        ("early_return", 1, 64, (array(64), array(64), 50), ["thread (0, 0, 0)", "barrier", "(50, 0, 0) has returned"]),
        ("two_barriers", 1, 64, (array(64),), ["different barriers", "thread (0, 0, 0) in line"]),
        (
            "race_within_a_warp",
            1,
            32,
            (array(32), array(32)),
            ["within a warp", "writes ring[1]", "thread (0, 0, 0) has read", "__syncwarp"],
        ),
        ("half_a_warp_in_order", 1, 32, (array(32), array(32)), ["within a warp", "ring[", "has read"]),
        (
            "race_between_blocks",
            2,
            32,
            (array(64), array(32)),
            ["between blocks", "block (1, 0, 0)", "y[0]", "has written"],
        ),
        *(
            (name, 3, 1, (array(3), array(1), zeros(3, np.uint32)), ["between blocks", "block (2, 0, 0)", "part[0]"])
            for name in (
                "arrival_without_a_fence",
                "no_fence_after_the_arrival",
                "written_after_the_fence",
                "another_counter",
            )
        ),
        (
            "arrival_without_a_barrier",
            3,
            64,
            (array(192), array(1), zeros(3, np.uint32)),
            ["between blocks", "block (2, 0, 0)", "part[1]"],
        ),
        ("neighbour_of_another_block", 2, 32, (array(64), 64), ["between blocks", "block (1, 0, 0)", "reads y[31]"]),
        ("atomic_beside_plain", 1, 32, (array(1),), ["race", "y[0]"]),
        ("not_in_the_mask", 1, 32, (array(32), array(32)), ["thread (1, 0, 0)", "mask 0x00000001"]),
        ("warp_at_odds", 1, 32, (array(32), array(32)), ["thread (0, 0, 0)", "neither can go on"]),
        ("misaligned", 1, 1, (on_device(np.zeros(8, np.float32)), array(1)), ["misaligned", "thread (0, 0, 0)"]),
        ("fours_past_the_end", 1, 4, (array(12), array(4)), ["out of bounds", "(3, 0, 0)", "reads 16 bytes at x[12]"]),
        (
            "false_assertion",
            1,
            4,
            (on_device(np.arange(4.0)), on_device(np.zeros(4))),
            ["(3, 0, 0)", "x[threadIdx.x] < T(3)"],
        ),
        ("too_much_shared", 1, 4, (array(4),), ["big", "49160 bytes"]),
        (
            "copies_without_a_barrier",
            1,
            32,
            (array(32), array(32)),
            ["within a warp", "writes tile[", "has read"],
        ),
        (
            "copy_over_what_is_read",
            1,
            32,
            (array(32), array(32)),
            ["within a warp", "writes tile[0]", "(31, 0, 0) has read"],
        ),
        ("a_copy_past_the_end", 1, 32, (array(16), array(32)), ["(4, 0, 0)", "reads 16 bytes at x[16]"]),
        ("a_misaligned_copy", 1, 1, (array(16), array(1)), ["misaligned", "16 bytes", "(0, 0, 0)"]),
        ("half_a_warp_multiplies", 1, 32, (array(32),), ["(31, 0, 0)", "not all there"]),
    ],
)
def test_reports(name, grid, block, arguments, parts):
    shared = 64 if name == "past_the_dynamic_array" else 0
    with pytest.raises(KernelError) as caught:
        Kernel(WRONG, name)[grid, block](*arguments, shared=shared)
    assert [part for part in [name, *parts] if part not in str(caught.value)] == [], caught.value
    assert re.search(rf"(kernels_wrong.cu:|line ){line_of(name)}\b", str(caught.value))


def test_every_wrong_kernel_is_tried():
    marked = set(re.findall(r"__global__ void (\w+)", WRONG.read_text())) - {
        "uninitialised_shared",
        "absent_lane",
        "copies_without_a_wait",
    }
    (mark,) = test_reports.pytestmark
    assert {case[0] for case in mark.args[1]} == marked


def test_uninitialised_shared_memory_is_nan():
    y = zeros(32, np.float64)
    Kernel(WRONG, "uninitialised_shared")[1, 32](y)
    assert np.isnan(np.asarray(y)).all()


def test_a_copy_that_was_not_waited_for_is_nan():
    y = zeros(32, np.float64)
    Kernel(WRONG, "copies_without_a_wait")[1, 32](numbers(32, np.float64), y)
    assert np.isnan(np.asarray(y)).all()


def test_the_value_of_a_lane_that_is_not_there_is_nan():
    y = zeros(16, np.float64)
    Kernel(WRONG, "absent_lane")[1, 16](numbers(16, np.float64), y)
    assert np.isnan(np.asarray(y)).all()


def test_after_a_report_kernels_run_again():
    for _ in range(2):
        with pytest.raises(KernelError, match="returned"):
            Kernel(WRONG, "early_return")[1, 64](zeros(64), zeros(64), 50)
        test_dynamic_shared_memory_and_a_barrier_in_a_loop(np.float32, 1000, 128)
