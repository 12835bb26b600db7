"""Training a detector on samples; what it then finds, and how that is kept."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

import minicnn
from minicnn import models, optim
from minicnn.data import DataLoader, RandomFlip, to_array
from minicnn.detection import (
    Detections,
    boxes_per_position,
    match,
    mean_average_precision,
    multibox_loss,
    targets,
    to_center_size,
)

from . import style
from .pictures import as_text, from_text

RECALLS = np.linspace(0, 1, 101)
SHOWN, SURE = 3, 0.4  # pictures in a figure; the probability from which on a box is drawn there

Normalize = Callable[[np.ndarray], np.ndarray]  # uint8 (N, 3, H, W) -> float32


def train(
    model: models.SSD, samples: Sequence[Any], normalize: Normalize, *, epochs: int, lr: float, seed: int,
    options: dict[str, Any] | None = None,
) -> list[float]:  # fmt: skip
    """Train the parameters of `model` that require a gradient, at a rate that falls to 0 along a cosine -> the mean
    loss of each epoch.

    samples: "image" (PIL, all of one size behind the transform), "boxes", "labels". options: optimizer (a function of
    parameters and a rate: Adam), batch_size (16), transform (of a sample: half of them mirrored), workers (0: threads
    that load samples).
    """
    chosen = {"optimizer": optim.Adam, "batch_size": 16, "transform": RandomFlip(), "workers": 0} | (options or {})
    loader = DataLoader(
        samples, chosen["batch_size"], shuffle=True, seed=seed, transform=chosen["transform"], collate_fn=list,
        num_workers=chosen["workers"],
    )  # fmt: skip
    optimizer = chosen["optimizer"]([p for p in model.parameters() if p.requires_grad], lr)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    losses = []
    for _ in range(epochs):
        model.train()
        total = []
        for batch in loader:
            size = batch[0]["image"].size
            truth = targets(batch, model.default_boxes(*size), model.num_classes, size)
            loss = multibox_loss(*model(_images(model, batch, normalize)), *truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total.append(loss.item())
        losses.append(float(np.mean(total)))
    return losses


def found_in(model: models.SSD, samples: Sequence[Any], normalize: Normalize, batch_size: int = 32) -> list[Detections]:
    """What the model finds in each sample."""
    starts = range(0, len(samples), batch_size)
    batches = ([samples[i] for i in range(start, min(start + batch_size, len(samples)))] for start in starts)
    return [found for batch in batches for found in model.detect(_images(model, batch, normalize))]


def tested(model: models.SSD, samples: Sequence[Any], normalize: Normalize, names: Sequence[str]) -> dict[str, Any]:
    """What is kept of a detector: "mAP" and "eleven", in percent, the area and the mean at eleven recalls; "precision"
    at each of RECALLS; "pictures", some of the samples that have the most objects, with what was found in them."""
    found = found_in(model, samples, normalize)
    result, eleven = (
        mean_average_precision(found, samples, len(names), eleven_points=points) for points in (False, True)
    )
    counts = np.array([len(sample["boxes"]) for sample in samples])
    fullest = np.argsort(-counts, kind="stable")[:SHOWN].tolist()
    pictures = [_shown(model, samples[i], found[i], names, normalize) for i in fullest]
    precision = _precision_at(result.curves, RECALLS).round(4)
    return {"mAP": 100 * result.mean, "eleven": 100 * eleven.mean, "precision": precision, "pictures": pictures}


def draw_found(axes: Any, picture: dict[str, Any]) -> None:
    """A picture of ``tested`` with its true boxes, dashed, and what was found."""
    _draw_image(axes, picture, "truth (dashed) and\nwhat was found (solid)")
    for box in picture["truth"]:
        _rectangle(axes, box, "white", "--", 1.2)
    for box, name, score in zip(picture["boxes"], picture["names"], picture["scores"], strict=True):
        _rectangle(axes, box, style.VERMILION, "-", 1.8)
        label = {"color": "white", "fontsize": 7, "va": "top", "bbox": {"color": style.BLACK, "pad": 0.8, "lw": 0}}
        axes.text(box[0], box[1], f"{name} {score:.2f}", **label)


def draw_defaults(axes: Any, picture: dict[str, Any]) -> None:
    """The positions of one feature map, the default boxes at one of them, and those that are matched with an object."""
    _draw_image(
        axes, picture, f"map {picture['map']}: default boxes of one place\n(dotted), matched with one object (solid)"
    )
    axes.plot(*np.array(picture["middles"]).T, ".", color="white", markersize=3, markeredgecolor="black", mew=0.3)
    for box in picture["defaults"]:
        _rectangle(axes, box, style.SKY, ":", 1.5)
    for box in picture["matched"]:
        _rectangle(axes, box, style.ORANGE, "-", 1.8)


def _shown(model, sample, found, names, normalize):
    image, sure = sample["image"], found.scores >= SURE
    with minicnn.no_grad():
        sizes = [y.shape[2:] for y in model.eval().maps(_images(model, [sample], normalize))]
    lengths = [h * w * boxes_per_position(r) for (h, w), r in zip(sizes, model.aspect_ratios, strict=True)]
    cuts = np.cumsum(lengths)[:-1]
    defaults = model.default_boxes(*image.size)
    matches = np.split(match(sample["boxes"], defaults) == 0, cuts)  # with the first object, on each map
    at = int(np.argmax([part.sum() for part in matches]))  # the map on which most are matched
    boxes, each = np.split(defaults, cuts)[at], boxes_per_position(model.aspect_ratios[at])
    middle = (sizes[at][0] // 2 * sizes[at][1] + sizes[at][1] // 2) * each
    return {
        "image": as_text(np.asarray(image)), "truth": sample["boxes"], "boxes": found.boxes[sure].round(1),
        "names": [names[label] for label in found.labels[sure]], "scores": found.scores[sure].round(3),
        "map": " x ".join(map(str, sizes[at])), "middles": to_center_size(boxes[::each])[:, :2],
        "defaults": boxes[middle : middle + each].round(1), "matched": boxes[matches[at]].round(1),
    }  # fmt: skip


def _precision_at(curves, recalls):
    """The mean over the classes that have objects of the highest precision at each of these recalls, or any larger
    one. The area below it is mAP."""
    rows = []
    for curve in curves:
        if curve.objects:
            highest = np.append(np.maximum.accumulate(curve.precision[::-1])[::-1], 0.0)
            rows.append(highest[np.searchsorted(curve.recall, recalls - 1e-9)])
    return np.mean(rows, axis=0)


def _draw_image(axes, picture, title):
    image = from_text(picture["image"])
    height, width = image.shape[:2]
    axes.imshow(image, extent=(0, width, height, 0))  # a box's edges are 0 and W, 0 and H
    axes.set_title(title, fontsize="small")
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()


def _rectangle(axes, box, color, line, width):
    """With a dark seam, so that it is seen on any ground."""
    x0, y0, x1, y1 = box
    for edge, wide, dashes in (("black", width + 0.8, "-"), (color, width, line)):
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=edge, lw=wide, ls=dashes))


def _images(model, batch, normalize):
    images = normalize(np.stack([to_array(sample["image"]) for sample in batch]))
    return minicnn.Tensor(images).to(next(model.parameters()).device)
