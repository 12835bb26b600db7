"""Photographs with boxes in the layout of the PASCAL VOC challenge:

    DIR/ImageSets/Main/<split>.txt   a name in each line          DIR/JPEGImages/<name>.jpg
    DIR/Annotations/<name>.xml       size, and for each object name, bndbox and difficult

VOC counts pixels from 1, and xmax is the last one inside: the box of the samples is (xmin - 1, ymin - 1, xmax, ymax).
An annotation that declares a document type is refused: entities may grow without end, and VOC has none.
"""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.data.decode import load_image
from minicnn.data.geometry import Resize, moved_boxes
from minicnn.detection import checked_boxes
from minicnn.errors import SettingError

from .voc_names import LAYOUT, voc_names


class Voc:
    """Samples: "image" (PIL), "boxes", "labels", "difficult"; all of a split, whose annotations are read at once.

    size: (W, H) that pictures are squeezed into, boxes with them; None leaves them as they are. names: the classes; by
    default those that occur, sorted. SettingError for what is no such layout, and for a box outside of its picture;
    DataError, for a sample, if its picture cannot be read.
    """

    def __init__(
        self, folder: Path, split: str, size: tuple[int, int] | None = None, names: list[str] | None = None
    ) -> None:
        self.folder, self.size = folder, size
        self._pictures = [
            (name, *_annotation(folder / "Annotations" / f"{name}.xml")) for name in voc_names(folder, "Main", split)
        ]
        occur = sorted({name for _, _, _, classes, _ in self._pictures for name in classes})
        self.names = occur if names is None else names
        if unknown := set(occur) - set(self.names):
            raise SettingError(f"{folder}: {split} has the class {min(unknown)!r}, which the training pictures lack")

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> dict[str, Any]:
        name, size, boxes, classes, difficult = self._pictures[index]
        path = self.folder / "JPEGImages" / f"{name}.jpg"
        image = load_image(path)
        if image.size != size:
            raise SettingError(f"{path} is {image.size}, and its annotation says {size}")
        labels = np.array([self.names.index(each) for each in classes], np.int64)
        if self.size:
            move = Resize(image.size, self.size)
            image, (boxes, kept) = move.image(image, "bilinear", 0), moved_boxes(boxes, move, image.size, self.size)
            labels, difficult = labels[kept], difficult[kept]
        return {"image": image, "boxes": boxes, "labels": labels, "difficult": difficult}


def _annotation(path):
    """(size, boxes, names of classes, difficult) of a picture."""
    try:
        text = path.read_text(encoding="utf-8")
        if "<!DOCTYPE" in text:
            raise ValueError("it declares a document type")
        root = ET.fromstring(text)
        size = int(root.findtext("size/width", "")), int(root.findtext("size/height", ""))
        objects = root.findall("object")
        corners = [[float(each.findtext(f"bndbox/{key}", "")) for key in _CORNERS] for each in objects]
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error}; {LAYOUT}") from error
    except (ValueError, ET.ParseError) as error:
        raise SettingError(f"{path} is no annotation of VOC's: {error}") from error
    try:
        boxes = checked_boxes(str(path), np.array(corners).reshape(-1, 4) - (1, 1, 0, 0), size)
    except ValueError as error:
        raise SettingError(str(error)) from error
    difficult = np.array([each.findtext("difficult", "0").strip() == "1" for each in objects], bool)
    return size, boxes, [each.findtext("name", "").strip() for each in objects], difficult


_CORNERS = "xmin", "ymin", "xmax", "ymax"
