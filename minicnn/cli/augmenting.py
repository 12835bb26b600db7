"""How training pictures are changed, beyond a crop and a flip: the flags, and what is made of them.

    --random-resized-crop   part of the picture, of random area (--crop-scale) and shape    Szegedy et al. 2015
    --auto-augment          ra: RandAugment, at --ra-magnitude                              Cubuk et al. 2020
                            ta_wide: TrivialAugmentWide                                     Müller and Hutter 2021
                            imagenet, cifar10: AutoAugment                                  Cubuk et al. 2019
                            augmix: AugMix                                                  Hendrycks et al. 2020
    --color-jitter X        brightness, contrast, saturation, each times 1 - X to 1 + X     Howard 2013
    --random-erase P        a rectangle of the mean colour, with probability P              Zhong et al. 2020
    --mixup, --cutmix       pictures of a batch mixed with one another; of both, one of     Zhang et al. 2018
                            them is drawn for each batch                                    Yun et al. 2019
    --train-crop-size       other pictures in training than in tests                        Touvron et al. 2019
    --ra-sampler            an epoch takes a part of the pictures, each --ra-reps times     Hoffer et al. 2020

Names and values are those of torchvision's reference trainer where it has them (--color-jitter is timm's).
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from .. import data
from .arguments import number, whole
from .pictures import crop_and_flip

MEAN_COLOUR = 124, 116, 104  # of ImageNet's training pictures
OF_PICTURES = ("random_resized_crop", "auto_augment", "color_jitter", "random_erase", "train_crop_size")

POLICIES: dict[str, tuple[Callable[..., Any], str]] = {  # of --auto-augment: what makes it, and what it is called
    "ra": (lambda args, **options: data.RandAugment(magnitude=args.ra_magnitude, **options), "RandAugment {}"),
    "ta_wide": (lambda args, **options: data.TrivialAugmentWide(**options), "TrivialAugmentWide"),
    "imagenet": (lambda args, **options: data.AutoAugment("imagenet", **options), "AutoAugment's rules for ImageNet"),
    "cifar10": (lambda args, **options: data.AutoAugment("cifar10", **options), "AutoAugment's rules for CIFAR-10"),
    "augmix": (lambda args, **options: data.AugMix(**options), "AugMix"),
}


def add_augment_flags(parser: ArgumentParser) -> None:
    """The flags, as a group of their own."""
    group = parser.add_argument_group("changing training pictures")
    resized = "a part of the picture of random area and shape, in place of a crop of fixed size"
    group.add_argument("--random-resized-crop", action="store_true", help=resized)
    scale: dict[str, Any] = {"metavar": ("LOW", "HIGH"), "nargs": 2, "type": number(1e-6, 1), "default": [0.08, 1.0]}
    group.add_argument("--crop-scale", help="its area, as a fraction of the picture's", **scale)
    policies = "operations drawn from a list: RandAugment, TrivialAugmentWide, AutoAugment's rules, AugMix"
    group.add_argument("--auto-augment", choices=tuple(POLICIES), help=policies)
    strength = "of --auto-augment ra, from 0 to 30"
    group.add_argument("--ra-magnitude", metavar="LEVEL", type=whole(0), default=9, help=strength)
    jitter = "how much brightness, contrast and saturation vary"
    group.add_argument("--color-jitter", metavar="AMOUNT", type=number(0), default=0.0, help=jitter)
    erase = "how often a rectangle is erased"
    group.add_argument("--random-erase", metavar="P", type=number(0, 1), default=0.0, help=erase)
    alpha: dict[str, Any] = {"metavar": "ALPHA", "type": number(0), "default": 0.0}
    group.add_argument("--mixup", "--mixup-alpha", help="mix pictures: of Beta(ALPHA, ALPHA); 0: do not", **alpha)
    over = "lay parts of pictures over others: of Beta(ALPHA, ALPHA); 0: do not"
    group.add_argument("--cutmix", "--cutmix-alpha", help=over, **alpha)
    size = "pixels of training pictures (default: --image-size)"
    group.add_argument("--train-crop-size", metavar="PIXELS", type=whole(1), help=size)
    part = "repeated augmentation: an epoch takes a part of the pictures, and has --ra-reps versions of each in a row"
    group.add_argument("--ra-sampler", action="store_true", help=part)
    group.add_argument("--ra-reps", metavar="TIMES", type=whole(1), default=3, help="of --ra-sampler")


def augmented(args: Namespace, *more: Any, largest: int | None = None) -> data.Compose:
    """What the flags make of a training picture; `more` is done behind a crop and a flip, as `largest` in
    ``crop_and_flip``. ValueError for flags that do not go together."""
    size = args.train_crop_size or args.image_size
    changes: list[Callable]
    if args.random_resized_crop:
        crop = data.RandomResizedCrop(size, args.crop_scale, interpolation=args.interpolation)
        changes = [crop, data.RandomFlip()]
    else:
        changes = crop_and_flip(args, size=size, largest=largest).transforms
    if args.auto_augment:
        make, _ = POLICIES[args.auto_augment]
        changes.append(make(args, interpolation=args.interpolation))
    if args.color_jitter:
        changes.append(data.ColorJitter(args.color_jitter, args.color_jitter, args.color_jitter))
    changes += more
    if args.random_erase:
        changes.append(data.RandomErasing(args.random_erase, value=MEAN_COLOUR))
    return data.Compose(changes)


def check_augment(args: Namespace) -> None:
    """ValueError for flags of which one would be without effect, or that another rules out."""
    given = [name for name in OF_PICTURES if getattr(args, name)]
    if args.no_augment and given:
        first = "--" + given[0].replace("_", "-")
        raise ValueError(f"--no-augment leaves training pictures as they are; leave {first} out")
    if args.train_crop_size not in (None, args.image_size) and args.preprocess == "mean_image":
        what = f"--train-crop-size {args.train_crop_size} and --image-size {args.image_size} are two sizes"
        raise ValueError(f"{what}, and --preprocess mean_image is a picture of one; choose mean_std or channel_mean")


def mix_of(args: Namespace, num_classes: int) -> Callable[..., Any] | None:
    """What mixes the pictures of a batch, for ``Trainer(mix=)``; None if nothing does."""
    kinds = [(data.MixUp, args.mixup), (data.CutMix, args.cutmix)]
    chosen = [kind(alpha=alpha, num_classes=num_classes) for kind, alpha in kinds if alpha]
    return data.RandomChoice(chosen) if chosen else None


def describe_augment(args: Namespace, largest: int | None = None) -> str:
    """How training pictures are changed, in a few words."""
    size = args.train_crop_size or args.image_size
    if args.random_resized_crop:
        low, high = (f"{100 * part:g}" for part in args.crop_scale)
        words = [f"{low} to {high} % of a picture, resized to {size}"]
    else:
        words = [f"shorter side {args.shorter_side}{f' to {largest}' if largest else ''}, cut to {size}"]
    words += [POLICIES[args.auto_augment][1].format(args.ra_magnitude)] if args.auto_augment else []
    for name, amount in (("colour jitter", args.color_jitter), ("erasing", args.random_erase)):
        words += [f"{name} {amount:g}"] if amount else []
    for name, alpha in (("mixup", args.mixup), ("CutMix", args.cutmix)):
        words += [f"{name} {alpha:g}"] if alpha else []
    words += [f"{args.ra_reps} versions of a picture in a row"] if args.ra_sampler else []
    return ", ".join(words)
