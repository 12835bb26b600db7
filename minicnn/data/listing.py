"""Which files of a folder are pictures; what is passed over is counted, so that it can be said.

Looked for are regular files, or links to some, that end as pictures do. A folder is entered once, whatever links lead
to it, so links in a circle end. Hidden files and folders hold no pictures of the set: editors, file managers and
archives put copies and thumbnails there. Nothing is left out because it cannot be read: that is an error.
"""

import collections
import contextlib
import errno
import os
from pathlib import Path

from .errors import DataError, shown

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
NOWHERE = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG}  # where links lead: in a circle, say
AS_GOOD_AS_HIDDEN = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "thumbs.db", "desktop.ini"}


class Listing:
    """Lists folders below `root`, and keeps account of what it passes over."""

    def __init__(self, root: Path | str) -> None:
        self.others: collections.Counter[str] = collections.Counter()  # what was passed over, by what it is
        self.endings: collections.Counter[str] = collections.Counter()  # files that are no pictures, by ending
        self.entered: set[tuple[int, int]] = set()
        above = os.path.realpath(root)
        while (identity := _identity(above)) not in self.entered:  # a link to the root, or to a folder around it, would
            self.entered.add(identity)  # lead out of the class that it lies in, into the others
            above = os.path.dirname(above)
        self.around = set(self.entered)

    def enter(self, folder: Path | str) -> bool:
        """Whether this folder is entered for the first time."""
        identity = _identity(folder)
        is_new = identity not in self.entered
        self.entered.add(identity)
        self.others["repeated folder"] += not is_new
        return is_new

    @property
    def folders(self) -> set[tuple[int, int]]:
        """What identifies the folders that have been entered below the root."""
        return self.entered - self.around

    def entries(self, folder: Path | str) -> tuple[list[str], list[str]]:
        """(folders, pictures) directly in `folder`, paths; the folders in order."""
        folders, pictures = [], []
        with _naming(folder), os.scandir(folder) as entries:
            for entry in entries:
                is_picture = not entry.name.startswith(".") and entry.name.lower().endswith(EXTENSIONS)
                if is_picture and _leads_to(entry.is_file):
                    pictures.append(entry.path)
                elif _leads_to(entry.is_dir):
                    if entry.name.startswith(".") or entry.name.lower() in AS_GOOD_AS_HIDDEN:
                        self.others["hidden folder"] += 1
                    else:
                        folders.append(entry.path)
                elif entry.name.startswith(".") or entry.name.lower() in AS_GOOD_AS_HIDDEN:
                    self.others["hidden file"] += 1
                elif not is_picture:
                    self.endings[_ending(entry.name)] += 1
                elif os.path.exists(entry.path):  # a FIFO, a socket, a device
                    self.others["special file"] += 1
                else:  # a link that leads nowhere: an unreadable picture, which the loader counts
                    pictures.append(entry.path)
        return sorted(folders), pictures

    def pictures(self, folder: str) -> list[str]:
        """All pictures below a folder that has been entered, paths in order."""
        found, waiting = [], [folder]
        while waiting:
            folders, pictures = self.entries(waiting.pop())
            found += pictures
            for inner in folders:
                if self.enter(inner):
                    waiting.append(inner)
        return sorted(found)

    def __str__(self):
        """What was passed over: "3 files (2 .heic, 1 .txt), 1 hidden folder"; empty if nothing was."""
        parts = []
        if count := self.endings.total():
            most = sorted(self.endings.items(), key=lambda item: (-item[1], item[0]))[:5]
            kinds = ", ".join(f"{n} {shown(ending)}" for ending, n in most)
            parts.append(f"{counted(count, 'file')} ({kinds}{', ...' * (len(self.endings) > 5)})")
        return ", ".join(parts + [counted(count, what) for what, count in sorted(self.others.items()) if count])


def _identity(folder):
    with _naming(folder):
        status = os.stat(folder)
    return status.st_dev, status.st_ino


@contextlib.contextmanager
def _naming(folder):
    """An OSError inside the block becomes a DataError that names what cannot be listed."""
    try:
        yield
    except OSError as error:
        advice = "a folder is not left out because it cannot be read: make it readable, or take it out"
        raise DataError(f"{shown(error.filename or folder)}: {error.strerror}; {advice}") from error


def _leads_to(kind):
    """kind(), which is `is_file` or `is_dir` of an entry; False for every link that leads nowhere."""
    try:
        return kind()
    except OSError as error:
        if error.errno not in NOWHERE:
            raise
        return False


def _ending(name):
    ending = os.path.splitext(name)[1].lower()
    return ending if 1 < len(ending) < 9 else "without an ending"


def counted(count: int, what: str) -> str:
    """2, "file" -> "2 files"."""
    return f"{count:,} {what}{'s' * (count != 1)}"
