"""How soon a net learns with ReLU, tanh or sigmoid: in the setting of 2012, and in a modern one.

Claim      ReLU "converges much faster than sigmoid/tanh in practice (e.g. 6x)" (deck 1, "ReLU").
Published  A four-layer convolutional net comes to 25 % training error on CIFAR-10 six times sooner with ReLU than with
           tanh, each at its best learning rate, without regularisation (Krizhevsky et al., NIPS 2012, figure 1).
Done       The same on 1,000 textures of 24 pixels with a smaller net: three 5 x 5 convolutions of 16, 16 and 32
           filters, each with max-pool, and a fully connected layer; batches of 50, momentum .9. "2012": pixels 0 to 255
           minus the mean image, weights N(0, .01). "modern": channels of mean 0 and variance 1, weights of He (ReLU) or
           Xavier. Of five learning rates, one seed chooses that which gets there first; three others are then measured
           with it. (Another seed may choose another rate: where the three lie far apart, trust neither.) --full DIR:
           CIFAR-10 as a folder of pictures, 5,000 of each class; 32, 32 and 64 filters, batches of 128.
Measured   To 25 % training error, tanh is sooner than ReLU (2012 and modern). 2012: ReLU 7.9 ± 0.3 epochs in 2 of 3
           seeds, tanh 5.3 ± 0.4 epochs. modern: ReLU 8.1 ± 5.6 epochs, tanh 2.1 ± 0.0 epochs (tanh takes 0.3 times as
           many epochs as ReLU; published for CIFAR-10: 6 times); sigmoid gets there in 0 of 6 runs within 15 epochs. 3
           seeds. Best rate at the edge of those tried: sigmoid, 2012; sigmoid, modern.
Look at    minicnn/ops/activation.py, minicnn/nn/init.py, common/race.py
"""

import sys

import numpy as np
from common import style
from common.classes import classes
from common.experiment import Lecture, Run
from common.race import epochs_until
from common.statistics import mean, seeds, with_spread

import minicnn
from minicnn import nn
from minicnn.data import MeanImage

ACTIVATIONS = {"ReLU": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
SETTINGS = "2012", "modern"
RATES = 0.01, 0.003, 0.03, 0.001, 0.1  # from the middle outwards: a run ends when it cannot be the fastest any more
GOAL = 25  # % training error
SEARCH_SEED = 1000


def measure(run: Run) -> dict:
    width, limit, batch = run.pick((4, 3, 10), (16, 15, 50), (32, 40, 128))
    data = classes(run.folder, run.pick(5, 100, 5000), 1, run.pick(16, 24, 32))
    inputs = {"2012": MeanImage().fit([data.train])(data.train), "modern": data.standardised().train}

    def race(setting, name, lr, limit, seed):
        minicnn.manual_seed(seed)
        net = build(name, setting, width, data.train.shape[-1])
        return epochs_until(GOAL, net, inputs[setting], data.train_labels, lr, batch, limit, seed)

    result: dict = {"goal_percent": GOAL, "limit_epochs": limit, "rate": {}, "epochs": {}, "error": {}, "curves": {}}
    for setting in SETTINGS:
        for name in ACTIVATIONS:
            key, fastest = f"{name}, {setting}", limit
            tried = {}
            for lr in RATES[: run.pick(2, len(RATES))]:
                tried[lr] = run.once(f"{key}, rate {lr}", race, setting, name, lr, fastest, SEARCH_SEED)
                fastest = tried[lr]["epochs"] or fastest
            best = min(tried, key=lambda lr: (tried[lr]["epochs"] or limit + 1, tried[lr]["errors"][-1]))
            raced = [run.once(f"{key}, seed {seed}", race, setting, name, best, limit, seed) for seed in run.seeds]
            result["rate"][key] = best
            result["epochs"][key] = [each["epochs"] for each in raced]
            result["error"][key] = [each["errors"][-1] for each in raced]
            result["curves"][key] = [each["errors"] for each in raced]
    return result


def build(name: str, setting: str, width: int, side: int) -> nn.Sequential:
    """Four layers with weights, for pictures of `side` pixels and ten classes."""
    layers: list[nn.Module] = []
    channels = 3
    for filters in (width, width, 2 * width):
        layers += [nn.Conv2d(channels, filters, 5, padding=2), ACTIVATIONS[name](), nn.MaxPool2d(2)]
        channels = filters
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * (side // 8) ** 2, 10))
    for layer in net:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.zeros_(layer.bias)
            if setting == "2012":
                nn.init.normal_(layer.weight, std=0.01)
            elif name == "ReLU":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.xavier_normal_(layer.weight)
    return net


def measured(result: dict) -> str:
    """Who is sooner in each setting: the one whose slowest run is before the fastest of the other."""
    verdicts: dict[str, list[str]] = {}
    texts, limit = [], result["limit_epochs"]
    for setting in SETTINGS:
        relu, tanh = (result["epochs"][f"{name}, {setting}"] for name in ("ReLU", "tanh"))
        late, early = ([epochs or limit + 1 for epochs in found] for found in (relu, tanh))
        verdict = "neither ReLU nor tanh is clearly sooner"
        if max(late) < min(early) or max(early) < min(late):
            verdict = "ReLU is sooner than tanh" if max(late) < min(early) else "tanh is sooner than ReLU"
        verdicts.setdefault(verdict, []).append(setting)
        parts = []
        for name, epochs in (("ReLU", relu), ("tanh", tanh)):
            there = [each for each in epochs if each]
            some = "" if len(there) == len(epochs) else f" in {len(there)} of {seeds(epochs)}"
            parts.append(f"{name} {with_spread(there)} epochs{some}" if there else f"{name} not within {limit}")
        times = ""
        if None not in relu + tanh:
            share = mean(tanh) / mean(relu)
            times = f" (tanh takes {share:.1f} times as many epochs as ReLU; published for CIFAR-10: 6 times)"
        texts.append(f"{setting}: {', '.join(parts)}{times}")
    found = "; ".join(f"{verdict} ({' and '.join(where)})" for verdict, where in verdicts.items())
    sigmoid = [epochs for setting in SETTINGS for epochs in result["epochs"][f"sigmoid, {setting}"]]
    got = f"sigmoid gets there in {sum(map(bool, sigmoid))} of {len(sigmoid)} runs within {limit} epochs"
    edge = [key for key, rate in result["rate"].items() if rate in (min(RATES), max(RATES))]
    rates = f" Best rate at the edge of those tried: {'; '.join(edge)}." if edge else ""
    return f"To {GOAL} % training error, {found}. {'. '.join(texts)}; {got}. {seeds(relu)}.{rates}"


def ratio(result: dict, setting: str) -> str:
    """How many times sooner ReLU gets there than tanh, if both do."""
    relu, tanh = (result["epochs"][f"{name}, {setting}"] for name in ("ReLU", "tanh"))
    if None in relu + tanh:
        return "no ratio, as not all got there"
    return f"tanh over ReLU {mean(tanh) / mean(relu):.1f} (published: 6)"


def draw(figure, result: dict) -> None:
    panels = figure.subplots(1, 2, sharey=True)
    for axes, setting in zip(panels, SETTINGS, strict=True):
        for name, color, line, marker in zip(ACTIVATIONS, style.COLORS, style.LINES, style.MARKERS, strict=False):
            key = f"{name}, {setting}"
            for number, errors in enumerate(result["curves"][key]):
                label = f"{name}, rate {result['rate'][key]:g}" if number == 0 else None
                epochs = np.arange(1, len(errors) + 1.0)
                if reached := result["epochs"][key][number]:
                    epochs[-1] = reached
                axes.plot(epochs, errors, color=color, linestyle=line, marker=marker, label=label)
        axes.axhline(GOAL, color=style.BLACK, linewidth=1, linestyle=":", marker="", label=f"{GOAL} %")
        title = f"{setting}, epochs until {GOAL} %: {ratio(result, setting)}"
        axes.set(title=title, xlabel="epoch", xlim=(0, None), ylim=(0, 100))
        axes.legend()
    panels[0].set_ylabel("training error (%)")


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, size=(11, 4.2))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
