"""Random use and misuse of the public interface: calls that a confused user might write, by number.

``case(seed, number)`` is a function of one argument, a maker of Tensors; what it returns are the results to compare.
Most arguments fit, some do not: another shape, dtype or layout, a size of 0, -1 or 2**40, a label that no class has,
an array that is overwritten before backward reads it, a gradient of another tensor, a step after the weights grew.
"""

import itertools

import numpy as np
from draw import Draw

import minicnn
import minicnn.functional as F
from minicnn import Function, Tensor, nn, no_grad, optim


def case(seed, number):
    """The call with this number: a function of make(array, requires_grad=False) -> Tensor that returns results."""
    kind = KINDS[number % len(KINDS)]

    def run(make):
        minicnn.manual_seed(number)
        return kind(Draw(seed, number), make)

    run.kind = kind.__name__
    return run


def backward(draw, make, y, *leaves):
    """[y, the gradients of the leaves] after a backward pass whose upstream gradient fits, mostly."""
    if y.requires_grad:
        shape = draw.shape(y.shape)
        y.backward(make(draw.laid_out(draw.rng.standard_normal(shape).astype(y.dtype))))
    return [y, *(leaf.grad for leaf in leaves if leaf is not None)]


def window(draw):
    options = {"stride": draw.number(draw.size(1, 4)), "padding": draw.number(draw.size(0, 3))}
    if draw.perhaps(0.3):
        options = {key: (value, draw.size(1, 3)) if isinstance(value, int) else value for key, value in options.items()}
    return options


def conv2d(draw, make):
    groups = draw.one_of(1, 1, 1, 2, 3)
    channels, filters = groups * draw.one_of(1, 2, 3, 8, 16), groups * draw.one_of(1, 2, 8, 16)
    kernel = draw.one_of((3, 3), (3, 3), (5, 5), (1, 1), (7, 7), (draw.size(1, 4), draw.size(1, 5)))
    x = make(draw.array(draw.size(0, 4), channels, draw.size(1, 20), draw.size(1, 20)), True)
    weight = make(draw.array(filters, channels // groups, *kernel), True)
    bias = make(draw.array(filters), True) if draw.perhaps(0.6) else None
    options = window(draw) | {"dilation": draw.number(draw.one_of(1, 1, 1, 2)), "groups": draw.number(groups)}
    if draw.perhaps(0.8):
        return backward(draw, make, F.conv2d(x, weight, bias, **options), x, weight, bias)
    residual = make(draw.array(*F.conv2d(x, weight, bias, **options).shape), True) if draw.perhaps() else None
    y = F.conv2d_relu(x, weight, bias, **options, residual=residual)
    return backward(draw, make, y, x, weight, bias, residual)


def conv_transpose2d(draw, make):
    groups = draw.one_of(1, 1, 2)
    channels, filters = groups * draw.one_of(1, 3, 16), draw.one_of(1, 2, 16)
    x = make(draw.array(draw.size(0, 4), channels, draw.size(1, 9), draw.size(1, 9)), True)
    weight = make(draw.array(channels, filters, *draw.one_of((3, 3), (2, 2), (1, 4))), True)
    bias = make(draw.array(filters * groups), True) if draw.perhaps(0.6) else None
    options = window(draw) | {"output_padding": draw.number(draw.one_of(0, 0, 1)), "groups": draw.number(groups)}
    return backward(draw, make, F.conv_transpose2d(x, weight, bias, **options), x, weight, bias)


def linear(draw, make):
    features, outputs = draw.size(1, 40), draw.size(1, 40)
    x, weight = make(draw.array(draw.size(0, 40), features), True), make(draw.array(outputs, features), True)
    bias = make(draw.array(outputs), True) if draw.perhaps(0.6) else None
    return backward(draw, make, F.linear(x, weight, bias), x, weight, bias)


def matmul(draw, make):
    inner = draw.size(1, 30)
    a, b = make(draw.array(draw.size(1, 30), inner), True), make(draw.array(inner, draw.size(1, 30)), True)
    return backward(draw, make, a @ b, a, b)


def pool(draw, make):
    x = make(draw.array(draw.size(0, 4), draw.one_of(1, 3, 8, 16), draw.size(1, 20), draw.size(1, 20)), True)
    op = draw.one_of(F.max_pool2d, F.max_pool2d, F.avg_pool2d)
    options = window(draw) | ({"ceil_mode": True} if draw.perhaps() else {})
    return backward(draw, make, op(x, draw.number(draw.size(1, 5)), **options), x)


def adaptive_pool(draw, make):
    x = make(draw.array(draw.size(0, 4), draw.size(), draw.size(1, 20), draw.size(1, 20)), True)
    return backward(draw, make, F.adaptive_avg_pool2d(x, draw.number((draw.size(1, 7), draw.size(1, 7)))), x)


def interpolate(draw, make):
    x = make(draw.array(draw.size(0, 4), draw.size(), draw.size(1, 20), draw.size(1, 20)), True)
    sizes = {"size": draw.number((draw.size(1, 9), draw.size(1, 9)))}
    if draw.perhaps():
        sizes = {"scale_factor": draw.number(draw.one_of(2.0, 1.3, 0.4))}
    mode = draw.one_of({}, {"mode": "bilinear"}, {"mode": "bilinear", "align_corners": True}, {"align_corners": True})
    return backward(draw, make, F.interpolate(x, **sizes, **mode), x)


def batch_norm(draw, make):
    channels = draw.one_of(1, 2, 3, 8, 17)
    shape = draw.one_of((4, channels), (3, channels, 5, 6), (1, channels, 2, 2), (0, channels, 3, 3))
    x = make(draw.array(*shape), True)
    running = [make(np.abs(draw.array(channels)) + 1) for _ in range(2)] if draw.perhaps(0.7) else [None, None]
    affine = [make(draw.array(channels), True) for _ in range(2)] if draw.perhaps(0.7) else [None, None]
    options = {"training": draw.perhaps(0.6), "momentum": draw.number(0.1), "eps": draw.number(1e-5)}
    if draw.perhaps(0.5):
        residual = make(draw.array(*shape), True) if draw.perhaps(0.5) else None
        y = F.batch_norm_relu(x, *running, *affine, **options, residual=residual)
        return [*backward(draw, make, y, x, *affine, residual), *running]
    function = draw.one_of(F.batch_norm, F.sync_batch_norm)
    return [*backward(draw, make, function(x, *running, *affine, **options), x, *affine), *running]


def local_response_norm(draw, make):
    x = make(draw.array(draw.size(0, 4), draw.size(1, 20), draw.size(1, 9), draw.size(1, 9)), True)
    options = {"alpha": draw.number(0.1), "beta": draw.number(0.75), "k": draw.number(1.0)}
    if draw.perhaps(0.2):
        options["groups"] = draw.number(draw.size(1, 4))
    return backward(draw, make, F.local_response_norm(x, draw.number(draw.size(1, 8)), **options), x)


def elementwise(draw, make):
    shape = draw.one_of((5,), (40, 3), (2, 3, 8, 9), (3, 0), ())
    x = make(draw.array(*shape), True)
    op = draw.one_of(F.relu, F.sigmoid, F.tanh, lambda t: F.dropout(t, draw.number(0.5)))
    if draw.perhaps(0.3):
        y = x * 2
        y = draw.one_of(F.relu, F.dropout)(y, inplace=True)
    else:
        y = op(x)
    return backward(draw, make, y, x)


def residual_add(draw, make):
    shape = (draw.size(0, 4), draw.size(), draw.size(1, 9), draw.size(1, 9))
    a, b = make(draw.array(*shape), True), make(draw.array(*shape), True)
    return backward(draw, make, F.residual_add(a, b), a, b)


def mse_loss(draw, make):
    shape = draw.one_of((5,), (40, 3), (2, 3, 8, 9), (3, 0), ())
    x, values = make(draw.array(*shape), True), draw.array(*shape)
    target = draw.one_of(values, make(values), make(values, True), x)
    op = draw.one_of(F.mse_loss, F.smooth_l1_loss)
    loss = op(x, target, draw.one_of("mean", "sum", "none"))
    return backward(draw, make, loss, *(t for t in (x, target) if isinstance(t, Tensor) and t.requires_grad))


def pad(draw, make):
    shape = draw.one_of((5,), (40, 3), (2, 3, 8, 9), (3, 0), (2, 3, 1, 2, 3, 2), ())
    x = make(draw.array(*shape), True)
    sizes = [draw.number(int(draw.rng.integers(-2, 4))) for _ in range(2 * draw.size(0, len(shape) + 1))]
    return backward(draw, make, F.pad(x, sizes, value=draw.one_of(None, draw.number(0.5))), x)


def softmax(draw, make):
    x = make(draw.array(draw.size(0, 9), draw.size(1, 30), *draw.one_of((), (4,), (3, 2))), True)
    return backward(draw, make, draw.one_of(F.softmax, F.log_softmax)(x, draw.number(draw.one_of(0, 1, -1))), x)


def cross_entropy(draw, make):
    classes, rest = draw.size(1, 12), draw.one_of((), (), (3,), (2, 3))
    shape = (draw.size(0, 20), *rest)
    x = make(draw.array(shape[0], classes, *rest), True)
    labels = draw.labels(draw.shape(shape), classes)
    target = draw.one_of(labels, Tensor(labels), make(labels))
    options = {"reduction": draw.one_of("mean", "sum", "none"), "label_smoothing": draw.number(draw.one_of(0, 0, 0.1))}
    weight = np.abs(draw.array(classes)) if draw.perhaps(0.3) else None
    if draw.perhaps(0.3):
        loss = F.nll_loss(x, target, weight, ignore_index=draw.number(-100), reduction=options["reduction"])
    else:
        loss = F.cross_entropy(x, target, weight, ignore_index=draw.number(-100), **options)
    if draw.perhaps(0.2):  # the next batch is written into the same memory
        labels[...] = draw.one_of(0, 1, 200, *([] if labels.dtype == np.uint8 else [10**9]))
    if draw.perhaps(0.1) and weight is not None and weight.flags.writeable:
        weight[...] = 3
    return backward(draw, make, loss, x)


def indexing(draw, make):
    x = make(draw.array(draw.size(1, 6), draw.size(1, 6), draw.size(1, 6)), True)
    rows = draw.rng.integers(-1, draw.size(1, 8), draw.shape((draw.size(0, 9),)))
    y = x[
        draw.one_of(
            rows, Tensor(rows), (slice(None), rows), (0, ..., None), slice(None, None, draw.one_of(1, 2, -1)), rows > 0
        )
    ]
    if draw.perhaps(0.2):
        rows[...] = draw.one_of(0, 10**9, -(10**9))
    return backward(draw, make, y, x)


def arithmetic(draw, make):
    a, b = (
        make(draw.array(draw.size(1, 4), draw.size(1, 4)), True),
        make(draw.array(*draw.one_of((1, 1), (4,), (2, 3))), True),
    )
    other = draw.one_of(b, b, draw.number(2.0), b.detach())
    op = draw.one_of("__add__", "__sub__", "__mul__", "__truediv__", "__radd__", "__rmul__")
    return backward(draw, make, getattr(a, op)(other), a, b)


def in_place(draw, make):
    shape = (draw.size(1, 4), draw.size(1, 4))
    x, b = make(draw.array(*shape), True), make(draw.array(*draw.one_of(shape, (1, 1), (4,))), draw.perhaps(0.5))
    y = x * 3
    view = y.reshape(-1) if draw.perhaps(0.3) else None
    op = draw.one_of("__iadd__", "__isub__", "__imul__", "__itruediv__")
    if draw.perhaps(0.5):
        y = getattr(y, op)(b)
    else:
        with no_grad():
            getattr(draw.one_of(x, y), op)(b)
    return backward(draw, make, y if view is None else y * 1, x, b)


def shapes(draw, make):
    x = make(draw.array(draw.size(1, 5), draw.size(1, 5), draw.size(1, 5)), True)
    z = make(draw.array(draw.size(1, 5), *x.shape[1:]), True)
    y = draw.one_of(
        lambda: x.reshape(draw.number(-1)),
        lambda: x.flatten(draw.number(0), draw.number(1)),
        lambda: x.permute(2, 0, 1),
        lambda: x.transpose(draw.number(0), draw.number(2)),
        lambda: minicnn.cat([x, z], draw.number(0)),
        lambda: minicnn.stack([x, z], draw.number(0)),
        lambda: x.sum(draw.number(1)),
        lambda: x.mean(draw.number((0, 2))),
        lambda: x.max(draw.number(1))[0],
        lambda: x.std(draw.number(0)),
    )()
    return backward(draw, make, y, x, z)


OPTIMIZERS = optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.LARS


def optimizer(draw, make):
    weights = [make(draw.array(*draw.one_of((3, 4), (70,), (2, 3, 3, 3), ())), True) for _ in range(draw.size(1, 4))]
    kind, options = draw.one_of(*OPTIMIZERS), {"weight_decay": draw.number(draw.one_of(0, 0.1))}
    if kind is optim.SGD:
        options |= {"momentum": draw.number(draw.one_of(0, 0.9)), "nesterov": draw.perhaps()}
    elif kind is optim.RMSprop:
        options |= {"momentum": draw.number(draw.one_of(0, 0.9)), "centered": draw.perhaps()}
    elif kind is optim.LARS:
        options |= {"trust_coefficient": draw.one_of(None, draw.number(0.1))}
    else:
        options |= {"betas": draw.one_of((0.9, 0.999), (draw.number(0.5), 0.5)), "amsgrad": draw.perhaps()}
    trained = kind(weights, lr=draw.number(0.1), **options)
    for _ in range(3):
        for w in weights:
            if draw.perhaps(0.9):
                w.grad = make(draw.laid_out(draw.rng.standard_normal(draw.shape(w.shape)).astype(w.dtype)))
        if draw.perhaps(0.1):
            grown = draw.one_of(*weights)
            grown.data = make(np.zeros(draw.shape((*grown.shape, 1000)), grown.dtype)).data
        if draw.perhaps(0.1):
            state = trained.state_dict()
            several = draw.one_of(*(name for name in state if name != "groups"))
            state[several][0] = draw.one_of(None, 1, np.zeros(3), np.zeros(weights[0].shape, np.float16))
            trained.load_state_dict(state)
        trained.step()
        if draw.perhaps(0.3):
            trained.zero_grad()
    return [w.detach() for w in weights]


def assignment(draw, make):
    x, z = make(draw.array(draw.size(1, 5), draw.size(1, 5))), make(draw.array(3, 4), True)
    y = draw.one_of(z * x, z.sum() * x, x * 2) if x.shape == z.shape else z.sum() * x
    rows = draw.rng.integers(-1, draw.size(1, 6), draw.size(0, 4))
    index = draw.one_of(0, ..., slice(None, None, 2), rows, Tensor(rows), rows > 0, (slice(None), rows), "0", 1.5)
    value = draw.one_of(0.0, draw.number(1), draw.array(draw.size(1, 5)), x.detach(), z, [1.0, 2.0], "text", {1})
    draw.one_of(x, x.detach(), x.reshape(-1))[index] = value
    return [*backward(draw, make, y, z), x]


def network(draw, make):
    """Layers whose parameters are exchanged, of which one may be of another shape, frozen, or taken out."""
    features = [draw.size(1, 20) for _ in range(3)]
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(features)]
    if draw.perhaps(0.3):
        layers[1].weight = layers[0].weight
    for parameter in nn.ModuleList(layers).parameters():
        parameter.data = make(draw.array(*parameter.shape)).data
    model = nn.Sequential(*draw.one_of(layers, [layers[0], nn.ReLU(), layers[1]], layers[:1], layers * 2))
    sgd = optim.SGD(model.parameters(), lr=0.1, momentum=draw.one_of(0, 0.9))
    state = {name: np.array(tensor) for name, tensor in model.state_dict().items()}
    x = make(draw.array(draw.size(0, 9), features[0]), True)
    for _ in range(2):
        loss = draw.one_of(F.relu, F.sigmoid)(model(x)).mean()
        if draw.perhaps():
            model.load_state_dict({name: draw.one_of(a, a * 2, a[:1]) for name, a in state.items()})
        if draw.perhaps():
            layers[0].bias.data = make(draw.array(*layers[0].bias.shape, draw.one_of(1, 1000))).data
        loss.backward()
        sgd.step()
        if draw.perhaps():
            model.astype(draw.one_of(np.float32, np.float64))
    return [loss, x.grad, *model.parameters()]


def powers(draw, make):
    x = make(draw.array(*draw.one_of((3,), (2, 3), ())), True)
    mask = make(np.asarray(draw.rng.random(x.shape) < 0.5))
    exponent = draw.one_of(draw.number(2), 0, -1, 0.5, 3)
    y = draw.one_of(lambda: x**exponent, lambda: draw.number(2) ** x, lambda: abs(x) ** exponent)()
    if draw.perhaps(0.3):
        y **= draw.number(2)
    mask &= draw.one_of(mask, True, make(draw.array(*x.shape)) > 0)
    return [*backward(draw, make, y, x), mask]


def own_function(draw, make):
    """A user's op, right or with one of the usual mistakes."""
    keep = draw.one_of(lambda a: a, lambda a: a, Tensor, lambda a: None, lambda a: a[:1])
    result = draw.one_of(*[lambda a: a * 3] * 3, lambda a: a, lambda a: a[:1], float, lambda a: a.astype(np.float16))
    wrong = (lambda g: g, lambda g: None, lambda g: g[..., :1], lambda g: g.astype(int), lambda g: (g, g))
    gradient = draw.one_of(*[lambda g: g * 3] * 3, *wrong)

    class Own(Function):
        def forward(self, x):
            self.save_for_backward(keep(x))
            return result(x)

        def backward(self, grad_out):
            return gradient(grad_out)

    x = make(draw.array(draw.size(1, 5), draw.size(1, 5)), True)
    y = x * 1
    return backward(draw, make, Own.apply(y) + draw.one_of(y, 0), x)


KINDS = (
    conv2d,
    conv2d,
    linear,
    matmul,
    pool,
    pool,
    adaptive_pool,
    batch_norm,
    local_response_norm,
    elementwise,
    residual_add,
    mse_loss,
    pad,
    softmax,
    cross_entropy,
    cross_entropy,
    indexing,
    arithmetic,
    in_place,
    shapes,
    optimizer,
    assignment,
    network,
    powers,
    own_function,
    conv_transpose2d,
    interpolate,
)
