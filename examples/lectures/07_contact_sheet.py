"""A contact sheet of augmentations: one picture, every transform, with its settings and its time.

Claim      Transform each picture in such a way that the label stays the same: translation, rotation, stretching,
           shearing, lens distortions (deck 1, "Motivation", "Examples of data augmentations"); contrast and brightness,
           PCA colour offsets, random crops and scales, cutout (deck 1, "Augmentations in action").
Published  AlexNet: colour offsets along the principal components reduce the top-1 error by over 1 % (Krizhevsky et al.
           2012, section 4.1). Lens distortion and the others: Wu et al. 2015, "Deep Image". Nothing is trained here.
Done       A drawn picture with a mask and two boxes, or with --full DIR the first picture in DIR, goes through each
           transform with extreme settings, from a fixed seed. Orange: the boxes, which follow. White: the outline of
           the mask, which follows, too. The times are milliseconds of the processor for picture, mask and boxes
           together, the median of several calls.
Measured   17 transforms of a picture of 160 x 160 pixels, from 0.12 ms (cutout) to 2.6 ms (lens, barrel), 0.7 ms in the
           middle, on one core. Seed 7 gives the same sheet each time.
Look at    minicnn/data/distort.py, color.py, augment.py, geometry.py beside them; docs/augment.md.
"""

import hashlib
import statistics
import sys
import time

import numpy as np
from common.experiment import Lecture
from common.style import ORANGE
from matplotlib.patches import Rectangle
from PIL import Image

from minicnn import data
from minicnn.data.decode import load_image
from minicnn.data.listing import Listing
from minicnn.data.sample import draw_picture
from minicnn.errors import SettingError

SIDE, SEED = 160, 7
SHEET = {  # what stands below the picture: the transform
    "the picture": data.Compose([]),
    "translation\nup to 0.2 of each side": data.RandomAffine(0, translate=(0.2, 0.2)),
    "rotation\n20 to 40 degrees": data.RandomRotation((20, 40)),
    "stretch\nfactors of 0.6 to 1.6": data.RandomStretch((0.6, 1.6)),
    "shear\n20 to 30 degrees": data.RandomAffine(0, shear=(20, 30)),
    "lens, barrel\nbend -0.24 to -0.2": data.LensDistortion((-0.24, -0.2)),
    "lens, pincushion\nbend 0.2 to 0.24": data.LensDistortion((0.2, 0.24)),
    "contrast\nfactor 0.3 to 0.5": data.ColorJitter(contrast=(0.3, 0.5)),
    "brightness\nfactor 1.4 to 1.6": data.ColorJitter(brightness=(1.4, 1.6)),
    "saturation\nfactor 0 to 0.2": data.ColorJitter(saturation=(0, 0.2)),
    "PCA colour, sigma 0.1\nas AlexNet's": data.ColorNoise.imagenet(sigma=0.1, sqrt=True),
    "PCA colour, sigma 0.5\nto be seen": data.ColorNoise.imagenet(sigma=0.5, sqrt=True),
    "flip": data.RandomFlip(1),
    "pad 20, random crop\na shift without a scale": data.Compose([data.Pad(20), data.RandomCrop(SIDE)]),
    "ResNet's scale and crop\nshorter side 183 to 343": data.Compose(
        [data.RandomShorterSide(183, 343), data.RandomCrop(SIDE)]
    ),
    "random resized crop\narea 0.08 to 1": data.RandomResizedCrop(SIDE),
    "cutout\n56 pixels": data.Cutout(56),
    "many in a row": data.Compose(
        [data.RandomResizedCrop(SIDE, (0.4, 1)), data.RandomFlip(1), data.ColorJitter(0.4, 0.4, 0.4), data.Cutout(40)]
    ),
}


def measure(run):
    path = _first_picture(run.folder) if run.folder else None
    times = {label: [] for label in SHEET}
    for _ in range(run.pick(quick=2, default=30)):
        tiles = _tiles(path, lambda label, seconds: times[label].append(1000 * seconds))
    digest = hashlib.sha256(b"".join(np.asarray(tile["image"]).tobytes() for tile in tiles.values())).hexdigest()
    names = {label: label.partition("\n")[0] for label in SHEET}
    milliseconds = {names[label]: statistics.median(spent) for label, spent in times.items() if label != "the picture"}
    boxes = {names[label]: len(tile.get("boxes", ())) for label, tile in tiles.items()}
    return {"picture": path, "seed": SEED, "sha256": digest, "milliseconds": milliseconds, "boxes": boxes}


def _tiles(path, watch=lambda label, seconds: None):
    """{label: the transformed sample}: the same each time, for each transform has a generator from the same seed."""
    sample = {"image": _squared(load_image(path))} if path else _drawn()
    tiles = {}
    for number, (label, transform) in enumerate(SHEET.items()):
        start = time.thread_time()
        tiles[label] = transform(sample, np.random.default_rng([SEED, number]))
        watch(label, time.thread_time() - start)
    return tiles


def _first_picture(folder):
    found = Listing(folder).pictures(str(folder))
    if not found:
        raise SettingError(f"--full {folder}: there is no picture in it; give a folder of JPEG or PNG files")
    return found[0]


def _squared(image):
    """The middle square, of SIDE pixels."""
    return data.CenterCrop(SIDE)(data.ResizeShorter(SIDE)(image))


def _drawn():
    """Two textured patches on a background, with their mask and their boxes."""
    rng = np.random.default_rng(SEED)
    image = Image.fromarray(draw_picture("waves", rng)).resize((SIDE, SIDE))
    boxes = [(24, 30, 84, 78), (92, 70, 140, 138)]  # of rings, of dots
    mask = np.zeros((SIDE, SIDE), np.int64)
    for number, (name, (left, top, right, bottom)) in enumerate(zip(("rings", "dots"), boxes, strict=True), start=1):
        image.paste(Image.fromarray(draw_picture(name, rng)).resize((right - left, bottom - top)), (left, top))
        mask[top:bottom, left:right] = number
    return {"image": image, "mask": mask, "boxes": boxes, "labels": [1, 2]}


def measured(result):
    times = result["milliseconds"]
    slow, fast = max(times, key=times.get), min(times, key=times.get)
    return (
        f"{len(times)} transforms of a picture of {SIDE} x {SIDE} pixels, from {times[fast]:.2f} ms ({fast}) to "
        f"{times[slow]:.1f} ms ({slow}), {statistics.median(times.values()):.1f} ms in the middle, on one core. Seed "
        f"{result['seed']} gives the same sheet each time."
    )


def draw(figure, result):
    panels = figure.subplots(3, 6)
    for axes, (label, tile) in zip(panels.flat, _tiles(result["picture"]).items(), strict=True):
        axes.imshow(np.asarray(tile["image"]))
        if "mask" in tile:
            axes.contour(tile["mask"] > 0, levels=[0.5], colors="white", linewidths=1, linestyles="--")
        for left, top, right, bottom in tile.get("boxes", ()):
            size = right - left - 1, bottom - top - 1
            axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor=ORANGE, linewidth=1.5))
        name, _, setting = label.partition("\n")
        spent = result["milliseconds"].get(name)
        axes.set_title(name)
        axes.set_xlabel(", ".join(filter(None, [setting, f"{spent:.1f} ms" if spent else ""])), fontsize="small")
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, seeds=1, size=(14, 8))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
