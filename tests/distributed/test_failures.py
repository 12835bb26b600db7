"""Where processes fail: the job ends within seconds, with one message and an exit code, and no process is left over."""

import os
import signal
import time

import mpi
import pytest

from minicnn import console
from minicnn.distributed import World, ending
from minicnn.distributed.ending import end_together, listed

PROGRAM = """
import os, sys, time
import numpy as np
from minicnn.console import say
from minicnn.distributed import world
from minicnn.errors import SettingError
from minicnn.train import exit_code
from minicnn.train.exit import resume_command

sys.argv[0] = "./program.py"  # and not the folder of this test

def refuse(words="no such folder"):
    raise SettingError(words)

def on_rank_0_alone(*found):
    raise ValueError(*found)

def program():
    ranks = world()
    say("hello")
    CASE
    ranks.sum(np.ones(3))  # where the others wait

if "library" in sys.argv:
    program()
else:
    sys.exit(exit_code(program))
"""


def begin(size, case, *words):
    return mpi.start(size, PROGRAM.replace("CASE", case), *words)


def ended(job, seconds=15):
    """How the job has ended, quickly and completely; (exit code, what all ranks said together, what mpiexec said)."""
    end = job.end(timeout=30)
    assert end.seconds < seconds, str(end)
    assert job.gone(), str(end)
    assert end.out[1:] == [""] * (job.size - 1) and end.out[0] in ("", "hello\n"), str(end)
    return end.code, "".join(end.err), end.said


def fails(size, case, *words):
    return ended(begin(size, case, *words))[:2]


@mpi.skip_without_mpi
def test_an_error_of_one_rank_ends_the_job():
    code, said = fails(3, "if ranks.rank == 1: refuse()")
    assert code == 2
    assert (
        said.startswith("error: rank 1 of 3 (host ") and said.endswith("): no such folder\n") and said.count("\n") == 1
    )


@mpi.skip_without_mpi
def test_an_error_of_all_ranks_is_printed_once():
    assert fails(3, "refuse()") == (2, "error: no such folder\n")


@mpi.skip_without_mpi
def test_a_killed_rank_takes_the_others_along():
    job = begin(2, "time.sleep(60 * ranks.rank)")
    job.pid(0)
    time.sleep(0.5)
    os.kill(job.pid(1), signal.SIGKILL)
    began = time.monotonic()
    code, said, by_mpiexec = ended(job)
    assert time.monotonic() - began < 5
    assert code != 0 and said == ""
    assert "9" in by_mpiexec or code == -signal.SIGPIPE  # mpiexec itself may end before it can say so


@pytest.mark.slow
@mpi.skip_without_mpi
@pytest.mark.parametrize(
    "size, case, expected",
    [
        (3, "refuse(f'-b {ranks.rank // 2}')", (2, "error: ranks 0 and 1 of 3: -b 0\nerror: rank 2 of 3: -b 1\n")),
        (2, "ranks.on_rank_0(refuse)", (2, "error: no such folder\n")),
        (2, "raise MemoryError", (1, "error: there is no memory left\n")),
        (2, "sys.exit('so it is')", (1, "so it is\n")),
        (2, "sys.exit(3)", (3, "")),
        (2, "time.sleep(3 * (1 - ranks.rank)); sys.exit()", (0, "")),  # the first that is through waits for the other
        (2, "raise KeyboardInterrupt", (130, "")),
        (2, "refuse(resume_command('-x.npz'))", (2, "error: mpiexec -n 2 python ./program.py --resume ./-x.npz\n")),
    ],
)  # fmt: skip
def test_what_all_ranks_end_with(size, case, expected):
    assert fails(size, case) == expected


@pytest.mark.slow
@mpi.skip_without_mpi
@pytest.mark.parametrize("words", [(), ("library",)])
def test_a_bug_shows_its_traceback_once(words):
    code, said = fails(2, "if ranks.rank == 1: [].pop()", *words)
    assert code == 1 and said.startswith("error: rank 1 of 2 (host ")
    assert said.count("Traceback") == 1 and said.endswith("IndexError: pop from empty list\n")
    code, said = fails(2, "[].pop()", *words)
    assert code == 1 and said.startswith("Traceback") and said.count("Traceback") == 1
    code, said = fails(2, "ranks.on_rank_0(on_rank_0_alone)", *words)
    assert code == 1 and said.count("Traceback") == 1 and "in on_rank_0_alone\n" in said  # rank 0 knows the line
    code, said = fails(2, "ranks.on_rank_0(on_rank_0_alone, lambda: None)", *words)  # which cannot be pickled
    assert code == 1 and said.count("Traceback") == 1 and "in on_rank_0_alone\n" in said


@pytest.mark.slow
@mpi.skip_without_mpi
def test_one_rank_that_leaves():
    code, said = fails(2, "if ranks.rank == 1: sys.exit(3)")
    assert code == 3 and said.endswith("it has ended with exit code 3\n") and "rank 1 of 2" in said


@pytest.mark.slow
@mpi.skip_without_mpi
@pytest.mark.parametrize("who", ["launch().rank == 1", "True"])
def test_an_error_before_mpi_is_begun(who):
    """The others wait in its beginning."""
    program = "from minicnn.distributed import world\nfrom minicnn.distributed.launch import launch\n"
    job = mpi.start(2, f"{program}if {who}: open('/nowhere/at all')\nworld()")
    end = job.end(timeout=30)
    said = "".join(end.err)
    assert end.code != 0 and end.seconds < 10 and job.gone(), str(end)
    assert said.count("Traceback") == 1 and said.count("FileNotFoundError") == 1, said
    assert f"error: rank {int(who != 'True')} of 2 (host" in said


@pytest.mark.slow
@mpi.skip_without_mpi
def test_a_signal_while_a_rank_waits_for_one_that_never_comes():
    """MPI's library waits in its initialisation, where Python calls no handler."""
    ranks = "os.environ.get('PMI_RANK'), os.environ.get('OMPI_COMM_WORLD_RANK')"
    never = f"import os, time\nif '1' in ({ranks}): time.sleep(60)"
    job = mpi.start(2, never + PROGRAM.replace("CASE", ""))
    time.sleep(2)  # until it is there
    os.kill(job.pid(0), signal.SIGTERM)
    end = job.end(timeout=30)
    assert end.code != 0 and end.seconds < 15 and job.gone(), str(end)


@pytest.mark.slow
@mpi.skip_without_mpi
def test_the_lowest_of_several_that_fail_speaks():
    code, said = fails(4, "if ranks.rank > 1: refuse()")
    assert code == 2 and said.startswith("error: rank 2 of 4") and said.count("\n") == 1


@pytest.mark.slow
@mpi.skip_without_mpi
def test_arguments_are_refused_once():
    case = "from minicnn.cli.arguments import make_parser; make_parser('Trains', ['net']).parse_args([{!r}])"
    code, said = fails(2, case.format("--nonsense"))
    assert code == 2 and said.count("usage: ") == 1 and said.count("unrecognized arguments") == 1
    end = begin(2, case.format("--help")).end(timeout=30)
    assert end.code == 0 and end.out[0].count("usage: ") == 1 and end.out[1] == ""


@pytest.mark.slow
@mpi.skip_without_mpi
@pytest.mark.parametrize("case", ["time.sleep(60)", "time.sleep(60 * ranks.rank)"])  # there, rank 0 waits inside MPI
def test_ctrl_c(case):
    job = begin(2, case)
    job.pid(1)
    time.sleep(3)
    os.killpg(job.process.pid, signal.SIGINT)
    began = time.monotonic()
    code, said, _ = ended(job)
    assert time.monotonic() - began < 5
    assert code == 130 and said == ""


# Without MPI: three ranks that meet others as told


class Ranks(World):
    def __init__(self, rank, failed):
        self.rank, self.size, self.failed, self.ended = rank, 3, failed, []

    def meet(self, value, seconds, channel=0):
        return dict(sorted({**self.failed, self.rank: value}.items()))

    def abort(self, code):
        self.ended.append(code)


def test_who_speaks(capsys, monkeypatch):
    monkeypatch.setattr(console, "silent", True)
    monkeypatch.setattr(ending.time, "sleep", lambda seconds: None)

    def end(rank, failed, text="error: b", code=1):
        ranks = Ranks(rank, failed)
        returned = end_together(ranks, text, code)
        return returned, ranks.ended, capsys.readouterr().err

    assert end(1, {0: ("error: a", 2), 2: ("", 130)}) == (130, [], "")  # all have failed, rank 0 speaks
    assert end(2, {1: ("error: a", 2)}) == (1, [1], "")  # rank 1 speaks; it ends the job, if need be without it
    returned, ended, said = end(1, {2: ("error: a", 2)}, code=2)
    assert (returned, ended) == (2, [2]) and said.startswith("error: rank 1 of 3 (host ") and said.endswith("): b\n")
    assert end(1, {}, "", 130)[1:] == ([130], "")
    assert end(1, {}, "", 0)[1] == [1]  # a job that is broken off has not succeeded


def test_names_of_ranks():
    assert [listed(ranks) for ranks in ([3], [0, 1], [0, 2, 5])] == ["rank 3", "ranks 0 and 1", "ranks 0, 2 and 5"]
    assert listed(range(1, 9)) == "ranks 1, 2, 3, 4, 5, 6, 7 and 8"
    assert listed(range(1, 1024)) == "ranks 1, 2, 3, 4, 5, 6, 7 and 1016 others"


def test_a_silent_process_says_what_it_alone_knows(capsys, monkeypatch):
    monkeypatch.setattr(console, "silent", False)
    console.silence()
    console.say("1")
    console.tell("2")
    console.complain("3")
    console.say_in_handler("4")
    assert not console.interactive()
    console.report("5")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "5\n")
