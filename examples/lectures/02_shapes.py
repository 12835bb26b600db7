"""AlexNet's arithmetic: sizes, parameters and neurons, counted, and the lecture's formula put right.

Claim      An output is W' = (W - F + 2P) / (S + 1) wide; conv1 has 35K parameters and a pooling layer 0; the network of
           full 256, 384 and 256 channels has 60 million parameters and 650,000 neurons (deck 1, "AlexNet
           Architecture", "AlexNet Full Architecture", "AlexNet [Krizhevsky, et al. NIPS (2012)]"; deck 2, "AlexNet").
Published  60 million parameters and 650,000 neurons (Krizhevsky et al., "ImageNet classification with deep
           convolutional neural networks", 2012, abstract); by layers they are 253,440, 186,624, 64,896, 64,896,
           43,264, 4096, 4096 and 1000 (caption of figure 2).
Done       One picture of 227 x 227 pixels goes through the AlexNet of 2012, and the width of each layer's output is
           compared with both formulas, the deck's and floor((W - F + 2P) / S) + 1. Parameters are counted in three
           AlexNets: that of 2012 with its two groups and without them, and torchvision's. Neurons are the outputs of
           convolutions and of fully connected layers. Nothing is trained, and nothing depends on a seed. (The paper
           prints 224 pixels, of which conv1 would make 54.25.) --full changes nothing.
Measured   floor((W - F + 2P) / S) + 1 gives all 8 widths, the deck's formula 0 of them. conv1 has 34,944 parameters;
           the network of 2012 has 60,965,224, but 62,378,344 without the groups, which the deck's list leaves out, and
           torchvision's 61,100,840. The 650,000 neurons are 659,272; the caption's come to 622,312, for it has 253,440
           in conv1, where 290,400 come out.
Look at    minicnn/ops/geometry.py for the sizes, minicnn/nn/summary.py for the counts, minicnn/models/alexnet.py.
"""

import contextlib
import io
import sys
from functools import partial

import numpy as np
from common import style
from common.experiment import Lecture

from minicnn import Tensor, models, nn, summary

NETS = {  # name: (how it is built, the side of its pictures)
    "2012, 2 groups": (models.alexnet_2012, 227),
    "2012, no groups": (partial(models.alexnet_2012, groups=1), 227),
    "torchvision": (models.alexnet, 224),
}
CLAIMED = 60e6, 650_000  # parameters, neurons
CAPTION = 253_440, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000  # neurons by layer, as figure 2 has them
KINDS = "convolutions", "fully connected"


def table(build, side):
    """The summary of a network, without printing it."""
    with contextlib.redirect_stdout(io.StringIO()):
        return summary(build(), (3, side, side))


def sizes(model, side):
    """[(layer, W, F, S, P, W')] of the convolutions and poolings, as they come out."""
    found = []

    def look(name, layer, x, y):
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            window = (v[0] if isinstance(v, tuple) else v for v in (layer.kernel_size, layer.stride, layer.padding))
            found.append((type(layer).__name__, x.shape[3], *window, y.shape[3]))

    with nn.watch(model, look):
        model.eval()(Tensor(np.zeros((1, 3, side, side), np.float32)))
    numbers = {"Conv2d": iter(range(1, 9)), "MaxPool2d": iter(range(1, 9))}
    short = {"Conv2d": "conv", "MaxPool2d": "pool"}
    return [[f"{short[kind]}{next(numbers[kind])}", *rest] for kind, *rest in found]


def measure(run):
    tables = {name: table(build, side) for name, (build, side) in NETS.items()}
    rows = sizes(models.alexnet_2012(width=8), 227)
    deck = [(w - f + 2 * p) / (s + 1) for _, w, f, s, p, _ in rows]
    right = [(w - f + 2 * p) // s + 1 for _, w, f, s, p, _ in rows]
    whole = tables["2012, 2 groups"]
    return {
        "layers": [row[0] for row in rows],
        "output": [row[-1] for row in rows],
        "deck_formula": deck,
        "right_formula": right,
        "parameters": {name: found.parameters for name, found in tables.items()},
        "multiply_adds": {name: found.multiply_adds for name, found in tables.items()},
        "conv1_parameters": whole.rows[0].parameters,
        "neurons": whole.neurons,
        "neurons_by_caption": CAPTION,
        "neurons_by_layer": [row.neurons for row in whole.rows if row.neurons],
        "curves": {"by_kind": {name: _by_kind(found) for name, found in tables.items()}},
    }


def _by_kind(found):
    return [sum(row.parameters for row in found.rows if row.layer.endswith(kind)) for kind in ("Conv2d", "Linear")]


def measured(result):
    counts = result["parameters"]
    fits = sum(a == b for a, b in zip(result["deck_formula"], result["output"], strict=True))
    return (
        f"floor((W - F + 2P) / S) + 1 gives all {len(result['output'])} widths, the deck's formula {fits} of them. "
        f"conv1 has {result['conv1_parameters']:,} parameters; the network of 2012 has {counts['2012, 2 groups']:,}, "
        f"but {counts['2012, no groups']:,} without the groups, which the deck's list leaves out, and torchvision's "
        f"{counts['torchvision']:,}. The 650,000 neurons are {result['neurons']:,}; the caption's come to "
        f"{sum(result['neurons_by_caption']):,}, for it has {result['neurons_by_caption'][0]:,} in conv1, where "
        f"{result['neurons_by_layer'][0]:,} come out."
    )


def draw(figure, result):
    size, count, neurons = figure.subplots(1, 3)
    places = np.arange(len(result["layers"]))
    formulas = {"the deck's (W - F + 2P) / (S + 1)": "deck_formula", "floor((W - F + 2P) / S) + 1": "right_formula"}
    for i, (label, name) in enumerate(formulas.items()):
        color, hatch = (style.ORANGE, "///") if i == 0 else (style.BLUE, "")
        size.bar(places + 0.4 * i - 0.2, result[name], 0.4, color=color, hatch=hatch, edgecolor="white", label=label)
    size.plot(places, result["output"], color="black", marker="_", markersize=24, linestyle="", label="what comes out")
    size.set_xticks(places, result["layers"], rotation=45)
    size.set(ylabel="width of the output, pixels", title="Sizes, of a picture of 227 pixels")
    size.legend()

    bottom, names = np.zeros(len(NETS)), [name.replace(", ", ",\n") for name in NETS]
    for kind, color, hatch, millions in zip(
        KINDS, (style.BLUE, style.SKY), ("", "..."), np.array(list(result["curves"]["by_kind"].values())).T / 1e6,
        strict=True,
    ):  # fmt: skip
        count.bar(names, millions, 0.6, bottom, color=color, hatch=hatch, edgecolor="white", label=kind)
        bottom += millions
    for place, total in enumerate(result["parameters"].values()):
        count.annotate(f"{total:,}", (place, total / 1e6), (0, 3), textcoords="offset points", ha="center")
    count.axhline(CLAIMED[0] / 1e6, color=style.VERMILION, linestyle="--", marker="")
    count.annotate('"60 M"', (2.4, 61), color=style.VERMILION)
    count.set(ylabel="parameters, millions", ylim=(0, 85), xlim=(-0.5, 2.9), title="Parameters of three AlexNets")
    count.legend(loc="upper left", ncols=2)
    count.grid(axis="x", visible=False)

    layers = [f"conv{i}" for i in range(1, 6)] + [f"fc{i}" for i in (6, 7, 8)]
    bars = neurons.bar(layers, np.array(result["neurons_by_layer"]) / 1e3, color=style.GREEN)
    neurons.bar_label(bars, [f"{n:,}" for n in result["neurons_by_layer"]], padding=2, fontsize="small")
    title = f'Neurons of 2012: {result["neurons"]:,} ("{CLAIMED[1]:,}")'
    neurons.set(ylabel="outputs, thousands", title=title)
    neurons.grid(axis="x", visible=False)


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, seeds=1, size=(14, 4.5))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
