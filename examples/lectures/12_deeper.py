"""A deeper net that is no worse, by construction: a trained net's layers, and new ones that change nothing.

Claim      A deeper model should be at least as good: "a solution by construction is copying the learned layers from the
           shallower model and setting additional layers to identity mapping" (deck 1, "ResNet [He, et al., (2015)]").
Published  The construction is the argument of section 1 of He et al., CVPR 2016; there is no figure for it. That deeper
           plain nets are worse even in training is their figure 1.
Done       Nets of 8 layers with weights learn textures of 24 pixels, and become nets of 20. A ResNet gets new blocks
           whose last batch norm has the weight 0, so that F(x) = 0. A plain net of convolutions and ReLUs, without
           batch norm, gets convolutions whose filter is 1 in the middle of their own channel. Outputs before and after
           are compared; then the deep net trains on, beside the shallow one, and a deep one from random weights has as
           many epochs as both parts together. Rates of .05 (ResNet) and .02 (plain), which were not searched. At .02
           the plain net got worse with its new layers; so it is shown again, with a rate of .005 as soon as they are
           there, and for the deep net from random weights. If 20 plain layers learn less than 8 here, that is not the
           degradation of the paper, whose plain nets have batch norm, and learn for 64,000 steps. --full DIR: your own
           pictures, a folder for each class.
Measured   New layers change no output at all. After 6 more epochs, test error in % of 20 layers by construction against
           8 (in brackets 20 from random weights): ResNet 5.5 ± 2.3 against 5.5 ± 1.9 (3.3 ± 0.5), worse in 1 of 3
           seeds; plain 88.7 ± 3.3 against 32.4 ± 2.8 (78.7 ± 8.7), worse in 3 of 3 seeds; plain, small steps 54.9 ±
           20.9 against 49.0 ± 13.6 (88.9 ± 1.1), worse in 2 of 3 seeds.
Look at    common/growing.py, minicnn/models/resnet.py
"""

import sys

import numpy as np
from common import style
from common.classes import Split, classes
from common.experiment import Lecture, Run
from common.growing import copy_with_identities, plain, resnet
from common.statistics import mean, seeds, with_spread
from common.training import error, scores, train

import minicnn
from minicnn import nn

KINDS = {"ResNet": (0.05, 0.05), "plain": (0.02, 0.02), "plain, small steps": (0.02, 0.005)}  # rates: at first, then
SHALLOW, DEEP = 1, 3  # blocks of two convolutions in each of the three stages: 8 and 20 layers
NETS = "8 layers", "20, by construction", "20, from random weights"


def measure(run: Run) -> dict:
    data = classes(run.folder, run.pick(4, 50, 500), run.pick(4, 50, 100), run.pick(12, 24, 32)).standardised()
    epochs = run.pick(1, 6, 40)
    result: dict = {"epochs": epochs, "largest_output": {}, "difference": {}, "difference_plain_tier": {}}
    result |= {"train": {}, "test": {}, "curves": {}}
    for kind in KINDS:
        grown = [run.once(f"{kind}, {seed}", grow, kind, data, epochs, seed) for seed in run.seeds]
        for name in ("largest_output", "difference", "difference_plain_tier"):
            result[name][kind] = max(each[name] for each in grown)
        for net in NETS:
            for part in ("train", "test"):
                result[part][f"{kind}, {net}"] = [each[part][net] for each in grown]
            result["curves"][f"{kind}, {net}"] = [each["losses"][net] for each in grown]
    return result


def grow(kind: str, data: Split, epochs: int, seed: int) -> dict:
    """Train a shallow net, make it deep, train on -> differences of the outputs, losses, and errors in %."""
    minicnn.manual_seed(seed)
    build, (at_first, then) = resnet if kind == "ResNet" else plain, KINDS[kind]
    shallow, deep, other = (build(blocks, len(data.classes)) for blocks in (SHALLOW, DEEP, DEEP))

    def learn(net, epochs, lr, seed):
        return train(net, data.train, data.train_labels, epochs=epochs, lr=lr, seed=seed)

    before = learn(shallow, epochs, at_first, seed)
    copy_with_identities(shallow, deep)
    found = {"largest_output": float(np.abs(scores(shallow, data.test)).max())}
    found["difference"] = difference(shallow, deep, data.test)
    with minicnn.tier("plain"):  # NumPy's sums: a product with 1 and many with 0 are exact
        found["difference_plain_tier"] = difference(shallow, deep, data.test[:20])
    losses = {
        name: before + learn(net, epochs, then, seed + 100) for name, net in zip(NETS, (shallow, deep), strict=False)
    }
    losses[NETS[2]] = learn(other, 2 * epochs, then, seed)
    nets = dict(zip(NETS, (shallow, deep, other), strict=True))
    parts = {"train": (data.train, data.train_labels), "test": (data.test, data.test_labels)}
    errors = {part: {name: error(net, *pair) for name, net in nets.items()} for part, pair in parts.items()}
    return {**found, "losses": losses, **errors}


def difference(shallow: nn.Module, deep: nn.Module, images: np.ndarray) -> float:
    """How far the scores of the two lie apart at most."""
    return float(np.abs(scores(shallow, images) - scores(deep, images)).max())


def measured(result: dict) -> str:
    """Whether the new layers change anything; what becomes of the deeper net when it trains on."""
    fast, plain_tier = (max(result[key].values()) for key in ("difference", "difference_plain_tier"))
    changed = "no output at all"
    if fast or plain_tier:
        changed = f"outputs by up to {fast:.1g} (fast tier) and {plain_tier:.1g} (plain tier)"
    texts = []
    for kind in KINDS:
        shallow, grown, other = (result["test"][f"{kind}, {net}"] for net in NETS)
        worse = sum(new > old for new, old in zip(grown, shallow, strict=True))
        errors = f"{with_spread(grown)} against {with_spread(shallow)} ({with_spread(other)})"
        texts.append(f"{kind} {errors}, worse in {worse} of {seeds(grown)}")
    return (
        f"New layers change {changed}. After {result['epochs']} more epochs, test error in % of 20 layers by"
        f" construction against 8 (in brackets 20 from random weights): {'; '.join(texts)}."
    )


def draw(figure, result: dict) -> None:
    panels = figure.subplots(1, len(KINDS))
    for axes, kind in zip(panels, KINDS, strict=True):
        for net, color, line, marker, width in zip(
            NETS, style.COLORS, style.LINES, style.MARKERS, (4, 1.5, 1.5), strict=False
        ):  # the first is wide: another that is the same lies on it
            runs = np.array(result["curves"][f"{kind}, {net}"])
            label = f"{net}: {mean(result['test'][f'{kind}, {net}']):.0f} % test error"
            look = {"color": color, "linestyle": line, "marker": marker, "linewidth": width, "label": label}
            axes.plot(range(1, runs.shape[1] + 1), runs.mean(0), **look)
        look = {"linewidth": 1, "linestyle": ":", "marker": "", "label": "8 become 20"}
        axes.axvline(result["epochs"] + 0.5, color=style.BLACK, **look)
        gap = result["difference"][kind]
        title = (
            f"{kind}: rate {KINDS[kind][0]:g}, then {KINDS[kind][1]:g}\n8 layers become 20: outputs differ by {gap:.1g}"
        )
        axes.set(title=title, xlabel="epoch", ylim=(0, 1.1 * axes.dataLim.ymax))
        axes.legend()
    panels[0].set_ylabel("training loss (nats), mean of the seeds")


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, size=(13, 4.2))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
