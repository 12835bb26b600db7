"""How long a training step would take on a GPU: predicted, from what is counted without one. Nothing is measured here.

    python benchmarks/predict.py --network resnet50 --batch 256 --precision bfloat16 --gpu H100
    python benchmarks/predict.py --network alexnet --batch 128 --gpu T4 --json
    python benchmarks/predict.py --out benchmarks/results/gpu_model      after a change: after.json
    python benchmarks/predict.py --count benchmarks/results/gpu_model    after a change of kernels: kernels.json; long
    python benchmarks/predict.py --document                              tables of docs/gpu.md; docs/gpu-kernels.md

A step (zero_grad, forward, cross-entropy, backward, SGD with momentum) is run on the emulated GPU without executing its
kernels: so each launch is known, with its grid and the bytes of its arrays. Its time is that of the resource that it
needs longest (benchmarks/gpumodel/model.py). What a kernel needs of them comes from kernels.json: sectors, wavefronts
and operations from the profiler (docs/profiler.md), instructions of its main loop from NVIDIA's compilers (--count).

The model knows no latency, no barriers, no time to fill a pipeline, and no cache that keeps something from one kernel
to the next. Where there is a GPU, measure instead: python benchmarks/gpu.py
"""

import argparse
import json
import os
from pathlib import Path

from minicnn.cli.arguments import whole
from minicnn.console import complain, say
from minicnn.device import KernelError

RESULTS = Path(__file__).parent / "results" / "gpu_model"


def main():
    os.environ["MINICNN_EMULATE_GPU"] = "1"
    from gpumodel import document, tables
    from gpumodel.launches import NETWORKS

    explained, _, more = __doc__.partition("A step (")
    parser = argparse.ArgumentParser(
        description=explained, epilog="A step (" + more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=NETWORKS, default="resnet50", help="(default: resnet50)")
    parser.add_argument("--batch", type=whole(1), default=256, help="pictures of a step (default: 256)")
    parser.add_argument("--precision", choices=tables.PRECISIONS, default="float32", help="(default: float32)")
    parser.add_argument("--gpu", default="H100", help="python -m minicnn.kernels.profile --list names them")
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write after.json: the networks of docs/gpu.md")
    parser.add_argument("--count", type=Path, metavar="FOLDER", help="write kernels.json")
    parser.add_argument(
        "--document", action="store_true", help="print the section of docs/gpu.md, write gpu-kernels.md"
    )
    args = parser.parse_args()
    try:
        if args.count:
            count(args.count)
        elif args.out:
            write_after(args.out)
        elif args.document:
            say(document.section(*map(_read, ("before", "after", "kernels", "host"))))
            document.PAGE.write_text(document.page(_read("before"), _read("kernels")), encoding="utf-8")
        else:
            predict_one(args)
    except (KernelError, OSError) as error:
        parser.exit(1, f"error: {error}\n")


def predict_one(args):
    from gpumodel import tables

    found = predicted(args.network, args.batch, args.precision, [args.gpu])[0]
    host = _read("host")["after"].get(f"{args.network} {args.precision}")
    say(json.dumps(found, indent=1) if args.json else tables.printed(found, host and host["milliseconds"]))


def predicted(network, batch, precision, gpus):
    """The summaries of a step on each of these GPUs."""
    from gpumodel import tables
    from gpumodel.launches import collect

    from minicnn.kernels.cuda.profiler import peaks

    on = [peaks.gpu(name) for name in gpus]
    if precision == "bfloat16" and (old := [gpu.name for gpu in on if gpu.capability < 80]):
        raise KernelError(f"the {', '.join(old)} has no tensor cores for bfloat16: --precision float32")
    step, kernels = collect(network, batch, precision), _read("kernels")["kernels"]
    return [tables.summary(step, kernels, gpu) for gpu in on]


def write_after(folder):
    from gpumodel import tables

    steps = {}
    for network, batch in tables.CASES:
        for precision in tables.PRECISIONS:
            gpus = [gpu for gpu in tables.GPUS if precision == "float32" or gpu != "T4"]
            steps |= {tables.name(found): found for found in predicted(network, batch, precision, gpus)}
    how = "python benchmarks/predict.py --out FOLDER; predicted, not measured"
    (folder / "after.json").write_text(json.dumps({"how": how, "steps": steps}, indent=1) + "\n", encoding="utf-8")


def count(folder):
    from gpumodel.counts import count as count_into

    complain("every kernel is emulated, and compiled three times: some ten minutes")
    count_into(folder / "kernels.json")


def _read(name):
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
