"""Mean image, channel mean, PCA, whitening: what each does to pictures, and to their covariance.

Claim      In practice, images are centred only: AlexNet subtracts the mean image, VGG the mean of each channel, ResNet
           also divides by each channel's deviation (deck 1, "TLDR: In practice for Images: center only"). PCA makes the
           covariance matrix diagonal, whitening the identity (deck 1, "Why normalize the input?").
Published  AlexNet: the mean image (Krizhevsky et al. 2012, section 2). The ResNet paper, too, subtracts the per-pixel
           mean (He et al. 2016, section 3.4); mean and deviation of the channels came with its later implementations.
Done       Each normaliser is fitted to drawn textures of 12 x 12 pixels, 432 numbers each, and applied to them and to
           pictures that it has not seen. Of the covariance matrix we print the largest number beside the diagonal, and
           the largest difference from the identity. The clouds of dots in the figure are pairs of neighbouring grey
           pixels. --full DIR: your own pictures, a folder for each class.
Measured   Over 2,500 pictures of 12 x 12 pixels (3 seeds), the covariance's largest number beside the diagonal is 0.69
           of the largest on it after centring, 5e-10 after PCA. Whitened, it differs from the identity by at most
           8e-09, after ZCA by 8e-09; on pictures that were not in the fit by 2.2.
Look at    minicnn/data/normalize.py, minicnn/data/whiten.py, minicnn/data/covariance.py; docs/augment.md.
"""

import sys

import numpy as np
from common.classes import classes
from common.experiment import Lecture
from common.statistics import mean, seeds
from common.style import BLUE

from minicnn.data import PCA, ZCA, ChannelMean, ChannelMeanStd, MeanImage, Whitening, ZeroToOne

NORMALISERS = {
    "original": ZeroToOne,
    "mean image": MeanImage,
    "channel mean": ChannelMean,
    "mean, deviation": ChannelMeanStd,
    "PCA": PCA,
    "whitening": Whitening,
    "ZCA": ZCA,
}
CLOUDS = {"original": MeanImage, "PCA: decorrelated": PCA, "whitening": Whitening, "ZCA": ZCA}
SHOWN, PART = 4, 48  # pictures; numbers of each whose covariance is drawn


def measure(run):
    side, train, test = run.pick(quick=(6, 30, 5), default=(12, 250, 50), full=(12, 500, 100))
    sets = [classes(run.folder, train, test, side, seed) for seed in run.seeds]
    each = [_measured(data) for data in sets]
    result = {kind: {name: [one[name][kind] for one in each] for name in NORMALISERS} for kind in _KINDS}
    pictures = sets[0].train
    shown = np.linspace(0, len(pictures) - 1, SHOWN).astype(int)
    for one in each[0].values():
        one["outputs"] = one["outputs"][shown]
    curves = {name: {kind: one[kind] for kind in ("outputs", "covariance")} for name, one in each[0].items()}
    return result | {"side": side, "pictures": len(pictures), "curves": curves | {"clouds": _clouds(pictures)}}


_KINDS = "largest_mean", "beside_diagonal", "from_identity", "from_identity_unseen"


def _measured(data):
    found = {}
    for name, normaliser in NORMALISERS.items():
        normalize = normaliser().fit([data.train])
        outputs, unseen = normalize(data.train), normalize(data.test)
        covariance = _covariance(outputs)
        diagonal = np.diagonal(covariance)
        identity = np.eye(len(covariance))
        found[name] = {
            "largest_mean": np.abs(outputs.mean(axis=0, dtype=np.float64)).max(),
            "beside_diagonal": np.abs(covariance - np.diag(diagonal)).max() / diagonal.max(),
            "from_identity": np.abs(covariance - identity).max(),
            "from_identity_unseen": np.abs(_covariance(unseen) - identity).max(),
            "outputs": outputs,
            "covariance": np.rint(100 * np.log10(np.maximum(np.abs(covariance[:PART, :PART]) / diagonal.max(), 1e-5))),
        }
    return found


def _covariance(outputs):
    return np.cov(outputs.reshape(len(outputs), -1).astype(np.float64), rowvar=False, bias=True)


def _clouds(pictures):
    """{name: (N, 2)}: what each normaliser makes of two neighbouring grey pixels of each picture."""
    grey = np.rint(pictures.mean(axis=1, keepdims=True)).astype(np.uint8)  # (N, 1, side, side)
    middle = grey.shape[2] // 2
    pairs = grey[::5, :, middle : middle + 1, middle : middle + 2]
    return {name: normaliser().fit([pairs])(pairs).reshape(-1, 2) for name, normaliser in CLOUDS.items()}


def measured(result):
    beside, identity, unseen = (result[kind] for kind in _KINDS[1:])
    return (
        f"Over {result['pictures']:,} pictures of {result['side']} x {result['side']} pixels "
        f"({seeds(beside['PCA'])}), the covariance's largest number beside the diagonal is "
        f"{mean(beside['mean image']):.2f} of the largest on it after centring, {max(beside['PCA']):.0e} after PCA. "
        f"Whitened, it differs from the identity by at most {max(identity['whitening']):.0e}, after ZCA by "
        f"{max(identity['ZCA']):.0e}; on pictures that were not in the fit by {mean(unseen['whitening']):.1f}."
    )


def draw(figure, result):
    names, curves = list(NORMALISERS), result["curves"]
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.6, 1))
    pictures, covariances = upper.subplots(2, len(names))
    for name, above, axes in zip(names, pictures, covariances, strict=True):
        outputs = np.array(curves[name]["outputs"])
        _draw_outputs(above, outputs, name)
        if outputs.ndim == 4:
            above.set_xlabel("{:.3g} to {:.3g}".format(*np.percentile(outputs, (1, 99))), fontsize="small")
        shades = axes.imshow(np.array(curves[name]["covariance"]) / 100, cmap="gray", vmin=-4, vmax=0)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
    upper.colorbar(shades, ax=covariances, label="log10(|covariance|\n/ largest)")
    pictures[0].set_ylabel("four pictures (below:\nthe range that is shown)")
    covariances[0].set_ylabel(f"covariance of the\nfirst {PART} numbers")
    for name, axes in zip(CLOUDS, lower.subplots(1, len(CLOUDS)), strict=True):
        axes.plot(*np.array(curves["clouds"][name]).T, ".", color=BLUE, alpha=0.4, markersize=3)
        pixels = name in ("original", "ZCA")
        unit = "deviations" if name in ("whitening", "ZCA") else "grey levels"
        axes.set(title=name, aspect="equal", adjustable="datalim", box_aspect=1)
        axes.set_xlabel(f"{'one pixel' if pixels else 'first axis'} ({unit})")
        axes.set_ylabel(f"{'its neighbour' if pixels else 'second axis'} ({unit})")


def _draw_outputs(axes, outputs, name):
    """Pictures in a square; of numbers that are no pictures, a line each."""
    axes.set_title(name)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    if outputs.ndim == 4:
        low, high = (np.percentile(outputs, percent) for percent in (1, 99))
        tiles = np.clip((outputs - low) / (high - low), 0, 1).transpose(0, 2, 3, 1)
        axes.imshow(np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])]))
        return
    for i, row in enumerate(outputs):
        axes.plot(row / np.abs(outputs).max() - 1.5 * i, color=BLUE, linestyle="-", marker="", linewidth=0.5)
    axes.set_xlabel("axes, by variance", fontsize="small")
    axes.set_box_aspect(1)


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, size=(14, 6.5))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
