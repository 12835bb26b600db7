"""What each rank of tests/distributed/test_nccl.py does: every check in turn, and a line "passed NAME" behind each.

MINICNN_EMULATE_GPU=1 mpiexec -n 2 python tests/distributed/nccl_ranks.py
"""

import functools
import sys

import numpy as np

import minicnn
import minicnn.functional as F
from minicnn import nn
from minicnn.device import to_device
from minicnn.distributed import DataParallel, World, world
from minicnn.distributed import emulated_cuda as cuda
from minicnn.distributed import emulated_nccl as nccl
from minicnn.emulated import EmulatedArray, on_device

w = world()
rng = np.random.default_rng(w.rank)  # another array on each rank
on_gpu = functools.partial(to_device, device="cuda")
METHODS = ["sum", "gather", "scatter_sum", "exchange", "broadcast"]
DTYPES = ["float32", "float64", "int32", "int64", "uint8"]


def check(function):
    function.is_check = True
    return function


def refused(kind, words, function, *args, **keywords):
    try:
        function(*args, **keywords)
    except kind as error:
        assert words in str(error), f"{words!r} is not in {str(error)!r}"
    else:
        raise AssertionError(f"nothing was raised, but {words!r} was expected")


def arrays(dtype):
    """(size, ...) of some shapes and layouts, on the processor."""
    for shape in ((3, 4), (), (0,), (5, 1, 2)):
        yield (50 * rng.random((w.size, *shape))).astype(dtype)
    yield (50 * rng.random((4, 3, w.size))).astype(dtype).T  # columns in a row
    yield (50 * rng.random((2 * w.size, 6))).astype(dtype)[::2, ::3]  # gaps


@check
def methods_do_what_mpi_does():
    for dtype in DTYPES:
        for array in arrays(dtype):
            for method in METHODS:
                given = on_gpu(array) if array.flags.c_contiguous else on_device(array)
                found, expected = getattr(w, method)(given), getattr(w, method)(array)
                assert type(found) is EmulatedArray and found.dtype == dtype and found.shape == expected.shape, method
                assert not np.shares_memory(found, given)
                assert np.array_equal(np.asarray(given), array), f"{method} has changed what it was given"
                np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6, err_msg=method)


@check
def all_ranks_get_the_same_bits():
    array = on_gpu(rng.standard_normal(1000, np.float32))
    for total in (w.sum(array), started(array.copy()), started(array.copy(), "bfloat16")):
        assert len(set(w.gather_values(np.asarray(total).tobytes()))) == 1


def started(array, send="float32"):
    w.start_sum(array, send).wait()
    return array


@check
def sums_go_on_while_ops_are_called():
    """What is called later may be over sooner."""
    whole = rng.standard_normal((3, 40))
    expected = w.sum(whole)
    buckets = on_gpu(whole)
    sums = [w.start_sum(buckets[0]), w.start_sum(buckets[1])]
    total = w.sum(on_gpu(whole[1]))
    sums.append(w.start_sum(buckets[2]))
    np.testing.assert_allclose(np.asarray(total), expected[1], rtol=1e-12)
    for one in reversed(sums):
        one.wait()
        one.wait()  # again: nothing
    np.testing.assert_allclose(np.asarray(buckets), expected, rtol=1e-12)


@check
def who_does_not_wait_reads_nan():
    array = on_gpu(rng.random(5))
    expected = w.sum(np.asarray(array))
    one = w.start_sum(array)
    assert np.isnan(np.asarray(array)).all()
    one.wait()
    np.testing.assert_allclose(np.asarray(array), expected, rtol=1e-12)


@check
def a_sum_without_numbers():
    started(on_gpu(np.zeros((0, 3), np.float32)))
    started(on_gpu(np.zeros((0, 3), np.float32)), "bfloat16")


@check
def bfloat16_is_within_its_rounding():
    """Each rank's array is rounded once and each sum of two is: (2 ranks - 1) roundings, of 2^-8 at most."""
    numbers = (rng.standard_normal(4000) * 10.0 ** rng.integers(-9, 9, 4000)).astype(np.float32)
    numbers[:3] = [np.nan, np.inf, 0]
    found = np.asarray(started(on_gpu(numbers), "bfloat16"))
    expected, size = w.sum(numbers.astype(np.float64)), w.sum(np.abs(numbers).astype(np.float64))
    error = np.abs(found[3:] - expected[3:])
    assert np.isnan(found[0]) and found[1] == np.inf and found[2] == 0 and found.dtype == np.float32
    assert (error <= 1.01 * (2 * w.size - 1) * 2.0**-8 * size[3:]).all()
    assert (error > 2.0**-12 * size[3:]).any(), "nothing was rounded"
    assert np.array_equal(np.asarray(started(on_gpu(numbers[3:]), "float32")), np.asarray(started(on_gpu(numbers[3:]))))


@check
def what_cannot_be_sent_is_refused():
    refused(TypeError, "not as bool", w.sum, on_gpu(np.ones(3, bool)))
    refused(TypeError, "sum: arrays on 'cuda' travel as float32", w.start_sum, on_gpu(np.ones(3, np.float16)))
    refused(ValueError, "start_sum: the array of shape (3,) has gaps", w.start_sum, on_gpu(np.ones(6))[::2])
    refused(ValueError, f"shape (7,) must have a row for each of the {w.size} ranks", w.exchange, on_gpu(np.ones(7)))
    floats = np.ones(3, np.float32)
    refused(ValueError, "start_sum: send must be 'float32' or 'bfloat16'", w.start_sum, on_gpu(floats), "bf16")
    refused(TypeError, "this one is float64", w.start_sum, on_gpu(np.ones(3)), "bfloat16")
    refused(ValueError, "start_sum: send='bfloat16' is for arrays on device 'cuda'", w.start_sum, floats, "bfloat16")


@check
def the_stand_in_finds_what_a_gpu_would_not_forgive():
    ops, array, other = w.nccl._ops, on_gpu(np.ones(6, np.float32)), on_gpu(np.ones(6, np.float32))
    here, there, host = cuda.address(array), cuda.address(other), np.ones(6, np.float32)
    refused(cuda.CudaError, "7 numbers from number 0 on of an array of 6", ops.allReduce, here, there, 7, 7, 0, 0)
    refused(cuda.CudaError, "dtype float64 at an array of float32", ops.allReduce, here, there, 3, 8, 0, 0)
    refused(cuda.CudaError, "is it the host's memory?", ops.allReduce, host.ctypes.data, there, 6, 7, 0, 0)
    refused(cuda.CudaError, "from number 0 on of an array of 6", ops.allGather, here, there, 6, 7, 0)
    refused(cuda.CudaError, "there is no stream at address 99", ops.broadcast, here, there, 6, 7, 0, 99)
    refused(nccl.NcclError, "lies across what is sent", ops.allReduce, here, here + 4, 5, 7, 0, 0)
    refused(nccl.NcclError, "lies across what is sent", ops.broadcast, here, here + 8, 4, 7, 0, 0)
    refused(nccl.NcclError, "send outside of groupStart", ops.send, here, 6, 7, 0, 0)
    refused(nccl.NcclError, "recv outside of groupStart", ops.recv, here, 6, 7, 0, 0)
    refused(nccl.NcclError, "groupEnd without groupStart", nccl.groupEnd)
    refused(nccl.NcclError, "no datatype 6", ops.allReduce, here, there, 6, 6, 0, 0)
    refused(cuda.CudaError, "was never recorded", cuda.Stream.null.wait_event, cuda.Event())
    refused(cuda.CudaError, "non_blocking=True", cuda.Stream)
    gaps = on_device(np.ones((2, 6), np.float32))[:, ::2]
    refused(cuda.CudaError, "has gaps", ops.broadcast, *[cuda.address(gaps)] * 2, 6, 7, 0, 0)


@check
def a_side_stream_must_wait_for_its_data():
    """The second of two sums that share one wait."""
    array, event, side = on_gpu(np.ones(6)), cuda.Event(), cuda.Stream(non_blocking=True)
    event.record(cuda.Stream.null)
    side.wait_event(event)
    place = cuda.address(array)
    w.nccl._ops.allReduce(place, place, 3, 8, 0, side.ptr)
    behind = cuda.Event()
    behind.record(side)
    cuda.Stream.null.wait_event(behind)
    assert np.array_equal(np.asarray(array), [w.size] * 3 + [1] * 3)
    refused(cuda.CudaError, "has not waited", w.nccl._ops.allReduce, place, place, 3, 8, 0, side.ptr)


@check
def faults_between_start_and_wait():
    array = on_gpu(np.ones(6))
    one = w.start_sum(array)
    refused(nccl.NcclError, "still under way", w.start_sum, array[:2])
    array[3] = 5
    refused(nccl.NcclError, "was written to", one.wait)
    array = on_gpu(np.ones(6))
    one = w.start_sum(array)
    assert sys.getrefcount(array) > 2, "nothing keeps the array"
    one._array = one._sent = array = None  # and now nothing does
    refused(cuda.CudaError, "was freed", one.wait)


@check
def gradients_are_those_of_one_process():
    """Three buckets, sent while backward goes on. A reader that does not wait would find NaN."""
    images, labels = np.random.default_rng(0).standard_normal((7, 3, 5, 4)), np.array([0, 1, 2, 0, 1, 2, 0])
    mine = slice(w.rank * 7 // w.size, (w.rank + 1) * 7 // w.size)
    gradients = []
    for own, device, part in ((World(), "cpu", slice(None)), (w, "cuda", mine)):
        minicnn.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)).double().to(device)
        parallel = DataParallel(net, world=own, bucket_cap_mb=20 / 2**20)
        with minicnn.tier("plain"), parallel.step(part.stop - part.start if own is w else 7) as count:
            x = minicnn.Tensor(to_device(images[part], device))
            loss = F.cross_entropy(net(x), to_device(labels[part], device), reduction="sum") / count
            loss.backward()
        if own is w:
            assert len(parallel._sums.buckets) == 3
        gradients.append([to_device(p.grad.data, "cpu") for p in net.parameters()])
    for one, all_ in zip(*gradients, strict=True):
        np.testing.assert_allclose(all_, one, rtol=1e-12, atol=1e-14)


@check
def calls_that_do_not_match_are_refused():
    """On GPUs they may wait for ever, or not, as it happens."""
    one, other = on_gpu(np.ones(4)), on_gpu(np.ones(4))
    calls = [lambda: w.start_sum(one), lambda: w.sum(other)]
    if w.is_main:
        begun = calls[0]()
        refused(nccl.NcclError, "do not match", calls[1])
        refused(nccl.NcclError, "do not match", begun.wait)
    else:
        refused(nccl.NcclError, "do not match", calls[1])
        refused(nccl.NcclError, "do not match", calls[0]().wait)
    half = on_gpu(np.ones(4 if w.is_main else 8, np.float64 if w.is_main else np.float32))  # 32 bytes each
    refused(nccl.NcclError, "('allGather', 4, 8)", w.gather, half)


@check
def ids_and_ranks_must_be_right():
    own = nccl.get_unique_id()
    refused(nccl.NcclError, "all ranks must give the id", nccl.NcclCommunicator, w.size, own, w.rank)
    refused(nccl.NcclError, "in MPI", nccl.NcclCommunicator, w.size, w.share(own), w.size)


if __name__ == "__main__":
    for name, value in list(globals().items()):
        if getattr(value, "is_check", False):
            value()
            print("passed", name, flush=True)
