"""Launches sgd.cu; mirrors minicnn/optim/sgd.py."""

from minicnn.kernels.arguments import check_alike

from .launch import CudaFile
from .table import launch_for_all

cu = CudaFile("sgd.cu")


def sgd_update(parameters, gradients, velocities, settings, loss=None):
    """One step of every parameter, in place on parameters and velocities (None where there is no momentum), unless
    `loss` (), if given, is not finite."""
    check_alike("sgd_update", parameters, gradients, velocities)
    launch_for_all(cu.sgd_update, parameters, gradients, [velocities], settings, loss)
