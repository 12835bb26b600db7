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
import zipfile

import numpy as np

from ..autograd import Variable
from ..device import to_device
from .files import atomic_write

FORMAT = "minicnn checkpoint 1"
HEADER, ARRAY = "state.json", "$array"
DIGEST_SIZE = 64
BLOCK = 1 << 20


class CheckpointError(ValueError):
    """A checkpoint that cannot be used or written; the message names the file and says what to do."""


def save_checkpoint(path, state):
    """Write `state`, a nesting of dicts (with text keys), lists, plain values, arrays and Tensors.

    The file at `path` is replaced when the new one is complete. Raises CheckpointError, the old file still in place, if
    the disk is full or not writable; TypeError for a value that cannot be written.
    """
    arrays = {}
    header = {"format": FORMAT, "state": _take_out_arrays(state, (), arrays)}
    header = json.dumps(header).encode()
    try:
        with atomic_write(path) as file:
            stream = _HashedStream(file)
            with zipfile.ZipFile(stream, "w") as archive:
                _add(archive, HEADER, lambda member: member.write(header))
                for name, array in arrays.items():
                    _add(archive, name + ".npy", lambda member, array=array: _write_array(member, array))
            file.write(stream.hash.hexdigest().encode())
    except OSError as error:
        raise CheckpointError(
            f"cannot write checkpoint {path}: {error.strerror or error}; "
            "what stood there before is unchanged; make room or choose another folder"
        ) from error


def load_checkpoint(path):
    """The state that was saved, with NumPy arrays, and lists for tuples; CheckpointError if it is not whole."""
    try:
        with open(path, "rb") as file:
            _check_digest(path, file)
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                header = json.loads(archive[HEADER])
                if header["format"] != FORMAT:
                    raise CheckpointError(f"{path} is a {header['format']}, and this program reads {FORMAT}")
                return _put_in_arrays(header["state"], archive)
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}; check the path") from error


def _take_out_arrays(value, way, arrays):
    """`value` for JSON; its arrays are entered in `arrays` by name."""
    if isinstance(value, dict):
        if ARRAY in value or not all(isinstance(key, str) for key in value):
            raise TypeError(f"checkpoint: the keys of {'/'.join(way)} must be text, and none of them {ARRAY!r}")
        return {key: _take_out_arrays(entry, (*way, key), arrays) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_take_out_arrays(entry, (*way, str(i)), arrays) for i, entry in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Variable) or hasattr(value, "dtype"):
        name = "/".join(way)
        if name in arrays:
            raise TypeError(f"checkpoint: two arrays would both be called {name}")
        arrays[name] = value.data if isinstance(value, Variable) else value
        return {ARRAY: name}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"checkpoint: {'/'.join(way)} is a {type(value).__name__}, neither a plain value nor an array")


def _put_in_arrays(value, archive):
    if isinstance(value, dict):
        if ARRAY in value:
            return archive[value[ARRAY]]
        return {key: _put_in_arrays(entry, archive) for key, entry in value.items()}
    if isinstance(value, list):
        return [_put_in_arrays(entry, archive) for entry in value]
    return value


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


def _check_digest(path, file):
    size = file.seek(0, 2) - DIGEST_SIZE
    file.seek(0)
    digest = hashlib.sha256()
    for start in range(0, size, BLOCK):
        digest.update(file.read(min(BLOCK, size - start)))
    if size <= 0 or file.read() != digest.hexdigest().encode():
        raise CheckpointError(
            f"{path} is damaged or no minicnn checkpoint: its SHA-256 does not fit; "
            "use another checkpoint of the run, such as checkpoint_best.npz, or start again"
        )
