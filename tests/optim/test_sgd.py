"""SGD against torch.optim.SGD, step by step, and interrupted halfway."""

import copy

import numpy as np
import pytest
from checks import check_close, raises
from hypothesis import given
from hypothesis import strategies as st
from strategies import PERHAPS, SEEDS

from minicnn import Tensor, nn, tier
from minicnn.device import to_device
from minicnn.optim import SGD, sgd, weights_and_biases

SHAPES = [(3, 2, 2), (4,), ()]
SETTINGS = st.fixed_dictionaries(
    {
        "lr": st.sampled_from([0.1, 1e-3]),
        "momentum": st.sampled_from([0.0, 0.9]),
        "dampening": st.sampled_from([0.0, 0.3]),
        "weight_decay": st.sampled_from([0.0, 5e-4, 0.1]),
        "nesterov": PERHAPS,
    }
).map(lambda s: s | ({"momentum": 0.9, "dampening": 0.0} if s["nesterov"] else {}))


def parameters(seed, shapes=SHAPES, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return [nn.Parameter(np.array(rng.standard_normal(shape), dtype)) for shape in shapes]


def gradients(seed, step, shapes=SHAPES):
    """One for each parameter; in some steps a parameter has none."""
    rng = np.random.default_rng([seed, step])
    return [None if rng.random() < 0.2 else np.array(rng.standard_normal(shape)) for shape in shapes]


def take_steps(optimizer, tensors, seed, steps):
    for step in steps:
        for tensor, grad in zip(tensors, gradients(seed, step), strict=True):
            tensor.grad = None if grad is None else tensor.like(grad)
        optimizer.step()


@given(settings=SETTINGS, seed=SEEDS)
def test_equals_torch(torch, settings, seed):
    ours = parameters(seed)
    theirs = [torch.nn.Parameter(torch.from_numpy(p.numpy().copy())) for p in ours]
    optimizer, oracle = SGD(ours, **settings), torch.optim.SGD(theirs, **settings)
    for step in range(8):
        take_steps(optimizer, ours, seed, [step])
        for parameter, grad in zip(theirs, gradients(seed, step), strict=True):
            parameter.grad = None if grad is None else torch.from_numpy(grad)
        oracle.step()
    for our, their in zip(ours, theirs, strict=True):
        check_close(our.numpy(), their.detach().numpy(), 1e-12)


@given(settings=SETTINGS, seed=SEEDS)
def test_continues_exactly_from_a_saved_state(settings, seed):
    whole, half = parameters(seed), parameters(seed)
    take_steps(SGD(whole, **settings), whole, seed, range(6))
    first = SGD(half, **settings)
    take_steps(first, half, seed, range(3))
    second = SGD(half, lr=9.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    take_steps(second, half, seed, range(3, 6))
    for a, b in zip(whole, half, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())


def test_the_first_steps_by_hand():
    """With w = 1, gradient 1, decay 0.5: d = 1.5, v = 1.5, w = 0.85; then d = 1.425, v = 0.75 + 1.425, w = 0.6325."""
    (w,) = parameters(0, [(1,)])
    w.detach()[...] = 1
    optimizer = SGD([w], lr=0.1, momentum=0.5, weight_decay=0.5)
    for expected in (0.85, 0.6325):
        w.grad = w.like(np.array([1.0]))
        optimizer.step()
        check_close(w.numpy(), np.array([expected]), 1e-15)


@pytest.mark.parametrize("shape", [(70_000,), (2, 3, 40_000), (3, 70_000)])
def test_arrays_larger_than_a_block(shape):
    (w,) = parameters(0, [shape])
    before, grad = w.numpy().copy(), np.random.default_rng(1).standard_normal(shape)
    w.grad = w.like(grad)
    SGD([w], lr=0.5, momentum=0.9, weight_decay=0.1).step()
    check_close(w.numpy(), before - 0.5 * (grad + 0.1 * before), 1e-14)


def test_float32_stays_float32():
    (w,) = parameters(0, [(3,)], np.float32)
    w.grad = w.like(np.ones(3, np.float32))
    optimizer = SGD([w], lr=0.1, momentum=0.9, weight_decay=0.1)
    optimizer.step()
    assert w.dtype == np.float32 and optimizer.state_dict()["velocities"][0].dtype == np.float32


def test_groups_have_their_own_settings():
    a, b = parameters(0, [(2,), (2,)])
    before = a.numpy().copy(), b.numpy().copy()
    optimizer = SGD([{"params": [a], "lr": 1.0}, {"params": [b], "weight_decay": 0.5}], lr=0.1)
    for p in (a, b):
        p.grad = p.like(np.ones(2))
    optimizer.step()
    check_close(a.numpy(), before[0] - 1, 1e-15)
    check_close(b.numpy(), before[1] - 0.1 * (1 + 0.5 * before[1]), 1e-15)


def test_a_step_is_seen_by_a_graph_that_saved_the_weight():
    (w,) = parameters(0, [(2,)])
    y = (w * w).sum()
    w.grad = w.like(np.ones(2))
    SGD([w], lr=0.1).step()
    with raises(RuntimeError, "Mul", "in place"):
        y.backward()


def test_zero_grad():
    (w,) = parameters(0, [(2,)])
    w.grad = w.like(np.ones(2))
    SGD(iter([w]), lr=0.1).zero_grad()
    assert w.grad is None


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


def leaf():
    return nn.Parameter(np.ones((3, 2), np.float32))


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


def test_memory_that_is_not_there_leaves_the_first_step_the_first(monkeypatch):
    """Where a velocity cannot be made: the next try has no dampening either."""
    tried, whole = parameters(0), parameters(0)
    optimizers = [SGD(tensors, lr=0.1, momentum=0.5, dampening=0.5) for tensors in (tried, whole)]
    for tensor in (*tried, *whole):
        tensor.grad = tensor.like(np.ones(tensor.shape))
    made = []

    def zeros_like(array):
        made.append(array)
        if len(made) == 2:
            raise MemoryError
        return np.zeros(array.shape, array.dtype)

    with monkeypatch.context() as patch:
        patch.setattr(sgd.np, "zeros_like", zeros_like)
        with raises(MemoryError, "SGD.step"):
            optimizers[0].step()
    for optimizer in optimizers:
        optimizer.step()
    for a, b in zip(tried, whole, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())


def test_without_momentum_a_velocity_of_before_is_not_used(torch):
    """As PyTorch does when the momentum is taken back to 0."""
    (ours,) = parameters(0, [(4,)])
    theirs = torch.nn.Parameter(torch.from_numpy(ours.numpy().copy()))
    optimizers = [
        kind([p], lr=0.1, momentum=0.5, dampening=0.3) for kind, p in ((SGD, ours), (torch.optim.SGD, theirs))
    ]
    for momentum in (0.5, 0.5, 0.0, 0.0, 0.5):
        grad = np.random.default_rng(0).standard_normal(4)
        ours.grad, theirs.grad = ours.like(grad), torch.from_numpy(grad)
        for optimizer in optimizers:
            optimizer.param_groups[0]["momentum"] = momentum
            optimizer.step()
    check_close(ours.numpy(), theirs.detach().numpy(), 1e-12)


def good_state():
    w = leaf()
    optimizer = SGD([w], lr=0.5, momentum=0.9)
    w.grad = w.like(np.ones((3, 2), np.float32))
    optimizer.step()
    return optimizer.state_dict()


@pytest.mark.parametrize(
    "damage, parts",
    [
        (lambda s: None, ["two lists"]),
        (lambda s: [], ["two lists"]),
        (lambda s: {"velocities": s["velocities"]}, ["two lists"]),
        (lambda s: s | {"groups": "sgd"}, ["two lists"]),
        (lambda s: s | {"groups": [None]}, ["group", "nesterov"]),
        (lambda s: s | {"groups": [{"lr": 0.1}]}, ["group", "nesterov"]),
        (lambda s: s | {"groups": [s["groups"][0] | {"rate": 1}]}, ["group", "nesterov"]),
        (lambda s: s | {"groups": [s["groups"][0] | {"lr": np.nan}]}, ["lr", "nan"]),
        (lambda s: s | {"groups": [s["groups"][0] | {"momentum": "0.9"}]}, ["momentum", "'0.9'"]),
        (lambda s: s | {"groups": s["groups"] * 2}, ["1 parameters in 2 groups"]),
        (lambda s: s | {"velocities": []}, ["0 parameters"]),
        (lambda s: s | {"velocities": [np.ones((2, 3))]}, ["shapes"]),
        (lambda s: s | {"velocities": [np.full((3, 2), "a")]}, ["numbers"]),
        (lambda s: s | {"velocities": ["abc"]}, ["shapes"]),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(damage, parts):
    optimizer = SGD([leaf()], lr=0.1)
    with raises((TypeError, ValueError), "SGD", *parts):
        optimizer.load_state_dict(damage(good_state()))
    assert optimizer.param_groups[0]["lr"] == 0.1 and optimizer.state_dict()["velocities"] == [None]
    optimizer.load_state_dict(good_state() | {"velocities": [[[1, 2], [3, 4], [5, 6]]]})
    assert optimizer.state_dict()["velocities"][0].dtype == np.float32 and optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("shapes", [[(3, 2, 2), (4,)], [(3, 2, 2), (5,), ()]])
def test_a_state_of_other_parameters_is_refused(shapes):
    other = parameters(0, shapes)
    saved = SGD(other, lr=0.5, momentum=0.9)
    for p in other:
        p.grad = p.like(np.ones(p.shape))
    saved.step()
    optimizer = SGD(parameters(0), lr=0.1)
    with raises(ValueError, "SGD.load_state_dict", f"{len(shapes)} parameters", "these 3"):
        optimizer.load_state_dict(saved.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.1
