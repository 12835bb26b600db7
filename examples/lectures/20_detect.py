"""Finding objects with a network that was trained to name them.

Claim      Transfer learning serves other tasks, too: a network pre-trained to classify is fine-tuned to detect (deck 1,
           "Transfer learning: Domain Change", "Example: Single-stage object detectors: SSD, YOLO"; deck 2, "Transfer
           Learning Is Beyond Classification").
Published  SSD300 on VGG-16, pre-trained on ImageNet: 74.3 mAP on VOC 2007, the mean at eleven recalls (Liu et al., ECCV
           2016, table 1); none from scratch.
Done       SSD on a ResNet of 7 convolutions, two maps of 12 x 12 and 6 x 6, 720 default boxes. The backbone is
           pre-trained on 1,500 textures of 48 pixels; the detector is trained on 240 scenes of 96 pixels, ellipses with
           these textures: 10 epochs, or 15 from scratch, as pre-training takes time. Each way has the best of three
           rates, by mAP on 60 other scenes and with a seed of its own; it is tested on 150 more. Pre-training and
           scenes have the same ten textures, which favours transfer.
           --full DIR: SSD300 on DIR in VOC's layout (ImageSets/Main/trainval.txt and test.txt; pictures of 2007 and
           2012 in one folder), at the paper's rate, from VGG-16's ImageNet weights, which are downloaded; for a GPU.
Measured   mAP in percent, 3 seeds: frozen 62.8 ± 1.6 (at a rate of 0.01), fine-tuned 62.1 ± 5.0 (at a rate of 0.003,
           the edge of what was tried), from scratch 33.4 ± 12.5 (at a rate of 0.01). As the mean at eleven recalls:
           frozen 61.8 ± 1.7, fine-tuned 62.0 ± 5.0, from scratch 33.8 ± 11.7.
Look at    minicnn/detection/, minicnn/models/ssd.py, docs/detect.md
"""

import sys
from functools import cache, partial

import numpy as np
from common import statistics, style
from common.classes import TEXTURES, classes
from common.detecting import RECALLS, draw_defaults, draw_found, tested, train
from common.experiment import Lecture
from common.scenes import scenes
from common.training import train as train_classifier
from common.voc import Voc

from minicnn import cuda, manual_seed, models, nn, optim, pretrained
from minicnn.data import ChannelMeanStd, ColorJitter, Compose, RandomFlip, RandomResizedCrop, to_array
from minicnn.models.resnet import BasicBlock

WAYS = "frozen", "fine-tuned", "from scratch"
RATES = 0.003, 0.01, 0.03
SELECTION = 1000  # the seed with which rates are compared


def backbone():
    stem = {"conv1": nn.Conv2d(3, 16, 5, stride=2, padding=2, bias=False), "bn1": nn.BatchNorm2d(16)}
    stem |= {"relu": nn.ReLU(inplace=True), "maxpool": nn.MaxPool2d(2)}  # of 96 pixels: 24 positions
    return models.ResNet(stem, BasicBlock, (1, 1, 1), (16, 32, 64), len(TEXTURES), "B", True, False)


def on_scenes(run):
    sizes = run.pick((20, 8, 12), (240, 60, 150))
    training, validation, test = (scenes(count, 96, [part]) for part, count in enumerate(sizes))
    textures = classes(None, *run.pick((3, 1), (150, 30)), side=48)
    normalize = ChannelMeanStd().fit([np.stack([to_array(sample["image"]) for sample in training])])
    epochs = run.pick(1, 10)

    @cache
    def weights(seed):
        manual_seed(seed)
        model, images = backbone(), normalize(textures.train)
        settings = {"epochs": run.pick(1, 8), "lr": 0.05, "seed": seed, "options": {"weight_decay": 5e-4}}
        train_classifier(model, images, textures.train_labels, **settings)
        return model.state_dict()

    def trained(way, rate, seed, on):
        manual_seed(seed)
        network = backbone()
        if way != "from scratch":
            network.load_state_dict(weights(seed))
        if way == "frozen":
            network.freeze()
        model = models.ssd(
            network, len(TEXTURES), ["layer2", "layer3"], aspect_ratios=[(2,), (2,)], scales=(0.3, 0.42, 0.6)
        )
        longer = 1.5 if way == "from scratch" else 1
        train(model, training, normalize, epochs=round(longer * epochs), lr=rate, seed=seed)
        return tested(model, on, normalize, TEXTURES)

    return {way: choice(run, way, partial(trained, way), validation, test) for way in WAYS}


def choice(run, way, trained, validation, test):
    """(the best rate of a way, what it gives for each seed)."""
    rates = run.pick(RATES[1:2], RATES)
    rate = max(rates, key=lambda r: run.once(f"{way} at {r}", trained, r, SELECTION, validation)["mAP"])
    return rate, [run.once(f"{way}, seed {seed}", trained, rate, seed, test) for seed in run.seeds]


def on_voc(run):
    training = Voc(run.folder, "trainval")
    test = Voc(run.folder, "test", (300, 300), training.names)
    augment = Compose([ColorJitter(0.3, 0.3, 0.3, 0.05), RandomResizedCrop(300, scale=(0.3, 1)), RandomFlip()])
    sgd = partial(optim.SGD, momentum=0.9, weight_decay=5e-4)
    options = {"optimizer": sgd, "batch_size": 32, "transform": augment, "workers": 8}
    normalize, rate = ChannelMeanStd.imagenet(), 0.001

    def trained(seed):
        manual_seed(seed)
        model = models.ssd(pretrained.load("vgg16"), len(training.names)).to("cuda" if cuda.is_available() else "cpu")
        train(model, training, normalize, epochs=240, lr=rate, seed=seed, options=options)
        return tested(model, test, normalize, training.names)

    return {"fine-tuned": (rate, [run.once(f"fine-tuned, seed {seed}", trained, seed) for seed in run.seeds])}


def measure(run):
    found = on_voc(run) if run.folder else on_scenes(run)
    ways, precision = {}, {}
    for way, (rate, tests) in found.items():
        ways[way] = {"rate": rate, "mAP": [test["mAP"] for test in tests], "eleven": [test["eleven"] for test in tests]}
        precision[way] = [test["precision"] for test in tests]
    return {"ways": ways, "curves": {"precision": precision, "pictures": found["fine-tuned"][1][0]["pictures"]}}


def measured(result):
    ways = result["ways"].items()
    areas = [f"{way} {statistics.with_spread(each['mAP'])} ({_rate(each['rate'])})" for way, each in ways]
    eleven = [f"{way} {statistics.with_spread(each['eleven'])}" for way, each in ways]
    head = f"mAP in percent, {statistics.seeds(result['ways']['fine-tuned']['mAP'])}: {', '.join(areas)}"
    return f"{head}. As the mean at eleven recalls: {', '.join(eleven)}."


def _rate(rate):
    return f"at a rate of {rate:g}{', the edge of what was tried' if rate in (RATES[0], RATES[-1]) else ''}"


def draw(figure, result):
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.2))
    first, *_ = pictures = result["curves"]["pictures"]
    for axes, picture in zip(upper.subplots(1, len(pictures) + 2), pictures, strict=False):
        draw_found(axes, picture)
        for text in axes.texts:
            text.set_fontsize(8)
    for axes, kind, where in zip(upper.axes[-2:], ("defaults", "matched"), ("at a place", "to an object"), strict=True):
        draw_defaults(axes, first | {"defaults": [], "matched": [], kind: first[kind]})
        x0, y0, x1, y1 = np.reshape(first[kind], (-1, 4)).T
        axes.set(xlim=(x0.min() - 3, x1.max() + 3), ylim=(y1.max() + 3, y0.min() - 3))  # from near
        axes.set_title(f"boxes of map {first['map']}:\n{kind} {where}", fontsize="small")
    bars, curves = lower.subplots(1, 2)
    mAPs = [way["mAP"] for way in result["ways"].values()]
    style.bars(bars, list(result["ways"]), [*map(statistics.mean, mAPs)], [*map(statistics.spread, mAPs)])
    bars.set(ylabel="mAP (%)", title="mean average precision")
    for way, values in result["curves"]["precision"].items():
        curves.plot(RECALLS, np.mean(values, axis=0), label=way, marker="")
    curves.set(xlabel="recall", ylabel="precision", title="mean over classes at each recall", ylim=(0, 1.02))
    curves.legend()


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, size=(11, 6.5))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
