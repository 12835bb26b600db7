"""SIGKILL of ranks at random moments: each job is over within seconds, and the resumed run ends in the same bytes."""

import contextlib
import os
import random
import signal
import time

import mpi
import pytest
from kill_and_resume import repeated_part

from minicnn.train import load_checkpoint
from minicnn.train.trainer import LAST

pytestmark = mpi.skip_without_mpi
KILLS = 10  # of each rank
PROGRAM = """
import sys
import minicnn
from kill_and_resume import child

minicnn.set_tier("plain")  # it begins at once, where the other tier loads compiled code for seconds
child(sys.argv[1])
"""


def start(folder):
    """The run on two ranks, from the moment on that both have loaded the checkpoint."""
    job = mpi.start(2, PROGRAM, folder)
    while not all("ready\n" in text for text in job.printed()):
        assert job.process.poll() is None, str(job.end())
        time.sleep(0.01)
    return job


@pytest.mark.slow
def test_a_run_whose_ranks_are_killed(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    job, began = start(whole), time.monotonic()
    assert job.end().code == 0
    seconds, expected = time.monotonic() - began, repeated_part(whole)

    moments, victims, runs, places = random.Random(3), [0, 1] * KILLS, 0, set()
    moments.shuffle(victims)
    while victims:
        runs += 1
        folder = tmp_path / f"run {runs}"
        folder.mkdir()
        while True:
            job = start(folder)
            if victims:
                time.sleep(moments.uniform(0, seconds))
                if job.process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):  # it has just come to its end
                        os.kill(job.pid(victims[-1]), signal.SIGKILL)
                        victims.pop()
            killed = time.monotonic()
            end = job.end()
            if end.code == 0:
                break
            assert time.monotonic() - killed < 5 and job.gone(), str(end)
            if (folder / LAST).exists():
                at = load_checkpoint(folder / LAST)["position"]
                places.add((runs, at["epoch"], at["batch"]))
        found = repeated_part(folder)
        for name in expected:
            assert found[name] == expected[name], f"{name} of run {runs} differs"
        assert not list(folder.glob(".*")), "a killed run's unfinished file is still there"
    assert len(places) > KILLS / 2, places  # where runs were killed: not all in the beginning
