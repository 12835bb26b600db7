"""A label that no class has, found by a kernel on the GPU and told when values are next copied to the host.

Each number of classes has one number in the GPU's memory, which a kernel lowers (by an atomic minimum) to a label that
is out of range. It lies there from the first call on: a training step writes nothing and waits for nothing.
"""

import functools

import numpy as np

from minicnn.deferred import check_on_arrival
from minicnn.device import array_module, copy_to_host, to_device

NONE = np.iinfo(np.int64).max


def as_labels(target):
    """The labels as int64."""
    return target.astype("int64", copy=False)


def wrong_label(logits):
    """int64 (1,) on the GPU of `logits` (N, C, ...): NONE, or the lowest label that a kernel found out of range."""
    return _mark(logits.shape[1], array_module(logits), str(getattr(logits, "device", "")))


@functools.cache
def _mark(classes, _library, _gpu):
    wrong = to_device(np.array([NONE]), "cuda")

    def check():
        label = int(copy_to_host(wrong)[0])
        if label != NONE:
            wrong[...] = NONE
            raise IndexError(
                f"cross_entropy: target holds label {label}, but the scores have classes 0 to {classes - 1} (found on "
                "the GPU; the call was an earlier one)"
            )

    check_on_arrival(check)
    return wrong
