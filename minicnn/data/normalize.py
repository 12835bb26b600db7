"""Normalising: uint8 batches in, float32 batches around zero out. Fitted on the training set, applied to every set.

    MeanImage       x - mean[c, h, w]        AlexNet and the ResNet paper; values stay on the 0..255 scale
    ChannelMean     x - mean[c]              VGG; values stay on the 0..255 scale
    ChannelMeanStd  (x - mean[c]) / std[c]   torchvision; zero mean and unit standard deviation
    ZeroToOne       x / 255                  nothing is fitted; what a loader does that is told nothing else

PCA, Whitening and ZCA, which look at the covariance, are in whiten.py.

Pixels are taken as they come, 0..255, and mean and std are in that unit. Batches are (N, C, H, W), or
(N, views, C, H, W) from TenCrop and WithMirror; one that is on the GPU is normalised there (its bytes are a quarter of
the floats' to move). Sums run over integers, so a fit is exact in whatever order the
pictures come; mean and std are rounded once, to float32.

Source: Krizhevsky et al. 2012, section 2; Simonyan and Zisserman 2014, section 2.1.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from ..device import array_module, device_of, naming_memory_errors, to_device
from ..types import Array


class Normalize(ABC):
    """What all kinds share: `fit(batches)`, `normalize(batch)`, and the state for a checkpoint."""

    fields: tuple[str, ...] = ("mean",)  # the fitted arrays, by attribute name
    dtype: type = np.float32  # theirs
    kinds: ClassVar[dict[str, type["Normalize"]]] = {}  # all there are, by name
    mean: Any  # one of them, of each kind; None before it is fitted

    def __init_subclass__(cls) -> None:
        if not cls.__name__.startswith("_"):
            Normalize.kinds[cls.__name__] = cls

    def __init__(self) -> None:
        for name in self.fields:
            setattr(self, name, None)
        self._moved: dict[str, Any] = {}  # fitted arrays on the GPU, by name, each with what it is a copy of

    @abstractmethod
    def fit(self, batches: Iterable[Array]) -> "Normalize":
        """Fit on an iterable of uint8 (N, C, H, W) arrays. Returns self.

        Raises TypeError for another dtype, ValueError for another shape or for no pictures at all.
        """

    def __call__(self, batch: Array) -> Array:
        """uint8 (N, C, H, W) or (N, views, C, H, W) -> float32 of that shape on its device, C-contiguous."""
        self._check_fitted()
        self._check_batch(batch, self._fixed_sizes(self.mean.shape), dims=(4, 5))
        mean = self._beside(batch, "mean")
        with naming_memory_errors("Normalize"):
            out = batch.astype(np.float32, order="C")
        out -= mean.reshape(*mean.shape, *[1] * (3 - mean.ndim))  # (C, H, W), or (C, 1, 1)
        return out

    @abstractmethod
    def _fixed_sizes(self, picture):
        """The sizes of the pictures (C, H, W) that must be those of the fit, the others None."""

    def state_dict(self) -> dict[str, Any]:
        """The kind and what was fitted, copies."""
        self._check_fitted()
        return {"kind": type(self).__name__} | {name: getattr(self, name).copy() for name in self.fields}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what ``state_dict`` of the same kind has returned; ValueError for another kind."""
        kind = type(self).__name__
        if state.get("kind") != kind or set(state) != {"kind", *self.fields}:
            raise ValueError(f"{kind}.load_state_dict: this state is of {state.get('kind')!r}, with {sorted(state)}")
        for name in self.fields:
            setattr(self, name, np.array(state[name], dtype=self.dtype))

    @staticmethod
    def from_state_dict(state: dict[str, Any]) -> "Normalize":
        """The normaliser, of whichever kind, whose `state_dict()` this is."""
        kind = state.get("kind")
        if kind not in Normalize.kinds:
            raise ValueError(f"Normalize.from_state_dict: kind {kind!r} is none of {sorted(Normalize.kinds)}")
        normalize = Normalize.kinds[kind]()
        normalize.load_state_dict(state)
        return normalize

    def _beside(self, batch, name):
        """The fitted array `name` on the device of `batch`, to which it is moved once."""
        values, device = getattr(self, name), device_of(batch)
        if device == "cpu":
            return values
        if self._moved.get(name, (None,))[0] is not values:
            self._moved[name] = values, to_device(values, device)
        return self._moved[name][1]

    def _check_fitted(self):
        if any(getattr(self, name) is None for name in self.fields):
            raise ValueError(f"{type(self).__name__} is not fitted: call fit(batches) on the training set first")

    def _check_batch(self, batch, expected, dims):
        """`expected` is the shape a single picture must have, None where any size will do."""
        name = type(self).__name__
        if batch.dtype != np.uint8:
            raise TypeError(f"{name}: expected a uint8 batch, got {batch.dtype}")
        picture = batch.shape[-3:]
        fits = all(want in (None, have) for want, have in zip(expected, picture, strict=False))
        if batch.ndim not in dims or not fits:
            want = ", ".join("CHW"[i] if size is None else str(size) for i, size in enumerate(expected))
            raise ValueError(f"{name}: expected a batch (N, {want}), got {batch.shape}")

    def _checked(self, batches):
        """The batches of a fit, each with pictures of the shape that the first one had in its fixed sizes."""
        expected = (None, None, None)
        for batch in batches:
            batch = np.asarray(batch)
            self._check_batch(batch, expected, dims=(4,))
            expected = self._fixed_sizes(batch.shape[1:])
            yield batch

    def __repr__(self):
        fitted = self.mean is not None
        return f"{type(self).__name__}({'mean ' + str(self.mean.shape) if fitted else 'not fitted'})"


class MeanImage(Normalize):
    """Subtract the mean picture of the training set, (C, H, W).

    The 2012 system averaged the 256x256 pictures and cut each crop's window out of the mean; here the mean is
    that of the crops themselves, so it fits random crops, the centre crop and each of ten crops alike.
    """

    def fit(self, batches: Iterable[Array]) -> "MeanImage":
        count, total = 0, np.int64(0)
        for batch in self._checked(batches):
            count += len(batch)
            total = total + batch.sum(axis=0, dtype=np.int64)
        check_any(self, count)
        self.mean = (total / count).astype(np.float32)
        return self

    def _fixed_sizes(self, picture):
        return picture


class ChannelMean(Normalize):
    """Subtract one number per channel: mean (C,). Pictures may have any height and width."""

    def fit(self, batches: Iterable[Array]) -> "ChannelMean":
        mean, _ = _moments(self, batches)
        self.mean = mean.astype(np.float32)
        return self

    def _fixed_sizes(self, picture):
        return (picture[0], None, None)


class ChannelMeanStd(ChannelMean):
    """Subtract the mean and divide by the standard deviation of each channel: mean (C,), std (C,), in 0..255.

    With known values: ChannelMeanStd(mean=[...], std=[...]).
    """

    fields = ("mean", "std")

    def __init__(self, mean: Any = None, std: Any = None) -> None:
        super().__init__()
        if mean is not None:
            self._set(np.array(mean), np.array(std))

    @classmethod
    def imagenet(cls) -> "ChannelMeanStd":
        """The values every torchvision model expects, (.485, .456, .406) and (.229, .224, .225), in
        0..255."""
        return cls(255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225]))

    def fit(self, batches: Iterable[Array]) -> "ChannelMeanStd":
        self._set(*_moments(self, batches))
        return self

    def __call__(self, batch):
        out = super().__call__(batch)
        out /= self._beside(batch, "std")[:, None, None]
        return out

    def _set(self, mean, std):
        if mean.ndim != 1 or mean.shape != std.shape:
            raise ValueError(f"ChannelMeanStd: mean and std must be (C,) both, not {mean.shape} and {std.shape}")
        if not (std > 0).all():
            what = f"ChannelMeanStd: channel {int(np.argmin(std))} has standard deviation {std.min():g}"
            raise ValueError(f"{what}, which cannot be scaled to one; use ChannelMean")
        self.mean, self.std = mean.astype(np.float32), std.astype(np.float32)


class ZeroToOne(Normalize):
    """x / 255 of uint8, as torchvision's ToTensor; batches of floats stay as they are. There is nothing to fit."""

    fields = ()

    def fit(self, batches: Iterable[Array]) -> "ZeroToOne":
        return self

    def __call__(self, batch):
        if batch.dtype.kind == "f":
            return batch
        self._check_batch(batch, (None, None, None), dims=(4, 5))
        with naming_memory_errors("Normalize"):
            return array_module(batch).divide(batch, 255, dtype=np.float32)  # one pass, no copy in between

    def __repr__(self):
        return "ZeroToOne()"

    def _fixed_sizes(self, picture):
        return (None, None, None)


def _moments(normalize, batches):
    """Mean and standard deviation of each channel, float64 (C,) both.

    A channel's 256 counts say all there is to know; from them the moments follow in Python's exact integers.
    """
    counts = np.zeros((0, 256), dtype=np.int64)
    for batch in normalize._checked(batches):
        if not len(counts):
            counts = np.zeros((batch.shape[1], 256), dtype=np.int64)
        for image in batch:
            for c, channel in enumerate(image):
                counts[c] += np.bincount(channel.ravel(), minlength=256)
    check_any(normalize, counts.sum())
    mean, std = [], []
    for row in counts.tolist():
        n = sum(row)
        total = sum(value * count for value, count in enumerate(row))
        squares = sum(value**2 * count for value, count in enumerate(row))
        mean.append(total / n)
        std.append(((n * squares - total**2) / n**2) ** 0.5)
    return np.array(mean), np.array(std)


def check_any(normalize: Normalize, count: int) -> None:
    """ValueError if a fit has seen no pictures."""
    if not count:
        raise ValueError(f"{type(normalize).__name__}.fit: there were no pictures to fit on")
