"""Folders of images: which class each picture belongs to, and which are to train and which to validate on.

Layouts

    DIR/train/<class>/*.JPEG  and  DIR/val/<class>/*.JPEG   ImageNet's; a class is a folder, its name any text
    DIR/<class>/*.JPEG                                      flat; train_and_val splits it per class, by a seed

Classes are numbered 0, 1, ... in the sorted order of their names, so labels are the same on every system. A class
folder is searched with its subfolders (listing.py): what counts as a picture is told by its ending, .jpg, .png, .webp
and others in any case; hidden files and folders are passed over, each folder counts once, and what cannot be read is an
error. `.notes` says what was passed over.

ImageNet 2012. ILSVRC2012_img_train.tar holds one tar per class (n01440764.tar ...): unpack each into a folder
of its name, train/n01440764/*.JPEG. ILSVRC2012_img_val.tar holds 50,000 files in one heap,
ILSVRC2012_val_00000001.JPEG ..., which have to be moved into val/<wnid>/ first. Line k of the devkit's
ILSVRC2012_validation_ground_truth.txt is the class of picture k as an ILSVRC2012_ID, 1 to 1000. That number
is NOT the position of the wnid in sorted order: the devkit's meta.mat (synsets: ILSVRC2012_ID, WNID)
translates it. Sorting by the number itself gives a net that learns and then validates at 0.1 %.

Source: Russakovsky et al. 2015, and the readme.txt of ILSVRC2012_devkit_t12.
"""

import copy
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .decode import load_image
from .errors import DataError, shown
from .listing import EXTENSIONS, Listing, counted

SPLIT = 3  # the purpose of the generator that splits a flat folder; loader.py has the other purposes
TRAIN, VAL, TEST = ("train", "training"), ("val", "valid", "validation"), ("test", "testing")  # in any case


class ImageFolder:
    """The pictures of root/<class>/*, in sorted order.

    .classes  sorted class names          .samples  [(path, label)], label = position in .classes
    .notes    lines that whoever uses the folder should read: what was passed over, what is unusual about the classes
    classes   the names to expect, for instance those of the training set; anything else is a DataError.
    transform is the loader's, so that parts of one folder may differ in it; here it is a TypeError.

    Raises DataError for a missing or unreadable folder, one without class folders, one of train/ and val/, an empty
    class folder, unexpected classes.
    """

    def __init__(self, root: Path | str, classes: Sequence[str] | None = None, *, transform: None = None) -> None:
        if callable(classes) or transform is not None:  # PyTorch's takes it here
            raise TypeError("ImageFolder: the transform is the loader's: DataLoader(folder, transform=...)")
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"image folder {shown(self.root)}: there is no such folder")
        listing = Listing(self.root)
        folders, beside = listing.entries(self.root)
        names = [os.path.basename(folder) for folder in folders]
        if not names:
            raise DataError(_no_classes(self.root, beside))
        if all(name.lower() in TRAIN + VAL + TEST for name in names):
            what = f"image folder {shown(self.root)}: {_first(names)} are no classes"
            raise DataError(f"{what}; give one of these folders")
        if classes is not None and names != sorted(classes):
            raise DataError(_different_classes(self.root, names, classes))
        self.classes = names
        is_new = [listing.enter(folder) for folder in folders]  # all of them, before a link within one leads to another
        self.samples = [
            (path, label)
            for label, folder in enumerate(folders)
            for path in (listing.pictures(folder) if is_new[label] else ())
        ]
        filled = {label for _, label in self.samples}
        empty = [name for label, name in enumerate(names) if label not in filled]
        if empty:
            what = f"image folder {shown(self.root)}: no {'/'.join(EXTENSIONS)} in class folder(s) {_first(empty)}"
            raise DataError(f"{what}; add pictures or remove the folder (passed over: {str(listing) or 'nothing'})")
        self.folders = listing.folders
        self.notes = [f"{shown(self.root)}: {note}" for note in _notes(names, beside, listing)]

    def __len__(self):
        return len(self.samples)

    def __repr__(self):
        return f"ImageFolder({str(self.root)!r}: {len(self)} images, {len(self.classes)} classes)"

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """(PIL image, label) of picture `index`. Raises BadImage."""
        return self.load(index), self.samples[index][1]

    def load(self, index: int) -> Any:
        """Decode picture `index` -> PIL image of mode "RGB". Raises BadImage."""
        return load_image(self.samples[index][0])

    def subset(self, indices: Iterable[int]) -> "ImageFolder":
        """The same folder and classes with only the samples at `indices`, which may be none."""
        part = copy.copy(self)
        part.samples = [self.samples[i] for i in indices]
        return part


def split_folders(root: Path | str) -> tuple[Path | None, ...]:
    """(train, val): the folders under `root` of these names, or of others that mean the same, each None if it is not
    there. DataError for two of one kind."""
    found: dict[str, list[Path]] = {"train": [], "val": []}
    for path in Path(root).iterdir() if Path(root).is_dir() else ():
        for split, names in (("train", TRAIN), ("val", VAL)):
            if path.name.lower() in names and path.is_dir():
                found[split].append(path)
    for paths in found.values():
        if len(paths) > 1:
            both = " and ".join(sorted(f"{path.name}/" for path in paths))
            raise DataError(f"{shown(root)} has {both}, which mean the same; leave one of them there")
    return tuple(paths[0] if paths else None for paths in found.values())


def train_and_val(root: Path | str, val_fraction: float = 0.1, seed: int = 0) -> tuple[ImageFolder, ImageFolder]:
    """(train, val) ImageFolders of DIR/train + DIR/val, or of a flat DIR/<class>/*.

    The two may be called training/, valid/ or validation/, in any case. A flat folder is split class by class:
    round(val_fraction * n) pictures of each, at least one and at most n - 1, chosen by the seed, go to val. The only
    picture of a class goes to train, so val may lack classes, or even be empty, when classes are that small. Raises
    DataError as ImageFolder does, for a missing train/ or val/, and for a folder that belongs to both.
    """
    root = Path(root)
    if not 0 <= val_fraction < 1:
        raise ValueError(f"train_and_val: val_fraction must lie in [0, 1), not {val_fraction}")
    train_folder, val_folder = split_folders(root)
    if train_folder and val_folder:
        train = ImageFolder(train_folder)
        val = ImageFolder(val_folder, classes=train.classes)
        if train.folders & val.folders:
            what = f"a link makes pictures of {val_folder.name}/ pictures of {train_folder.name}/"
            raise DataError(f"{shown(root)}: {what}")
        return train, val
    if there := train_folder or val_folder:
        missing = root / ("val" if train_folder else "train")
        advice = f"add {shown(missing)}/<class>/*.JPEG, or give {shown(there)} itself to have it split by a seed"
        raise DataError(f"{shown(root)} has {there.name}/ but no {missing.name}/; {advice}")
    everything = ImageFolder(root)
    if splits := [name for name in everything.classes if name.lower() in TEST]:
        raise DataError(
            f"{shown(root)} has {splits[0]}/ beside {_first([n for n in everything.classes if n not in splits])}, but "
            f"neither train/ nor val/; expected are train/<class>/* and val/<class>/*, or classes only"
        )

    labels = np.array([label for _, label in everything.samples])
    trained: list[int] = []
    held_out: list[int] = []
    for label in range(len(everything.classes)):
        members = np.random.default_rng([seed, SPLIT, label]).permutation(np.flatnonzero(labels == label))
        wanted = max(1, round(val_fraction * len(members))) if val_fraction else 0
        n_val = min(wanted, len(members) - 1)
        held_out.extend(members[:n_val])
        trained.extend(members[n_val:])
    return everything.subset(sorted(trained)), everything.subset(sorted(held_out))


def _notes(names, beside, listing):
    if beside:
        such_as = ", such as" * (len(beside) > 1) or ","
        yield f"passed over {counted(len(beside), 'picture')} outside of any class{such_as} {shown(min(beside))}"
    if passed_over := str(listing):
        yield f"passed over {passed_over}"
    by_lower = {}
    for name in names:
        by_lower.setdefault(name.lower(), []).append(name)
    for same in by_lower.values():
        if len(same) > 1:
            yield f"{' and '.join(map(shown, same))} are different classes, by upper and lower case alone"
    if len(names) == 1:
        yield f"there is one class only, {shown(names[0])}, so nothing can be told apart"


def _no_classes(root, beside):
    root = shown(root)
    if beside:
        folders = f"{root}/<class>/*.JPEG (ImageNet's val: see the docstring of minicnn/data/folder.py)"
        return f"image folder {root}: the pictures lie in one heap; sort them into class folders, {folders}"
    return f"image folder {root}: no class folders, expected {root}/<class>/*.JPEG"


def _different_classes(root, found, expected):
    missing = sorted(set(expected) - set(found))
    unknown = sorted(set(found) - set(expected))
    parts = [f"{verb} {_first(names)}" for verb, names in (("lacks", missing), ("also has", unknown)) if names]
    return f"image folder {shown(root)}: its classes are not the {len(expected)} expected; it {' and '.join(parts)}"


def _first(names, limit=5):
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(shown, names[:limit])) + more
