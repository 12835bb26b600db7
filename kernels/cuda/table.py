"""One launch for all parameters of an optimiser: a kernel that is given tables in place of arrays (chunks.cuh).

tensors[t] = addresses of the parameter, its gradient and what is kept for it (0 for None), number of weights
chunks[b]  = parameter and number of the chunk that thread block b works on
numbers[t] = what is multiplied by

The first two say nothing but what addresses and sizes say, by which they are found again: in a steady step, where
memory comes back from the pool, nothing is allocated, and nothing copied but new numbers, to where the old ones lie.
"""

from collections import OrderedDict

import numpy as np

from minicnn.device import array_module, to_device
from minicnn.emulated import EmulatedArray
from minicnn.kernels.arguments import write_back

from .launch import THREADS, address, contiguous

CHUNK = 8192  # numbers of a thread block: chunks.cuh has it, too
MOST_TABLES = 16  # that are kept


class Tables:
    """Those of one set of arrays, on the GPU."""

    def __init__(self, addresses, sizes, rows, dtype):
        counts = [-(-size // CHUNK) for size in sizes]  # chunks of each parameter
        self.blocks, self.rows = sum(counts), rows
        tensors = np.column_stack((np.array(addresses, np.uint64).reshape(len(sizes), -1), np.array(sizes, np.uint64)))
        numbers_of_chunks = np.concatenate([np.arange(count) for count in counts])
        chunks = np.column_stack((np.repeat(np.arange(len(counts)), counts), numbers_of_chunks))
        self.tensors, self.chunks = to_device(tensors, "cuda"), to_device(chunks.astype(np.uint32), "cuda")
        self.numbers = to_device(np.array(rows, dtype), "cuda")

    def renew(self, rows):
        """Write other numbers to where the old ones lie. The host waits for nothing."""
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
    key, addresses, sizes = _key(kernel, used, rows)
    tables = _kept.pop(key, None)
    reaches = ()  # looked at once; the emulator must know them each time
    if tables is None or isinstance(parameters[0], EmulatedArray):
        reaches = [array for arrays in used for array in arrays if array is not None]
    if tables is None:
        tables = Tables(addresses, sizes, rows, parameters[0].dtype)
    else:
        tables.renew(rows)
    loss = None if loss is None else loss.astype(parameters[0].dtype, copy=False)
    kernel[tables.blocks, THREADS](tables.tensors, tables.chunks, tables.numbers, loss, reaches=reaches)
    _kept[key] = tables  # now that the launch has found the arrays right
    while len(_kept) > MOST_TABLES:
        _kept.popitem(last=False)
    write_back(given, used)


def renew_for_all(kernel, parameters, gradients, kept, rows):
    """New numbers for the launch that ``launch_for_all`` has left in a CUDA graph with these arrays; nothing is run.

    ValueError if there is none.
    """
    key, _, _ = _key(kernel, list(zip(parameters, gradients, *kept, strict=True)), rows)
    if key not in _kept:
        raise ValueError(f"{kernel}: no launch with these arrays has left a table; capture the step once more")
    _kept[key].renew(rows)
    _kept.move_to_end(key)


def _key(kernel, used, rows):
    """(what says all that stands in the tables but numbers; the arrays' addresses; the parameters' sizes)."""
    if len(rows) != len(used):
        raise ValueError(f"{kernel}: {len(rows)} rows of numbers for {len(used)} parameters")
    addresses = [address(array) for arrays in used for array in arrays]
    sizes = [arrays[0].size for arrays in used]
    dtypes = {arrays[0].dtype for arrays in used}  # one, or the launch refuses them
    return (kernel, frozenset(dtypes), *sizes, *addresses), addresses, sizes


def _put(array, values):
    """Write the host's values into an array on the GPU."""
    if isinstance(array, EmulatedArray):
        array.view(np.ndarray)[...] = values
    else:
        array.set(values, stream=array_module(array).cuda.get_current_stream())
