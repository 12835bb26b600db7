"""torchvision's AlexNet in JAX, and one compiled step of SGD with momentum: the same work as the other sides do."""

import numpy as np

CONVOLUTIONS = ((64, 3, 11, 4, 2), (192, 64, 5, 1, 2), (384, 192, 3, 1, 1), (256, 384, 3, 1, 1), (256, 256, 3, 1, 1))
POOL_BEHIND = (0, 1, 4)
LINEAR = ((4096, 9216), (4096, 4096), (1000, 4096))


def step_and_versions(images, labels, task):
    """(step, versions) as in sides.py."""
    import jax
    import jax.numpy as jnp

    def forward(parameters, x):
        for i, (*_, stride, padding) in enumerate(CONVOLUTIONS):
            weight, bias = parameters[i]
            x = jax.lax.conv_general_dilated(
                x, weight, (stride,) * 2, [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(x + bias)
            if i in POOL_BEHIND:
                x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")
        x = x.reshape(len(x), -1)
        for i, (weight, bias) in enumerate(parameters[len(CONVOLUTIONS) :]):
            x = x @ weight + bias
            x = x if i == len(LINEAR) - 1 else jax.nn.relu(x)
        return x

    def loss(parameters, x, y):
        return -jnp.take_along_axis(jax.nn.log_softmax(forward(parameters, x)), y[:, None], axis=1).mean()

    @jax.jit
    def train(parameters, velocities, x, y):
        value, gradients = jax.value_and_grad(loss)(parameters, x, y)
        velocities = jax.tree.map(lambda v, g, w: 0.9 * v + g + 5e-4 * w, velocities, gradients, parameters)
        parameters = jax.tree.map(lambda w, v: w - 0.01 * v, parameters, velocities)
        return value, parameters, velocities

    rng = np.random.default_rng(0)
    shapes = [((k, k, c, oc), (oc,)) for oc, c, k, *_ in CONVOLUTIONS] + [((i, o), (o,)) for o, i in LINEAR]
    parameters = [(0.01 * rng.standard_normal(w, np.float32), np.zeros(b, np.float32)) for w, b in shapes]
    state = [jax.device_put(parameters), jax.device_put(jax.tree.map(np.zeros_like, parameters))]
    x, y = jnp.asarray(images.transpose(0, 2, 3, 1)), jnp.asarray(labels)
    predict = jax.jit(forward)

    def train_step():
        value, *state[:] = train(*state, x, y)
        jax.block_until_ready(state)
        return float(value)

    def infer_step():
        return float(predict(state[0], x).max())

    return (train_step if task == "train" else infer_step), {"jax": jax.__version__}
