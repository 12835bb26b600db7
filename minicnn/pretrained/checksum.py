"""The checksum in a file's name: resnet18-f37072fd.pth ends in the first 8 hex digits of its SHA-256, as PyTorch's do
(one has 10).

A file whose name has that form is held against it, wherever it comes from. Eight digits without a letter are a date or
the number of a step, checkpoint-20240101.pth, unless the name is that of published weights.
"""

import hashlib
import re
from pathlib import Path

from .error import WeightsError
from .weights import published_names


def in_name(name: str) -> str | None:
    """The hex digits at the end of a file's name, 8 to 64 of them; None if there are none."""
    found = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    return found and found[1]


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_name(path: Path | str) -> None:
    """WeightsError if the file's name carries a checksum, of 8 digits or published, and the file has another."""
    name = Path(path).name
    named = in_name(name)
    if named is None or (name not in published_names() and (len(named) != 8 or named.isdecimal())):
        return
    if not (found := sha256(path)).startswith(named):
        why = f"its name says that its SHA-256 begins with {named}, and it is {found[:8]}..."
        advice = "fetch it again, or give it another name if that is no checksum"
        raise WeightsError(f"{path} is damaged or another file: {why}; {advice}")
