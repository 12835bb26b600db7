"""PyTorch's names for what a Tensor does: the same values, shapes and gradients as there."""

import numpy as np
import pytest
from checks import check_close, raises

import minicnn
from minicnn import Tensor, no_grad

X = np.random.default_rng(0).standard_normal((2, 3, 1, 4))

SAME = {  # what both libraries are asked, of a tensor of X's shape
    "view": lambda t: t.view(6, -1),
    "unsqueeze": lambda t: t.unsqueeze(0),
    "unsqueeze behind": lambda t: t.unsqueeze(-1),
    "squeeze": lambda t: t.squeeze(),
    "squeeze one": lambda t: t.squeeze(2),
    "squeeze a long one": lambda t: t.squeeze(1),
    "clone": lambda t: t.clone(),
    "cpu": lambda t: t.cpu(),
    "contiguous": lambda t: t.permute(0, 2, 3, 1).contiguous(),
    "T": lambda t: t[0, :, 0].T,
    "t": lambda t: t[0, :, 0].t(),
    "min": lambda t: t.min(),
    "max": lambda t: t.max(),
    "values": lambda t: t.max(1)[0],
    "smallest values": lambda t: t.min(-1, keepdim=True).values,
    "abs": lambda t: t.abs(),
    "builtin abs": abs,
    "square": lambda t: t.square(),
    "pow": lambda t: t.pow(3),
    "sqrt": lambda t: t.square().sqrt(),
    "2 ** t": lambda t: 2**t,
    "clamp": lambda t: t.clamp(-0.5, 0.5),
    "clamp below": lambda t: t.clamp(min=0),
    "clamp above": lambda t: t.clamp(max=0),
    "std": lambda t: t.std(),
    "std over one axis": lambda t: t.std(1),
    "var": lambda t: t.var(3, correction=0, keepdim=True),
    "mm": lambda t: t[0, :, 0].mm(t[1, :, 0].T),
    "matmul": lambda t: t.matmul(t.transpose(2, 3)),
    "double": lambda t: t.float().double(),
}


@pytest.mark.parametrize("ask", SAME.values(), ids=SAME)
def test_values_and_gradients(torch, ask):
    ours, theirs = Tensor(X.copy(), requires_grad=True), torch.from_numpy(X.copy()).requires_grad_()
    y, expected = ask(ours), ask(theirs)
    check_close(y.numpy(), expected.detach().numpy(), 1e-12)
    grad = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(Tensor(grad))
    expected.backward(torch.from_numpy(grad))
    check_close(ours.grad.numpy(), theirs.grad.numpy(), 1e-12)


ANSWERS = {
    "size": lambda t: tuple(t.size()),
    "size(1)": lambda t: t.size(1),
    "size(-1)": lambda t: t.size(-1),
    "numel": lambda t: t.numel(),
    "dim": lambda t: t.dim(),
    "tolist": lambda t: t.tolist(),
    "is_leaf": lambda t: t.is_leaf,
    "is_cuda": lambda t: t.is_cuda,
    "long": lambda t: t.long().tolist(),
    "int": lambda t: t.int().tolist(),
    "bool": lambda t: t.bool().tolist(),
    "any": lambda t: (t > 2).any().item(),
    "all": lambda t: (t < 9).all().item(),
    "argmin": lambda t: t.argmin(1).tolist(),
    "argmax": lambda t: t.argmax(1, keepdim=True).tolist(),
    "and, or, not": lambda t: ((t > 0) & ~(t > 1) | (t < -1)).tolist(),
    "eq, ne": lambda t: (t.eq(t.abs()).tolist(), t.ne(t.abs()).tolist()),
    "orders": lambda t: [(t.lt(0) | t.ge(2)).tolist(), (t.le(0) & t.gt(-1)).tolist()],
    "view_as": lambda t: t.view_as(t.transpose(0, 1)).tolist(),
    "predicted": lambda t: [indices.tolist() for _, indices in [t.max(1)]],
    "zip": lambda t: [a.tolist() for a in t],
}


@pytest.mark.parametrize("ask", ANSWERS.values(), ids=ANSWERS)
def test_answers_outside_the_graph(torch, ask):
    assert ask(Tensor(X)) == ask(torch.from_numpy(X))


def test_size_is_also_the_number_of_elements():
    t = Tensor(X)
    assert t.size == 24 and isinstance(t.size, int) and t.size() == t.shape


def test_stack(torch):
    parts = [X[0], X[1]]
    for dim in (0, 1, -1):
        check_close(
            minicnn.stack([Tensor(p) for p in parts], dim).numpy(),
            torch.stack([torch.from_numpy(p) for p in parts], dim).numpy(),
            0,
        )
    with raises(ValueError, "stack", "(2,)", "(3,)"):
        minicnn.stack([Tensor([1.0, 2.0]), Tensor([1.0, 2.0, 3.0])])


def test_updates_in_place():
    t = Tensor(np.array([1.0, -2.0], np.float32), requires_grad=True)
    with no_grad():
        assert t.add_(1.0) is t and t.sub_(Tensor([1.0, 1.0]), alpha=2).mul_(3).div_(2) is t
    check_close(t.numpy(), np.array([0.0, -4.5], np.float32), 0)
    t.grad = Tensor(np.ones(2, np.float32))
    t.grad.zero_()
    assert t.grad.tolist() == [0, 0] and t.detach().fill_(7).tolist() == [7, 7] == t.tolist()
    assert t.detach().copy_(Tensor(np.array([1, 2]))).tolist() == [1, 2]


def test_copy_takes_from_the_other_device(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    there = Tensor([3.0, 4.0]).to("cuda")
    here = Tensor([0.0, 0.0]).copy_(there)
    assert here.device == "cpu" and here.tolist() == [3, 4]
    assert there.copy_(Tensor([5.0, 6.0])).device == "cuda" and there.tolist() == [5, 6]


@pytest.mark.parametrize(
    "ask, parts",
    [
        (lambda t: t.unsqueeze(6), ["unsqueeze", "6"]),
        (lambda t: t.squeeze(4), ["squeeze", "4"]),
        (lambda t: t[0, 0, 0, :1].var(), ["var", "1 values"]),
        (lambda t: t.clamp(), ["clamp", "min, max"]),
        (lambda t: (-2) ** t, ["power_of", "positive", "-2"]),
    ],
)
def test_what_cannot_be_says_so(ask, parts):
    with raises(ValueError, *parts):
        ask(Tensor(X))
