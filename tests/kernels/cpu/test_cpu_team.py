"""Compiled work that threads share: each row of a table once, whoever takes it; nobody waits for a worker in vain."""

import os
import subprocess
import sys
import threading
import time

import numba
import numpy as np
import pytest
from checks import raises
from numba import types

from minicnn.kernels.cpu.machine import team, threads

usleep = types.ExternalFunction("usleep", types.intc(types.uintc))


@numba.njit(nogil=True, error_model="numpy")
def _count(limits, arguments):
    """Chunk limits[0] counts itself and takes limits[1] microseconds; a negative number of bytes is too much memory."""
    counts, (bytes_, _) = arguments
    counts[limits[0]] += 1
    if limits[1]:
        usleep(limits[1])
    if bytes_ < 0:
        raise MemoryError


@numba.njit(nogil=True, error_model="numpy")
def _add(limits, arguments):
    """A second stage: adds what the first stage has counted in the chunk before."""
    counts, (_, sums) = arguments
    sums[limits[0]] += counts[limits[0] - 1]


@numba.njit(nogil=True, error_model="numpy")
def count_and_add(boxes, table, arguments):
    failed = team.stage(boxes, _count, table, arguments)
    return failed | team.stage(boxes, _add, table, arguments)


def run(rows, microseconds=0, bytes_=0):
    """What the stages have done to `rows` chunks."""
    counts, sums = np.zeros((2, rows), np.int64)
    table = np.array([(i, microseconds) for i in range(rows)], np.int64).reshape(rows, 2)
    threads.run_compiled(count_and_add, table, (counts, (bytes_, sums)))
    return counts.tolist(), sums.tolist()


@pytest.fixture(autouse=True)
def three_threads():
    before = threads.threads()
    threads.set_threads(3)
    yield
    threads.set_threads(before)


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 8])
def test_every_row_once_and_the_stages_in_order(rows):
    for pause in (0, 0, 0.01):  # at the third time the workers sleep
        time.sleep(pause)
        assert run(rows) == ([1] * rows, [1] * rows)


def test_rows_are_done_at_the_same_time():
    run(3)
    start = time.perf_counter()
    for _ in range(3):  # the workers may have other things to do at one time
        run(3, microseconds=100_000)
    assert time.perf_counter() - start < 0.75  # one after the other: 0.9 s


def test_a_worker_that_has_other_work_holds_nobody_up():
    begun, end = threading.Semaphore(0), threading.Event()

    def work(i):
        begun.release()
        end.wait(timeout=20)

    other = threading.Thread(target=threads.run, args=(work, 3))
    other.start()
    for _ in range(3):
        assert begun.acquire(timeout=20)
    assert run(3) == ([1] * 3, [1] * 3)
    assert run(5) == ([1] * 5, [1] * 5)
    end.set()
    other.join()


def test_inside_a_chunk_and_beside_another_ones_work():
    """The boxes have one user at a time: others do their work by themselves, and so does a chunk of Python's."""
    results = []
    threads.run(lambda i: results.append(run(3)), 3)
    users = [
        threading.Thread(target=lambda: results.extend(run(3, microseconds=200) for _ in range(100))) for _ in range(3)
    ]
    for user in users:
        user.start()
    for _ in range(100):
        threads.run(lambda i: None, 3)
    for user in users:
        user.join()
    assert results == [([1] * 3, [1] * 3)] * 303


def test_memory_that_is_not_there():
    with raises(MemoryError, "a thread's part of an op"):
        run(3, bytes_=-1)
    assert run(3) == ([1] * 3, [1] * 3)


def test_the_number_changes():
    pipes = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for i in range(40):
        threads.set_threads(1 + i % 3)
        assert run(4) == ([1] * 4, [1] * 4)
        threads.run(lambda i: None, 3)
    threads.set_threads(1)
    deadline = time.monotonic() + 20
    while pipes and len(os.listdir("/proc/self/fd")) > pipes and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not pipes or len(os.listdir("/proc/self/fd")) <= pipes  # workers that have ended give their pipes back


def test_where_there_are_no_such_workers(monkeypatch):
    monkeypatch.setattr(team, "POSSIBLE", False)
    threads.set_threads(3)
    assert run(4) == ([1] * 4, [1] * 4)
    calls = []
    threads.run(calls.append, 4)
    assert sorted(calls) == [0, 1, 2, 3]


def test_a_forked_process_has_workers_of_its_own():
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    code = (
        "import os, sys\n"
        "import test_cpu_team as t\n"
        "t.threads.set_threads(2)\n"
        "t.run(2)\n"
        "child = os.fork()\n"
        "assert t.run(2) == ([1] * 2, [1] * 2)\n"
        "sys.exit(0) if child == 0 else sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120, env=environment)
