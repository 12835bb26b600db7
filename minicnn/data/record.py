"""Which pictures a run has: their names and sizes, short enough for a checkpoint, to know them again.

    train  {"names": uint64 (N,), "sizes": uint32 (N,)}, in the order of the set          val  the same

A name is the first 8 bytes of the SHA-256 of class and file (below the set's own folder, so that a folder may be moved,
and with "/" on every system). A size is the file's, in bytes: a picture put in another's place shows by it, if it is
not of the very same size. Contents are not read: of a large set that would take hours. Pictures that are no files have
size 0.

A flat folder is split by a seed, and every new file would shift the split: pictures that were trained on would be
tested on. So when a run goes on, or is tested, its record says which pictures are whose.
"""

import copy
import hashlib
import os
from typing import Any, TypeAlias

import numpy as np

from .errors import DataError, shown
from .listing import NOWHERE
from .subset import PictureSet

Record: TypeAlias = dict[str, dict[str, Any]]  # empty: nothing is known

SPLITS = {"train": "training", "val": "validation"}


def record(train: PictureSet, val: PictureSet) -> Record:
    """{"train": ..., "val": ...} of two sets of pictures. DataError if a file has gone."""
    return {"train": _record(train), "val": _record(val)}


def check_record(saved: Any) -> None:
    """ValueError unless `saved` is what ``record`` makes. An empty one says that nothing is known."""
    for split in SPLITS if saved else ():
        names, sizes = saved[split]["names"], saved[split]["sizes"]
        if (names.dtype, sizes.dtype) != (np.uint64, np.uint32) or names.ndim != 1 or names.shape != sizes.shape:
            raise ValueError(f"{split} has names {names.dtype} {names.shape} and sizes {sizes.dtype} {sizes.shape}")


def is_flat(train: Any, val: Any) -> bool:
    """Whether the two are one folder, split by a seed."""
    return getattr(train, "root", None) is not None and train.root == getattr(val, "root", None)


def split_as(saved: Record, train: Any, val: Any) -> tuple[PictureSet, PictureSet]:
    """The pictures of a flat folder, split as they were: those that `saved` has in val are in val, all the others, the
    new ones too, are in train. Two folders, or a flat one of which nothing is known, stay what they are."""
    if not saved or not is_flat(train, val) or np.isin(saved["val"]["names"], saved["train"]["names"]).any():
        return train, val
    everything = _together(train, val)
    held_out = np.isin(_names(everything), saved["val"]["names"])
    return everything.subset(np.flatnonzero(~held_out)), everything.subset(np.flatnonzero(held_out))


def not_trained_on(saved: Record, train: Any, val: Any) -> PictureSet:
    """Of a flat folder, the pictures that the run validated on: the same names, the same sizes, and none that it
    trained on. Of two folders, or if nothing is known, `val` as it is."""
    if not saved or not is_flat(train, val):
        return val
    everything = _together(train, val)
    keys = _keys(_record(everything))
    chosen = np.isin(keys, _keys(saved["val"])) & ~np.isin(keys, _keys(saved["train"]))
    return everything.subset(np.flatnonzero(chosen))


def trained_on(saved: Record, pictures: PictureSet) -> int:
    """How many of these pictures, of a flat folder, the run trained on."""
    return int(np.isin(_keys(_record(pictures)), _keys(saved["train"])).sum()) if saved else 0


def changes(saved: Record, now: Record, train: PictureSet, val: PictureSet) -> str:
    """What is different about the pictures `train` and `val`, whose record is `now`: a text, empty if nothing is."""
    texts = []
    for (split, adjective), pictures in zip(SPLITS.items(), (train, val), strict=True):
        before, after = saved[split], now[split]
        if all(np.array_equal(before[part], after[part]) for part in after):
            continue
        gone = int((~np.isin(before["names"], after["names"])).sum())
        new = ~np.isin(after["names"], before["names"])
        other = ~np.isin(_keys(after), _keys(before)) & ~new
        parts = [f"{gone} {_are(gone)} gone"] if gone else []
        for which, what in ((new, "new"), (other, "of another size")):
            if count := int(which.sum()):
                parts.append(f"{count} {_are(count)} {what} ({_first(pictures, which)})")
        texts.append(f"of the {adjective} pictures {', '.join(parts) or 'the order is another'}")
    return "; ".join(texts)


def changed_sides(saved: Record, now: Record) -> int:
    """How many pictures have gone from validation to training, or back: the same name and size, on the other side."""
    then, today = ({split: _keys(of[split]) for split in SPLITS} for of in (saved, now))
    moved = 0
    for source, to in (("train", "val"), ("val", "train")):
        arrived = np.setdiff1d(today[to], then[to])
        moved += len(np.intersect1d(arrived, np.setdiff1d(then[source], today[source])))
    return moved


def _record(pictures):
    are_files = hasattr(pictures, "root")
    sizes = [_size(key) if are_files else 0 for key, _ in pictures.samples]
    return {"names": _names(pictures), "sizes": np.array(sizes, np.uint32)}


def _names(pictures):
    """The short form of each picture's name, uint64 (N,)."""
    folder = f"{pictures.root}{os.sep}" if hasattr(pictures, "root") else ""
    digests = []
    for key, label in pictures.samples:
        name = f"{pictures.classes[label]}/{str(key).removeprefix(folder).replace(os.sep, '/')}"
        digests.append(hashlib.sha256(name.encode(errors="surrogatepass")).digest()[:8])
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _keys(of):
    """Name and size as one number, uint64 (N,)."""
    return of["names"] ^ (of["sizes"].astype(np.uint64) << np.uint64(32))


def _size(path):
    try:
        return os.stat(path).st_size % 2**32
    except OSError as error:
        if error.errno in NOWHERE:
            return 0  # a link that leads nowhere, say: an unreadable picture, which the loader counts
        raise DataError(f"{shown(path)}: {error.strerror}; is the disk still there, and may you read it?") from error


def _together(train, val):
    """Both parts of a flat folder, in its order."""
    everything = copy.copy(train)
    everything.samples = sorted(train.samples + val.samples, key=lambda sample: sample[::-1])
    return everything


def _first(pictures, which):
    return shown(pictures.samples[int(np.argmax(which))][0])


def _are(count):
    return "is" if count == 1 else "are"
