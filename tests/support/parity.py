"""One network twice, ours and torchvision's, with the same random weights and running statistics."""

import contextlib

import numpy as np
import pytest

from minicnn import models
from minicnn.nn import init, watch

CLASSES = 7


def images(count=2, height=64, width=73):
    return np.random.default_rng(1).standard_normal((count, 3, height, width))


@contextlib.contextmanager
def without_initial_weights():
    """Networks that are built in the block have any numbers for weights: memory that nobody writes costs nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("normal_", "uniform_", "constant_"):
            patch.setattr(init, name, lambda tensor, *args, **kwargs: tensor)
        yield


def random_state(shapes, seed=0, scales=(0.3, 1.0)):
    """{key: float32 array} for a network of those {key: shape}, with which the signal passes through 152 layers.

    A ReLU halves the mean square, and weights of variance 2 / fan_in (He) double it again. In a residual network each
    branch adds to what it bypasses: batch norms' weights below 1 keep fifty of them from adding up to infinity. Where
    nothing is added, weights of about 1, as `scales` gives them, keep the signal from dying out.
    """
    rng = np.random.default_rng(seed)

    def values(key, shape):
        if key.endswith("running_var"):
            return rng.uniform(0.5, 2, shape)
        if len(shape) > 1:
            return rng.standard_normal(shape, np.float32) * np.float32((2 / np.prod(shape[1:])) ** 0.5)
        if key.endswith("weight"):
            return rng.uniform(*scales, shape)
        return rng.normal(0, 0.1, shape)

    return {key: values(key, tuple(shape)).astype(np.float32, copy=False) for key, shape in shapes.items()}


def twins(torch, torchvision, name, **options):
    """(ours, theirs), in float32, without dropout; both are made without weights of their own, which would take longer
    than the test. A VGG's hidden layers have 8 neurons. options: of both networks."""
    options |= {} if name.startswith(("resnet", "shufflenet")) else {"dropout": 0.0}
    uninitialised = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)(num_classes=CLASSES, **options, **uninitialised)
        if name.startswith("vgg"):
            options["width"] = 8
            for i, sizes in {0: (512 * 7 * 7, 8), 3: (8, 8), 6: (8, CLASSES)}.items():
                theirs.classifier[i] = torch.nn.Linear(*sizes)
    shapes = {key: tensor.shape for key, tensor in theirs.state_dict().items()}
    counters = {key: torch.tensor(0) for key in shapes if key.endswith("num_batches_tracked")}
    scales = (0.3, 1.0) if name.startswith("resnet") else (0.7, 1.4)
    state = random_state({key: shape for key, shape in shapes.items() if key not in counters}, scales=scales)
    with without_initial_weights():
        ours = getattr(models, name)(num_classes=CLASSES, **options)
    ours.load_state_dict(state)
    tensors = {key: torch.from_numpy(array) for key, array in state.items()}
    theirs.load_state_dict(tensors | counters, assign=True)
    return ours, theirs


def our_layers(model, x):
    """[(name, what comes out)] of every layer, in the order of calls; a ReLU that is used twice stands there twice."""
    seen = []
    with watch(model, lambda name, layer, x, y: seen.append((name, y.numpy().copy()))):
        model(x)
    return seen


def their_layers(model, x):
    seen, handles = [], []
    for name, module in model.named_modules():
        if not list(module.children()):

            def note(module, inputs, y, name=name):
                seen.append((name, y.detach().numpy().copy()))

            handles.append(module.register_forward_hook(note))
    model(x)
    for handle in handles:
        handle.remove()
    return seen


def check_same_numbers(value, expected, tolerance, name, least=0.0):
    """Equal but for `tolerance` times the largest expected number, or times `least` if that is larger."""
    assert value.shape == expected.shape, name
    error, largest = np.abs(value - expected).max(), max(least, np.abs(expected).max())
    assert error <= tolerance * largest, f"{name}: off by {error:.2g}, the largest number being {largest:.2g}"
