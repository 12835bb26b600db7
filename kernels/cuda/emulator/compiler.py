"""From a .cu file to a library of the host's C++ compiler, kept under the hash of everything that went into it."""

import atexit
import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from minicnn.cache import CacheError, cache_dir, keeping_in
from minicnn.device import DeviceError
from minicnn.kernels import compiled

from .. import source
from ..source import KernelError, kernels, types, without_comments

FOLDER = Path(__file__).parent
FLAGS = ["-std=c++20", "-O1", "-g", "-fPIC", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE"]
WATCHED = ["-fsanitize=thread,alignment"]  # only for the calls that they put before each access: memory.cpp answers

_SHARED = re.compile(r"(?<!extern )__shared__\s+(?:alignas\((\w+)\)\s+)?([\w ]+?)\s+(\w+)\s*((?:\[[^\]]*\]\s*)*);")
_DYNAMIC = re.compile(r"extern\s+__shared__\s+([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;")
_announce = compiled.Announcement()
_run = functools.partial(subprocess.run, capture_output=True, text=True, errors="replace", check=False)


@functools.cache
def compiler():
    """The C++ compiler: $CXX, or the first of c++, g++ and clang++ that there is; DeviceError without one."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and shutil.which(name):
            return name
    raise DeviceError(
        "MINICNN_EMULATE_GPU=1 compiles the kernels for the processor, which needs a C++20 compiler, but there is no "
        "c++, g++ or clang++; install one, name it in the variable CXX, or run on device 'cpu'"
    )


@functools.cache
def runtime():
    """The path of the emulator's own library."""
    files = "fibers.cpp", "memory.cpp", "asynchronous.cpp", "tma.cpp", "wgmma.cpp", "record.cpp", "counting.cpp"
    text = "".join(f'#include "{name}"\n' for name in files)
    parts = [(FOLDER / name).read_text() for name in ("runtime.h", "tensor_map.cuh", *files)]
    return _build("emulator.cpp", text, [f"-I{FOLDER}", "-O2"], parts)


@functools.cache
def library(path, options=()):
    """The path of the library with every kernel of a .cu file, for each T that it has, as emulate_NAME_TYPE.

    options  more of the compiler's, a tuple
    """
    text = f'#include "cuda.h"\n#line 1 "{path}"\n{rewrite(path)}\n#line 1 "launches.h"\n' + "".join(
        f'extern "C" void emulate_{name}_{real}(void **arguments) {{ emulator::call({name}<{real}>, arguments); }}\n'
        for name in kernels(path)
        for real in types(path).values()
    )
    undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    return _build(path.name, text, [f"-I{FOLDER}", *undefined, *options], [(FOLDER / "cuda.h").read_text()], WATCHED)


def rewrite(path):
    """The file's text with its shared arrays declared as C++ can: line by line the same."""
    text = source.text(path, (FOLDER, path.parent, source.FOLDER))  # of files of one name, the emulator's own
    text, number = without_comments(text), iter(range(1000))
    text = _DYNAMIC.sub(r'\1 *\2 = emulator::dynamic_shared<\1>(@NUMBER@, "\2", __LINE__);', text)
    text = _SHARED.sub(_as_reference, text)
    if forbidden := re.search(r"__shared__[^;]*;?|__constant__|__managed__", text):
        line = text.count("\n", 0, forbidden.start()) + 1
        raise KernelError(
            f"{path.name}:{line}: the emulator cannot read {forbidden[0]!r}; shared arrays are declared one by one, as "
            "__shared__ TYPE name[SIZE]; or extern __shared__ TYPE name[];"
        )
    return re.sub("@NUMBER@", lambda _: str(next(number)), text)


def _as_reference(declaration):
    alignment, kind, name, sizes = declaration.groups()
    alignment = alignment or f"alignof({kind})"
    return f'auto &{name} = emulator::shared<{kind} {sizes}, {alignment}>(@NUMBER@, "{name}", __LINE__);'


def _build(name, text, options, parts, watched=()):
    """Compile `text` unless its library is there already; `parts` are the files that it includes.

    The library's name ends in the digest of what was compiled, and that of its own bytes: a damaged one is none.
    """
    command = [compiler(), *FLAGS, *options]
    content = "\0".join([*command, *watched, _version(), platform.machine(), text, *parts])
    stem, (folder, said) = f"{Path(name).stem}-{compiled.digest(content.encode()).hex()[:20]}", _folder()
    for path in folder.glob(f"{stem}-*.so"):
        if path.name == f"{stem}-{_digest(path)}.so":
            compiled.used(path)
            return str(path)
    _announce(f"compiling kernels for the emulator: some 20 s; {said}", name)
    with keeping_in(folder), tempfile.TemporaryDirectory(dir=folder) as temporary:
        source, made, built = (Path(temporary, file) for file in (name, "made.o", "built.so"))
        source.write_text(text, encoding="utf-8")
        compiling = [*command, *watched, "-c", "-x", "c++", str(source), "-o", str(made)]
        linking = [*command, "-shared", str(made), "-o", str(built)]  # without `watched`: it would bring in a library
        for step in (compiling, linking):
            done = _run(step)
            if done.returncode:
                raise KernelError(f"{name} does not compile:\n{done.stderr.strip()}")
        path = folder / f"{stem}-{_digest(built)}.so"
        os.replace(built, path)  # at once, or a process beside this one could load half of it
        compiled.sweep(folder)
    return str(path)


def _digest(path):
    return compiled.digest(path.read_bytes()).hex()[:20]


@functools.cache
def _version():
    """What the compiler says of itself."""
    return _run([compiler(), "--version"]).stdout


def _folder():
    """(where libraries are kept, in the cache or for as long as this process lives; what is to be said about that)."""
    try:
        return compiled.private_folder(cache_dir() / "emulator"), compiled.KEPT
    except CacheError as error:
        return _for_now(), f"nothing is kept: {error}"


@functools.cache
def _for_now():
    folder = tempfile.TemporaryDirectory(prefix="minicnn-")
    atexit.register(folder.cleanup)
    return Path(folder.name)
