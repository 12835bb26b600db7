"""Every kernel against the NumPy function of its op's page in float64, on the same random numbers.

The result's memory is filled with NaN before: what a kernel does not write shows. Each is run twice, and must give the
same bits.
"""

import functools
import math

import numpy as np

from minicnn import Tensor, functional, manual_seed, nn, tier
from minicnn.device import implementation, to_device
from minicnn.optim import SGD

from .cases import moved
from .libraries import our_kernels
from .sizes import listed

TOLERANCE = {"float32": 1e-4, "float64": 1e-11}  # of the largest error, as a part of the largest number
COARSE = {"tf32": 2e-3, "float16": 2e-3, "bfloat16": 2e-2}  # where factors are rounded, by the end of the name


def items(tiny, language, sizes="check", dtypes=tuple(TOLERANCE)):
    """(name, function) of each check; the functions return {"dtype", "error", "tolerance", "ok", ...}."""
    our_kernels(language)
    found = [
        (f"{case.name}, {dtype}", functools.partial(check, case, dtype, language))
        for case in listed(tiny, sizes)
        for dtype in dtypes
        if dtype in case.dtypes and (language == "fast" or not case.rung)
    ]
    return found + [("two training steps", functools.partial(check_steps, language))] * (sizes == "check")


def check(case, dtype, language):
    """One case in one dtype."""
    run, host, wide = kernel_of(case, language), case.make(floats(dtype)), case.make(floats("float64"))
    expected = case.outcome(wide, case.reference(*wide))
    as_written = [np.full(e.shape, *((np.nan, dtype) if e.dtype.kind == "f" else (7, e.dtype))) for e in expected]
    first, second = (run_on_device(case, run, host, as_written) for _ in range(2))
    error, limit = max(relative_error(a, e) for a, e in zip(first, expected, strict=True)), tolerance(case.op, dtype)
    repeats = all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))
    stays = all(a.dtype == dtype for a in first if a.dtype.kind == "f")
    ok = error <= limit and repeats and stays
    return {"dtype": dtype, "error": error, "tolerance": limit, "repeats": repeats, "ok": ok, "keeps_dtype": stays}


def floats(dtype):
    return lambda array: array.astype(dtype) if array.dtype.kind == "f" else array


def kernel_of(case, language):
    """The function to run: a rung of a ladder, or the op's mirror. DeviceError where there is none."""
    return case.rung[1] if case.rung else implementation(case.reference, "cuda", language)


def tolerance(op, dtype):
    """What rounded factors do to the result is no mistake."""
    return COARSE.get(op.rpartition(" in ")[2], TOLERANCE[dtype])


def run_on_device(case, run, host, as_written):
    """The outcome, as NumPy arrays, of a kernel that finds NaN (integers: 7) where it shall write."""
    arguments = moved(host, lambda array: to_device(np.array(array), "cuda"))
    memory = [to_device(array, "cuda") for array in as_written]
    del memory  # back to the pool, from where the kernel's own results are taken
    return [np.array(to_device(array, "cpu")) for array in case.outcome(arguments, run(*arguments))]


def relative_error(value, expected):
    """max |value - expected| / max |expected|; infinite where a number is missing or NaN, or the shapes differ.

    Integers must be equal: 0 or infinite.
    """
    value, expected = np.asarray(value), np.asarray(expected)
    if value.shape != expected.shape:
        return math.inf
    if expected.dtype.kind in "iub":
        return 0.0 if np.array_equal(value, expected) else math.inf
    if expected.size == 0:
        return 0.0
    worst, scale = np.abs(value.astype(np.float64) - expected).max(), np.abs(expected).max()
    error = float(worst / scale) if scale > 0 else float(worst)
    return error if math.isfinite(error) else math.inf


def check_steps(language):
    """Two training steps of a small network with a layer of each kind, float32: the processor's parameters."""
    expected, actual = steps("cpu", "plain"), steps("cuda", language)
    error = max(relative_error(actual[name], expected[name]) for name in expected)
    return {"dtype": "float32", "error": error, "tolerance": 1e-4, "ok": error <= 1e-4}


def steps(device, language):
    """Every parameter and buffer after two steps."""
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((2, 2, 6, 6), np.float32), np.array([1, 2])
    with tier(language):
        manual_seed(0)
        layers = [nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(inplace=True)]
        layers += [nn.LocalResponseNorm(3, alpha=1.0), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(27, 4)]
        model = nn.Sequential(*layers).to(device)
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
        for _ in range(2):
            optimizer.zero_grad()
            functional.cross_entropy(model(Tensor(images).to(device)), labels).backward()
            optimizer.step()
        return {name: np.asarray(value) for name, value in model.state_dict().items()}
