"""What a notebook shows: its outputs, and its pictures."""

import base64
import io

import numpy as np
from PIL import Image


def outputs(notebook):
    """What its cells have given, in order."""
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(notebook):
    """What its cells print, as one text."""
    return "".join(output.text for output in outputs(notebook) if output.output_type == "stream")


def pictures(notebook):
    """Its pictures, as arrays (H, W, 3)."""
    data = [output.data["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")) for png in data]


def shows_something(picture):
    """Whether the picture has more colours than an empty one."""
    return len(np.unique(picture @ [1 << 16, 1 << 8, 1])) > 20
