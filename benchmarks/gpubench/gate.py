"""The build gate for this machine's own GPU: NVRTC compiles each .cu file for it and says what its kernels take.

Names as minicnn.kernels.check has them, which does the same for four generations of GPUs, wherever it runs.
"""

from functools import partial

from minicnn.emulated import emulating
from minicnn.kernels import check
from minicnn.kernels.cuda.source import FOLDER

REHEARSED = 90  # compute capability 9.0, where there is no GPU


def items(tiny):
    """(name, function) of each .cu file; ImportError without NVIDIA's compiler, DeviceError without a GPU."""
    check.compiler()
    architecture = own_architecture()
    return [(path.name, partial(compiled, path, architecture)) for path in sorted(FOLDER.glob("*.cu"))]


def own_architecture():
    """90 for compute capability 9.0."""
    if emulating():
        return REHEARSED
    import cupy  # an optional package

    return int(cupy.cuda.Device().compute_capability)


def compiled(path, architecture):
    """What the kernels of a file take on that GPU; a spill is a fault."""
    usages = check.check_file(path, architecture)
    spilling = sorted({f"{usage.kernel}<{usage.real}>" for usage in usages if usage.spills})
    registers = max((usage.registers for usage in usages), default=0)
    shared = max((usage.shared for usage in usages), default=0)
    found = {"architecture": architecture, "kernels": len(usages), "registers": registers, "shared": shared}
    return {**found, "spilling": spilling, "ok": not spilling}
