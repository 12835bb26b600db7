"""A network as a command line names it: its architecture, and the weights it has, or the checkpoint of a run."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from .. import models, pretrained
from ..data import CenterCrop, Compose, ResizeShorter, to_array
from ..errors import SettingError
from ..models import Network, names
from ..pretrained import WeightsError
from ..train.evaluate import Classifier, log_mean, log_probabilities
from ..train.restore import load_model, load_normalizer, load_run, reading
from ..types import Array

SIZES = {"alexnet_2012": (227, 256), "inception_v3": (299, 342)}  # pixels, cropped and before


def usual_sizes(arch: str) -> tuple[int, int]:
    """(side of its pictures, their shorter side before they are cropped) in pixels, of a network by its name."""
    return SIZES.get(arch, (32, 32) if arch in names.CIFAR and arch not in names.IMAGENET else (224, 256))


def check_arch(arch: str) -> None:
    """SettingError for a name that no network has."""
    if arch not in names.KNOWN:
        raise SettingError(f"{names.unknown(arch)}; --help lists all of them")


class Chosen(NamedTuple):
    """A network in evaluation mode, and what its pictures go through."""

    arch: str
    classifier: Classifier  # the network and its normaliser
    transform: Compose  # of a PIL image
    image_size: int  # pixels, after it
    classes: list[str]

    @property
    def model(self) -> Network:
        """The network alone."""
        return self.classifier.model  # type: ignore[return-value]


def choose(arch: str, weights: str) -> Chosen:
    """The network `arch` with published weights or those of a file, or that of a checkpoint, whatever `arch` says.

    WeightsError or CheckpointError if it cannot be had."""
    path = Path(weights)
    if pretrained.is_checkpoint(path):
        return _of_checkpoint(path)
    if path.is_file():
        found = pretrained.of_file(arch)
        model = pretrained.load(found, file=path)
        count = pretrained.head(model).out_features
        as_published = arch in pretrained.ARCHS or pretrained.network_settings(arch, path)
        named = as_published and count == len(found.classes)
        classes = list(found.classes) if named else [f"class {label}" for label in range(count)]
    else:
        try:
            found = pretrained.get(arch, weights)
        except WeightsError as error:
            raise WeightsError(f"{error}, and there is no such file") from None
        model, classes = pretrained.load(found), list(found.classes)
    return Chosen(arch, Classifier(model, found.normalize()), found.transform(), found.image_size, classes)


def _of_checkpoint(path):
    """Of one that training has written, tried out on a blank picture."""
    state = load_run(path)
    with reading(path, "settings"):
        arch, size, shorter_side = (state["settings"][name] for name in ("arch", "image_size", "shorter_side"))
        model = models.create(arch, len(state["classes"]), state["settings"])
    load_model(model, state, state["classes"], path)
    classifier = Classifier(model.eval(), load_normalizer(state, size, path))
    with reading(path, "settings"):
        how = state["settings"].get("interpolation", "bilinear")  # which earlier ones do not name
        transform = Compose([ResizeShorter(shorter_side, how), CenterCrop(size)])
        probabilities(classifier, transform, Image.new("RGB", (size, size)))
    return Chosen(arch, classifier, transform, size, state["classes"])


def probabilities(classifier: Classifier, transform: Compose, image: Any) -> Array:
    """The probability of each class for a PIL image, an array (classes,)."""
    picture = to_array(transform(image, None))
    return np.exp(log_mean(log_probabilities(classifier, picture[None])))[0]
