"""The processor's threads: every chunk once, in whatever order; errors come out; results repeat bit for bit."""

import itertools
import math
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from checks import raises
from elementwise import calls as elementwise_calls

from minicnn.distributed.launch import Launch
from minicnn.kernels.cpu import (
    activation,
    adaptive_avg_pool,
    batchnorm,
    conv_transpose,
    dropout,
    interpolate,
    linear,
    lrn,
    max_pool,
    mse_loss,
    pad,
    smooth_l1_loss,
    softmax,
)
from minicnn.kernels.cpu.machine import cores, layout, threads
from minicnn.ops import activation as plain_activation
from minicnn.ops import adaptive_avg_pool as plain_adaptive
from minicnn.ops import batchnorm as plain_batchnorm
from minicnn.ops import conv_transpose as plain_conv_transpose
from minicnn.ops import dropout as plain_dropout
from minicnn.ops import interpolate as plain_interpolate
from minicnn.ops import linear as plain_linear
from minicnn.ops import lrn as plain_lrn
from minicnn.ops import max_pool as plain_max_pool
from minicnn.ops import mse_loss as plain_mse_loss
from minicnn.ops import pad as plain_pad
from minicnn.ops import smooth_l1_loss as plain_smooth_l1_loss
from minicnn.ops import softmax as plain_softmax
from minicnn.ops.windows import Windows


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    before = threads.threads()
    monkeypatch.setattr(threads, "LEAST", 1 << 14)
    threads.set_threads(3)
    yield
    threads.set_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 100])
def test_every_chunk_runs_once(count):
    calls = [0] * count

    def work(i):
        calls[i] += 1

    threads.run(work, count)
    assert calls == [1] * count


def test_chunks_run_at_the_same_time():
    together = threading.Barrier(3, timeout=20)  # nobody passes before three have come
    threads.run(lambda i: together.wait(), 3)


@pytest.mark.parametrize("n", range(8))
@pytest.mark.parametrize("least", [1, 2, 5])
def test_chunks_cut_a_range_into_parts_that_are_not_empty(n, least):
    chunks = threads.chunks(n, least)
    assert [i for start, stop in chunks for i in range(start, stop)] == list(range(n))
    assert len(chunks) <= 3
    assert all(stop - start >= min(n, least) for start, stop in chunks) and (n > 0 or chunks == [])


def test_the_first_exception_comes_out_and_the_pool_goes_on():
    ran = []

    def work(i):
        if i == 0:
            raise ZeroDivisionError("chunk 0")
        ran.append(i)
        time.sleep(0.001)

    with raises(ZeroDivisionError, "chunk 0"):
        threads.run(work, 1000)
    assert len(ran) < 500  # no new chunk is begun after an error
    threads.run(ran.append, 5)
    assert sorted(ran[-5:]) == [0, 1, 2, 3, 4]


def test_the_exception_of_the_lowest_chunk_is_the_one_raised():
    together = threading.Barrier(3, timeout=20)

    def work(i):
        together.wait()
        raise RuntimeError(f"chunk {i}")

    with raises(RuntimeError, "chunk 0"):
        threads.run(work, 3)


def test_an_interrupted_run_ends_when_its_helpers_have():
    """Else they would go on writing to the op's work space, which the next op is given."""
    finished, main, together = [], threading.get_ident(), threading.Barrier(3, timeout=20)

    def work(i):
        together.wait()
        if threading.get_ident() != main:
            time.sleep(0.5)
            finished.append(i)

    timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
    timer.start()  # the calling thread waits for the others by then
    with pytest.raises(KeyboardInterrupt):
        threads.run(work, 3)
    assert len(finished) == 2
    timer.join()
    test_every_chunk_runs_once(100)


def test_a_run_inside_a_chunk_stays_on_its_thread():
    seen = {}

    def work(i):
        threads.run(lambda j: seen.setdefault((i, j), threading.get_ident()), 3)

    threads.run(work, 3)
    assert len(seen) == 9
    assert all(len({seen[i, j] for j in range(3)}) == 1 for i in range(3))


def test_what_a_chunk_holds_is_let_go_of():
    import weakref

    array = np.zeros(4).view(type("Watched", (np.ndarray,), {}))
    alive = weakref.ref(array)
    threads.run(lambda i, array=array: array.sum(), 3)
    del array
    deadline = time.monotonic() + 20
    while alive() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert alive() is None


def test_the_number_changes_while_others_work():
    stop, before = threading.Event(), sum(thread.name == "minicnn" for thread in threading.enumerate())

    def work():
        while not stop.is_set():
            threads.run(lambda i: None, 3)

    users = [threading.Thread(target=work) for _ in range(2)]
    for user in users:
        user.start()
    for i in range(3000):
        threads.set_threads(2 + i % 2)
        time.sleep(0.0001)
    stop.set()
    for user in users:
        user.join(timeout=20)
        assert not user.is_alive()
    threads.set_threads(1)
    deadline = time.monotonic() + 20
    while (left := sum(t.name == "minicnn" for t in threading.enumerate())) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left <= before  # nobody waits for a job of a pool that is gone


def test_a_forked_process_has_threads_of_its_own():
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    code = (
        "import os, sys\n"
        "from minicnn.kernels.cpu.machine import threads\n"
        "threads.set_threads(2)\n"
        "threads.run(lambda i: None, 2)\n"
        "child = os.fork()\n"
        "threads.run(lambda i: None, 2)\n"
        "sys.exit(0) if child == 0 else sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


def test_how_many_threads():
    with raises(ValueError, "set_threads", "0"):
        threads.set_threads(0)
    with raises(ValueError, "set_threads", "1.5"):
        threads.set_threads(1.5)
    assert threads.threads() == 3
    code = "from minicnn.kernels.cpu.machine import threads; print(threads.threads())"
    for value, expected in (("5", "5\n"), ("none", "")):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "MINICNN_THREADS": value}, capture_output=True, text=True
        )
        assert done.stdout == expected
    assert "MINICNN_THREADS" in done.stderr and "none" in done.stderr


def test_a_system_that_gives_no_more_threads(monkeypatch):
    """The ones there are do all the work, in the same chunks: ulimit -u, a container's limit."""

    def refuse(*arguments, **options):
        raise RuntimeError("can't start new thread")

    threads.set_threads(3)
    monkeypatch.setattr(threads.threading, "Thread", refuse)
    monkeypatch.setenv("MINICNN_AWAKE", "0")
    test_every_chunk_runs_once(100)
    assert threads.threads() == 3
    with raises(ValueError, "set_threads", "from 1 to 4096", 10**9):
        threads.set_threads(10**9)


def test_no_more_threads_than_the_share(monkeypatch):
    monkeypatch.delenv("MINICNN_THREADS", raising=False)
    for quota, expected in ((0.5, 1), (1.0, 1), (float("inf"), len(cores.usable()))):
        monkeypatch.setattr(cores, "quota", lambda quota=quota: quota)
        assert threads._available() == expected


@pytest.mark.parametrize(
    "own, launcher, local_size, quota, expected",
    [
        (16, 16, 4, math.inf, 4),
        (16, 16, 1, math.inf, 16),  # one process on this machine, others elsewhere
        (16, 16, 3, math.inf, 5),
        (2, 2, 4, math.inf, 1),
        (16, 16, 4, 6.0, 1),  # a container's: one core and a half for each
        (8, 64, 8, math.inf, 8),  # each bound to eight of its own
        (8, 64, 2, math.inf, 8),  # and 48 cores for nobody
        (16, 32, 4, math.inf, 8),  # two processes bound to the same 16
        (1, 64, 2, math.inf, 1),  # Open MPI binds two to a core each
    ],
)
def test_processes_of_an_mpiexec_share_the_cores(own, launcher, local_size, quota, expected, monkeypatch):
    masks = {0: range(own), os.getppid(): range(launcher)}
    monkeypatch.delenv("MINICNN_THREADS", raising=False)
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(masks[process]), raising=False)
    monkeypatch.setattr(cores, "quota", lambda: quota)
    monkeypatch.setattr(cores, "launch", lambda: Launch("MPICH", 0, 8, 0, local_size))
    assert threads._available() == expected
    if local_size > 1:
        monkeypatch.setenv("SLURM_CPUS_ON_NODE", str(local_size))  # the job has one for each
        assert threads._available() == 1
    monkeypatch.setenv("MINICNN_THREADS", "3")
    assert threads._available() == 3


RNG = np.random.default_rng(0)
X, G = (np.moveaxis(RNG.standard_normal((5, 24, 25, 20)), -1, 1).astype(np.float32) for _ in range(2))
C = RNG.standard_normal(20).astype(np.float32)
ONES = np.ones(20, np.float32)
A, W = RNG.standard_normal((90, 300)).astype(np.float32), RNG.standard_normal((200, 300)).astype(np.float32)
A_ROW, W_LARGE = (RNG.standard_normal((n, 1500)).astype(np.float32) for n in (1, 1000))
A_OUT = RNG.standard_normal((90, 200)).astype(np.float32)
WINDOWS = Windows((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), (12, 13))
TRANSPOSED = X, RNG.standard_normal((20, 3, 2, 2), np.float32), C[:3], (48, 50), (2, 2), ((0, 0), (0, 0)), (1, 1), 1
AXES, AXES_BACK = (
    [plain_interpolate.axis(*each, None, "bilinear", False, np.float32) for each in sizes]
    for sizes in (((24, 30), (25, 47)), ((10, 24), (31, 25)))
)
OPS = [
    (plain_batchnorm, batchnorm, "batch_norm_statistics", (X, None, 0.1, 1e-5)),
    (plain_batchnorm, batchnorm, "batch_norm_forward", (X, C, C, C, ONES)),
    (plain_batchnorm, batchnorm, "batch_norm_grad_weight_bias", (G, X, C, ONES)),
    (plain_batchnorm, batchnorm, "batch_norm_grad_x", (G, X, C, C, ONES, (C, C))),
    *((plain_activation, activation, f.__name__, args) for f, *args in elementwise_calls(plain_activation, lambda: X)),
    (plain_activation, activation, "relu_backward", (G, X)),
    (plain_dropout, dropout, "dropout_forward", (X, 0.3, 2**63 + 5, 2**33 + 7, 3, None)),
    (plain_lrn, lrn, "local_response_norm_forward", (X, 5, 1.0, 0.75, 2.0, 1)),
    (plain_lrn, lrn, "local_response_norm_backward", (G, X, 5, 1.0, 0.75, 2.0, 1)),
    (plain_max_pool, max_pool, "max_pool2d_forward", (X, WINDOWS)),
    (plain_max_pool, max_pool, "max_pool2d_forward_and_winners", (X, WINDOWS)),
    (plain_mse_loss, mse_loss, "mse_loss_forward", (X, G)),
    (plain_mse_loss, mse_loss, "mse_loss_sum", (X, G)),
    (plain_smooth_l1_loss, smooth_l1_loss, "smooth_l1_loss_forward", (X, G, 0.8)),
    (plain_smooth_l1_loss, smooth_l1_loss, "smooth_l1_loss_backward", (G, X, layout.contiguous(G), 0.8)),
    (plain_mse_loss, mse_loss, "mse_loss_backward", (C[0], X, G)),
    (plain_mse_loss, mse_loss, "mse_loss_backward", (G, X, layout.contiguous(G))),
    (plain_conv_transpose, conv_transpose, "conv_transpose2d_forward", TRANSPOSED),
    (plain_interpolate, interpolate, "interpolate_forward", (X, *AXES)),
    (plain_interpolate, interpolate, "interpolate_backward", (G, (5, 20, 10, 31), *AXES_BACK)),
    (plain_pad, pad, "pad_forward", (X, ((0, 0), (0, 0), (2, 1), (1, -3)), 0.5)),
    (plain_pad, pad, "pad_forward", (layout.contiguous(X), ((1, 0), (0, 2), (-1, 1), (2, 3)), 0.5)),
    (plain_adaptive, adaptive_avg_pool, "adaptive_avg_pool2d_forward", (X, (5, 7))),
    (plain_softmax, softmax, "log_softmax_forward", (X, 1)),
    (plain_linear, linear, "linear_forward", (A, W, W[:, 0])),
    (plain_linear, linear, "linear_forward", (A_ROW, W_LARGE, None)),
    (plain_linear, linear, "linear_grad_x", (A_OUT, W)),
    (plain_linear, linear, "linear_grad_weight", (A_OUT, A)),
]
IDS = [name + " of one row" * (arguments[0] is A_ROW) for *_, name, arguments in OPS]


@pytest.mark.parametrize("plain, fast, name, arguments", OPS, ids=IDS)
def test_chunks_put_together_are_the_page_and_repeat_bit_for_bit(plain, fast, name, arguments):
    assert X.size > 3 * threads.LEAST  # so that three threads have something to do
    expected = _arrays(getattr(plain, name)(*arguments))
    for count in (3, 1, 2, 3):
        threads.set_threads(count)
        results = [_arrays(getattr(fast, name)(*arguments)) for _ in range(3)]
        for value, again, once_more, wanted in zip(*results, expected, strict=True):
            assert value.dtype == wanted.dtype and value.shape == wanted.shape
            np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
            assert value.tobytes() == again.tobytes() == once_more.tobytes()


def test_dropout_draws_the_pages_numbers_in_any_layout():
    for x, start in itertools.product((X, layout.contiguous(X), X.transpose(3, 2, 1, 0)), (0, 2**35 + 3)):
        how = 0.3, 2**63 + 5, 2**33 + 7, start, None
        np.testing.assert_array_equal(dropout.dropout_forward(x, *how), plain_dropout.dropout_forward(x, *how))


def _arrays(result):
    return result if isinstance(result, tuple) else (result,)
