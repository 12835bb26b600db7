"""What a confused user might give: numbers, shapes, arrays and labels, of which most fit and some do not."""

import numpy as np

ODD_NUMBERS = (
    0,
    -1,
    1,
    2,
    3,
    7,
    2**31,
    2**40,
    0.5,
    1.5,
    float("nan"),
    None,
    "2",
    True,
    np.int64(2),
    (1, 2),
    (2,),
    (1, 2, 3),
)
ODD_SHAPES = ((), (0,), (1,), (3,), (2, 3), (2, 0, 3, 3), (0, 3, 4, 4), (1, 1, 1, 1), (2, 3, 5), (2, 3, 1, 4, 4))


class Draw:
    """What a case draws, from a seed of its own."""

    def __init__(self, seed, number):
        self.rng = np.random.default_rng([seed, number])
        self.dtype = np.float32 if self.rng.random() < 0.7 else np.float64

    def one_of(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def perhaps(self, probability=0.15):
        return self.rng.random() < probability

    def size(self, low=1, high=9):
        return int(self.rng.integers(low, high))

    def number(self, value):
        """`value`, or now and then something else."""
        return self.one_of(*ODD_NUMBERS) if self.perhaps(0.06) else value

    def shape(self, shape):
        """`shape`, or one like it, or another one."""
        if self.perhaps(0.05):
            return self.one_of(*ODD_SHAPES)
        if self.perhaps(0.08) and shape:
            axis = self.rng.integers(len(shape))
            return (*shape[:axis], max(0, shape[axis] + self.one_of(-1, 1)), *shape[axis + 1 :])
        return tuple(shape)

    def array(self, *shape):
        """Numbers of about this shape, somehow laid out, mostly of the case's dtype."""
        shape = self.shape(shape)
        values = self.rng.standard_normal(shape)
        if self.perhaps(0.03) and values.size:
            values.flat[self.rng.integers(values.size)] = self.one_of(np.nan, np.inf, -np.inf, 1e30, 1e-30)
        dtype = self.dtype if not self.perhaps(0.04) else self.one_of(np.float32, np.float64, np.int64, np.uint8, bool)
        with np.errstate(all="ignore"):
            array = values.astype(dtype)
        return self.laid_out(array)

    def laid_out(self, array):
        if array.ndim == 0 or self.perhaps(0.6):
            return array
        layout = self.rng.integers(6)
        if layout == 0:
            return np.asfortranarray(array)
        if layout == 1:
            return array[..., ::-1]
        if layout == 2:
            return np.repeat(array, 2, axis=-1)[..., ::2]
        if layout == 3:
            return np.broadcast_to(array[:1], array.shape)
        if layout == 4 and array.ndim > 2:
            return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
        array.flags.writeable = False
        return array

    def labels(self, shape, classes):
        dtype = self.one_of(np.int64, np.int64, np.int32, np.uint8, np.uint64)
        labels = self.rng.integers(0, max(classes, 1), shape).astype(dtype)
        if self.perhaps() and labels.size:
            labels.flat[self.rng.integers(labels.size)] = self.one_of(
                classes, 255, 100, *([] if dtype != np.int64 else [-1, -100, 10**10])
            )
        return labels
