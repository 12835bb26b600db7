"""What the tests of every op assert, written once, and the places that every op is tested on."""

import contextlib
import importlib
import sys
from typing import NamedTuple

import numpy as np
import pytest
import real_gpu

import minicnn.functional as F
from minicnn import Tensor, gradcheck, manual_seed, tier
from minicnn.device import DeviceError, implementation, to_device
from minicnn.kernels.cuda.emulator.compiler import compiler
from minicnn.precision import BFLOAT16


class Place(NamedTuple):
    """A device, and the tier of implementations to run there."""

    device: str
    tier: str

    def __str__(self):
        return f"{self.device}-{self.tier}"

    def tensor(self, array, requires_grad=False):
        return Tensor(to_device(array, self.device), requires_grad)

    @property
    def simulated(self):
        """Whether Python runs every thread of a kernel, which takes a tenth of a millisecond for each."""
        return self == PYTHON_GPU and not real_gpu.chosen()

    @contextlib.contextmanager
    def active(self):
        """Ops inside run on this tier; device "cuda" is the emulated GPU, unless pytest was given --gpu."""
        with pytest.MonkeyPatch.context() as monkeypatch, tier(self.tier):
            if self.device == "cuda" and not real_gpu.chosen():
                monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
            yield


NUMBA_CUDA = "minicnn.kernels.numba_cuda"
PYTHON_GPU = Place("cuda", "plain")  # Numba's kernels
FAST_CPU = Place("cpu", "fast")
FAST_GPU = Place("cuda", "fast")  # CUDA C++
# a test with an argument `place` runs once on each of these
PLACES = [Place("cpu", "plain"), FAST_CPU, PYTHON_GPU, FAST_GPU]


@contextlib.contextmanager
def loaded_anew():
    """Every module of Numba's kernels is loaded when it is asked for; afterwards they are what they were."""
    importlib.import_module(f"{NUMBA_CUDA}.launch")
    before = {name: module for name, module in sys.modules.items() if name.startswith(f"{NUMBA_CUDA}.")}

    def forget(names):
        implementation.cache_clear()
        for name in names:
            del sys.modules[name]

    forget(before.keys() - {f"{NUMBA_CUDA}.launch", f"{NUMBA_CUDA}.simulator"})
    try:
        yield
    finally:
        forget([name for name in sys.modules if name.startswith(f"{NUMBA_CUDA}.")])
        sys.modules.update(before)


def there_is_a_compiler():
    try:
        return bool(compiler())
    except DeviceError:
        return False


needs_compiler = pytest.mark.needs_compiler  # conftest.py skips it where there is none


def check_gradients(place, function, arrays, *, atol=1e-7, rtol=1e-6, **options):
    """The gradient of every array (None: an argument left out) against finite differences."""

    def call(*tensors):
        remaining = iter(tensors)
        return function(*(None if a is None else next(remaining) for a in arrays), **options)

    directions = {"directions": 2} if place.simulated else {}
    assert gradcheck(call, [place.tensor(a) for a in arrays if a is not None], atol=atol, rtol=rtol, **directions)


def check_equals_torch(place, function, torch_function, arrays, *, tolerance=1e-10, **options):
    """The result and the gradient of every array against PyTorch's, for a random upstream gradient."""
    y, grads = run(place, function, arrays, **options)
    expected_y, expected_grads = run_torch(torch_function, arrays, **options)
    check_close(y, expected_y, tolerance)
    for grad, expected in zip(grads, expected_grads, strict=True):
        if expected is not None:
            check_close(grad, expected, tolerance)


def check_float32(place, function, arrays, *, tolerance=2e-4, **options):
    """float32 stays float32, forward and backward, and comes out as float64 does but for rounding."""
    y, grads = run(place, function, [None if a is None else a.astype(np.float32) for a in arrays], **options)
    same = [None if a is None else a.astype(np.float32).astype(np.float64) for a in arrays]
    expected_y, expected_grads = run(place, function, same, **options)
    for value, expected in zip([y, *grads], [expected_y, *expected_grads], strict=True):
        if expected is not None:
            assert value.dtype == np.float32
            check_close(value, expected, tolerance * max(1, np.abs(expected).max(initial=0)))


def check_bfloat16(place, function, arrays, *, activations=1, ulps=1, **options):
    """Of bfloat16 activations (the first arrays) and float32 weights: the result and every gradient as on the
    processor's plain tier. That rounds each once; another order of float32 sums may round to the next number.

    ulps  by how many bfloat16 numbers a result may differ
    """
    dtypes = [BFLOAT16] * activations + [np.dtype(np.float32)] * (len(arrays) - activations)
    given = [None if a is None else np.asarray(a, dtype) for a, dtype in zip(arrays, dtypes, strict=True)]
    oracle = Place("cpu", "plain")
    with oracle.active():
        expected_y, expected_grads = _run_as_given(oracle, function, given, **options)
    y, grads = _run_as_given(place, function, given, **options)
    for found, expected in zip([y, *grads], [expected_y, *expected_grads], strict=True):
        if expected is not None:
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            of_one = 2.0**-7 if found.dtype == BFLOAT16 else 1e-5  # the most that its last digit is of a number
            exact = expected.astype(np.float64)
            least = 1e-4 * np.abs(exact).max(initial=0) + 2e-6  # sums that cancel have fewer digits, or none
            apart = np.abs(found.astype(np.float64) - exact)
            assert (apart <= 1.01 * ulps * of_one * np.abs(exact) + least).all(), (apart.max(), np.abs(exact).max())


def _run_as_given(place, function, arrays, **options):
    """As ``run``, in the arrays' own dtypes."""
    tensors = [None if a is None else place.tensor(a, requires_grad=True) for a in arrays]
    y = function(*tensors, **options)
    y.backward(place.tensor(upstream(y.numpy()).astype(y.dtype)))
    return to_device(y.data, "cpu"), [None if t is None else to_device(t.grad.data, "cpu") for t in tensors]


def check_refuses_mixed_dtypes(place, function, arrays, **options):
    """Each array in turn in float32 among float64 ones: a TypeError that names both."""
    for i in range(len(arrays)):
        mixed = [place.tensor(a.astype(np.float32) if j == i else a) for j, a in enumerate(arrays)]
        with raises(TypeError, "float32", "float64", "astype"):
            function(*mixed, **options)


def check_close(value, expected, tolerance):
    assert value.shape == expected.shape
    np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)


def run(place, function, arrays, **options):
    """(y, the gradient of each array) as NumPy arrays."""
    tensors = [None if a is None else place.tensor(a, requires_grad=True) for a in arrays]
    y = function(*tensors, **options)
    y.backward(place.tensor(upstream(y.numpy())))
    assert {t.device for t in (y, *(t.grad for t in tensors if t is not None))} == {place.device}
    return y.numpy(), [None if t is None else t.grad.numpy() for t in tensors]


def run_torch(function, arrays, **options):
    """The same, by PyTorch."""
    import torch

    tensors = [None if a is None else torch.from_numpy(np.array(a, order="C")).requires_grad_() for a in arrays]
    y = function(*tensors, **options)
    y.backward(torch.from_numpy(upstream(y.detach().numpy()).copy(order="C")))
    return y.detach().numpy(), [None if t is None else t.grad.numpy() for t in tensors]


def forward(place, function, *arrays, **options):
    """y alone, as a NumPy array."""
    return function(*(None if a is None else place.tensor(np.asarray(a)) for a in arrays), **options).numpy()


def gradient(place, function, array, upstream_gradient=None, **options):
    """The gradient of one array, for the given upstream gradient (ones where it does not matter)."""
    x = place.tensor(np.asarray(array), requires_grad=True)
    y = function(x, **options)
    values = np.ones(y.shape, y.dtype) if upstream_gradient is None else np.asarray(upstream_gradient, y.dtype)
    y.backward(place.tensor(values))
    return x.grad.numpy()


def upstream(y):
    """A random gradient of y's shape and dtype, in Fortran order and read-only, which backward must put up with."""
    grad = np.array(np.random.default_rng(0).standard_normal(y.shape), y.dtype, order="F")
    grad.flags.writeable = False
    return grad


def leaf(*values):
    """A Tensor of float64 numbers that requires a gradient."""
    return Tensor(np.array(values), requires_grad=True)


@contextlib.contextmanager
def raises(error, *parts):
    """``pytest.raises`` of an error whose message has all the parts in it."""
    with pytest.raises(error) as caught:
        yield
    for part in parts:
        assert str(part) in str(caught.value)


def check_network_gradients(model, images, target, *, seed=2):
    """The gradient of a whole float64 network with a cross-entropy behind it: along two random directions for each
    parameter that is trained and for the images, with dropout that draws the same masks again.

    Among thousands of ReLUs some stand close to 0: the step is small, so that none of them is switched by it.
    """
    homes = [(vars(m), name) for m in model.modules() for name, p in m._parameters.items() if p is not None]
    homes = [(attributes, name) for attributes, name in homes if attributes[name].requires_grad]
    arrays = [attributes[name].numpy() for attributes, name in homes]

    def loss(x, *parameters):
        for (attributes, name), parameter in zip(homes, parameters, strict=True):
            attributes[name] = parameter  # a plain Tensor, which the module would refuse
        manual_seed(seed)
        return F.cross_entropy(model(x), target)

    assert gradcheck(loss, [images, *arrays], directions=2, eps=1e-7, atol=1e-8)
