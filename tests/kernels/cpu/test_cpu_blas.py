"""BLAS has one thread while minicnn's own call it, and then as many as before."""

import os
import subprocess
import sys

import pytest

from minicnn.kernels.cpu.machine import blas

BLAS = """
import os, sys, threading
import numpy as np, threadpoolctl
from minicnn.kernels.cpu import linear
from minicnn.kernels.cpu.machine.blas import one_thread
def of_blas(): return {p['num_threads'] for p in threadpoolctl.threadpool_info() if p['user_api'] == 'blas'}
x, seen, product = np.ones((3, 4), np.float32), [], np.matmul
def matmul(*args, **kwargs): seen.append(of_blas()); return product(*args, **kwargs)
np.matmul = matmul
"""


@pytest.mark.parametrize(
    "code, printed",
    [
        ("linear.linear_forward(x, x, None); print(seen, of_blas())", "[{1}] {2}"),
        (  # an error leaves nothing behind
            "try: linear.linear_forward(x, x.T.copy(), None)\nexcept ValueError: print(seen, of_blas())",
            "[{1}] {2}",
        ),
        (  # the first of two threads leaves while the other is still inside
            "a, b = threading.Event(), threading.Event()\n"
            "def work():\n  with one_thread: a.set(); b.wait(); seen.append(of_blas())\n"
            "thread = threading.Thread(target=work); thread.start(); a.wait()\n"
            "linear.linear_forward(x, x, None); seen.append(of_blas())\n"
            "b.set(); thread.join(); print(seen, of_blas())",
            "[{1}, {1}, {1}] {2}",
        ),
        (  # the thread that set the number is not the one that puts it back
            "a, b = threading.Event(), threading.Event()\n"
            "def work():\n  with one_thread: a.set(); b.wait()\n"
            "thread = threading.Thread(target=work)\n"
            "with one_thread: thread.start(); a.wait()\n"
            "b.set(); thread.join(); print(of_blas())",
            "{2}",
        ),
        (  # what somebody else has set in the meantime is found and put back
            "linear.linear_forward(x, x, None); threadpoolctl.threadpool_limits(1, 'blas')\n"
            "linear.linear_forward(x, x, None); print(seen, of_blas())",
            "[{1}, {1}] {1}",
        ),
        pytest.param(  # a child of fork has nobody inside
            "with one_thread: child = os.fork() or print(of_blas(), flush=True) or os._exit(0)\n"
            "os.waitpid(child, 0); print(of_blas())",
            "{2}\n{2}",
            marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
        ),
    ],
    ids=["a call", "an error", "two threads", "another thread last", "another limit", "fork"],
)
def test_blas_runs_one_thread_for_the_time_of_a_call(code, printed):
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", BLAS + code], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (printed + "\n", "")


def test_an_inner_block_changes_nothing():
    """Whoever is inside of another one's block, or leaves while others are inside."""

    class Library:
        def __init__(self, count):
            self.count, self.calls = count, 0

        def get_num_threads(self):
            return self.count

        def set_num_threads(self, count):
            self.count, self.calls = count, self.calls + 1

    block, libraries = blas._OneThread(), [Library(8), Library(1)]
    block.libraries = [(library.get_num_threads, library.set_num_threads) for library in libraries]
    with block:
        with block:
            assert [library.count for library in libraries] == [1, 1]
        assert [library.count for library in libraries] == [1, 1]
    assert [library.count for library in libraries] == [8, 1]
    assert [library.calls for library in libraries] == [2, 0]  # one that has one thread is left alone
