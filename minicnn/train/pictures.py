"""From the arguments to batches: which pictures, which transforms, which normaliser."""

from itertools import islice
from pathlib import Path

import numpy as np

from ..data import (
    CenterCrop,
    ChannelMean,
    ChannelMeanStd,
    ColorNoise,
    Compose,
    DataLoader,
    ImageFolder,
    MeanImage,
    RandomCrop,
    RandomFlip,
    ResizeShorter,
    TenCrop,
    draw_sample,
    train_and_val,
)

NORMALIZERS = {"mean_image": MeanImage, "channel_mean": ChannelMean, "mean_std": ChannelMeanStd}
FIT_PICTURES = 4000  # a mean over these is as good as one over a million


class RandomPictures:
    """`count` pictures of noise, with the labels 0, 1, ... in turn: to try a machine out without any files."""

    def __init__(self, count, seed, classes=1000, size=256):
        self.classes = [f"class {label}" for label in range(classes)]
        self.samples = [(f"random picture {i}", i % classes) for i in range(count)]
        self.seed, self.size = seed, size

    def __len__(self):
        return len(self.samples)

    def load(self, index):
        from PIL import Image

        rng = np.random.default_rng([self.seed, index])
        return Image.fromarray(rng.integers(0, 256, (self.size, self.size, 3), np.uint8))


def open_pictures(args):
    """(train, val): of DIR, random ones (--dummy), or the synthetic sample set. Raises DataError."""
    if args.dummy:
        return RandomPictures(10 * args.batch_size, args.seed), RandomPictures(2 * args.batch_size, args.seed + 1)
    return train_and_val(args.dir or draw_sample(), args.val_fraction, args.seed)


def open_test_pictures(args, classes):
    """The pictures to test on, of these classes: DIR/val alone if there is one, or what open_pictures validates on."""
    if args.dir and (Path(args.dir) / "val").is_dir():
        return ImageFolder(Path(args.dir) / "val", classes)
    return open_pictures(args)[1]


def data_name(args):
    return "dummy" if args.dummy else Path(args.dir).resolve().name if args.dir else "sample"


def train_transform(args):
    """AlexNet's: a random crop of the picture or of its mirror image, with another illumination (2012, section 4.1)."""
    if args.no_augment:
        return val_transform(args)
    noise = [ColorNoise.imagenet(args.color_noise)] if args.color_noise else []
    return Compose([_resize(args), RandomCrop(args.image_size), RandomFlip(), *noise])


def val_transform(args):
    crop = TenCrop if args.tta == "10crop" else CenterCrop
    return Compose([_resize(args), crop(args.image_size)])


def loader(args, pictures, transform, shuffle=False):
    """A loader of `pictures`; None if there are none. With ten crops of each, a batch has a tenth of them."""
    if not len(pictures):
        return None
    batch_size = max(1, args.batch_size // 10) if args.tta == "10crop" else args.batch_size
    return DataLoader(
        pictures,
        batch_size,
        transform,
        shuffle=shuffle,
        seed=args.seed,
        workers=args.workers,
        max_bad_fraction=args.max_bad_fraction,
    )


def fit_normalizer(args, train):
    """The normaliser of --preprocess, fitted on up to FIT_PICTURES training pictures drawn by the seed."""
    batches = loader(args, train, val_transform(args), shuffle=True).epoch(0)
    count = -(-FIT_PICTURES // args.batch_size)
    return NORMALIZERS[args.preprocess]().fit(batch.images for batch in islice(batches, count))


def _resize(args):
    if args.shorter_side < args.image_size:
        raise ValueError(
            f"--image-size {args.image_size} cannot be cut from pictures of --shorter-side {args.shorter_side}"
        )
    return ResizeShorter(args.shorter_side)
