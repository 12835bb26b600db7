"""The mean over several views of a picture, over several networks, or over both errs less than one. And cutout.

Claim      "Classify different shifts of the image and vote" (deck 1, "AlexNet [Krizhevsky, et al. NIPS (2012)]"); ten
           crops at each of five scales are averaged, and cutout "Works very well for small datasets" (deck 1,
           "Augmentations in action"); 15.4 % by 7 nets (deck 1, "Learning magic in Alexnet").
Published  Ten views: top-1 / top-5 error 39.0 / 18.3 -> 37.5 / 17.0 % (ILSVRC-2010). Top-5 of one net 18.2 %, of five
           16.4, of seven 15.4 (2012, validation), two of these pre-trained on another, larger set: Krizhevsky et al.
           2012, tables 1, 2. Cutout: CIFAR-10, 4.72 -> 3.99 %, DeVries and Taylor 2017, table 1.
Done       Ten drawn textures, 10 pictures of each to train on, so few that many errors are left, and 100 to test on,
           drawn anew for each seed; three small networks for each, 20 epochs of random crops, sizes and mirror images.
           Changes are differences within a seed. The views are ten crops at each of three scales (the deck has five).
           Cutout hides a square of half a crop's width; the training error is of one view, whole: where it is high, a
           net has not yet learnt what it was shown. --full DIR: a folder of your pictures, 100 of each class to train
           on; the published figures take ImageNet and alexnet_imagenet.py.
Measured   Test error of one network with one view 26.1 ± 5.0 %, 3 seeds and their spread. It changes, in points, by: 3
           scales -0.8 ± 0.3; 10 views -0.6 ± 0.3; 3 networks -2.8 ± 1.0; these and 3 scales -3.5 ± 1.0; these and 10
           views -2.9 ± 1.1; these and 30 views -3.8 ± 1.0. Cutout, in training, changes it by 5.8 ± 1.1; the training
           error is then 4.0 ± 1.0 %, and 1.9 ± 0.5 % without it.
Look at    minicnn/data/augment.py, TenCrop; minicnn/train/evaluate.py, log_mean; minicnn/data/color.py, Cutout
"""

import sys
from itertools import combinations

import numpy as np
from common import style
from common.classes import classes
from common.experiment import Lecture
from common.statistics import mean, seeds, spread, with_spread
from common.training import train_on
from common.views import as_images, error, seen, views_of

import minicnn
from minicnn import data, nn
from minicnn.data import ChannelMeanStd, Compose, Cutout, DataLoader, RandomCrop, RandomFlip
from minicnn.train import Classifier
from minicnn.train.evaluate import log_mean

CROP, SCALES, NETWORKS = 32, (42, 46, 50), 3  # CROP, SCALES: pixels
ALL, MIDDLE, CENTRE = slice(None), slice(1, 2), slice(4, 5)  # one of the scales; one of the ten crops
VIEWS = {"1 view": (MIDDLE, CENTRE), "3 scales": (ALL, CENTRE), "10 views": (MIDDLE, ALL), "30 views": (ALL, ALL)}


def network(count):
    def block(channels, out):
        return nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)

    features = *block(3, 16), *block(16, 32), *block(32, 64)
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, count))


def trained(run, split, normalize, augment, seed):
    minicnn.manual_seed(seed)
    model = network(len(split.classes))
    pairs = list(zip(as_images(split.train), split.train_labels, strict=True))
    loader = DataLoader(pairs, 25, shuffle=True, seed=seed, transform=Compose(augment), normalize=normalize)
    train_on(model, loader, epochs=run.pick(2, 20, 60), lr=0.05, options={"weight_decay": 5e-4})
    return Classifier(model.eval(), normalize)


def one_seed(run, seed):
    """{which views: the error in % of 1, 2, 3 networks}, the error of one view with cutout, and what is exact."""
    split = classes(run.folder, *run.pick((4, 4), (10, 100), (100, 50)), side=SCALES[-1], seed=seed)
    normalize, labels = ChannelMeanStd().fit([split.train]), split.test_labels
    augment = [data.RandomShorterSide(SCALES[0], SCALES[-1]), RandomCrop(CROP), RandomFlip()]
    hidden = Cutout(CROP // 2, fill=tuple(int(value) for value in split.train.mean(axis=(0, 2, 3))))
    numbers = [NETWORKS * seed + i for i in range(NETWORKS)]
    plain = [trained(run, split, normalize, augment, number) for number in numbers]
    cut = [trained(run, split, normalize, [*augment, hidden], number) for number in numbers]
    views = views_of(split.test, SCALES, CROP)
    one_view = views_of(split.train, SCALES[MIDDLE], CROP)[:, :, CENTRE]
    log_p = np.stack([seen(classifier, views) for classifier in plain])  # (networks, scales, crops, N, classes)
    result = {name: [] for name in VIEWS}
    for name, (scales, crops) in VIEWS.items():
        for k in range(1, NETWORKS + 1):
            some = [log_p[list(chosen), scales, crops] for chosen in combinations(range(NETWORKS), k)]
            result[name].append(mean([error(one, labels) for one in some]))
    result["cutout"] = mean([error(seen(each, views[:, MIDDLE, CENTRE]), labels) for each in cut])
    for name, nets in {"train": plain, "cutout_train": cut}.items():
        result[name] = mean([error(seen(each, one_view), split.train_labels) for each in nets])
    return result | exact(plain[0], log_p[0], labels)


def exact(classifier, log_p, labels):
    """A picture of one colour looks the same in all views; the mean's loss is at most the views' mean loss (Jensen)."""
    grey = seen(classifier, np.full((1, 1, 10, 3, CROP, CROP), 100, np.uint8))[0]  # (10, 1, classes)
    true = np.take_along_axis(log_p.reshape(-1, *log_p.shape[-2:]), labels[None, :, None], axis=2)  # (views, N, 1)
    gains = log_mean(true) - true.mean(axis=0)
    return {"grey": np.abs(log_mean(grey) - grey[0]).max(), "loss_gain": [gains.min(), gains.max()]}


def measure(run):
    each = [run.once(f"seed {seed}", one_seed, run, seed) for seed in run.seeds]
    errors = {views: [[one[views][k] for one in each] for k in range(NETWORKS)] for views in VIEWS}
    others = "cutout", "train", "cutout_train", "grey", "loss_gain"
    return {"errors": errors} | {name: [one[name] for one in each] for name in others}


def changes(result, values):
    """By how many points these errors of the seeds differ from those of one network with one view."""
    return [value - one for value, one in zip(values, result["errors"]["1 view"][0], strict=True)]


def measured(result):
    errors, cutout = result["errors"], result["cutout"]
    values = errors["3 scales"][0], errors["10 views"][0], *(errors[name][2] for name in VIEWS)
    names = "3 scales", "10 views", "3 networks", "these and 3 scales", "these and 10 views", "these and 30 views"
    texts = [f"{name} {with_spread(changes(result, each))}" for name, each in zip(names, values, strict=True)]
    chance = "" if abs(mean(changes(result, cutout))) > spread(changes(result, cutout)) else ", no more than chance"
    return (
        f"Test error of one network with one view {with_spread(errors['1 view'][0])} %, {seeds(cutout)} and their "
        f"spread. It changes, in points, by: {'; '.join(texts)}. Cutout, in training, changes it by "
        f"{with_spread(changes(result, cutout))}{chance}; the training error is then "
        f"{with_spread(result['cutout_train'])} %, and {with_spread(result['train'])} % without it."
    )


def draw(figure, result):
    together, cutout = figure.subplots(1, 2, width_ratios=(3, 1))
    for i, (name, values) in enumerate(result["errors"].items()):
        places = np.arange(1, NETWORKS + 1) + 0.04 * (i - 1.5)
        means, spreads = (list(map(of, (changes(result, each) for each in values))) for of in (mean, spread))
        together.errorbar(places, means, spreads, capsize=3, label=name)
    together.set(xlabel="networks whose probabilities are averaged", ylabel="change of the test error (points)")
    together.set(xticks=range(1, NETWORKS + 1), title="mean of the seeds and spread; 0: one network with one view")
    together.legend(title="each network sees", loc="lower left")
    pair = result["errors"]["1 view"][0], result["cutout"]
    style.bars(cutout, ["without", "with"], list(map(mean, pair)), list(map(spread, pair)))
    gain = "a gain" if mean(changes(result, result["cutout"])) < 0 else "no gain"
    cutout.set(xlabel="cutout in training", ylabel="test error (%)", title=f"one network, one view:\n{gain}")


LECTURE = Lecture(__file__, __doc__, measure, measured, draw)

if __name__ == "__main__":
    sys.exit(LECTURE.main())
