"""Name what is on pictures: the most probable classes, with their probabilities.

python examples/classify.py photo.jpg more.jpg                      ResNet-50, downloaded once (98 MB)
python examples/classify.py photo.jpg --arch resnet18               45 MB
python examples/classify.py photo.jpg --arch alexnet --weights alexnet-owt-7be5be79.pth
python examples/classify.py photo.jpg --arch resnet20 --weights resnet20.th        one of CIFAR-10's networks, 32 pixels
python examples/classify.py photo.jpg --weights runs/.../checkpoint_best.npz        with its own classes
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from minicnn import models, pretrained, set_precision
from minicnn.cli.arguments import Parser, add_precision, whole
from minicnn.cli.feasible import as_setting_error
from minicnn.console import complain, say
from minicnn.data import CenterCrop, Compose, DataError, ResizeShorter, to_array
from minicnn.data.folder import load_image
from minicnn.distributed import world
from minicnn.models import names
from minicnn.pretrained import WeightsError
from minicnn.train import Classifier, exit_code
from minicnn.train.evaluate import log_mean, log_probabilities
from minicnn.train.restore import load_model, load_normalizer, load_run, reading


def arguments():
    parser = Parser(description="Name what is on pictures.")
    parser.add_argument("pictures", metavar="PICTURE", nargs="+", help="a JPEG or PNG file")
    archs = (*pretrained.ARCHS, *names.CIFAR)
    parser.add_argument("-a", "--arch", choices=archs, default="resnet50", help="default: resnet50")
    which = "IMAGENET1K_V1, IMAGENET1K_V2, a .pth, a .safetensors, an .npz or a checkpoint of minicnn"
    parser.add_argument("--weights", metavar="NAME|FILE", default="DEFAULT", help=which)
    add_precision(parser)
    parser.add_argument("--top", type=whole(1), default=5, help="classes to print (default: 5)")
    return parser


def choose(args):
    """(classifier, transform, names of its classes), as --arch and --weights say."""
    path = Path(args.weights)
    if pretrained.is_checkpoint(path):
        return of_checkpoint(path)
    if path.is_file():
        weights = pretrained.of_file(args.arch)
        model = pretrained.load(weights, file=path)
        count = pretrained.head(model).out_features
        as_published = args.arch in pretrained.ARCHS or pretrained.network_settings(args.arch, path)
        named = as_published and count == len(weights.classes)
        classes = weights.classes if named else [f"class {label}" for label in range(count)]
    else:
        try:
            weights = pretrained.get(args.arch, args.weights)
        except WeightsError as error:
            raise WeightsError(f"{error}, and there is no such file") from None
        model, classes = pretrained.load(weights), weights.classes
    return Classifier(model, weights.normalize()), weights.transform(), classes


def of_checkpoint(path):
    """The same of a checkpoint that training has written, tried out on a blank picture."""
    state = load_run(path)
    with reading(path, "settings"):
        arch, size, shorter_side = (state["settings"][name] for name in ("arch", "image_size", "shorter_side"))
        model = models.create(arch, len(state["classes"]), state["settings"])
    load_model(model, state, state["classes"], path)
    classifier = Classifier(model.eval(), load_normalizer(state, size, path))
    with reading(path, "settings"):
        how = state["settings"].get("interpolation", "bilinear")  # which earlier ones do not name
        transform = Compose([ResizeShorter(shorter_side, how), CenterCrop(size)])
        classify(classifier, transform, Image.new("RGB", (size, size)))
    return classifier, transform, state["classes"]


def classify(classifier, transform, image):
    """The probability of each class for a PIL image, an array (classes,)."""
    picture = to_array(transform(image, None))
    return np.exp(log_mean(log_probabilities(classifier, picture[None])))[0]


def name_pictures(argv=None):
    """The exit code: 0, or 2 with a line on stderr for each picture that cannot be used."""
    args = arguments().parse_args(argv)
    set_precision(args.precision)
    return world().on_rank_0(classify_each, args)  # a few pictures are no work for several processes


def classify_each(args):
    """What they show, a line for each class, and the exit code."""
    with as_setting_error():
        classifier, transform, classes = choose(args)
    code = 0
    for path in args.pictures:
        try:
            probabilities = classify(classifier, transform, load_image(path))
        except DataError as error:
            complain(f"error: {error}")
            code = 2
        else:
            say(path)
            for label in np.argsort(-probabilities)[: args.top]:
                say(f"  {100 * probabilities[label]:5.1f} %  {classes[label]}")
    return code


def main(argv=None):
    """The exit code; 2 with a line on stderr for weights that cannot be used, too."""
    return exit_code(name_pictures, argv)


if __name__ == "__main__":
    sys.exit(main())
