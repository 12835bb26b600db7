"""Keepers of the cores: where there are some, that they are awake during work and asleep after it."""

import os
import subprocess
import sys
import threading
import time

import pytest

from minicnn.kernels.cpu.machine import awake, cores, threads

pytestmark = pytest.mark.skipif(not awake.LINUX, reason="cores are kept awake on Linux only")
CODE = (
    "import os, sys, threading\n"
    "import numpy as np\n"
    "from minicnn.kernels.cpu import activation\n"
    "from minicnn.kernels.cpu.machine import cores, threads\n"
    "threads.set_threads(max(2, len(cores.usable())))\n"
    "threads.run(lambda i: None, 2)\n"
    "keepers = [thread for thread in threading.enumerate() if thread.name == 'minicnn awake']\n"
    "assert len(keepers) == len(cores.usable())\n"
)


@pytest.fixture(autouse=True)
def nothing_forbids_them(monkeypatch):
    monkeypatch.delenv("MINICNN_AWAKE", raising=False)
    if reason := awake.why_not(len(cores.usable())):
        pytest.skip(f"cores are not kept awake: {reason}")


@pytest.fixture(scope="module")
def keepers():
    """Keepers of this test's own, and their threads."""
    before = set(threading.enumerate())
    found = awake.Keepers(cores.usable())
    found.threads = [thread for thread in threading.enumerate() if thread not in before]
    time.sleep(0.05)  # one that is refused ends at once
    if not all(thread.is_alive() for thread in found.threads):
        pytest.skip("this system does not let threads have the lowest priority")
    return found


def eventually(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def run(code):
    return subprocess.run([sys.executable, "-W", "ignore", "-c", CODE + code], check=True, timeout=60)


def test_each_core_has_a_keeper_of_the_lowest_priority(keepers):
    with keepers:
        pass
    found = [thread.native_id for thread in keepers.threads]
    assert eventually(lambda: all(os.sched_getscheduler(thread) == os.SCHED_IDLE for thread in found))
    assert sorted(list(os.sched_getaffinity(thread)) for thread in found) == [[core] for core in cores.usable()]


def test_keepers_are_awake_during_work_and_sleep_after_it(keepers):
    for _ in range(2):
        with keepers, keepers:  # two threads may have work
            assert not eventually(lambda: any(keepers.asleep), seconds=0.8e-9 * awake.LONGEST)
        assert eventually(lambda: all(keepers.asleep))


def test_keepers_look_at_the_clock_only_while_they_are_awake(keepers):
    assert eventually(lambda: all(keepers.asleep))
    clock = time.pthread_getcpuclockid(keepers.threads[0].ident)
    before = time.clock_gettime(clock)
    time.sleep(0.2)
    assert time.clock_gettime(clock) - before < 0.01

    def have_looked():
        with keepers:  # again and again: on a busy core a thread of the lowest priority has to wait for its turn
            time.sleep(0.02)
        return time.clock_gettime(clock) - before > 0.01

    assert eventually(have_looked)


def test_keepers_sleep_even_if_the_end_of_work_was_never_said(keepers):
    keepers.__enter__()
    try:
        assert eventually(lambda: all(keepers.asleep))
        with keepers:
            assert not all(keepers.asleep)
    finally:
        keepers.__exit__()


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


def test_none_where_they_would_do_harm(monkeypatch):
    count = len(cores.usable())
    assert isinstance(awake.keepers(count), awake.Keepers)
    assert not isinstance(awake.keepers(count - 1), awake.Keepers)
    with monkeypatch.context() as patch:
        patch.setenv("MINICNN_AWAKE", "0")
        assert not isinstance(awake.keepers(count), awake.Keepers)
    with monkeypatch.context() as patch:
        patch.setattr(cores, "quota", lambda: count - 0.5)
        assert not isinstance(awake.keepers(count), awake.Keepers)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpriority", lambda which, who: 5)
        assert not isinstance(awake.keepers(count), awake.Keepers)
    with monkeypatch.context() as patch:
        patch.setattr(os, "sched_getscheduler", _refused)
        assert not isinstance(awake.keepers(count), awake.Keepers)


def _refused(process):
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("function", ["eventfd", "Thread"])
def test_ops_go_on_without_them_where_the_system_refuses(function, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no") if function == "eventfd" else RuntimeError("can't start new thread")

    monkeypatch.setattr(awake, "_keepers", None)
    monkeypatch.setattr(os if function == "eventfd" else awake.threading, function, refuse)
    opened = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        with awake.keepers(len(cores.usable())) as nothing:
            assert nothing is None
    assert len(os.listdir("/proc/self/fd")) == opened


def test_a_forked_process_has_keepers_of_its_own():
    run(
        "child = os.fork()\n"
        "threads.run(lambda i: None, 2)\n"
        "activation.relu_forward(np.ones((4, 300, 300), np.float32), None)\n"  # compiled, or loaded, in both
        "there = [thread for thread in threading.enumerate() if thread.name == 'minicnn awake']\n"
        "assert len(there) == len(keepers), there\n"
        "sys.exit(0) if child == 0 else sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )


def test_a_process_ends_while_its_keepers_are_awake():
    for _ in range(5):
        run("")
