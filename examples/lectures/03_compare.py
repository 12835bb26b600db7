"""Which network is worth its cost: accuracy, operations and parameters in one picture, from minicnn's own networks.

Claim      Networks are compared by accuracy, operations and parameters; Inception-v4 is the best of them; after ResNet
           came efficient networks, MobileNet and ShuffleNet (deck 1, "Comparing complexity...", "Inception-v4: Resnet +
           Inception!", "Key Points"). For transfer to detection, "Architecture matters" (deck 1, "Architecture
           matters").
Published  The chart: Canziani et al., "An analysis of deep neural network models for practical applications", 2017.
           Detection on COCO by Faster R-CNN: 21.2 AP with VGG-16, 27.2 with ResNet-101 in its place (He et al., "Deep
           residual learning for image recognition", 2016, table 8). Inception-v4, its authors' weights: 80.21 %, 42.648
           million parameters, 24.584 GFLOPs, two to a multiply-add (Open Model Zoo's card of googlenet-v4-tf).
Done       Parameters and multiply-adds of one picture are counted by minicnn.summary, without the auxiliary heads of
           GoogLeNet and Inception-v3, which only training needs. Accuracies are torchvision's, of the weights that
           minicnn loads: one central crop of ImageNet's 50,000 validation pictures. Inception-v4, which minicnn lacks,
           is a published point. Nothing is trained, and nothing depends on a seed. --full changes nothing.
Measured   18 networks, top-1 and multiply-adds: alexnet 56.5 %, 0.71 G; vgg16 71.6 %, 15.47 G; resnet18 69.8 %, 1.81 G;
           resnet152 78.3 %, 11.51 G; mobilenet_v2 71.9 %, 0.30 G. The cheapest is shufflenet_v2_x1_0 (69.4 %, 0.14 G),
           the best of ours resnet152; published, Inception-v4 has 80.2 %, 12.29 G. Architecture is not all: resnet152
           has 82.3 % by a newer recipe of training.
Look at    minicnn/nn/summary.py, minicnn/pretrained/weights.py, minicnn/models/
"""

import contextlib
import io
import sys

from common import style
from common.experiment import Lecture

from minicnn import pretrained, summary

INCEPTION_V4 = {"top1": 80.2, "parameters": 42.65e6, "multiply_adds": 12.29e9}  # see "Published"; 299 pixels
DETECTION = {"VGG-16": 21.2, "ResNet-101": 27.2}  # AP of COCO, averaged over overlaps from .5 to .95
FAMILIES = {  # the beginning of a name: the colour of the family
    "alexnet": style.BLACK,
    "vgg": style.SKY,
    "googlenet": style.ORANGE,
    "inception": style.ORANGE,
    "resnet": style.BLUE,
    "mobilenet": style.GREEN,
    "shufflenet": style.GREEN,
}
NEWER = "resnet152, newer recipe"
BUBBLE = 6.0  # points^2 for a million parameters
BESIDE = {"inception_v3": (-18, 9), "resnet101": (4, -19), "resnet152": (32, -12), "resnet18": (14, -14)}  # points
BESIDE |= {"alexnet": (0, 13), "googlenet": (-14, 8), "Inception-v4\n(published)": (42, -4), NEWER: (76, -3)}


def count(arch):
    """[parameters, multiply-adds of one picture] of the network that takes the published weights."""
    weights = pretrained.get(arch, "IMAGENET1K_V1")
    with contextlib.redirect_stdout(io.StringIO()):
        table = summary(weights.build(), (3, weights.image_size, weights.image_size))
    return [table.parameters, table.multiply_adds]


def measure(run):
    few = ("alexnet", "resnet18", "googlenet", "mobilenet_v2", "shufflenet_v2_x1_0")
    nets = {}
    for arch in run.pick(few, pretrained.ARCHS):
        parameters, multiply_adds = run.once(arch, count, arch)
        top1 = pretrained.get(arch, "IMAGENET1K_V1").top1
        nets[arch] = {"top1": top1, "parameters": parameters, "multiply_adds": multiply_adds}
    newer = pretrained.get("resnet152", "IMAGENET1K_V2").top1
    return {"networks": nets, "inception_v4": INCEPTION_V4, "resnet152_newer_recipe": newer, "detection": DETECTION}


def measured(result):
    nets = result["networks"]

    def cost(arch):
        return f"{nets[arch]['top1']:.1f} %, {nets[arch]['multiply_adds'] / 1e9:.2f} G"

    chosen = [arch for arch in ("alexnet", "vgg16", "resnet18", "resnet152", "mobilenet_v2") if arch in nets]
    shown = "; ".join(f"{arch} {cost(arch)}" for arch in chosen)
    cheapest = min(nets, key=lambda arch: nets[arch]["multiply_adds"])
    best = max(nets, key=lambda arch: nets[arch]["top1"])
    return (
        f"{len(nets)} networks, top-1 and multiply-adds: {shown}. The cheapest is {cheapest} ({cost(cheapest)}), the "
        f"best of ours {best}; published, Inception-v4 has {INCEPTION_V4['top1']} %, "
        f"{INCEPTION_V4['multiply_adds'] / 1e9:.2f} G. Architecture is not all: resnet152 has "
        f"{result['resnet152_newer_recipe']:.1f} % by a newer recipe of training."
    )


def draw(figure, result):
    chart, bars = figure.subplots(1, 2, width_ratios=(4, 1))
    for arch, net in result["networks"].items():
        color = next(color for start, color in FAMILIES.items() if arch.startswith(start))
        bubble(chart, arch, net, color=color)
    published = {"color": "none", "edgecolor": style.ORANGE, "hatch": "///"}
    bubble(chart, "Inception-v4\n(published)", result["inception_v4"], **published)
    if "resnet152" in result["networks"]:
        again = result["networks"]["resnet152"] | {"top1": result["resnet152_newer_recipe"]}
        bubble(chart, NEWER, again, color="none", edgecolor=style.BLUE)
    for text in chart.texts:  # the circles of VGG are large and lie close together
        if text.get_text().startswith("vgg19"):
            text.set(position=(18, -3), ha="left")
        elif text.get_text().startswith("vgg"):
            above = text.get_text().endswith("bn")
            text.set(position=(-6, 16) if above else (4, -26), ha="right" if above else "center")
    for millions in (5, 50, 150):
        size = BUBBLE * millions
        chart.scatter([], [], s=size, color="none", edgecolor="#777777", marker="o", label=f"{millions} M parameters")
    chart.set(xscale="log", xlim=(0.08, 50), ylim=(54, 85), xlabel="multiply-adds of one picture (billions)")
    chart.set_xticks([0.1, 0.3, 1, 3, 10, 30], ["0.1", "0.3", "1", "3", "10", "30"])
    chart.set(ylabel="top-1 accuracy on ImageNet (%)", title="One central crop; areas are parameters")
    chart.legend(loc="lower right", labelspacing=1.8, borderpad=1.2, handletextpad=2)
    style.bars(bars, list(result["detection"]), list(result["detection"].values()))
    for bar, family in zip(bars.patches, ("vgg", "resnet"), strict=True):
        bar.set_facecolor(FAMILIES[family])
    bars.set(ylabel="AP on COCO (%)", title='"Architecture matters"\n(Faster R-CNN, published)')


def bubble(axes, name, net, **look):
    x, y = net["multiply_adds"] / 1e9, net["top1"]
    axes.scatter(x, y, s=BUBBLE * net["parameters"] / 1e6, alpha=0.6, marker="o", **look)
    shift = (0, 4 if name.endswith("bn") else -10) if name.startswith("vgg") else BESIDE.get(name, (0, 10))
    axes.annotate(name, (x, y), shift, textcoords="offset points", ha="center", fontsize="small")


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, seeds=1, size=(12, 6))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
