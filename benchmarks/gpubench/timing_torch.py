"""cuBLAS and cuDNN, through PyTorch, on the sizes of our products and convolutions.

In strict float32 (TF32 off, as our kernels that do not say otherwise), in TF32 and in bfloat16, in both memory layouts
where there is a choice; cuDNN tries its algorithms first (torch.backends.cudnn.benchmark).
"""

import functools

import numpy as np

from .cases import Source
from .clock import Clock, NoClock, TorchEvents
from .settings import require_torch
from .sizes import LISTS
from .timing import SECONDS

PRECISIONS = "fp32", "TF32", "bf16"


def items(settings):
    """(name, function) of each measurement."""
    torch = require_torch(settings)
    torch.backends.cudnn.benchmark = True
    clock, device = (NoClock(), "cpu") if settings.emulated else (Clock(TorchEvents()), "cuda")
    cases = [case for case in LISTS["tiny" if settings.tiny else "timed"]() if case.operations and not case.rung]
    products = next(case for case in LISTS["tiny" if settings.tiny else "timed"]() if case.op.startswith("matmul"))
    return [
        (f"{case.like}, {layout}, {precision}", functools.partial(measure, clock, case, layout, precision, device))
        for case in [products._replace(rung=()), *cases]
        for layout in (("NCHW", "channels-last") if "conv" in case.op else ("rows",))
        for precision in PRECISIONS
    ]


def set_tf32(torch, on):
    """The two flags, which have different defaults. Returns them as they now are."""
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on
    now = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    return dict(zip(("matmul.allow_tf32", "cudnn.allow_tf32"), now, strict=True))


def measure(clock, case, layout, precision, device):
    """The raw times of PyTorch's function for one case."""
    import torch

    flags = set_tf32(torch, precision == "TF32")
    given = arguments(case, layout, "bfloat16" if precision == "bf16" else "float32", device)
    sampled = clock.samples(functools.partial(TWINS[case.op], torch, *given), SECONDS)
    described = {"like": case.like, "layout": layout, "precision": precision, "flags": flags}
    return {**described, **sampled._asdict(), "operations": case.operations}


@functools.lru_cache(maxsize=1)
def arguments(case, layout, dtype, device):
    """The case's, as PyTorch's tensors."""
    import torch

    memory = torch.channels_last if layout == "channels-last" else torch.contiguous_format

    def move(array):
        tensor = torch.from_numpy(array).to(device, getattr(torch, dtype))
        return tensor.to(memory_format=memory) if tensor.ndim == 4 else tensor

    return case.make(Source(np.float32, move))


def _conv(torch, x, weight, bias, stride, padding, dilation, groups):
    return torch.nn.functional.conv2d(x, weight, bias, stride, _before(padding), dilation, groups)


def _conv_grad_x(torch, grad_out, x_shape, weight, stride, padding, dilation, groups):
    return torch.nn.grad.conv2d_input(x_shape, weight, grad_out, stride, _before(padding), dilation, groups)


def _conv_grad_weight(torch, grad_out, x, weight_shape, stride, padding, dilation, groups):
    return torch.nn.grad.conv2d_weight(x, weight_shape, grad_out, stride, _before(padding), dilation, groups)


def _before(padding):
    """(top, left), which PyTorch takes for (bottom, right) too: so the cases that are timed pad alike on both sides."""
    return tuple(before for before, _ in padding)


TWINS = {
    "product": lambda torch, a, b: a @ b,
    "linear_forward": lambda torch, x, weight, bias: torch.nn.functional.linear(x, weight, bias),
    "linear_grad_x": lambda torch, grad_out, weight: grad_out @ weight,
    "linear_grad_weight": lambda torch, grad_out, x: grad_out.T @ x,
    "conv2d_forward": _conv,
    "conv2d_grad_x": _conv_grad_x,
    "conv2d_grad_weight": _conv_grad_weight,
}
