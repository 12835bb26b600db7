"""A classifier of textures, and networks made of it that give each pixel of a mosaic its class."""

import copy
from typing import NamedTuple

import numpy as np

from minicnn import manual_seed, models, nn
from minicnn.data import ChannelMeanStd
from minicnn.models.resnet import BasicBlock
from minicnn.train.segmentation import Confusion

from . import training
from .classes import TEXTURES, classes, textures
from .mosaics import mosaics
from .voc_masks import percent

SIDE, CELLS = 64, 4
DECAY = {"weight_decay": 5e-4}


class Task(NamedTuple):
    """What a seed draws: a classifier that has learnt textures, and its error; mosaics to learn from and to be tested
    on, float32 (N, 3, SIDE, SIDE), with their classes int64 (N, SIDE, SIDE); the first of the latter as uint8."""

    classifier: models.ResNet
    error: float
    images: np.ndarray
    labels: np.ndarray
    shown: np.ndarray
    truth: np.ndarray
    picture: np.ndarray


def drawn(sizes: tuple[int, int, int, int, int], seed: int) -> Task:
    """sizes: pictures of a class to pre-train on, and epochs; pictures of a class that mosaics are made of, half as
    many for those of the test; mosaics to learn from, and to be tested on. All pictures are different ones."""
    per_class, epochs, in_mosaics, count, to_test = sizes
    data = classes(None, per_class, max(1, per_class // 4), SIDE, seed)
    rng, normalize = np.random.default_rng([seed, 4]), ChannelMeanStd().fit([data.train])
    x, labels = mosaics(*textures(in_mosaics, SIDE, [seed, 2]), count, CELLS, rng)
    shown, truth = mosaics(*textures(max(1, in_mosaics // 2), SIDE, [seed, 3]), to_test, CELLS, rng)
    model, pictures = backbone(seed), normalize(data.train)
    training.train(model, pictures, data.train_labels, epochs=epochs, lr=0.05, seed=seed, options=DECAY)
    error = training.error(model, normalize(data.test), data.test_labels)
    return Task(model, error, normalize(x), labels, normalize(shown), truth, shown[0])


def trained(task: Task, stride: int, kind: str, rate: float, epochs: int, seed: int) -> tuple[dict, np.ndarray]:
    """(What a network scores on the task's test, the classes uint8 (SIDE, SIDE) that it sees in the first mosaic).

    kind: "pre-trained", all layers learn; "frozen", those of the classifier stay; "scratch", they begin as they did
    before pre-training, and learn for half as many epochs more. stride: of the finest map.
    """
    start = backbone(seed) if kind == "scratch" else copy.deepcopy(task.classifier)
    model = models.fcn(start, len(TEXTURES), stride)
    model.backbone.freeze(kind == "frozen")
    epochs, options = round((1.5 if kind == "scratch" else 1) * epochs), DECAY | {"batch_size": 8}
    training.train(model, task.images, task.labels, epochs=epochs, lr=rate, seed=seed, options=options)
    scores, confusion = training.scores(model, task.shown, 32), Confusion(len(TEXTURES))
    confusion.update(scores, task.truth)
    return percent(confusion), scores[0].argmax(axis=0).astype(np.uint8)


def backbone(seed: int) -> models.ResNet:
    """A ResNet of ten layers, narrow, with stages at the strides 4, 8, 16 and 32."""
    manual_seed(seed)
    stem = {"conv1": nn.Conv2d(3, 16, 5, stride=2, padding=2, bias=False), "bn1": nn.BatchNorm2d(16)}
    stem |= {"relu": nn.ReLU(), "maxpool": nn.MaxPool2d(3, stride=2, padding=1)}
    return models.ResNet(stem, BasicBlock, (1, 1, 1, 1), (16, 32, 64, 96), len(TEXTURES), "B", True, False)
