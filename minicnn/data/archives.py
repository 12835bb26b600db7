"""Files of published data sets: fetched once, held against their checksum, unpacked.

    cifar.py     CIFAR-10                    flowers.py     Flowers-102

    ROOT/cifar-10-python.tar.gz              ROOT/flowers-102/102flowers.tgz, imagelabels.mat, setid.mat
    ROOT/cifar-10-batches-py/...             ROOT/flowers-102/jpg/...

So they lie where torchvision puts them, too: what it has fetched is not fetched again.
"""

import hashlib
import http.client
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from ..cache import keeping_in
from ..storage.download import download, why
from ..storage.files import atomic_write
from .errors import DataError, shown


class Source(NamedTuple):
    """A file as it is published."""

    url: str
    md5: str  # by which its author, or torchvision, says it is known

    @property
    def name(self) -> str:
        """Of the file."""
        return self.url.rpartition("/")[2]


def fetched(source: Source, folder: Path, may_download: bool) -> Path:
    """The path of the file in `folder`, downloaded if it is not there; one with another checksum is damaged, and is
    fetched anew. DataError if it cannot be had, saying how to fetch it by hand."""
    path = folder / source.name
    if path.is_file():
        if (found := _md5(path)) == source.md5:
            return path
        if not may_download:
            raise DataError(f"{shown(path)} is damaged: its MD5 is {found}, not {source.md5}; fetch {source.url} again")
    elif not may_download:
        raise DataError(f"there is no {source.name} in {shown(folder)}; fetch {source.url} and put it there")
    with keeping_in(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(path) as file:
            if (found := download(source.url, file, "md5")) != source.md5:
                raise DataError(_cannot(source, folder, f"what arrived has another MD5, {found}"))
    except (OSError, http.client.HTTPException) as error:
        raise DataError(_cannot(source, folder, why(error))) from error
    return path


def unpacked(archive: Path, name: str) -> Path:
    """The folder `name` beside the archive, with the files that the archive has in a folder of that name: all of them,
    or none. DataError for an archive that cannot be read."""
    folder = archive.parent / name
    with keeping_in(archive.parent):
        part = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=archive.parent))
    try:
        count = 0
        with tarfile.open(archive) as content:
            for member in content:
                place, _, file = member.name.removeprefix("./").rpartition("/")
                if member.isfile() and place == name:  # nothing else, whatever the archive says
                    source = content.extractfile(member)
                    assert source is not None  # it is a file
                    with open(part / file, "wb") as copy:
                        shutil.copyfileobj(source, copy)
                    count += 1
        if not count:
            raise ValueError(f"it has no folder {name}")
        os.rename(part, folder)
    except Exception as error:  # of a damaged one: TarError, EOFError, zlib.error; of a full disk: OSError
        if folder.is_dir():  # another process was sooner
            return folder
        raise DataError(f"{shown(archive)} cannot be unpacked: {error}; fetch it again, or look for space") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _md5(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _cannot(source, folder, reason):
    where = f"put it into {shown(folder)} (the variable MINICNN_CACHE chooses another cache folder)"
    return f"cannot fetch {source.url}: {reason}; fetch it by hand and {where}, or give a folder of pictures"
