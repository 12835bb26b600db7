"""A small network's weights, as a file of any kind."""

import numpy as np
import pytest
from pickles import save

from minicnn import nn, pretrained
from minicnn.train import save_checkpoint

KINDS = ["pth", "legacy", "safetensors", "npz", "checkpoint"]


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 5))


def numbers(model, seed=0):
    rng = np.random.default_rng(seed)
    return {key: rng.random(tensor.shape, np.float32) for key, tensor in model.state_dict().items()}


def write(torch, path, state, kind):
    """`state` as a file of that kind."""
    if kind == "checkpoint":
        save_checkpoint(path, {"model": state})
    elif kind == "npz":
        with open(path, "wb") as file:
            np.savez(file, **state)
    elif kind == "safetensors":
        pytest.importorskip("safetensors.numpy", reason="the package safetensors is not installed").save_file(
            state, path
        )
    else:
        tensors = {key: torch.tensor(array) for key, array in state.items()}
        path.write_bytes(save(torch, tensors, kind == "pth"))


def check_loaded(model, path, expected):
    pretrained.load_file(model, path)
    for key, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), expected[key])
