"""The AlexNet of 2012 in two processes, each with half of it: the same numbers as in one piece, and what they exchange.

Claim      AlexNet was trained on 2 GPUs with 3 GB each (deck 1, "AlexNet [Krizhevsky, et al. NIPS (2012)]"; deck 2,
           "AlexNet"). The decks do not say how.
Published  Half of the kernels lie on each GPU, and the GPUs communicate only in certain layers. Beside a net with half
           as many kernels on one GPU, this lowers the errors by 1.7 (top-1) and 1.2 points (top-5) (Krizhevsky et al.,
           "ImageNet classification with deep convolutional neural networks", 2012, section 3.2). Not measured here.
Done       Two processes, joined by a pipe, train half of the network each for ten steps, on ten drawn textures of 67
           pixels, in float64, with 32 neurons in fc6 and fc7, without dropout and from He's weights. They are compared
           with the network in one piece, with groups=2 and LRN (local response normalisation) in each half, and with
           the one whose LRN sees both halves. One seed is enough: the numbers must be equal. --full changes nothing.
Measured   After 10 steps the losses of the two processes and of the network in one piece differ by at most 2e-15, their
           weights by 1e-16; with LRN across the halves by 1e-04. Each process sends 10 arrays a step, 0.9 MB here.
Look at    examples/lectures/common/halves.py for the half and the exchange, minicnn/models/alexnet.py for the whole.
"""

import multiprocessing
import signal
import sys

import numpy as np
from common import style
from common.classes import textures
from common.experiment import Lecture
from common.halves import Border, second_process, train, train_half, whole_net

from minicnn.errors import SettingError

BORDERS = {  # what each GPU sends for a picture of 227 pixels: numbers of half a layer
    "conv2": 48 * 27 * 27,
    "conv3": 128 * 13 * 13,
    "conv4": 192 * 13 * 13,
    "conv5": 192 * 13 * 13,
    "fc6": 128 * 6 * 6,
    "fc7": 2048,
    "fc8": 2048,
    "loss": 500,
}
CROSSED = "conv3", "fc6", "fc7", "fc8", "loss"  # the others see their own half
WITHIN, ACROSS = {"norm_across_halves": False}, {"norm_across_halves": True}


def in_two_processes(images, labels, width, steps):
    """(losses of the first half, of the second, trained parameters of both together, bytes that the first has sent)."""
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=second_process, args=(other,))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both, and is the first one's to answer
    process.start()
    signal.signal(signal.SIGINT, before)
    other.close()  # it is the other process's, whose end is then noticed here
    try:
        pipe.send((images, labels, width, steps))
        border = Border(0, pipe)
        losses, first = train_half(border, images, labels, width, steps)
        other_losses, second = pipe.recv()
    except (EOFError, OSError) as error:
        raise SettingError("the process of the second half has ended; is there memory for it?") from error
    finally:
        pipe.close()
        process.join()
    return losses, other_losses, [np.concatenate(pair) for pair in zip(first, second, strict=True)], border.sent


def in_one_piece(images, labels, width, steps, options):
    """(losses, trained parameters)."""
    model = whole_net(int(labels.max()) + 1, width, **options)
    return train(model, images, labels, steps), [parameter.numpy() for parameter in model.parameters()]


def measure(run):
    steps, width = run.pick(2, 10), 32
    pictures, labels = textures(1, 67, [0])
    images = (pictures - pictures.mean(axis=0)) / 64  # float64, the mean image taken away, as in 2012
    images, labels = (array[: run.pick(4, 10)] for array in (images, labels))
    first, second, halves, sent = in_two_processes(images, labels, width, steps)
    whole, weights = in_one_piece(images, labels, width, steps, WITHIN)
    across, _ = in_one_piece(images, labels, width, steps, ACROSS)
    apart = np.abs(np.subtract([first, second], whole)).max(axis=0)
    return {
        "steps": steps,
        "largest_difference_of_losses": apart.max(),
        "largest_difference_of_weights": max(np.abs(a - b).max() for a, b in zip(halves, weights, strict=True)),
        "largest_difference_with_lrn_across": np.abs(np.subtract(across, whole)).max(),
        "bytes_sent_a_step": sum(sent) // steps,
        "exchanges_a_step": len(sent) // steps,
        "curves": {"first": first, "second": second, "whole": whole, "across": np.subtract(across, whole)},
    }


def measured(result):
    return (
        f"After {result['steps']} steps the losses of the two processes and of the network in one piece differ by at "
        f"most {result['largest_difference_of_losses']:.0e}, their weights by "
        f"{result['largest_difference_of_weights']:.0e}; with LRN across the halves by "
        f"{result['largest_difference_with_lrn_across']:.0e}. Each process sends {result['exchanges_a_step']} arrays a "
        f"step, {result['bytes_sent_a_step'] / 1e6:.1f} MB here."
    )


def draw(figure, result):
    loss, difference, border = figure.subplots(1, 3)
    curves, steps = result["curves"], np.arange(1, result["steps"] + 1)
    loss.plot(steps, curves["whole"], color=style.SKY, marker="", linestyle="-", linewidth=6, label="in one piece")
    for name, color, marker in (("first", style.BLUE, "o"), ("second", style.BLACK, "+")):
        label = f"{name} process"
        loss.plot(steps, curves[name], color=color, marker=marker, markersize=8, linestyle="", label=label)
    loss.set(xlabel="step", ylabel="training loss (nats)", title="Training, in one piece and in two")
    loss.legend()

    least = np.finfo(float).eps / 4  # where equal numbers are drawn: a logarithm has no 0
    halves = np.abs(np.subtract([curves["first"], curves["second"]], curves["whole"])).max(axis=0)
    lines = ("LRN sees both halves", curves["across"], style.VERMILION), ("two processes", halves, style.BLUE)
    for (label, values, color), marker in zip(lines, "so", strict=True):
        difference.semilogy(steps, np.maximum(np.abs(values), least), color=color, marker=marker, label=label)
    difference.axhline(1e-10, color="#555555", linestyle=":", marker="", label="the tests' limit")
    difference.set(xlabel="step", ylabel="difference of the loss (nats)", title="How far from the network in one piece")
    difference.legend(loc="upper right", bbox_to_anchor=(1, 0.47))

    looks = {"color": style.GREEN}, {"color": "white", "edgecolor": "#777777", "hatch": "///"}
    for crosses, label, look in zip((True, False), ("crosses", "would cross without groups"), looks, strict=True):
        places = [i for i, name in enumerate(BORDERS) if (name in CROSSED) == crosses]
        border.bar(places, [4 * list(BORDERS.values())[i] / 1024 for i in places], label=label, **look)
    border.set_xticks(range(len(BORDERS)), list(BORDERS), fontsize="small")
    border.set(ylabel="KiB a picture, from each half", title="What crosses before which layer, at 227 pixels")
    border.grid(axis="x", visible=False)
    border.margins(y=0.25)
    for axes in (loss, difference):
        axes.xaxis.get_major_locator().set_params(integer=True)
    border.legend()


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, seeds=1, size=(14, 4.2))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
