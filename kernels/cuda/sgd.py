"""Launches sgd.cu; mirrors minicnn/optim/sgd.py."""

import numpy as np

from minicnn.device import to_device
from minicnn.kernels.arguments import check_alike

from .launch import THREADS, CudaFile, address, blocks, contiguous

cu = CudaFile("sgd.cu")
MOST_BLOCKS = 1024  # for one parameter


def sgd_update(parameters, gradients, velocities, settings):
    """One step of every parameter, in place on parameters and velocities (None where there is no momentum)."""
    check_alike("sgd_update", parameters, gradients, velocities)
    if len(settings) != len(parameters):
        raise ValueError(f"sgd_update: {len(settings)} rows of settings for {len(parameters)} parameters")
    given = list(zip(parameters, gradients, velocities, strict=True))
    arrays = [tuple(map(contiguous, each)) for each in given]
    tensors = np.array([(*map(address, each), each[0].size) for each in arrays], np.uint64)
    tables = tensors, np.array(settings, parameters[0].dtype)
    grid = min(blocks(max(w.size for w in parameters)), MOST_BLOCKS), len(parameters)
    reaches = [array for each in arrays for array in each if array is not None]
    cu.sgd_update[grid, THREADS](*(to_device(table, "cuda") for table in tables), reaches=reaches)
    for each, used in zip(given, arrays, strict=True):
        for array, updated in zip(each, used, strict=True):
            if updated is not array:  # it had gaps: the update was done on a copy
                array[...] = updated
