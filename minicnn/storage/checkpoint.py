"""Checkpoints: the whole state of a run in one file that is either right or refused.

The file is a NumPy .npz archive, which ``np.load`` opens, with 64 bytes after its end:

    state.json            the nested state; where an array stood there is {"$array": name}
    <name>.npy ...        the arrays, named by their way through the state: model/features.0.weight
    SHA-256 in hex        of all the bytes before it

Nothing is pickled: loading a checkpoint runs no code of it. Arrays are written one by one, straight from where they
are, and hashed on the way. The bytes depend on the state alone, so equal states make equal files.
"""

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..device import is_array, plain_array, to_device
from ..precision import BFLOAT16
from ..variable import Variable
from .files import NotLastingError, atomic_write, open_regular
from .npz import KINDS, READ, Archive, ArchiveError

State: TypeAlias = dict[str, Any]  # a nesting of dicts and lists with plain values, arrays and Tensors in it

FORMAT = "minicnn checkpoint 1"
HEADER, ARRAY = "state.json", "$array"
DIGEST_SIZE = 64
START_SIZE = 30 + len(HEADER)  # of the first member: 4 bytes that every .zip begins with, sizes and so on, its name


class CheckpointError(ValueError):
    """A checkpoint that cannot be used or written; the message names the file and says what to do.

    It is one line, whatever stands in the file that it quotes.
    """

    def __str__(self):
        text = super().__str__()
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_checkpoint(path: Path | str) -> bool:
    """Whether the file at `path` begins as a checkpoint does; it may be damaged further on. False if there is none, or
    if it is a folder, a pipe or a device."""
    try:
        with open_regular(path) as file:
            return _begins_well(file)
    except (OSError, ValueError):  # ValueError: no file can have such a name
        return False


def save_checkpoint(path: Path | str, state: State) -> None:
    """Write `state`, a nesting of dicts (with text keys), lists, plain values, arrays and Tensors.

    The file at `path` is replaced when the new one is complete. Raises CheckpointError, the old file still in place, if
    the disk is full or not writable; it says so if the disk failed only then. TypeError for a value that cannot be
    written.
    """
    arrays: dict[str, Any] = {}
    try:
        header = json.dumps({"format": FORMAT, "state": _take_out_arrays(state, (), arrays)}).encode()
    except RecursionError:
        raise TypeError("checkpoint: the state is nested too deeply, or is in itself") from None
    try:
        with atomic_write(path) as file:
            stream: Any = _HashedStream(file)
            with zipfile.ZipFile(stream, "w") as archive:
                _add(archive, HEADER, lambda member: member.write(header))
                for name, array in arrays.items():
                    _add(archive, name + ".npy", lambda member, array=array: _write_array(member, array))
            file.write(stream.hash.hexdigest().encode())
    except NotLastingError as error:
        what = f"checkpoint {path} is written, but the disk cannot say that it will stay: {error.strerror}"
        raise CheckpointError(f"{what}; look after the disk, and keep a copy elsewhere") from error
    except OSError as error:
        advice = "what stood there before is unchanged; make room or choose another folder"
        raise CheckpointError(f"cannot write checkpoint {path}: {error.strerror or error}; {advice}") from error


def load_checkpoint(path: Path | str) -> State:
    """The state that was saved, with NumPy arrays, and lists for tuples; CheckpointError if it is not whole."""
    try:
        with open_regular(path) as file:
            _check_digest(path, file)
            archive = Archive(file, os.fstat(file.fileno()).st_size)
            return _put_in_arrays(_read_header(archive, path), archive)
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}; check the path") from error
    except MemoryError as error:
        raise CheckpointError(f"checkpoint {path} does not fit into memory: {error or 'there is none left'}") from error
    except ArchiveError as error:  # its digest is right, so that it was made like this
        what = f"{path} is no checkpoint that minicnn has written: {error}"
        raise CheckpointError(f"{what}; use another checkpoint of the run") from error


def _read_header(archive, path):
    """The nested state, each array still a reference."""
    try:
        header = json.loads(archive.read(HEADER).decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{HEADER} is damaged: {error}") from error
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT and isinstance(found, str) and found.startswith("minicnn checkpoint "):
        raise CheckpointError(f"{path} is a {found:.40}, and this program reads {FORMAT}")
    if found != FORMAT or header.keys() != {"format", "state"}:
        raise ArchiveError(f"{HEADER} is not of the form {FORMAT}")
    return header["state"]


def _without_duplicates(pairs):
    """A dict of what JSON has between braces."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _take_out_arrays(value, way, arrays):
    """`value` for JSON; its arrays are entered in `arrays` by name."""
    name = "/".join(way)
    if isinstance(value, dict):
        if ARRAY in value or not all(isinstance(key, str) for key in value):
            what = f"the keys of {name or 'what shall be saved'} must be text, and none of them {ARRAY!r}"
            raise TypeError(f"checkpoint: {what}")
        return {key: _take_out_arrays(entry, (*way, key), arrays) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_take_out_arrays(entry, (*way, str(i)), arrays) for i, entry in enumerate(value)]
    if isinstance(value, Variable) or is_array(value):
        _check_name(name, arrays)
        arrays[name] = _checked_array(name, value.data if isinstance(value, Variable) else value)
        return {ARRAY: name}
    if isinstance(value, np.generic):
        value = value.item()  # Python's own number or text
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    what = f"{name or 'what shall be saved'} is a {type(value).__name__}"
    advice = "; save its .state_dict()" if hasattr(value, "state_dict") else ""
    if hasattr(value, "__array__"):  # another library's
        advice = "; save np.asarray(...) of it"
    raise TypeError(f"checkpoint: {what}, neither a plain value nor an array{advice}")


def _check_name(name, arrays):
    """TypeError unless an array can be a member of the archive under this name."""
    if name in arrays:
        raise TypeError(f"checkpoint: two arrays would both be called {name}")
    try:
        fits = len(f"{name}.npy".encode()) < 1 << 16 and zipfile.ZipInfo(name).filename == name
    except UnicodeEncodeError:  # half of a character, as in names of files that are no text
        fits = False
    if not fits:  # the file would be written, and could not be read again
        raise TypeError(f"checkpoint: an array cannot be called {name!r:.80}; give its key a name of plain letters")


def _checked_array(name, array):
    """An array of numbers; TypeError for another one."""
    try:
        array = plain_array(array)
    except TypeError as error:  # a mask would be lost
        raise TypeError(f"checkpoint: {name}: {error}") from None
    if array.dtype == BFLOAT16:  # NumPy's files would call it bytes
        raise TypeError(f"checkpoint: {name} is an array of bfloat16; float32 has all of its numbers: write .float()")
    if np.dtype(array.dtype).kind not in KINDS:
        raise TypeError(f"checkpoint: {name} is an array of {array.dtype}; only numbers can be written")
    return array


def _put_in_arrays(state, archive):
    """`state` with its arrays, which stand in the archive under their ways through the state, and nothing else."""
    read: list[str] = []
    try:
        state = _put_in(state, (), archive, read)
    except RecursionError as error:
        raise ArchiveError(f"{HEADER} is nested too deeply") from error
    if surplus := len(archive.members) - len(read) - 1:
        raise ArchiveError(f"{surplus} of its members are not mentioned in {HEADER}")
    return state


def _put_in(value, way, archive, read):  # no function in the one above: it would hold itself, and the arrays
    if isinstance(value, list):
        return [_put_in(entry, (*way, str(i)), archive, read) for i, entry in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if ARRAY not in value:
        return {key: _put_in(entry, (*way, key), archive, read) for key, entry in value.items()}
    name = "/".join(way)
    if value != {ARRAY: name}:
        raise ArchiveError(f"{HEADER} names the array of {name} otherwise")
    read.append(name)
    return archive.array(f"{name}.npy")


def _add(archive, name, write):
    """A member of the archive, without compression and without the time of day."""
    with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
        write(member)


def _write_array(member, array):
    np.lib.format.write_array(member, np.asarray(to_device(array, "cpu"), order="C"), allow_pickle=False)


class _HashedStream:
    """Passes bytes on to a file and hashes them. It cannot seek, so the archive is written from front to back."""

    def __init__(self, file):
        self.file, self.hash = file, hashlib.sha256()

    def write(self, data):
        self.hash.update(data)
        return self.file.write(data)

    def flush(self):
        self.file.flush()


def _begins_well(file):
    """Whether the next bytes are those that the archive of a checkpoint begins with."""
    start = file.read(START_SIZE)
    return start.startswith(b"PK\x03\x04") and start.endswith(HEADER.encode()) and len(start) == START_SIZE


def _check_digest(path, file):
    size = file.seek(0, 2) - DIGEST_SIZE
    file.seek(0)
    right = size > 0 and _begins_well(file)  # another file, however large, is known by its beginning
    if right:
        file.seek(0)
        digest = hashlib.sha256()
        for start in range(0, size, READ):
            digest.update(file.read(min(READ, size - start)))
        right = file.read(DIGEST_SIZE + 1) == digest.hexdigest().encode()
    if not right:
        advice = "use another checkpoint of the run, such as checkpoint_best.npz, or start again"
        raise CheckpointError(f"{path} is damaged or no minicnn checkpoint: its SHA-256 does not fit; {advice}")
