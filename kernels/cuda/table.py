"""One launch for all parameters of an optimiser: a kernel that is given tables in place of arrays (chunks.cuh).

tensors[t] = addresses of the parameter, its gradient and what is kept for it (0 for None), number of weights
chunks[b]  = parameter and number of the chunk that thread block b works on
numbers[t] = what is multiplied by

They are found again by the parameters, and lie in the same memory from then on: the chunks are written once, addresses
and numbers where they are others than before (a gradient's memory comes back from the pool in another order). So a
steady step allocates nothing. A CUDA graph has tables of its own: its launch reads what was written to them before the
replay (``CudaGraph.renewing``).
"""

from collections import OrderedDict

import numpy as np

from minicnn.capture import recording, write
from minicnn.kernels.arguments import write_back

from .launch import THREADS, address, contiguous, empty

CHUNK = 8192  # numbers of a thread block: chunks.cuh has it, too
MOST_TABLES = 16  # that are kept


class Tables:
    """Those of one list of parameters, on the GPU."""

    def __init__(self, parameters, columns, width):
        sizes = [w.size for w in parameters]
        counts = [-(-size // CHUNK) for size in sizes]  # chunks of each parameter
        numbers_of_chunks = np.concatenate([np.arange(count) for count in counts])
        chunks = np.column_stack((np.repeat(np.arange(len(counts)), counts), numbers_of_chunks))
        self.blocks, self.sizes, self.addresses, self.rows = sum(counts), np.array(sizes, np.uint64), None, None
        self.tensors = empty(parameters[0], (len(sizes), columns + 1), np.uint64)
        self.chunks = empty(parameters[0], chunks.shape, np.uint32)
        _write(self.chunks, chunks)
        self.numbers = empty(parameters[0], (len(sizes), width))

    def write(self, addresses, rows):
        """Have these addresses and numbers stand in them, where others do. The host waits for nothing."""
        if addresses != self.addresses:
            _write(self.tensors, np.column_stack((np.array(addresses, np.uint64).reshape(len(rows), -1), self.sizes)))
            self.addresses = addresses
        if rows != self.rows:
            _write(self.numbers, rows)
            self.rows = rows


_kept: OrderedDict = OrderedDict()  # Tables by `_key`, those used last at the end


def launch_for_all(kernel, parameters, gradients, kept, rows, loss):
    """``kernel(tensors, chunks, numbers, loss)``, a thread block for each chunk of each parameter.

    kept  lists of arrays, or of None
    rows  a row of numbers for each parameter
    loss  an array (), or None
    """
    given = list(zip(parameters, gradients, *kept, strict=True))
    used = [tuple(map(contiguous, arrays)) for arrays in given]
    key = _key(kernel, used, rows)
    tables = _tables(key, lambda: Tables([arrays[0] for arrays in used], len(used[0]), len(rows[0])))
    tables.write([address(array) for arrays in used for array in arrays], rows)
    if (graph := recording()) and graph.replayed:
        return  # the launch itself is in the graph
    reaches = [array for arrays in used for array in arrays if array is not None]
    loss = None if loss is None else loss.astype(parameters[0].dtype, copy=False)
    kernel[tables.blocks, THREADS](tables.tensors, tables.chunks, tables.numbers, loss, reaches=reaches)
    write_back(given, used)


def _key(kernel, used, rows):
    """What says where a list of parameters lies."""
    if len(rows) != len(used):
        raise ValueError(f"{kernel}: {len(rows)} rows of numbers for {len(used)} parameters")
    return kernel, *((address(arrays[0]), arrays[0].size, arrays[0].dtype.char) for arrays in used)


def _tables(key, make):
    """The tables of these parameters, of the graph that is captured or of those that are kept."""
    if graph := recording():
        kernel, *where = key
        return graph.once(kernel, tuple(where), make)
    tables = _kept[key] = _kept.pop(key, None) or make()
    while len(_kept) > MOST_TABLES:
        _kept.popitem(last=False)
    return tables


def _write(array, values):
    """Values into an array on the GPU: now, or when the graph that is captured runs."""
    graph = recording()
    (write if graph is None else graph.write)(array, np.asarray(values))
