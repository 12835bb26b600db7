"""Testing checkpoints from the command line: one, or an ensemble, on one crop of each picture or on ten."""

from argparse import Namespace

from ..data import DataError
from .arguments import check_settings
from .checkpoint import CheckpointError
from .evaluate import Classifier, evaluate
from .files import write_json
from .log import Progress
from .output import output_folder
from .pictures import loader, open_test_pictures, val_transform
from .restore import load_model, load_normalizer, load_run, reading
from .setting import as_setting_error


def test_checkpoints(args, recipe, state):
    """Test the checkpoint given to --resume (its state: `state`), or those of --ensemble, on the validation set."""
    pictures = open_test_pictures(args, state["classes"])
    if not len(pictures):
        raise DataError(f"{args.dir} has no validation pictures to test on; add val/, or raise --val-fraction")
    with as_setting_error():
        batches = loader(args, pictures, val_transform(args))
    paths = args.ensemble or [args.resume]
    classifiers = [load_classifier(paths[0], state, args, recipe, pictures.classes)]
    for path in paths[1:]:
        classifiers.append(load_classifier(path, load_run(path), args, recipe, pictures.classes))
    folder = output_folder(args) if args.output_dir else None  # an error now, and not after the test
    with Progress("validation", len(batches), every=args.print_freq) as progress:
        result = evaluate(classifiers, batches, args.device, lambda i, scores: progress.update(i + 1, str(scores)))
    for path, reason in batches.bad.items():
        print(f"skipped an unreadable picture: {path}: {reason}")
    if folder:
        values = {f"val_{name}": value for name, value in result.values().items()}
        write_json(folder / "summary.json", {**values, "pictures": result.count, "checkpoints": paths})
    networks = "1 network" if len(paths) == 1 else f"the mean of {len(paths)} networks"
    print(f"validation, {result.count} pictures, {networks}, {args.tta or '1 crop'}: {result}")


def load_classifier(path, state, args, recipe, classes):
    """The network and the normaliser of one checkpoint, built as its own settings say."""
    check_settings(state["settings"], args, path)
    own = Namespace(**vars(args) | state["settings"])
    if own.image_size != args.image_size:
        raise CheckpointError(f"{path} takes pictures of {own.image_size} pixels, the first one of {args.image_size}")
    with reading(path, "settings"):
        model = recipe.model(own, len(classes))
    load_model(model, state, classes, path)
    return Classifier(model.to(args.device), load_normalizer(state, args.image_size, path))
