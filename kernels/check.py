"""The build gate: every kernel compiled for every generation of GPUs, on a machine that need not have one.

    python -m minicnn.kernels.check                    everything: minutes
    python -m minicnn.kernels.check lrn.cu conv.cu     these files alone, of kernels/cuda/ or your own

NVRTC, NVIDIA's compiler as a library, turns each .cu file of ``kernels/cuda/`` into machine code for compute capability
7.5, 8.0, 9.0 and 10.0 (or for what a line "// arch: sm_90a" says, and nothing else) and says what each kernel takes:
registers, shared memory, and spills, which are registers that did not fit, or arrays with an index that the compiler
does not know, and lie in slow memory: an error. Occupancy is how many of a multiprocessor's threads can be there at
once, in theory, in blocks of 256 threads, which is what almost every kernel is launched with. For
``kernels/numba_cuda/``, Numba and NVIDIA's linker say the same (``ptx.py`` there).

Needs what ``pip install 'numba-cuda[cu13]'`` brings along; neither driver nor GPU.

Source    NVIDIA, CUDA C++ Programming Guide, "Technical specifications per compute capability" (the limits below)
"""

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

from minicnn.console import complain, say

from .cuda.launch import THREADS
from .cuda.source import FOLDER, architecture, kernels, text, types


class Multiprocessor(NamedTuple):
    """What the blocks on one multiprocessor share."""

    threads: int
    blocks: int
    shared: int  # bytes
    reserved: int  # bytes of shared memory that each block costs beyond its own
    registers: int = 65536


ARCHITECTURES = {
    75: Multiprocessor(1024, 16, 64 << 10, 0),
    80: Multiprocessor(2048, 32, 164 << 10, 1 << 10),
    90: Multiprocessor(2048, 32, 228 << 10, 1 << 10),
    100: Multiprocessor(2048, 32, 228 << 10, 1 << 10),
}
OTHERS = {  # for the profiler; whoever compiles for 8.0 has compiled for these
    86: Multiprocessor(1536, 16, 100 << 10, 1 << 10),
    89: Multiprocessor(1536, 24, 100 << 10, 1 << 10),
}
AS_CUPY = b"--ftz=true", b"--device-as-default-execution-space"  # options that CuPy adds of its own accord
WARP, WARP_REGISTERS = 32, 256  # threads; registers are handed to a warp in such portions


class Usage(NamedTuple):
    """What one kernel takes on one architecture."""

    file: str
    kernel: str
    real: str
    architecture: int
    registers: int
    shared: int
    spills: int

    @property
    def occupancy(self):
        """The share of the multiprocessor's threads that fit in blocks of 256, in %."""
        return self.occupancy_of(THREADS)

    def occupancy_of(self, threads, dynamic_shared=0):
        """The same in blocks of so many threads, which ask for so many more bytes of shared memory."""
        has = (ARCHITECTURES | OTHERS)[self.architecture]
        warps, shared = -(-threads // WARP), self.shared + dynamic_shared
        per_warp = -(-self.registers * WARP // WARP_REGISTERS) * WARP_REGISTERS
        fit = [has.blocks, has.threads // (warps * WARP), has.registers // (per_warp * warps)]
        if shared:
            fit.append(has.shared // (shared + has.reserved))
        return 100 * min(fit) * warps * WARP / has.threads


def architectures(path):
    """Those of ARCHITECTURES that a .cu file is compiled for: all, or the one that it says it is for."""
    only = architecture(path)
    return [sm for sm in ARCHITECTURES if only is None or only.removeprefix("sm_").rstrip("a") == str(sm)]


def check_file(path, sm):
    """The Usage of every kernel of a .cu file, for each T. RuntimeError, the compiler's message, if it compiles not, or
    if products by wgmma wait for one another, which they are made to where the compiler cannot follow the sums."""
    names = [(kernel, real) for kernel in kernels(path) for real in types(path).values()]
    compiled = compile_cubin(path, names, sm)
    if "wgmma.mma_async instructions are serialized" in compiled.log:
        raise RuntimeError(f"{path.name}, sm_{sm}: products wait for one another\n{compiled.log}")
    return usages(path, names, sm, compiled)


def usages(path, names, sm, compiled):
    """The Usage of each (kernel, T) of `names`, for which the file was compiled."""
    parts = re.split(r"Compiling entry function '(\w+)'", compiled.log)[1:]  # mangled name, what is said of it, ...
    found = {entry: _usage(part) for entry, part in zip(parts[::2], parts[1::2], strict=True)}
    return [Usage(path.name, *name, sm, *found[entry]) for name, entry in zip(names, compiled.lowered, strict=True)]


def compiler():
    """NVIDIA's compiler, a library that cuda-bindings looks for; ImportError if one of the two is missing."""
    from cuda.bindings import nvrtc  # an optional package: only the gate needs it

    try:
        nvrtc.nvrtcVersion()
    except Exception as error:  # each release of cuda-bindings has its own for a library that it does not find
        raise ImportError(f"cuda-bindings cannot load NVRTC: {str(error).partition(chr(10))[0]}") from error
    return nvrtc


class Compiled(NamedTuple):
    """A file compiled for one architecture."""

    lowered: list[str]  # the mangled name of each kernel
    log: str  # what ptxas has to say
    cubin: bytes


def compile_cubin(path, names, sm, more=()):
    """The file Compiled, for each (kernel, T) of `names`; `more` options of the compiler."""
    nvrtc = compiler()

    def call(function, *arguments):
        status, *results = function(*arguments)
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise RuntimeError(f"{path.name}, sm_{sm}: {status.name}\n{_log(nvrtc, program)}")
        return results[0] if results else None

    program = nvrtc.nvrtcCreateProgram(text(path).encode(), path.name.encode(), 0, [], [])[1]
    expressions = [f"{kernel}<{real}>".encode() for kernel, real in names]
    for expression in expressions:
        call(nvrtc.nvrtcAddNameExpression, program, expression)
    target = architecture(path) or f"sm_{sm}"
    options = [f"--gpu-architecture={target}".encode(), b"--std=c++17", b"--ptxas-options=-v", *AS_CUPY, *more]
    call(nvrtc.nvrtcCompileProgram, program, len(options), options)
    lowered = [call(nvrtc.nvrtcGetLoweredName, program, expression).decode() for expression in expressions]
    cubin = b" " * call(nvrtc.nvrtcGetCUBINSize, program)
    call(nvrtc.nvrtcGetCUBIN, program, cubin)
    return Compiled(lowered, _log(nvrtc, program), cubin)


def _log(nvrtc, program):
    log = b" " * nvrtc.nvrtcGetProgramLogSize(program)[1]
    nvrtc.nvrtcGetProgramLog(program, log)
    return log.rstrip(b"\0 ").decode()


def _usage(text):
    """(registers, bytes of static shared memory, bytes in slow memory: spills, and arrays that no register can be)."""
    frame, stores, loads = map(int, re.search(r"(\d+) bytes stack.*?(\d+) bytes.*?(\d+) bytes", text).groups())
    shared = re.search(r"(\d+) bytes smem", text)
    return int(re.search(r"Used (\d+) registers", text)[1]), int(shared[1]) if shared else 0, max(frame, stores + loads)


def numba_usages():
    """The Usage of every kernel of Numba's."""
    from .numba_cuda.ptx import check_kernels  # not before: this decides that the GPU of this process is not emulated

    return [Usage(*each) for each in check_kernels(ARCHITECTURES)]


def table(usages):
    """Lines: a kernel in each; for each architecture its registers, bytes of shared memory, spills, and occupancy."""
    by_kernel = {}
    for usage in usages:
        by_kernel.setdefault((usage.file, usage.kernel, usage.real), []).append(usage)
    columns = "".join(f" | sm_{architecture:<3} reg shared spill occ" for architecture in ARCHITECTURES)
    yield f"{'file':20} {'kernel':43} {'T':8}{columns}"
    for names, each in by_kernel.items():
        on = {u.architecture: f"{u.registers:10} {u.shared:6} {u.spills:5} {u.occupancy:2.0f} %" for u in each}
        yield "{:20} {:43} {:8}".format(*names) + "".join(f" | {on.get(sm, '-'):>28}" for sm in ARCHITECTURES)


def main(words=()):
    """Print the table. Returns 1 if a kernel spills or does not compile, else 0. words: the command line's."""
    parser = argparse.ArgumentParser("python -m minicnn.kernels.check", description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", metavar="FILE.cu", help="these alone, of kernels/cuda/ or your own")
    given = parser.parse_args(words).files
    files = [path if (path := Path(name)).is_file() else FOLDER / name for name in given] or sorted(FOLDER.glob("*.cu"))
    if absent := [path.name for path in files if not path.is_file()]:
        complain(f"error: there is no file {', '.join(absent)}, here or in kernels/cuda/")
        return 1
    usages = []
    try:
        compiler()  # before anything is said of files
        for path in files:
            complain(f"{path.name} ...")
            usages += [usage for sm in architectures(path) for usage in check_file(path, sm)]
        if not given:
            complain("kernels/numba_cuda ...")
            usages += numba_usages()
    except ImportError as error:
        how = "pip install nvidia-cuda-nvrtc 'numba-cuda[cu13]'; no GPU is needed"
        complain(f"error: this needs NVIDIA's compilers ({error}): {how}")
        return 1
    except RuntimeError as error:
        complain(f"error: {error}")
        return 1
    say("\n".join(table(usages)))
    for path in files:
        if only := architecture(path):
            say(f"{path.name} is for {only} and nothing else: it has instructions that no other GPU has")
    spilling = [usage for usage in usages if usage.spills]
    say(f"{len(usages)} kernels compiled, {len(spilling)} of them with spills")
    return 1 if spilling else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
