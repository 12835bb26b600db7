"""Transfer what a network has learnt from a million pictures to a small set of others.

    python examples/transfer_flowers102.py                           Flowers-102, downloaded once, ResNet-18
    python examples/transfer_flowers102.py DIR --arch resnet50 --weights IMAGENET1K_V1 --probes --scratch
    python examples/transfer_flowers102.py DIR --arch resnet20 --weights runs/resnet20-cifar10-1/checkpoint_best.npz
    python examples/transfer_flowers102.py --resume runs/resnet18-flowers102-1/option2/checkpoint_last.npz

Both options of the lectures are run, one after the other, and drawn in one figure:

    option 1   the network is frozen but for a new head: a linear classifier on its features. They are computed once.
    option 2   everything is trained, each stage of the network at a smaller lr than the one behind it.

--scratch adds the same network without the weights, --probes a linear classifier on each stage, of which the last is
option 1 again. DIR is laid out as for the other examples. --weights takes a name (torchvision's, downloaded once), a
.pth or .safetensors file, or a checkpoint of these examples. Published for Flowers-102: 74.7 % with a linear
classifier on features of a network of 2012's kind, 86.8 % with augmented pictures (Sharif Razavian et al., "CNN
features off-the-shelf", 2014, who train on twice as many pictures).
"""

import functools
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np

from minicnn import Tensor, cli, models, nn, optim, plot, pretrained, random
from minicnn.cache import cache_dir
from minicnn.cli import number
from minicnn.console import say
from minicnn.data import ChannelMeanStd, flowers102
from minicnn.distributed import world
from minicnn.distributed.first import rank_0_first
from minicnn.errors import SettingError
from minicnn.models import names
from minicnn.pretrained import LinearProbe, freeze_backbone, freeze_to, layer_groups, on_features, replace_head
from minicnn.runlog import read_log
from minicnn.storage.files import atomic_write
from minicnn.train import Trainer, exit_code
from minicnn.train.restore import load_model, load_normalizer, load_run, reading

LITTLE = 100  # pictures of a class; the lecture gives no number
ADVICE = {  # the lecture's table: for pictures very similar to those of the weights, and for very different ones
    "very little data": (
        "use a linear classifier on the top layer (option 1)",
        "you're in trouble ... try linear classifiers from different stages (--probes)",
    ),
    "quite a lot of data": (
        "fine-tune a few layers (option 2 with --freeze-to STAGE)",
        "fine-tune a larger number of layers (option 2), or start from scratch (--scratch)",
    ),
}


def arguments():
    parser = cli.make_parser("Transfer a trained network to other pictures.", archs=[*names.IMAGENET, *names.CIFAR])
    parser.set_defaults(lr=0.01, wd=1e-4, epochs=30, batch_size=32)
    transfer = parser.add_argument_group("transfer")
    transfer.add_argument("--weights", metavar="NAME|FILE", default="DEFAULT", help="what the network knows already")
    transfer.add_argument("--scratch", action="store_true", help="also train without the weights, for comparison")
    transfer.add_argument("--probes", action="store_true", help="also train a linear classifier on each stage")
    transfer.add_argument("--factor", type=number(0, 1), default=0.4, help="option 2: lr of a stage, of the next one's")
    transfer.add_argument("--freeze-to", metavar="STAGE", help="option 2: keep the network as it is up to there")
    transfer.add_argument("--augment-features", action="store_true", help="option 1: augment, and cache nothing")
    transfer.add_argument("--option", choices=("1", "2", "scratch", "probe"), help="run this one only")
    transfer.add_argument("--stage", help="what the probe of --option probe looks at")
    parser.set_defaults(network={})  # what is unusual about the network of the weights, such as having no shortcuts
    return parser


def defaults(args):
    """The sizes of the architecture, or those that the weights were trained with, where a checkpoint tells."""
    chosen = {"no_augment": args.no_augment or on_fixed_features(args)}
    if pretrained.is_checkpoint(args.weights):
        theirs = about_checkpoint(args.weights)["settings"]
        with reading(args.weights, "settings"):
            sizes = {name: int(theirs[name]) for name in ("image_size", "shorter_side")}
            return {**chosen, **sizes, "network": names.network_settings(args.arch, theirs)}
    if args.arch in names.CIFAR:
        chosen |= {"image_size": 32, "shorter_side": 32, "network": network_of_file(args)}
        as_pytorchs = chosen["network"].get("zero_padding") == "around"  # trained on pictures normalised as ImageNet's
        return chosen if as_pytorchs else {**chosen, "preprocess": "mean_image"}
    if args.arch == "inception_v3":
        published = pretrained.get(args.arch)
        return {**chosen, "image_size": published.image_size, "shorter_side": published.shorter_side}
    return {**chosen, "image_size": 224}


def network_of_file(args):
    """What is unusual about a CIFAR network whose weights are in a file that is no checkpoint."""
    if not Path(args.weights).is_file():
        return {}
    with cli.as_setting_error():
        return pretrained.network_settings(args.arch, args.weights)


@functools.cache
def about_checkpoint(path):
    """What a checkpoint says of its network, without the weights; the file may be large, and several runs ask."""
    state = load_run(path)
    return {"settings": state["settings"], "normalize": state["normalize"]}


def on_fixed_features(args):
    """Whether the network in front of the head is frozen and always sees the same pictures."""
    return args.option == "probe" or (args.option == "1" and not args.augment_features)


# One network


def trained_model(args):
    if args.arch in names.CIFAR and args.weights == "DEFAULT":
        raise SettingError(f"there are no published weights for {args.arch}; give it some of your own: --weights FILE")
    if args.arch in names.CIFAR or Path(args.weights).is_file():
        return pretrained.from_file(lambda classes: new_model(args, classes), args.weights)
    return pretrained.load(args.arch, args.weights)


def new_model(args, num_classes):
    with reading(args.weights, "settings"):
        return models.create(args.arch, num_classes, args.network)


def build_model(args, num_classes):
    has_checkpoint = args.resume or args.ensemble  # then all weights are in there
    fresh = args.option == "scratch" or has_checkpoint
    # rank 0 downloads weights that are not there yet, and the others find them
    model = new_model(args, num_classes) if fresh else replace_head(rank_0_first(trained_model, args), num_classes)
    if args.option == "probe":
        blank = Tensor(np.zeros((1, 3, args.image_size, args.image_size), np.float32)).to(args.device)
        channels = nn.output_of(model.to(args.device).eval(), args.stage, blank).shape[1]
        return LinearProbe(model, args.stage, channels, num_classes)
    if args.option == "1":
        freeze_backbone(model)
    if args.option == "2" and args.freeze_to:
        freeze_to(model, args.freeze_to)
    return model


def build_optimizer(args, model):
    lr = cli.scaled_lr(args)
    if args.option == "2":
        params = layer_groups(model, lr, args.factor)
    else:
        params = [p for p in model.parameters() if p.requires_grad]
    optimizer = optim.SGD(params, lr, args.momentum, weight_decay=args.wd)
    return optimizer, optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)


def pictures(args):
    return cli.open_pictures(args) if args.dir or args.dummy else flowers102(cache_dir() / "flowers102")


def augment(args):
    return cli.shift_and_flip(args) if args.arch in names.CIFAR else cli.crop_and_flip(args)


def normalizer(args, train):
    """The one that the weights were trained with, unless --preprocess asks for one of the new pictures."""
    if args.preprocess:
        return cli.fit_normalizer(args, train)
    if pretrained.is_checkpoint(args.weights):
        return load_normalizer(about_checkpoint(args.weights), args.image_size, args.weights)
    return ChannelMeanStd.imagenet()


def train(argv=None):
    """Train, or test, one network as the command line says."""
    args, state = cli.parse(arguments(), argv, defaults)  # state: of the checkpoint to go on with or to test, or None
    if args.evaluate or args.ensemble:
        cli.test_checkpoints(args, state, build_model, pictures, "flowers102")
        return

    # Pictures, in batches: uint8 (N, 3, H, W) and N labels
    train_set, val_set, known = cli.known_pictures(args, pictures, state)
    random.manual_seed(args.seed)
    with cli.as_setting_error():  # what cannot be built of these arguments is told in one line
        train_loader, val_loader = cli.loaders(args, train_set, val_set, augment)

        # Model, optimiser, schedule
        model = cli.for_training(args, build_model(args, len(train_set.classes)))
        cli.check_feasible(args, model, len(train_set))
        optimizer, schedule = build_optimizer(args, model)

    with cli.output_folder(args, "flowers102") as folder:
        cli.introduce(args, model, train_set, val_set)
        if state:
            normalize = load_normalizer(state, args.image_size, args.resume)
            load_model(model, state, train_set.classes, args.resume)  # before features are made with it
        else:
            normalize = normalizer(args, train_set)
        picture_loader = train_loader
        if on_fixed_features(args):  # what the frozen network makes of the pictures is computed here, once
            loaders = train_loader, val_loader
            model, normalize, train_loader, val_loader = on_features(model, normalize, *loaders, device=args.device)
        options = cli.trainer_options(args, folder, train_set, known)
        options["warmup"] = cli.warmup(args, optimizer, train_loader)
        trainer = Trainer(model, optimizer, schedule, train_loader, val_loader, normalize, **options)
        if state:
            trainer.load_state_dict(state, args.resume)
            state.clear()  # it is twice as large as the model
        cli.write_arguments(args, folder)

        # The loop; each step (forward, loss, backward, step) is Trainer.train_batch
        with trainer.running():
            while not trainer.is_over:  # from where the checkpoint stands
                trainer.train_epoch()
                val = trainer.validate()
                top1 = trainer.log_epoch(val)  # in %, of validation if there is any
                schedule.step()  # half a cosine over all epochs
                trainer.save_epoch(top1)
        cli.write_results(args, trainer, picture_loader, "flowers102")


# Several of them, one after the other, compared


def transfer(argv=None):
    """What the command line asks for."""
    parser = arguments()
    args = parser.parse_args(argv)
    if (args.option == "probe") != bool(args.stage):
        parser.error("--option probe needs --stage, and nothing else does")
    if args.option or args.resume or args.ensemble or args.evaluate:
        train(argv)
        return
    parser.set_defaults(**defaults(args))
    args = parser.parse_args(argv)
    say(world().on_rank_0(lambda: advice(cli.chosen_pictures(args, pictures)[0])))
    with cli.as_setting_error():  # about the weights or a stage: now, and not in the middle
        build_model(Namespace(**vars(args) | {"option": "2"}), num_classes=1)
    with cli.output_folder(args, "flowers102") as folder:
        transfer_into(folder, args, argv)


def transfer_into(folder, args, argv):
    """Each option, in a folder of its own, and all of them in one figure."""
    runs = {"option1": ["--option", "1"], "option2": ["--option", "2"]}
    if args.scratch:
        runs["scratch"] = ["--option", "scratch"]
    if args.probes:
        stages = models.create(args.arch, 1).stages
        runs |= {f"probe-{stage}": ["--option", "probe", "--stage", stage] for stage in stages}
    given = sys.argv[1:] if argv is None else argv
    for name, more in runs.items():
        say(f"\n{name}")
        train([*given, *more, "--output-dir", str(folder / name)])
    world().on_rank_0(compare, folder, runs, args.epochs)


def compare(folder, runs, epochs):
    """comparison.png, and where each of the runs in `folder` has ended."""
    logs = {name: folder / name / "log.csv" for name in runs}
    with atomic_write(folder / "comparison.png") as file:
        plot.save_comparison(logs, file)
    last = {name: read_log(log)[-1] for name, log in logs.items()}
    watched = "val_top1" if last["option1"]["val_top1"] else "train_top1"
    say(f"\n{watched} after {epochs} epochs; the curves are in {folder / 'comparison.png'}")
    for name, row in last.items():
        say(f"  {float(row[watched]):6.2f} %  {name}")


def advice(train):
    """The lecture's table, for as many pictures as there are."""
    count = len(train) / len(train.classes)
    amount = "very little data" if count < LITTLE else "quite a lot of data"
    similar, different = ADVICE[amount]
    return (
        f"{len(train):,} training pictures, {count:.0f} of each class: {amount}. The lectures' advice, if they are\n"
        f"  very similar to those that the weights were trained on:  {similar}\n"
        f"  very different from those:                               {different}"
    )


if __name__ == "__main__":
    sys.exit(exit_code(transfer))
