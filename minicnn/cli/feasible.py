"""Whether a run can work with its settings, found out before it begins."""

import contextlib
from argparse import Namespace
from collections.abc import Iterator

import numpy as np

from .. import random
from ..errors import SettingError
from ..gradmode import no_grad
from ..nn import Module
from ..tensor import Tensor
from ..train.log import summary_writer


@contextlib.contextmanager
def as_setting_error() -> Iterator[None]:
    """A ValueError of what is built inside the block, from the arguments, becomes a SettingError."""
    try:
        yield
    except ValueError as error:
        raise SettingError(str(error)) from error


def check_feasible(args: Namespace, model: Module, count: int) -> None:
    """Whether the run can be what the arguments say, with `model` and so many training pictures. A ValueError, now."""
    for attempt, who in ((try_out, ""), (try_auxiliary, "the auxiliary heads of ")):
        try:
            attempt(model, args.image_size)
        except ValueError as error:
            what = f"{who}{args.arch} cannot be trained on pictures of --image-size {args.image_size}"
            raise ValueError(f"{what}; take larger ones: {error}") from error
    try_last_batch(model, args.image_size, count, args.batch_size, args.drop_last)
    if args.tensorboard:
        summary_writer()  # SettingError without the package


@no_grad()
def try_out(model: Module, image_size: int) -> None:
    """One blank picture through `model`: a ValueError now, and not an hour later, if it is too small."""
    model.eval()(_blank(model, image_size))


@no_grad()
def try_auxiliary(model: Module, image_size: int) -> None:
    """Two blank pictures through the auxiliary heads of `model`, if it has any, which run in training only: a
    ValueError if they are too small for these. Running statistics and random numbers are those of before."""
    if any(getattr(model, name) for name in getattr(model, "AUXILIARY", ())):
        with _unchanged(model):
            model.train()(_blank(model, image_size, count=2))  # of one picture, batch norm may see one number a channel


@no_grad()
def try_last_batch(model: Module, image_size: int, count: int, batch_size: int, drop_last: bool) -> None:
    """Whether `model` can be trained on the last batch of `count` pictures: a ValueError now, and not after most of an
    epoch, if it has one picture, and a batch norm that sees one number a channel; or if there is no batch at all.

    Running statistics and random numbers are those of before.
    """
    if drop_last and count < batch_size:
        raise ValueError(f"--drop-last leaves nothing of {count} training pictures: --batch-size is {batch_size}")
    if (count % batch_size or batch_size) > 1 or (drop_last and batch_size > 1):
        return
    try:
        with _unchanged(model):
            model.train()(_blank(model, image_size))
    except ValueError as error:
        can_be_dropped = 1 < batch_size < count
        way_out = "leave it out by --drop-last, or choose another --batch-size" if can_be_dropped else "one is too few"
        what = f"the last batch of {count} training pictures has a single one with --batch-size {batch_size}"
        raise ValueError(f"{what}; {way_out}: {error}") from error


@contextlib.contextmanager
def _unchanged(model):
    """Afterwards `model` is in evaluation mode, with the buffers that it had; and so are the random numbers."""
    buffers, numbers = [(buffer, buffer.data.copy()) for buffer in model.buffers()], random.get_state()
    try:
        yield
    finally:
        model.eval()
        random.set_state(numbers)
        for buffer, data in buffers:
            buffer.data[...] = data


def _blank(model, image_size, count=1):
    blank = Tensor(np.zeros((count, 3, image_size, image_size), np.float32))
    return blank.to(next(model.parameters()).device)
