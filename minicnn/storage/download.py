"""A file from the web into an open file, with a bar, and its checksum on the way."""

import hashlib
import http.client
import urllib.request
from typing import IO, Any

from tqdm import tqdm

from ..console import stderr

TIMEOUT = 30  # seconds without a byte
READ = 1 << 20  # bytes at a time


def download(url: str, file: IO[bytes], kind: str = "sha256") -> str:
    """Write what is at `url` into a file -> its checksum in hex, of a kind that hashlib knows.

    OSError, or http.client.HTTPException for a connection that breaks: ``why`` has the reason.
    """
    digest = hashlib.new(kind, usedforsecurity=False)
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        length = int(response.headers.get("Content-Length") or 0)
        name = url.rpartition("/")[2]
        with tqdm(total=length or None, desc=name, unit="B", unit_scale=True, disable=None, file=stderr) as bar:
            while read := response.read(READ):
                file.write(read)
                digest.update(read)
                bar.update(len(read))
        if file.tell() < length:
            raise http.client.HTTPException(f"the connection broke after {file.tell():,} of {length:,} bytes")
    return digest.hexdigest()


def why(error: Exception) -> Any:
    """What to say of an error of ``download``."""
    return getattr(error, "reason", None) or error
