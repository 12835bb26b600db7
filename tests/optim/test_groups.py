"""Groups of parameters: what belongs together is looked at when it is given, and before each step."""

import copy

import numpy as np
import pytest
from checks import raises
from steps import leaf, parameters, take_steps

from minicnn import Tensor, nn, tier
from minicnn.device import to_device
from minicnn.optim import SGD, weights_and_biases


def test_weights_and_biases():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm2d(4), nn.Conv2d(1, 2, 3))
    model[0].freeze()
    weights, biases = weights_and_biases(model, lr=0.1, weight_decay=5e-4)
    assert [p.shape for p in weights["params"]] == [(2, 1, 3, 3)] and weights["lr"] == 0.1
    assert [p.shape for p in biases["params"]] == [(4,), (4,), (2,)]
    assert (weights["weight_decay"], biases["lr"], biases["weight_decay"]) == (5e-4, 0.2, 0.0)


@pytest.mark.parametrize(
    "settings, parts",
    [
        ({"lr": -0.1}, ["lr", "-0.1"]),
        ({"lr": 0.1, "momentum": -1}, ["momentum", "-1"]),
        ({"lr": 0.1, "weight_decay": np.nan}, ["weight_decay", "nan"]),
        ({"lr": 0.1, "nesterov": True}, ["nesterov", "momentum"]),
        ({"lr": 0.1, "nesterov": True, "momentum": 0.9, "dampening": 0.1}, ["nesterov", "dampening"]),
    ],
)
def test_impossible_settings(settings, parts):
    with raises(ValueError, "SGD", *parts):
        SGD(parameters(0), **settings)


def test_parameters_must_be_there_and_different():
    with raises(ValueError, "SGD", "no parameters"):
        SGD([], lr=0.1)
    w = parameters(0)[0]
    with raises(ValueError, "SGD", "twice"):
        SGD([{"params": [w]}, {"params": [w]}], lr=0.1)


LAYER, RESULT = nn.Linear(2, 3), nn.Parameter(np.ones(2)) * 2


@pytest.mark.parametrize(
    "params, error, parts",
    [
        (leaf(), TypeError, ["one Tensor", "[tensor]"]),
        (LAYER, TypeError, ["Linear", ".parameters()"]),
        (nn.Sequential(LAYER), TypeError, ["Sequential", ".parameters()"]),
        ([LAYER], TypeError, ["entry 0", "Linear"]),
        (LAYER.named_parameters(), TypeError, ["tuple", "named_parameters"]),
        (LAYER.parameters, TypeError, ["method"]),
        (LAYER.state_dict(), TypeError, ["dict"]),
        ({"params": [leaf()]}, TypeError, ["dict"]),
        ({leaf()}, TypeError, ["set"]),
        ("weights", TypeError, ["str"]),
        (3, TypeError, ["int"]),
        (None, TypeError, ["NoneType"]),
        ([np.ones(3)], TypeError, ["entry 0", "ndarray"]),
        ([leaf(), [leaf()]], TypeError, ["entry 1", "list"]),
        ([leaf(), {"params": [leaf()]}], TypeError, ["both", "group"]),
        ([{"weights": [leaf()]}], TypeError, ['{"params"']),
        ([{"params": LAYER}], TypeError, ["Linear", ".parameters()"]),
        ([{"params": "weight"}], TypeError, ["str"]),
        ([{"params": [leaf()]}, {"params": {leaf()}}], TypeError, ["set"]),
        ([RESULT], ValueError, ["entry 0", "(2,)", "Mul", "leaves"]),
        ([leaf(), Tensor(np.arange(3))], TypeError, ["entry 1", "int64"]),
        ([{"params": [leaf()], "learning_rate": 1.0}], ValueError, ["'learning_rate'", "weight_decay"]),
        ([{"params": [leaf()], "lr": "0.1"}], TypeError, ["lr", "'0.1'"]),
        ([{"params": [leaf()], "momentum": np.inf}], ValueError, ["momentum", "inf"]),
        (iter(()), ValueError, ["no parameters"]),
        ([LAYER.weight, LAYER.weight], ValueError, ["twice"]),
    ],
)
def test_what_cannot_be_trained_is_refused(params, error, parts):
    with raises(error, "SGD", *parts):
        SGD(params, lr=0.1)


def test_what_can_be_trained():
    a, b, c = (leaf() for _ in range(3))
    frozen, tensor = nn.Parameter(np.ones(2), requires_grad=False), Tensor([1.0])
    for params in ((a, b), iter([a, b]), [{"params": a}, {"params": iter([b])}, {"params": []}], {a: 1, b: 2}.keys()):
        optimizer = SGD(params, lr=np.float32(0.5), momentum=np.int64(0))
        assert [p is q for group in optimizer.param_groups for p, q in zip(group["params"], (a, b), strict=False)]
        assert type(optimizer.param_groups[0]["lr"]) is float and type(optimizer.param_groups[0]["momentum"]) is float
    optimizer = SGD([a, frozen, tensor], lr=0.5)
    optimizer.add_param_group({"params": c, "lr": 1.0})
    for p in (a, c):
        p.grad = p.like(np.ones((3, 2), np.float32))
    optimizer.step()
    assert (a.numpy() == 0.5).all() and (c.numpy() == 0).all() and (frozen.numpy() == 1).all() and tensor.numpy() == 1


def test_a_group_that_cannot_be_added_changes_nothing():
    a = leaf()
    optimizer = SGD([a], lr=0.5)
    for group in ({"params": [leaf(), a]}, {"params": RESULT}, {"params": leaf(), "rate": 1}, [leaf()], {"lr": 1}):
        with pytest.raises((TypeError, ValueError)):
            optimizer.add_param_group(group)
        assert len(optimizer.param_groups) == 1


def test_a_group_that_is_added_later_has_velocities_of_its_own():
    whole, parts = parameters(0), parameters(0)
    both = SGD(whole, lr=0.1, momentum=0.9), SGD(parts[:1], lr=0.1, momentum=0.9)
    both[1].add_param_group({"params": parts[1:]})
    for optimizer, tensors in zip(both, (whole, parts), strict=True):
        take_steps(optimizer, tensors, 0, range(4))
    for a, b in zip(whole, parts, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())
    assert len(both[1].state_dict()["velocities"]) == 3


@pytest.mark.parametrize(
    "settings, error, parts",
    [
        ({"lr": Tensor([0.1])}, TypeError, ["lr", "Tensor"]),
        ({"lr": "0.1"}, TypeError, ["lr", "'0.1'"]),
        ({"lr": None}, TypeError, ["lr", "None"]),
        ({"lr": True}, TypeError, ["lr", "True"]),
        ({"lr": np.ones(1)}, TypeError, ["lr", "ndarray"]),
        ({"lr": np.nan}, ValueError, ["lr", "nan"]),
        ({"lr": np.inf}, ValueError, ["lr", "inf"]),
        ({"lr": 10**400}, ValueError, ["lr", "at least 0"]),
        ({"lr": 0.1, "momentum": "0.9"}, TypeError, ["momentum", "'0.9'"]),
        ({"lr": 0.1, "dampening": np.nan}, ValueError, ["dampening", "finite", "nan"]),
        ({"lr": 0.1, "weight_decay": [0.1]}, TypeError, ["weight_decay"]),
        ({"lr": 0.1, "momentum": 0.9, "nesterov": "yes"}, TypeError, ["nesterov", "True or False", "'yes'"]),
    ],
)
def test_settings_are_numbers_when_given_and_before_each_step(settings, error, parts):
    w = leaf()
    with raises(error, "SGD", *parts):
        SGD([w], **settings)
    optimizer = SGD([w], lr=0.1, momentum=0.5)
    optimizer.param_groups[0].update(settings)
    w.grad = w.like(np.ones((3, 2), np.float32))
    with raises(error, "SGD", *parts):
        optimizer.step()
    assert (w.numpy() == 1).all() and optimizer.state_dict()["velocities"] == [None]


def larger_parameter(p, optimizer):
    p.data, p.grad.data = np.ones((300, 200), np.float32), np.ones((300, 200), np.float32)


def larger_parameter_without_velocity(p, optimizer):
    optimizer.param_groups[0]["momentum"] = 0.0
    p.data = np.ones((300, 200), np.float32)


def smaller_gradient(p, optimizer):
    p.grad.data = np.ones(2, np.float32)


def transposed_gradient(p, optimizer):
    p.grad.data = p.grad.data.T


def gradient_of_another_dtype(p, optimizer):
    p.grad.data = p.grad.data.astype(np.float64)


def converted_parameter(p, optimizer):
    p.data, p.grad.data = p.data.astype(np.float64), p.grad.data.astype(np.float64)


def moved_gradient(p, optimizer):
    p.grad.data = to_device(p.grad.data, "cuda")


def moved_parameter(p, optimizer):
    p.data, p.grad.data = to_device(p.data, "cuda"), to_device(p.grad.data, "cuda")


def integer_parameter(p, optimizer):
    p.requires_grad_(False).data, p.grad.data = p.data.astype(int), p.grad.data.astype(int)


def read_only_parameter(p, optimizer):
    p.data = p.data.copy()
    p.data.flags.writeable = False


def read_only_velocity(p, optimizer):
    optimizer.state[p]["velocity"].flags.writeable = False


WRONG = [
    (larger_parameter, ["(300, 200)", "velocity", "(3, 2)"]),
    (larger_parameter_without_velocity, ["(300, 200)", "gradient", "(3, 2)"]),
    (smaller_gradient, ["gradient has shape (2,)"]),
    (transposed_gradient, ["gradient", "(2, 3)"]),
    (gradient_of_another_dtype, ["gradient", "float64"]),
    (converted_parameter, ["float64", "velocity", "float32"]),
    (moved_gradient, ["float32 on cpu", "float32 on cuda"]),
    (moved_parameter, ["float32 on cpu", "float32 on cuda"]),
    (integer_parameter, ["int64"]),
    (read_only_parameter, ["writeable"]),
    (read_only_velocity, ["writeable"]),
]


@pytest.mark.parametrize("go_wrong, parts", WRONG, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("tier_name", ["plain", "fast"])
def test_nothing_is_changed_where_an_array_has_become_another(tier_name, go_wrong, parts, monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    first, p = leaf(), leaf()
    optimizer = SGD([{"params": [first]}, {"params": [leaf(), p]}], lr=0.5, momentum=0.5)
    for each in (first, p):
        each.grad = each.like(np.ones((3, 2), np.float32))
    with tier(tier_name):
        optimizer.step()
        go_wrong(p, optimizer)
        values = first.numpy().copy(), to_device(p.data, "cpu").copy()
        state = copy.deepcopy(optimizer.state_dict())
        with raises((TypeError, ValueError), "SGD.step", "parameter 1 of group 1", *parts):
            optimizer.step()
    assert np.array_equal(first.numpy(), values[0]) and np.array_equal(to_device(p.data, "cpu"), values[1])
    for before, after in zip(state["velocities"], optimizer.state_dict()["velocities"], strict=True):
        assert np.array_equal(before, after)
