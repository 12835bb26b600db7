"""Arguments that are numbers: of any kind, they leave the dtype alone; what is none is refused by name."""

import numpy as np
import pytest
from checks import raises

import minicnn.functional as F
from minicnn import Tensor, manual_seed

LABELS = np.array([0, 2])
REAL = {  # each argument that is a real number: (op, argument) -> the call
    ("local_response_norm", "alpha"): lambda x, n: F.local_response_norm(x, 2, alpha=n),
    ("local_response_norm", "beta"): lambda x, n: F.local_response_norm(x, 2, beta=n),
    ("local_response_norm", "k"): lambda x, n: F.local_response_norm(x, 2, k=n),
    ("dropout", "p"): lambda x, n: F.dropout(x, n),
    ("cross_entropy", "label_smoothing"): lambda x, n: F.cross_entropy(x, LABELS[:, None, None], label_smoothing=n),
    ("batch_norm", "eps"): lambda x, n: F.batch_norm(x, None, None, training=True, eps=n),
    ("batch_norm", "momentum"): lambda x, n: F.batch_norm(x, *running(x), training=True, momentum=n),
    ("batch_norm_relu", "eps"): lambda x, n: F.batch_norm_relu(x, None, None, training=True, eps=n),
    ("avg_pool2d", "divisor_override"): lambda x, n: F.avg_pool2d(x, 1, divisor_override=n),
}
WHOLE = {
    ("conv2d", "groups"): lambda x, n: F.conv2d(x, weight(x), groups=n),
    ("conv2d", "stride"): lambda x, n: F.conv2d(x, weight(x), stride=n),
    ("conv2d", "dilation"): lambda x, n: F.conv2d(x, weight(x), dilation=n),
    ("conv2d", "padding"): lambda x, n: F.conv2d(x, weight(x), padding=n),
    ("max_pool2d", "kernel_size"): lambda x, n: F.max_pool2d(x, n),
    ("max_pool2d", "stride"): lambda x, n: F.max_pool2d(x, 1, stride=n),
    ("avg_pool2d", "kernel_size"): lambda x, n: F.avg_pool2d(x, n),
    ("adaptive_avg_pool2d", "output_size"): lambda x, n: F.adaptive_avg_pool2d(x, n),
    ("local_response_norm", "size"): lambda x, n: F.local_response_norm(x, n),
    ("local_response_norm", "groups"): lambda x, n: F.local_response_norm(x, 2, groups=n),
    ("cross_entropy", "ignore_index"): lambda x, n: F.cross_entropy(x, LABELS[:, None, None], ignore_index=n),
}
BOTH = REAL | WHOLE


def running(x):
    return (Tensor(np.zeros(3, np.float32)).to(x.device), Tensor(np.ones(3, np.float32)).to(x.device))


def weight(x):
    return Tensor(np.ones((2, 3, 1, 1), np.float32)).to(x.device)


def images(place=None):
    x = np.random.default_rng(0).standard_normal((2, 3, 1, 1)).astype(np.float32)
    return place.tensor(x, requires_grad=True) if place else Tensor(x)


def one(call, place, number):
    manual_seed(0)
    x = images(place)
    y = call(x, number)
    y.backward(y.detach())
    return y.numpy(), x.grad.numpy()


@pytest.mark.parametrize("call", BOTH.values(), ids=map(" ".join, BOTH))
def test_numbers_of_every_kind_give_the_same(place, call):
    expected = one(call, place, 1)
    kinds = [np.int64(1), np.uint8(1), *([1.0, np.float64(1), np.float32(1)] if call in REAL.values() else [])]
    for kind in kinds:
        for value, right in zip(one(call, place, kind), expected, strict=True):
            assert value.dtype == np.float32 and np.array_equal(value, right)


@pytest.mark.parametrize("wrong", ["1", [1, 2, 3], 1j, object()], ids=["text", "a list", "complex", "an object"])
@pytest.mark.parametrize("named", BOTH, ids=" ".join)
def test_what_is_no_number_is_refused_by_name(named, wrong):
    with pytest.raises((TypeError, ValueError)) as caught:
        BOTH[named](images(), wrong)
    assert all(part in str(caught.value) for part in named)


@pytest.mark.parametrize("named", WHOLE, ids=" ".join)
def test_half_a_pixel_is_refused_by_name(named):
    with raises(TypeError, *named, 1.5):
        WHOLE[named](images(), 1.5)


def test_pairs_may_be_arrays():
    x = Tensor(np.ones((1, 1, 6, 6)))
    by_array = F.max_pool2d(x, np.array([2, 3]), stride=np.array([2, 1]))
    assert by_array.shape == F.max_pool2d(x, (2, 3), stride=(2, 1)).shape == (1, 1, 3, 4)
    with raises(TypeError, "max_pool2d", "stride"):
        F.max_pool2d(x, 2, stride=np.array([1, 2, 3]))


def test_eps_is_not_negative():
    with raises(ValueError, "batch_norm", "eps", "-1"):
        F.batch_norm(images(), *running(images()), eps=-1)
