"""Ten years of ImageNet's challenge: the error of its winners, and how deep their networks were.

Claim      AlexNet "reduced the error rate by 10 %"; the networks then became deeper year by year, to 152 layers and an
           error "better than human performance" (deck 1, "ImageNet Large-Scale Visual Recognition Challenge (ILSVRC)",
           "Revolution of Depth", "MSRA @ ILSVRC & COCO 2015 Competitions").
Published  Top-5 error of the winners: 28.2, 25.8, 16.4, 11.7, 6.7 and 3.57 %, 7.3 % for the second of 2014, 5.1 % for
           a person (Russakovsky et al., "ImageNet large scale visual recognition challenge", 2015; 3.57: He et al.,
           "Deep residual learning for image recognition", 2016, table 5). AlexNet's 16.4 is the entry without extra
           data; with them it had 15.3, and the second of 2012 26.2 (Krizhevsky et al., 2012, abstract).
Done       The errors are the published ones: nothing is trained. The depths are counted in minicnn's own networks, as
           the convolutions and fully connected layers on the longest way from the picture to the scores. Three winners
           have none: those of 2010 and 2011, which were no deep networks, and that of 2013, which minicnn lacks. --full
           changes nothing.
Measured   Layers with weights, counted in our networks: alexnet_2012 8, vgg19 19, googlenet 22, resnet152 152. The
           deck's 10 % of 2012 are points: from the winner of 2011 on, the error fell by 9.4 points, which is 36 % of
           it; from the second of 2012, with extra data, by 10.9 points.
Look at    minicnn/models/alexnet.py, vgg.py, googlenet.py and resnet.py; minicnn/graph.py draws what depends on what.
"""

import sys

import numpy as np
from common import style
from common.experiment import Lecture

from minicnn import Tensor, models
from minicnn.autograd import topological_order
from minicnn.ops.conv import Conv2d
from minicnn.ops.linear import Linear

HUMAN = 5.1  # the better of two annotators who had trained for it: people are no more exact than that either
ENTRIES = (  # year, who, top-5 error in percent, the network here whose depth is counted
    (2010, "NEC-UIUC", 28.2, None),
    (2011, "XRCE", 25.8, None),
    (2012, "AlexNet", 16.4, "alexnet_2012"),
    (2013, "Clarifai", 11.7, None),  # of ZFNet's kind: 8 layers, as AlexNet
    (2014, "VGG (2nd)", 7.3, "vgg19"),
    (2014, "GoogLeNet", 6.7, "googlenet"),
    (2015, "ResNet", 3.57, "resnet152"),
)
NARROW = {"width": 8}  # fully connected layers, which are as deep then
OPTIONS = {"alexnet_2012": NARROW, "vgg19": NARROW, "googlenet": {"aux_logits": False}}
SIDE = 67  # pixels: the least that all of them take


def depth_of(arch: str) -> int:
    """How many layers with weights lie on the longest way through the network."""
    model = getattr(models, arch)(**OPTIONS.get(arch, {}))
    scores = model.eval()(Tensor(np.zeros((1, 3, SIDE, SIDE), np.float32)))
    depth: dict = {}
    for node in topological_order(scores.node):  # inputs before what is made of them
        before = [depth[edge.node] for edge in node.inputs if edge is not None and edge.node is not None]
        depth[node] = max(before, default=0) + isinstance(node, (Conv2d, Linear))
    return depth[scores.node]


def measure(run):
    archs = [arch for *_, arch in ENTRIES if arch]
    depths = {arch: run.once(arch, depth_of, arch) for arch in archs}
    errors = {f"{year} {name}": error for year, name, error, _ in ENTRIES}
    fall = {"2011 to 2012": round(25.8 - 16.4, 1), "2012, of 2011": round(100 * (1 - 16.4 / 25.8))}
    fall["2012, second to first"] = round(26.2 - 15.3, 1)  # the first one with extra data
    return {"depth": depths, "published_error": errors, "fall": fall, "human": HUMAN}


def measured(result):
    depth = result["depth"]
    fall = result["fall"]
    counted = ", ".join(f"{arch} {layers}" for arch, layers in depth.items())
    return (
        f"Layers with weights, counted in our networks: {counted}. The deck's 10 % of 2012 are points: from the winner "
        f"of 2011 on, the error fell by {fall['2011 to 2012']} points, which is {fall['2012, of 2011']} % of it; from "
        f"the second of 2012, with extra data, by {fall['2012, second to first']} points."
    )


def draw(figure, result):
    errors, layers = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    places = range(len(ENTRIES))
    depths = [result["depth"].get(arch) for *_, arch in ENTRIES]
    colors = [style.SKY if year < 2012 else style.BLUE for year, *_ in ENTRIES]
    bars = errors.bar(places, [error for _, _, error, _ in ENTRIES], color=colors)
    labels = [f"{error:g}" for _, _, error, _ in ENTRIES]
    errors.bar_label(bars, [text if float(text) > HUMAN else "" for text in labels], padding=2)
    errors.bar_label(bars, ["" if float(text) > HUMAN else text for text in labels], label_type="center", color="white")
    errors.axhline(HUMAN, color=style.VERMILION, linestyle="--", marker="")
    errors.annotate(f"a person\n{HUMAN:g}", (6.5, HUMAN), va="center", color=style.VERMILION, backgroundcolor="white")
    title = "The ImageNet challenge: errors as published (pale: before the deep networks)"
    errors.set(ylabel="top-5 error, %", title=title, xlim=(-0.6, 7.2))
    errors.grid(axis="x", visible=False)
    known = [(place, depth) for place, depth in zip(places, depths, strict=True) if depth]
    layers.semilogy(*zip(*known, strict=True), color=style.VERMILION, marker="o", linestyle="--")
    for place, depth in known:
        layers.annotate(f"{depth}", (place, depth), (0, 6), textcoords="offset points", ha="center")
    for place, (year, *_, arch) in enumerate(ENTRIES):
        if not arch:
            text = "not deep" if year < 2012 else "no network\nof ours"
            layers.annotate(text, (place, 4.6), ha="center", va="center", fontsize="small", color="#555555")
    layers.set(ylim=(2.5, 400), ylabel="layers with weights", title="Depth, counted in minicnn's networks")
    layers.set_yticks([10, 100], ["10", "100"])
    layers.set_xticks(places, [f"{name}\n{year}" for year, name, *_ in ENTRIES])
    layers.grid(axis="x", visible=False)


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, seeds=1, size=(9, 5.5))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
