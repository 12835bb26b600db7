"""SGD against torch.optim.SGD, step by step, and interrupted halfway."""

import numpy as np
import pytest
from checks import check_close, raises
from hypothesis import given
from hypothesis import strategies as st
from steps import check_it_continues, gradients, leaf, parameters, take_steps
from strategies import PERHAPS, SEEDS

from minicnn.optim import SGD, sgd

SETTINGS = st.fixed_dictionaries(
    {
        "lr": st.sampled_from([0.1, 1e-3]),
        "momentum": st.sampled_from([0.0, 0.9]),
        "dampening": st.sampled_from([0.0, 0.3]),
        "weight_decay": st.sampled_from([0.0, 5e-4, 0.1]),
        "nesterov": PERHAPS,
    }
).map(lambda s: s | ({"momentum": 0.9, "dampening": 0.0} if s["nesterov"] else {}))


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
    check_it_continues(SGD, settings, seed)


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
        (lambda s: None, ["groups, velocities", "NoneType"]),
        (lambda s: [], ["groups, velocities", "list"]),
        (lambda s: {"velocities": s["velocities"]}, ["the lists groups, velocities", "has velocities"]),
        (lambda s: s | {"groups": "sgd"}, ["the lists groups, velocities"]),
        (lambda s: s | {"groups": [None]}, ["group", "nesterov"]),
        (lambda s: s | {"groups": [{"lr": 0.1}]}, ["group", "nesterov"]),
        (lambda s: s | {"groups": [s["groups"][0] | {"rate": 1}]}, ["group", "nesterov"]),
        (lambda s: s | {"groups": [s["groups"][0] | {"lr": np.nan}]}, ["lr", "nan"]),
        (lambda s: s | {"groups": [s["groups"][0] | {"momentum": "0.9"}]}, ["momentum", "'0.9'"]),
        (lambda s: s | {"groups": s["groups"] * 2}, ["1 parameters in 2 groups"]),
        (lambda s: s | {"velocities": []}, ["0 parameters"]),
        (lambda s: s | {"velocities": [np.ones((2, 3))]}, ["velocities[0]", "(2, 3)", "(3, 2)"]),
        (lambda s: s | {"velocities": [np.full((3, 2), "a")]}, ["numbers"]),
        (lambda s: s | {"velocities": ["abc"]}, ["velocities[0]", "()"]),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(damage, parts):
    optimizer = SGD([leaf()], lr=0.1)
    with raises((TypeError, ValueError), "SGD", *parts):
        optimizer.load_state_dict(damage(good_state()))
    assert optimizer.param_groups[0]["lr"] == 0.1 and optimizer.state_dict()["velocities"] == [None]
    optimizer.load_state_dict(good_state() | {"velocities": [[[1, 2], [3, 4], [5, 6]]]})
    assert optimizer.state_dict()["velocities"][0].dtype == np.float32 and optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    "shapes, parts",
    [([(3, 2, 2), (4,)], ["2 parameters", "these 3"]), ([(3, 2, 2), (5,), ()], ["velocities[1]", "(5,)", "(4,)"])],
)
def test_a_state_of_other_parameters_is_refused(shapes, parts):
    other = parameters(0, shapes)
    saved = SGD(other, lr=0.5, momentum=0.9)
    for p in other:
        p.grad = p.like(np.ones(p.shape))
    saved.step()
    optimizer = SGD(parameters(0), lr=0.1)
    with raises(ValueError, "SGD.load_state_dict", *parts):
        optimizer.load_state_dict(saved.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.1
