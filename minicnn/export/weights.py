"""The weights of a network for other programs: as a .safetensors file, as PyTorch's state dict.

The networks that torchvision has, too, have torchvision's keys here: what is written loads strictly there.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..device import host_array
from ..nn import BatchNorm2d, Module
from ..nn.split import gather_state
from ..settings import kind_of
from ..storage.files import atomic_write
from ..types import Array


def safetensors(model: Module, path: Path | str) -> None:
    """Write the network's parameters and buffers as a .safetensors file. Needs the package safetensors.

        minicnn.export.safetensors(model, "resnet18.safetensors")
        theirs.load_state_dict(safetensors.torch.load_file("resnet18.safetensors"))     # in PyTorch, strictly

    Keys are those of ``state_dict()``, and PyTorch's counters of batch norm (``num_batches_tracked``, 0). Every rank
    must call it for a network that is split over ranks. OSError if the file cannot be written, and what stood there
    before stays; ImportError without the package.
    """
    try:
        from safetensors.numpy import save  # an optional package
    except ImportError:
        what = "safetensors: needs the package safetensors, which is not installed"
        raise ImportError(f"{what}; pip install 'minicnn[safetensors]'") from None
    content = save(_state("safetensors", model), {"format": "pt"})  # PyTorch's names, as other programs ask for
    with atomic_write(path) as file:
        file.write(content)


def torch_state_dict(model: Module) -> dict[str, Any]:
    """The network's parameters and buffers as PyTorch's tensors, copies on the processor. Needs PyTorch.

        theirs.load_state_dict(minicnn.export.torch_state_dict(model))                  # strictly
        torch.save(minicnn.export.torch_state_dict(model), "resnet18.pth")

    Keys as of ``safetensors``, which needs no PyTorch. ImportError without it.
    """
    try:
        import torch  # an optional package
    except ImportError:
        what = "torch_state_dict: needs PyTorch, which is not installed"
        raise ImportError(f"{what}; minicnn.export.safetensors(model, path) writes a file without it") from None
    return {key: torch.from_numpy(array) for key, array in _state("torch_state_dict", model).items()}


def _state(owner: str, model: Module) -> dict[str, Array]:
    """{key: a copy of the array}, with the counters that PyTorch's batch norm has."""
    if not isinstance(model, Module):
        raise TypeError(f"{owner}: takes a Module, not a {kind_of(model)}")
    state = {key: np.array(host_array(tensor), order="C") for key, tensor in gather_state(model).items()}
    norms = [name for name, layer in model.named_modules(remove_duplicate=False) if isinstance(layer, BatchNorm2d)]
    counters = {f"{name}.num_batches_tracked".lstrip("."): np.zeros((), np.int64) for name in norms}
    return state | counters
