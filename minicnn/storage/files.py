"""Writing files so that a crash, a full disk or a kill leaves the old one or the new one, and never half of it; and
opening those that are given, which may be anything."""

import contextlib
import errno
import json
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

SUFFIX = ".unfinished"
CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}  # network folders, FUSE, shared folders
CANNOT_SYNC_FOLDERS = CANNOT_SYNC | {errno.EACCES, errno.EPERM, errno.EBADF, errno.EISDIR}


class NotLastingError(OSError):
    """The new file has its name, but the disk has failed at keeping it there: it may be lost if power fails now."""


def open_regular(path: Path | str) -> IO[bytes]:
    """Open a file for reading bytes; OSError if it is a folder, or a pipe or device, which might never end."""
    return open(path, "rb", opener=_open_regular)


def _open_regular(path, flags):
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe that nobody writes to would block
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    raise OSError(code, os.strerror(code) if stat.S_ISDIR(mode) else "Not a regular file", str(path))


@contextlib.contextmanager
def atomic_write(path: Path | str) -> Iterator[IO[bytes]]:
    """``with atomic_write(path) as file:`` write bytes; they stand under `path` at the end of the block, or not at all.

    The bytes go to a file beside it, reach the disk (fsync) and only then take the name, in one step (os.replace).
    OSError, what stood there before unchanged, if that fails; NotLastingError if it failed after that step. A device or
    a pipe, /dev/null say, is not replaced by a file: OSError, too.
    """
    path = Path(path)
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if _is_special(path):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    # another name each time, so that no other process writes to it, and no longer than any file system takes
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}{SUFFIX}")
    try:
        with open(temporary, "wb") as file:
            yield file
            sync(file)
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno and error.filename is None:  # writing does not say where
            error.filename = str(path)
        with contextlib.suppress(OSError):  # the error above is the one to tell
            temporary.unlink(missing_ok=True)
        raise
    try:
        _sync_folder(path.parent)
    except OSError as error:
        raise NotLastingError(error.errno, error.strerror, str(path)) from error


def _is_special(path):
    """Whether a device, a pipe or a socket stands there."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def sync(file: IO) -> None:
    """Return when what was written to `file` is on the disk, where the file system can tell."""
    file.flush()
    _fsync(file.fileno(), CANNOT_SYNC)


def write_json(path: Path | str, value: Any) -> None:
    """`value` as a JSON file, for people to read."""
    with atomic_write(path) as file:
        file.write(as_json(value))


def as_json(value: Any) -> bytes:
    """The bytes of such a file."""
    return (json.dumps(value, indent=2, default=str) + "\n").encode()


def sweep(folder: Path | str) -> None:
    """Remove what a killed run was about to write in `folder`."""
    for leftover in Path(folder).glob(f".*{SUFFIX}"):
        leftover.unlink(missing_ok=True)


def _sync_folder(folder):
    """Make the new name itself last through a power cut."""
    if os.name == "nt":  # a folder cannot be opened there
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # files can be made in a folder that cannot be read
        return
    try:
        _fsync(descriptor, CANNOT_SYNC_FOLDERS)
    finally:
        os.close(descriptor)


def _fsync(descriptor, refusals):
    """fsync; a file system that refuses it for good is no trouble, for nothing can be done, and nothing is lost yet."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in refusals:
            raise
