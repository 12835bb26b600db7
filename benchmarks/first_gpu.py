"""Everything worth doing on a GPU that one has for ten minutes, in order of worth: one folder with the GPU's name.

    python benchmarks/first_gpu.py --out DIR --minutes 10     on a machine with an NVIDIA GPU
    python benchmarks/first_gpu.py --out DIR --tiny           a rehearsal: tiny sizes, the emulated GPU if need be

DIR/<GPU>/first_gpu.json and .md, written anew every few seconds: versions; every kernel against float64; training
steps; kernels' times; the project's tests by pytest --gpu (tests_fast.txt); the build gate for this very GPU; PyTorch's
steps, cuBLAS and cuDNN; then the same of the Numba kernels. Each part runs in processes of its own within its share of
the time: one that fails or hangs costs no other. What is missing (pytest, PyTorch, numba-cuda) is named. A rehearsal's
folder is DIR/rehearsal_<GPU>. The exit code is 1 if a kernel is wrong or a test fails, 2 if nothing could be done.
"""

import argparse
import os
import sys

from gpubench import run, sections

from minicnn import cuda
from minicnn.console import complain
from minicnn.device import DeviceError, check_available
from minicnn.emulated import emulating


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    run.add_arguments(parser, out="folder for a folder with the name of the GPU", minutes=10)
    args = parser.parse_args(argv)
    if not 1 <= args.minutes <= 600:
        parser.error(f"--minutes must be 1 to 600, got {args.minutes}")
    if args.tiny and not cuda.is_available():
        os.environ["MINICNN_EMULATE_GPU"] = "1"  # for the processes of all parts
    if emulating() and not args.tiny:
        complain("error: the emulated GPU is too slow for real sizes; unset MINICNN_EMULATE_GPU, or add --tiny")
        return 2
    try:
        check_available("cuda")
    except DeviceError as error:
        complain(f"error: {error}; or rehearse with --tiny")
        return 2
    folder = "rehearsal_" if args.tiny else ""
    return run.run(
        "benchmarks/first_gpu.py", sections.FIRST, args, lambda out, gpu: out / f"{folder}{gpu}" / "first_gpu.json"
    )


if __name__ == "__main__":
    sys.exit(main())
