"""A disk that gets full while a network trains: one line, everything whole, and the same end once there is room.

With real disks, of every size: tests/support/full_disk.py.
"""

import builtins
import errno
import os
import stat

import pytest
from full_disk import check_full, large_disk, train
from kill_and_resume import repeated_part


@pytest.fixture(scope="module")
def expected():
    return large_disk()


def no_space():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Disk:
    """It has room for so many bytes, and takes so many fsyncs of files before it says that it had not."""

    def __init__(self, monkeypatch, room=10**9, syncs=10**9):
        self.room, self.syncs = room, syncs
        self.real_open, self.real_fsync = builtins.open, os.fsync
        monkeypatch.setattr(builtins, "open", self.open)
        monkeypatch.setattr(os, "fsync", self.fsync)

    def open(self, path, mode="r", *args, **kwargs):
        file = self.real_open(path, mode, *args, **kwargs)
        return file if mode in ("r", "rb") else Written(file, self)

    def fsync(self, descriptor):
        self.syncs -= stat.S_ISREG(os.fstat(descriptor).st_mode)
        return no_space() if self.syncs < 0 else self.real_fsync(descriptor)


class Written:
    """A file on that disk. What does not fit in is written as far as it does."""

    def __init__(self, file, disk):
        self.file, self.disk = file, disk

    def write(self, data):
        self.disk.room -= len(data)
        if self.disk.room < 0:
            self.file.write(data[: self.disk.room])
            no_space()
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.file.close()


LIMITS = [{"room": room} for room in (0, 150, 3_000, 17_000, 30_000, 45_000)] + [{"syncs": n} for n in range(7)]


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_nothing_is_lost_and_the_run_goes_on(tmp_path, monkeypatch, expected, limit):
    with monkeypatch.context() as patch:
        Disk(patch, **limit)
        check_full(tmp_path, *train(tmp_path))
    assert train(tmp_path) == (0, "")
    assert repeated_part(tmp_path) == expected
