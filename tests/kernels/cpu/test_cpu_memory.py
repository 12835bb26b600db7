"""Memory that is used again: blocks come back with their last view, training steps stop asking for more."""

import gc
import itertools
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import minicnn
import minicnn.functional as F
from minicnn import Tensor
from minicnn.kernels.cpu.machine import memory, threads
from minicnn.models.resnet import cifar_resnet
from minicnn.optim import SGD

LARGE = (64, 1000)  # float32 of this shape are more than memory.SMALL bytes


@pytest.fixture(autouse=True)
def heap(monkeypatch):
    monkeypatch.setattr(memory, "_heap", memory.Heap())
    return memory._heap


def address(array):
    return array.ctypes.data


def test_a_block_comes_back_when_the_last_view_dies():
    array = memory.empty(LARGE, np.float32)
    array[...] = 7
    where, view = address(array), array.T[5:, ::2]
    del array
    other = memory.empty(LARGE, np.float32)
    other[...] = 0
    assert address(other) != where and (view == 7).all()
    del view
    assert address(memory.empty(LARGE, np.float32)) == where


def test_arrays_that_live_at_once_share_no_memory():
    arrays = [memory.empty(LARGE, np.float32) for _ in range(20)]
    for i, array in enumerate(arrays):
        array[...] = i
    assert all((array == i).all() for i, array in enumerate(arrays))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int32])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (7,), (33, 1001), (3, 5, 70, 80), (123457,)])
def test_shape_dtype_order_and_alignment(shape, dtype):
    array = memory.empty(shape, dtype)
    assert array.shape == shape and array.dtype == dtype
    assert array.flags.carray and type(array) is np.ndarray
    if array.nbytes >= memory.SMALL:
        assert address(array) % memory.PAGE == 0
    array[...] = 1


def test_the_heap_against_a_list_of_what_is_taken(heap, monkeypatch):
    monkeypatch.setattr(memory, "SEGMENT", 40 * memory.PAGE)
    rng = np.random.default_rng(0)
    taken = []
    for _ in range(3000):
        if taken and rng.random() < 0.5:
            heap.returned.append(taken.pop(rng.integers(len(taken))))
        else:
            taken.append(heap.take(int(rng.choice([1, 2, 3, 10, 50])) * memory.PAGE))
        extents = sorted(taken + heap.free + list(heap.returned))
        assert all(start + length <= later for (start, length), (later, _) in itertools.pairwise(extents))
        assert all(sum(extent) < later for extent, (later, _) in itertools.pairwise(heap.free))  # joined
        inside = [memory._whole(segment) for segment in heap.segments]
        assert sum(length for _, length in extents) == sum(length for _, length in inside)
        assert all(any(a <= start and start + length <= a + size for a, size in inside) for start, length in extents)
    heap.returned.extend(taken)
    assert heap.release() > 0 and heap.free == heap.segments == []


def test_the_smallest_extent_that_is_large_enough_is_cut(heap):
    a, b, c, d = (heap.take(pages * memory.PAGE) for pages in (5, 1, 3, 1))
    heap.returned.extend([a, c])
    assert heap.take(2 * memory.PAGE)[0] == c[0]
    assert heap.take(4 * memory.PAGE)[0] == a[0]
    assert heap.take(memory.PAGE)[0] in (a[0] + 4 * memory.PAGE, c[0] + 2 * memory.PAGE)
    assert b and d


def test_memory_that_is_not_to_be_had(heap, monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    with pytest.raises(MemoryError):
        memory.empty((1 << 60,), np.uint8)
    assert not unraisable and not heap.returned
    assert memory.empty(LARGE, np.float32).shape == LARGE


def test_images_are_channels_last():
    images = memory.empty_images((4, 30, 20, 25), np.float32)
    assert images.shape == (4, 30, 20, 25) and images.transpose(0, 2, 3, 1).flags.c_contiguous


def test_scratch_is_each_threads_own_and_is_kept():
    def places():
        first, again = (memory.scratch("test.space", (100, 1000), np.float32) for _ in range(2))
        smaller = memory.scratch("test.space", (10,), np.float64)
        assert address(first) == address(again) == address(smaller) and smaller.dtype == np.float64
        other = memory.scratch("test.other", (100, 1000), np.float32)
        assert not np.may_share_memory(first, other)
        larger = memory.scratch("test.space", (200, 1000), np.float32)
        assert larger.shape == (200, 1000)
        return first, larger

    seen = [places()]
    thread = threading.Thread(target=lambda: seen.append(places()))
    thread.start()
    thread.join()
    here, there = seen
    assert not any(np.may_share_memory(a, b) for a in here for b in there)


def test_release_gives_back_only_what_nobody_uses(heap):
    kept, gone = memory.empty(LARGE, np.float32), memory.empty((memory.SEGMENT,), np.uint8)
    kept[...] = 3
    assert memory.release() == 0
    del gone
    assert memory.release() >= memory.SEGMENT and len(heap.segments) == 1
    assert memory.release() == 0 and (kept == 3).all()
    del kept
    assert memory.release() >= memory.SEGMENT and not heap.segments


def test_many_threads_take_and_return(heap):
    def work(number):
        for i in range(200):
            array = memory.empty((64 + i % 7, 1000), np.float32)
            array[...] = number
            assert (array == number).all()

    threads.set_threads(4)
    threads.run(work, 4)
    threads.set_threads(2)
    assert memory.release() == heap.release() + memory.SEGMENT + 2 * memory.PAGE and not heap.segments


def test_steps_after_the_first_touch_no_fresh_page(heap, monkeypatch):
    reached = []
    take = heap.take
    monkeypatch.setattr(heap, "take", lambda size: reached.append(take(size)) or reached[-1])
    rng = np.random.default_rng(0)
    weight, bias = (Tensor(rng.standard_normal(16).astype(np.float32), requires_grad=True) for _ in range(2))
    ends = []
    with minicnn.tier("fast"):
        for _ in range(6):
            x = Tensor(rng.standard_normal((4, 16, 30, 40)).astype(np.float32), requires_grad=True)
            y = F.max_pool2d(F.relu(F.batch_norm(x, None, None, weight, bias, training=True)), 2)
            F.local_response_norm(y, 5).sum().backward()
            del x, y
            ends.append(max(map(sum, reached)))
    assert len(reached) >= 6 * 8 and len(heap.segments) == 1
    assert ends[1:] == [ends[1]] * 5


def test_training_steps_ask_for_no_memory():
    """Of a small ResNet: neither the heap nor NumPy's own allocations grow, and the latter stay small."""
    minicnn.manual_seed(0)
    with minicnn.tier("fast"):
        model = cifar_resnet(8)
        sgd = SGD(model.parameters(), lr=0.01, momentum=0.9)
        x = Tensor(np.random.default_rng(0).standard_normal((8, 3, 16, 16), dtype=np.float32))

        def steps(count):
            for _ in range(count):
                sgd.zero_grad()
                F.cross_entropy(model(x), np.arange(8)).backward()
                sgd.step()

        steps(3)
        segments = len(memory._heap.segments)
        tracemalloc.start()
        try:
            steps(10)
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            steps(50)
            gc.collect()
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(memory._heap.segments) == segments
    assert after - before < 25_000
    assert peak - before < 0.95 * 2**20  # small arrays, and what option A's shortcuts cut and join, are NumPy's own
