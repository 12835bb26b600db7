"""What the programs for ImageNet's networks share beside the loop: a few flags, and what the sample set changes."""

from argparse import ArgumentParser, Namespace, _ArgumentGroup
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import nn
from ..distributed.first import rank_0_first
from ..pretrained import fetch, from_file, get, head, replace_head
from .arguments import number, path, whole

# AlexNet on the sample set, ten classes of synthetic textures, on a laptop: the same layers and optimiser, on less of
# everything
ALEXNET_SAMPLE: dict[str, Any] = {
    "image_size": 67, "shorter_side": 75, "width": 256, "init": "xavier", "batch_size": 32, "lr": 0.005,
    "dropout": 0.2, "epochs": 15, "patience": 1, "color_noise": 0.0,
}  # fmt: skip


def add_recipe_flags(parser: ArgumentParser, title: str) -> _ArgumentGroup:
    """The flags of AlexNet's recipe that other recipes use, too, under this title; the group, to add more."""
    group = parser.add_argument_group(title)
    group.add_argument("--patience", type=whole(0), default=5, help="epochs without improvement before lr / 10")
    group.add_argument("--color-noise", type=number(0), default=0.1, help="sigma of the PCA colour noise; 0: none")
    known = "begin with published weights, IMAGENET1K_V1, DEFAULT ..., or with those of a file"
    group.add_argument("--weights", metavar="NAME|FILE", type=path, help=known)
    group.add_argument("--init", choices=("own", "xavier", "he"), default="own", help="weights; own: the arch's")
    return group


def initialise(model: nn.Module, init: str) -> nn.Module:
    """Weights of all convolutions and fully connected layers by --init, biases 0; "own": as the model was built."""
    if init != "own":
        spread = nn.init.xavier_normal_ if init == "xavier" else nn.init.kaiming_normal_
        for layer in model.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                spread(layer.weight)
                if layer.bias is not None:
                    nn.init.constant_(layer.bias, 0.0)
    return model


def begin(args: Namespace, num_classes: int, build: Callable[[Namespace, int], nn.Module]) -> nn.Module:
    """A new network for training: with initial weights, or with those of --weights, and a new head unless they are for
    as many classes. WeightsError for weights that cannot be had or do not fit."""
    if args.weights is None or args.resume:  # whose checkpoint has all of them
        return build(args, num_classes)
    model = rank_0_first(_published, args, build)  # rank 0 downloads what is not there yet, and the others find it
    return model if head(model).out_features == num_classes else replace_head(model, num_classes)


def _published(args, build):
    file = args.weights if Path(args.weights).is_file() else fetch(get(args.arch, args.weights).url)
    return from_file(lambda classes: build(args, classes), file)


def on_sample(args: Namespace) -> bool:
    """Whether the program trains on the sample set: no DIR, no --dummy."""
    return not (args.dir or args.dummy)


def sample_note(args: Namespace, what: str, changed: dict[str, Any]) -> str:
    """What the user should know of a run on the sample set: `what` settings were changed for it, and to what; without
    those that the user has chosen."""
    values = ", ".join(f"{name} {value}" for name, value in changed.items() if getattr(args, name) == value)
    pictures = "No DIR given, so the pictures are synthetic: ten classes of textures, drawn once into a cache folder."
    return f"{pictures} {what} settings were changed for them: {values}."
