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

PRECISIONS = ("float32", "tf32", "float16", "bfloat16")

_precision = "float32"


def current_precision():
    """The precision that products of float32 arrays have now: one of PRECISIONS."""
    return _precision


def set_precision(name):
    """Choose the precision of every product of float32 arrays from now on."""
    global _precision
    if name not in PRECISIONS:
        raise ValueError(f"set_precision: unknown precision {name!r}; it is one of {', '.join(PRECISIONS)}")
    _precision = name


class precision:
    """``with precision("tf32"): ...`` multiplies in that precision inside the block, then as before."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.before = current_precision()
        set_precision(self.name)

    def __exit__(self, *exc_info):
        set_precision(self.before)
