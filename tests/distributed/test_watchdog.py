"""A step that takes too long: the job ends, and the message has the rank and the line that are to blame."""

import os
import subprocess
import sys
import threading
import time

import mpi
import pytest

from minicnn import console
from minicnn.device import copy_to_host
from minicnn.distributed import World, watchdog
from minicnn.distributed.watchdog import Place, Watchdog, place_of

PROGRAM = """
import ctypes, os, queue, signal, sys, time
import numpy as np
from minicnn.distributed import world
from minicnn.distributed.watchdog import Watchdog

ranks = world()
with Watchdog(1, ranks) as dog:
    for batch in (1, 2):
        dog.step(f"batch {batch}")
        if batch == 2 and ranks.rank == ranks.size - 1:
            CASE
        ranks.sum(np.ones(3))
        time.sleep(0.1)
"""


def ends(size, case):
    """(what all ranks said together, seconds after the timeout)"""
    job = mpi.start(size, PROGRAM.replace("CASE", case))
    end = job.end(timeout=30)
    assert job.gone() and end.code != 0, str(end)
    assert end.seconds < 15 and end.out == [""] * size, str(end)
    return "".join(end.err)


@mpi.skip_without_mpi
def test_a_rank_that_is_stopped_is_named_by_another():
    said = ends(2, "os.kill(os.getpid(), signal.SIGSTOP)")
    assert said.startswith("error: batch 2 takes longer than 1 s: rank 1 of 2 gave no answer: stopped, or gone; rank 0")
    assert (
        "waits in Ranks.sum, called at " in said and said.endswith("ranks.sum(np.ones(3))\n") and said.count("\n") == 1
    )


@pytest.mark.slow
@mpi.skip_without_mpi
@pytest.mark.parametrize(
    "case, parts",
    [
        ("time.sleep(60)", ["rank 2 of 3 (host ", ") hangs at ", "line 12, in <module>: time.sleep(60)\n"]),
        ("queue.Queue().get()", ["rank 2 of 3 (host ", ") hangs at ", "in <module>: queue.Queue().get()\n"]),
        ("ranks.gather_values(1)", ["all 3 ranks wait", "rank 0 in Ranks.sum", "rank 2 in Ranks.gather_values"]),
    ],
)
def test_who_is_to_blame(case, parts):
    said = ends(3, case)
    assert said.startswith("error: batch 2 takes longer than 1 s: ") and said.count("\n") == 1
    assert all(part in said for part in parts), said


@pytest.mark.slow
@mpi.skip_without_mpi
def test_a_library_that_keeps_the_interpreter_s_lock():
    said = ends(2, "ctypes.PyDLL(None).sleep(60)")
    assert said.startswith("Timeout (0:00:02)!\n") and "line 12 in <module>" in said and "error" not in said


@pytest.mark.slow
def test_one_process():
    program = PROGRAM.replace("CASE", "time.sleep(60)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr == "error: batch 2 takes longer than 1 s: it hangs at <string>, line 12, in <module>\n"


TRAINING = """
import sys, time
from kill_and_resume import small_trainer
from minicnn.cli.pictures import RandomPictures
from minicnn.distributed import world
from minicnn.train import exit_code

class Slow(RandomPictures):
    def load(self, index):
        if len(self) == PICTURES and training and world().rank == world().size - 1:
            time.sleep(60)
        return super().load(index)

training = False

def train():
    global training
    trainer = small_trainer(sys.argv[1], pictures=Slow)
    training = True  # the normaliser has read the pictures of validation
    trainer.watchdog.seconds = 5
    trainer.fit()

sys.exit(exit_code(train))
"""


@pytest.mark.slow
@mpi.skip_without_mpi
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("pictures, step", [(60, "epoch 1/6, batch 1"), (20, "the first batch of validation")])
def test_a_training_run(size, pictures, step, tmp_path):
    end = mpi.run(size, TRAINING.replace("PICTURES", str(pictures)), tmp_path, timeout=150)
    said = "".join(end.err)
    assert end.code == 1 and said.count("\n") == 1, str(end)
    assert said.startswith(f"error: {step} takes longer than 5 s: ") and "ahead.py, line " in said, said
    assert (f"rank {size - 1} of {size}" in said) is (size > 1)


# Without MPI


class Rank(World):
    """Rank 1 of 3, which finds the others at the given places."""

    def __init__(self, size=3, places=()):
        self.size, self.places, self.ended = size, dict(places), threading.Event()
        self.rank = 1 if size > 1 else 0

    def meet(self, place, seconds, channel=0):
        return dict(sorted({**self.places, self.rank: place}.items()))

    def abort(self, code):
        assert code == 1
        self.ended.set()


def message(monkeypatch, hang, **others):
    said, rank = [], Rank(**others)
    monkeypatch.setattr(console, "report", said.append)
    monkeypatch.setattr(watchdog, "_net", lambda seconds: None)  # it would end pytest
    monkeypatch.setattr(watchdog, "NET", 0.1)
    with Watchdog(0.05, rank) as dog:
        dog.step("batch 7")
        hang(rank)
        assert rank.ended.wait(10)
    return said


def in_a_wait(rank):
    rank.ended.wait(10)


def test_the_line_of_the_program_is_told_and_not_that_of_python(monkeypatch):
    (said,) = message(monkeypatch, in_a_wait, size=1)
    assert said.startswith(f"error: batch 7 takes longer than 0.05 s: it hangs at {__file__}, line ")
    assert said.endswith(", in in_a_wait: rank.ended.wait(10)")
    (said,) = message(monkeypatch, in_a_wait, places={0: Place(True, "somewhere")})
    assert said.startswith("error: batch 7 takes longer than 0.05 s: rank 1 of 3 (host ")


def test_another_rank_speaks(monkeypatch):
    assert message(monkeypatch, in_a_wait, places={0: Place(False, "at x.py, line 3")}) == []


def test_steps_that_are_quick_enough(monkeypatch):
    monkeypatch.setattr(watchdog, "_net", lambda seconds: None)
    rank = Rank(1)
    with Watchdog(0.5, rank) as dog:
        for _ in range(8):
            dog.step("one of eight")
            time.sleep(0.1)  # all together longer than one may take
    dog.step("after the block, where nobody watches")
    time.sleep(0.6)
    assert not rank.ended.is_set()


def test_no_limit():
    threads = threading.active_count()
    with Watchdog(0, Rank(1)) as dog:
        dog.step("batch 1")
        assert threading.active_count() == threads


def test_who_waits():
    look = "import sys\n\ndef look(place_of):\n    return place_of(sys._getframe())\n"
    for name, function, waits in (
        ("mpi.py", "sum", True),
        ("mpi.py", "on_rank_0", False),  # rank 0 works there, and the others are inside of share
        ("../device.py", "copy_to_host", True),
        ("../device.py", "to_device", False),
    ):
        there = {}
        code = look.replace("look", function)
        exec(compile(code, os.path.normpath(watchdog.HERE + name), "exec"), there)
        place = there[function](place_of)
        assert place.waits is waits, (name, function)
    assert copy_to_host.__name__ == "copy_to_host"  # it is known by its name


def test_a_rank_waits_where_the_program_says_with():
    """Not in contextlib, which calls what comes at the end of the block."""
    there = {}
    code = """
import contextlib, sys

@contextlib.contextmanager
def step(place_of, found):
    yield
    found.append(sum(place_of))

def sum(place_of):
    return place_of(sys._getframe())
"""
    exec(compile(code, watchdog.HERE + "mpi.py", "exec"), there)
    found = []
    with there["step"](place_of, found):
        pass
    (place,) = found
    assert place.waits and f"called at {__file__}, line " in place.text
    assert place.text.endswith(': with there["step"](place_of, found):')
