"""Every GPU kernel checked and timed, and whole training steps beside PyTorch's: one JSON file and one table.

    python benchmarks/gpu.py --out DIR                                  on a machine with an NVIDIA GPU
    MINICNN_EMULATE_GPU=1 python benchmarks/gpu.py --out DIR --tiny     without one: all of it runs, nothing is timed

It ends within --minutes (8): what is worth most comes first, and what there was no time for is named. CuPy is needed
for our kernels, numba-cuda for the plain tier's, PyTorch and torchvision for the comparison; what is missing is named,
and the rest is done. The files are written anew every few seconds. The exit code is 1 if a kernel is wrong or fails, 2
if nothing could be measured. For a GPU that one has for ten minutes, once: first_gpu.py.
"""

import argparse
import sys

from gpubench import run, sections

from minicnn.console import complain
from minicnn.emulated import emulating


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    run.add_arguments(parser, out="folder for gpu_<name of the GPU>.json and .md", minutes=8)
    parser.add_argument("--sections", nargs="+", choices=sections.SECTIONS, help="only these, in this order")
    args = parser.parse_args(argv)
    if not 0.5 <= args.minutes <= 600:
        parser.error(f"--minutes must be 0.5 to 600, got {args.minutes}")
    if emulating() and not args.tiny:
        complain("error: the emulated GPU is too slow for real sizes; add --tiny")
        return 2
    ending = "_rehearsal" if args.tiny and not emulating() else ""
    names = args.sections or sections.MEASUREMENTS
    return run.run("benchmarks/gpu.py", names, args, lambda out, gpu: out / f"gpu_{gpu}{ending}.json")


if __name__ == "__main__":
    sys.exit(main())
