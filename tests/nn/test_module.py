"""Module: what it finds among its attributes, its state, its modes."""

import collections
import copy
import pickle

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


# Attributes: what a name stands for


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
    assert list(full.state_dict()) == ["size", "head.weight", "head.bias", "mean"]
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
    assert list(model.state_dict()) == KEYS + BUFFERS


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
    assert list(model.state_dict()) == KEYS + BUFFERS


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
    assert list(model.state_dict()) == KEYS + BUFFERS


def test_no_module_is_a_part_of_itself():
    model = Block()
    for home, part in ((model, model), (model.layers, model), (model.layers[0], model.layers)):
        with raises(ValueError, type(home).__name__, "part"):
            home.again = part
    assert len(list(model.modules())) == 6


# Tied layers and parameters


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.other = nn.Linear(3, 3, bias=False)
        self.other.weight = self.first.weight
        self.register_buffer("a", Tensor([1.0]))
        self.register_buffer("b", self.a)


def test_tied_ones_are_given_once():
    model = Tied()
    assert [name for name, _ in model.named_parameters()] == ["first.weight", "first.bias"]
    assert [name for name, _ in model.named_modules()] == ["", "first", "other"]
    assert [name for name, _ in model.named_children()] == ["first", "other"]
    assert [name for name, _ in model.named_buffers()] == ["a"] and len(list(model.buffers())) == 1
    assert len(list(model.parameters())) == 2 and len(list(model.modules())) == 3 and len(list(model.children())) == 2
    every = [name for name, _ in model.named_modules(remove_duplicate=False)]
    assert every == ["", "first", "again", "other"] and model.get_submodule("again") is model.first
    names = [name for name, _ in model.named_parameters("net", remove_duplicate=False)]
    assert names == [
        "net." + key for key in ("first.weight", "first.bias", "again.weight", "again.bias", "other.weight")
    ]
    assert not list(model.parameters(recurse=False)) and len(list(model.buffers(recurse=False))) == 1


def test_tied_ones_are_named_as_pytorch_names_them(torch):
    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(3, 3)
            self.again = self.first
            self.other = torch.nn.Linear(3, 3, bias=False)
            self.other.weight = self.first.weight
            self.register_buffer("a", torch.ones(1))
            self.register_buffer("b", self.a)

    ours, theirs = Tied(), Theirs()
    assert sorted(ours.state_dict()) == sorted(theirs.state_dict())
    for named in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [n for n, _ in getattr(ours, named)()] == [n for n, _ in getattr(theirs, named)()]
    ours.load_state_dict(theirs.state_dict())
    check_close(ours.other.weight.numpy(), theirs.first.weight.detach().numpy(), 0)


def test_the_state_of_tied_ones():
    one, other = Tied(), Tied()
    assert list(one.state_dict())[:2] == ["first.weight", "first.bias"] and len(one.state_dict()) == 7
    other.load_state_dict(one.state_dict())
    assert other.other.weight is other.first.weight
    state = {key: t.numpy() for key, t in one.state_dict().items()}
    del state["first.weight"], state["other.weight"], state["b"]  # as files keep what is shared
    other.load_state_dict(state | {"again.weight": np.full((3, 3), 7.0)})
    assert (other.first.weight.numpy() == 7).all()
    with raises(ValueError, "Tied", "again.weight and other.weight"):
        other.load_state_dict(state | {"again.weight": np.zeros((3, 3)), "other.weight": np.ones((3, 3))})
    assert (other.first.weight.numpy() == 7).all()


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
    with raises(TypeError, "Block.astype", "float32 or float64", np.dtype(dtype)):
        model.astype(dtype)
    for key, t in model.state_dict().items():
        assert t.dtype == np.float32 and np.array_equal(t.numpy(), before[key])


@pytest.mark.parametrize("model", [Block(), nn.ReLU()], ids=["parameters", "no parameters"])
def test_to_takes_only_devices(model):
    for device in ("gpu", None, np.float64, "cuda:0"):
        with raises(ValueError, f"{type(model).__name__}.to", "cpu or cuda"):
            model.to(device)


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


def test_a_state_in_part():
    model = Block()
    keys = model.load_state_dict({"scale": np.full(2, 4.0), "extra": 1}, strict=False)
    assert keys.missing_keys == (KEYS + BUFFERS)[1:] and keys.unexpected_keys == ["extra"]
    assert model.scale.numpy().tolist() == [4, 4] and model.load_state_dict(model.state_dict()) == ([], [])
    with raises(ValueError, "scale: (3,), not (2,)"):
        model.load_state_dict({"scale": np.ones(3)}, strict=False)


@pytest.mark.parametrize("state", ["weights.npz", None, [1, 2], nn.ReLU()])
def test_a_state_is_a_dict(state):
    with raises(TypeError, "load_state_dict", type(state).__name__):
        Block().load_state_dict(state)


@pytest.mark.parametrize("value", [["a", "b"], [None, 1], [1j, 2]])
def test_a_state_holds_numbers(value):
    model = Block()
    with raises(TypeError, "load_state_dict", "scale"):
        model.load_state_dict(model.state_dict() | {"scale": np.array(value)})


def test_a_state_has_no_masks():
    model = Block()
    with raises(TypeError, "mask", "filled"):
        model.load_state_dict(model.state_dict() | {"scale": np.ma.masked_array([7.0, 7.0], mask=[True, False])})
    assert model.scale.tolist() == [1, 1]


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
    assert model.norm is not None and list(model.state_dict()) == KEYS + BUFFERS


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
