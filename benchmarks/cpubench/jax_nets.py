"""The nets of nets.py in JAX: activations channels-last, and one compiled step, which reuses its inputs' memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from .nets import EPSILON, LEARNING_RATE, MOMENTUM, VELOCITY_KEPT, WEIGHT_DECAY


class Layers:
    """Activations (N, H, W, C), weights (K, K, C, OC) or (I, O)."""

    relu = staticmethod(jax.nn.relu)

    def __init__(self, weights, statistics, training):
        self.weights, self.training = weights, training
        self.statistics = dict(statistics)  # {name: those of batch norm}; a pass in training leaves the new ones here

    def conv(self, x, name, channels, kernel, stride, padding, bias=False):
        layout = ("NHWC", "HWIO", "NHWC")
        weight, sides = self.weights[f"{name}.weight"], [(padding, padding)] * 2
        x = jax.lax.conv_general_dilated(x, weight, (stride, stride), sides, dimension_numbers=layout)
        return x + self.weights[f"{name}.bias"] if bias else x

    def norm(self, x, name):
        mean, variance = self.statistics[f"{name}.running_mean"], self.statistics[f"{name}.running_var"]
        if self.training:
            count = x.size // x.shape[-1]
            before, mean, variance = (mean, variance), x.mean((0, 1, 2)), x.var((0, 1, 2))
            after = mean, variance * (count / (count - 1))
            for part, old, new in zip(("mean", "var"), before, after, strict=True):
                self.statistics[f"{name}.running_{part}"] = (1 - MOMENTUM) * old + MOMENTUM * new
        scale = self.weights[f"{name}.weight"] * jax.lax.rsqrt(variance + EPSILON)
        return (x - mean) * scale + self.weights[f"{name}.bias"]

    def max_pool(self, x, kernel, stride, padding):
        window, strides = (1, kernel, kernel, 1), (1, stride, stride, 1)
        sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, sides)

    def mean(self, x):
        return x.mean((1, 2))

    def flatten(self, x):
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1)

    def linear(self, x, name, features):
        return x @ self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def on_device(weights):
    """torchvision's weights, copied in the layout of Layers."""
    axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
    return {name: jnp.array(array.transpose(axes[array.ndim])) for name, array in weights.items()}


def trainer(net, weights, statistics, images, labels):
    """train(): one step, returns the loss."""
    x, y, weights = jnp.array(images.transpose(0, 2, 3, 1)), jnp.array(labels), on_device(weights)
    state = [weights, jax.tree.map(jnp.zeros_like, weights), on_device(statistics)]

    def loss(weights, statistics):
        layers = Layers(weights, statistics, training=True)
        logs = jax.nn.log_softmax(net(layers, x))
        return -jnp.take_along_axis(logs, y[:, None], axis=1).mean(), layers.statistics

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(weights, velocities, statistics):
        (value, statistics), gradients = jax.value_and_grad(loss, has_aux=True)(weights, statistics)
        gradients = jax.tree.map(lambda g, w: g + WEIGHT_DECAY * w, gradients, weights)
        velocities = jax.tree.map(lambda v, g: VELOCITY_KEPT * v + g, velocities, gradients)
        weights = jax.tree.map(lambda w, v: w - LEARNING_RATE * v, weights, velocities)
        return value, weights, velocities, statistics

    def train():
        value, *state[:] = step(*state)
        jax.block_until_ready(state)
        return float(value)

    return train


def predictor(net, weights, statistics, images):
    """predict(): logits (N, 1000) as an array."""
    x, weights, statistics = jnp.array(images.transpose(0, 2, 3, 1)), on_device(weights), on_device(statistics)
    logits = jax.jit(lambda weights, statistics, x: net(Layers(weights, statistics, training=False), x))
    return lambda: np.asarray(logits(weights, statistics, x))
