"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict: lists and dicts that leave out nothing."""

import copy
from collections import OrderedDict

import numpy as np
import pytest
from checks import check_close, raises

import minicnn.functional as F
from minicnn import Tensor, nn

X = Tensor(-np.ones((2, 3), np.float32))
LISTS = [lambda layers: nn.Sequential(*layers), nn.ModuleList]
lists = pytest.mark.parametrize("make", LISTS, ids=["Sequential", "ModuleList"])
NO_LAYERS = [
    (F.relu, "function relu", "nn.ReLU()"),
    (nn.ReLU, "class ReLU", "ReLU(...)"),
    ([nn.ReLU()], "a list", "*layers"),
    ((nn.ReLU(),), "a tuple", "*layers"),
    (None, "None", "nn.Identity()"),
    ("relu", "a str", ""),
    (nn.Parameter(np.ones(2)), "a Parameter", ""),
]


def three():
    return [nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)]


def names(container):
    return [name for name, _ in container.named_children()]


@pytest.mark.parametrize("value, what, way_out", NO_LAYERS)
def test_a_sequential_takes_layers_only(value, what, way_out):
    with raises(TypeError, "Sequential: entry 1 ", what, way_out):
        nn.Sequential(nn.Linear(3, 2), value)
    with raises(TypeError, "Sequential: entry", what, way_out):
        nn.Sequential(value)
    with raises(TypeError, "Sequential: entry act", what, way_out):
        nn.Sequential({"fc": nn.Linear(3, 2), "act": value})


@lists
@pytest.mark.parametrize("value, what, way_out", NO_LAYERS)
def test_nothing_else_gets_in_later(make, value, what, way_out):
    net = make(three())
    before = list(net)
    for put in (
        lambda: net.__setitem__(1, value),
        lambda: net.append(value),
        lambda: net.insert(1, value),
        lambda: net.extend([nn.ReLU(), value]),
        lambda: net.__iadd__([value]),
        lambda: setattr(net, "1", F.relu),
    ):
        with pytest.raises(TypeError):
            put()
        assert list(net) == before and names(net) == ["0", "1", "2"]
    with raises(TypeError, f"{type(net).__name__}: entry -1 ", what, way_out):
        net[-1] = value


@pytest.mark.parametrize("values", [3, None, nn.ReLU(), "abc", {"a": nn.ReLU()}, nn.ModuleDict({"a": nn.ReLU()})])
def test_a_list_is_made_of_a_list(values):
    with raises(TypeError, "ModuleList"):
        nn.ModuleList(values)


@lists
def test_indices_and_slices(make):
    layers = three()
    net = make(layers)
    assert len(net) == 3 and list(net) == layers and net[0] is layers[0] and net[-1] is net[np.int64(2)] is layers[2]
    assert type(net[1:]) is type(net) and list(net[1:]) == layers[1:] and list(net[::-2]) == layers[::-2]
    assert layers[1] in net and nn.ReLU() not in net
    for index in (3, -4):
        for use in (net.__getitem__, net.__delitem__, lambda i: net.__setitem__(i, nn.ReLU())):
            with raises(IndexError, type(net).__name__, index, 3):
                use(index)
    for index in ("0", 1.0, slice(0, 2)):
        with pytest.raises(TypeError):
            net[index] = nn.ReLU()
    assert list(net) == layers


@lists
def test_it_changes_as_a_list_does(make):
    net, model = make(three()), three()
    new = [nn.Tanh() for _ in range(7)]
    for container in (net, model):
        container[1] = new[0]
        container[-1] = new[1]
        del container[0]
        container.append(new[2])
        container.insert(0, new[3])
        container.insert(-1, new[4])
        container.insert(99, new[5])
        container.extend([new[6], new[0]])
    net += [new[1]]
    model += [new[1]]
    assert net.pop() is model.pop() and net.pop(0) is model.pop(0)
    assert list(net) == model and list(net._modules) == [str(i) for i in range(len(model))]
    del net[1:3], model[1:3]
    assert list(net) == model and list(net._modules) == [str(i) for i in range(len(model))]
    assert len(list(net.children())) == len(set(model))


@lists
def test_a_layer_may_stand_in_it_twice(make):
    relu = nn.ReLU()
    net = make([relu, relu])
    assert len(net) == 2 and list(net) == [relu, relu] and len(list(net.children())) == 1


@lists
def test_it_may_be_extended_by_itself(make):
    net = make(three())
    net.extend(net)
    assert len(net) == 6 and net[3] is net[0]


def test_sequential_runs_what_it_has():
    net = nn.Sequential(*three())
    expected = net[2](net[1](net[0](X))).numpy()
    check_close(net(X).numpy(), expected, 0)
    del net[1]
    check_close(net(X).numpy(), net[1](net[0](X)).numpy(), 0)
    net.insert(1, nn.Tanh()).append(nn.ReLU())
    assert (net(X).numpy() >= 0).all() and net[:0](X) is X
    assert nn.Sequential()(X) is X


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_sequential_with_names(kind):
    net = nn.Sequential(kind([("fc", nn.Linear(3, 2)), ("act", nn.ReLU())]))
    assert list(net.state_dict()) == ["fc.weight", "fc.bias"] and net[1] is net.act and net[:1].fc is net.fc
    check_close(net(X).numpy(), F.relu(net.fc(X)).numpy(), 0)
    net[0] = nn.Linear(3, 5)
    assert names(net) == ["fc", "act"] and net(X).shape == (2, 5)
    net.append(nn.Tanh()).insert(0, nn.Identity())
    assert [type(m).__name__ for m in net] == ["Identity", "Linear", "ReLU", "Tanh"] and "fc" in names(net)
    del net[1]
    assert not hasattr(net, "fc") and len(net) == 3
    for name, error in (("a.b", KeyError), ("forward", KeyError), ("", KeyError), (3, TypeError)):
        with pytest.raises(error):
            nn.Sequential(kind([(name, nn.ReLU())]))


def test_a_slice_keeps_pytorchs_names_and_can_be_added_to(torch):
    ours = nn.Sequential(*three())[1:]
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))[1:]
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["2.weight", "2.bias"]
    last = ours[-1]
    ours.append(nn.Tanh())
    assert len(ours) == 3 and ours[1] is last


def test_a_module_list_is_found_by_its_network():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList()
            for _ in range(3):
                self.layers.append(nn.Linear(3, 3))
            self.heads = nn.ModuleDict({"a": nn.Linear(3, 1), "b": nn.Linear(3, 2)})
            self.scales = nn.ParameterList([nn.Parameter(np.ones(3, np.float32))])

        def forward(self, x, head):
            for layer in self.layers:
                x = layer(x) * self.scales[0]
            return self.heads[head](x)

    net = Net()
    assert len(list(net.parameters())) == 11 and "layers.2.bias" in net.state_dict() and "scales.0" in net.state_dict()
    net(X, head="b").sum().backward()
    assert all(p.grad is not None for p in net.layers.parameters()) and net.heads["a"].weight.grad is None
    other = copy.deepcopy(net)
    other.load_state_dict(net.state_dict())
    assert other.layers[1] is not net.layers[1]
    with raises(NotImplementedError, "ModuleList"):
        net.layers(X)


def test_a_module_dict():
    a, b, c = three()
    heads = nn.ModuleDict({"a": a, "b": b})
    heads["c"] = c
    heads.update([("a", b)])
    assert list(heads) == list(heads.keys()) == ["a", "b", "c"] and list(heads.values()) == [b, b, c]
    assert dict(heads.items()) == {"a": b, "b": b, "c": c} and heads["c"] is heads.c is c and len(heads) == 3
    assert "b" in heads and "d" not in heads and heads.pop("b") is b
    del heads["a"]
    with pytest.raises(KeyError, match="a"):
        heads["a"]
    for values in ({"d": nn.ReLU(), "e": F.relu}, {"d": nn.ReLU(), "e": nn.ReLU}):
        with raises(TypeError, "ModuleDict: entry e"):
            heads.update(values)
    for name in ("keys", "a.b", ""):
        with raises(KeyError, "ModuleDict", name):
            heads[name] = nn.ReLU()
    assert list(heads) == ["c"]
    heads.clear()
    assert len(heads) == 0 and not list(heads.parameters())


def test_parameters_in_lists_and_dicts():
    p, q = (nn.Parameter(np.full(2, value, np.float32)) for value in (1, 2))
    several, named = nn.ParameterList([p, q]), nn.ParameterDict({"p": p})
    several.append(p)
    del several[0]
    assert list(several) == [q, p] and several[-1] is p and list(several.state_dict()) == ["0", "1"]
    assert named["p"] is p and list(named.state_dict()) == ["p"] and len(named) == 1
    assert repr(several) == "ParameterList((0): (2,), (1): (2,))"
    for values in ([Tensor([1.0])], [np.ones(2)], [nn.ReLU()], p):
        with raises(TypeError, "ParameterList"):
            several.extend(values)
    with raises(TypeError, "ParameterDict: entry q", "nn.Parameter("):
        named["q"] = Tensor([1.0])
    assert len(several) == 2 and list(named) == ["p"]
