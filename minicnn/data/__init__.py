"""Data sets in, batches out: arrays, image folders, augmentation, normalising, the loader, and a sample set.

``DataLoader((images, labels), batch_size=32, shuffle=True)`` is all that arrays need. The way of a picture through this
package, one file per step:

    folder.py     which labels, train and val; which files are pictures: listing.py
    decode.py     one file                                      path          -> PIL image, "RGB"
    published.py  data sets that are downloaded: cifar.py, CIFAR-10; flowers.py, Flowers-102
                                                                an index      -> PIL image, "RGB"
    subset.py     some classes, some pictures of each; a split by a seed
    augment.py    resize, crop, flip, pad, per picture          PIL image     -> PIL image
    distort.py    shift, turn, stretch, shear, bend
    color.py      brightness, contrast, colours
    erase.py      a part of it taken away
    policy.py     operations drawn from a list: RandAugment and its kind; auto_augment.py, augmix.py
    adapt.py      other libraries' transforms
    transform.py  the end of them; masks and boxes, too         PIL image     -> uint8 (3, H, W)
    loader.py     the order of an epoch, batches, bad files     many pictures -> uint8 (N, 3, H, W)
    normalize.py  mean and scale, on the whole batch            uint8 batch   -> float32 batch
    mix.py        pictures of a batch mixed with one another    float32 batch -> float32 batch
    whiten.py     PCA, whitening, ZCA: the covariance of whole pictures

Beneath them:

    datasets.py   arrays of one length, chosen items of any data set
    sources.py    what is a data set, and what is none
    geometry.py   where pixels and points go
    ranges.py     settings of what is drawn at random
    covariance.py mean and principal axes, summed up as they come
    ahead.py      threads that fetch items before they are needed
    collate.py    items -> arrays -> Tensors
    empty.py      the batch of no items
    batch.py      pictures, labels, and where in the epoch they belong
    others.py     settings of PyTorch's loader that are not here

And beside them:

    record.py     names and sizes, to know the pictures again
    errors.py     DataError, BadImage
    sample.py     a small synthetic set to run all of this on, drawn once into a cache folder

Needs NumPy and Pillow only (flowers.py: SciPy), and of minicnn nothing above tensor.py.
"""

from typing import TYPE_CHECKING

from ..absent import absent
from .adapt import Adapt
from .augment import (
    CenterCrop,
    Pad,
    RandomCrop,
    RandomFlip,
    RandomResizedCrop,
    RandomShorterSide,
    ResizeShorter,
    TenCrop,
    WithMirror,
)
from .augmix import AugMix
from .auto_augment import AutoAugment
from .batch import Batch
from .color import ColorJitter, ColorNoise
from .datasets import Dataset, Subset, TensorDataset
from .distort import LensDistortion, RandomAffine, RandomRotation, RandomStretch
from .erase import Cutout, RandomErasing
from .errors import BadImage, DataError
from .folder import ImageFolder, train_and_val
from .loader import DataLoader, TooManyBadImages
from .mix import CutMix, MixUp, RandomChoice
from .normalize import ChannelMean, ChannelMeanStd, MeanImage, Normalize, ZeroToOne
from .policy import RandAugment, TrivialAugmentWide
from .published import cifar10, flowers102
from .sample import draw_sample
from .subset import only_classes, random_split, some_per_class
from .transform import Compose, to_array
from .whiten import PCA, ZCA, Whitening

__all__ = [
    "PCA", "ZCA", "Adapt", "AugMix", "AutoAugment", "BadImage", "Batch", "CenterCrop", "ChannelMean", "ChannelMeanStd",
    "ColorJitter", "ColorNoise", "Compose", "CutMix", "Cutout", "DataError", "DataLoader", "Dataset", "ImageFolder",
    "LensDistortion", "MeanImage", "MixUp", "Normalize", "Pad", "RandAugment", "RandomAffine", "RandomChoice",
    "RandomCrop", "RandomErasing", "RandomFlip", "RandomResizedCrop", "RandomRotation", "RandomShorterSide",
    "RandomStretch", "ResizeShorter", "Subset", "TenCrop", "TensorDataset", "TooManyBadImages", "TrivialAugmentWide",
    "Whitening", "WithMirror", "ZeroToOne", "cifar10", "draw_sample", "flowers102", "only_classes", "random_split",
    "some_per_class", "to_array", "train_and_val",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name):
        raise absent("data", name)
