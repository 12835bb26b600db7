"""Drawn scenes to find objects in: ellipses, each with one of the ten textures, on ground of coloured clouds and noise.

An object's class is its texture alone; colours, size, shape and place are drawn anew for each. Objects may touch, and
one may hide a corner of another, but their boxes overlap little, so that each can be told from the others.
"""

from typing import Any

import numpy as np
from PIL import Image

from minicnn.data.sample import draw_picture
from minicnn.detection import iou

from .classes import TEXTURES

OBJECTS = 1, 3  # in a scene, at least and at most
TRIES = 10  # to find room for one more
SIDES = 0.25, 0.5  # of an ellipse's box, as a part of the scene's side
MOST_OVERLAP = 0.1  # of two boxes

Sample = dict[str, Any]  # "image" (PIL), "boxes" float32 (B, 4), "labels" int64 (B,)


def scenes(count: int, side: int, seed: list[int]) -> list[Sample]:
    """`count` scenes, `side` pixels wide and high; all of it depends on `seed` alone."""
    return [_scene(side, np.random.default_rng([*seed, number])) for number in range(count)]


def _scene(side, rng):
    picture, boxes, labels = _ground(side, rng), np.empty((0, 4), np.float32), []
    wanted = rng.integers(OBJECTS[0], OBJECTS[1] + 1)
    for _ in range(TRIES):
        width, height = rng.uniform(*SIDES, 2) * side
        x, y = rng.uniform(0, side - width), rng.uniform(0, side - height)
        box = np.array([[x, y, x + width, y + height]], np.float32).round()
        if len(labels) < wanted and not (iou(box, boxes) > MOST_OVERLAP).any():
            labels.append(int(rng.integers(len(TEXTURES))))
            boxes = np.concatenate([boxes, box])
            _paste(picture, box[0].astype(int), TEXTURES[labels[-1]], rng)
    return {"image": picture, "boxes": boxes, "labels": np.array(labels, np.int64)}


def _ground(side, rng):
    clouds = Image.fromarray(rng.integers(30, 226, (5, 5, 3), np.uint8))
    pixels = np.asarray(clouds.resize((side, side), Image.Resampling.BICUBIC)).astype(np.float32)
    noise = rng.normal(0, rng.uniform(5, 20), pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def _paste(picture, box, texture, rng):
    """The largest ellipse in the box, its edge smoothed over a pixel."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    drawn = Image.fromarray(draw_picture(texture, rng))
    square = min(drawn.size)  # of which a part of the ellipse's own shape is seen
    part = (square * width / max(width, height), square * height / max(width, height))
    drawn = drawn.resize((width, height), Image.Resampling.BILINEAR, (0, 0, *part))
    y, x = np.mgrid[:height, :width] + 0.5
    radius = np.hypot(2 * x / width - 1, 2 * y / height - 1)  # 1 on the edge
    inside = ((1 - radius) * min(width, height) / 2).clip(0, 1)  # half the shorter side: pixels per radius
    picture.paste(drawn, (int(x0), int(y0)), Image.fromarray((255 * inside).astype(np.uint8)))
