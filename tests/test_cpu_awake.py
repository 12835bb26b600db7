"""Keepers of the cores: where there are some, that they are awake during work and asleep after it."""

import os
import subprocess
import sys
import threading
import time

import pytest

from minicnn.kernels.cpu import awake, threads

pytestmark = pytest.mark.skipif(not awake.LINUX, reason="cores are kept awake on Linux only")
CODE = (
    "import os, sys, threading\n"
    "from minicnn.kernels.cpu import threads\n"
    "threads.set_threads(max(2, len(os.sched_getaffinity(0))))\n"
    "threads.run(lambda i: None, 2)\n"
    "keepers = [thread for thread in threading.enumerate() if thread.name == 'minicnn awake']\n"
)


@pytest.fixture
def keepers(monkeypatch):
    monkeypatch.delenv("MINICNN_AWAKE", raising=False)
    return awake.keepers(len(os.sched_getaffinity(0)))


def eventually(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_each_core_has_a_keeper_of_the_lowest_priority(keepers):
    with keepers:
        pass
    found = [thread.native_id for thread in threading.enumerate() if thread.name == "minicnn awake"]
    assert eventually(lambda: all(os.sched_getscheduler(thread) == os.SCHED_IDLE for thread in found))
    assert sorted(os.sched_getaffinity(thread) for thread in found) == [{i} for i in sorted(os.sched_getaffinity(0))]


def test_keepers_are_awake_during_work_and_sleep_after_it(keepers):
    for _ in range(2):
        with keepers, keepers:  # two threads may have work
            time.sleep(5e-9 * awake.QUIET)
            assert not any(keepers.asleep)
        assert eventually(lambda: all(keepers.asleep))


def test_keepers_look_at_the_clock_only_while_they_are_awake(keepers):
    assert eventually(lambda: all(keepers.asleep))
    thread = next(thread for thread in threading.enumerate() if thread.name == "minicnn awake")
    clock = time.pthread_getcpuclockid(thread.ident)
    before = time.clock_gettime(clock)
    time.sleep(0.2)
    assert time.clock_gettime(clock) - before < 0.01
    with keepers:
        assert eventually(lambda: time.clock_gettime(clock) - before > 0.01)


def test_a_run_says_that_there_is_work(monkeypatch):
    said = []

    class Recorder:
        def __enter__(self):
            said.append("begun")

        def __exit__(self, *error):
            said.append("ended")

    before = threads.threads()
    threads.set_threads(2)
    monkeypatch.setattr(threads._pool, "keepers", Recorder())
    threads.run(said.append, 2)
    threads.set_threads(before)
    assert said in (["begun", 0, 1, "ended"], ["begun", 1, 0, "ended"])


def test_none_with_fewer_threads_than_cores_or_if_not_wanted(monkeypatch):
    cores = len(os.sched_getaffinity(0))
    assert not isinstance(awake.keepers(cores - 1), awake.Keepers)
    monkeypatch.setenv("MINICNN_AWAKE", "0")
    assert not isinstance(awake.keepers(cores), awake.Keepers)


def test_a_forked_process_has_keepers_of_its_own():
    code = CODE + (
        "child = os.fork()\n"
        "threads.run(lambda i: None, 2)\n"
        "there = [thread for thread in threading.enumerate() if thread.name == 'minicnn awake']\n"
        "assert len(there) == len(keepers) == len(os.sched_getaffinity(0)), (keepers, there)\n"
        "sys.exit(0) if child == 0 else sys.exit(os.waitpid(child, 0)[1])\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


def test_a_process_ends_while_its_keepers_are_awake():
    for _ in range(5):
        subprocess.run([sys.executable, "-c", CODE + "assert keepers"], check=True, timeout=60)
