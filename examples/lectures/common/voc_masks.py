"""VOC 2012's segmentation, and what trains on it: pictures of all sizes, each with a class for every pixel.

    DIR/ImageSets/Segmentation/train.txt, val.txt     names, one on a line
    DIR/JPEGImages/<name>.jpg                         pictures
    DIR/SegmentationClass/<name>.png                  masks, whose palette's numbers are the classes: 0 the background,
                                                      1 to 20 things, 255 the outlines, which do not count

Source    Everingham et al., "The Pascal visual object classes (VOC) challenge", IJCV 2010
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import minicnn
from minicnn import Tensor, manual_seed, models, nn, optim, pretrained
from minicnn import functional as F
from minicnn.data import DataError, to_array
from minicnn.data.decode import decoding, load_image
from minicnn.errors import SettingError
from minicnn.nn.evaluating import evaluating
from minicnn.progress import Progress
from minicnn.train.segmentation import Confusion

from .pictures import as_text
from .voc_names import LAYOUT, voc_names

CLASSES, UNKNOWN, EPOCHS = 21, 255, 175
TOGETHER = 20  # pictures whose gradients are averaged for a step: of many sizes, they do not go into one array


class VocMasks:
    """`part` ("train", "val") of a folder: item i is (picture uint8 (3, H, W), mask uint8 (H, W)).

    SettingError if the folder has another layout; DataError, for an item, if its mask is none.
    """

    def __init__(self, folder: Path, part: str) -> None:
        self.folder, self.names = folder, voc_names(folder, "Segmentation", part)
        for name in ("JPEGImages", "SegmentationClass"):
            if not (folder / name).is_dir():
                raise SettingError(f"{folder} has no {name}; {LAYOUT}")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        name = self.names[index]
        picture = to_array(load_image(self.folder / "JPEGImages" / f"{name}.jpg"))
        path = self.folder / "SegmentationClass" / f"{name}.png"
        with decoding(path), Image.open(path) as image:
            mode, mask = image.mode, np.array(image)
        if mode not in ("P", "L"):
            raise DataError(f"{path}: a mask has a palette whose numbers are classes (mode P or L), not mode {mode}")
        if mask.shape != picture.shape[1:]:
            sizes = f"{mask.shape[1]} x {mask.shape[0]} pixels, and its picture {picture.shape[2]} x {picture.shape[1]}"
            raise DataError(f"{path}: the mask has {sizes}; both must have one size")
        if (wrong := mask[(mask >= CLASSES) & (mask != UNKNOWN)]).size:
            raise DataError(f"{path}: the mask holds {wrong.max()}; classes are 0 to {CLASSES - 1}, or {UNKNOWN}")
        return picture, mask


Normalize = Callable[[np.ndarray], np.ndarray]


def train(
    model: nn.Module, data: VocMasks, normalize: Normalize, epochs: int, lr: float, seed: int, device: str
) -> None:
    """As in the paper: momentum 0.9, weight decay 5e-4 on weights, a rate that stays and is twice as high for biases,
    pictures as they are (nothing is augmented)."""
    optimizer = optim.SGD(optim.weights_and_biases(model, lr, weight_decay=5e-4), lr, momentum=0.9)
    rng = np.random.default_rng(seed)
    model.train()
    for epoch in range(epochs):
        order = rng.permutation(len(data))
        with Progress(f"epoch {epoch + 1} of {epochs}", len(data)) as progress:
            for start in range(0, len(data), TOGETHER):
                some = order[start : start + TOGETHER]
                optimizer.zero_grad()
                for index in some:
                    picture, mask = data[index]
                    if (mask != UNKNOWN).any():
                        scores = model(Tensor(normalize(picture[None])).to(device))
                        (F.cross_entropy(scores, mask[None], ignore_index=UNKNOWN) / len(some)).backward()
                optimizer.step()
                progress.update(start + len(some))


def tested(model: nn.Module, data: VocMasks, normalize: Normalize, device: str) -> Confusion:
    """The table of all pictures, each seen once, whole."""
    confusion = Confusion(CLASSES, UNKNOWN)
    with evaluating(model), Progress("testing", len(data)) as progress:
        for index in range(len(data)):
            picture, mask = data[index]
            confusion.update(model(Tensor(normalize(picture[None])).to(device)).numpy(), mask[None])
            progress.update(index + 1)
    return confusion


def in_turns(folder: Path, seed: int) -> dict:
    """FCN-32s of VGG-16 with its published weights, then -16s and -8s made of it, each tested on "val": the paper's
    rates and its 175 epochs for each of them, which takes days without a GPU; one is taken if it is there.

    {"classifier_error": None, "arms": {name: percent}, "example": the first picture, and what the nets make of it}
    """
    training, testing = VocMasks(folder, "train"), VocMasks(folder, "val")
    device = "cuda" if minicnn.cuda.is_available() else "cpu"
    weights = pretrained.get("vgg16")
    manual_seed(seed)
    model = models.fcn(pretrained.load(weights), CLASSES, stride=32).to(device)
    picture, mask = testing[0]
    arms, predictions = {}, {}
    for stride, lr in ((32, 1e-4), (16, 1e-6), (8, 1e-8)):  # a hundredth for each finer net (section 4.2)
        model = model if stride == 32 else model.finer(stride)
        train(model, training, weights.normalize(), EPOCHS, lr, seed, device)
        arms[f"FCN-{stride}s"] = percent(tested(model, testing, weights.normalize(), device))
        with evaluating(model):
            scores = model(Tensor(weights.normalize()(picture[None])).to(device)).numpy()
        predictions[f"FCN-{stride}s"] = as_text(scores[0].argmax(axis=0).astype(np.uint8))
    example = {"picture": as_text(picture.transpose(1, 2, 0)), "truth": as_text(mask), "predictions": predictions}
    return {"classifier_error": None, "arms": arms, "example": example}


def percent(confusion: Confusion) -> dict[str, float]:
    """Pixel accuracy and mean IU."""
    return {"pixel_accuracy": 100 * confusion.pixel_accuracy, "mean_iu": 100 * confusion.mean_iu}
