"""Weights in the .safetensors format: a JSON header and the bare numbers, nothing that could run.

Reading takes the package of that name, which checks that the header and the sizes agree. The format has no checksum: a
bit that flips in the numbers is not noticed.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..storage.files import open_regular
from ..types import Array
from .dtypes import BFLOAT16, from_bytes
from .error import WeightsError, reading

DTYPES: dict[str, Any] = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": BFLOAT16, "BOOL": "?"}
DTYPES |= {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}


def read_safetensors(path: Path | str) -> dict[str, Array]:
    """{key: array}; bfloat16 becomes float32. WeightsError if the file is missing, damaged or of another kind, or if
    the package safetensors is not installed."""
    try:
        from safetensors import deserialize  # an optional package
    except ImportError:
        what = f"{path} is read by the package safetensors, which is not installed"
        raise WeightsError(f"{what}; pip install 'minicnn[safetensors]'") from None
    with reading(path, "a .safetensors file"):
        with open_regular(path) as file:
            entries = deserialize(file.read())
        for key, entry in entries:
            if entry["dtype"] not in DTYPES:
                raise WeightsError(f"{path}: {key} is of dtype {entry['dtype']}; save it as one of {', '.join(DTYPES)}")
        return {
            key: from_bytes(entry["data"], np.dtype(DTYPES[entry["dtype"]])).reshape(entry["shape"])
            for key, entry in entries
        }
