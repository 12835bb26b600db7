"""Train and test AlexNet on folders of pictures.

    python examples/alexnet_imagenet.py                         on a small set of synthetic pictures, drawn on the spot
    python examples/alexnet_imagenet.py /data/imagenet          the real thing: DIR/train/<class>/*, DIR/val/<class>/*
    python examples/alexnet_imagenet.py --resume runs/alexnet-imagenet-1/checkpoint_last.npz
    python examples/alexnet_imagenet.py -e --resume runs/alexnet-imagenet-1/checkpoint_best.npz --tta 10crop

train_imagenet.py does the same with any of ImageNet's networks, by AlexNet's recipe or ResNet's.
The settings are those of Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", NIPS
2012, section 5: batches of 128, momentum 0.9, weight decay 0.0005, lr 0.01 (twice that for biases), divided by 10
whenever the validation error stops improving, about 90 epochs.
"""

import sys
from argparse import BooleanOptionalAction

from minicnn import cli, models, optim, random
from minicnn.cli import number, whole
from minicnn.data import ColorNoise
from minicnn.train import Trainer, exit_code

ARCHS = {
    "alexnet": {"image_size": 224, "preprocess": "mean_std"},
    "alexnet_2012": {"image_size": 227, "preprocess": "mean_image"},
}


def arguments():
    parser = cli.make_parser("Train and test AlexNet on folders of pictures.", archs=list(ARCHS))
    alexnet = cli.add_recipe_flags(parser, "AlexNet")
    alexnet.add_argument("--dropout", type=number(0, 1), default=0.5, help="probability to drop a neuron")
    alexnet.add_argument("--width", type=whole(1), default=4096, help="neurons in each hidden fully connected layer")
    alexnet.add_argument("--groups", type=int, choices=(1, 2), default=2, help="of alexnet_2012: 2 is the paper's")
    alexnet.add_argument("--pool-before-norm", action="store_true", help="of alexnet_2012: the other order of the two")
    across = "of alexnet_2012: LRN sees both halves, as in Caffe's network; no: each for itself, as on two GPUs"
    alexnet.add_argument("--norm-across-halves", action=BooleanOptionalAction, default=False, help=across)
    return parser


def defaults(args):
    """What depends on the architecture; and without DIR, what the sample set needs."""
    return ARCHS[args.arch] | (cli.ALEXNET_SAMPLE if cli.on_sample(args) else {})  # what is given goes before them


def note(args):
    return cli.sample_note(args, "AlexNet's", cli.ALEXNET_SAMPLE) if cli.on_sample(args) else ""


def build_model(args, num_classes):
    return cli.initialise(models.create(args.arch, num_classes, vars(args)), args.init)


def build_optimizer(args, model):
    lr = cli.scaled_lr(args)
    optimizer = optim.SGD(optim.weights_and_biases(model, lr, args.wd), lr, args.momentum)
    return optimizer, optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=args.patience)


def augment(args):
    """A random crop of the picture or of its mirror image, in another light (section 4.1)."""
    noise = [ColorNoise.imagenet(args.color_noise)] if args.color_noise else []  # along the colours' principal axes
    return cli.crop_and_flip(args, *noise)


def main(argv=None):
    """Train, or test, as the command line says."""
    args, state = cli.parse(arguments(), argv, defaults)  # state: of the checkpoint to go on with or to test, or None
    if args.evaluate or args.ensemble:
        return cli.test_checkpoints(args, state, build_model, cli.open_pictures, "sample")

    # Pictures, in batches: uint8 (N, 3, H, W) and N labels
    train_set, val_set, known = cli.known_pictures(args, cli.open_pictures, state)
    random.manual_seed(args.seed)  # of initial weights and dropout
    with cli.as_setting_error():  # what cannot be built of these arguments is told in one line
        train_loader, val_loader = cli.loaders(args, train_set, val_set, augment)

        # Model, optimiser, schedule
        model = cli.for_training(args, cli.begin(args, len(train_set.classes), build_model))
        cli.check_feasible(args, model, len(train_set))
        optimizer, schedule = build_optimizer(args, model)  # the schedule changes its lr

    with cli.output_folder(args, "sample") as folder:
        cli.introduce(args, model, train_set, val_set, note(args))
        normalize = cli.normalizer(args, train_set, state)  # fitted on training pictures, or the checkpoint's
        options = cli.trainer_options(args, folder, train_set, known)
        options["warmup"] = cli.warmup(args, optimizer, train_loader)
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
                schedule.step(100 - top1)  # lr / 10 when the error stops improving
                trainer.save_epoch(top1)  # checkpoint_best.npz, checkpoint_last.npz
        cli.write_results(args, trainer, train_loader, "sample")


if __name__ == "__main__":
    sys.exit(exit_code(main))
