"""How long a training step takes on 8 to 1,024 GPUs, by a model, beside what others have published.

    python benchmarks/scaling_model.py                                the tables of docs/scale.md
    python benchmarks/scaling_model.py --figure docs/scale.png        and its figure
    python benchmarks/scaling_model.py --json                         all numbers
    python benchmarks/scaling_model.py own --images-per-second 2470 --network resnet50 --batch 256 \\
        --inside "NVLink 3" --between "InfiniBand HDR" --ports 8      a cluster of your own

Nothing is measured here: the model is arithmetic (benchmarks/scaling), its inputs are in benchmarks/scaling/sources.py,
each with its source. It takes a few seconds and says the same every time.
"""

import argparse
import json
from pathlib import Path

from scaling import cases, sources
from scaling.collectives import Cluster, faster, ring, tree
from scaling.figure import draw
from scaling.networks import layers
from scaling.results import GPUS, results
from scaling.step import How, Work, step_seconds
from scaling.tables import fitted, percent, table, tables

from minicnn.cli.arguments import number, whole
from minicnn.console import complain, say

ALGORITHMS = {"faster": faster, "ring": ring, "tree": tree}
NETWORKS = "alexnet", "vgg16", "resnet18", "resnet50", "resnet101", "resnet152", "inception_v3"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON, not as tables")
    parser.add_argument("--figure", type=Path, metavar="PNG", help="draw them, too")
    own = parser.add_subparsers(dest="what", metavar="own").add_parser("own", help="a cluster of your own, alone")
    measured = "of a single GPU, as you have measured it"
    own.add_argument("--images-per-second", type=number(0.001), required=True, metavar="RATE", help=measured)
    own.add_argument("--network", choices=NETWORKS, default="resnet50", help="(default: resnet50)")
    own.add_argument("--batch", type=whole(1), default=128, help="pictures of a GPU in a step (default: 128)")
    own.add_argument("--per-machine", type=whole(1), default=8, help="GPUs of a machine (default: 8)")
    own.add_argument("--inside", choices=sources.INSIDE, default="NVLink 3", help="of a machine (default: NVLink 3)")
    between = "between machines (default: InfiniBand HDR)"
    own.add_argument("--between", choices=sources.RATES, default="InfiniBand HDR", metavar="NETWORK", help=between)
    own.add_argument("--ports", type=whole(1), default=1, help="of a machine to that network (default: 1)")
    own.add_argument("--algorithm", choices=ALGORITHMS, default="faster", help="of the sums (default: the faster one)")
    own.add_argument("--send", choices=("float32", "bfloat16"), default="float32", help="(default: float32)")
    own.add_argument("--no-overlap", action="store_true", help="sum after backward, not while it goes on")
    own.add_argument("--jitter", type=number(0, 1), help="of a machine, as a part of a step (default: as fitted)")
    args = parser.parse_args()
    if args.what == "own":
        if args.json or args.figure:
            parser.error("a cluster of your own is a table alone: leave --json and --figure away")
        say(cluster_of_your_own(args))
        return
    found = results()
    say(json.dumps(found, indent=1) if args.json else "\n\n".join([fitted(found), *tables(found)]))
    if args.figure:
        args.figure.parent.mkdir(parents=True, exist_ok=True)
        draw(found, args.figure)
        complain(f"figure: {args.figure}")


def cluster_of_your_own(args):
    """Its table, by numbers of GPUs."""
    cluster = Cluster(args.per_machine, sources.INSIDE[args.inside], sources.network(args.between, args.ports))
    jitter = cases.fitted()[1] if args.jitter is None else args.jitter
    how = How(ALGORITHMS[args.algorithm], overlap=not args.no_overlap, jitter=jitter)
    how = how._replace(bytes_sent={"float32": 4, "bfloat16": 2}[args.send])
    work = Work.of(layers(args.network), args.batch / args.images_per_second)
    gpus = sorted({1, args.per_machine, *GPUS})
    times = [step_seconds(work, cluster, n, how) for n in gpus]
    rows = [
        ["a step", *(f"{1000 * time:.1f} ms" for time in times)],
        ["efficiency", *(percent(work.seconds / time) for time in times)],
        ["images/s", *(f"{n * args.batch / time:,.0f}" for n, time in zip(gpus, times, strict=True))],
    ]
    return table([f"{args.network}, batch {args.batch}", *(f"{n:,}" for n in gpus)], rows)


if __name__ == "__main__":
    main()
