"""bfloat16 end to end: which arrays have which dtype, the one rule of rounding, and that networks learn in it."""

import numpy as np
import pytest
from checks import PLACES, PYTHON_GPU, Place, check_bfloat16, raises

import minicnn
import minicnn.functional as F
from minicnn import Tensor, nn
from minicnn.precision import BFLOAT16, PRECISIONS, narrow, set_precision, wide

PLAIN = Place("cpu", "plain")


def rounded(rng, *shape):
    """Random float32 numbers that bfloat16 holds."""
    return rng.standard_normal(shape).astype(BFLOAT16).astype("f")


def small_net():
    minicnn.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU(inplace=True), nn.LocalResponseNorm(3), nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


def test_activations_are_bfloat16_and_all_else_is_float32(place):
    """From the first convolution to the scores; weights, their gradients, statistics and the loss are float32."""
    net, seen = small_net().to(place.device), []
    for layer in net:
        layer.register_forward_hook(lambda layer, args, y: seen.append(y) or y.retain_grad())
    images = place.tensor(np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype("f"), requires_grad=True)
    with minicnn.precision("bfloat16"):
        loss = F.cross_entropy(net(images), np.array([0, 1, 2]))
    loss.backward()  # what is bfloat16 goes back in bfloat16, whatever the precision is now
    assert {y.dtype for y in seen} == {BFLOAT16} == {y.grad.dtype for y in seen}
    others = [loss, images.grad, *(p.grad for p in net.parameters()), *net.parameters(), *net.buffers()]
    assert {each.dtype for each in others} == {np.dtype("f")}
    assert all(np.isfinite(each.numpy()).all() for each in others)


def normalised(x, residual, weight, bias):
    return F.batch_norm_relu(x, None, None, weight, bias, training=True, residual=residual)


def convolved(x, residual, weight, bias):
    return F.conv2d_relu(x, weight, bias, stride=2, padding=1, residual=residual)


OPS = {
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), (2, 3, 7, 6), (4, 3, 3, 3), (4,)),
    "conv2d in groups": (lambda x, w: F.conv2d(x, w, groups=2, dilation=2), (2, 4, 7, 6), (6, 2, 3, 2)),
    "conv2d_relu": (convolved, (2, 3, 7, 6), (2, 4, 4, 3), (4, 3, 3, 3), (4,)),
    "conv2d_relu alone": (lambda x, w: F.conv2d_relu(x, w, groups=2), (2, 4, 7, 6), (6, 2, 3, 2)),
    "conv_transpose2d": (lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2), (2, 3, 4, 3), (3, 2, 3, 3), (2,)),
    "linear": (F.linear, (5, 7), (3, 7), (3,)),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), (3, 4, 3, 2), (4,), (4,)),
    "batch_norm_relu": (normalised, (3, 4, 3, 2), (3, 4, 3, 2), (4,), (4,)),
    "relu": (F.relu, (2, 3, 4, 5)),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.3), (2, 3, 4, 5)),
    "sigmoid": (F.sigmoid, (2, 3, 4, 5)),
    "tanh": (F.tanh, (7,)),
    "dropout": (lambda x: minicnn.manual_seed(4) or F.dropout(x, 0.3), (3, 4, 2, 2)),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, padding=1), (2, 3, 6, 5)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2, padding=1), (2, 3, 6, 5)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (2, 3)), (2, 3, 5, 4)),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3, alpha=1.0), (2, 5, 3, 4)),
    "residual_add": (F.residual_add, (2, 3, 4, 5), (2, 3, 4, 5)),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 1)), (2, 3, 4, 5)),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), (1, 2, 3, 4)),
    "cross_entropy": (lambda x: F.cross_entropy(x, np.array([2, 0, 3])), (3, 5)),
    "mse_loss": (F.mse_loss, (3, 4), (3, 4)),
    "mul": (lambda a, b: a * b, (3, 4), (4,)),
    "exp": (minicnn.exp, (3, 4)),
    "mean": (lambda x: x.mean((2, 3)), (2, 3, 9, 8)),
    "flatten": (lambda x: F.flatten(x, 1), (2, 3, 4, 5)),
    "cat": (lambda a, b: minicnn.cat([a, b], 1), (2, 3, 4, 2), (2, 1, 4, 2)),
    "x[index]": (lambda x: x[:, 1:, ::2], (2, 3, 4)),
    "number beside it": (lambda x: 2 * x + 0.5, (3, 4)),
}
TWO_ACTIVATIONS = {"batch_norm_relu", "conv2d_relu"}  # in front of the weights
ONE = {"conv2d", "conv2d in groups", "conv2d_relu alone", "conv_transpose2d", "linear", "batch_norm"}


@pytest.mark.parametrize("name", OPS)
def test_every_op_rounds_once(place, name):
    """As exactly as the plain tier of the processor does, which computes in float32 and rounds what it gives back."""
    function, *shapes = OPS[name]
    rng = np.random.default_rng(5)
    count = 2 if name in TWO_ACTIVATIONS else 1 if name in ONE else len(shapes)  # arrays that are activations
    arrays = [rounded(rng, *shape) for shape in shapes[:count]]
    arrays += [rng.standard_normal(shape).astype("f") for shape in shapes[count:]]
    check_bfloat16(place, function, arrays, activations=count)


@pytest.mark.parametrize("name", ["relu", "max_pool2d", "residual_add", "flatten", "local_response_norm", "dropout"])
def test_the_plain_tier_is_float32_rounded_once(name):
    """Against the same op in float32, whose result and gradients are rounded here."""
    function, *shapes = OPS[name]
    rng = np.random.default_rng(5)
    arrays = [rounded(rng, *shape) for shape in shapes]
    with PLAIN.active():
        exact, few = ([Tensor(to(a), True) for a in arrays] for to in (wide, narrow))
        y, y_few = function(*exact), function(*few)
        grad = rounded(rng, *y.shape)
        y.backward(Tensor(grad))
        y_few.backward(Tensor(narrow(grad)))
    pairs = [(y, y_few), *((a.grad, b.grad) for a, b in zip(exact, few, strict=True))]
    for expected, found in pairs:
        assert found.dtype == BFLOAT16
        np.testing.assert_array_equal(found.numpy(), narrow(expected.numpy()).astype("f"))


def test_a_product_takes_its_weight_rounded_and_keeps_the_master(place):
    """1 + 2^-10 is 1 in bfloat16; the weight itself stays, and its gradient has all digits."""
    weight = place.tensor(np.full((1, 1), 1 + 2.0**-10, "f"), requires_grad=True)
    x = place.tensor(np.array([[3.0]], BFLOAT16), requires_grad=True)
    y = F.linear(x, weight)
    y.backward(place.tensor(np.array([[1.0]], BFLOAT16)))
    assert y.item() == 3 and x.grad.item() == 1 and weight.item() == 1 + 2.0**-10
    assert weight.grad.dtype == np.float32 and weight.grad.item() == 3


@pytest.mark.parametrize("channels", [3, 8])  # some kernels keep a rounded copy of the weight
def test_a_weight_that_changes_before_backward_is_an_error(place, channels):
    x = place.tensor(np.ones((1, channels, 2, 2), BFLOAT16), requires_grad=True)
    weight = place.tensor(np.ones((8, channels, 1, 1), "f"), requires_grad=True)
    y = F.conv2d(x, weight)
    with minicnn.no_grad():
        weight += 1
    with raises(RuntimeError, "Conv2d", "in place"):
        y.backward(place.tensor(np.ones(y.shape, BFLOAT16)))


def test_the_sums_of_gradients_are_float32(place):
    """4096 times 1/256: bfloat16 sums would stop at 1, where the next term is lost."""
    if place == PYTHON_GPU:
        pytest.skip("Python runs each of 4096 threads' sums: the test of all ops has this place")
    x = place.tensor(np.full((1, 1, 64, 64), 1 / 256, BFLOAT16))
    weight = place.tensor(np.ones((1, 1, 1, 1), "f"), requires_grad=True)
    F.conv2d(x, weight).backward(place.tensor(np.ones((1, 1, 64, 64), BFLOAT16)))
    assert weight.grad.item() == 16


def test_in_place_ops_stay_in_their_memory(place):
    array = place.tensor(np.array([-1.0, 2.0, -3.0, 4.0], BFLOAT16)).data
    x = Tensor(array)
    y = F.relu(x, inplace=True)
    assert y is x and x.data is array
    assert x.tolist() == [0, 2, 0, 4]


def test_a_float64_network_is_not_rounded():
    net = small_net().to(minicnn.float64)
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 8, 8)))
    net.eval()
    expected = net(x).numpy()
    with minicnn.precision("bfloat16"):
        np.testing.assert_array_equal(net(x).numpy(), expected)


def test_gradients_that_meet_are_added_and_rounded(place):
    x = place.tensor(np.array([1.0, 2.0], BFLOAT16), requires_grad=True)
    y = F.relu(x)
    F.residual_add(y, y).backward(place.tensor(np.array([1.0, 1 + 1 / 128], BFLOAT16)))
    assert x.grad.dtype == BFLOAT16 and x.grad.tolist() == [2, 2 + 2 / 128]


def test_a_network_learns_in_bfloat16_as_in_float32():
    """Forty steps on sixteen pictures: both learn them by heart."""
    rng = np.random.default_rng(2)
    images, labels = Tensor(rng.standard_normal((16, 3, 8, 8)).astype("f")), np.arange(16) % 4
    last = {}
    for name in ("float32", "bfloat16"):
        net = small_net()
        net[7] = nn.Identity()  # no dropout
        optimizer = minicnn.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        with minicnn.precision(name):
            for _ in range(40):
                optimizer.zero_grad()
                loss = F.cross_entropy(net(images), labels)
                loss.backward()
                optimizer.step()
        last[name] = loss.item()
    assert last["float32"] < 0.05 and last["bfloat16"] < 0.05, last


def test_a_tensor_of_bfloat16():
    x = Tensor(np.array([1.0, 2.5], BFLOAT16))
    assert repr(x) == "Tensor([1. , 2.5], dtype=bfloat16)"
    assert x.is_floating_point() and x.dtype == minicnn.bfloat16
    assert x.numpy().dtype == np.float32 and np.asarray(x).tolist() == [1, 2.5] and x[1].item() == 2.5
    assert minicnn.zeros(2, dtype=minicnn.bfloat16).dtype == minicnn.tensor([1.0]).bfloat16().dtype == BFLOAT16
    assert (x + 1).dtype == x.float().bfloat16().dtype == BFLOAT16
    assert (x > 1).tolist() == [False, True] and x.sum().item() == 3.5 and int(x.argmax().item()) == 1


def test_unknown_precisions_are_refused():
    for choose in (set_precision, minicnn.precision):
        with raises(ValueError, "'fp16'", *PRECISIONS):
            choose("fp16")


def test_places_are_all_there():
    assert len(PLACES) == 4  # each test above with an argument `place` ran in all of them
