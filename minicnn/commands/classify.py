"""Name what is on pictures: the most probable classes, with their probabilities.

minicnn classify photo.jpg more.jpg                      ResNet-50, downloaded once (98 MB)
minicnn classify photo.jpg --arch resnet18               45 MB
minicnn classify photo.jpg --arch alexnet --weights alexnet-owt-7be5be79.pth
minicnn classify photo.jpg --arch resnet20 --weights resnet20.th        one of CIFAR-10's networks, 32 pixels
minicnn classify photo.jpg --weights runs/.../checkpoint_best.npz       with its own classes
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

import numpy as np

from .. import pretrained
from ..cli.arguments import Parser, add_precision, whole
from ..cli.feasible import as_setting_error
from ..console import complain, say
from ..data import DataError
from ..data.folder import load_image
from ..distributed import world
from ..models import names
from ..precision import set_precision
from .networks import choose, probabilities


def arguments() -> ArgumentParser:
    """What the command line may say."""
    parser = Parser(description="Name what is on pictures.", doc=__doc__, command="minicnn classify")
    parser.add_argument("pictures", metavar="PICTURE", nargs="+", help="a JPEG or PNG file")
    archs = (*pretrained.ARCHS, *names.CIFAR)
    parser.add_argument("-a", "--arch", choices=archs, default="resnet50", help="default: resnet50")
    which = "IMAGENET1K_V1, IMAGENET1K_V2, a .pth, a .safetensors, an .npz or a checkpoint of minicnn"
    parser.add_argument("--weights", metavar="NAME|FILE", default="DEFAULT", help=which)
    add_precision(parser)
    parser.add_argument("--top", type=whole(1), default=5, help="classes to print (default: 5)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 2 with a line on stderr for each picture that cannot be used."""
    args = arguments().parse_args(argv)
    set_precision(args.precision)
    return world().on_rank_0(classify_each, args)  # a few pictures are no work for several processes


def classify_each(args: Namespace) -> int:
    """What they show, a line for each class, and the exit code."""
    with as_setting_error():
        network = choose(args.arch, args.weights)
    code = 0
    for path in args.pictures:
        try:
            found = probabilities(network.classifier, network.transform, load_image(path))
        except DataError as error:
            complain(f"error: {error}")
            code = 2
        else:
            say(path)
            for label in np.argsort(-found)[: args.top]:
                say(f"  {100 * found[label]:5.1f} %  {network.classes[label]}")
    return code
