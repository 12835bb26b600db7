"""Which optimiser and which schedule: their flags, and what is made of them.

    --opt      sgd       lr of the recipe; --momentum, --nesterov
               adam      lr 0.001; --momentum is beta1                            adamw: weight decay beside the means
               rmsprop   lr 0.001; alpha 0.9, eps 0.0316, as torchvision trains MobileNets
               lars      lr 1; biases and batch norms by plain SGD
    --sched    step      * --gamma after every --step-size epochs                 multistep: after each of --milestones
               plateau   * --gamma after --patience epochs without improvement
               cosine    half a cosine down to --lr-min at the end of the run
               onecycle  up to lr and down again, batch by batch

--warmup-epochs goes before a schedule, epoch by epoch, as torchvision's reference trainer has it; --warmup of all
programs goes beside it, batch by batch.
"""

from argparse import ArgumentParser, Namespace, _ArgumentGroup
from typing import Any

from .. import optim
from ..data import DataLoader
from ..distributed import world
from ..nn import Module
from ..optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearWarmup,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    Schedule,
    StepLR,
)
from ..storage.checkpoint import CheckpointError, State
from ..train.step import check_graph
from .arguments import number, steps_of, whole
from .remembered import SAID
from .scaling import scaled_lr

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "lars")
OWN_LR = {"adam": 0.001, "adamw": 0.001, "rmsprop": 0.001, "lars": 1.0}  # a recipe's is that of SGD
SCHEDULES = ("step", "multistep", "plateau", "cosine", "onecycle")
TO_THE_END = ("cosine", "onecycle")  # whose rate comes down to nearly nothing at the end of the run


def add_optimizer_flags(parser: ArgumentParser) -> _ArgumentGroup:
    """The flags of optimisers, and how weight decay differs between parameters."""
    group = parser.add_argument_group("optimiser")
    how = "how weights are changed; --momentum is beta1 of adam and adamw"
    group.add_argument("--opt", choices=OPTIMIZERS, default="sgd", help=how)
    group.add_argument("--nesterov", action="store_true", help="of sgd: look ahead along the velocity")
    other = "of batch norms' parameters (default: --wd)"
    group.add_argument("--norm-weight-decay", metavar="WD", type=number(0), help=other)
    group.add_argument("--bias-weight-decay", metavar="WD", type=number(0), help="of biases (default: --wd)")
    return group


def add_schedule_flags(group: _ArgumentGroup) -> None:
    """The flags of schedules, into a group that has --patience."""
    how = f"how lr changes, one of {', '.join(SCHEDULES)} (default: the recipe's)"
    group.add_argument("--sched", "--schedule", metavar="SCHED", type=_schedule, choices=SCHEDULES, help=how)
    epochs: dict[str, Any] = {"type": whole(1), "nargs": "+", "default": [30, 60]}
    group.add_argument("--milestones", metavar="EPOCH", help="of --sched multistep: lr falls there", **epochs)
    every = "epochs, of --sched step: lr falls after so many"
    group.add_argument("--step-size", "--lr-step-size", metavar="EPOCHS", type=whole(1), default=30, help=every)
    falls = "what lr is multiplied by where it falls"
    group.add_argument("--gamma", "--lr-gamma", type=number(1e-9, 1), default=0.1, help=falls)
    group.add_argument("--lr-min", type=number(0), default=0.0, help="where --sched cosine ends")
    grows = "lr grows so long, epoch by epoch, and the schedule counts from there on"
    group.add_argument("--warmup-epochs", "--lr-warmup-epochs", metavar="EPOCHS", type=whole(0), default=0, help=grows)
    begins: dict[str, Any] = {"metavar": "FACTOR", "type": number(1e-9, 1), "default": 0.01}
    begun = "the part of lr with which --warmup-epochs begin"
    group.add_argument("--warmup-decay", "--lr-warmup-decay", help=begun, **begins)


def _schedule(text):
    return SAID["sched"].get(text, text)  # --schedule steps, as it was called


def build_optimizer(args: Namespace, model: Module, groups: list[dict[str, Any]] | None = None) -> optim.Optimizer:
    """The optimiser of --opt. groups: a recipe's own, with a weight decay for each kind of parameter; None: as the
    flags say. ValueError for flags that do not go together."""
    if groups is None:
        groups = optim.by_weight_decay(model, args.wd, args.norm_weight_decay, args.bias_weight_decay)
    elif args.norm_weight_decay is not None or args.bias_weight_decay is not None:
        what = "the recipe has a weight decay of its own for biases and batch norms, none"
        raise ValueError(f"{what}; leave --norm-weight-decay and --bias-weight-decay out, or choose another --recipe")
    if args.nesterov and args.opt != "sgd":
        raise ValueError(f"--nesterov is for --opt sgd, and not for {args.opt}; leave it out")
    optimizer = _optimizer(args, groups)
    check_graph(args.cuda_graph, steps_of(args), world().size, args.device, optimizer)
    return optimizer


def _optimizer(args, groups):
    lr, momentum = scaled_lr(args), args.momentum
    if args.opt == "sgd":
        return optim.SGD(groups, lr, momentum, weight_decay=args.wd, nesterov=args.nesterov)
    if args.opt == "rmsprop":
        return optim.RMSprop(groups, lr, alpha=0.9, eps=0.0316, weight_decay=args.wd, momentum=momentum)
    if args.opt == "lars":
        return optim.LARS([part for group in groups for part in _for_lars(group)], lr, momentum, args.wd)
    kind = optim.Adam if args.opt == "adam" else optim.AdamW
    return kind(groups, lr, (momentum, 0.999), weight_decay=args.wd)


def _for_lars(group):
    """Weights, and what has one axis: biases and batch norms, which take no part in the adaptation."""
    weights, others = ([p for p in group["params"] if (p.ndim > 1) == is_weight] for is_weight in (True, False))
    parts = [{**group, "params": weights}, {**group, "params": others, "trust_coefficient": None}]
    return [part for part in parts if part["params"]]


def build_schedule(args: Namespace, optimizer: optim.Optimizer, loader: DataLoader) -> Schedule:
    """That of --sched, behind --warmup-epochs. ValueError for flags that do not go together."""
    if args.sched == "onecycle":
        if args.warmup or args.warmup_epochs:
            raise ValueError("--sched onecycle has a warm-up of its own; leave --warmup and --warmup-epochs out")
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, rates, args.epochs * len(loader), cycle_momentum=False)
    if args.warmup and args.warmup_epochs:
        raise ValueError("--warmup and --warmup-epochs both say how long lr grows; leave one out")
    schedule = _schedule_of_epochs(args, optimizer)
    if not args.warmup_epochs:
        return schedule
    return LinearWarmup(optimizer, args.warmup_epochs, args.warmup_decay, schedule)


def _schedule_of_epochs(args, optimizer):
    if args.sched == "step":
        return StepLR(optimizer, args.step_size, args.gamma)
    if args.sched == "multistep":
        return MultiStepLR(optimizer, args.milestones, args.gamma)
    if args.sched == "plateau":
        if args.gamma == 1:
            raise ValueError("--sched plateau with --gamma 1 would never change lr; choose a smaller one")
        return ReduceLROnPlateau(optimizer, factor=args.gamma, patience=args.patience)
    if (left := args.epochs - args.warmup_epochs) < 1:
        what = f"--warmup-epochs {args.warmup_epochs} of --epochs {args.epochs} leave none for --sched cosine"
        raise ValueError(f"{what}; choose fewer, or more epochs")
    return CosineAnnealingLR(optimizer, left, args.lr_min)


def schedule_each(args: Namespace) -> str:
    """ "batch" or "epoch": after which the schedule is stepped, for a ``Trainer``."""
    return "batch" if args.sched == "onecycle" else "epoch"


def check_resumed(args: Namespace, state: State | None) -> None:
    """CheckpointError where a run cannot go on: its file holds an average of weights alone; or it is to become longer
    or shorter, and its rate comes down with its end."""
    if state and not state["optimizer"]:
        what = f"{args.resume} holds an average of weights, to be tested and used, and not to go on from"
        raise CheckpointError(f"{what}; give checkpoint_last.npz of that run")
    then = state["settings"]["epochs"] if state else args.epochs
    if args.sched in TO_THE_END and then != args.epochs:
        what = f"{args.resume} is of a run of {then} epochs, at whose end --sched {args.sched} comes down"
        raise CheckpointError(f"{what}; it cannot have {args.epochs}: leave --epochs out")


def describe_optimizer(args: Namespace) -> str:
    """The optimiser and the schedule in a few words, as they are after all flags."""
    name = {"sgd": "", "adam": "Adam, ", "adamw": "AdamW, ", "rmsprop": "RMSprop, ", "lars": "LARS, "}[args.opt]
    epochs = "1 epoch" if args.warmup_epochs == 1 else f"{args.warmup_epochs} epochs"
    grows = f" after {epochs} of growing" if args.warmup_epochs else ""
    nesterov = " (nesterov)" if args.nesterov else ""
    rate = f"{name}lr {scaled_lr(args):g}, {_falls(args)}{grows}"
    return f"{rate}; momentum {args.momentum:g}{nesterov}, weight decay {args.wd:g}"


def _falls(args):
    by = "/ 10" if args.gamma == 0.1 else f"* {args.gamma:g}"
    if args.sched == "multistep":
        milestones = ", ".join(str(epoch) for epoch in args.milestones if epoch < args.epochs)
        when = f"after epochs {milestones} of" if milestones else "never in"
        return f"{by} {when} {args.epochs}{'' if milestones else ' epochs'}"
    return {
        "step": f"{by} after every {args.step_size} epochs",
        "plateau": f"{by} after {args.patience} epochs without improvement",
        "cosine": f"down to {args.lr_min:g} along half a cosine in {args.epochs} epochs",
        "onecycle": f"reached from {scaled_lr(args) / 25:g}, and left again, in {args.epochs} epochs",
    }[args.sched]
