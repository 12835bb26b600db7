"""Every op by the name and the arguments that ``torch.nn.functional`` gives it.

import minicnn.functional as F
y = F.relu(F.conv2d(x, weight, bias, padding=1))
"""

from typing import TYPE_CHECKING

from .absent import absent
from .ops.activation import leaky_relu, relu, relu6, sigmoid, tanh
from .ops.adaptive_avg_pool import adaptive_avg_pool2d
from .ops.all_gather import all_gather
from .ops.all_reduce import all_reduce
from .ops.arithmetic import residual_add
from .ops.avg_pool import avg_pool2d
from .ops.batchnorm import batch_norm, batch_norm_relu
from .ops.conv import conv2d
from .ops.conv_relu import conv2d_relu
from .ops.conv_transpose import conv_transpose2d
from .ops.cross_entropy import cross_entropy
from .ops.dropout import dropout
from .ops.interpolate import interpolate
from .ops.linear import linear
from .ops.lrn import local_response_norm
from .ops.max_pool import max_pool2d
from .ops.mse_loss import mse_loss
from .ops.nll_loss import nll_loss
from .ops.pad import pad
from .ops.reduce_scatter import reduce_scatter
from .ops.shape import flatten
from .ops.smooth_l1_loss import l1_loss, smooth_l1_loss
from .ops.softmax import log_softmax, softmax
from .ops.sync_batchnorm import sync_batch_norm

__all__ = [
    "adaptive_avg_pool2d", "all_gather", "all_reduce", "avg_pool2d", "batch_norm", "batch_norm_relu", "conv2d",
    "conv2d_relu", "conv_transpose2d", "cross_entropy", "dropout", "flatten", "interpolate", "l1_loss", "leaky_relu",
    "linear", "local_response_norm", "log_softmax", "max_pool2d", "mse_loss", "nll_loss", "pad", "reduce_scatter",
    "relu", "relu6", "residual_add", "sigmoid", "smooth_l1_loss", "softmax", "sync_batch_norm", "tanh",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name):
        raise absent("F", name)
