"""One run to a folder: a lock that ends with its process, however that ends.

The operating system keeps it (flock; on Windows a locked byte), so that a kill leaves no lock behind, only a file that
the next run takes over. A file system without locks is no obstacle: that is said, and the run goes on.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from ..console import say
from ..errors import SettingError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

LOCK = ".minicnn-lock"
TAKEN = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}  # the last two: Windows
FAR = 1 << 30  # where Windows locks a byte: nobody could read one that says who has the lock

_own: ContextVar[frozenset[str]] = ContextVar("own", default=frozenset())  # the folders that this thread has locked


@contextlib.contextmanager
def locked(folder: Path | str) -> Iterator[None]:
    """``with locked(folder):`` no other run has the folder. Within it, the same thread may lock it again.

    Raises SettingError if another run has it, or if nothing can be written there.
    """
    real = os.path.realpath(folder)
    if real in _own.get():
        yield
        return
    path = Path(real, LOCK)
    descriptor = _acquire(path, folder)
    before = _own.set(_own.get() | {real})
    try:
        yield
    finally:
        _own.reset(before)
        with contextlib.suppress(OSError):  # Windows removes no open file
            path.unlink()
        os.close(descriptor)


def _acquire(path, folder):
    """The descriptor of the file at `path`, open and locked, if the file system can."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            what = f"nothing can be written to the folder {folder}: {error.strerror}"
            raise SettingError(f"{what}; choose another --output-dir") from error
        try:
            _lock(descriptor)
            _sign(descriptor)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:  # who had the lock has removed the file since it was opened here: once more
            pass
        except OSError as error:
            if error.errno not in TAKEN:
                say(f"note: {folder} is on a file system without locks ({error.strerror}); start no second run there")
                return descriptor
            other = _signature(descriptor)
            os.close(descriptor)
            what = f"another run is using the folder {folder}{other}"
            raise SettingError(f"{what}; wait for it, stop it, or choose another --output-dir") from None
        os.close(descriptor)


def _lock(descriptor):
    if fcntl:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        os.lseek(descriptor, FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)


def _sign(descriptor):
    with contextlib.suppress(OSError):  # a full disk: then the name is missing, and not the lock
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())


def _signature(descriptor):
    with contextlib.suppress(OSError):
        text = os.read(descriptor, 200).decode(errors="replace")
        return f" ({text})" if text.isprintable() and text else ""
    return ""
