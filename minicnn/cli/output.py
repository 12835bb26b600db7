"""The output folder of a run: where it is, what the run writes and says before the loop, and what it ends with."""

import contextlib
import copy
import math
import statistics
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from .. import plot
from ..clock import duration
from ..console import say, tell
from ..data import DataLoader
from ..data.subset import PictureSet
from ..distributed import world
from ..errors import OutputError, SettingError
from ..nn import Module
from ..report.files import PAGE
from ..runlog import COLUMNS, read_log
from ..storage.files import as_json, atomic_write, write_json
from ..storage.lock import locked
from ..train.ema import AVERAGED
from ..train.environment import environment
from ..train.exit import resume_command
from ..train.keep_best import KEPT
from ..train.trainer import BEST, LAST, Trainer
from .known import say_notes
from .leftovers import clear, foreign
from .pictures import data_name
from .scaling import describe_lr

SHOWN = 54  # training pictures, as the network sees them, to check augmentation by eye
LEGIBLE = 64  # pixels: pictures are shown at least that wide, for the names below them


@contextlib.contextmanager
def output_folder(args: Namespace, sample: str) -> Iterator[Path]:
    """``with output_folder(args, sample) as folder:`` the folder is there, and no other run has it.

    It is --output-dir; without it the folder of the run that is resumed, or a new one under runs/, named after the
    architecture and the pictures (`sample`: those that the program takes without DIR).

    SettingError if it cannot be made, if another run is using it, or if it holds anything: unless that is the run which
    is resumed, or what a run has left that stopped before its first checkpoint, which is removed. Of several ranks,
    rank 0 alone makes it and writes there: the others need not see its disk.
    """
    with contextlib.ExitStack() as stack:
        yield world().on_rank_0(_take_folder, args, sample, stack)


def _take_folder(args, sample, stack):
    resumed = Path(args.resume).parent if args.resume and not args.evaluate else None
    named = args.output_dir or resumed
    try:
        folder = Path(named) if named else _new_folder(Path("runs"), f"{args.arch}-{data_name(args, sample)}")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        where = f"{named or 'runs'}"
        what = f"the output folder {where} cannot be made: {error.strerror}"
        raise SettingError(f"{what}; choose another --output-dir") from error
    stack.enter_context(locked(folder))
    if resumed is None or folder.resolve() != resumed.resolve():
        _begin_anew(folder)
    return folder


def _new_folder(parent, name):
    """`parent`/`name`-1, or the first number that nobody has; it is made."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        with contextlib.suppress(FileExistsError):
            (folder := parent / f"{name}-{number}").mkdir()
            return folder


def _begin_anew(folder):
    if (found := foreign(folder)) is None:
        clear(folder)
        return
    checkpoints = [folder / name for name in (LAST, BEST) if (folder / name).exists()]
    if checkpoints:
        way_out = f"; pass --resume {checkpoints[0]} to go on with a run, or another --output-dir"
    else:
        way_out = f", there is {found.name}; choose another --output-dir"
    raise SettingError(f"{folder} is not empty{way_out}")


def introduce(args: Namespace, model: Module, train: PictureSet, val: PictureSet, note: str = "") -> None:
    """Say what is going to be trained on what. note: what else the user should know of this run."""
    if note:
        tell(note)
    say_notes(train, val)
    processes = f", {world().size} processes" if world().size > 1 else ""
    tell(
        f"{args.arch}, {sum(p.size for p in model.parameters()):,} parameters, on {args.device}{processes}: "
        f"{len(train):,} training and {len(val):,} validation pictures of {len(train.classes)} classes"
    )
    if line := describe_lr(args):
        tell(line)
    if not len(val):
        tell("there are no pictures to validate on, so the training error is watched instead")


def write_arguments(args: Namespace, folder: Path) -> None:
    """args.json: what the run was called with, and where."""
    called = {**vars(args), "environment": environment(args.device)}
    world().on_rank_0(write_json, folder / "args.json", called)


def write_results(args: Namespace, trainer: Trainer, pictures: DataLoader, sample: str) -> None:
    """summary.json, curves.png, filters.png and pictures.png; the last lines on the screen say where they are.

    pictures: the loader of the training pictures, whether the trainer has seen these or features of them.
    Each is written whole or not at all; OutputError at the end if some were not.
    """
    world().on_rank_0(_write_results, args, trainer, pictures, sample)


def _write_results(args, trainer, pictures, sample):
    folder, rows = trainer.folder, read_log(trainer.folder / "log.csv", COLUMNS)
    if not rows:
        tell(f"nothing to do: {args.resume} has {trainer.epoch} epochs already; give a larger --epochs")
        return
    last = {name: float(value) if value else None for name, value in rows[-1].items()}
    parameters = dict(trainer.model.named_parameters())
    loaders = [loader for loader in (trainer.train_loader, trainer.val_loader) if loader is not None]
    summary = {
        **{name: last[name] for name in ("val_top1", "val_top5", "train_top1")},
        "best": trainer.best,
        "images_per_second": statistics.median(float(row["images_per_second"]) for row in rows),
        "epochs": trainer.epoch,
        "parameters": sum(parameter.size for parameter in parameters.values()),
        "seconds": round(sum(float(row["seconds"]) for row in rows), 1),
        "unreadable_pictures": sum(len(loader.bad) for loader in loaders),
        "arch": args.arch,
        "pictures": args.dir or data_name(args, sample),
    }
    writers = {
        "summary.json": lambda file: file.write(as_json(summary)),
        "curves.png": lambda file: plot.save_curves(folder / "log.csv", file),
        "pictures.png": lambda file: _save_pictures(pictures, file),
        "filters.png": lambda file: _save_filters(parameters, file),
    }
    _write_all(folder, writers)
    watched = "train_top1" if last["val_top1"] is None else "val_top1"
    epochs = "1 epoch" if trainer.epoch == 1 else f"{trainer.epoch} epochs"
    say(f"{watched} {last[watched]:.2f} % after {epochs}, {duration(summary['seconds'])}. In {folder}:")
    pictures = ["curves.png", "filters.png", "pictures.png"]
    pages = [PAGE] if args.report else []  # else the one that may be there is of an earlier part of the run
    more = [name for name in (*pages, AVERAGED) if (folder / name).exists()] + ([KEPT] if args.keep_best else [])
    tell(f"  {'  '.join(['summary.json', 'log.csv', 'args.json', *pictures, BEST, LAST, *more])}", "  ")


def _write_all(folder, writers):
    """Call each writer with a file, open for writing bytes, of its name; OutputError, at the end, if some failed."""
    failures = []
    for name, write in writers.items():
        try:
            with atomic_write(folder / name) as file:
                write(file)
        except Exception as error:  # fonts, caches, memory, the disk: whatever it is, the run itself is safe
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
            failures.append(f"{name} ({reason})")
    if failures:
        what = f"the run is over, and its log.csv and checkpoints are whole, but these could not be written to {folder}"
        raise OutputError(f"{what}: {', '.join(failures)}; to try again: {resume_command(folder / LAST)}")


def _save_pictures(loader, file):
    """The first training pictures, as the network sees them, with the names of their classes."""
    whole = copy.copy(loader)
    whole.part = None  # of several ranks, too, the one that writes shows the whole batch
    with closing(whole.epoch(0)) as batches:
        batch = next(batches)
    images = batch.images[:SHOWN]
    names = [loader.dataset.classes[label] for label in batch.labels[:SHOWN]]
    plot.save_pictures(images, file, math.ceil(LEGIBLE / images.shape[3]), names)


def _save_filters(parameters, file):
    """The filters of the first convolution, with their numbers."""
    name, weight = next((name, parameter) for name, parameter in parameters.items() if parameter.ndim == 4)
    count, *size = weight.shape
    title = f"{name}: {count} filters of {' x '.join(map(str, size))}"
    plot.save_filters(weight, file, labels=map(str, range(count)), title=title)
