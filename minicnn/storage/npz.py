"""Reading an .npz archive that anybody may have made: nothing that it says of itself is believed.

``np.load`` unpacks members a thousand times larger than their file, makes room for as many numbers as a header asks
for, and evaluates that header. Here members are stored as they are, and the text in front of an array's numbers has the
one form that NumPy writes; the sizes in it must be those of the bytes that are there before memory is asked for.
"""

import math
import re
import struct
import zipfile
from typing import IO

import numpy as np

from ..types import Array

READ = 1 << 20  # bytes at a time
KINDS = "biufc"  # booleans, whole numbers, floats, complex numbers: what neither runs code nor refers to anything
DESCRIPTION = re.compile(
    rb"\{'descr': '([<>|][" + KINDS.encode() + rb"]\d{1,2})', 'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,19}, )*(?:\d{1,19},?)?)\), \} *\n"
)
FLAGS = 0x08 | 0x800  # sizes behind the data; names in UTF-8: the only things that may be special about a member
# what zipfile and NumPy raise when bytes make no sense; it is caught around them alone
DAMAGE = (zipfile.BadZipFile, struct.error, EOFError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)


class ArchiveError(ValueError):
    """The archive is damaged, or not of the kind that is read here; the message says what is wrong with it."""


class Archive:
    """The members of the .npz in `file`, which is open for reading bytes and is `size` bytes long.

    ArchiveError for all that is wrong with it: now, or when a member is read.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        try:
            self.zip = zipfile.ZipFile(file)
        except DAMAGE as error:
            raise ArchiveError(f"its list of members is damaged: {error}") from error
        self.members = {info.filename: info for info in self.zip.infolist()}
        if len(self.members) < len(self.zip.infolist()):
            raise ArchiveError("two members have one name")
        for name, info in self.members.items():
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & ~FLAGS:
                raise ArchiveError(f"member {name} is compressed or encrypted")
            if info.compress_size != info.file_size:
                raise ArchiveError(f"member {name} has two sizes")
        if sum(info.file_size for info in self.members.values()) > size:
            raise ArchiveError("its members are larger than the file")

    def read(self, name: str) -> bytes:
        """The bytes of a member."""
        try:
            return self.zip.read(self._find(name))
        except DAMAGE as error:
            raise ArchiveError(f"member {name} is damaged: {error}") from error

    def array(self, name: str) -> Array:
        """The array in a member, in the dtype and shape that it was written in."""
        info = self._find(name)
        try:
            with self.zip.open(info) as member:
                header = _read_header(member)
                if not (found := DESCRIPTION.fullmatch(header)):
                    raise ArchiveError(f"member {name} is no array of numbers: {header[:200]}")
                dtype = np.dtype(found[1].decode())
                shape = tuple(int(length) for length in found[3].decode().split(",") if length.strip())
                if math.prod(shape) * dtype.itemsize != info.file_size - member.tell():
                    raise ArchiveError(f"member {name} has other bytes than an array {shape} of {dtype} needs")
                in_columns = found[2] == b"True"
                array = np.empty(shape[::-1] if in_columns else shape, dtype)
                _fill(array.reshape(-1).view(np.uint8), member)
        except ArchiveError:
            raise
        except DAMAGE as error:
            raise ArchiveError(f"member {name} is damaged: {error}") from error
        if dtype.kind == "b" and array.view(np.uint8).max(initial=0) > 1:
            raise ArchiveError(f"member {name} has booleans that are neither true nor false")
        return array.T if in_columns else array

    def _find(self, name):
        if name not in self.members:
            raise ArchiveError(f"member {name} is missing")
        return self.members[name]


def _read_header(member):
    """What stands in front of the numbers: a magic word, a version, its own length, and a description."""
    major, _ = np.lib.format.read_magic(member)
    length = struct.unpack("<H", member.read(2)) if major == 1 else struct.unpack("<I", member.read(4))
    return member.read(min(length[0], READ))


def _fill(out, member):
    """Read as many bytes as the array `out`, uint8, has, to the member's end, where its checksum is compared."""
    start = 0
    while read := member.read(READ):
        out[start : start + len(read)] = np.frombuffer(read, np.uint8)
        start += len(read)
    if start != len(out):
        raise EOFError(f"it ends after {start} of {len(out)} bytes")
