"""A class for every pixel: a classifier becomes a segmenter, with skips and without, pre-trained and from scratch.

Claim      Pre-training on massive data, then fine-tuning on much less, also serves other tasks than the first, such as
           the networks of Long, Shelhamer and Darrell (deck 1, "Example: semantic segmentation").
Published  VOC 2012, FCN-8s of VGG-16: 62.2 % mean IU (Long et al., CVPR 2015, table 3); on a part of VOC 2011's
           validation set FCN-32s 59.4 %, -16s 62.4 %, -8s 62.7 % (table 2).
Done       A small ResNet learns to tell single textures apart (10 classes, 64 x 64 pixels). Its layers become FCN-8s,
           -16s and -32s, which learn from 120 Voronoi mosaics of four other textures each, all stages at once, for 8
           epochs at one rate, 0.05; beside them FCN-8s with the classifier's layers frozen, and from scratch. 45
           mosaics of yet other textures test them. So few epochs favour what is pre-trained; whether that lasts is the
           question of program 16. --full DIR takes VOC 2012's layout, downloads VGG-16's weights, and trains FCN-32s,
           -16s and -8s in turns, as the paper; one seed (--seeds 1) will do.
Measured   Mean IU / pixel accuracy in %: FCN-8s 28.8 ± 3.5 / 46.0 ± 3.4, FCN-16s 26.3 ± 3.1 / 43.0 ± 3.3, FCN-32s 18.5
           ± 1.6 / 33.0 ± 1.4, FCN-8s frozen 22.8 ± 2.2 / 38.8 ± 2.8, FCN-8s scratch 15.0 ± 2.5 / 26.7 ± 3.9; 3 seeds.
           The classifier's error is 13.8 ± 2.8 %.
Look at    minicnn/models/fcn.py, minicnn/models/grid.py, minicnn/train/segmentation.py; common/mosaics.py, voc_masks.py
"""

import copy
import sys

import matplotlib
import numpy as np
from common import style, training, voc_masks
from common.classes import TEXTURES, classes, textures
from common.experiment import Lecture, Run
from common.mosaics import mosaics
from common.pictures import as_text, from_text
from common.statistics import mean, seeds, spread, with_spread

from minicnn import manual_seed, models, nn
from minicnn.data import ChannelMeanStd
from minicnn.models.resnet import BasicBlock
from minicnn.train.segmentation import Confusion

SIDE, CELLS, RATE = 64, 4, 0.05
ARMS = {  # the stride of the finest map; "pre-trained", "frozen" as well, or "scratch"
    "FCN-8s": (8, "pre-trained"),
    "FCN-16s": (16, "pre-trained"),
    "FCN-32s": (32, "pre-trained"),
    "FCN-8s frozen": (8, "frozen"),
    "FCN-8s scratch": (8, "scratch"),
}


def measure(run: Run) -> dict:
    if run.mode == "full":
        found = [run.once(f"seed {seed}", voc_masks.in_turns, run.folder, seed) for seed in run.seeds]
    else:
        # pictures of a class to pre-train on, and epochs; textures of a class in mosaics, mosaics, epochs
        sizes = run.pick((4, 1, 2, 8, 1), (60, 10, 20, 120, 8))
        found = [run.once(f"seed {seed}", segmented, *sizes, seed) for seed in run.seeds]
    return {
        "classifier_error": [one["classifier_error"] for one in found],
        **{
            name: {arm: [one["arms"][arm][name] for one in found] for arm in found[0]["arms"]}
            for name in ("pixel_accuracy", "mean_iu")
        },
        "curves": found[0]["example"],
    }


def segmented(per_class: int, pretraining: int, in_mosaics: int, count: int, epochs: int, seed: int) -> dict:
    """A classifier, and every network of ARMS, tested on mosaics; what they make of the first of these."""
    data = classes(None, per_class, max(1, per_class // 4), SIDE, seed)
    rng, normalize = np.random.default_rng([seed, 4]), ChannelMeanStd().fit([data.train])
    x, labels = mosaics(*textures(in_mosaics, SIDE, [seed, 2]), count, CELLS, rng)
    shown, truth = mosaics(*textures(max(1, in_mosaics // 2), SIDE, [seed, 3]), 3 * count // 8, CELLS, rng)
    classifier = backbone(seed)
    settings = {"weight_decay": 5e-4}
    images = normalize(data.train)
    training.train(classifier, images, data.train_labels, epochs=pretraining, lr=RATE, seed=seed, options=settings)
    arms, predictions = {}, {}
    for arm, (stride, kind) in ARMS.items():
        start = backbone(seed + 1000) if kind == "scratch" else copy.deepcopy(classifier)
        model = models.fcn(start, len(TEXTURES), stride)
        model.backbone.freeze(kind == "frozen")
        options = settings | {"batch_size": 8}
        training.train(model, normalize(x), labels, epochs=epochs, lr=RATE, seed=seed, options=options)
        scores = training.scores(model, normalize(shown), 32)
        confusion = Confusion(len(TEXTURES))
        confusion.update(scores, truth)
        arms[arm] = voc_masks.percent(confusion)
        predictions[arm] = as_text(scores[0].argmax(axis=0).astype(np.uint8))
    example = {"picture": as_text(shown[0].transpose(1, 2, 0)), "truth": as_text(truth[0].astype(np.uint8))}
    wrong = training.error(classifier, normalize(data.test), data.test_labels)
    return {"classifier_error": wrong, "arms": arms, "example": example | {"predictions": predictions}}


def backbone(seed: int) -> models.ResNet:
    """A ResNet of ten layers, narrow, with stages at the strides 4, 8, 16 and 32."""
    manual_seed(seed)
    stem = {"conv1": nn.Conv2d(3, 16, 5, stride=2, padding=2, bias=False), "bn1": nn.BatchNorm2d(16)}
    stem |= {"relu": nn.ReLU(), "maxpool": nn.MaxPool2d(3, stride=2, padding=1)}
    return models.ResNet(stem, BasicBlock, (1, 1, 1, 1), (16, 32, 64, 96), len(TEXTURES), "B", True, False)


def measured(result: dict) -> str:
    arms = ", ".join(
        f"{arm} {with_spread(result['mean_iu'][arm])} / {with_spread(accuracy)}"
        for arm, accuracy in result["pixel_accuracy"].items()
    )
    text = f"Mean IU / pixel accuracy in %: {arms}; {seeds(result['classifier_error'])}."
    if None in result["classifier_error"]:  # VGG-16's, which is not measured here
        return text
    return f"{text} The classifier's error is {with_spread(result['classifier_error'])} %."


def draw(figure, result: dict) -> None:
    top, below = figure.subfigures(2, 1, height_ratios=(1, 1.3))
    example, arms = result["curves"], list(result["mean_iu"])
    panels = iter(top.subplots(1, 2 + len(arms)))
    truth = from_text(example["truth"])
    there = [label for label in np.unique(truth) if label != voc_masks.UNKNOWN]
    style.picture(next(panels), from_text(example["picture"]).transpose(2, 0, 1), "picture")
    maps = {"truth": truth} | {arm: from_text(text) for arm, text in example["predictions"].items()}
    colors = matplotlib.colormaps["cividis"].resampled(len(there)).with_extremes(bad="white")
    for (name, labels), axes in zip(maps.items(), panels, strict=True):
        levels = np.ma.array(np.zeros(labels.shape), mask=True)  # white: a class that is not in this picture
        for level, label in enumerate(there):
            levels[labels == label] = level
        axes.imshow(levels, cmap=colors, vmin=-0.5, vmax=len(there) - 0.5)
        axes.set_title(name, fontsize="small")
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set_visible(True)
    top.supxlabel("white: taken for a class that is not in the picture", fontsize="small")
    for axes, name in zip(below.subplots(1, 2), ("mean_iu", "pixel_accuracy"), strict=True):
        names, values = [arm.replace(" ", "\n") for arm in arms], result[name].values()
        style.bars(axes, names, [*map(mean, values)], [*map(spread, values)])
        axes.set(ylabel=f"{name.replace('_', ' ').replace('iu', 'IU')} (%)")


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, size=(11, 5.5))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
