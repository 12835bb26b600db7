"""The Numba half of the build gate (``minicnn/kernels/check.py``): every @kernel compiled, on a machine without a GPU.

Numba makes PTX, the assembly language that all of NVIDIA's GPUs have in common, for the oldest architecture; NVIDIA's
linker makes machine code of that for each one and says what it takes. A kernel is compiled for what its annotations
say: in float32 and in float64, and, where a parameter is optional, with it and without.

Needs numba-cuda with its extra cu12 or cu13; neither driver nor GPU.
"""

import importlib
import re
from pathlib import Path
from types import SimpleNamespace

from numba import types

from . import launch

REALS = {"float": types.float32, "double": types.float64}
FOLDER = Path(__file__).parent


def check_kernels(architectures):
    """For each kernel, real and architecture (75, ...): (file, kernel, real, architecture, registers, bytes of shared
    memory, bytes in slow memory). RuntimeError for a kernel that does not compile, or computes in float64 what it
    should in float32."""
    for kernel in all_kernels():
        for real, number in REALS.items():
            for given in (True, False) if any(p.is_optional for p in kernel.parameters) else (True,):
                ptx = compile_ptx(kernel, number, given, min(architectures))
                if real == "float" and (wide := re.search(r"^.*\.f64\b.*$", ptx, re.MULTILINE)):
                    raise RuntimeError(f"{kernel}: float32 numbers become float64 somewhere: {wide[0].strip()}")
                shared = sum(map(int, re.findall(r"\.shared .*\[(\d+)\];", ptx)))
                for architecture in architectures:
                    registers, spills = link(kernel, ptx, architecture)
                    name = kernel.name if given else f"{kernel.name} (None)"
                    yield kernel.file, name, real, architecture, registers, shared, spills


def all_kernels():
    """Every Kernel in the files of this folder, in their order."""
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem not in ("__init__", "launch", "simulator", Path(__file__).stem):
            module = importlib.import_module(f"{__package__}.{path.stem}")
            yield from (k for k in vars(module).values() if isinstance(k, launch.Kernel) and k.file == path.name)


def compile_ptx(kernel, real, given, architecture):
    """The kernel's PTX; optional arrays are None unless `given`."""
    from numba.cuda import dispatcher  # not before somebody asks for the gate

    capability = divmod(architecture, 10)
    if launch.SIMULATED:
        raise RuntimeError("the build gate needs a process without MINICNN_EMULATE_GPU")
    # it asks which GPU device functions are for, even where all that is wanted is text
    asked = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    try:
        signature = tuple(_type(p, real, given) for p in kernel.parameters)
        return launch.cuda.compile_ptx(kernel.function, signature, cc=capability)[0]
    except Exception as error:  # Numba's many kinds
        raise RuntimeError(f"{kernel} does not compile for {real}: {error}") from error
    finally:
        dispatcher.get_current_device = asked


def link(kernel, ptx, architecture):
    """(registers, bytes in slow memory, as in check.py) of the machine code made of a PTX text."""
    from cuda.bindings import nvjitlink  # an optional package: only the gate needs it

    linker = nvjitlink.create(2, [f"-arch=sm_{architecture}", "-verbose"])
    try:
        text = ptx.encode()
        nvjitlink.add_data(linker, nvjitlink.InputType.PTX, text, len(text), kernel.name)
        nvjitlink.complete(linker)
        log = bytearray(nvjitlink.get_info_log_size(linker))
        nvjitlink.get_info_log(linker, log)
    except nvjitlink.nvJitLinkError as error:
        raise RuntimeError(f"{kernel}, sm_{architecture}: {error}") from error
    finally:
        nvjitlink.destroy(linker)
    said = log.decode()
    frame, stores, loads = map(int, re.search(r"(\d+) bytes stack.*?(\d+) bytes.*?(\d+) bytes", said).groups())
    return int(re.search(r"Used (\d+) registers", said)[1]), max(frame, stores + loads)


def _type(parameter, real, given):
    """Numba's type of what a launch hands over."""
    if parameter.is_optional and not given:
        return types.none
    if parameter.is_array:
        number = parameter.type.dtype
        return parameter.type.copy(dtype=real if number is launch.T else number, layout="C")
    return real if parameter.type is launch.T else parameter.type
