"""What goes on around a step, by flags: smoothed labels, clipped gradients, an average of the weights, an early end."""

from argparse import ArgumentParser, Namespace

from ..nn import CrossEntropyLoss, Module
from ..train import EarlyStop
from ..train.callbacks import Callback
from ..train.ema import ModelEma
from .arguments import number, whole


def add_step_flags(parser: ArgumentParser) -> None:
    """Their flags, in a group of their own."""
    group = parser.add_argument_group("around a step")
    smooth = "the part of a label that all classes share; 0.1, say (Szegedy et al. 2016)"
    group.add_argument("--label-smoothing", metavar="PART", type=number(0, 1), default=0.0, help=smooth)
    clip = "the most that the norm of all gradients together may be"
    group.add_argument("--clip-grad-norm", metavar="NORM", type=number(0), help=clip)
    ema = "also average the weights, test the average, and keep it as checkpoint_ema.npz"
    group.add_argument("--model-ema", action="store_true", help=ema)
    every = "batches between two averages"
    group.add_argument("--model-ema-steps", metavar="BATCHES", type=whole(1), default=32, help=every)
    keeps = "of the average, per picture and epoch: it keeps 1 - (1 - DECAY) * batch size * steps / epochs of itself"
    group.add_argument("--model-ema-decay", metavar="DECAY", type=number(0, 1), default=0.99998, help=keeps)
    stop = "end after so many epochs without a better one"
    group.add_argument("--early-stop", metavar="EPOCHS", type=whole(1), help=stop)


def loss_of(args: Namespace) -> CrossEntropyLoss | None:
    """What a ``Trainer`` minimises; None: cross entropy as it is."""
    return CrossEntropyLoss(label_smoothing=args.label_smoothing) if args.label_smoothing else None


def step_callbacks(args: Namespace, model: Module) -> list[Callback]:
    """Those of a ``Trainer`` of this model, to stand before others. ValueError for what they cannot be set to."""
    callbacks: list[Callback] = []
    if args.model_ema:
        callbacks.append(ModelEma(model, ema_decay(args), args.model_ema_steps, args.warmup_epochs))
    if args.early_stop:
        callbacks.append(EarlyStop(args.early_stop))
    return callbacks


def ema_decay(args: Namespace) -> float:
    """What the average keeps of itself, as torchvision's reference trainer scales it: --model-ema-decay is that of one
    picture in a run of one epoch."""
    alpha = (1 - args.model_ema_decay) * args.batch_size * args.model_ema_steps / args.epochs
    return 1 - min(1.0, alpha)
