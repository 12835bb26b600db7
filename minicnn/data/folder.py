"""Folders of images: which files there are, which class each belongs to, and how one is decoded.

Layouts

    DIR/train/<class>/*.JPEG  and  DIR/val/<class>/*.JPEG   ImageNet's; a class is a folder, its name any text
    DIR/<class>/*.JPEG                                      flat; train_and_val splits it per class, by a seed

A class folder is searched with its subfolders for .jpg, .jpeg and .png in any case; hidden files are passed
over. Classes are numbered 0, 1, ... in the sorted order of their names, so labels are the same on every
system.

ImageNet 2012. ILSVRC2012_img_train.tar holds one tar per class (n01440764.tar ...): unpack each into a folder
of its name, train/n01440764/*.JPEG. ILSVRC2012_img_val.tar holds 50,000 files in one heap,
ILSVRC2012_val_00000001.JPEG ..., which have to be moved into val/<wnid>/ first. Line k of the devkit's
ILSVRC2012_validation_ground_truth.txt is the class of picture k as an ILSVRC2012_ID, 1 to 1000. That number
is NOT the position of the wnid in sorted order: the devkit's meta.mat (synsets: ILSVRC2012_ID, WNID)
translates it. Sorting by the number itself gives a net that learns and then validates at 0.1 %.

Source: Russakovsky et al. 2015, and the readme.txt of ILSVRC2012_devkit_t12.
"""

import copy
import io
import os
from pathlib import Path

import numpy as np

from .errors import BadImage, DataError

EXTENSIONS = (".jpg", ".jpeg", ".png")
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")  # by content: files of the web are often misnamed
SPLIT = 3  # the purpose of the generator that splits a flat folder; loader.py has the other purposes


class ImageFolder:
    """The pictures of root/<class>/*, in sorted order.

    .classes  sorted class names          .samples  [(path, label)], label = position in .classes
    classes   the names to expect, for instance those of the training set; anything else is a DataError.

    Raises DataError for a missing folder, one without class folders, an empty class folder, unexpected classes.
    """

    def __init__(self, root, classes=None):
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"image folder {self.root}: there is no such folder")
        names = sorted(entry.name for entry in self.root.iterdir() if _is_class_folder(entry))
        if not names:
            raise DataError(_no_classes(self.root))
        if classes is not None and names != sorted(classes):
            raise DataError(_different_classes(self.root, names, classes))
        self.classes = names
        self.samples = [(path, k) for k, name in enumerate(names) for path in _images_under(self.root / name)]
        filled = {label for _, label in self.samples}
        empty = [name for k, name in enumerate(names) if k not in filled]
        if empty:
            raise DataError(
                f"image folder {self.root}: no {'/'.join(EXTENSIONS)} in class folder(s) {_first(empty)}; "
                "add pictures or remove the folder"
            )

    def __len__(self):
        return len(self.samples)

    def __repr__(self):
        return f"ImageFolder({str(self.root)!r}: {len(self)} images, {len(self.classes)} classes)"

    def load(self, index):
        """Decode picture `index` -> PIL image of mode "RGB". Raises BadImage."""
        return load_image(self.samples[index][0])

    def subset(self, indices):
        """The same folder and classes with only the samples at `indices`, which may be none."""
        part = copy.copy(self)
        part.samples = [self.samples[i] for i in indices]
        return part


def train_and_val(root, val_fraction=0.1, seed=0):
    """(train, val) ImageFolders of DIR/train + DIR/val, or of a flat DIR/<class>/*.

    A flat folder is split class by class: round(val_fraction * n) pictures of each, at least one and at most
    n - 1, chosen by the seed, go to val. The only picture of a class goes to train, so val may lack classes,
    or even be empty, when classes are that small. Raises DataError as ImageFolder does, and for a missing
    train/ or val/.
    """
    root = Path(root)
    if not 0 <= val_fraction < 1:
        raise ValueError(f"train_and_val: val_fraction must lie in [0, 1), not {val_fraction}")
    present = [name for name in ("train", "val") if (root / name).is_dir()]
    if len(present) == 1:
        missing = "val" if present == ["train"] else "train"
        raise DataError(
            f"{root} has {present[0]}/ but no {missing}/; add {root / missing}/<class>/*.JPEG, "
            f"or give {root / present[0]} itself to have it split by a seed"
        )
    if present:
        train = ImageFolder(root / "train")
        return train, ImageFolder(root / "val", classes=train.classes)

    everything = ImageFolder(root)
    labels = np.array([label for _, label in everything.samples])
    train, val = [], []
    for label in range(len(everything.classes)):
        members = np.random.default_rng([seed, SPLIT, label]).permutation(np.flatnonzero(labels == label))
        wanted = max(1, round(val_fraction * len(members))) if val_fraction else 0
        n_val = min(wanted, len(members) - 1)
        val.extend(members[:n_val])
        train.extend(members[n_val:])
    return everything.subset(sorted(train)), everything.subset(sorted(val))


def load_image(path):
    """Decode one file -> PIL image of mode "RGB", as torchvision's default loader does: `convert("RGB")`.

    Grey is repeated in three channels, CMYK and palettes are converted, alpha is dropped (not composited),
    and 16-bit grey keeps its upper byte, as Pillow does with 16-bit colour, instead of being clipped to
    white. The EXIF orientation is not applied: pixels stay as they are stored.

    Raises BadImage for whatever Pillow cannot decode: empty, truncated, no image at all, more pixels than
    twice PIL.Image.MAX_IMAGE_PIXELS (a "decompression bomb"). A flipped byte inside JPEG data decodes
    silently.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        content = Path(path).read_bytes()
        if not content:
            raise BadImage(path, "the file is empty")
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return _to_rgb(image)
    except (BadImage, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise BadImage(path, "not a JPEG or PNG picture") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error, IndexError ...
        raise BadImage(path, f"{type(error).__name__}: {error}") from error


def _to_rgb(image):
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey PNG
        upper_byte = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return Image.fromarray(upper_byte).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the same colours, without Pillow's warning about the dropped transparency
    return image.convert("RGB")


def _is_class_folder(entry):
    return entry.is_dir() and not entry.name.startswith(".")


def _images_under(folder):
    found = []
    for directory, _, names in os.walk(folder, followlinks=True):
        for name in names:
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                found.append(os.path.join(directory, name))
    return sorted(found)


def _no_classes(root):
    if any(entry.suffix.lower() in EXTENSIONS for entry in root.iterdir()):
        return (
            f"image folder {root}: the pictures lie in one heap; sort them into class folders, "
            f"{root}/<class>/*.JPEG (ImageNet's val: see the docstring of minicnn/data/folder.py)"
        )
    return f"image folder {root}: no class folders, expected {root}/<class>/*.JPEG"


def _different_classes(root, found, expected):
    missing = sorted(set(expected) - set(found))
    unknown = sorted(set(found) - set(expected))
    parts = [f"{verb} {_first(names)}" for verb, names in (("lacks", missing), ("also has", unknown)) if names]
    return f"image folder {root}: its classes are not the {len(expected)} expected; it {' and '.join(parts)}"


def _first(names, limit=5):
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
