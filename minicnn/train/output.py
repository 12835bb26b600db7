"""The output folder of a run: where it is, and the summary and pictures that the run ends with."""

import statistics
from contextlib import closing
from pathlib import Path

from .. import plot
from ..console import say
from ..runlog import read_log
from .files import write_json
from .meters import duration
from .pictures import data_name
from .setting import SettingError
from .trainer import BEST, LAST

SHOWN = 54  # training pictures, as the network sees them, to check augmentation by eye


def output_folder(args, sample):
    """--output-dir; without it the folder of the run that is resumed, or a new one under runs/, named after the
    architecture and the pictures (`sample`: those that the program takes without DIR). It is made if need be.

    SettingError if it cannot be made, or holds anything, unless that is the run which is resumed.
    """
    resumed = Path(args.resume).parent if args.resume and not args.evaluate else None
    folder = Path(args.output_dir or resumed or _unused(Path("runs"), f"{args.arch}-{data_name(args, sample)}"))
    goes_on = resumed is not None and folder.resolve() == resumed.resolve()
    if not goes_on and folder.is_dir() and any(folder.iterdir()):
        raise SettingError(
            f"{folder} is not empty; pass --resume {folder / LAST} to go on with a run, or another --output-dir"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"the output folder {folder} cannot be made: {error.strerror}; choose another --output-dir"
        ) from error
    return folder


def write_results(args, trainer, pictures, sample):
    """summary.json, curves.png, filters.png and pictures.png; the last lines on the screen say where they are.

    pictures: the loader of the training pictures, whether the trainer has seen these or features of them.
    """
    folder, rows = trainer.folder, read_log(trainer.folder / "log.csv")
    if not rows:
        say(f"nothing to do: {args.resume} has {trainer.epoch} epochs already; give a larger --epochs")
        return
    last = {name: float(value) if value else None for name, value in rows[-1].items()}
    parameters = list(trainer.model.parameters())
    loaders = [loader for loader in (trainer.train_loader, trainer.val_loader) if loader is not None]
    summary = {
        "val_top1": last["val_top1"],
        "val_top5": last["val_top5"],
        "train_top1": last["train_top1"],
        "best": trainer.best,
        "images_per_second": statistics.median(float(row["images_per_second"]) for row in rows),
        "epochs": trainer.epoch,
        "parameters": sum(parameter.size for parameter in parameters),
        "seconds": round(sum(float(row["seconds"]) for row in rows), 1),
        "unreadable_pictures": sum(len(loader.bad) for loader in loaders),
        "arch": args.arch,
        "pictures": args.dir or data_name(args, sample),
    }
    write_json(folder / "summary.json", summary)
    plot.save_curves(folder / "log.csv", folder / "curves.png")
    with closing(pictures.epoch(0)) as batches:
        plot.save_pictures(next(batches).images[:SHOWN], folder / "pictures.png")
    plot.save_filters(next(p for p in parameters if p.ndim == 4), folder / "filters.png")
    watched = "train_top1" if last["val_top1"] is None else "val_top1"
    say(f"{watched} {last[watched]:.2f} % after {trainer.epoch} epochs, {duration(summary['seconds'])}. In {folder}:")
    say(f"  summary.json  log.csv  args.json  curves.png  filters.png  pictures.png  {BEST}  {LAST}")


def _unused(folder, name):
    number = 1
    while (folder / f"{name}-{number}").exists():
        number += 1
    return folder / f"{name}-{number}"
