"""Module: what it finds among its attributes, its state, its modes."""

import numpy as np
import pytest
from checks import check_close, raises

from minicnn import Tensor, nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(np.ones(2, np.float32))
        self.norm = nn.BatchNorm2d(2)
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout())
        self.constant = Tensor([1.0])

    def forward(self, x):
        return self.layers(x * self.scale)


KEYS = ["scale", "norm.weight", "norm.bias", "layers.0.weight", "layers.0.bias"]
BUFFERS = ["norm.running_mean", "norm.running_var"]


def test_parameters_buffers_and_modules_by_name():
    model = Block()
    assert [name for name, _ in model.named_parameters()] == KEYS
    assert [name for name, _ in model.named_buffers()] == BUFFERS
    assert [name for name, _ in model.named_modules()] == ["", "norm", "layers", "layers.0", "layers.1", "layers.2"]
    assert [type(m).__name__ for m in model.children()] == ["BatchNorm2d", "Sequential"]
    assert all(p.requires_grad for p in model.parameters()) and not any(b.requires_grad for b in model.buffers())
    assert list(model.state_dict()) == KEYS + BUFFERS


def test_state_dict_shares_memory():
    model = Block()
    model.state_dict()["scale"][0] = 7
    assert model.scale.numpy().tolist() == [7, 1]


def test_state_goes_from_one_model_to_another():
    one, other = Block(), Block()
    one.norm.running_mean[...] = 3.0
    other.load_state_dict(one.state_dict())
    for key, value in one.state_dict().items():
        assert np.array_equal(other.state_dict()[key].numpy(), value.numpy())
    assert not np.shares_memory(one.scale.data, other.scale.data)


def test_state_from_numpy_of_another_dtype():
    model = Block()
    state = {key: np.full(t.shape, 2.0) for key, t in model.state_dict().items()}
    model.load_state_dict(state | {"norm.num_batches_tracked": np.array(5)})
    assert all((t.numpy() == 2).all() and t.dtype == np.float32 for t in model.state_dict().values())


def test_state_from_torch(torch):
    theirs = torch.nn.Linear(2, 3)
    ours = nn.Linear(2, 3)
    ours.load_state_dict(theirs.state_dict())
    check_close(ours.weight.numpy(), theirs.weight.detach().numpy(), 0)


@pytest.mark.parametrize(
    "change, error, parts",
    [
        (lambda s: s.pop("scale"), KeyError, ["Block", "1 keys are missing (scale)", "0 are surplus"]),
        (lambda s: s.update(extra=np.ones(1)), KeyError, ["0 keys are missing", "1 are surplus (extra)"]),
        (lambda s: s.update(scale=np.ones(3)), ValueError, ["Block", "scale: (3,), not (2,)"]),
    ],
    ids=["missing", "surplus", "shape"],
)
def test_a_state_that_does_not_fit_changes_nothing(change, error, parts):
    model = Block()
    before = {key: t.numpy().copy() for key, t in model.state_dict().items()}
    state = {key: value + 1 for key, value in before.items()}
    change(state)
    with raises(error, "load_state_dict", *parts):
        model.load_state_dict(state)
    assert all(np.array_equal(before[key], t.numpy()) for key, t in model.state_dict().items())


def test_training_and_evaluation_reach_every_module():
    model = Block()
    assert model.training and model.eval() is model
    assert not any(m.training for m in model.modules())
    assert all(m.training for m in model.train().modules())


def test_freezing_stops_gradients_and_running_statistics():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).train()
    model.freeze()
    x = Tensor(np.random.default_rng(0).standard_normal((4, 1, 3, 3)).astype(np.float32))
    before = model[1].running_mean.numpy().copy(), model[1].running_var.numpy().copy()
    y = model(x)
    assert not y.requires_grad and not any(p.requires_grad for p in model.parameters())
    check_close(model[1].running_mean.numpy(), before[0], 0)
    check_close(model[1].running_var.numpy(), before[1], 0)
    check_close(y.numpy(), model.eval()(x).numpy(), 0)
    model.train().freeze(False)
    assert model(x).requires_grad and model[1].running_mean.numpy().any()


def test_attributes_that_are_replaced():
    model = Block()
    model.scale = None
    model.norm = nn.ReLU()
    assert [name for name, _ in model.named_parameters()] == KEYS[3:]
    layer = nn.BatchNorm2d(2)
    layer.running_mean = Tensor([5.0, 6.0])
    assert layer.state_dict()["running_mean"].numpy().tolist() == [5, 6]


def test_attributes_come_after_init():
    class Forgetful(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.ones(1))

    with raises(AttributeError, "Forgetful", "super().__init__()", "'weight'"):
        Forgetful()


def test_forward_must_be_written():
    with raises(TypeError, "Module", "forward"):
        nn.Module()(1)


def test_astype_and_zero_grad():
    model = Block().astype(np.float64)
    assert {t.dtype for t in model.state_dict().values()} == {np.dtype(np.float64)}
    model(Tensor(np.ones((1, 2)))).sum().backward()
    assert model.scale.grad is not None
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    assert model.to("cpu") is model


def test_sequential_is_a_list():
    layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    model = nn.Sequential(*layers)
    assert len(model) == 3 and list(model) == layers and model[-1] is layers[2]
    assert list(model[:2]) == layers[:2]
    model[-1] = nn.Linear(3, 5)
    assert model(Tensor(np.ones((4, 2), np.float32))).shape == (4, 5)
    with pytest.raises(IndexError):
        model[3]


def test_repr_shows_the_tree():
    text = repr(Block())
    assert text.startswith(
        "Block(\n  (norm): BatchNorm2d(2, eps=1e-05, momentum=0.1)\n  (layers): Sequential(\n    (0): Linear"
    )
    assert text.endswith("(2): Dropout(p=0.5, inplace=False)\n  )\n)")
