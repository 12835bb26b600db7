"""Every kernel's time on the large sizes, in float32, and that of a plain copy, which says what memory can do.

And cuBLAS and cuDNN, through PyTorch, on the sizes of our products and convolutions: in strict float32 (TF32 off, as
our kernels that do not say otherwise), in TF32 and in bfloat16, in both memory layouts where there is a choice.
"""

from functools import partial

import numpy as np

from minicnn.device import array_module, to_device

from .case import arrays_of, normal, outcome
from .clock import our_kernels, pytorch
from .sizes import LISTS

SECONDS = 0.2  # for each case
COPY = 1 << 28  # numbers of float32: 1 GiB, read and written
on_device = partial(to_device, device="cuda")
PRECISIONS = {"fp32": "float32", "TF32": "float32", "bf16": "bfloat16"}  # {name: dtype of the arrays}


def items(language, tiny):
    """(name, function) of each measurement; the functions return {"ms": [...], "bytes", "operations", ...}."""
    clock = our_kernels(language)
    copies = [("copy", partial(copy, clock, 1000 if tiny else COPY))] * (language == "fast")
    return copies + [
        (case.name, partial(measure, clock, case, language))
        for case in LISTS["tiny" if tiny else "timed"]()
        if language == "fast" or case.kernel is None
    ]


def copy(clock, numbers):
    """A copy from one array into another, by the array library."""
    source = on_device(normal(numbers)(np.random.default_rng(0)))
    library = array_module(source)
    target = library.empty_like(source)
    times = clock.samples(partial(library.copyto, target, source), SECONDS)
    return {**times, "bytes": 2 * source.nbytes, "operations": 0}


def measure(clock, case, language):
    """The raw times of one case, and what it reads, writes and works out."""
    run, made = case.function(language), case.make(on_device)
    arguments = made.values()
    size = least_bytes(case, made, run(*arguments))
    times = clock.samples(lambda: run(*arguments), SECONDS)
    return {"like": case.like, **times, "bytes": size, "operations": case.operations}


def least_bytes(case, made, result):
    """The fewest that must be moved: each input read once, each result written once."""
    read = [value for name, value in made.items() if name not in case.values.get("unread", ())]
    return sum({id(a): a.nbytes for a in arrays_of(read)}.values()) + sum(a.nbytes for a in outcome(result, made))


TWINS = {  # PyTorch's functions, {name of ours: one that does the same}
    "product": lambda torch, a, b: a @ b,
    "product_by_transposed": lambda torch, a, b: a @ b.T,
    "product_of_transposed": lambda torch, a, b: a.T @ b,
    "linear_forward": lambda torch, *given: torch.nn.functional.linear(*given),
    "linear_grad_x": lambda torch, grad_out, weight: grad_out @ weight,
    "linear_grad_weight": lambda torch, grad_out, x: grad_out.T @ x,
    "conv2d_forward": lambda torch, *given: torch.nn.functional.conv2d(*given),
    "conv2d_relu_forward": lambda torch, *given: torch.nn.functional.conv2d(*given[:-1]).add_(given[-1]).relu_(),
    "conv2d_grad_x": lambda torch, grad, shape, weight, *rest: torch.nn.grad.conv2d_input(shape, weight, grad, *rest),
    "conv_transpose2d_forward": lambda torch, x, weight, bias, out_size, stride, padding, dilation, groups: (
        torch.nn.functional.conv_transpose2d(x, weight, bias, stride, padding, 0, groups, dilation)
    ),
    "conv2d_grad_weight": lambda torch, grad, x, shape, *rest: torch.nn.grad.conv2d_weight(x, shape, grad, *rest),
}


def items_of_torch(tiny):
    """(name, function) of each measurement."""
    torch, device, clock = pytorch()
    products = [c for c in LISTS["tiny" if tiny else "timed"]() if c.operations]
    found = {c.like: c._replace(narrow=False) for c in products}  # each product once; PyTorch rounds for itself
    return [
        (f"{name}, {layout}, {precision}", partial(measure_torch, torch, device, clock, case, layout, precision))
        for name, case in found.items()
        for layout in (("NCHW", "channels-last") if "conv" in name else ("rows",))
        for precision in PRECISIONS
    ]


def set_tf32(torch, on):
    """The two flags, which have different defaults. Returns them as they now are."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    matmul.allow_tf32 = cudnn.allow_tf32 = on
    return {"matmul.allow_tf32": matmul.allow_tf32, "cudnn.allow_tf32": cudnn.allow_tf32}


def measure_torch(torch, device, clock, case, layout, precision):
    """The raw times of PyTorch's function for one case."""
    flags = set_tf32(torch, precision == "TF32")
    arguments = arguments_for_torch(torch, device, case, layout, PRECISIONS[precision])
    times = clock.samples(partial(TWINS[case.reference.__name__], torch, *arguments), SECONDS)
    described = {"like": case.like, "layout": layout, "precision": precision, "flags": flags}
    return {**described, **times, "operations": case.operations}


def arguments_for_torch(torch, device, case, layout, dtype):
    """The case's, as PyTorch's tensors. What PyTorch takes as padding is (top, left), for (bottom, right) too."""
    order = torch.channels_last if layout == "channels-last" else torch.contiguous_format

    def move(array):
        tensor = torch.from_numpy(array).to(device, getattr(torch, dtype))
        return tensor.to(memory_format=order) if tensor.ndim == 4 else tensor

    made = case.make(move)
    if "padding" in made:
        made["padding"] = tuple(before for before, _ in made["padding"])
    return made.values()
