"""A class for every pixel: a classifier becomes a segmenter, with skips and without, pre-trained and from scratch.

Claim      Pre-training on massive data, then fine-tuning on much less, also serves other tasks than the first, such as
           the networks of Long, Shelhamer and Darrell (deck 1, "Example: semantic segmentation").
Published  VOC 2012, FCN-8s of VGG-16: 62.2 % mean IU (Long et al., CVPR 2015, table 3). On a part of VOC 2011's
           validation set FCN-32s 59.4 %, -16s 62.4 %, -8s 62.7 %; FCN-32s with all layers frozen but the last 45.4 %
           (table 2). None from scratch, which takes too long (section 4.3).
Done       A small ResNet learns to tell single textures apart (10 classes, 64 x 64 pixels). Its layers become FCN-8s,
           -16s and -32s, which learn from 160 Voronoi mosaics of four other textures each, all stages at once, for 10
           epochs; beside them FCN-8s with the classifier's layers frozen, and from scratch, for 15 epochs, as
           pre-training takes time. Each of the three beginnings has the best of three rates for FCN-8s, by mean IU on
           60 mosaics of a seed of its own; the test is on 60 others for each seed. A first trial on the seed of the
           choice set the three rates: 0.02 was worse for each beginning, and at 0.6 nothing was learnt (frozen layers
           were not tried there). How long the lead lasts is the question of program 16.
           --full DIR takes VOC 2012's layout, downloads VGG-16's weights, and trains FCN-32s, -16s and -8s in turns,
           as in the paper (which had 8,498 pictures, more than VOC's own); one seed (--seeds 1) will do.
Measured   Mean IU / pixel accuracy in %: FCN-8s 36.3 ± 2.4 / 52.2 ± 3.7, FCN-16s 31.4 ± 3.1 / 47.3 ± 4.8, FCN-32s 18.7
           ± 2.7 / 31.2 ± 4.8, FCN-8s frozen 25.2 ± 4.1 / 39.2 ± 6.4, FCN-8s scratch 31.5 ± 0.9 / 47.2 ± 2.2; 3 seeds.
           Pre-training gives FCN-8s 4.7 ± 2.8 more mean IU. Rates chosen: pre-trained 0.2, frozen 0.06 (the edge of
           what was tried), scratch 0.2. The classifier's error is 13.6 ± 1.7 %.
Look at    minicnn/models/fcn.py, minicnn/models/grid.py, minicnn/train/segmentation.py; common/segmenting.py,
           mosaics.py, voc_masks.py
"""

import sys
from functools import cache, partial

import numpy as np
from common import style, voc_masks
from common.experiment import Lecture, Run
from common.label_maps import draw_maps
from common.pictures import as_text
from common.segmenting import drawn, trained
from common.statistics import mean, seeds, spread, with_spread

RATES = 0.06, 0.2, 0.3
SELECTION = 1000  # the seed with which rates are compared
ARMS = {  # the stride of the finest map, and how the classifier's layers begin
    "FCN-8s": (8, "pre-trained"),
    "FCN-16s": (16, "pre-trained"),
    "FCN-32s": (32, "pre-trained"),
    "FCN-8s frozen": (8, "frozen"),
    "FCN-8s scratch": (8, "scratch"),
}


def measure(run: Run) -> dict:
    if run.mode == "full":
        rates, found = {}, [run.once(f"seed {seed}", voc_masks.in_turns, run.folder, seed) for seed in run.seeds]
    else:
        rates, found = on_mosaics(run)
    return {
        "rates": rates,
        "classifier_error": [one["classifier_error"] for one in found],
        **{
            name: {arm: [one["arms"][arm][name] for one in found] for arm in found[0]["arms"]}
            for name in ("pixel_accuracy", "mean_iu")
        },
        "curves": found[0]["example"],
    }


def on_mosaics(run: Run) -> tuple[dict, list]:
    """({how it begins: the best rate for FCN-8s}, what each seed gives with these rates)."""
    task = cache(partial(drawn, run.pick((4, 1, 2, 8, 4), (60, 10, 20, 160, 60))))
    epochs = run.pick(1, 10)

    def mean_iu(kind, rate):
        with np.errstate(over="ignore"):  # a rate may be too high: then scores are NaN, and count as wrong
            return trained(task(SELECTION), 8, kind, rate, epochs, SELECTION)[0]["mean_iu"]

    def best(kind):
        return max(run.pick(RATES[1:2], RATES), key=lambda rate: run.once(f"{kind} at {rate}", mean_iu, kind, rate))

    def tested(seed):
        arms, predictions = {}, {}
        for arm, (stride, kind) in ARMS.items():
            arms[arm], first = trained(task(seed), stride, kind, rates[kind], epochs, seed)
            predictions[arm] = as_text(first)
        picture, truth = task(seed).picture.transpose(1, 2, 0), task(seed).truth[0].astype(np.uint8)
        example = {"picture": as_text(picture), "truth": as_text(truth), "predictions": predictions}
        return {"classifier_error": task(seed).error, "arms": arms, "example": example}

    rates = {kind: best(kind) for kind in ("pre-trained", "frozen", "scratch")}
    return rates, [run.once(f"seed {seed}", tested, seed) for seed in run.seeds]


def measured(result: dict) -> str:
    arms = ", ".join(
        f"{arm} {with_spread(result['mean_iu'][arm])} / {with_spread(accuracy)}"
        for arm, accuracy in result["pixel_accuracy"].items()
    )
    text = f"Mean IU / pixel accuracy in %: {arms}; {seeds(result['classifier_error'])}."
    if not result["rates"]:  # VGG-16 as the paper trains it
        return text
    at_edge = dict.fromkeys((min(RATES), max(RATES)), " (the edge of what was tried)")
    pairs = zip(result["mean_iu"]["FCN-8s"], result["mean_iu"]["FCN-8s scratch"], strict=True)
    gain = f"Pre-training gives FCN-8s {with_spread([begun - scratch for begun, scratch in pairs])} more mean IU."
    rates = ", ".join(f"{kind} {rate:g}{at_edge.get(rate, '')}" for kind, rate in result["rates"].items())
    error = f"The classifier's error is {with_spread(result['classifier_error'])} %."
    return f"{text} {gain} Rates chosen: {rates}. {error}"


def draw(figure, result: dict) -> None:
    top, below = figure.subfigures(2, 1, height_ratios=(1, 1.6))
    arms = list(result["mean_iu"])
    draw_maps(top, result["curves"], voc_masks.UNKNOWN)
    for axes, name in zip(below.subplots(1, 2), ("mean_iu", "pixel_accuracy"), strict=True):
        names, values = [arm.replace(" ", "\n") for arm in arms], result[name].values()
        style.bars(axes, names, [*map(mean, values)], [*map(spread, values)])
        axes.set(ylabel=f"{name.replace('_', ' ').replace('iu', 'IU')} (%)", title="mean and spread of the seeds")


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, size=(11, 5.5))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
