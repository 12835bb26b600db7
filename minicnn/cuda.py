"""Whether there is a GPU: ``device = "cuda" if minicnn.cuda.is_available() else "cpu"``."""

from typing import TYPE_CHECKING

from .absent import absent
from .device import DeviceError, check_available


def is_available() -> bool:
    """Whether device "cuda" can be used: CuPy finds a GPU, or ``MINICNN_EMULATE_GPU=1`` puts the processor there."""
    try:
        check_available("cuda")
    except DeviceError:
        return False
    return True


if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name):
        raise absent("cuda", name)
