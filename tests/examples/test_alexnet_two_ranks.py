"""examples/alexnet_two_ranks.py: three ways to share AlexNet out, and the same losses."""

import re

import mpi
import pytest
from paths import EXAMPLES
from programs import load_example, run

PROGRAM = EXAMPLES / "alexnet_two_ranks.py"
SMALL = ["--dummy", "--steps", "3", "--width", "8", "--image-size", "67", "--batch-size", "4", "--lr", "0.001"]


def losses(out):
    return [float(loss) for loss in re.findall(r"^step \d: loss (\d+\.\d{4})$", out, re.M)]


@mpi.skip_without_mpi
@pytest.mark.parametrize("ways", [["weird"], pytest.param(["data", "halves"], marks=pytest.mark.slow)])
def test_all_ways_print_the_losses_of_one_process(ways, capsys):
    program = load_example(PROGRAM)
    assert run(*SMALL, program=program) == 0
    out = capsys.readouterr().out
    assert re.search(r"^data: \d+\.\d images/s; each process hands over \d+\.\d MB a step$", out, re.M)
    expected = losses(out)
    assert len(expected) == 3
    for way in ways:
        first, second = mpi.succeed(2, PROGRAM, *SMALL, "--way", way)
        assert losses(first) == pytest.approx(expected, abs=2e-4) and second == ""
        assert f"\n{way}: " in first


def test_halves_need_two_processes(capsys):
    assert run(*SMALL, "--way halves", program=load_example(PROGRAM)) == 2
    assert capsys.readouterr().err == (
        "error: --way halves needs two processes: mpiexec -n 2 python examples/alexnet_two_ranks.py\n"
    )
