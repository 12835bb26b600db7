"""Every kernel's time on the large sizes, in float32, and that of a plain copy, which says what memory can do.

And cuBLAS and cuDNN, through PyTorch, on the sizes of our products and convolutions: in strict float32 (TF32 off, as
our kernels that do not say otherwise), in TF32 and in bfloat16, in both memory layouts where there is a choice.
"""

import functools
from dataclasses import replace

import numpy as np

from minicnn.device import array_module, to_device

from .cases import arrays_of, normal
from .checking import kernel_of
from .libraries import our_kernels, pytorch
from .sizes import listed

SECONDS = 0.2  # for each case
COPY = 1 << 28  # numbers of float32: 1 GiB, read and written
PRECISIONS = "fp32", "TF32", "bf16"
TWINS = {
    "product": lambda torch, a, b: a @ b,
    "linear_forward": lambda torch, *given: torch.nn.functional.linear(*given),
    "linear_grad_x": lambda torch, grad_out, weight: grad_out @ weight,
    "linear_grad_weight": lambda torch, grad_out, x: grad_out.T @ x,
    "conv2d_forward": lambda torch, *given: torch.nn.functional.conv2d(*given),
    "conv2d_grad_x": lambda torch, grad_out, shape, weight, *given: torch.nn.grad.conv2d_input(
        shape, weight, grad_out, *given
    ),
    "conv2d_grad_weight": lambda torch, grad_out, x, shape, *given: torch.nn.grad.conv2d_weight(
        x, shape, grad_out, *given
    ),
}


def items(tiny, language):
    """(name, function) of each measurement; the functions return {"ms": [...], "bytes", "operations", ...}."""
    clock, cases = our_kernels(language), listed(tiny, "timed")
    copies = [("copy", functools.partial(copy, clock, 1000 if tiny else COPY))] * (language == "fast")
    each = [case for case in cases if language == "fast" or not case.rung]
    return copies + [(case.name, functools.partial(measure, clock, case, language)) for case in each]


def on_device(array):
    return to_device(array, "cuda")


def copy(clock, size):
    """A copy from one array into another, by the array library; at most an eighth of the free memory each."""
    library = array_module(to_device(np.zeros(1), "cuda"))
    if library is not np:
        size = min(size, library.cuda.Device().mem_info[0] // 8 // 4)
    source = on_device(normal(size)(np.random.default_rng(0), {}))
    target = library.empty_like(source)
    sampled = clock.samples(lambda: library.copyto(target, source), SECONDS)
    return {**sampled._asdict(), "bytes": 2 * source.nbytes, "operations": 0}


def measure(clock, case, language):
    """The raw times of one case, and what it reads, writes and works out."""
    run = kernel_of(case, language)
    free()  # what the case before took
    arguments = case.make(on_device)
    size = least_bytes(case, arguments, run(*arguments))
    sampled = clock.samples(functools.partial(run, *arguments), SECONDS)
    return {"like": case.like, **sampled._asdict(), "bytes": size, "operations": case.operations}


def least_bytes(case, arguments, result):
    """The fewest that must be moved: each input read once, each result written once."""
    read = [value for name, value in zip(case.parameters, arguments, strict=True) if name not in case.unread]
    return sum({id(a): a.nbytes for a in arrays_of(read)}.values()) + sum(
        a.nbytes for a in case.outcome(arguments, result)
    )


def free():
    """Give the unused memory of CuPy's pool back."""
    library = array_module(to_device(np.zeros(1), "cuda"))
    if library is not np:
        library.get_default_memory_pool().free_all_blocks()


# PyTorch


def items_of_torch(tiny):
    """(name, function) of each measurement."""
    (_, device, clock), cases = pytorch(), [case for case in listed(tiny, "timed") if case.operations]
    product = next(replace(case, rung=()) for case in cases if case.op.startswith("matmul"))
    return [
        (
            f"{case.like}, {layout}, {precision}",
            functools.partial(measure_torch, clock, case, layout, precision, device),
        )
        for case in [product, *[case for case in cases if not case.rung]]
        for layout in (("NCHW", "channels-last") if "conv" in case.op else ("rows",))
        for precision in PRECISIONS
    ]


def set_tf32(torch, on):
    """The two flags, which have different defaults. Returns them as they now are."""
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on
    now = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    return dict(zip(("matmul.allow_tf32", "cudnn.allow_tf32"), now, strict=True))


def measure_torch(clock, case, layout, precision, device):
    """The raw times of PyTorch's function for one case."""
    import torch

    flags = set_tf32(torch, precision == "TF32")
    given = arguments(case, layout, "bfloat16" if precision == "bf16" else "float32", device)
    sampled = clock.samples(functools.partial(TWINS[case.op], torch, *given), SECONDS)
    described = {"like": case.like, "layout": layout, "precision": precision, "flags": flags}
    return {**described, **sampled._asdict(), "operations": case.operations}


@functools.lru_cache(maxsize=1)
def arguments(case, layout, dtype, device):
    """The case's, as PyTorch's tensors. What PyTorch takes as padding is (top, left), for (bottom, right) too."""
    import torch

    memory = torch.channels_last if layout == "channels-last" else torch.contiguous_format

    def move(array):
        tensor = torch.from_numpy(array).to(device, getattr(torch, dtype))
        return tensor.to(memory_format=memory) if tensor.ndim == 4 else tensor

    before = tuple(before for before, _ in case.values.get("padding", ()))
    return replace(case, values=case.values | {"padding": before}).make(move)
