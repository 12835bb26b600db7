"""A disk with little room, in the place of ``open`` and ``os.fsync``."""

import builtins
import errno
import os
import stat


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
