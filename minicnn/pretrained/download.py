"""Files from the web, once: kept in a cache folder, and right to the last bit or not there at all.

The names of torchvision's files end in the first 8 hex digits of their SHA-256, resnet18-f37072fd.pth. They are checked
when a file arrives and each time it is used again. A file gets its name when all of it has arrived, so that there
is never half of one under that name, and two processes at once only do the work twice.
"""

import http.client
from pathlib import Path

from ..cache import CacheError, cache_dir
from ..storage.download import download, why
from ..storage.files import atomic_write
from .checksum import in_name, sha256
from .error import WeightsError


def fetch(url: str, folder: Path | str | None = None) -> Path:
    """The path of the file at `url`, downloaded into `folder` (default: weights/ in the cache folder) if need be.

    A file already there is used if its checksum is right, and fetched anew otherwise. WeightsError if it cannot be
    fetched, saying how to fetch it by hand; ValueError if its name carries no checksum.
    """
    name = url.rpartition("/")[2]
    checksum = in_name(name)
    if not checksum:
        raise ValueError(f"fetch: {url} must end in the first hex digits of its SHA-256, like resnet18-f37072fd.pth")
    try:
        path = Path(folder) / name if folder is not None else cache_dir() / "weights" / name
    except CacheError as error:
        raise WeightsError(f"cannot fetch {url}: {error}, or fetch it by hand and give the file") from error
    try:
        if path.exists() and sha256(path).startswith(checksum):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            found = download(url, file)
            if not found.startswith(checksum):
                raise WeightsError(_cannot(url, path, f"what arrived has another SHA-256, {found[: len(checksum)]}..."))
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(_cannot(url, path, why(error))) from error
    return path


def _cannot(url, path, reason):
    where = f"{path} (the variable MINICNN_CACHE chooses another cache folder)"
    return f"cannot fetch {url}: {reason}; fetch it by hand and put it at {where}, or give a file of your own"
