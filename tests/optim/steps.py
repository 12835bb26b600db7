"""Steps of an optimiser in tests: its parameters, their gradients, and what every optimiser must pass."""

import copy

import numpy as np
from checks import check_close

from minicnn import nn, optim
from minicnn.device import to_device

SHAPES = [(3, 2, 2), (4,), ()]


def parameters(seed, shapes=SHAPES, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return [nn.Parameter(np.array(rng.standard_normal(shape), dtype)) for shape in shapes]


def leaf():
    return nn.Parameter(np.ones((3, 2), np.float32))


def gradients(seed, step, shapes=SHAPES):
    """One for each parameter; in some steps a parameter has none."""
    rng = np.random.default_rng([seed, step])
    return [None if rng.random() < 0.2 else np.array(rng.standard_normal(shape)) for shape in shapes]


def take_steps(optimizer, tensors, seed, steps):
    for step in steps:
        for tensor, grad in zip(tensors, gradients(seed, step), strict=True):
            tensor.grad = None if grad is None else tensor.like(grad)
        optimizer.step()


def gradient(seed, step, i, shape):
    """That of parameter i in this step; the last one has none at first, and others have none now and then."""
    rng = np.random.default_rng([seed, step, i])
    absent = step < 3 if i == 3 else rng.random() < 0.2
    return None if absent else np.array(rng.standard_normal(shape))


def moved(place, p):
    """A parameter of the place, with its values; one with a single axis has gaps in memory."""
    spread = np.repeat(p.numpy()[..., None], 2 if p.ndim == 1 else 1, axis=-1)
    return nn.Parameter(to_device(spread, place.device)[..., 0])


def check_ten_steps_equal_torch(torch, place, kind, settings, other, seed):
    """In two groups, the second with `other` settings: a parameter without axes, one with gaps, one that has a gradient
    only later."""
    originals = parameters(seed, [*SHAPES, (2, 3)])
    ours = [moved(place, p) for p in originals]
    theirs = [torch.nn.Parameter(torch.from_numpy(p.numpy().copy())) for p in originals]
    optimizers = [
        getattr(module, kind)([{"params": tensors[:2]}, {"params": tensors[2:], **settings, **other}], **settings)
        for module, tensors in ((optim, ours), (torch.optim, theirs))
    ]
    for step in range(10):
        for i, (our, their) in enumerate(zip(ours, theirs, strict=True)):
            grad = gradient(seed, step, i, our.shape)
            our.grad = None if grad is None else our.like(to_device(grad, place.device))
            their.grad = None if grad is None else torch.from_numpy(grad)
        for optimizer in optimizers:
            optimizer.step()
    for our, their in zip(ours, theirs, strict=True):
        check_close(to_device(our.data, "cpu"), their.detach().numpy(), 1e-10)


def check_it_continues(kind, settings, seed):
    """Six steps, and three with three more by an optimiser that has the first one's state: the same to the last bit."""
    whole, half = parameters(seed), parameters(seed)
    take_steps(kind(whole, **settings), whole, seed, range(6))
    first = kind(half, **settings)
    take_steps(first, half, seed, range(3))
    second = kind(half, lr=9.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    take_steps(second, half, seed, range(3, 6))
    for a, b in zip(whole, half, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())
