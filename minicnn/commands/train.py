"""Train and test any of ImageNet's networks on folders of pictures, by AlexNet's recipe or by ResNet's.

    minicnn train                                       ResNet-18 on the synthetic sample set
    minicnn train DIR --arch resnet50 --device cuda     DIR/train/<class>/*, DIR/val/<class>/*
    minicnn train DIR --arch plain34                    no shortcuts: what ResNet-34 is held against
    minicnn train DIR --arch googlenet --recipe alexnet
    minicnn train -e --resume runs/resnet18-imagenet-1/checkpoint_best.npz --tta 10crop

    --recipe         alexnet                                            resnet
    pictures         shorter side 256                                   drawn anew from 256 to 480
                     224 x 224 cut out at random, mirrored or not, PCA colour noise
    batch, momentum  128, 0.9                                           256, 0.9
    lr               0.01, twice that for biases; divided by 10 when    0.1, divided by 10 after 30 and 60
                     the validation error stops improving               of 90 epochs
    weight decay     5e-4, none on biases                               1e-4, on every parameter
    for              AlexNet, VGG                                       all others
    source           Krizhevsky et al., NIPS 2012, sections 4.1 and 5   He et al., CVPR 2016, section 3.4

He et al. divide the lr "when the error plateaus". Here the epochs are fixed, so that networks which are compared are
cut at the same moment, and not when a curve happens to waver; --sched plateau is the other way. They subtract a mean
picture, here a mean and a deviation of each colour (--preprocess), which fit a picture of any size. There is no
dropout: ResNets have none. Lecture notes that print weight decay 1e-5 and "Xavier" for ResNets are wrong: it is 1e-4,
and He's initial weights, as models/resnet.py has them. GoogLeNet, Inception v3, MobileNet and ShuffleNet were trained
by recipes of their own, which this is not; it trains them nevertheless, the first two with their auxiliary heads.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any

from .. import calling, cli, models, nn, optim, random
from ..cli import number, whole
from ..cli.arguments import flag
from ..console import tell
from ..data import ColorNoise, Compose
from ..models import names
from ..train import Trainer
from .networks import usual_sizes

ARCHS = ["resnet18", *(arch for arch in {**names.IMAGENET, **names.PLAIN} if arch != "resnet18")]
RECIPES: dict[str, dict[str, Any]] = {
    "alexnet": {"batch_size": 128, "lr": 0.01, "wd": 5e-4, "sched": "plateau", "scale_jitter": 1.0},
    "resnet": {"batch_size": 256, "lr": 0.1, "wd": 1e-4, "sched": "multistep", "scale_jitter": 480 / 256},
}
# settings of networks, and what stands for having none of the kind
NONE = {"dropout": 0.0, "width": 0, "shortcut": "B", "aux_logits": False}
OWN = {"dropout": 0.5, "width": 4096, "shortcut": "B", "aux_logits": True}
DROPOUT = {"googlenet": 0.2, "mobilenet_v2": 0.2}  # where it is not 0.5
RESNET_SAMPLE = {  # ResNet's recipe on ten classes of synthetic textures, on a laptop
    "image_size": 64, "shorter_side": 72, "batch_size": 32, "lr": 0.02, "epochs": 10, "milestones": [6, 9],
    "color_noise": 0.0,
}  # fmt: skip
SMALLER = {  # on the sample set: less work for VGG; as small as Inception can be, and its head cannot
    "vgg": {"image_size": 32, "shorter_side": 36},
    "inception_v3": {"image_size": 75, "shorter_side": 84, "aux_logits": False},
}


def arguments() -> ArgumentParser:
    """What the command line may say."""
    parser = cli.make_parser("Train and test ImageNet's networks on folders of pictures.", archs=ARCHS)
    parser.epilog = calling.usage(__doc__ or "", "minicnn train", paragraphs=2)  # and the table of the recipes
    parser.set_defaults(batch_size=None, lr=None, wd=None)  # the recipe's; the help shows none of another one
    recipe = cli.add_recipe_flags(parser, "recipe")
    recipe.add_argument("--recipe", choices=list(RECIPES), help="how to train (default: the arch's); see below")
    jitter = "the shorter side is drawn from --shorter-side to so many times that (default: the recipe's; 1: it is not)"
    recipe.add_argument("--scale-jitter", metavar="FACTOR", type=number(1), help=jitter)
    cli.add_schedule_flags(recipe)
    cli.add_optimizer_flags(parser)
    cli.add_step_flags(parser)
    cli.add_augment_flags(parser)
    network = parser.add_argument_group("network")
    network.add_argument("--dropout", type=number(0, 1), help="probability to drop a neuron (default: the arch's)")
    network.add_argument("--width", type=whole(0), help="neurons in AlexNet's and VGG's hidden fully connected layers")
    network.add_argument("--shortcut", choices=("A", "B", "C"), default="B", help="where a ResNet changes the shape")
    heads = "GoogLeNet and Inception v3 without auxiliary heads"
    network.add_argument("--no-aux", dest="aux_logits", action="store_false", help=heads)
    parser.set_defaults(transform_input=False)  # the scale of published weights, which are not used here
    parser.set_defaults(norm_across_halves=False)  # of alexnet_2012; checkpoints from before say nothing, and had it
    return parser


def defaults(args: Namespace) -> dict[str, Any]:
    """What depends on the architecture and the recipe; and without DIR, what the sample set needs."""
    recipe = args.recipe or ("alexnet" if args.arch.startswith(("alexnet", "vgg")) else "resnet")
    image_size, shorter_side = usual_sizes(args.arch)
    chosen = {"recipe": recipe, "image_size": image_size, "shorter_side": shorter_side, **RECIPES[recipe], **OWN}
    chosen["dropout"] = DROPOUT.get(args.arch, OWN["dropout"])
    chosen["preprocess"] = "mean_image" if args.arch == "alexnet_2012" else "mean_std"
    if cli.on_sample(args):
        chosen |= sample(args.arch, recipe)
    chosen["lr"] = cli.OWN_LR.get(args.opt, chosen["lr"])
    return chosen | {name: NONE[name] for name in NONE if not has(args.arch, name)}  # what is given goes before them


def sample(arch: str, recipe: str) -> dict[str, Any]:
    """What the sample set changes."""
    chosen = cli.ALEXNET_SAMPLE if recipe == "alexnet" else RESNET_SAMPLE
    return chosen | next((smaller for name, smaller in SMALLER.items() if arch.startswith(name)), {})


def has(arch: str, name: str) -> bool:
    """Whether `name` is a setting of that network."""
    return name in names.SETTINGS.get(arch, ())


def describe(args: Namespace) -> str:
    """The recipe in a line, as it is after all flags."""
    heads = "; auxiliary heads count, too" if args.aux_logits else ""
    said = f"recipe {args.recipe}: batches of {args.batch_size}, {cli.describe_optimizer(args)}"
    return f"{said}; {cli.describe_augment(args, largest_side(args))}{heads}"


def note(args: Namespace) -> str:
    """What the user should know of a run on the sample set; of others, nothing."""
    if not cli.on_sample(args):
        return ""
    changed = {name: value for name, value in sample(args.arch, args.recipe).items() if name not in NONE}
    return cli.sample_note(args, "The recipe's", changed)


def largest_side(args: Namespace) -> int | None:
    """Up to where the shorter side is drawn; None: it is not drawn."""
    return round(args.shorter_side * args.scale_jitter) if args.scale_jitter > 1 else None


def build_model(args: Namespace, num_classes: int) -> nn.Module:
    """A new network; ValueError for a setting that it does not have."""
    for name, none in NONE.items():
        if not has(args.arch, name) and getattr(args, name) != none:
            raise ValueError(f"{args.arch} has no setting {name}; leave {flag(name)} {getattr(args, name)} out")
    return cli.initialise(models.create(args.arch, num_classes, vars(args)), args.init)


def build_optimizer(args: Namespace, model: nn.Module) -> optim.Optimizer:
    """By AlexNet's recipe biases learn twice as fast, and do not decay."""
    own = optim.weights_and_biases(model, cli.scaled_lr(args), args.wd) if args.recipe == "alexnet" else None
    return cli.build_optimizer(args, model, own)


def augment(args: Namespace) -> Compose:
    """A random crop of the picture, at some size, or of its mirror image, in another light; and what flags ask for."""
    noise = [ColorNoise.imagenet(args.color_noise)] if args.color_noise else []  # along the colours' principal axes
    return cli.augmented(args, *noise, largest=largest_side(args))


def main(argv: Sequence[str] | None = None) -> None:
    """Train, or test, as the command line says."""
    args, state = cli.parse(arguments(), argv, defaults)  # state: of the checkpoint to go on with or to test, or None
    if state and (args.evaluate or args.ensemble):
        cli.test_checkpoints(args, state, build_model, cli.open_pictures, "sample")
        return

    cli.check_resumed(args, state)

    # Pictures, in batches: uint8 (N, 3, H, W) and N labels
    train_set, val_set, known = cli.known_pictures(args, cli.open_pictures, state)
    random.manual_seed(args.seed)  # of initial weights and dropout
    with cli.as_setting_error():  # what cannot be built of these arguments is told in one line
        cli.check_augment(args)
        train_loader, val_loader = cli.loaders(args, train_set, val_set, augment)

        # Model, optimiser, schedule
        model = cli.for_training(args, cli.begin(args, len(train_set.classes), build_model))
        cli.check_feasible(args, model, len(train_set))
        optimizer = build_optimizer(args, model)
        schedule = cli.build_schedule(args, optimizer, train_loader)  # which changes its lr
        callbacks = cli.step_callbacks(args, model)  # an average of the weights, an early end

    with cli.output_folder(args, "sample") as folder:
        tell(describe(args))
        cli.introduce(args, model, train_set, val_set, note(args))
        normalize = cli.normalizer(args, train_set, state)  # fitted on training pictures, or the checkpoint's
        options = cli.trainer_options(args, folder, train_set, known)
        options["warmup"] = cli.warmup(args, optimizer, train_loader)
        options["schedule_each"], options["loss"] = cli.schedule_each(args), cli.loss_of(args)
        options["callbacks"] = [*callbacks, *options["callbacks"]]
        options["mix"] = cli.mix_of(args, len(train_set.classes))
        trainer = Trainer(model, optimizer, schedule, train_loader, val_loader, normalize, **options)
        if state:
            trainer.load_state_dict(state, args.resume)
            state.clear()  # it is twice as large as the model
        cli.write_arguments(args, folder)

        # The loop; each step (forward, loss, backward, step) is Trainer.train_batch
        with trainer.running():  # log.csv is open, and Ctrl-C leaves a checkpoint
            while not trainer.is_over:  # from where the checkpoint stands
                trainer.train_epoch()  # all training pictures once
                val = trainer.validate()  # loss, top-1, top-5
                top1 = trainer.log_epoch(val)  # in %, of validation if there is any
                if trainer.schedule_each == "epoch":
                    schedule.step(100 - top1)  # its metric: the error
                trainer.save_epoch(top1)  # checkpoint_best.npz, checkpoint_last.npz
        cli.write_results(args, trainer, train_loader, "sample")
