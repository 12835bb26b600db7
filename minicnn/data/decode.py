"""One picture file -> pixels; and whose fault it is if that fails: the picture's, or the machine's.

A picture that cannot be decoded is a ``BadImage``: the loader leaves it out and goes on. Trouble of the machine (no
file descriptors or memory left, no permission, a disk that fails or has gone) is a plain ``DataError`` that ends the
run, for it says nothing about the picture, and the next one would meet it too.

A file is looked at before it is opened: a FIFO would keep its reader waiting, and a device may do anything.
"""

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BadImage, DataError, shown

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # by content: files of the web are often misnamed
MAX_FILE_SIZE = 2**28  # bytes; Pillow's bound of 179 million pixels is about as much, as a JPEG of the best quality
NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)

OF_THE_FILE = (errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.EISDIR)  # links in a circle; a socket; a folder
GONE = (errno.ENOENT, errno.ENOTDIR)
ADVICE = {
    errno.EMFILE: "fewer --workers, or a higher limit on open files (ulimit -n), help",
    errno.ENFILE: "the whole machine has too many files open",
    errno.EACCES: "make it readable, or take it out of the folder",
    errno.EPERM: "make it readable, or take it out of the folder",
    errno.ENOMEM: "fewer --workers need less memory",
    errno.ENOENT: "its folder has disappeared; is the disk still there?",
    errno.ENOTDIR: "its folder has disappeared; is the disk still there?",
}


def load_image(path: Path | str) -> Any:
    """Decode one file -> PIL image of mode "RGB", as torchvision's default loader does: `convert("RGB")`.

    Grey is repeated in three channels, CMYK and palettes are converted, alpha is dropped (not composited),
    and 16-bit grey keeps its upper byte, as Pillow does with 16-bit colour, instead of being clipped to
    white. The EXIF orientation is not applied: pixels stay as they are stored. Of several frames (GIF, WebP,
    TIFF) the first is taken.

    Raises BadImage for whatever Pillow cannot decode: empty, truncated, no image at all, more pixels than
    twice PIL.Image.MAX_IMAGE_PIXELS (a "decompression bomb", told by the header), grey of 32 bits, whose range
    nobody knows; for a file of more than MAX_FILE_SIZE bytes, and for anything but a regular file. DataError if
    the machine is to blame. A flipped byte inside JPEG data decodes silently.
    """
    from PIL import Image, UnidentifiedImageError

    with decoding(path):
        try:
            with Image.open(io.BytesIO(_read(path)), formats=FORMATS) as image:
                return _to_rgb(path, image)
        except UnidentifiedImageError as error:
            raise BadImage(path, "not a JPEG or PNG picture") from error


def _read(path):
    """The bytes of a regular file."""
    _size(path, os.stat(path))
    with open(path, "rb", opener=_open) as file:
        return file.read(_size(path, os.fstat(file.fileno())))  # it may have been exchanged meanwhile


@contextlib.contextmanager
def decoding(name: Any) -> Iterator[None]:
    """What fails inside the block fails because of the picture `name`, a BadImage, or of the machine, a DataError."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error, IndexError ...
        raise _blame(name, error) from error


def _blame(name, error):
    """The error to be raised for `name` because of `error`."""
    if isinstance(error, MemoryError):
        return DataError(f"{shown(name)}: there is no memory left to decode it; fewer --workers need less")
    code = error.errno if isinstance(error, OSError) else None  # decoders raise OSErrors of their own, without one
    if code is None or code in OF_THE_FILE or (code in GONE and os.path.isdir(_folder_of(error.filename))):
        return BadImage(name, f"{type(error).__name__}: {error.strerror if code else error}")
    advice = ADVICE.get(code, "the disk or its connection fails, not the picture")
    return DataError(f"{shown(name)}: {error.strerror}; {advice}")


def _folder_of(path):
    return os.path.dirname(os.fsdecode(path or "")) or "."


def _size(path, status):
    """The size of a file in bytes. BadImage if it is no regular file, or cannot hold a picture."""
    if not stat.S_ISREG(status.st_mode):
        raise BadImage(path, "not a regular file")
    if not status.st_size:
        raise BadImage(path, "the file is empty")
    if status.st_size > MAX_FILE_SIZE:
        raise BadImage(path, f"the file has {status.st_size:,} bytes, and a picture at most {MAX_FILE_SIZE:,}")
    return status.st_size


def _open(path, flags):
    return os.open(path, flags | NO_WAITING)


def _to_rgb(path, image):
    from PIL import Image

    if image.mode == "F" or image.mode.startswith("I"):
        pixels = np.asarray(image)
        if image.mode == "F" or (image.mode == "I" and not 0 <= pixels.min() <= pixels.max() < 2**16):
            raise BadImage(path, f"grey of 32 bits (mode {image.mode}), whose range is not known; save it with 8 or 16")
        return Image.fromarray((pixels.astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the same colours, without Pillow's warning about the dropped transparency
    return image.convert("RGB")
