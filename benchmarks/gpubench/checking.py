"""Every kernel against the NumPy function of its op's page in float64, on the same random numbers.

The result's memory is filled with NaN before: what a kernel does not write shows. Each is run twice, and must give the
same bits.
"""

import functools

import numpy as np

from minicnn import Tensor, functional, manual_seed, nn, tier
from minicnn.device import array_module, implementation, to_device
from minicnn.optim import SGD

from .cases import Source, arrays_of, transform
from .figures import relative_error
from .settings import require_kernels
from .sizes import LISTS

TOLERANCE = {"float32": 1e-4, "float64": 1e-11}  # of the largest error, as a part of the largest number
COARSE = {"tf32": 2e-3, "float16": 2e-3, "bfloat16": 2e-2}  # where factors are rounded, by the end of the name


def items(settings, language):
    """(name, function) of each check; the functions return {"dtype", "error", "tolerance", "ok", ...}."""
    require_kernels(language)
    each = checks(LISTS["tiny" if settings.tiny else "check"](), TOLERANCE, language)
    return [*each, ("two training steps", functools.partial(check_steps, language))]


def items_of_timed(settings):
    """The sizes that are timed, in float32."""
    require_kernels("fast")
    return checks(LISTS["tiny" if settings.tiny else "timed"](), ["float32"], "fast")


def checks(cases, dtypes, language):
    return [
        (f"{case.name}, {dtype}", functools.partial(check, case, dtype, language))
        for case in cases
        for dtype in dtypes
        if dtype in case.dtypes and (language == "fast" or not case.rung)
    ]


def check(case, dtype, language):
    """One case in one dtype."""
    run = kernel_of(case, language)
    host = case.make(Source(dtype))
    wide = transform(lambda a: a.astype(np.float64) if a.dtype.kind == "f" else a, host)
    expected = outcome(case, case.reference, wide)
    first, second = (run_on_device(case, run, host, [as_written(e, dtype) for e in expected]) for _ in range(2))
    error = max(relative_error(a, e) for a, e in zip(first, expected, strict=True))
    limit = tolerance(case.op, dtype)
    repeats = all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))
    stays = all(a.dtype == dtype for a in first if a.dtype.kind == "f")
    ok = error <= limit and repeats and stays
    return {"dtype": dtype, "error": error, "tolerance": limit, "repeats": repeats, "ok": ok, "keeps_dtype": stays}


def kernel_of(case, language):
    """The function to run: a rung of a ladder, or the op's mirror. DeviceError where there is none."""
    return case.rung[1] if case.rung else implementation(case.reference, "cuda", language)


def tolerance(op, dtype):
    """What rounded factors do to the result is no mistake."""
    return COARSE.get(op.rpartition(" in ")[2], TOLERANCE[dtype])


def outcome(case, function, arguments):
    """The arrays that a case is about: its results, or the arguments that it changes."""
    result = function(*arguments)
    return arrays_of(tuple(arguments[i] for i in case.written) if case.written else result)


def as_written(expected, dtype):
    """(shape, dtype) of what a kernel writes."""
    return expected.shape, np.dtype(dtype) if expected.dtype.kind == "f" else expected.dtype


def run_on_device(case, run, host, written):
    """The outcome, as NumPy arrays, of a kernel that finds NaN (integers: 7) where it shall write."""
    arguments = shared(host, lambda a: to_device(np.array(a), "cuda"))
    memory = [to_device(np.full(shape, np.nan if dtype.kind == "f" else 7, dtype), "cuda") for shape, dtype in written]
    del memory  # back to the pool, from where the kernel's own results are taken
    return [np.array(to_device(a, "cpu")) for a in outcome(case, run, arguments)]


def shared(value, move):
    """The arguments moved, one array given twice (in place) staying one."""
    moved = {id(array): array for array in arrays_of(value)}
    moved = {number: move(array) for number, array in moved.items()}
    return transform(lambda array: moved[id(array)], value)


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
        model = nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU(inplace=True),
            nn.LocalResponseNorm(3, alpha=1.0),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(27, 4),
        ).to(device)
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
        for _ in range(2):
            optimizer.zero_grad()
            functional.cross_entropy(model(Tensor(images).to(device)), labels).backward()
            optimizer.step()
        return {name: np.asarray(value) for name, value in model.state_dict().items()}


def free():
    """Give the unused memory of CuPy's pool back."""
    library = array_module(to_device(np.zeros(1), "cuda"))
    if library is not np:
        library.get_default_memory_pool().free_all_blocks()
