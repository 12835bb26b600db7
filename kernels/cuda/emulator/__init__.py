"""CUDA kernels on the processor: the same .cu text, compiled by the host's C++ compiler, every access checked.

cuda.h            what a .cu file may say
tensor_cores.cuh  the instructions of ../tensor_cores.cuh; hopper.cuh: of ../hopper.cuh, with tensor_map.cuh
fibers.cpp        the scheduler: each thread of a block a fiber, barriers, warps
memory.cpp        the checks: is each access within an array, is it a race?
asynchronous.cpp  who may touch shared memory while engines work, and the mbarriers to wait for them by (hopper.cuh)
tma.cpp           the engine that copies boxes and windows; wgmma.cpp: the one that multiplies tiles
record.cpp        each access of a launch, for whoever asks: recording.py
counting.cpp      what a GPU's memory and warps would make of them: counting.py
compiler.py       from a .cu file to a library
"""

import ctypes
import functools
import re
import shutil
import subprocess
import threading
from ctypes import POINTER, Structure, c_char, c_char_p, c_uint, c_uint32, c_uint64, c_void_p

from ..source import KernelError
from . import counting, recording
from .compiler import library, runtime

STRICTEST = 64  # bytes: the alignment of CUDA's strictest type
_one_at_a_time = threading.Lock()  # all launches share the scheduler's memory


class _Index(Structure):
    _fields_ = [(axis, c_uint) for axis in "xyz"]


class _Parameter(Structure):
    _fields_ = [
        ("name", c_char_p), ("base", c_void_p), ("bytes", c_uint64), ("itemsize", c_uint32), ("writable", c_uint32),
    ]  # fmt: skip


class _Launch(Structure):
    _fields_ = [
        ("kernel", c_void_p), ("arguments", POINTER(c_void_p)), ("grid", _Index), ("block", _Index),
        ("dynamic_shared", c_uint64), ("parameters", POINTER(_Parameter)), ("parameter_count", c_uint64),
        ("record_limit", c_uint64), ("counting", c_uint64),
    ]  # fmt: skip


class _Report(Structure):
    _fields_ = [("text", c_char * 1000), ("offset", c_uint64)]


def launch(kernel, real, grid, block, values, shared, reached=()):
    """Run every block of `kernel` (a ``launch.Kernel``) with T = `real`; `values` are arrays, None or NumPy numbers,
    `reached` the arrays whose addresses the kernel finds in one of them.

    KernelError for whatever a GPU would have answered with garbage: the kernel, its line, the block and the thread.
    """
    counted = counting.wanted()
    file = counted.instead.get(kernel.path, kernel.path) if counted else kernel.path
    path = library(file, counted.options if counted else ())
    code = _load(path)[f"emulate_{kernel.name}_{real}"]
    pairs = list(zip(kernel.parameters, values, strict=True))
    arguments = [c_void_p(_address(v)) if p.is_array else _bytes(v) for p, v in pairs]
    arrays = sorted(((p, v) for p, v in pairs if p.is_array and v is not None), key=lambda pair: pair[0].is_const)
    parameters = [_parameter(p.name, v, not p.is_const) for p, v in arrays]
    parameters += [_parameter(f"reaches[{i}]", v, True) for i, v in enumerate(reached)]
    addresses = (c_void_p * len(pairs))(*map(ctypes.addressof, arguments))
    described = (_Parameter * len(parameters))(*parameters)
    sizes = _Index(*grid), _Index(*block), shared
    limit = recording.LIMIT if recording.wanted() else 0
    order = _Launch(ctypes.cast(code, c_void_p), addresses, *sizes, described, len(parameters), limit, bool(counted))
    report = _Report()
    with _one_at_a_time:
        emulator = _load_runtime(runtime())
        failed = emulator.emulator_launch(ctypes.byref(order), ctypes.byref(report))
        if limit:
            names = [p.name.decode() for p in described]
            recording.keep(emulator, kernel.name, grid, block, names, failed)
        if counted and not failed:
            ran = {"kernel": kernel.name, "real": real, "path": file, "library": path, "grid": grid, "block": block}
            ran["shared"] = shared
            counting.keep(counted, emulator, ran, [(p.name.decode(), p.bytes) for p in described])
    if failed:
        where = _line(path, report.offset, kernel.path.name) if report.offset else kernel.path.name
        raise KernelError(f"{kernel.name}<{real}> ({where}): {report.text.decode()}")


def _parameter(name, array, writable):
    return _Parameter(name.encode(), _address(array), array.nbytes, array.itemsize, writable)


def _address(array):
    return None if array is None else array.ctypes.data


def _bytes(value):
    """A number or struct as the kernel finds it, at an address that every type may have."""
    buffer = (c_char * (value.nbytes + STRICTEST))()
    placed = (c_char * value.nbytes).from_buffer(buffer, -ctypes.addressof(buffer) % STRICTEST)  # keeps the buffer
    placed[:] = value.tobytes()
    return placed


@functools.cache
def _load_runtime(path):
    return ctypes.CDLL(path, ctypes.RTLD_GLOBAL)  # the kernels' libraries find their barriers in it


@functools.cache
def _load(path):
    _load_runtime(runtime())
    return ctypes.CDLL(path)


def _line(path, offset, name):
    """ "activation.cu:23", or the name alone where binutils is not installed."""
    if shutil.which("addr2line") is None:
        return name
    command = ["addr2line", "-i", "-e", path, hex(offset)]
    frames = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    lines = re.findall(r"/([\w.]+\.cuh?):(\d+)", frames)  # the innermost first; an included file only if nothing else
    where, line = next((found for found in lines if found[0] == name), (lines or [(name, "")])[0])
    return f"{where}:{line}" if line else name
