"""Train ResNets, and plain networks of the same depth, on CIFAR-10 or any folder of small pictures.

    python examples/resnet_cifar10.py                     CIFAR-10, downloaded once: ResNet-20, 64,000 steps
    python examples/resnet_cifar10.py DIR --arch resnet56 --plain      DIR/train/<class>/*, no shortcuts
    python examples/resnet_cifar10.py DIR --epochs 25 --milestones 1000 1500           for 10,000 pictures: 1,975 steps

The settings are those of He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2: batches of
128, momentum 0.9, weight decay 0.0001 (on every parameter), lr 0.1 divided by 10 after 32,000 and 48,000 steps, and
64,000 in all; pictures padded by 4 pixels, cropped and flipped at random, minus their mean image. 110 layers warm up
with a smaller lr for 400 steps. The paper's errors: 8.75 % with 20 layers, 6.97 with 56, 6.43 with 110.
"""

import sys

from minicnn import cli, models, optim, random
from minicnn.cache import cache_dir
from minicnn.cli import whole
from minicnn.data import cifar10
from minicnn.models import names
from minicnn.train import Trainer, exit_code


def arguments():
    what = "Train and test ResNets on CIFAR-10 or folders of small pictures."
    parser = cli.make_parser(what, archs=list(names.CIFAR))
    parser.set_defaults(lr=0.1, wd=1e-4, epochs=164)  # 164 epochs of 391 steps: 64,000 steps on CIFAR-10
    resnet = parser.add_argument_group("ResNet")
    resnet.add_argument("--plain", action="store_true", help="no shortcuts")
    resnet.add_argument("--shortcut", choices=("A", "B", "C"), default="A", help="where a block changes the shape")
    where = "where option A puts its zero channels"
    resnet.add_argument("--zero-padding", choices=("behind", "around"), default="behind", help=where)
    steps = [32000, 48000]
    resnet.add_argument("--milestones", metavar="STEP", type=whole(1), nargs="+", default=steps, help="lr / 10 there")
    grows = "lr grows so long, from a tenth; --milestones count from there on (default: 0; 400 from 110 layers)"
    resnet.add_argument("--warmup-steps", metavar="STEPS", type=whole(0), help=grows)
    return parser


def defaults(args):
    warmup = 400 if args.arch in ("resnet110", "resnet1202") and not args.warmup else 0
    return {"image_size": 32, "shorter_side": 32, "preprocess": "mean_image", "warmup_steps": warmup}


def note(args):
    return "No shortcuts: a plain network." if args.plain else ""


def build_model(args, num_classes):
    return models.create(args.arch, num_classes, vars(args))


def build_optimizer(args, model):
    if args.warmup and args.warmup_steps:
        raise ValueError("--warmup and --warmup-steps both say how long lr grows; leave one out")
    optimizer = optim.SGD(model.parameters(), cli.scaled_lr(args), args.momentum, weight_decay=args.wd)
    schedule = optim.lr_scheduler.MultiStepLR(optimizer, args.milestones)
    if args.warmup_steps:
        schedule = optim.lr_scheduler.LinearWarmup(optimizer, args.warmup_steps, after=schedule)
    return optimizer, schedule


def pictures(args):
    return cli.open_pictures(args) if args.dir or args.dummy else cifar10(cache_dir() / "cifar10")


def main(argv=None):
    """Train, or test, as the command line says."""
    args, state = cli.parse(arguments(), argv, defaults)  # state: of the checkpoint to go on with or to test, or None
    if args.evaluate or args.ensemble:
        return cli.test_checkpoints(args, state, build_model, pictures, "cifar10")

    # Pictures, in batches: uint8 (N, 3, H, W) and N labels
    train_set, val_set, known = cli.known_pictures(args, pictures, state)
    random.manual_seed(args.seed)
    with cli.as_setting_error():  # what cannot be built of these arguments is told in one line
        train_loader, val_loader = cli.loaders(args, train_set, val_set, cli.shift_and_flip)

        # Model, optimiser, schedule
        model = cli.for_training(args, build_model(args, len(train_set.classes)))
        cli.check_feasible(args, model, len(train_set))
        optimizer, schedule = build_optimizer(args, model)

    with cli.output_folder(args, "cifar10") as folder:
        cli.introduce(args, model, train_set, val_set, note(args))
        normalize = cli.normalizer(args, train_set, state)
        options = cli.trainer_options(args, folder, train_set, known)
        options["schedule_each"] = "batch"
        options["warmup"] = cli.warmup(args, optimizer, train_loader)
        trainer = Trainer(model, optimizer, schedule, train_loader, val_loader, normalize, **options)
        if state:
            trainer.load_state_dict(state, args.resume)
            state.clear()  # it is twice as large as the model
        cli.write_arguments(args, folder)

        # The loop; each step (forward, loss, backward, step) is Trainer.train_batch
        with trainer.running():
            while not trainer.is_over:  # from where the checkpoint stands
                trainer.train_epoch()  # steps the schedule after each batch: it counts batches
                val = trainer.validate()
                top1 = trainer.log_epoch(val)  # in %, of validation if there is any
                trainer.save_epoch(top1)
        cli.write_results(args, trainer, train_loader, "cifar10")


if __name__ == "__main__":
    sys.exit(exit_code(main))
