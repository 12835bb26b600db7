"""Signals and gradients on their way through deep nets: they saturate, vanish, explode, die.

Claim      "Saturated neurons kill the gradients"; tanh is printed as (1 - e^-2x) / (1 + e^2x) = 1 - 2 sigmoid(2x) (deck
           1, "Flashback To Activation Functions"). ReLUs get a slightly positive bias, such as 0.01 (deck 1, "ReLU
           Initialization"). Batch norm keeps the distribution of every layer's inputs (deck 2, "AlexNet"). Skip
           connections avoid vanishing gradients, which are a product by the chain rule (deck 2, "ResNet").
Published  With batch norm the gradients of plain ReLU nets grow sqrt(pi / (pi - 1)) = 1.211 times a layer towards the
           input (Yang et al., "A mean field theory of batch normalization", 2019) and do not vanish (He et al., CVPR
           2016, section 4.1). He's weights keep the variance (He et al., ICCV 2015, eq. 10).
Done       Untrained towers of equal layers (30 of 128 units; for the variance 50 of 512) pass on random numbers and, on
           the way back, a random gradient. N(0, s) are normal numbers of standard deviation s. Untrained nets for
           CIFAR, plain and residual, see 17 textures. A net with three hidden layers of 128 ReLUs learns 1,000 textures
           for 150 steps; a unit that is then 0 for all of them is dead. (The slide speaks of one unit, whose slope does
           vanish where it is saturated. Through many layers a gradient is a product of slopes and weights: with N(0, 1)
           tanh's large weights win, with Xavier's the sigmoid's slopes do.) --full DIR: your own pictures, a folder for
           each class.
Measured   Saturation does not tell where gradients vanish: from the last layer to the first, a factor of 1e-18 in
           sigmoids (0 % saturated), 2e+11 in tanhs (84 %); with batch norm 6e+07 in plain 110, 1e+02 in residual 110,
           and 1.212 a layer of a tower (published: 1.211). Inits that keep the variance within a factor of 3: He; with
           batch norm, 3 of 3. Dead ReLUs with bias 0: 5.6 ± 3.3 and 44.7 ± 2.2 % at rates 0.1 and 0.2; 0.01 in place of
           0 changes that by 3.9 ± 2.8 and -4.7 ± 1.2 points, and so saves units at 1 of 2 rates. 3 seeds.
Look at    minicnn/nn/init.py, minicnn/ops/activation.py, minicnn/models/resnet.py; common/tower.py, dead_units.py
"""

import sys
from itertools import product
from statistics import geometric_mean

import numpy as np
from common.classes import classes
from common.dead_units import dead_share
from common.experiment import Lecture, Run
from common.statistics import mean, seeds, spread, with_spread
from common.tanh import FORMULAS, draw_formulas
from common.tower import HIGH_TOWERS, TOWERS, net_gradients, signals

BIASES = 0.0, 0.01, 1.0


def measure(run: Run) -> dict:
    low, high = run.pick((8, 32), (30, 128)), run.pick((10, 64), (50, 512))  # layers, and units in each
    depths, rates = run.pick((20,), (20, 56, 110)), run.pick((0.01, 0.1), (0.01, 0.03, 0.1, 0.2))
    data = classes(run.folder, *run.pick((5, 1), (100, 1))).standardised()
    flat = data.train[:, :, ::2, ::2].reshape(len(data.train), -1)  # every second pixel
    some = [array[:: run.pick(12, 62)] for array in (data.train, data.train_labels)]

    def seeded(name, function, *args):
        return [run.once(f"{name}, seed {seed}", function, *args, seed) for seed in run.seeds]

    towers = {name: seeded(name, signals, *low, *options) for name, options in TOWERS.items()}
    high_towers = {name: seeded(f"high {name}", signals, *high, *options) for name, options in HIGH_TOWERS.items()}
    nets = {
        f"{kind} {depth}": seeded(f"{kind} {depth}", net_gradients, *some, depth, kind == "residual")
        for kind, depth in product(("plain", "residual"), depths)
    }
    dead = {f"bias {bias:g}": {} for bias in BIASES}
    for bias, lr in product(BIASES, rates):
        found = seeded(f"dead {bias} {lr}", dead_share, flat, data.train_labels, bias, lr)
        dead[f"bias {bias:g}"][f"{lr:g}"] = found
    variance = {name: [np.divide(s["variance"], s["variance"][0]) for s in high_towers[name]] for name in HIGH_TOWERS}
    gradient = {name: [s["gradient"] for s in found] for name, found in towers.items()}
    saturated = {name: [s["saturated"] for s in towers[name]] for name in TOWERS if "ReLU" not in name}
    curves = {"saturated": saturated, "gradient": gradient, "nets": nets, "variance": variance}
    x = np.linspace(-2, 2, 81)
    return {
        "largest_difference_from_tanh": {name: np.abs(f(x) - np.tanh(x)).max() for name, f in FORMULAS.items()},
        "saturated_percent": {name: 100 * np.mean(found) for name, found in saturated.items()},
        "gradient_first_to_last": {name: [g[0] / g[-1] for g in found] for name, found in (gradient | nets).items()},
        "variance_last_to_first": {name: [v[-1] for v in found] for name, found in variance.items()},
        "variance_range_he": [np.min(variance["He"]), np.max(variance["He"])],
        "dead_percent": dead,
        "layers": low[0],
        "curves": {kind: _means(found) for kind, found in curves.items()},
    }


def _means(found):
    return {name: np.mean(curves, axis=0) for name, curves in found.items()}


def measured(result: dict) -> str:
    """What vanishes, with what the variance lasts, and whether a bias saves units."""
    saturated, dead = result["saturated_percent"], result["dead_percent"]
    ratio = {name: geometric_mean(found) for name, found in result["gradient_first_to_last"].items()}
    growth = ratio["ReLU, He, batch norm"] ** (1 / (result["layers"] - 1))
    plain, residual = ([name for name in ratio if name.startswith(kind)][-1] for kind in ("plain", "residual"))
    sigmoid, tanh = "sigmoid, Xavier", "tanh, N(0, 1)"
    tells = "tells" if (saturated[sigmoid] < saturated[tanh]) == (ratio[sigmoid] > ratio[tanh]) else "does not tell"
    steady = [name for name, v in result["variance_last_to_first"].items() if min(v) > 1 / 3 and max(v) < 3]
    normed = sum("batch norm" in name for name in steady)
    alone = " or ".join(name for name in steady if "batch norm" not in name) or "none"
    rates = list(dead["bias 0"])[-2:]
    return (
        f"Saturation {tells} where gradients vanish: from the last layer to the first, a factor of {ratio[sigmoid]:.0e}"
        f" in sigmoids ({saturated[sigmoid]:.0f} % saturated), {ratio[tanh]:.0e} in tanhs ({saturated[tanh]:.0f} %);"
        f" with batch norm {ratio[plain]:.0e} in {plain}, {ratio[residual]:.0e} in {residual}, and {growth:.3f} a layer"
        f" of a tower (published: 1.211). Inits that keep the variance within a factor of 3: {alone}; with batch norm,"
        f" {normed} of {sum('batch norm' in name for name in HIGH_TOWERS)}. Dead ReLUs with bias 0:"
        f" {' and '.join(with_spread(dead['bias 0'][lr]) for lr in rates)} % at rates {' and '.join(rates)};"
        f" {_saved(dead, rates)}. {seeds(result['gradient_first_to_last'][sigmoid])}."
    )


def _saved(dead, rates):
    """What a bias of 0.01 in place of 0 changes, seed by seed."""
    changes = [np.subtract(dead["bias 0.01"][lr], dead["bias 0"][lr]).tolist() for lr in rates]
    saves = sum(mean(change) < -spread(change) for change in changes)
    points = " and ".join(map(with_spread, changes))
    return f"0.01 in place of 0 changes that by {points} points, and so saves units at {saves} of {len(rates)} rates"


def draw(figure, result: dict) -> None:
    (formulas, saturated, gradient), (nets, variance, dead) = figure.subplots(2, 3)
    curves = result["curves"]
    draw_formulas(formulas)
    formulas.set(ylim=(-2, 3), ylabel="value")  # above the curves there is room for the legend
    percent = {name: [100 * share for share in shares] for name, shares in curves["saturated"].items()}
    _curves(saturated, percent, "saturated units (slope < 5 % of the largest)", "share of units (%)")
    rms = "gradient of the weights, root mean square"
    _curves(gradient, curves["gradient"], f"{result['layers']} equal layers: gradients", rms, "log")
    _curves(nets, curves["nets"], "nets for CIFAR with batch norm: gradients", rms, "log")
    outputs = f"{len(curves['variance']['He'])} layers of ReLUs: outputs"
    _curves(variance, curves["variance"], outputs, "variance / variance of layer 1", "log")
    for name, found in result["dead_percent"].items():
        rates, values = [float(lr) for lr in found], found.values()
        dead.errorbar(rates, [*map(mean, values)], [*map(spread, values)], capsize=3, label=name)
    dead.set(title="dead ReLUs after training", xlabel="learning rate", ylabel="share of units (%)", xscale="log")
    dead.set_xticks(rates, map("{:g}".format, rates))
    dead.minorticks_off()
    for axes in (saturated, gradient, nets, variance, dead):
        axes.legend()
    formulas.legend(loc="upper left")
    gradient.legend(loc="center right", bbox_to_anchor=(1, 0.35))


def _curves(axes, curves, title, ylabel, scale="linear"):
    for name, values in curves.items():
        axes.plot(range(1, len(values) + 1), values, label=name, markevery=max(1, len(values) // 8))
    axes.set(title=title, xlabel="layer", ylabel=ylabel, yscale=scale)
    axes.xaxis.get_major_locator().set_params(integer=True)


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, size=(14, 9))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
