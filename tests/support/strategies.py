"""What hypothesis draws: shapes, options, a memory layout and a seed; the values come from the seed.

Drawing geometry and one seed is ten times faster than drawing the numbers, prints as a line that can be read, and
shrinks to a small shape. Where values matter (ties, kinks) the ``values`` function of ``Case.arrays`` takes care.
"""

import contextlib
from dataclasses import dataclass, field
from unittest import mock

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

SEEDS = st.integers(0, 2**32 - 1)
SIDES = st.integers(1, 4)
PERHAPS = st.booleans()


@contextlib.contextmanager
def with_settings(test, change):
    """Inside, a test of hypothesis has the settings change(its own). (Where hypothesis keeps them is not public, and
    there is no public way to change them later than where the test is defined: the name stands here alone.)"""
    name = "_hypothesis_internal_use_settings"
    own = getattr(test, name, None) or settings.default
    with mock.patch.object(test, name, change(own)) if hasattr(test, "hypothesis") else contextlib.nullcontext():
        yield


def a_quarter(test):
    """A quarter of the usual examples: for what is done number by number, where shapes and layouts are all there is."""
    return settings(max_examples=max(10, settings.default.max_examples // 4))(test)


# Values


def normal(rng, shape):
    return rng.standard_normal(shape)


def positive(rng, shape):
    return 0.5 + rng.random(shape)


def distinct(rng, shape):
    """Different, evenly spaced numbers in random order: a step of 1e-5 changes no maximum."""
    size = int(np.prod(shape))
    return 0.1 * (rng.permutation(size) - size / 2 + 0.3).reshape(shape)


def away_from_zero(rng, shape):
    """Numbers of both signs, none nearer to 0 than 0.1."""
    return rng.choice([-1.0, 1.0], shape) * (0.1 + np.abs(rng.standard_normal(shape)))


# Memory layouts: the same numbers at other places (except "broadcast", which repeats the first along axis 0)


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def _channels_last(array):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1) if array.ndim > 2 else array


LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "channels last": _channels_last,
    "negative stride": lambda a: a[..., ::-1].copy()[..., ::-1],
    "sliced": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "read-only": _read_only,
}


@dataclass(frozen=True)
class Case:
    """One example: the shapes of an op's array arguments (None for one left out), its other arguments, a seed."""

    shapes: tuple
    options: dict = field(default_factory=dict)
    seed: int = 0
    layout: str = "C"

    def arrays(self, values=normal):
        rng = self.rng()
        return [None if shape is None else self._lay_out(values(rng, shape)) for shape in self.shapes]

    def rng(self):
        return np.random.default_rng(self.seed)

    def _lay_out(self, array):
        return LAYOUTS[self.layout](array) if array.ndim else array


def cases(shapes, layouts=tuple(LAYOUTS), **options):
    """Case, from a strategy of shapes and one for each option."""
    return st.builds(Case, shapes, st.fixed_dictionaries(options), SEEDS, st.sampled_from(layouts))


# Shapes


def pairs(low, high):
    """An int for both axes, or (height, width)."""
    numbers = st.integers(low, high)
    return numbers | st.tuples(numbers, numbers)


def both(value):
    return value if isinstance(value, tuple) else (value, value)


ANY_SHAPE = array_shapes(min_dims=0, max_dims=4, max_side=4)
ONE_SHAPE = ANY_SHAPE.map(lambda shape: (shape,))
TWO_EQUAL_SHAPES = ANY_SHAPE.map(lambda shape: (shape, shape))
TWO_BROADCAST_SHAPES = mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3).map(
    lambda drawn: drawn.input_shapes
)


@st.composite
def images(draw, kernel, padding, dilation, channels):
    """(N, C, H, W) that the window fits into, with up to three pixels to spare on each axis, H and W by themselves.

    No smaller than the dilation: else the taps of a pooling window may all miss the image, and then PyTorch's
    max_pool2d writes outside its memory.
    """
    sizes = [
        max(d * (k - 1) + 1 - 2 * p, d) for k, p, d in zip(both(kernel), both(padding), both(dilation), strict=True)
    ]
    return (draw(st.integers(1, 2)), channels, *(size + draw(st.integers(0, 3)) for size in sizes))


@st.composite
def convolutions(draw):
    """(x, weight, bias or None) and every option of conv2d: groups up to depthwise, "same", "valid", odd strides."""
    groups, group_in, group_out = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride, dilation = draw(pairs(1, 3)), draw(pairs(1, 2))
    padding = draw(pairs(0, 2) | st.sampled_from(["same", "valid"]))
    if padding == "same":
        stride = 1
    margins = 0 if isinstance(padding, str) else padding
    x = draw(images(kernel, margins, dilation, groups * group_in))
    weight = (groups * group_out, group_in, *kernel)
    bias = draw(st.sampled_from([None, weight[:1]]))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return Case((x, weight, bias), options, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))


@st.composite
def poolings(draw, dilated=False, **more_options):
    """(x,) and the options of a pooling: overlapping or not, padding up to half the window, ceil_mode."""
    kernel = draw(pairs(1, 3))
    stride = draw(st.none() | pairs(1, 3))
    padding = tuple(draw(st.integers(0, k // 2)) for k in both(kernel))
    dilation = draw(pairs(1, 2)) if dilated else 1
    x = draw(images(kernel, padding, dilation, draw(st.integers(1, 3))))
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": draw(PERHAPS)}
    options |= {"dilation": dilation} if dilated else {}
    options |= {name: draw(strategy) for name, strategy in more_options.items()}
    return Case((x,), options, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))


@st.composite
def batches(draw, min_count, max_count):
    """(x, weight or None, bias or None) of batch norm with so many values in each channel, (N, C) to (N, C, H, W)."""
    channels = draw(SIDES)
    sides = st.tuples(SIDES, *[st.integers(1, 3)] * draw(st.integers(0, 2)))
    n, *size = draw(sides.filter(lambda s: min_count <= np.prod(s) <= max_count))
    parameters = st.sampled_from([None, (channels,)])
    shapes = (n, channels, *size), draw(parameters), draw(parameters)
    return Case(shapes, {"eps": draw(st.sampled_from([1e-5, 0.1]))}, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))


@st.composite
def responses(draw):
    """(x,) and the options of LRN: even and odd windows, wider than the channels too, alpha near 1."""
    x = draw(array_shapes(min_dims=3, max_dims=4, max_side=5))
    options = {
        "size": draw(st.integers(1, 7)),
        "alpha": draw(st.sampled_from([1.0, 0.5, 1e-2])),
        "beta": draw(st.sampled_from([0.75, 0.5, 1.0])),
        "k": draw(st.sampled_from([1.0, 2.0])),
    }
    return Case((x,), options, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))


@st.composite
def matrix_products(draw):
    """(a, b) of shapes (..., I, K) and (..., K, J) whose leading axes broadcast."""
    leading = draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3))
    i, j, k = draw(st.tuples(SIDES, SIDES, SIDES))
    a, b = leading.input_shapes
    return Case(((*a, i, k), (*b, k, j)), {}, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))


@st.composite
def dense_layers(draw):
    """(x, weight, bias or None) of linear, with any number of leading axes."""
    features, out = draw(SIDES), draw(SIDES)
    leading = draw(array_shapes(min_dims=0, max_dims=3, max_side=3))
    shapes = (*leading, features), (out, features), draw(st.sampled_from([None, (out,)]))
    return Case(shapes, {}, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))


@st.composite
def classifications(draw):
    """(scores,) (N, C, ...), and the options of cross_entropy; ``labels`` makes the targets and ``weights``."""
    x = draw(array_shapes(min_dims=2, max_dims=4, max_side=4))
    options = {
        "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
        "label_smoothing": draw(st.sampled_from([0.0, 0.1, 1.0])),
        "weighted": draw(PERHAPS),
        "ignore_index": draw(st.sampled_from([-100, 0])),
    }
    return Case((x,), options, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))


def axis_of(shape):
    return st.integers(-len(shape), len(shape) - 1)


@st.composite
def with_axis(draw, layouts=tuple(LAYOUTS)):
    """(x,) and one of its axes, from either end."""
    shape = draw(array_shapes(max_dims=4, max_side=4))
    return Case((shape,), {"dim": draw(axis_of(shape))}, draw(SEEDS), draw(st.sampled_from(layouts)))


@st.composite
def reductions(draw):
    """(x,), dim None, one axis or several, and keepdim."""
    shape = draw(array_shapes(min_dims=1, max_dims=4, max_side=3))
    several = st.lists(axis_of(shape), min_size=1, unique_by=lambda d: d % len(shape)).map(tuple)
    options = {"dim": draw(st.none() | axis_of(shape) | several), "keepdim": draw(PERHAPS)}
    return Case((shape,), options, draw(SEEDS), draw(st.sampled_from(list(LAYOUTS))))
