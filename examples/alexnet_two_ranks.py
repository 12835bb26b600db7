"""Train the AlexNet of 2012 on two processes, shared out in one of three ways.

    mpiexec -n 2 python examples/alexnet_two_ranks.py --way data     the network twice, half of each batch on each
    mpiexec -n 2 python examples/alexnet_two_ranks.py --way halves   half of the network on each, as in 2012
    mpiexec -n 2 python examples/alexnet_two_ranks.py --way weird    convolutions as with data, the rest as with halves
    python examples/alexnet_two_ranks.py                             one process, to compare with

It is one network, with the same initial weights and the same dropout, on the same batches: all print the same losses,
until float32's roundings have grown large enough to be seen. What differs is what the processes send each other, and so
how many images a second there are. Pictures are drawn, the first time; --dummy takes noise. Needs the extra [mpi].
Source: Krizhevsky et al., NIPS 2012, section 3.2 (halves); Krizhevsky, arXiv:1404.5997, 2014 (weird).
"""

import argparse
import sys
import time
from statistics import median

from minicnn import cli, data, manual_seed, models, optim, set_precision
from minicnn import functional as F
from minicnn.cli.pictures import RandomPictures
from minicnn.console import say
from minicnn.distributed import DataParallel, world
from minicnn.errors import SettingError
from minicnn.train import exit_code

WARM_UP = 2  # steps that are not timed: in the first, kernels are compiled and memory is asked for


def arguments():
    parser = argparse.ArgumentParser(description="Train the AlexNet of 2012 on two processes.")
    parser.add_argument("--way", choices=("data", "halves", "weird"), default="data", help="what is shared out")
    parser.add_argument("--batch-size", type=cli.whole(1), default=16, help="of both together (default: 16)")
    parser.add_argument("--steps", type=cli.whole(WARM_UP + 1), default=10, help="(default: 10)")
    parser.add_argument("--image-size", type=cli.whole(67), default=227, help="pixels (default: 227)")
    parser.add_argument("--width", type=cli.whole(1), default=4096, help="neurons in fc6 and in fc7 (default: 4096)")
    parser.add_argument("--lr", type=cli.number(0), default=0.001, help="(default: 0.001)")
    parser.add_argument("--dummy", action="store_true", help="noise, of 1,000 classes, instead of drawn pictures")
    cli.add_precision(parser)
    parser.add_argument("--seed", type=cli.whole(0), default=0, help="(default: 0)")
    return parser


def build(way, classes, width):
    """This rank's network, of the same initial weights whatever the way."""
    if way == "halves":
        if world().size == 1:
            raise SettingError("--way halves needs two processes: mpiexec -n 2 python examples/alexnet_two_ranks.py")
        return models.alexnet_2012_split(classes, width=width)
    whole = models.alexnet_2012(classes, width=width)
    return models.split_classifier(whole) if way == "weird" else whole


def train_on_rows(parallel, images, labels):
    """The loss of the whole batch, of which this rank has some rows: data parallelism, of which `weird` is a kind."""
    with parallel.step(len(labels)) as count:  # on all ranks together
        loss = F.cross_entropy(parallel.model(images), labels, reduction="sum") / count
        loss.backward()
        parallel.report(loss.item())
    return parallel.totals[0]  # the sum over ranks


def train_on_all(model, images, labels):
    """The loss of a batch that every rank has, and of which all get the same scores."""
    loss = F.cross_entropy(model(images), labels)
    (loss / world().size).backward()  # it is to count once
    return loss.item()


def count_bytes():
    """A list to which the bytes of each array are added that this rank hands over to be sent."""
    sent = []

    def counting(method):
        def counted(array, *options):
            sent.append(array.nbytes)
            return method(array, *options)

        return counted

    for name in ("sum", "start_sum", "gather", "scatter_sum"):
        setattr(world(), name, counting(getattr(world(), name)))
    return sent


def main(argv=None):
    args = arguments().parse_args(argv)
    set_precision(args.precision)
    manual_seed(args.seed)
    folder = None if args.dummy else world().on_rank_0(data.draw_sample)  # one of them draws
    pictures = RandomPictures(1000, args.seed) if args.dummy else data.ImageFolder(folder / "train")
    size = args.image_size
    crop = data.Compose([data.ResizeShorter(size + 29), data.RandomCrop(size), data.RandomFlip()])
    part = None if args.way == "halves" else world().part  # of each batch
    options = {"shuffle": True, "transform": crop, "num_workers": 1, "drop_last": True, "seed": args.seed}
    loader = data.DataLoader(pictures, args.batch_size, part=part, **options)
    with cli.as_setting_error():
        model = build(args.way, len(pictures.classes), args.width)
    optimizer = optim.SGD(model.parameters(), args.lr, momentum=0.9)
    parallel = DataParallel(model) if part else None
    own = sum(p.size for p in model.parameters()) / 1e6
    say(f"{world().size} x {own:.1f} million parameters, batches of {args.batch_size}")

    sent, seconds, step = count_bytes(), [], 0
    while step < args.steps:
        for images, labels in loader:
            start = time.perf_counter()
            optimizer.zero_grad()
            loss = train_on_rows(parallel, images, labels) if parallel else train_on_all(model, images, labels)
            optimizer.step()
            seconds.append(time.perf_counter() - start)
            step += 1
            say(f"step {step}: loss {loss:.4f}")
            if step == args.steps:
                break
    rate, megabytes = args.batch_size / median(seconds[WARM_UP:]), sum(sent) / step / 1e6
    say(f"{args.way}: {rate:.1f} images/s; each process hands over {megabytes:.1f} MB a step")


if __name__ == "__main__":
    sys.exit(exit_code(main))
