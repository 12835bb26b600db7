"""Module: what it is made of, its modes, and where and in which dtype its tensors are."""

import copy
import pickle

import numpy as np
import pytest
from checks import check_close, raises
from small_modules import BUFFERS, KEYS, STATE, Block, Tied

from minicnn import Tensor, nn


def test_parameters_buffers_and_modules_by_name():
    model = Block()
    assert [name for name, _ in model.named_parameters()] == KEYS
    assert [name for name, _ in model.named_buffers()] == BUFFERS
    assert [name for name, _ in model.named_modules()] == ["", "norm", "layers", "layers.0", "layers.1", "layers.2"]
    assert [type(m).__name__ for m in model.children()] == ["BatchNorm2d", "Sequential"]
    assert all(p.requires_grad for p in model.parameters()) and not any(b.requires_grad for b in model.buffers())
    assert list(model.state_dict()) == STATE


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


def test_forward_must_be_written():
    with raises(NotImplementedError, "Module", "forward"):
        nn.Module()(1)


def test_calls_take_several_inputs_and_keywords():
    class Mix(nn.Module):
        def forward(self, a, b=1, *, scale=1):
            return a * b * scale

    assert Mix()(2, 3) == 6 and Mix()(2, scale=5) == 10 and Mix()(a=2, b=3, scale=4) == 24
    with pytest.raises(TypeError, match="colour"):
        Mix()(1, colour=2)


def test_tied_ones_are_converted_and_moved_together():
    model = Tied().astype(np.float64)
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float64)}
    assert model.other.weight is model.first.weight


def test_astype_and_zero_grad():
    model = Block().astype(np.float64)
    assert {t.dtype for t in model.state_dict().values()} == {np.dtype(np.float64)}
    model(Tensor(np.ones((1, 2)))).sum().backward()
    assert model.scale.grad is not None
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    assert model.to("cpu") is model


@pytest.mark.parametrize("dtype", [int, np.float16, "complex64", bool, "U3"])
def test_astype_takes_only_floats_that_there_are(dtype):
    model = Block()
    before = {key: t.numpy().copy() for key, t in model.state_dict().items()}
    with raises(TypeError, "Block.to", "float32", "float64", np.dtype(dtype)):
        model.astype(dtype)
    for key, t in model.state_dict().items():
        assert t.dtype == np.float32 and np.array_equal(t.numpy(), before[key])


@pytest.mark.parametrize("model", [Block(), nn.ReLU()], ids=["parameters", "no parameters"])
def test_to_takes_only_devices(model):
    for device in ("gpu", "cuda:0"):
        with raises(ValueError, f"{type(model).__name__}.to", "cpu or cuda", repr(device)):
            model.to(device)
    for nothing in ([], [None], ["cpu", "cuda"]):
        with raises(TypeError, f"{type(model).__name__}.to", "a device"):
            model.to(*nothing)


def test_to_takes_a_dtype_too():
    model = Block()
    assert model.to("cpu", np.float64) is model and {t.dtype for t in model.state_dict().values()} == {np.dtype("f8")}
    assert model.to(Tensor([1.0])).scale.dtype == np.float32 and model.double().scale.dtype == np.float64
    assert model.float().cpu().scale.dtype == np.float32


def test_astype_takes_gradients_along_and_leaves_integers():
    model = nn.Linear(2, 1)
    model.register_buffer("count", Tensor(np.array([2**40 + 1])))
    model(Tensor(np.ones((1, 2), np.float32))).sum().backward()
    model.astype(np.float64)
    assert model.weight.grad.dtype == np.float64 and model.count.numpy().tolist() == [2**40 + 1]


def test_nothing_is_converted_if_one_array_cannot_be(monkeypatch):
    """As when memory runs out on the way."""
    model = Block()

    class Full(np.ndarray):
        def astype(self, *args, **options):
            raise MemoryError

    model.norm.bias._data = model.norm.bias.data.view(Full)
    with pytest.raises(MemoryError):
        model.astype(np.float64)
    assert {t.dtype for t in model.state_dict().values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("mode", ["eval", 0, None])
def test_a_mode_is_true_or_false(mode):
    with raises(ValueError, "train", repr(mode)):
        Block().train(mode)


def test_apply_goes_from_the_parts_to_the_whole():
    model, seen = Block(), []
    assert model.apply(lambda module: seen.append(type(module).__name__)) is model
    assert seen == ["BatchNorm2d", "Linear", "ReLU", "Dropout", "Sequential", "Block"]


def test_get_submodule():
    model = Block()
    assert model.get_submodule("layers.0") is model.layers[0] and model.get_submodule("") is model
    with raises(AttributeError, "Block", "'layers.7'", "layers.0"):
        model.get_submodule("layers.7")


# Copies


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["deep", "pickle"]
)
def test_a_copy_is_another_network_with_the_same_values(copied):
    model = Tied()
    model.first.bias.grad = Tensor(np.ones(3, np.float32))
    other = copied(model.eval())
    assert other.again is other.first and other.other.weight is other.first.weight is not model.first.weight
    assert not other.training and list(other.state_dict()) == list(model.state_dict())
    other.first.weight.detach()[...] = 0.0
    assert model.first.weight.numpy().all() and not other.again.weight.numpy().any()
    x = Tensor(np.ones((1, 3), np.float32))
    check_close(other.other(x).numpy(), np.zeros((1, 3)), 0)


def test_what_is_set_on_a_shallow_copy_is_not_set_on_the_first():
    model = Block()
    other = copy.copy(model)
    assert other.scale is model.scale and other.norm is model.norm
    other.norm = None
    del other.scale
    assert model.norm is not None and list(model.state_dict()) == STATE


# Parameters


def test_a_parameter_of_a_tensor_is_a_leaf_in_its_memory():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for tensor in (Tensor([1.0, 2.0]), x * 2, x.detach(), nn.Parameter(np.ones(2))):
        p = nn.Parameter(tensor)
        assert isinstance(p, nn.Parameter) and p.node is None and p.requires_grad and p.dtype == tensor.dtype
        assert p.data is tensor.data
    assert not nn.Parameter(Tensor([1]), requires_grad=False).requires_grad
    with pytest.raises(TypeError, match="int64"):
        nn.Parameter(Tensor([1]))


def test_what_is_written_into_a_parameter_of_a_tensor_is_seen_by_graphs_of_that_tensor():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    nn.Parameter(x).detach()[0] = 5.0
    with raises(RuntimeError, "in place"):
        y.backward()


def test_repr_shows_the_tree():
    text = repr(Block())
    assert text.startswith(
        "Block(\n  (norm): BatchNorm2d(2, eps=1e-05, momentum=0.1)\n  (layers): Sequential(\n    (0): Linear"
    )
    assert text.endswith("(2): Dropout(p=0.5, inplace=False)\n  )\n)")


@pytest.mark.parametrize("switch", [nn.Module.freeze, nn.Module.requires_grad_])
def test_a_switch_is_true_or_false(switch):
    model = Block()
    for wrong in ("no", None, 2):
        with raises(TypeError, "Block", repr(wrong), "True or False"):
            switch(model, wrong)
    assert not model.frozen and all(p.requires_grad for p in model.parameters())
