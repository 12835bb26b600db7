"""The nets of nets.py in tinygrad: a step that TinyJit records; its CPU backend (DEV=CPU) compiles with clang."""

from tinygrad import Context, Tensor, TinyJit
from tinygrad.nn import BatchNorm, optim

from .nets import EPSILON, LEARNING_RATE, MOMENTUM, VELOCITY_KEPT, WEIGHT_DECAY


class Layers:
    """Activations (N, C, H, W). tensors: the weights, and the running statistics, which no optimizer moves."""

    relu = staticmethod(Tensor.relu)

    def __init__(self, weights, statistics):
        self.weights = {name: Tensor(array).realize() for name, array in weights.items()}
        self.norms, self.tensors = {}, list(self.weights.values())
        for name in (name.removesuffix(".running_mean") for name in statistics if name.endswith(".running_mean")):
            norm = self.norms[name] = BatchNorm(len(statistics[f"{name}.running_mean"]), EPSILON, momentum=MOMENTUM)
            norm.weight, norm.bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
            for part in ("running_mean", "running_var"):
                self.tensors.append(getattr(norm, part).assign(Tensor(statistics[f"{name}.{part}"])).realize())

    def conv(self, x, name, channels, kernel, stride, padding, bias=False):
        bias = self.weights[f"{name}.bias"] if bias else None
        return x.conv2d(self.weights[f"{name}.weight"], bias, stride=stride, padding=padding)

    def norm(self, x, name):
        return self.norms[name](x)

    def max_pool(self, x, kernel, stride, padding):
        return x.max_pool2d((kernel, kernel), stride, padding=padding)

    def mean(self, x):
        return x.mean((2, 3))

    def flatten(self, x):
        return x.flatten(1)

    def linear(self, x, name, features):
        return x.linear(self.weights[f"{name}.weight"].T, self.weights[f"{name}.bias"])


def trainer(net, weights, statistics, images, labels):
    """train(): one step, returns the loss."""
    layers, x, y = Layers(weights, statistics), Tensor(images).realize(), Tensor(labels).realize()
    optimizer = optim.SGD(layers.tensors, LEARNING_RATE, VELOCITY_KEPT, WEIGHT_DECAY)

    @TinyJit
    @Context(TRAINING=1)
    def step(x, y):
        optimizer.zero_grad()
        loss = net(layers, x).sparse_categorical_crossentropy(y).backward()
        return loss.realize(*optimizer.schedule_step())

    return lambda: step(x, y).item()


def predictor(net, weights, statistics, images):
    """predict(): logits (N, 1000) as an array."""
    layers, x = Layers(weights, statistics), Tensor(images).realize()
    logits = TinyJit(lambda x: net(layers, x).realize())
    return lambda: logits(x).numpy()
