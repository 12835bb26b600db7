"""One launch for all parameters of an optimiser: a kernel that is given a table of addresses in place of arrays.

tensors[t] = addresses of the parameter, its gradient and what is kept for it (0 for None), number of weights
numbers[t] = what is multiplied by
"""

import numpy as np

from minicnn.device import to_device
from minicnn.kernels.arguments import write_back

from .launch import THREADS, address, blocks, contiguous

MOST_BLOCKS = 1024  # for one parameter


def launch_for_all(kernel, parameters, gradients, kept, numbers, loss):
    """``kernel(tensors, numbers, loss)``: row t of the grid has parameter t.

    kept     lists of arrays, or of None
    numbers  a row for each parameter
    loss     an array (), or None
    """
    if len(numbers) != len(parameters):
        raise ValueError(f"{kernel}: {len(numbers)} rows of numbers for {len(parameters)} parameters")
    given = list(zip(parameters, gradients, *kept, strict=True))
    used = [tuple(map(contiguous, arrays)) for arrays in given]
    tensors = np.array([(*map(address, arrays), arrays[0].size) for arrays in used], np.uint64)
    tables = tensors, np.array(numbers, parameters[0].dtype)
    grid = min(blocks(max(w.size for w in parameters)), MOST_BLOCKS), len(parameters)
    reaches = [array for arrays in used for array in arrays if array is not None]
    loss = None if loss is None else loss.astype(parameters[0].dtype, copy=False)
    kernel[grid, THREADS](*(to_device(table, "cuda") for table in tables), loss, reaches=reaches)
    write_back(given, used)
