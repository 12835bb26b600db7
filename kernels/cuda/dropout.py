"""Launches dropout.cu; mirrors minicnn/ops/dropout.py."""

from minicnn.capture import recording
from minicnn.kernels.arguments import filled, takes_bfloat16

from .elementwise import grid
from .launch import THREADS, CudaFile

cu = CudaFile("dropout.cu")


@takes_bfloat16
def dropout_forward(x, p, key, call, start, out):
    """y = x * mask / (1 - p), written into `out` if that is not None; x[0] gets number `start` of the stream."""
    graph = recording()  # each replay draws other numbers: how many calls were before them lies in the GPU's memory
    calls_before = None if graph is None else graph.calls
    numbers = p, 0 if p == 1 else 1 / (1 - p), key, call, calls_before, start
    return filled(out, x, lambda y: cu.dropout_forward[grid(x), THREADS](x, y, x.size, *numbers))
