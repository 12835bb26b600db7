"""What an example program does around the training loop: from the command line to the output folder."""

from collections.abc import Callable
from typing import NamedTuple

from .. import random
from ..console import say
from ..data.record import record
from ..device import set_tier
from ..storage.files import write_json
from ..train.environment import environment
from ..train.exit import exit_code
from ..train.log import summary_writer
from ..train.restore import load_model, load_normalizer
from ..train.trainer import Trainer
from .arguments import parse, settings
from .feasible import as_setting_error, try_last_batch, try_out
from .known import check_pictures, say_notes
from .output import output_folder, write_results
from .pictures import chosen_pictures, fit_normalizer, loader, open_pictures, val_transform
from .testing import test_checkpoints


class Recipe(NamedTuple):
    """What one example does differently from another."""

    model: Callable  # (arguments, number of classes) -> a new model
    optimizer: Callable  # (arguments, model) -> (optimizer, schedule)
    defaults: Callable  # (arguments) -> {name: value}: defaults that depend on other arguments
    augment: Callable  # (arguments) -> the transform of training pictures; pictures.crop_and_flip is one
    note: Callable = lambda args: ""  # (arguments) -> what the user should know about this run before it begins
    pictures: Callable = open_pictures  # (arguments) -> (training, validation pictures)
    sample: str = "sample"  # the name of the pictures that there are without DIR
    schedule_each: str = "epoch"  # or "batch"
    normalizer: Callable = fit_normalizer  # (arguments, training pictures) -> fitted
    prepare: Callable = lambda args, *parts: parts  # (arguments, model, normaliser, two loaders) -> what is trained


def main(parser, recipe, argv=None):
    """Run the program with the arguments `argv` (None: the command line's). Returns its exit code."""
    return exit_code(run, parser, recipe, argv)


def run(parser, recipe, argv=None):
    """What ``main`` does; its errors are raised."""
    args, state = parse(parser, argv, recipe.defaults)
    set_tier(args.tier)
    (test_checkpoints if args.evaluate or args.ensemble else train)(args, recipe, state)


def train(args, recipe, state):
    """Train from the beginning, or from `state`; everything worth keeping is in the output folder then."""
    train_set, val_set = chosen_pictures(args, recipe.pictures, state)
    known = record(train_set, val_set)
    if state:
        check_pictures(args, state, known, train_set, val_set)
    random.manual_seed(args.seed)
    with as_setting_error():
        augment = val_transform if args.no_augment else recipe.augment
        train_loader = loader(args, train_set, augment(args), shuffle=True, drop_last=args.drop_last)
        val_loader = loader(args, val_set, val_transform(args))
        model = recipe.model(args, len(train_set.classes)).to(args.device)
        try_out(model, args.image_size)
        try_last_batch(model, args.image_size, len(train_set), args.batch_size, args.drop_last)
        optimizer, schedule = recipe.optimizer(args, model)
    if args.tensorboard:
        summary_writer()  # an error now, if it is missing, before anything is written
    with output_folder(args, recipe.sample) as folder:
        if note := recipe.note(args):
            say(note)
        say_notes(train_set, val_set)
        say(
            f"{args.arch}, {sum(p.size for p in model.parameters()):,} parameters, on {args.device}: "
            f"{len(train_set):,} training and {len(val_set):,} validation pictures of {len(train_set.classes)} classes"
        )
        if val_loader is None:
            say("there are no pictures to validate on, so the training error is watched instead")
        if state:
            normalize = load_normalizer(state, args.image_size, args.resume)
            load_model(model, state, train_set.classes, args.resume)  # `prepare` may look through it
        else:
            with as_setting_error():
                normalize = recipe.normalizer(args, train_set)
        pictures = train_loader  # `prepare` may put something else into its place
        model, normalize, train_loader, val_loader = recipe.prepare(args, model, normalize, train_loader, val_loader)
        trainer = Trainer(
            model,
            optimizer,
            schedule,
            train_loader,
            val_loader,
            normalize,
            folder=folder,
            epochs=args.epochs,
            schedule_each=recipe.schedule_each,
            device=args.device,
            settings=settings(args),
            classes=train_set.classes,
            pictures=known,
            print_every=args.print_freq,
            checkpoint_every=args.checkpoint_every,
            tensorboard=args.tensorboard,
        )
        if state:
            trainer.load_state_dict(state, args.resume)
            state.clear()  # twice as large as the model
        write_json(folder / "args.json", {**vars(args), "environment": environment(args.device)})
        trainer.fit()
        write_results(args, trainer, pictures, recipe.sample)
