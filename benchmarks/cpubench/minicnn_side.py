"""A step of minicnn, in either precision: on tier "fast", "plain", or "fused", by ``minicnn.fuse`` and ``seal``."""

import numpy as np

import minicnn
from minicnn.train.environment import environment

from .sides import SGD, batch, created, training_step, variables


def prepare(settings, precision, way):
    minicnn.set_tier("plain" if way == "plain" else "fast")
    minicnn.manual_seed(0)
    images, labels = batch(settings)
    model, images = created(minicnn.models, settings), minicnn.Tensor(images)
    if way == "fused":
        model = minicnn.seal(minicnn.fuse(model, images.shape[1:]))  # folded in float32
    minicnn.set_precision(precision)
    if settings["task"] == "train":
        optimizer = minicnn.optim.SGD(model.parameters(), **SGD)
        return training_step(model, optimizer, minicnn.functional.cross_entropy, images, labels)
    model.eval()

    @minicnn.no_grad()
    def infer():
        return model(images).max().item()

    return infer


def describe(settings):
    about = environment()
    of_a_side = ("device", "precision")  # what its name says
    versions = {"minicnn": minicnn.__version__, "numpy": np.__version__}
    return versions | {name: text for name, text in about.items() if name not in of_a_side} | variables()
