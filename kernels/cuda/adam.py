"""Launches adam.cu; mirrors minicnn/optim/adam.py."""

from minicnn.kernels.adam_numbers import adam_numbers
from minicnn.kernels.arguments import check_alike

from .launch import CudaFile
from .table import launch_for_all

cu = CudaFile("adam.cu")


def adam_update(parameters, gradients, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, settings, loss=None):
    """One step of every parameter, in place on all but the gradients (max_exp_avg_sqs: None without amsgrad),
    unless `loss` (), if given, is not finite."""
    kept = exp_avgs, exp_avg_sqs, max_exp_avg_sqs
    check_alike("adam_update", parameters, gradients, *kept)
    launch_for_all(cu.adam_update, parameters, gradients, kept, [adam_numbers(*row) for row in settings], loss)
