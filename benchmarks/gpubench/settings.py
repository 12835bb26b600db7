"""What every section is told, and how it says that it cannot run."""

from typing import NamedTuple

import numpy as np

from minicnn.device import implementation, to_device
from minicnn.emulated import emulating
from minicnn.ops.activation import relu_forward


class Settings(NamedTuple):
    """tiny: a few numbers instead of real sizes."""

    tiny: bool = False

    @property
    def emulated(self):
        """Whether there is no GPU: nothing is timed then."""
        return emulating()


class Unavailable(RuntimeError):
    """Something that a section needs is not there; the message says what."""


def require_torch(settings):
    """PyTorch, with a GPU unless emulated, set to try cuDNN's algorithms first; and the device for it."""
    try:
        import torch  # an optional package
    except ImportError as error:
        raise Unavailable(f"PyTorch, to compare with, cannot be imported ({error})") from None
    if not settings.emulated and not torch.cuda.is_available():
        raise Unavailable(f"PyTorch {torch.__version__} finds no GPU")
    torch.backends.cudnn.benchmark = True
    if settings.emulated:
        torch.set_num_threads(1)  # on a few numbers, threads only wait for one another
    return torch, "cpu" if settings.emulated else "cuda"


def require_kernels(language):
    """Our kernels on device "cuda", "fast" (CUDA C++) or "plain" (Numba CUDA). The error says what is missing."""
    to_device(np.zeros(1, np.float32), "cuda")  # DeviceError, with the reason, where there is no GPU
    try:
        implementation(relu_forward, "cuda", language)
    except ImportError as error:
        raise Unavailable(f"the kernels of tier {language!r} cannot be imported ({error})") from None
