"""Files of the .safetensors format, which the package of that name has written from PyTorch's tensors."""

import sys

import pytest
from test_pth import check_same, state

from minicnn.pretrained import WeightsError, read_safetensors, read_weights


def test_safetensors(torch, tmp_path):
    torch_format = pytest.importorskip("safetensors.torch", reason="the package safetensors is not installed")
    tensors = {key: tensor.detach().contiguous() for key, tensor in state(torch).items()}
    torch_format.save_file({key: tensor.clone() for key, tensor in tensors.items()}, tmp_path / "w.safetensors")
    for function in (read_safetensors, read_weights):
        found = function(tmp_path / "w.safetensors")
        check_same({key: found[key] for key in tensors}, tensors)
    torch_format.save_file({"weight": torch.ones(2, dtype=torch.complex64)}, tmp_path / "c.safetensors")
    with pytest.raises(WeightsError, match=r"c\.safetensors: weight is of dtype C64"):
        read_weights(tmp_path / "c.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(content[:-1])
    with pytest.raises(WeightsError, match=r"w\.safetensors is damaged"):
        read_weights(tmp_path / "w.safetensors")


def test_safetensors_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(WeightsError, match=r"pip install 'minicnn\[safetensors\]'"):
        read_safetensors(tmp_path / "w.safetensors")
