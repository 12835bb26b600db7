"""Other people's weights: what there is, fetched once, read without PyTorch, and made one's own.

weights.py      which weights there are, and what pictures they take
download.py     fetched once, checked by their SHA-256
checksum.py     the one that a file has in its name
loading.py      from a file of any of four kinds into a network
kinds.py        which kind it is           keys.py        whose names it uses
pth.py          files of torch.save        unpickle.py    without running the code in them
safetensors.py  the other common format    npz.py         NumPy's own        dtypes.py  numbers from bytes
transfer.py     another head, frozen parts, learning rates by depth, probes
zoo.py          a network by its name
features.py     what a frozen backbone makes of the pictures, computed once
error.py        the one error of them all

model = pretrained.load("resnet50")
weights = pretrained.get("resnet50")       # .transform() .normalize() .classes .top1 .url
"""

from ..storage.checkpoint import is_checkpoint
from .download import fetch
from .error import WeightsError
from .features import on_features
from .loading import from_file, load, load_file, network_settings, read_weights
from .npz import read_npz
from .pth import read_pth
from .safetensors import read_safetensors
from .transfer import LinearProbe, freeze_backbone, freeze_to, head, layer_groups, replace_head
from .weights import ARCHS, Weights, get, of_file

__all__ = [
    "ARCHS", "LinearProbe", "Weights", "WeightsError", "fetch", "freeze_backbone", "freeze_to", "from_file", "get",
    "head", "is_checkpoint", "layer_groups", "load", "load_file", "network_settings", "of_file", "on_features",
    "read_npz", "read_pth", "read_safetensors", "read_weights", "replace_head",
]  # fmt: skip
