"""A data set of random pictures in memory, and loaders of it, for tests of the loader."""

import threading
import time

import numpy as np
from PIL import Image

from minicnn.data import (
    BadImage,
    Compose,
    DataLoader,
    RandomCrop,
    RandomFlip,
)

RANDOM = Compose([RandomCrop(6), RandomFlip()])


class Pictures:
    """Random pictures in memory, some unreadable, some slow."""

    def __init__(self, count, bad=(), delay=None):
        self.samples = [(f"picture {i}", i % 3) for i in range(count)]
        self.bad = set(bad)
        self.delay = delay or (lambda index: 0)

    def __len__(self):
        return len(self.samples)

    def load(self, index):
        time.sleep(self.delay(index))
        if index in self.bad:
            raise BadImage(self.samples[index][0], "damaged")
        pixels = np.random.default_rng(index).integers(0, 256, (9, 8, 3), dtype=np.uint8)
        return Image.fromarray(pixels)


def jitter(index):
    """Up to 4 ms, different on every call: threads overtake each other."""
    return time.perf_counter_ns() % 5 / 1000


def loader(dataset=None, batch_size=4, transform=RANDOM, **settings):
    dataset = Pictures(22) if dataset is None else dataset
    return DataLoader(
        dataset, batch_size, transform=transform, **({"shuffle": True, "seed": 7, "num_workers": 2} | settings)
    )


def assert_same(batches, others):
    batches, others = list(batches), list(others)
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        for field, expected in zip(batch, other, strict=True):
            assert np.array_equal(field, expected)


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("minicnn-loader")]
