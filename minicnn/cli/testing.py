"""Testing checkpoints from the command line: one, or an ensemble, on one view of each picture or on many."""

import contextlib
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from ..console import say, tell
from ..data import DataError, DataLoader, MeanImage, Normalize
from ..data.errors import shown
from ..distributed import world
from ..errors import SettingError
from ..models import fully_convolutional
from ..nn import Module
from ..progress import Progress
from ..storage.checkpoint import CheckpointError, State
from ..storage.files import write_json
from ..train.evaluate import Classifier, evaluate, show_on
from ..train.restore import load_model, load_normalizer, load_run, reading
from .feasible import as_setting_error, try_out
from .known import check_unseen, open_test_pictures, say_notes
from .output import output_folder
from .pictures import Source, test_loaders
from .remembered import check_settings

Build: TypeAlias = Callable[[Namespace, int], Module]  # (arguments, number of classes) -> a new model


def test_checkpoints(args: Namespace, state: State, build_model: Build, source: Source, sample: str) -> None:
    """Test the checkpoint given to --resume (its state: `state`), or those of --ensemble, on the validation set of what
    source(args) opens; `sample`: its name without DIR."""
    pictures = open_test_pictures(args, state, source)
    say_notes(pictures)
    if not len(pictures):
        raise DataError(f"{args.dir} has no validation pictures to test on; add val/, or raise --val-fraction")
    with as_setting_error():
        loaders = test_loaders(args, pictures)
    paths = args.ensemble or [args.resume]
    classifiers = [load_classifier(paths[0], state, args, build_model, pictures.classes)]
    for path in paths[1:]:
        other = world().on_rank_0(load_run, path)
        check_unseen(args, path, other, pictures)
        classifiers.append(load_classifier(path, other, args, build_model, pictures.classes))
    output = output_folder(args, sample) if args.output_dir else contextlib.nullcontext()
    with output as folder:  # an error now, and not after the test
        test(args, classifiers, loaders, paths, folder)


def test(
    args: Namespace, classifiers: list[Classifier], loaders: list[DataLoader], paths: list[str], folder: Path | None
) -> None:
    """Test the networks of the checkpoints at `paths`; the result is said, and written into `folder`, if any."""
    with Progress("validation", len(loaders[0]), every=args.print_freq) as progress:
        result = evaluate(classifiers, loaders, args.device, show_on(progress))
    for path, reason in loaders[0].bad.items():
        say(f"skipped an unreadable picture: {shown(path)}: {reason}")
    views = args.tta or "1 crop"
    if args.scales:
        views += f" at {', '.join(map(str, args.scales))} pixels"
    if folder:
        values = {f"val_{name}": value for name, value in result.values().items()}
        summary = {**values, "pictures": result.count, "views": views, "checkpoints": paths}
        world().on_rank_0(write_json, folder / "summary.json", summary)
    networks = "1 network" if len(paths) == 1 else f"the mean of {len(paths)} networks"
    tell(f"validation, {result.count} pictures, {networks}, {views}: {result}")


def load_classifier(path: str, state: State, args: Namespace, build_model: Build, classes: list[str]) -> Classifier:
    """The network and the normaliser of one checkpoint, built as its own settings say."""
    check_settings(state["settings"], args, path)
    own = Namespace(**vars(args) | state["settings"])
    if own.image_size != args.image_size:
        raise CheckpointError(f"{path} takes pictures of {own.image_size} pixels, the first one of {args.image_size}")
    with reading(path, "settings"):
        model = build_model(own, len(classes))
    load_model(model, state, classes, path)
    normalize = load_normalizer(state, args.image_size, path)
    if args.tta == "dense":
        model = as_dense(model, normalize, args.image_size, path)
    return Classifier(model.to(args.device), normalize)


def as_dense(model: Module, normalize: Normalize, image_size: int, path: Path | str) -> Module:
    """The network of the checkpoint at `path` as one of pictures of any size; SettingError if it cannot be that."""
    if isinstance(normalize, MeanImage):
        what = f"{path} subtracts a mean picture of {image_size} pixels, and --tta dense takes pictures of any size"
        raise SettingError(f"{what}; test it by --tta 10crop, or train with --preprocess channel_mean or mean_std")
    try:
        dense = fully_convolutional(model)
        try_out(dense, image_size)
    except ValueError as error:
        raise SettingError(f"{path}: trained on {image_size} pixels, it cannot do --tta dense: {error}") from error
    return dense
