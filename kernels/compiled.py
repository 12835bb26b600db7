"""Compiled code on disk: where it lies, and what of it may be run again.

Such code is run as it is found. So it lies in a folder that nobody else can write to, and each file says what its bytes
must be: one that was half written, damaged, or meant for something else is as good as none. Files are written under
another name and renamed, so that processes may write the same one at once, and be killed at it.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import time
from pathlib import Path

from minicnn.cache import CacheError, keeping_in
from minicnn.console import complain, remark

KEPT = "kept for later runs"
UNUSED = 30 * 24 * 3600  # seconds after which what nobody has used is removed
DIGEST = hashlib.sha256().digest_size


class Announcement:
    """Says that compiling has begun, by one line for all; and of what, each time, on a program's line of progress."""

    def __init__(self):
        self.said = False

    def __call__(self, text, name):
        """text: the line; name: what is compiled now."""
        if not self.said:
            self.said = True
            complain(f"minicnn: {text}")
        remark(f"compiling {name.lstrip('_')}")


def private_folder(folder):
    """`folder`, made if need be, without links in its path. CacheError if it cannot be, or if others can write there.

    It must be writable by its owner alone. Each folder above it belongs to this user or to the system, and can be
    written by no one else, but for sticky ones (/tmp), in which nobody can rename what is another's.
    """
    with keeping_in(folder):
        _make(Path(folder))
        folder = Path(folder).resolve()
        if os.name == "nt":  # there a user's folders are private, and modes say nothing
            return folder
        system = {0, os.stat("/").st_uid}  # in a container without rights, somebody else stands for root
        for path in (folder, *folder.parents):
            status = os.stat(path)
            if reason := _open_to_others(status, {os.geteuid(), *system}, strict=path == folder):
                raise CacheError(
                    f"compiled code is not kept in {folder}, as {path} {reason}; the variable MINICNN_CACHE chooses "
                    "another cache folder"
                )
    return folder


def _open_to_others(status, trusted, strict):
    """How others may put files into a folder, as text; None if they cannot."""
    if status.st_uid not in trusted:
        return "belongs to another user"
    if status.st_mode & stat.S_ISVTX and not strict:
        return None
    own_group = status.st_gid == status.st_uid and not strict  # the group of one that many systems give each user
    if status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and not own_group):
        return f"can be written by others (mode {stat.S_IMODE(status.st_mode):o})"
    return None


def _make(folder):
    if not folder.exists():
        _make(folder.parent)
        folder.mkdir(0o700, exist_ok=True)


def read(path):
    """What ``write`` has put there; None if there is nothing, or something else."""
    try:
        content = memoryview(path.read_bytes())
    except OSError:
        return None
    return content[DIGEST:] if content[:DIGEST] == digest(path.name.encode(), content[DIGEST:]) else None


def write(path, data):
    """Keep `data` under this name, whole or not at all. OSError."""
    temporary = path.with_name(f".{secrets.token_hex(8)}")
    try:
        temporary.write_bytes(digest(path.name.encode(), data) + data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def digest(*parts):
    """The SHA-256 of these bytes, one after the other."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.digest()


def used(path):
    """Note that this file or folder is still of use."""
    with contextlib.suppress(OSError):  # a folder that an administrator has filled
        os.utime(path)


def sweep(folder):
    """Remove the files and folders of `folder` that have long been of no use."""
    for path in folder.iterdir():
        try:
            if time.time() - path.lstat().st_mtime > UNUSED:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError:  # another process does the same
            continue
