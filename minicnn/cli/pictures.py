"""From the arguments to batches: which pictures, which transforms, which normaliser."""

from argparse import Namespace
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from .. import data
from ..cache import cache_dir
from ..console import say
from ..data.record import split_as
from ..data.subset import PictureSet
from ..distributed import world
from ..progress import watched
from ..storage.checkpoint import State
from ..train.restore import load_normalizer
from .feasible import as_setting_error

Source: TypeAlias = Callable[[Namespace], tuple[PictureSet, PictureSet]]  # arguments -> (train, val)

NORMALIZERS = {"mean_image": data.MeanImage, "channel_mean": data.ChannelMean, "mean_std": data.ChannelMeanStd}
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
    return data.train_and_val(args.dir or data.draw_sample(watch=_say_drawing), args.val_fraction, args.seed)


def _say_drawing(pictures):
    """What ``draw_sample`` has to draw, while the screen shows how far it is."""
    say(f"drawing {len(pictures):,} sample pictures, once, into {cache_dir()}")
    return watched("drawing", pictures, len(pictures), every=500)


def chosen_pictures(args: Namespace, source: Source, state: State | None = None) -> tuple[PictureSet, PictureSet]:
    """(train, val) of what source(args) opens: of --classes, with --train-per-class pictures of each to train on.

    state: of the checkpoint whose run goes on; a flat folder is split as it was there.
    """
    train, val = source(args)
    if args.classes:
        train, val = data.only_classes(train, args.classes), data.only_classes(val, args.classes)
    if state:
        train, val = split_as(state["pictures"], train, val)
    if args.train_per_class:
        train = data.some_per_class(train, args.train_per_class, args.seed)
    return train, val


def data_name(args: Namespace, sample: str) -> str:
    """What the pictures are called; `sample`: what the program takes without DIR."""
    return "dummy" if args.dummy else Path(args.dir).resolve().name if args.dir else sample


def crop_and_flip(args: Namespace, *more: Any, size: int | None = None, largest: int | None = None) -> data.Compose:
    """A random crop of the picture or of its mirror image, and whatever is to happen to it then.

    size: of the crop; None: --image-size
    largest: the shorter side is drawn anew each time, from --shorter-side to this; None: it is --shorter-side.
    """
    resize = _resize(args)
    size = args.image_size if size is None else size
    if args.shorter_side < size:
        what = f"--train-crop-size {size} cannot be cut from pictures of --shorter-side {args.shorter_side}"
        raise ValueError(f"{what}; choose a smaller one, or --random-resized-crop")
    if largest is not None:
        resize = data.RandomShorterSide(args.shorter_side, largest, args.interpolation)
    return data.Compose([resize, data.RandomCrop(size), data.RandomFlip(), *more])


def shift_and_flip(args: Namespace) -> data.Compose:
    """The middle of the picture, shifted by up to an eighth (4 pixels of CIFAR's 32), or its mirror image."""
    size = args.image_size
    return data.Compose(
        [_resize(args), data.CenterCrop(size), data.Pad(size // 8), data.RandomCrop(size), data.RandomFlip()]
    )


def val_transform(args: Namespace, scale: int | None = None) -> data.Compose:
    """The centre crop, or the views of --tta, of a picture of one of the --scales (None: of --shorter-side)."""
    views: dict[str | None, Any] = {"10crop": data.TenCrop(args.image_size), "dense": data.WithMirror()}
    return data.Compose([_resize(args, scale), views.get(args.tta, data.CenterCrop(args.image_size))])


def test_loaders(args: Namespace, pictures: PictureSet) -> list[data.DataLoader]:
    """A loader of `pictures` for each of the --scales."""
    return [_loader(args, pictures, val_transform(args, scale)) for scale in args.scales or [None]]


def _loader(args, pictures, transform, shuffle=False, **more):
    """With ten crops of each picture, a batch has a tenth of them; whole pictures (--tta dense), each of its own size,
    come one by one."""
    batch_size = {"10crop": max(1, args.batch_size // 10), "dense": 1}.get(args.tta, args.batch_size)
    options = {"seed": args.seed, "num_workers": args.workers, "max_bad_fraction": args.max_bad_fraction}
    return data.DataLoader(pictures, batch_size, shuffle, transform=transform, **options, **more)


def loaders(
    args: Namespace, train: PictureSet, val: PictureSet, augment: Callable[[Namespace], data.Compose]
) -> tuple[data.DataLoader, data.DataLoader | None]:
    """(of the training pictures, shuffled, transformed by augment(args) unless --no-augment is given; of the validation
    pictures, None if there are none)."""
    transform = val_transform(args) if args.no_augment else augment(args)
    repeats = args.ra_reps if args.ra_sampler else 1
    return (
        _loader(args, train, transform, shuffle=True, drop_last=args.drop_last, repeats=repeats),
        _loader(args, val, val_transform(args)) if len(val) else None,
    )


def normalizer(args: Namespace, train: PictureSet, state: State | None) -> data.Normalize:
    """That of the checkpoint whose run goes on, or, for a new run, one fitted on the training pictures."""
    return load_normalizer(state, args.image_size, args.resume) if state else fit_normalizer(args, train)


def fit_normalizer(args: Namespace, train: PictureSet) -> data.Normalize:
    """The normaliser of --preprocess, fitted on up to FIT_PICTURES training pictures drawn by the seed: on rank 0, for
    all. SettingError if they are such that it cannot be."""
    return world().on_rank_0(_fitted, args, train)


@as_setting_error()
def _fitted(args, train):
    loader = _loader(args, train, val_transform(args), shuffle=True)
    count = min(-(-FIT_PICTURES // args.batch_size), len(loader))
    some = islice(loader.epoch(0), count)
    batches = watched("mean of the pictures", some, count, every=count + 1)  # on a terminal; elsewhere it has no lines
    return NORMALIZERS[args.preprocess]().fit(batch.images for batch in batches)


def _resize(args, scale=None):
    flag, side = ("--shorter-side", args.shorter_side) if scale is None else ("--scales", scale)
    if side < args.image_size:
        raise ValueError(f"--image-size {args.image_size} cannot be cut from pictures of {flag} {side}")
    return data.ResizeShorter(side, args.interpolation)
