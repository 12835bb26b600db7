"""Settings that a run cannot work with: their error, and how to find out before the run."""

import contextlib

import numpy as np

from ..autograd import no_grad
from ..tensor import Tensor


class SettingError(ValueError):
    """An argument, or a folder it names, cannot be used; the message says why and what to do."""


@contextlib.contextmanager
def as_setting_error():
    """A ValueError of what is built inside the block, from the arguments, becomes a SettingError."""
    try:
        yield
    except ValueError as error:
        raise SettingError(str(error)) from error


@no_grad()
def try_out(model, image_size):
    """One blank picture through `model`: a ValueError now, and not an hour later, if it is too small."""
    blank = Tensor(np.zeros((1, 3, image_size, image_size), np.float32))
    model.eval()(blank.to(next(model.parameters()).device))
