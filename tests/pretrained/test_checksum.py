"""The checksum in a file's name is held against the file; what only looks like one is not."""

import hashlib

import numpy as np
import pytest
from pickles import save

from minicnn import nn, pretrained
from minicnn.pretrained import WeightsError, checksum, read_weights, weights


@pytest.fixture
def content(torch):
    return save(torch, {"weight": torch.ones(2, 3), "bias": torch.zeros(2)})


def digits(content):
    return hashlib.sha256(content).hexdigest()[:8]


ENDINGS = [".pth", ".pt", ".th", ".safetensors", ".npz", ".bin"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_right_name(content, tmp_path, ending):
    path = tmp_path / f"net-small-{digits(content)}{ending}"
    path.write_bytes(content)
    assert read_weights(path)["weight"].shape == (2, 3)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_wrong_name(content, tmp_path, ending):
    path = tmp_path / f"net-deadbeef{ending}"
    path.write_bytes(content)
    for use in (
        read_weights,
        lambda path: pretrained.load_file(nn.Linear(3, 2), path),
        lambda path: pretrained.load("resnet18", file=path),
        lambda path: pretrained.from_file(lambda classes: nn.Linear(3, classes), path),
    ):
        with pytest.raises(
            WeightsError, match=rf"net-deadbeef.* damaged or another file.*{digits(content)}.*rename|give"
        ):
            use(path)


def test_a_whole_file_of_another_kind_of_damage(torch, tmp_path):
    """A flipped bit in the older format, which has no checksum of its own."""
    contents = (save(torch, {"weight": torch.full((9,), 1.5), "at": torch.ones(i)}, new=False) for i in range(99))
    content = bytearray(next(found for found in contents if not digits(found).isdecimal()))  # addresses are in there
    path = tmp_path / f"net-{digits(bytes(content))}.pth"
    path.write_bytes(content)
    assert (read_weights(path)["weight"] == 1.5).all()
    content[content.index(np.full(9, 1.5, "<f4").tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged or another file"):
        read_weights(path)


NAMES = [
    "checkpoint-20240101.pth",
    "step-00012000.pth",
    "net.pth",
    "net-DEADBEEF.pth",
    "net-deadbee.pth",
    "net_deadbeef.pth",
]
NAMES += ["net-deadbeef", "net-deadbeef-last.pth", "net-deadbeefs.pth", "net-" + 16 * "a" + ".pth"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_promise_nothing(content, tmp_path, name, monkeypatch):
    monkeypatch.setattr(checksum, "sha256", None)  # such a file is not read twice
    (tmp_path / name).write_bytes(content)
    read_weights(tmp_path / name)


def test_a_published_name_of_decimal_digits_only(content, tmp_path, monkeypatch):
    path = tmp_path / "net-20240101.pth"
    path.write_bytes(content)
    ours = pretrained.get("resnet18")._replace(url="https://example.org/net-20240101.pth")
    monkeypatch.setattr(weights, "WEIGHTS", (ours,))
    with pytest.raises(WeightsError, match="damaged or another file"):
        read_weights(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(WeightsError, match=r"cannot read weights .*net-deadbeef\.pth: No such file"):
        read_weights(tmp_path / "net-deadbeef.pth")
