"""Layers and networks: a Module for each op, named as in ``torch.nn``."""

from typing import TYPE_CHECKING

from ..absent import absent
from . import functional, init, utils
from .containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from .layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Dropout,
    Flatten,
    Identity,
    LeakyReLU,
    LocalResponseNorm,
    LogSoftmax,
    MaxPool2d,
    ReLU,
    ReLU6,
    Sigmoid,
    Softmax,
    Tanh,
    Upsample,
    ZeroPad2d,
)
from .losses import CrossEntropyLoss, L1Loss, MSELoss, NLLLoss, SmoothL1Loss
from .module import Module
from .parallel import AllGather, AllReduce, ReduceScatter, SyncBatchNorm
from .parameter import Parameter
from .split import SplitLinear, gather_state, split_state
from .watch import input_of, output_of, watch
from .weighted import Conv2d, ConvTranspose2d, Linear

__all__ = [
    "AdaptiveAvgPool2d", "AllGather", "AllReduce", "AvgPool2d", "BatchNorm2d", "Conv2d", "ConvTranspose2d",
    "CrossEntropyLoss", "Dropout", "Flatten", "Identity", "L1Loss", "LeakyReLU", "Linear", "LocalResponseNorm",
    "LogSoftmax", "MSELoss", "MaxPool2d", "Module", "ModuleDict", "ModuleList", "NLLLoss", "Parameter",
    "ParameterDict", "ParameterList", "ReLU", "ReLU6", "ReduceScatter", "Sequential", "Sigmoid", "SmoothL1Loss",
    "Softmax", "SplitLinear", "SyncBatchNorm", "Tanh", "Upsample", "ZeroPad2d", "functional", "gather_state", "init",
    "input_of", "output_of", "split_state", "utils", "watch",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name):
        raise absent("nn", name)
