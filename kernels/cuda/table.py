"""One launch for all parameters of an optimiser: a kernel that is given tables in place of arrays (chunks.cuh).

tensors[t] = addresses of the parameter, its gradient and what is kept for it (0 for None), number of weights
chunks[b]  = parameter and number of the chunk that thread block b works on
numbers[t] = what is multiplied by

They are found again by the parameters, and lie in the same memory from then on: the chunks are written once, addresses
and numbers where they are others than before (a gradient's memory comes back from the pool in another order). So a
steady step allocates nothing, and a launch that a CUDA graph has captured reads what ``renew_for_all`` writes there.
"""

from collections import OrderedDict

import numpy as np

from minicnn.device import array_module, to_device
from minicnn.emulated import EmulatedArray
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
        self.chunks = to_device(chunks.astype(np.uint32), "cuda")
        self.numbers = empty(parameters[0], (len(sizes), width))

    def write(self, addresses, rows):
        """Have these addresses and numbers stand in them, where others do. The host waits for nothing."""
        if addresses != self.addresses:
            _put(self.tensors, np.column_stack((np.array(addresses, np.uint64).reshape(len(rows), -1), self.sizes)))
            self.addresses = addresses
        if rows != self.rows:
            _put(self.numbers, np.array(rows, self.numbers.dtype))
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
    tables = _kept.pop(key, None) or Tables([arrays[0] for arrays in used], len(used[0]), len(rows[0]))
    tables.write(_addresses(used), rows)
    _kept[key] = tables
    while len(_kept) > MOST_TABLES:
        _kept.popitem(last=False)
    reaches = [array for arrays in used for array in arrays if array is not None]
    loss = None if loss is None else loss.astype(parameters[0].dtype, copy=False)
    kernel[tables.blocks, THREADS](tables.tensors, tables.chunks, tables.numbers, loss, reaches=reaches)
    write_back(given, used)


def renew_for_all(kernel, parameters, gradients, kept, rows):
    """What ``launch_for_all`` would write into the tables, where a captured launch reads them; nothing is run.

    ValueError if there are none for these parameters any more.
    """
    arrays = list(zip(parameters, gradients, *kept, strict=True))
    key = _key(kernel, arrays, rows)
    if key not in _kept:
        raise ValueError(f"{kernel}: the tables of these parameters are gone; capture the step once more")
    _kept[key].write(_addresses(arrays), rows)
    _kept.move_to_end(key)


def _key(kernel, used, rows):
    """What says where a list of parameters lies."""
    if len(rows) != len(used):
        raise ValueError(f"{kernel}: {len(rows)} rows of numbers for {len(used)} parameters")
    return kernel, *((address(arrays[0]), arrays[0].size, arrays[0].dtype.char) for arrays in used)


def _addresses(used):
    return [address(array) for arrays in used for array in arrays]


def _put(array, values):
    """Write the host's values into an array on the GPU."""
    if isinstance(array, EmulatedArray):
        array.view(np.ndarray)[...] = values
    else:
        array.set(values, stream=array_module(array).cuda.get_current_stream())
