"""Around the loop of a program that trains: from its command line to its output folder. See examples/ for whole ones.

arguments.py   the flags that the programs share    known.py       whether a run's pictures are still the same
pictures.py    which pictures, how changed          testing.py     testing checkpoints instead of training
feasible.py    whether the settings can work        leftovers.py   what a run has left that never came to anything
output.py      the folder of a run                  recipes.py     what programs for ImageNet's networks share
scaling.py     large batches, several processes             optimizing.py  optimisers, schedules
around.py      what goes on around a step                   augmenting.py  how training pictures are changed
config.py      a file of settings                           remembered.py  what a checkpoint remembers of them
"""

from .arguments import add_precision, make_parser, number, parse, trainer_options, whole
from .around import add_step_flags, loss_of, step_callbacks
from .augmenting import add_augment_flags, augmented, check_augment, describe_augment, mix_of
from .feasible import as_setting_error, check_feasible
from .known import known_pictures
from .optimizing import (
    OWN_LR,
    add_optimizer_flags,
    add_schedule_flags,
    build_optimizer,
    build_schedule,
    check_resumed,
    describe_optimizer,
    schedule_each,
)
from .output import introduce, output_folder, write_arguments, write_results
from .pictures import (
    chosen_pictures,
    crop_and_flip,
    fit_normalizer,
    loaders,
    normalizer,
    open_pictures,
    shift_and_flip,
    test_loaders,
    val_transform,
)
from .recipes import ALEXNET_SAMPLE, add_recipe_flags, begin, initialise, on_sample, sample_note
from .scaling import for_training, scaled_lr, warmup
from .testing import as_dense, test_checkpoints

__all__ = [
    "ALEXNET_SAMPLE", "OWN_LR", "add_augment_flags", "add_optimizer_flags", "add_precision", "add_recipe_flags",
    "add_schedule_flags", "add_step_flags", "as_dense", "as_setting_error", "augmented", "begin", "build_optimizer",
    "build_schedule", "check_augment", "check_feasible", "check_resumed", "chosen_pictures", "crop_and_flip",
    "describe_augment", "describe_optimizer", "fit_normalizer", "for_training", "initialise", "introduce",
    "known_pictures", "loaders", "loss_of", "make_parser", "mix_of", "normalizer", "number", "on_sample",
    "open_pictures", "output_folder", "parse", "sample_note", "scaled_lr", "schedule_each", "shift_and_flip",
    "step_callbacks", "test_checkpoints", "test_loaders", "trainer_options", "val_transform", "warmup", "whole",
    "write_arguments", "write_results",
]  # fmt: skip
