"""The helper by which tests run programs on several ranks: it tells ranks apart, and leaves none of them over."""

import mpi
import pytest

pytestmark = mpi.skip_without_mpi


def test_each_rank_has_output_of_its_own():
    ended = mpi.run(2, "import os, sys\nprint(sys.argv[1])\nsys.exit(f'{os.getpid()}\\n')", "word", timeout=30)
    assert ended.code == 1 and ended.out == ["word\n"] * 2 and len(set(ended.err)) == 2


def test_ranks_that_hang_are_killed():
    deaf = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\nprint('on', flush=True)\n"
    job = mpi.start(2, deaf + "signal.pause()")
    with pytest.raises(TimeoutError, match=r"(?s)2 ranks were killed after 1 s: code None.*rank 1\non"):
        job.end(timeout=1)
    assert job.alive() == []
