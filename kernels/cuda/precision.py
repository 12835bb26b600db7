"""How exactly float32 arrays are multiplied on device "cuda", tier "fast".

    from minicnn.kernels.cuda.precision import precision, set_precision
    set_precision("tf32")                        for every product and convolution from now on
    with precision("bfloat16"): loss.backward()  for those of the block

              digits of a factor    range       multiplied by
    float32   24 binary             1e38        ordinary arithmetic (the default)
    tf32      11                    1e38        tensor cores, from GPUs of compute capability 8.0 on
    float16   11                    65504       tensor cores, with half the bytes of tf32
    bfloat16   8                    1e38        tensor cores, likewise

Whatever the precision, arrays stay float32 and products are summed in float32: only the factors are rounded on their
way into linear layers and convolutions, forward and for both gradients. float64 arrays are never rounded. What counts
is the setting at the time an op runs, forward or backward. A factor beyond 65504 is infinite in float16.
"""

from minicnn.switch import Block, PerThread

PRECISIONS = ("float32", "tf32", "float16", "bfloat16")

_default_precision = "float32"
_precision = PerThread(None)  # that of the `with precision(...)` blocks in this thread; None outside of them


def current_precision():
    """The precision that products of float32 arrays have now in this thread: one of PRECISIONS."""
    return _precision.value or _default_precision


def rounding(array):
    """The precision to which a factor like this array is rounded now; None where it is not."""
    precision = current_precision()
    return precision if array.dtype == "float32" and precision != "float32" else None


def set_precision(name):
    """Choose the precision of every product of float32 arrays of the process from now on.

    Another thread's ``with precision(...)`` block keeps its own until its end.
    """
    global _default_precision
    _default_precision = _checked("set_precision", name)
    _precision.change(name)  # where this thread is inside a block


class precision(Block):
    """``with precision("tf32"): ...`` (or as a decorator) multiplies in that precision inside, in this thread."""

    def __init__(self, name):
        super().__init__(_precision, _checked("precision", name))


def _checked(what, name):
    if name not in PRECISIONS:
        raise ValueError(f"{what}: unknown precision {name!r}; it is one of {', '.join(PRECISIONS)}")
    return name
