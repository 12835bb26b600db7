"""Out of minicnn: networks and weights as files, and objects, of other libraries.

onnx_file.py    a network as an ONNX file
trace.py        which ops it runs, heard while it runs          nodes.py    what an ONNX graph is built with
layers.py       the ONNX nodes of an op: convolutions, pooling, normalisation ...
elements.py     the same: arithmetic, activations, shapes
weights.py      its weights: .safetensors, PyTorch's state dict
"""

from .onnx_file import onnx
from .trace import ExportError
from .weights import safetensors, torch_state_dict

__all__ = ["ExportError", "onnx", "safetensors", "torch_state_dict"]
