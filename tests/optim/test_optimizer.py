"""What all optimisers share: how they print, what they keep, gradients that are forgotten."""

import copy

import numpy as np
import pytest
from checks import Place, raises
from steps import leaf, parameters, take_steps

from minicnn import Tensor, nn, optim
from minicnn.optim import SGD, Optimizer


@pytest.mark.parametrize(
    "kind, settings", [("SGD", {"lr": 0.1, "momentum": 0.9}), ("Adam", {}), ("AdamW", {"lr": 0.1})]
)
def test_they_print_as_in_torch(torch, kind, settings):
    ours, theirs = getattr(optim, kind)([leaf()], **settings), getattr(torch.optim, kind)([torch.ones(1)], **settings)
    ours.add_param_group({"params": leaf(), "lr": 1.0})
    theirs.add_param_group({"params": torch.ones(1), "lr": 1.0})
    absent = ("foreach", "maximize", "differentiable", "fused", "capturable", "decoupled_weight_decay")  # here
    expected = [line for line in repr(theirs).splitlines() if line.split(":")[0].strip() not in absent]
    assert repr(ours).replace("0.0\n", "0\n") == "\n".join(expected)


def test_a_new_optimiser_says_what_it_lacks():
    class Lion(Optimizer):
        pass

    with raises(NotImplementedError, "Lion", "settings"):
        Lion([leaf()], {"lr": 0.1})


def test_gradients_that_become_zeros():
    whole, reset = parameters(0), parameters(0)
    for tensors, forgotten in ((whole, False), (reset, True)):
        optimizer = SGD(tensors, lr=0.1, momentum=0.5)
        for p in tensors[:2]:
            p.grad = p.like(np.ones(p.shape))
        optimizer.step()
        optimizer.zero_grad(set_to_none=forgotten)
        assert tensors[2].grad is None and (tensors[0].grad is None) == forgotten
        optimizer.step()
    for zeroed, untouched in zip(whole[:2], reset[:2], strict=True):  # the velocity goes on where there is a gradient
        np.testing.assert_allclose(zeroed.numpy(), untouched.numpy() - 0.1 * 0.5, rtol=1e-12)
    with raises(TypeError, "SGD.zero_grad", "set_to_none", "0"):
        optimizer.zero_grad(set_to_none=0)


def test_what_is_kept_can_be_looked_at_and_forgotten():
    tensors = parameters(0)
    optimizer = SGD(tensors, lr=0.1, momentum=0.9)
    assert optimizer.state[tensors[0]] == {}
    take_steps(optimizer, tensors, 0, range(3))
    assert [optimizer.state[p]["velocity"].shape for p in tensors] == [p.shape for p in tensors]
    optimizer.state.clear()
    assert optimizer.state_dict()["velocities"] == [None] * 3


def test_a_copy_is_of_its_own():
    tensors = parameters(0)
    optimizer = SGD(tensors, lr=0.1, momentum=0.9)
    take_steps(optimizer, tensors, 0, [0])
    other = copy.deepcopy(optimizer)
    before = copy.deepcopy(other.state_dict())
    take_steps(optimizer, tensors, 0, [1, 2])
    for old, now in zip(before["velocities"], other.state_dict()["velocities"], strict=True):
        assert np.array_equal(old, now)


def test_a_state_of_the_first_version_is_read():
    """As checkpoints have it that were written when there was SGD alone."""
    optimizer = SGD([leaf(), leaf()], lr=0.1)
    settings = {"lr": 0.5, "momentum": 0.9, "dampening": 0.0, "weight_decay": 1e-4, "nesterov": True}
    optimizer.load_state_dict({"groups": [settings], "velocities": [np.full((3, 2), 2.0, np.float32), None]})
    (group,) = optimizer.param_groups
    assert {key: group[key] for key in settings} == settings
    first, second = group["params"]
    assert (optimizer.state[first]["velocity"] == 2).all() and "velocity" not in optimizer.state[second]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_loss_that_a_kernel_cannot_look_at_is_refused(device):
    """And nothing is changed."""
    with Place(device, "fast").active():
        parameter = nn.Parameter(Tensor(np.ones(2, np.float32)).to(device))
        parameter.sum().backward()
        optimizer = optim.SGD([parameter], 0.1)
        wrong = [(1.0, TypeError, "a float"), (np.ones(()), TypeError, "a ndarray")]
        wrong += [(Tensor(np.ones(2, np.float32)).to(device), ValueError, "shape (2,)")]
        wrong += [(Tensor(np.ones(0, np.float32)).to(device), ValueError, "shape (0,)")]
        wrong += [(Tensor(np.array(1)).to(device), ValueError, "int64")]
        if device == "cuda":
            wrong += [(Tensor(np.float32(1)), ValueError, "is on 'cpu', a parameter on 'cuda'")]
        for loss, error, part in wrong:
            with raises(error, "SGD.step: loss", part):
                optimizer.step(loss=loss)
        assert parameter.tolist() == [1, 1]
