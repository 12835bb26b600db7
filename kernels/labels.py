"""A label that no class has, found by a kernel on the GPU and told when values are next copied to the host.

A loss has one number in the GPU's memory for each number of classes. A kernel lowers it, by an atomic minimum, to a
label that is out of range. It lies there from the first call on: a training step writes nothing and waits for nothing.
"""

import functools

import numpy as np

from minicnn.deferred import Mark, marks
from minicnn.device import array_module, to_device

NONE = np.iinfo(np.int64).max


def as_labels(target):
    """The labels as int64."""
    return target.astype("int64", copy=False)


def wrong_label(op, scores):
    """int64 (1,) on the GPU of `scores` (N, C, ...): NONE, or the lowest label that op's kernel found out of range."""
    return _mark(op, scores.shape[1], array_module(scores), str(getattr(scores, "device", "")))


@functools.cache
def _mark(op, classes, _library, _gpu):
    wrong = to_device(np.array([NONE]), "cuda")

    def check(found):
        label = int(found[0])
        if label != NONE:
            wrong[...] = NONE
            raise IndexError(
                f"{op}: target holds label {label}, but the scores have classes 0 to {classes - 1} (found on "
                "the GPU; the call was an earlier one)"
            )

    marks.append(Mark(wrong, check))
    return wrong
