"""Print the table of a network's layers: filters, output volumes, parameters, multiply-adds, memory.

minicnn summary resnet18
minicnn summary resnet50 --num-classes 10 --input 3 320 320
"""

from argparse import ArgumentParser
from collections.abc import Sequence

from ..cli.arguments import Parser, whole
from ..errors import SettingError
from ..models import names
from ..nn.summary import summary
from ..pretrained.zoo import create_model
from .networks import check_arch, usual_sizes


def arguments() -> ArgumentParser:
    """What the command line may say."""
    what = "The table of a network's layers, for one picture."
    parser = Parser(description=what, doc=__doc__, command="minicnn summary")
    parser.add_argument("arch", metavar="ARCH", help=f"one of {', '.join(names.KNOWN)}")
    count = "default: 1000, of the networks for CIFAR 10"
    parser.add_argument("-n", "--num-classes", metavar="COUNT", type=whole(1), help=count)
    add_input(parser)
    return parser


def add_input(parser: ArgumentParser) -> None:
    """The flag --input."""
    size = "shape of a picture (default: the arch's own, 3 224 224 mostly)"
    parser.add_argument("--input", metavar=("C", "H", "W"), nargs=3, type=whole(1), help=size)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    args = arguments().parse_args(argv)
    check_arch(args.arch)
    size, _ = usual_sizes(args.arch)
    shape = tuple(args.input or (3, size, size))
    model = create_model(args.arch, num_classes=args.num_classes)
    try:
        summary(model, shape)
    except ValueError as error:
        raise SettingError(f"{args.arch} takes no pictures of {' x '.join(map(str, shape))}: {error}") from error
