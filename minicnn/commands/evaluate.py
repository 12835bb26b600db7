"""Test pretrained weights, one set or several together, on a folder of pictures such as ImageNet's validation set.

    minicnn evaluate DIR resnet50                                  one crop, as the published figures
    minicnn evaluate DIR resnet50:IMAGENET1K_V1 --tta dense --scales 224 256 384 480 640
    minicnn evaluate DIR resnet50 resnet152 --tta 10crop           the mean of their probabilities
    minicnn evaluate DIR resnet18:mine.pth                         a file, with its number of classes
    minicnn evaluate cifar-10-python.tar.gz resnet20:resnet20.th   a ResNet for CIFAR-10

DIR/val/<class>/*, or DIR/<class>/*: one folder for each class of the weights, in the sorted order of their names. For
ImageNet those are the WordNet ids, n01440764 ... n15075141; minicnn/data/folder.py says how to unpack it. Or CIFAR-10
as it is published, for Python or in binary, packed or not: its 10,000 test pictures. Weights for CIFAR's networks are
taken for such as PyTorch's users have trained: whole pictures of 32 pixels, normalised by ImageNet's colours.
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from .. import pretrained
from ..cli.arguments import Parser, add_precision, whole
from ..cli.feasible import as_setting_error
from ..cli.known import check_seen_by_all
from ..cli.pictures import test_loaders
from ..cli.testing import as_dense
from ..console import say, tell
from ..data import DataError, ImageFolder
from ..data.cifar import cifar10_test, is_cifar10
from ..data.geometry import FILTERS
from ..data.subset import PictureSet
from ..distributed import world
from ..distributed.first import rank_0_first
from ..models import names
from ..precision import set_precision
from ..pretrained import Weights, WeightsError
from ..progress import Progress
from ..train import Classifier, evaluate
from ..train.evaluate import show_on


def arguments() -> ArgumentParser:
    """What the command line may say."""
    what = "Test pretrained weights on a folder of pictures."
    parser = Parser(description=what, doc=__doc__, command="minicnn evaluate")
    parser.add_argument("dir", metavar="DIR", type=Path, help="DIR/val/<class>/*, DIR/<class>/* or CIFAR-10's archive")
    archs = f"{', '.join(pretrained.ARCHS)}, or, with a FILE, {', '.join(names.CIFAR)}"
    which = f"ARCH, ARCH:NAME or ARCH:FILE (.pth, .safetensors, .npz); ARCH is one of {archs}"
    parser.add_argument("weights", metavar="WEIGHTS", nargs="+", help=f"{which}; several are tested together")
    parser.add_argument("--tta", choices=("10crop", "dense"), help="test on ten crops, or fully convolutionally")
    sides = parser.add_mutually_exclusive_group()
    sides.add_argument("--scales", metavar="PIXELS", type=whole(1), nargs="+", help="test on several shorter sides")
    side = "before cropping (default: that of the first WEIGHTS, even if others differ; FILE: that of ARCH's default)"
    sides.add_argument("--shorter-side", metavar="PIXELS", type=whole(1), help=side)
    how = "how pictures are resized (default: bilinear, as torchvision does for its weights)"
    parser.add_argument("--interpolation", choices=FILTERS, default="bilinear", help=how)
    parser.add_argument("-b", "--batch-size", type=whole(1), default=32, help="pictures to a batch (default: 32)")
    parser.add_argument("-j", "--workers", type=whole(0), default=4, help="threads that decode pictures (default: 4)")
    add_precision(parser)
    parser.set_defaults(seed=0, max_bad_fraction=0.001)
    return parser


def find(text: str) -> tuple[Weights, Path | None]:
    """(Weights, file or None) of ARCH, ARCH:NAME or ARCH:FILE. Raises WeightsError."""
    arch, _, name = text.partition(":")
    default, file = pretrained.of_file(arch), Path(name).expanduser()
    if pretrained.is_checkpoint(file):
        raise WeightsError(f"{file} is a checkpoint; test it by the program that wrote it: --evaluate --resume {file}")
    if file.is_file():
        return default, file
    try:
        return pretrained.get(arch, name or "DEFAULT"), None
    except WeightsError as error:
        raise WeightsError(f"{error}, and there is no such file") from None


def open_pictures(path: Path) -> PictureSet:
    """CIFAR-10's test pictures, or those of a folder. Raises DataError."""
    if is_cifar10(path):
        return cifar10_test(path)
    return ImageFolder(path / "val" if (path / "val").is_dir() else path)


def _classifier(text, weights, file, tta, pictures, path):
    """The network and its normaliser; DataError if it is not for as many classes as the pictures at `path` have."""
    # of several processes, the first downloads the weights, and the others find them
    model, normalize = rank_0_first(pretrained.load, weights, "DEFAULT", file), weights.normalize()
    if (known := pretrained.head(model).out_features) != (given := len(pictures.classes)):
        place = getattr(pictures, "root", path)
        raise DataError(f"{place} must have a folder for each of the {known} classes of {text}; it has {given}")
    return Classifier(as_dense(model, normalize, weights.image_size, text) if tta == "dense" else model, normalize)


def main(argv: Sequence[str] | None = None) -> None:
    """Test what the command line names."""
    args = arguments().parse_args(argv)
    set_precision(args.precision)
    with as_setting_error():
        found = [(text, *find(text)) for text in args.weights]
        _, first, file = found[0]
        args.image_size, args.shorter_side = first.image_size, args.shorter_side or first.shorter_side
        pictures = world().on_rank_0(open_pictures, args.dir)  # of several processes, one looks for pictures
        check_seen_by_all(pictures)
        loaders = test_loaders(args, pictures)
        classifiers = [_classifier(*each, args.tta, pictures, args.dir) for each in found]
    with Progress("validation", len(loaders[0])) as progress:
        result = evaluate(classifiers, loaders, after_batch=show_on(progress))
    for path, reason in loaders[0].bad.items():
        say(f"skipped an unreadable picture: {path}: {reason}")
    sides, values = args.scales or [args.shorter_side], result.values()
    line = f"{' + '.join(args.weights)}, {result.count:,} pictures, {args.tta or '1 crop'} at "
    line += f"{', '.join(map(str, sides))} pixels: top-1 {values['top1']:.3f} %  top-5 {values['top5']:.3f} %"
    as_published = len(found) == 1 and not (file or args.tta) and sides == [first.shorter_side]
    if as_published and result.count == 50_000:  # ImageNet 2012's validation set
        line += f"  (published: {first.top1:.3f}, {first.top5:.3f})"
    tell(line)
