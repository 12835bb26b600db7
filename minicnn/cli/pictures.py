"""From the arguments to batches: which pictures, which transforms, which normaliser."""

from argparse import Namespace
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from ..data import (
    CenterCrop,
    ChannelMean,
    ChannelMeanStd,
    Compose,
    DataLoader,
    MeanImage,
    Normalize,
    Pad,
    RandomCrop,
    RandomFlip,
    ResizeShorter,
    TenCrop,
    WithMirror,
    draw_sample,
    only_classes,
    some_per_class,
    train_and_val,
)
from ..data.record import split_as
from ..data.subset import PictureSet
from ..storage.checkpoint import State
from ..train.restore import load_normalizer
from .feasible import as_setting_error

Source: TypeAlias = Callable[[Namespace], tuple[PictureSet, PictureSet]]  # arguments -> (train, val)

NORMALIZERS = {"mean_image": MeanImage, "channel_mean": ChannelMean, "mean_std": ChannelMeanStd}
FIT_PICTURES = 4000  # a mean over these is as good as one over a million


class RandomPictures:
    """`count` pictures of noise, with the labels 0, 1, ... in turn: to try a machine out without any files."""

    def __init__(self, count: int, seed: int, classes: int = 1000, size: int = 256) -> None:
        self.classes = [f"class {label}" for label in range(classes)]
        self.samples = [(f"random picture {i}", i % classes) for i in range(count)]
        self.seed, self.size = seed, size

    def __len__(self):
        return len(self.samples)

    def load(self, index: int) -> Image.Image:
        """The picture, always the same one."""
        rng = np.random.default_rng([self.seed, index])
        return Image.fromarray(rng.integers(0, 256, (self.size, self.size, 3), np.uint8))


def open_pictures(args: Namespace) -> tuple[PictureSet, PictureSet]:
    """(train, val): of DIR, random ones (--dummy), or the synthetic sample set. Raises DataError."""
    if args.dummy:
        return RandomPictures(10 * args.batch_size, args.seed), RandomPictures(2 * args.batch_size, args.seed + 1)
    return train_and_val(args.dir or draw_sample(), args.val_fraction, args.seed)


def chosen_pictures(args: Namespace, source: Source, state: State | None = None) -> tuple[PictureSet, PictureSet]:
    """(train, val) of what source(args) opens: of --classes, with --train-per-class pictures of each to train on.

    state: of the checkpoint whose run goes on; a flat folder is split as it was there.
    """
    train, val = source(args)
    if args.classes:
        train, val = only_classes(train, args.classes), only_classes(val, args.classes)
    if state:
        train, val = split_as(state["pictures"], train, val)
    if args.train_per_class:
        train = some_per_class(train, args.train_per_class, args.seed)
    return train, val


def data_name(args: Namespace, sample: str) -> str:
    """What the pictures are called; `sample`: what the program takes without DIR."""
    return "dummy" if args.dummy else Path(args.dir).resolve().name if args.dir else sample


def crop_and_flip(args: Namespace, *more: Any) -> Compose:
    """A random crop of the picture or of its mirror image, and whatever is to happen to it then."""
    return Compose([_resize(args), RandomCrop(args.image_size), RandomFlip(), *more])


def shift_and_flip(args: Namespace) -> Compose:
    """The middle of the picture, shifted by up to an eighth (4 pixels of CIFAR's 32), or its mirror image."""
    size = args.image_size
    return Compose([_resize(args), CenterCrop(size), Pad(size // 8), RandomCrop(size), RandomFlip()])


def val_transform(args: Namespace, scale: int | None = None) -> Compose:
    """The centre crop, or the views of --tta, of a picture of one of the --scales (None: of --shorter-side)."""
    views: dict[str | None, Any] = {"10crop": TenCrop(args.image_size), "dense": WithMirror()}
    return Compose([_resize(args, scale), views.get(args.tta, CenterCrop(args.image_size))])


def test_loaders(args: Namespace, pictures: PictureSet) -> list[DataLoader]:
    """A loader of `pictures` for each of the --scales."""
    return [_loader(args, pictures, val_transform(args, scale)) for scale in args.scales or [None]]


def _loader(
    args: Namespace, pictures: PictureSet, transform: Callable, shuffle: bool = False, drop_last: bool = False
) -> DataLoader:
    """With ten crops of each picture, a batch has a tenth of them; whole pictures (--tta dense), each of its own size,
    come one by one."""
    batch_size = {"10crop": max(1, args.batch_size // 10), "dense": 1}.get(args.tta, args.batch_size)
    return DataLoader(
        pictures,
        batch_size,
        transform,
        shuffle=shuffle,
        seed=args.seed,
        workers=args.workers,
        drop_last=drop_last,
        max_bad_fraction=args.max_bad_fraction,
    )


def loaders(
    args: Namespace, train: PictureSet, val: PictureSet, augment: Callable[[Namespace], Compose]
) -> tuple[DataLoader, DataLoader | None]:
    """(of the training pictures, shuffled, transformed by augment(args) unless --no-augment is given; of the validation
    pictures, None if there are none)."""
    transform = val_transform(args) if args.no_augment else augment(args)
    return (
        _loader(args, train, transform, shuffle=True, drop_last=args.drop_last),
        _loader(args, val, val_transform(args)) if len(val) else None,
    )


def normalizer(args: Namespace, train: PictureSet, state: State | None) -> Normalize:
    """That of the checkpoint whose run goes on, or, for a new run, one fitted on the training pictures."""
    return load_normalizer(state, args.image_size, args.resume) if state else fit_normalizer(args, train)


@as_setting_error()
def fit_normalizer(args: Namespace, train: PictureSet) -> Normalize:
    """The normaliser of --preprocess, fitted on up to FIT_PICTURES training pictures drawn by the seed. SettingError if
    they are such that it cannot be."""
    batches = _loader(args, train, val_transform(args), shuffle=True).epoch(0)
    count = -(-FIT_PICTURES // args.batch_size)
    return NORMALIZERS[args.preprocess]().fit(batch.images for batch in islice(batches, count))


def _resize(args, scale=None):
    flag, side = ("--shorter-side", args.shorter_side) if scale is None else ("--scales", scale)
    if side < args.image_size:
        raise ValueError(f"--image-size {args.image_size} cannot be cut from pictures of {flag} {side}")
    return ResizeShorter(side)
