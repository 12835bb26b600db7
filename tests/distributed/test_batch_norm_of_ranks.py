"""Batch norm over ranks that are processes: what tests/ops/test_sync_batchnorm.py says of threads, by MPI and, on the
emulated GPU, by the stand-in for NCCL."""

import mpi
import pytest

PROGRAM = """
from batch_norm_of_ranks import check_equals_one_process, check_network_equals_one_process
from checks import PLACES, there_is_a_compiler

from minicnn.distributed import world

for rows in {rows}:
    for place in PLACES if there_is_a_compiler() else PLACES[:-1]:  # the last one's kernels are C++
        with place.active():
            check_equals_one_process(world(), place, rows)
check_network_equals_one_process(world(), rows)
print("equal")
"""


@mpi.skip_without_mpi
@pytest.mark.parametrize(
    "size, rows", [(2, [(5, 3), (7, 1), (4, 0)]), pytest.param(3, [(2, 0, 3)], marks=pytest.mark.slow)]
)
def test_processes_do_what_one_does_with_all_rows(size, rows):
    assert mpi.succeed(size, PROGRAM.format(rows=rows)) == ["equal\n"] * size
