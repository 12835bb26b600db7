"""Every kernel against the NumPy function of its op's page in float64, on the same random numbers.

The result's memory is filled with NaN before: what a kernel does not write shows. Two runs must give the same bits.
"""

import math
from functools import partial

import numpy as np

from minicnn import Tensor, functional, manual_seed, nn, tier
from minicnn.device import to_device
from minicnn.optim import SGD
from minicnn.precision import BFLOAT16, NONE
from minicnn.variable import is_float

from .case import outcome
from .clock import our_kernels
from .sizes import LISTS

TOLERANCE = {"float32": 1e-4, "float64": 1e-11}  # of the largest error, as a part of the largest number
COARSE = {"tf32": 2e-3, "float16": 2e-3, "bfloat16": 2e-2}  # where factors are rounded, by the end of the name


def items(language, tiny, sizes="check"):
    """(name, function) of each check; the functions return {"dtype", "error", "tolerance", "ok", ...}."""
    our_kernels(language)
    found = [
        (f"{case.name}, {dtype}", partial(check, case, dtype, language))
        for case in LISTS["tiny" if tiny else sizes]()
        for dtype in case.dtypes[: 1 if sizes == "timed" else 2]  # those sizes take long in float64
        if language == "fast" or case.kernel is None
    ]
    return found + [("two training steps", partial(check_steps, language))] * (sizes == "check")


def check(case, dtype, language):
    """One case in one dtype."""
    wide = case.make(lambda array: as_float(array, "float64"))
    expected = outcome(case.reference(*wide.values()), wide)
    first, second = (run_on_device(case, dtype, language, expected) for _ in range(2))
    error = max(relative_error(a, e) for a, e in zip(first, expected, strict=True))
    limit = COARSE.get(case.op.rpartition(" in ")[2], TOLERANCE[dtype])  # what rounding does is no mistake
    repeats = all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))
    stays = all(a.dtype == due for a, due in zip(first, dtypes_due(case, dtype, first), strict=True))
    faults = ["another dtype"] * (not stays) + ["does not repeat"] * (not repeats)
    faults += [f"error {error:.0e}"] * (error > limit)
    found = {"dtype": dtype, "error": error, "tolerance": limit, "repeats": repeats, "keeps_dtype": stays}
    return {**found, "ok": not faults, "faults": faults}


def dtypes_due(case, dtype, found):
    """Of each array of a result: that of the arguments, or bfloat16 where activations are; integers as they are."""
    if (case.kernel is not None and case.narrow) or isinstance(
        case.values.get("dtype"), np.dtype
    ):  # it says itself what it makes
        return [array.dtype for array in found]
    stays = getattr(case.reference, "float32", NONE).results if case.narrow else range(len(found))
    return [
        (np.dtype(dtype) if i in stays else BFLOAT16) if is_float(array.dtype) else array.dtype
        for i, array in enumerate(found)
    ]


def as_float(array, dtype):
    """Floats in that dtype, integers as they are."""
    return array.astype(dtype) if is_float(array.dtype) else array


def as_given(array, dtype):
    """The same; bfloat16 numbers as they are."""
    return array if array.dtype == BFLOAT16 else as_float(array, dtype)


def run_on_device(case, dtype, language, expected):
    """The outcome, as NumPy arrays, of a kernel that finds NaN (each bit of it set) where it shall write."""
    made = case.make(lambda array: to_device(as_given(array, dtype), "cuda"))
    memory = [to_device(np.full(as_float(e, dtype).nbytes, 255, np.uint8), "cuda") for e in expected]
    del memory  # back to the pool, from where the kernel's own results are taken
    result = case.function(language)(*made.values())
    return [np.array(to_device(array, "cpu")) for array in outcome(result, made)]


def relative_error(value, expected):
    """max |value - expected| / max |expected|; infinite where a number is missing or NaN, or the shapes differ."""
    if value.shape != expected.shape:
        return math.inf
    if expected.dtype.kind != "f":  # integers must be equal, and what a cast makes
        return 0.0 if np.array_equal(value, expected) else math.inf
    worst, scale = (np.abs(a).max(initial=0) for a in (value.astype(np.float64) - expected, expected))
    error = float(worst / (scale or 1))
    return error if math.isfinite(error) else math.inf


def check_steps(language):
    """Two training steps of a small network with a layer of each kind, float32: the processor's parameters."""
    expected, actual = steps("cpu", "plain"), steps("cuda", language)
    error = max(relative_error(actual[name], expected[name]) for name in expected)
    faults = [f"error {error:.0e}"] * (error > 1e-4)
    return {"dtype": "float32", "error": error, "tolerance": 1e-4, "ok": not faults, "faults": faults}


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
