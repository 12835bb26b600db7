"""The attributes of a Module: what a name stands for, what it may become, and layers that would be forgotten."""

import collections
import copy
import pickle

import numpy as np
import pytest
from checks import raises
from small_modules import STATE, Block

from minicnn import Tensor, nn


@pytest.mark.parametrize("value", [nn.Parameter(np.ones(1)), nn.ReLU(), [nn.ReLU()]], ids=["tensor", "layer", "list"])
def test_attributes_come_after_init(value):
    class Forgetful(nn.Module):
        def __init__(self):
            self.weight = value

    with raises(AttributeError, "Forgetful", "super().__init__()"):
        Forgetful()

    class Nothing(nn.Module):
        def __init__(self):
            self.size = 3

    with raises(AttributeError, "Nothing", "super().__init__()"):
        list(Nothing().parameters())


def linear_with_module():
    layer = nn.Linear(2, 3)
    layer.part = nn.ReLU()
    return layer


@pytest.mark.parametrize(
    "make, name, value",
    [
        (linear_with_module, "weight", Tensor(np.ones((3, 2), np.float32))),
        (linear_with_module, "weight", np.ones((3, 2), np.float32)),
        (linear_with_module, "weight", nn.ReLU()),
        (linear_with_module, "bias", 0.0),
        (lambda: nn.Linear(2, 3, bias=False), "bias", Tensor(np.ones(3, np.float32))),
        (lambda: nn.BatchNorm2d(2, affine=False), "weight", Tensor(np.ones(2, np.float32))),
        (linear_with_module, "part", Tensor([1.0])),
        (linear_with_module, "part", lambda x: x),
        (linear_with_module, "part", [nn.ReLU()]),
        (lambda: nn.BatchNorm2d(2), "running_mean", np.zeros(2, np.float32)),
        (lambda: nn.BatchNorm2d(2), "running_var", 1.0),
    ],
)
def test_a_name_stays_of_its_kind(make, name, value):
    layer = make()
    before = getattr(layer, name), list(layer.state_dict()), repr(layer)
    with raises(TypeError, f"{type(layer).__name__}.{name}", "may become", type(value).__name__):
        setattr(layer, name, value)
    assert getattr(layer, name) is before[0]
    assert (list(layer.state_dict()), repr(layer)) == before[1:]


def test_what_a_name_may_become():
    layer = nn.BatchNorm2d(2)
    layer.weight = nn.Parameter(np.full(2, 3, np.float32))
    layer.running_mean = Tensor([5.0, 6.0])
    assert layer.state_dict()["weight"].numpy().tolist() == [3, 3]
    assert layer.state_dict()["running_mean"].numpy().tolist() == [5, 6]
    layer.running_var = nn.Parameter(np.ones(2, np.float32))
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias", "running_var"]
    assert [name for name, _ in layer.named_buffers()] == ["running_mean"]
    layer.running_mean = nn.ReLU()
    assert [type(m).__name__ for m in layer.children()] == ["ReLU"] and not list(layer.buffers())


@pytest.mark.parametrize("name", ["scale", "norm", "mean"])
def test_none_leaves_a_name_empty_and_it_can_be_filled_again(name):
    model = Block()
    model.register_buffer("mean", Tensor([1.0, 2.0]))
    before, keys = getattr(model, name), list(model.state_dict())
    setattr(model, name, None)
    assert getattr(model, name) is None and not [key for key in model.state_dict() if key.startswith(name)]
    assert all(thing is not None for thing in (*model.parameters(), *model.buffers(), *model.modules()))
    model.eval().to("cpu").astype(np.float32).zero_grad()
    repr(model)
    with raises(TypeError, name):
        setattr(model, name, 3)
    setattr(model, name, before)
    assert list(model.state_dict()) == keys


@pytest.mark.parametrize("name", ["scale", "norm", "mean", "constant"])
def test_what_is_deleted_is_gone(name):
    model = Block()
    model.register_buffer("mean", Tensor([1.0]))
    delattr(model, name)
    assert not hasattr(model, name) and name not in dir(model)
    assert not [key for key in model.state_dict() if key.startswith(name)]
    assert name not in [key for key, _ in model.named_modules()]
    with pytest.raises(AttributeError, match=name):
        delattr(model, name)
    setattr(model, name, nn.Parameter(np.ones(1)))
    assert name in model.state_dict()


def test_names_are_found_by_dir_and_missing_ones_are_named():
    assert {"scale", "norm", "constant", "forward"} <= set(dir(Block()))
    with raises(AttributeError, "Block", "shape"):
        _ = Block().shape

    class WithProperty(nn.Module):
        @property
        def size(self):
            return self.nothing_there

    with raises(AttributeError, "nothing_there"):
        _ = WithProperty().size


@pytest.mark.parametrize("register", ["register_parameter", "register_buffer", "register_module", "add_module"])
@pytest.mark.parametrize(
    "name, error, parts",
    [
        ("a.b", KeyError, ["'a.b'", "dot"]),
        ("", KeyError, ["empty"]),
        (3, TypeError, ["str", "3"]),
        ("forward", KeyError, ["'forward'", "class"]),
        ("training", KeyError, ["'training'", "class"]),
        ("_modules", KeyError, ["'_modules'"]),
        ("constant", KeyError, ["'constant'", "already"]),
        ("taken", KeyError, ["'taken'", "already"]),
    ],
)
def test_names_that_cannot_be(register, name, error, parts):
    model = Block()
    if name == "taken" and register == "register_parameter":
        model.register_buffer("taken", Tensor([1.0]))
    elif name == "taken":
        model.taken = nn.Parameter(np.ones(1))
    keys = list(model.state_dict())
    with raises(error, "Block", *parts):
        getattr(model, register)(name, None)
    assert list(model.state_dict()) == keys


def test_a_plain_value_of_the_class_is_a_default():
    class Net(nn.Module):
        head = size = mean = None
        body = nn.Identity()

    empty, full = Net(), Net()
    full.head, full.body = nn.Linear(2, 2), nn.ReLU()
    full.size = nn.Parameter(np.ones(1))
    full.register_buffer("mean", Tensor([1.0]))
    assert isinstance(full.head, nn.Linear) and isinstance(full.body, nn.ReLU)
    assert list(full.state_dict()) == ["size", "mean", "head.weight", "head.bias"]
    assert empty.head is None and not empty.state_dict()
    del full.head
    assert full.head is None and list(full.state_dict()) == ["size", "mean"]


def test_methods_and_properties_of_the_class_are_not_replaced():
    class Net(nn.Module):
        def head(self):
            return 1

        @property
        def size(self):
            return 2

    for name, value in (("head", nn.Linear(2, 2)), ("head", nn.Parameter(np.ones(1))), ("zero_grad", nn.ReLU())):
        with raises(KeyError, "Net", repr(name), "method"):
            setattr(Net(), name, value)
    with raises(AttributeError, "size", "setter"):
        Net().size = nn.ReLU()
    with raises(KeyError, "'size'", "property"):
        Net().register_module("size", nn.ReLU())


def test_a_property_sets_what_its_setter_sets():
    class Net(nn.Module):
        @property
        def head(self):
            return self.inner

        @head.setter
        def head(self, module):
            self.inner = module

    model = Net()
    for outputs in (3, 4):
        model.head = nn.Linear(2, outputs)
        assert model.head is model.inner and model.head.out_features == outputs
        assert list(model.state_dict()) == ["inner.weight", "inner.bias"]


@pytest.mark.parametrize(
    "write",
    [
        lambda model: model._modules.__setitem__("norm", nn.Identity()),
        lambda model: model._parameters.update(scale=nn.Parameter(np.zeros(2))),
        lambda model: model.norm._buffers.pop("running_mean"),
        lambda model: model.layers._modules.clear(),
        lambda model: model._modules.__delitem__("norm"),
    ],
)
@pytest.mark.parametrize("copied", [lambda m: m, copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_the_tables_alone_are_not_written_into(write, copied):
    model = copied(Block())
    with raises(TypeError, "setattr", "delattr"):
        write(model)
    assert list(model.state_dict()) == STATE


@pytest.mark.parametrize(
    "register, value, parts",
    [
        ("register_buffer", np.zeros(3, np.float32), ["ndarray", "minicnn.Tensor"]),
        ("register_buffer", 3.0, ["float"]),
        ("register_parameter", Tensor([1.0]), ["nn.Parameter"]),
        ("register_module", nn.ReLU, ["class ReLU", "ReLU("]),
        ("add_module", np.tanh, ["function tanh"]),
    ],
)
def test_only_what_is_of_the_kind_is_registered(register, value, parts):
    model = Block()
    with raises(TypeError, "'other'", *parts):
        getattr(model, register)("other", value)
    assert not hasattr(model, "other")


HIDING = [
    ([nn.Linear(2, 2)], "nn.ModuleList"),
    ((nn.ReLU(), nn.ReLU()), "nn.ModuleList"),
    ([1, [nn.Linear(2, 2)]], "nn.ModuleList"),
    ({"a": nn.Linear(2, 2)}, "nn.ModuleDict"),
    ({"a": [nn.Parameter(np.ones(1))]}, "nn.ParameterDict"),
    ([nn.Parameter(np.ones(1))], "nn.ParameterList"),
    (collections.deque([nn.ReLU()]), "nn.ModuleList"),
    (np.array([nn.ReLU(), None]), "nn.ModuleList"),
]


@pytest.mark.parametrize("value, way_out", HIDING)
def test_layers_and_parameters_in_a_list_are_refused(value, way_out):
    model = Block()
    with raises(TypeError, "Block.others", type(value).__name__, way_out, "vars(self)['others']"):
        model.others = value
    assert not hasattr(model, "others")
    vars(model)["others"] = value
    assert list(model.state_dict()) == STATE


def test_a_list_that_is_filled_later_is_found_out():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.ReLU())
            self.inner.layers = []
            self.inner.layers.append(nn.Linear(2, 2))

    for look in (nn.Module.parameters, nn.Module.buffers, nn.Module.state_dict, nn.Module.zero_grad):
        with raises(TypeError, "Sequential.layers", "Linear", "nn.ModuleList"):
            list(look(Net()) or ())


def test_a_list_of_what_is_registered_already_is_an_ordinary_attribute():
    model = Block()
    model.order = [model.norm, model.layers[0], {"scale": model.scale}]
    model.itself = model.order
    model.itself.append(model.itself)
    model.sizes = [1, "two", Tensor([3.0])]
    assert list(model.state_dict()) == STATE


def test_no_module_is_a_part_of_itself():
    model = Block()
    for home, part in ((model, model), (model.layers, model), (model.layers[0], model.layers)):
        with raises(ValueError, type(home).__name__, "part"):
            home.again = part
    assert len(list(model.modules())) == 6
