"""What a trained net sees: first filters, feature maps, strongest patches, receptive fields, Grad-CAM.

Claim      "Earlier Layers → more local features", "Final Layers → more global features" (deck 1, "Transfer learning:
           The idea").
Published  Behind its last pooling a unit of AlexNet sees 195 x 195 pixels (Araujo et al., "Computing receptive fields
           of convolutional neural networks", 2019), but mostly the middle of them counts (Luo et al., "Understanding
           the effective receptive field", 2016). Grad-CAM finds a class in the picture (Selvaraju et al., ICCV 2017).
Done       A net of four convolutions learns 1,000 textures of 48 pixels. Receptive fields are computed, and measured:
           as the pixels whose gradient is not 0, and as the middle that holds 90 % of it. How many of the nine pictures
           that excite a channel most are of one class? Grad-CAM, a map of the places that speak for a class, is made of
           pictures whose halves are two textures: how much of the map for the left half's class lies there? --full DIR:
           AlexNet with torchvision's weights, which are downloaded, on photographs of some classes, 20 or more of each.
Measured   Test error 0.1 ± 0.2 %. Receptive field in pixels computed, measured, its middle with 90 % of the gradient:
           conv1 5, 5, 5; conv2 10, 10, 10; conv3 20, 20, 18; conv4 40, 40, 32. AlexNet's, computed: conv1 11, pool1 19,
           conv2 51, pool2 67, conv3 99, conv4 131, conv5 163, pool5 195. Of the nine pictures that excite a channel
           most, 31.2 ± 1.2 % are of one class in the first layer, 79.9 ± 1.0 % in the last. Of Grad-CAM's map 82.3 ±
           1.0 % lies on the half whose class it is asked for. 3 seeds.
Look at    minicnn/nn/watch.py, minicnn/nn/hooks.py; common/receptive_field.py, common/grad_cam.py
"""

import sys
from math import isqrt

import numpy as np
from common import style
from common.classes import Split, classes
from common.experiment import Lecture, Run
from common.grad_cam import joined, on_halves
from common.pictures import as_text, from_text, grid, patch, stretched
from common.receptive_field import by_layer, computed
from common.statistics import seeds, with_spread
from common.strongest import of_one_class, strongest
from common.subject import ALEXNET, published, trained
from common.training import scores

import minicnn
from minicnn import models, nn

SHARE = 0.9  # of the gradient
ENDS = "first", "last"  # layers


def measure(run: Run) -> dict:
    data = classes(run.folder, *run.pick((6, 4), (100, 30), (1, 20)), run.pick(32, 48, 224))
    found = [run.once(f"seed {seed}", look, run, data, seed) for seed in run.seeds]
    alexnet = computed(models.alexnet(width=8), minicnn.zeros(1, 3, 224, 224))
    numbers = {key: [each[key] for each in found] for key in found[0] if key not in ("fields", "curves")}
    fields = {"alexnet_fields": {name: alexnet[layer].size for name, layer in ALEXNET.items()}}
    return fields | {"fields": found[0]["fields"]} | numbers | {"curves": found[0]["curves"]}


def look(run: Run, data: Split, seed: int) -> dict:
    """All that is measured in one net; "curves" are the pictures to draw."""
    net, normalize, layers = published() if run.mode == "full" else trained(data, run.pick(2, 12), seed)
    inputs = normalize(data.test)
    count, side = run.pick((8, 64), (32, 96), (16, 288))
    noise = np.random.default_rng(seed).standard_normal((count, 3, side, side), np.float32)
    labels = scores(net, inputs).argmax(1)  # what the net takes each picture for
    shares, pairs, maps = on_halves(net, list(layers.values())[-1], inputs, labels, seed)
    result = {"fields": by_layer(net, layers, noise, SHARE), "cam_percent": 100 * shares.mean()}
    if run.mode != "full":  # the folder's classes are not those of AlexNet
        result["error_percent"] = 100 * (labels != data.test_labels).mean()
    weights = next(layer for layer in net.modules() if isinstance(layer, nn.Conv2d)).weight.numpy()
    pictures = {"filters": grid(stretched(weights), isqrt(len(weights)))}
    pictures["halves"] = grid(joined(data.test, pairs[:1]), 1)
    for half, found in zip(("left", "right"), maps, strict=True):
        pictures[f"for the {half} half"] = grid(stretched(found[:1]), 1)
    for name, layer in layers.items():
        with minicnn.no_grad():
            channels = nn.output_of(net, layer, minicnn.Tensor(inputs[:1])).numpy()[0]
        pictures[name] = grid(stretched(channels[np.argsort(-channels.sum((1, 2)))[:4]]), 2)
    all_fields = computed(net, minicnn.Tensor(inputs[:1]))
    for end, layer in zip(ENDS, (*layers.values(),)[:: len(layers) - 1], strict=True):
        peaks, places = strongest(net, layer, inputs)
        result[f"one_class_percent_{end}"] = 100 * of_one_class(peaks, data.test_labels)
        where = [(n, *places[n, k]) for k in np.argsort(-peaks.max(0))[:4] for n in np.argsort(-peaks[:, k])[:5]]
        patches = [patch(data.test[n], *all_fields[layer].slices(row, column)) for n, row, column in where]
        pictures[f"patches {end}"] = grid(np.stack(patches), 5)
    return result | {"curves": {name: as_text(pixels) for name, pixels in pictures.items()}}


def measured(result: dict) -> str:
    sizes = "; ".join(f"{name} {size}, {seen}, {middle}" for name, (size, seen, middle) in result["fields"].items())
    alexnet = ", ".join(f"{name} {size}" for name, size in result["alexnet_fields"].items())
    error = f"Test error {with_spread(result['error_percent'])} %. " if "error_percent" in result else ""
    return (
        f"{error}Receptive field in pixels computed, measured, its middle with 90 % of the gradient: {sizes}."
        f" AlexNet's, computed: {alexnet}. Of the nine pictures that excite a channel most,"
        f" {with_spread(result['one_class_percent_first'])} % are of one class in the first layer,"
        f" {with_spread(result['one_class_percent_last'])} % in the last. Of Grad-CAM's map"
        f" {with_spread(result['cam_percent'])} % lies on the half whose class it is asked for."
        f" {seeds(result['cam_percent'])}."
    )


def draw(figure, result: dict) -> None:
    layers = list(result["fields"])
    titles = {"filters": "filters of the first layer", "halves": "two halves"}
    titles |= {name: f"{name}: four feature maps" for name in layers}
    titles |= {f"patches {end}": f"what excites four channels\nof the {end} layer" for end in ENDS}
    below = ["halves", "for the left half", "for the right half"]
    rows = (
        ["filters", *layers],
        ["fields", "fields", "patches first", *["patches last"] * 2],
        ["fields", "fields", *below],
    )
    axes = figure.subplot_mosaic(rows)
    for name, text in result["curves"].items():
        style.picture(axes[name], np.moveaxis(from_text(text), 2, 0), titles.get(name, f"Grad-CAM {name}"))
    for number, label in enumerate(("computed", "measured", "middle with 90 % of the gradient")):
        look = {"linewidth": 5, "markersize": 9, "alpha": 0.4} if number == 0 else {}  # "measured" lies on it
        axes["fields"].plot(layers, [sizes[number] for sizes in result["fields"].values()], label=label, **look)
    axes["fields"].set(title="receptive fields", xlabel="layer", ylabel="side (pixels)", ylim=(0, None))
    axes["fields"].legend()


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, size=(13, 8.5))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
