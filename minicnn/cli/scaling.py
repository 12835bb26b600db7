"""What changes with the size of the batch and the number of processes: the learning rate, its beginning, batch norm.

Source    Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", arXiv 1706.02677, 2017: the linear
          scaling rule (section 2.1), gradual warm-up (section 2.2)
"""

from argparse import Namespace
from typing import TypeVar

from ..data import DataLoader
from ..distributed import world
from ..nn import Module, SyncBatchNorm
from ..optim import Optimizer
from ..optim.lr_scheduler import LinearWarmup

START = 0.1  # of the rate, where --lr-for-batch has not raised it
M = TypeVar("M", bound=Module)


def scaled_lr(args: Namespace) -> float:
    """The rate that --lr means for this --batch-size: in proportion to it, if --lr-for-batch says what --lr is for.

    args.lr itself stays what was given, and so it is in checkpoints: a run that goes on is not scaled twice."""
    return args.lr * args.batch_size / args.lr_for_batch if args.lr_for_batch else args.lr


def warmup(args: Namespace, optimizer: Optimizer, loader: DataLoader) -> LinearWarmup | None:
    """That of --warmup, for a ``Trainer`` that trains on this loader; None if there is none to be."""
    if not args.warmup:
        return None
    return LinearWarmup(optimizer, max(1, round(args.warmup * len(loader))), _start_factor(args))


def describe_lr(args: Namespace) -> str:
    """A line on the rate in force, where it is another than --lr, or will be reached in a while; else nothing."""
    said = []
    if args.lr_for_batch:
        said.append(f"--lr {args.lr:g} for batches of {args.lr_for_batch} is {scaled_lr(args):g} for {args.batch_size}")
    if args.warmup:
        first, last = scaled_lr(args) * _start_factor(args), scaled_lr(args)
        said.append(f"lr grows from {first:g} to {last:g} in {args.warmup:g} epoch{'s' if args.warmup != 1 else ''}")
    return "; ".join(said)


def _start_factor(args):
    raised = scaled_lr(args) / args.lr if args.lr else 1
    return 1 / raised if raised > 1 else START  # Goyal et al. begin with the rate that is right for small batches


def for_training(args: Namespace, model: M) -> M:
    """`model` on --device; with --sync-bn its batch norms see the pictures of all ranks. Its parameters, buffers and
    their names are what they were, so that checkpoints are, too; one process by itself changes nothing."""
    if args.sync_bn and world().size > 1:
        SyncBatchNorm.convert_sync_batchnorm(model)
    return model.to(args.device)
