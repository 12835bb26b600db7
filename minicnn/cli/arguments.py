"""The command line that the training examples share, with the names of PyTorch's ImageNet example.

A setting comes from the first of these that has it: the command line; the checkpoint given to --resume, or the file
given to --config; what the program sets for its architecture and data; the default below.
"""

import argparse
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import calling, console
from ..data.geometry import FILTERS
from ..data.subset import PictureSet
from ..device import DEVICES, TIERS, cpu_unit, current_tier, set_tier
from ..distributed import world
from ..distributed.agree import agree
from ..precision import PRECISIONS, current_precision, set_precision
from ..report import Report
from ..storage.checkpoint import CheckpointError, State
from ..train.callbacks import Callback
from ..train.keep_best import KeepBest
from ..train.restore import load_run, unusable
from ..train.step import Steps
from ..train.tensorboard import TensorBoard
from .config import load_config
from .remembered import OF_THIS_CALL, check_settings, flag, settings

# when a run is resumed; anything else would make it another run
PROGRESS = ("print_freq", "checkpoint_every", "tensorboard", "report", "keep_best")
WATCHING = ("workers", *PROGRESS, "max_bad_fraction", "step_timeout", "early_stop")
COMPUTING = ("device", "tier", "precision", "cuda_graph", "accumulate", "send")
MAY_CHANGE = (*OF_THIS_CALL, *WATCHING, *COMPUTING, "dir", "epochs")
MAY_CHANGE_IN_A_TEST = (*MAY_CHANGE, "batch_size", "shorter_side")


def make_parser(description: str, archs: Sequence[str]) -> ArgumentParser:
    """The shared parser; `archs`: the names for --arch, the default first. Programs add their own flags to it."""
    parser = Parser(description=description, formatter_class=_Help, allow_abbrev=False)
    layouts = "pictures, DIR/train/<class>/* and DIR/val/<class>/*, or DIR/<class>/*"
    parser.add_argument("dir", metavar="DIR", nargs="?", type=path, help=layouts)
    network = f"one of {', '.join(archs)}"
    parser.add_argument("-a", "--arch", metavar="ARCH", choices=archs, default=archs[0], help=network)

    data = parser.add_argument_group("pictures")
    data.add_argument("--dummy", action="store_true", help="random pictures, no files")
    data.add_argument("-j", "--workers", type=whole(0), default=4, help="threads that decode pictures")
    size = "pixels, after cropping (default: the arch's)"
    data.add_argument("--image-size", "--val-crop-size", metavar="PIXELS", type=whole(1), help=size)
    side: dict[str, Any] = {"metavar": "PIXELS", "type": whole(1), "default": 256}
    data.add_argument("--shorter-side", "--val-resize-size", help="before cropping; 32 for CIFAR's nets", **side)
    data.add_argument("--interpolation", choices=FILTERS, default="bilinear", help="how pictures are resized")
    kinds = ("mean_image", "channel_mean", "mean_std")
    data.add_argument("--preprocess", choices=kinds, help="what is subtracted (default: the arch's)")
    plain = "train on the centre crop, neither flipped nor recoloured"
    data.add_argument("--no-augment", action="store_true", help=plain)
    data.add_argument("--val-fraction", type=number(0, 0.9), default=0.1, help="split off from a folder without val/")
    data.add_argument("--classes", metavar="CLASS", nargs="+", help="only the pictures of these")
    data.add_argument("--train-per-class", metavar="COUNT", type=whole(1), help="train on so many of each class")
    data.add_argument("--max-bad-fraction", type=number(0, 1), default=0.001, help="unreadable pictures to put up with")

    training = parser.add_argument_group("training")
    training.add_argument("--epochs", type=whole(1), default=90, help="passes over the training pictures")
    training.add_argument("-b", "--batch-size", type=whole(1), default=128, help="pictures in a step")
    training.add_argument("--drop-last", action="store_true", help="leave out an epoch's last batch if it is not full")
    training.add_argument("--lr", "--learning-rate", type=number(0), default=0.01, help="learning rate, to begin with")
    for_batch = "what --lr is for; batches of another size have one in proportion (Goyal et al. 2017)"
    training.add_argument("--lr-for-batch", metavar="PICTURES", type=whole(1), help=for_batch)
    grows = "lr grows so long, batch by batch, from what --lr is for --lr-for-batch, or a tenth; 0.5: half an epoch"
    training.add_argument("--warmup", metavar="EPOCHS", type=number(0), default=0.0, help=grows)
    training.add_argument("--momentum", type=number(0, 1), default=0.9, help="of the velocity")
    training.add_argument("--wd", "--weight-decay", type=number(0), default=5e-4, help="weight decay")
    training.add_argument("--seed", type=whole(0), default=0, help="of weights, order, augmentation and dropout")

    run = parser.add_argument_group("the run")
    run.add_argument("--device", choices=DEVICES, default="cpu", help="where the network is")
    run.add_argument("--tier", choices=TIERS, default=current_tier(), help="written to be read, or to be run")
    add_precision(run, PRECISIONS)
    graph = "on a GPU: capture the third step as a CUDA graph, and replay it from then on"
    run.add_argument("--cuda-graph", action="store_true", help=graph)
    run.add_argument("--no-cuda-graph", action="store_false", dest="cuda_graph", default=False, help="or no longer")
    config = "settings to begin with: args.json of another run, or one written by hand; the command line goes before it"
    run.add_argument("--config", metavar="FILE", type=path, help=config)
    run.add_argument("--resume", metavar="CHECKPOINT", help="go on with its run, with its settings")
    run.add_argument("--other-pictures", action="store_true", help="resume although DIR holds others than before")
    usual = "a new folder (default: runs/<arch>-<data>-<number>)"
    run.add_argument("--output-dir", type=path, metavar="DIR", help=usual)
    run.add_argument("-p", "--print-freq", type=whole(1), default=10, help="batches between lines of progress")
    run.add_argument("--checkpoint-every", type=whole(0), default=0, help="batches; 0: at the end of an epoch only")
    best = "also keep the networks of the best so many epochs, checkpoint_epoch*.npz"
    run.add_argument("--keep-best", metavar="EPOCHS", type=whole(1), help=best)
    run.add_argument("--tensorboard", action="store_true", help="log for TensorBoard too")
    run.add_argument("--no-tensorboard", action="store_false", dest="tensorboard", default=False, help="or no longer")
    page = "write the run as one page, report.html, at its end; or do not"
    run.add_argument("--report", action=BooleanOptionalAction, default=True, help=page)

    ranks = parser.add_argument_group("memory, and several processes (mpiexec -n 4 python ...)")
    parts = "work on a batch in so many parts, one after the other, for less memory"
    ranks.add_argument("--accumulate", metavar="PARTS", type=whole(1), default=1, help=parts)
    all_pictures = "batch norm over the pictures of all processes, and not over those of each by itself"
    ranks.add_argument("--sync-bn", action="store_true", help=all_pictures)
    same = "a power of two: work on every batch in so many parts; the same bits on 1, 2, ... SHARDS processes, of"
    same += " one thread each"
    ranks.add_argument("--shards", type=whole(1), help=same)
    wire = "gradients between GPUs; bfloat16 is half the bytes"
    ranks.add_argument("--send", choices=("float32", "bfloat16"), default="float32", help=wire)
    hang = "end the job, and say where it hangs, if a step takes longer; 0: never"
    ranks.add_argument("--step-timeout", metavar="SECONDS", type=number(0), default=0.0, help=hang)

    # flags of some programs (around.py, augmenting.py)
    parser.set_defaults(clip_grad_norm=None, ra_sampler=False, ra_reps=3)

    testing = parser.add_argument_group("testing")
    testing.add_argument("-e", "--evaluate", action="store_true", help="test the checkpoint given to --resume, and end")
    testing.add_argument("--ensemble", metavar="CHECKPOINT", nargs="+", help="test several together, and end")
    testing.add_argument("--tta", choices=("10crop", "dense"), help="test on ten crops, or on whole pictures")
    testing.add_argument("--scales", metavar="PIXELS", type=whole(1), nargs="+", help="test on several shorter sides")
    return parser


ON_A_PROCESSOR = ("float32", "bfloat16")


def add_precision(group: Any, choices: Sequence[str] = ON_A_PROCESSOR) -> None:
    """The flag --precision, for a parser or one of its groups; a program without --device has those of a processor."""
    digits = "bfloat16: activations in half the bytes"
    if choices == PRECISIONS:
        digits += "; tf32, float16: only factors of products, on a GPU"
    group.add_argument("--precision", choices=choices, default=current_precision(), help=digits)


class Parser(ArgumentParser):
    """An ``ArgumentParser`` that names the program as it was called, and of which several processes say what it says
    only once. doc: a docstring, whose examples of `command` stand below the help."""

    def __init__(self, *, doc: str | None = None, command: str = "", **options: Any) -> None:
        if doc:
            raw = argparse.RawDescriptionHelpFormatter
            options = {"epilog": calling.usage(doc, command), "formatter_class": raw, **options}
        super().__init__(**{"prog": calling.prog(), **options})

    def _print_message(self, message, file=None):
        if not console.silent:  # of several processes, one says what is wrong with the arguments, or how to use them
            super()._print_message(message, file)


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows those defaults that say something; a table below the options stays as it is."""

    def _get_help_string(self, action):
        says_nothing = action.default is None or isinstance(action.default, bool)
        return action.help if says_nothing else super()._get_help_string(action)


def parse(
    parser: ArgumentParser, argv: Sequence[str] | None, choose_defaults: Callable[[Namespace], dict[str, Any]]
) -> tuple[Namespace, State | None]:
    """(arguments, state of the checkpoint to go on with or test first, or None). The tier and the precision that the
    arguments name are in force.

    argv: None for the command line's. RanksDiffer unless all ranks have the same.

    choose_defaults(arguments) -> {name: value} of defaults that depend on other arguments. Raises CheckpointError.
    """
    args = parser.parse_args(argv)
    agree("the command line", {"program": parser.prog, **vars(args)}, world())  # what follows hangs on it
    if args.evaluate and not (args.resume or args.ensemble):
        parser.error("--evaluate needs --resume CHECKPOINT or --ensemble CHECKPOINT ...")
    if args.ensemble and args.resume:
        parser.error("--ensemble names all its checkpoints; leave --resume out")
    if (args.tta or args.scales) and not (args.evaluate or args.ensemble):
        parser.error("--tta and --scales go with --evaluate or --ensemble")
    if args.dir and args.dummy:
        parser.error("--dummy takes no DIR")
    source = args.ensemble[0] if args.ensemble else args.resume
    if args.config and source:
        parser.error("a checkpoint goes on with its own settings; leave --config out")
    if source is None:
        chosen = world().on_rank_0(load_config, args.config, parser, args) if args.config else {}
        parser.set_defaults(**chosen)
        args = parser.parse_args(argv)
        parser.set_defaults(**{**choose_defaults(args), **chosen})
        args = parser.parse_args(argv)
        if args.sync_bn and args.shards:
            parser.error("--sync-bn depends on how many processes there are, and --shards must not; leave one out")
        use(args)
        return args, None

    state = world().on_rank_0(load_run, source)  # a file that the other ranks need not see
    check_settings(state["settings"], args, source, parser)
    saved = {name: state["settings"][name] for name in settings(args)}
    if unset := [name for name in choose_defaults(args) if saved[name] is None]:
        raise unusable(source, "settings", f"they lack {', '.join(unset)}")
    may_change = MAY_CHANGE_IN_A_TEST if args.evaluate or args.ensemble else MAY_CHANGE
    parser.set_defaults(**saved)
    args = parser.parse_args(argv)
    if args.dir and args.dummy:
        was, surplus = ("random pictures (--dummy)", "DIR") if saved["dummy"] else (saved["dir"], "--dummy")
        raise CheckpointError(f"{source} is of a run on {was}; leave {surplus} out")
    for name, value in saved.items():
        if name not in may_change and getattr(args, name, None) != value:
            what = f"{source} is of a run with {name} {value}, not {getattr(args, name, None)}"
            raise CheckpointError(f"{what}; it goes on with its own settings: leave {flag(name)} out")
    use(args)
    return args, state


def use(args: Namespace) -> None:
    """Have ops run in the tier and the precision that the arguments name. EnvVarError if $MINICNN_CPU names a unit that
    the processor has not, or that the system refuses: now, and not from the first product."""
    set_tier(args.tier)
    set_precision(args.precision)
    if (args.device, args.tier) == ("cpu", "fast"):
        cpu_unit()


def trainer_options(args: Namespace, folder: Path, train: PictureSet, known: State) -> dict[str, Any]:
    """What a ``Trainer`` needs to know of the arguments and of the pictures, whose record is `known`: its keywords."""
    return {
        "folder": folder, "epochs": args.epochs, "device": args.device, "settings": settings(args),
        "classes": train.classes, "pictures": known, "print_every": args.print_freq,
        "checkpoint_every": args.checkpoint_every, "callbacks": callbacks_of(args),
        "steps": steps_of(args), "graph": args.cuda_graph,
    }  # fmt: skip


def callbacks_of(args: Namespace) -> list[Callback]:
    """What watches the run."""
    kept = [KeepBest(args.keep_best)] if args.keep_best else []
    return [*kept, *([TensorBoard()] if args.tensorboard else []), *([Report()] if args.report else [])]


def steps_of(args: Namespace) -> Steps:
    """How a batch becomes a step."""
    return Steps(args.accumulate, args.shards, args.send, args.step_timeout, args.clip_grad_norm)


def path(text: str) -> str:
    """An argparse type: the name of a file or folder. An empty one, of a shell's variable that is not set, is none."""
    if not text:
        raise argparse.ArgumentTypeError("the name of a folder is empty; is a variable of the shell not set?")
    return text


def whole(least: int) -> Callable[[str], int]:
    """An argparse type: a whole number, `least` or more."""

    def convert(text):
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more, got {text}")
        return value

    convert.__name__ = "whole number"
    return convert


def number(least: float, most: float = float("inf")) -> Callable[[str], float]:
    """An argparse type: a number between `least` and `most`."""

    def convert(text):
        value = float(text)
        if not least <= value <= most or value == float("inf"):
            raise argparse.ArgumentTypeError(f"must lie between {least} and {most}, got {text}")
        return value

    convert.__name__ = "number"
    return convert
