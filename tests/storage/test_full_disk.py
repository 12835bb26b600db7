"""A disk that gets full while a network trains: one line, everything whole, and the same end once there is room.

With real disks, of every size: tests/support/full_disk.py.
"""

import pytest
from full_disk import check_full, large_disk, train
from kill_and_resume import repeated_part
from small_disk import Disk


@pytest.fixture(scope="module")
def expected():
    return large_disk()


LIMITS = [{"room": room} for room in (0, 150, 3_000, 17_000, 30_000, 45_000)] + [{"syncs": n} for n in range(7)]


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_nothing_is_lost_and_the_run_goes_on(tmp_path, monkeypatch, expected, limit):
    with monkeypatch.context() as patch:
        Disk(patch, **limit)
        check_full(tmp_path, *train(tmp_path))
    assert train(tmp_path) == (0, "")
    assert repeated_part(tmp_path) == expected
