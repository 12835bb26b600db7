"""``pytest --gpu``: the tests of device "cuda" on the machine's own GPU, where they otherwise take the emulated one.

Then only these run: every test with a Place on "cuda" among its arguments (the one body of each op's tests, with both
tiers), and those marked ``gpu`` (sizes larger than a block, training steps). What is marked ``emulator`` looks at what
the emulator or the simulator reports, which no GPU tells: it is skipped, with that reason. Tests marked ``untried`` are
the last ones.
"""

import numpy as np
import pytest

from minicnn.device import DeviceError, check_available, implementation, to_device
from minicnn.emulated import emulating, on_device
from minicnn.ops.activation import relu_forward

_chosen = False  # settled once, before a test is collected


def chosen():
    """Whether the tests run on a real GPU."""
    return _chosen


def choose(config):
    """Look at the command line; UsageError, one line, if there is no GPU for --gpu."""
    global _chosen
    _chosen = config.getoption("--gpu")
    if not _chosen:
        return
    if emulating():
        raise pytest.UsageError("--gpu means the machine's own GPU, and MINICNN_EMULATE_GPU is set; unset it")
    try:
        check_available("cuda")
    except DeviceError as error:
        raise pytest.UsageError(f"--gpu: {error}; without --gpu the tests run on an emulated GPU") from None


def select(config, items):
    """Of the collected items, leave those that a real GPU is for, and say of some why it cannot run them."""
    kept = [item for item in items if tier_of(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = sorted(kept, key=lambda item: item.get_closest_marker("untried") is not None)
    not_plain = why_not_plain() if "plain" in map(tier_of, kept) else ""
    reasons = {"emulator": "it looks at what the emulated GPU reports, and this one is real"}
    if not_plain:
        reasons["plain"] = f"Numba's kernels cannot run here: {not_plain}"
    for item in kept:
        if reason := reasons.get(tier_of(item)):
            item.add_marker(pytest.mark.skip(reason=reason))


def tier_of(item):
    """ "fast" or "plain", the tier of a test of device "cuda"; "emulator" of one for that alone; None of all others."""
    if item.get_closest_marker("emulator"):
        return "emulator"
    arguments = item.callspec.params.values() if hasattr(item, "callspec") else ()
    places = [value for value in arguments if hasattr(value, "device") and hasattr(value, "tier")]
    if places:
        return None if any(place.device == "cpu" for place in places) else places[0].tier
    marker = item.get_closest_marker("gpu")
    return marker and (marker.args[0] if marker.args else "fast")


def why_not_plain():
    """Why tier "plain" cannot run on this machine's GPU, as where numba-cuda is missing; empty if it can."""
    try:
        implementation(relu_forward, "cuda", "plain")(to_device(np.ones(1, np.float32), "cuda"), None)
    except Exception as error:  # of any kind: Numba, its compilers and the driver have their own
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return ""


def end_if_faulted(test):
    """End the run if the GPU has faulted: it answers this process no more, and every test behind would fail, too."""
    import cupy  # an optional package, which is here where a test has run on a GPU

    try:
        cupy.cuda.Device().synchronize()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        advice = "run it alone with MINICNN_SYNC=1, which names the kernel, and those behind it in a new process"
        pytest.exit(f"{test}: the GPU has faulted ({error}); {advice}", returncode=3)


def there(value):
    """A copy of an array in C order on device "cuda", the real one or the emulated; also of each in a tuple."""
    if type(value) is tuple:
        return tuple(there(part) for part in value)
    if not isinstance(value, np.ndarray):
        return value
    copy = np.array(value, order="C")
    return to_device(copy, "cuda") if _chosen else on_device(copy)


def back(array):
    """The values of an array on any device as NumPy's."""
    return to_device(array, "cpu")
