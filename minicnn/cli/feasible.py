"""Whether a run can work with its settings, found out before it begins."""

import contextlib
from argparse import Namespace
from collections.abc import Iterator
from itertools import product

import numpy as np

from .. import random
from ..distributed import world
from ..distributed.rows import rows
from ..errors import SettingError
from ..gradmode import no_grad
from ..nn import Module
from ..tensor import Tensor
from ..train.eventfile import event_package
from ..train.step import ALL_AT_ONCE, Steps, check_graph, check_precision, check_steps
from .arguments import steps_of


@contextlib.contextmanager
def as_setting_error() -> Iterator[None]:
    """A ValueError of what is built inside the block, from the arguments, becomes a SettingError."""
    try:
        yield
    except ValueError as error:
        raise SettingError(str(error)) from error


def check_feasible(args: Namespace, model: Module, count: int) -> None:
    """Whether the run can be what the arguments say, with `model` and so many training pictures. A ValueError, now."""
    steps = steps_of(args)
    check_steps(steps, args.batch_size, world().size, args.device)
    check_precision(args.device, args.tier)
    check_graph(args.cuda_graph, steps, world().size, args.device)
    own = getattr(args, "train_crop_size", None)  # which some programs have
    sizes = {"--image-size": args.image_size} | ({"--train-crop-size": own} if own else {})
    attempts = ((try_out, ""), (try_auxiliary, "the auxiliary heads of "))
    for (flag, size), (attempt, who) in product(sizes.items(), attempts):
        try:
            attempt(model, size)
        except ValueError as error:
            what = f"{who}{args.arch} cannot be trained on pictures of {flag} {size}"
            raise ValueError(f"{what}; take larger ones: {error}") from error
    try_single_pictures(model, own or args.image_size, count, args.batch_size, args.drop_last, steps, args.sync_bn)
    if args.tensorboard:
        event_package()  # SettingError without the package


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
def try_single_pictures(
    model: Module,
    image_size: int,
    count: int,
    batch_size: int,
    drop_last: bool,
    steps: Steps = ALL_AT_ONCE,
    sync_bn: bool = False,
) -> None:
    """Whether `model` can be trained on all batches of `count` pictures, in the parts that ranks and `steps` make of
    them: a ValueError now, and not after most of an epoch, if a batch norm sees a single picture, and in it one number
    a channel; or if there is no batch at all. sync_bn: batch norm sees the pictures of all ranks.

    Running statistics and random numbers are those of before.
    """
    if drop_last and count < batch_size:
        raise ValueError(f"--drop-last leaves nothing of {count} training pictures: --batch-size is {batch_size}")
    rest = count % batch_size
    sizes = [rest] if rest and not drop_last else []
    if count >= batch_size:
        sizes.append(batch_size)
    for size in sizes:
        if (own := _where_one_is_seen(size, steps, sync_bn)) is None:
            continue
        try:
            with _unchanged(model):
                model.train()(_blank(model, image_size, own))
        except ValueError as error:
            ways_out = ["leave it out by --drop-last"] if size == rest and count > batch_size else []
            ways_out += ["choose another --batch-size"] if count > 1 else []
            if not sync_bn and steps.shards is None and _where_one_is_seen(size, steps, True) is None:
                ways_out.append("let batch norm see the pictures of all ranks by --sync-bn")
            way_out = ", or ".join(ways_out) or "one is too few"
            if size == 1:
                what = f"the last batch of {count} training pictures has a single one with --batch-size {batch_size}"
            else:
                which = "the last batch" if size == rest else "a full batch"
                what = f"{which} has {size} pictures, and one of its {_parts(steps)} a single one"
            raise ValueError(f"{what}; {way_out}: {error}") from error


def _where_one_is_seen(size, steps, sync_bn):
    """How many pictures of a batch of `size` this rank has at a moment when some batch norm sees only one of them; None
    if there is no such moment."""
    ranks = world()
    parts = steps.parts(ranks.size)
    for part in range(parts):
        of_ranks = [len(rows(size, rank * parts + part, ranks.size * parts)) for rank in range(ranks.size)]
        if sync_bn and sum(of_ranks) == 1:
            return of_ranks[ranks.rank]
        if not sync_bn and 1 in of_ranks:
            return 1  # on every rank: all of them end with the same message
    return None


def _parts(steps):
    """How many parts a batch has, and why."""
    ranks, parts = world().size, steps.parts(world().size)
    by = [f"{ranks} ranks"] if ranks > 1 else []
    by += [f"--accumulate {steps.accumulate}"] if steps.accumulate > 1 else []
    by += [f"--shards {steps.shards}"] if steps.shards else []
    return f"{ranks * parts} parts ({', '.join(by)})"


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
