"""minicnn.save and minicnn.load: what comes back, and what is refused with the way out."""

import io

import numpy as np
import pytest
from checks import PYTHON_GPU as GPU
from checks import check_close, raises

import minicnn
from minicnn import Tensor, nn, optim
from minicnn.storage.checkpoint import CheckpointError, load_checkpoint, save_checkpoint


def network():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def test_a_network_and_its_optimiser_come_back(tmp_path):
    model, other = network(), network()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(Tensor(np.ones((2, 1, 4, 4), np.float32))).sum().backward()
    optimizer.step()
    path = tmp_path / "mine.npz"
    minicnn.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path)
    state = minicnn.load(path)
    assert state["epoch"] == 3 and all(isinstance(value, Tensor) for value in state["model"].values())
    other.load_state_dict(state["model"])
    again = optim.SGD(other.parameters(), lr=0.5, momentum=0.9)
    again.load_state_dict(state["optimizer"])
    model(Tensor(np.ones((2, 1, 4, 4), np.float32))).sum().backward()
    other(Tensor(np.ones((2, 1, 4, 4), np.float32))).sum().backward()
    for p in model.parameters():
        p.grad[...] = 1
    for p in other.parameters():
        p.grad = minicnn.ones_like(p)
    optimizer.step()
    again.step()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        check_close(one.numpy(), two.numpy(), 0)


def test_values_keep_their_dtypes(tmp_path):
    values = {
        "x": Tensor(np.array([1.5, 2.5])),
        "i": [Tensor(np.array([1], np.int8)), {"mask": Tensor([True, False])}],
        "plain": [1, 2.5, "text", None, True],
        "pair": (1, np.float32(2.5)),
    }
    path = str(tmp_path / "mine.npz")
    minicnn.save(values, path)
    found = minicnn.load(path)
    assert found["x"].dtype == np.float64 and found["i"][0].dtype == np.int8 and found["i"][1]["mask"].dtype == bool
    assert found["plain"] == values["plain"] and found["pair"] == [1, 2.5]
    minicnn.save(values["x"], path)
    assert minicnn.load(path).tolist() == [1.5, 2.5]


def test_on_another_device(tmp_path):
    with GPU.active():
        minicnn.save({"x": Tensor([1.0, 2.0]).to("cuda")}, tmp_path / "mine.npz")
        assert minicnn.load(tmp_path / "mine.npz")["x"].device == "cpu"
        assert minicnn.load(tmp_path / "mine.npz", map_location="cuda")["x"].device == "cuda"
    with raises(ValueError, "load", "map_location", "'cpu' or 'cuda'", "'tpu'"):
        minicnn.load(tmp_path / "mine.npz", map_location="tpu")


def test_a_file_of_training_is_read_too(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.npz", {"model": network().state_dict()})
    network().load_state_dict(minicnn.load(tmp_path / "checkpoint.npz")["model"])


def test_what_cannot_be_saved_loses_nothing(tmp_path, torch):
    model, path = network(), tmp_path / "mine.npz"
    minicnn.save({"x": 1}, path)
    for state, target, parts in (
        (path, model.state_dict(), ["save", "(state, path)", "save(state, "]),
        (str(path), {"x": 1}, ["save", "(state, path)"]),
        (model, path, ["Sequential", "state_dict()"]),
        ({"model": model}, path, ["model", "Sequential", "state_dict()"]),
        ({"f": print}, path, ["f", "neither a plain value nor an array"]),
        ({1: Tensor([1.0])}, path, ["keys", "text"]),
        ({"w\0": Tensor([1.0])}, path, ["cannot be called", r"w\x00"]),
        ({"w": torch.ones(2)}, path, ["w is a Tensor", "np.asarray"]),
        ({"x": 1}, None, ["save", "path", "NoneType"]),
        ({"x": 1}, io.BytesIO(), ["save", "path", "BytesIO"]),
    ):
        with raises(TypeError, *parts):
            minicnn.save(state, target)
    with raises(CheckpointError, "no folder", tmp_path / "missing", "mkdir"):
        minicnn.save({"x": 2}, tmp_path / "missing" / "mine.npz")
    assert load_checkpoint(path) == {"x": 1} and sorted(p.name for p in tmp_path.iterdir()) == ["mine.npz"]


def test_files_of_others(tmp_path, torch):
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "theirs.pth")
    np.savez(tmp_path / "arrays.npz", x=np.ones(2))
    (tmp_path / "text.npz").write_text("no weights")
    for name in ("theirs.pth", "arrays.npz", "text.npz"):
        with raises(CheckpointError, tmp_path / name, "minicnn.save", "torch.save", "minicnn.pretrained.load_file"):
            minicnn.load(tmp_path / name)
    minicnn.save({"x": Tensor(np.ones(100))}, tmp_path / "mine.npz")
    content = bytearray((tmp_path / "mine.npz").read_bytes())
    content[-200] ^= 1
    (tmp_path / "mine.npz").write_bytes(content)
    with raises(CheckpointError, "damaged"):
        minicnn.load(tmp_path / "mine.npz")
    with raises(FileNotFoundError, "load", "nothing.npz"):
        minicnn.load(tmp_path / "nothing.npz")
    with raises(TypeError, "load", "path", "load_state_dict"):
        minicnn.load({"x": 1})


def test_a_whole_checkpoint_given_to_a_model_says_where_its_state_is():
    with raises(KeyError, "load_state_dict", "another model", "state['model']"):
        network().load_state_dict({"model": network().state_dict(), "epoch": 3})


@pytest.mark.parametrize("path", [".", "folder"])
def test_folders_are_no_files(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with raises(CheckpointError, path):
        minicnn.load(path)
    with pytest.raises(CheckpointError):
        minicnn.save({"x": 1}, path)


def test_arrays_that_no_tensor_holds_come_back_as_arrays(tmp_path):
    state = {"half": np.array([1.5], np.float16), "complex": np.array([1j])}
    minicnn.save(state, tmp_path / "mine.npz")
    found = minicnn.load(tmp_path / "mine.npz")
    assert all(type(found[key]) is np.ndarray and found[key].dtype == state[key].dtype for key in state)
