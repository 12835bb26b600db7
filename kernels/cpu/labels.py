"""Labels and class weights as the losses' loops take them, and the error of a label that no class has.

A label says which element is read or written, so each is checked where it is used.
"""

import numpy as np

from .machine.layout import contiguous


def as_labels(target):
    """(positions,) int64."""
    return contiguous(np.asarray(target, np.int64)).reshape(-1)


def class_weights(weight, classes, dtype):
    """(classes,): the weights, or ones."""
    return np.ones(classes, dtype) if weight is None else contiguous(weight)


def check_label(op, labels, wrong, classes):
    """IndexError if a loop has met a label that no class has, at the index `wrong`; -1: it has not."""
    if wrong >= 0:
        raise IndexError(f"{op}: target holds label {labels[wrong]}; there are classes 0 to {classes - 1}")
