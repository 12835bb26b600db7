"""Transforms of other libraries, which take the picture alone, and draw from generators that all the process shares."""

import contextlib
import random
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..device import plain_array
from ..types import Array
from .transform import Transform, image_alone

_shared = threading.RLock()  # one picture at a time: workers are threads, and the generators are everybody's


class Adapt(Transform):
    """``Adapt(v2.RandomPerspective())``: a function of the picture alone, such as torchvision's, as one of
    (picture, rng).

    The global generators of Python, NumPy and, where it is imported, PyTorch are seeded from rng around each call and
    put back behind it; so a run repeats, with any number of workers. They take turns: one picture at a time.

    It gets the PIL image and returns another one, or uint8 (C, H, W), an array or PyTorch's Tensor; floats are
    refused, as normalising is the loader's. A function that takes and returns something else is wrapped first:
    ``Adapt(lambda image: Image.fromarray(augment(image=np.asarray(image))["image"]))``. Masks and boxes do not go
    through it: TypeError for a sample.
    """

    def __init__(self, transform: Callable[[Any], Any]) -> None:
        if not callable(transform):
            raise TypeError(f"Adapt: transform must be a function of a picture, not {transform!r:.60}")
        self.transform = transform

    def __call__(self, picture, rng):
        image = image_alone(self, picture)
        with _seeded(rng):
            result = self.transform(image)
        return result if hasattr(result, "getbands") else self._checked(result)

    def _checked(self, result: Any) -> Array:
        name = getattr(self.transform, "__name__", type(self.transform).__name__)
        if not hasattr(result, "__array__"):
            what = f"Adapt: {name} returned a {type(result).__name__}"
            raise TypeError(f"{what}; it must return a PIL image, or uint8 (C, H, W)")
        array = plain_array(result)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[0] not in (1, 3, 4):
            what = f"Adapt: {name} returned {array.dtype} {array.shape}, and a picture is uint8 (C, H, W)"
            raise TypeError(f"{what}; leave out what makes floats of it: the loader normalises")
        return array


@contextlib.contextmanager
def _seeded(rng: Any) -> Iterator[None]:
    """Inside the block the process's generators are seeded from rng, and nobody else is inside."""
    seed = int(rng.integers(2**32))
    torch = sys.modules.get("torch")  # only whoever has imported it can have a transform that draws from it
    with _shared:
        before = random.getstate(), np.random.get_state(), torch and torch.default_generator.get_state()
        random.seed(seed)
        np.random.seed(seed)
        if torch:
            torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
            if torch:
                torch.default_generator.set_state(before[2])
