"""Batch norm over ranks that are processes: what tests/ops/test_sync_batchnorm.py says of threads, by MPI."""

import mpi
import pytest

PROGRAM = """
import sys

from batch_norm_of_ranks import check_equals_one_process, check_network_equals_one_process
from checks import Place

from minicnn.distributed import world

for rows in {rows}:
    for tier in ("plain", "fast"):
        place = Place("cpu", tier)
        with place.active():
            check_equals_one_process(world(), place, rows)
            check_equals_one_process(world(), place, rows, mean=1e4, tolerance=1e-10)
    check_network_equals_one_process(world(), rows)
print("equal")
"""


@mpi.skip_without_mpi
@pytest.mark.parametrize("size, rows", [(2, [(5, 3), (7, 1), (4, 0)]), (3, [(2, 0, 3), (1, 4, 4)])])
def test_processes_do_what_one_does_with_all_rows(size, rows):
    assert mpi.succeed(size, PROGRAM.format(rows=rows)) == ["equal\n"] * size
