"""A layer for each loss: a network's last step, with its settings. Names and arguments are PyTorch's."""

from typing import Any

from .. import functional as F
from ..settings import ANY, one_of, real, whole
from ..tensor import Tensor
from .module import Module

REDUCTIONS = ("mean", "sum", "none")


class NLLLoss(Module):
    """``F.nll_loss`` of log-probabilities and integer labels. weight, of each class: None, or a buffer (C,)."""

    def __init__(self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__()
        self.register_buffer("weight", weight if weight is None or isinstance(weight, Tensor) else Tensor(weight))
        self.ignore_index = whole(self, "ignore_index", ignore_index, at_least=ANY)
        self.reduction = one_of(self, "reduction", reduction, REDUCTIONS)

    def forward(self, input, target):
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(NLLLoss):
    """``F.cross_entropy`` of scores and integer labels, or probabilities. weight, of each class: None or a buffer."""

    def __init__(
        self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction)
        self.label_smoothing = real(self, "label_smoothing", label_smoothing, at_least=0, at_most=1)

    def forward(self, input, target):
        options = {"ignore_index": self.ignore_index, "reduction": self.reduction}
        return F.cross_entropy(input, target, self.weight, **options, label_smoothing=self.label_smoothing)


class MSELoss(Module):
    """``F.mse_loss`` of two Tensors of one shape."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = one_of(self, "reduction", reduction, REDUCTIONS)

    def forward(self, input, target):
        return F.mse_loss(input, target, self.reduction)


class L1Loss(Module):
    """``F.l1_loss`` of two Tensors of one shape."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = one_of(self, "reduction", reduction, REDUCTIONS)

    def forward(self, input, target):
        return F.l1_loss(input, target, self.reduction)


class SmoothL1Loss(Module):
    """``F.smooth_l1_loss`` of two Tensors of one shape."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__()
        self.reduction = one_of(self, "reduction", reduction, REDUCTIONS)
        self.beta = real(self, "beta", beta, at_least=0)

    def forward(self, input, target):
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)
