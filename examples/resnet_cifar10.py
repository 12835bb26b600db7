"""Train ResNets, and plain networks of the same depth, on CIFAR-10 or any folder of small pictures.

    python examples/resnet_cifar10.py                     CIFAR-10, downloaded by torchvision: ResNet-20, 64,000 steps
    python examples/resnet_cifar10.py DIR --arch resnet56 --plain      DIR/train/<class>/*, no shortcuts
    python examples/resnet_cifar10.py DIR --epochs 25 --milestones 1000 1500           for 10,000 pictures: 1,975 steps

The settings are those of He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2: batches of
128, momentum 0.9, weight decay 0.0001 (on every parameter), lr 0.1 divided by 10 after 32,000 and 48,000 steps, and
64,000 in all; pictures padded by 4 pixels, cropped and flipped at random, minus their mean image. 110 layers warm up
with a smaller lr for 400 steps. The paper's errors: 8.75 % with 20 layers, 6.97 with 56, 6.43 with 110.
"""

import sys

from minicnn import models, optim
from minicnn.cache import cache_dir
from minicnn.cli import Recipe, main, make_parser
from minicnn.cli.arguments import whole
from minicnn.cli.pictures import open_pictures, shift_and_flip
from minicnn.data.published import cifar10
from minicnn.models import names


def arguments():
    parser = make_parser("Train and test ResNets on CIFAR-10 or folders of small pictures.", archs=list(names.CIFAR))
    parser.set_defaults(lr=0.1, wd=1e-4, epochs=164)  # 164 epochs of 391 steps: 64,000 steps on CIFAR-10
    resnet = parser.add_argument_group("ResNet")
    resnet.add_argument("--plain", action="store_true", help="no shortcuts")
    resnet.add_argument("--shortcut", choices=("A", "B", "C"), default="A", help="where a block changes the shape")
    resnet.add_argument(
        "--zero-padding", choices=("behind", "around"), default="behind", help="where option A puts its zero channels"
    )
    resnet.add_argument(
        "--milestones", metavar="STEP", type=whole(1), nargs="+", default=[32000, 48000], help="lr / 10 there"
    )
    resnet.add_argument("--warmup", metavar="STEPS", type=whole(0), help="lr grows so long (default: 0; 400 from 110)")
    return parser


def defaults(args):
    warmup = 400 if args.arch in ("resnet110", "resnet1202") else 0
    return {"image_size": 32, "shorter_side": 32, "preprocess": "mean_image", "warmup": warmup}


def note(args):
    return "No shortcuts: a plain network." if args.plain else ""


def build_model(args, num_classes):
    return models.create(args.arch, num_classes, vars(args))


def build_optimizer(args, model):
    optimizer = optim.SGD(model.parameters(), args.lr, args.momentum, weight_decay=args.wd)
    schedule = optim.lr_scheduler.MultiStepLR(optimizer, args.milestones)
    if args.warmup:
        schedule = optim.lr_scheduler.LinearWarmup(optimizer, args.warmup, after=schedule)
    return optimizer, schedule


def pictures(args):
    return open_pictures(args) if args.dir or args.dummy else cifar10(cache_dir() / "cifar10")


RECIPE = Recipe(
    build_model, build_optimizer, defaults, shift_and_flip, note, pictures, sample="cifar10", schedule_each="batch"
)

if __name__ == "__main__":
    sys.exit(main(arguments(), RECIPE))
