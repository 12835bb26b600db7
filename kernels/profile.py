"""The profiler: what a GPU's memory and warps would suffer from a kernel, line by line, on a machine without one.

    python -m minicnn.kernels.profile conv2d                    every kernel of an op, forward and backward
    python -m minicnn.kernels.profile matmul_register           one rung of a ladder
    python -m minicnn.kernels.profile FILE.cu matmul_register   that of a changed copy of matmul.cu
    python -m minicnn.kernels.profile FILE.cu scale x=64x64 y=64x64 size=4096 --grid 16 --block 256    one of your own
    python -m minicnn.kernels.profile --list
    python -m minicnn.kernels.profile --all                     a table of all shipped kernels
    python -m minicnn.kernels.profile --gate                    is a line of a shipped kernel worse than it was?

The emulator runs the kernel and sees each access of each thread. Beside each line stand

    sectors   of 32 bytes of global memory that a warp's request fetches, on average; the least that would do; the most
    wavefr    turns of the banks of shared memory that a request takes: more than the least are bank conflicts
    bytes     of global memory, of all threads
    FMA       multiply-adds of all threads, and other operations on floating-point numbers; tensor: of tensor cores
    lanes     how many of a warp's 32 are there on average: fewer where branches go both ways, or threads have no work

Operations are those of the host's compiler, counted block by block (kernels/cuda/profiler/machine_code.py): integers
are left out. Registers, occupancy and the instructions of the main loop come from NVIDIA's compilers, if there.

What it cannot know: L1 and L2 caches, latency and what hides it, overlap of copies and arithmetic, time at barriers.
So the bounds rank kernels of different kinds; between neighbours a GPU decides. Kernels in Numba are not profiled.
"""

import argparse
import difflib
import functools
import itertools
import json
import os
import sys
import textwrap
from pathlib import Path

from minicnn.console import complain, say
from minicnn.device import DeviceError, KernelError

from .cuda.emulator.counting import counting
from .cuda.profiler import gate, listing, machine_code, peaks, roofline, sass
from .cuda.profiler.arguments import launch
from .cuda.profiler.cases import cases
from .cuda.profiler.profiles import profiles
from .cuda.source import FOLDER, architecture, kernels


def main(words=None):
    """Print listings and summaries. Returns 0; 1 if something is wrong with what was asked for, or the gate fails."""
    given = _parser().parse_args(words)
    os.environ["MINICNN_EMULATE_GPU"] = "1"  # a GPU would not say what its threads access
    try:
        return _main(given)
    except (KernelError, DeviceError, OSError) as error:
        complain(f"error: {error}")
        return 1


def _parser():
    explained, _, columns = __doc__.partition("The emulator runs")
    parser = argparse.ArgumentParser(
        "python -m minicnn.kernels.profile", description=explained, epilog="The emulator runs" + columns,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("what", nargs="?", help="an op, a kernel, or a file")
    parser.add_argument("words", nargs="*", help="of a file: the kernel, then NAME=VALUE for each of its parameters")
    parser.add_argument("--gpu", default="H100", help="whose peaks bound it (default H100); --list names them")
    parser.add_argument("--grid", default="1", help="of a kernel of your own: 16, or 4,4,1 (default 1)")
    parser.add_argument("--block", default="256", help="likewise (default 256)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, too")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw a roofline there")
    parser.add_argument("--list", action="store_true", help="the ops, the kernels and the GPUs that are known")
    parser.add_argument("--all", action="store_true", help="a table: a line for each shipped kernel")
    parser.add_argument("--gate", action="store_true", help="compare every shipped kernel with the table of gate.json")
    parser.add_argument("--update", action="store_true", help="with --gate: write the table anew")
    return parser


def _main(given):
    if given.list:
        return _list()
    if given.gate:
        return _gate(given.update)
    if given.all:
        return _table(peaks.gpu(given.gpu))
    if given.what is None:
        raise KernelError("what is to be profiled? An op, a kernel or a file; --list names them")
    on = peaks.gpu(given.gpu)
    for flag, file in (("--json", given.json), ("--figure", given.figure)):  # before the work that it would lose
        if file and (file.is_dir() or not os.access(file.parent, os.W_OK)):
            raise KernelError(f"{flag} {file}: this cannot be written; name a file in a folder that can")
    found = _profiles(given)
    documents = []
    for profile in found:
        machine, notes = _machine(profile, on)
        if not profile.arithmetic:
            notes.append("arithmetic was not counted: objdump is not installed (it comes with binutils)")
        elif not machine_code.joins():
            notes.append("this processor has no multiply-adds: a product and its addition are two other operations")
        say("\n".join([*listing.listing(profile), "", *listing.summary(profile, on, notes), ""]))
        bounds = {bound.resource: bound.seconds for bound in peaks.bounds(profile, on)}
        documents.append({**profile.as_json(), "gpu": on.name, "seconds_at_least": bounds, "machine": machine})
    say(textwrap.fill(listing.UNKNOWN, 120))
    if given.json:
        given.json.write_text(json.dumps(documents, indent=1) + "\n", encoding="utf-8")
    if given.figure:
        try:
            roofline.draw(found, on, given.figure)
        except ValueError as error:  # a format that matplotlib does not write
            raise KernelError(f"--figure {given.figure}: {error}") from None
    return 0


def _table(on):
    """A line for each shipped kernel, with the arguments of the first op that launches it."""
    say(listing.TABLE_HEAD)
    seen = set()
    for case in cases().values():
        with counting(machine_code.options()) as launches:
            case.run()
        for profile in profiles(launches):
            if (profile.path, profile.name) not in seen:
                seen.add((profile.path, profile.name))
                machine, _ = _machine(profile, on)
                known = (str(machine["registers"]), f"{machine['occupancy']:.0f}", machine["loop"]) if machine else None
                say(listing.table_row(profile, on, *(known or ("-", "-", {}))))
    return 0


def _profiles(given):
    """The profiles that the command line asks for, at least one."""
    options = machine_code.options()
    if not given.what.endswith(".cu"):
        return _of_op(given.what, options)
    path = _file(given.what)
    name = _kernel(path, given.words[0] if given.words else None)
    words = given.words[1:]
    if not words:
        return _of_file(path, name, options)
    if wrong := [word for word in words if "=" not in word]:
        raise KernelError(f"{wrong[0]!r}: a parameter's value is given as NAME=VALUE, an array by its shape: x=128x64")
    with counting(options) as launches:
        try:
            launch(path, name, words, _sizes("--grid", given.grid), _sizes("--block", given.block))
        except (TypeError, ValueError) as error:  # a block of too many threads, a number that is no int
            raise KernelError(str(error)) from None
    return _nonempty(profiles(launches), name)


def _of_op(name, options):
    if name in cases():
        with counting(options) as launches:
            cases()[name].run()
        return _nonempty(profiles(launches), name)
    path = next((path for path, names in _shipped().items() if name in names), None)
    if path is None:
        known = sorted({*cases(), *itertools.chain(*_shipped().values())}, key=len)
        near = [other for other in known if other[:4] == name[:4]][:3] or difflib.get_close_matches(name, known)
        meant = f"; do you mean {' or '.join(near)}" if near else ""
        raise KernelError(f"no op and no kernel is called {name!r}{meant}; --list names them all")
    return _of_file(path, name, options)


def _of_file(path, name, options):
    """The profiles of a kernel of a shipped file, or of one with the name of a shipped one, with an op's arguments."""
    shipped = FOLDER / path.name
    is_known = shipped.is_file() and kernels(shipped).get(name) == kernels(path)[name]
    using = {key: case for key, case in cases().items() if path.stem in case.files} if is_known else {}
    for case in sorted(using, key=lambda key: key != name):  # a rung of that name before the ops
        with counting(options, {shipped: path}) as launches:
            using[case].run()
        if found := [profile for profile in profiles(launches) if profile.kernel == name]:
            return found
    parameters = " ".join(f"{p.name}={'SHAPE' if p.is_array else 'NUMBER'}" for p in kernels(path)[name])
    raise KernelError(
        f"no op is known that launches this {name} of {path.name}: say with what, {parameters} --grid N --block N"
    )


def _machine(profile, on):
    """({what NVIDIA's compilers say}, lines about it)."""
    only = architecture(profile.path)
    if (only and not only.startswith(f"sm_{on.capability}")) or (profile.total.tensor and on.capability < 80):
        return None, [f"the {on.name} (sm_{on.capability}) cannot run it: it is for {only or 'sm_80 and newer'}"]
    try:
        found = sass.machine(profile, on.capability)
    except ImportError as error:
        return None, [
            f"registers, occupancy and SASS: not known, {error} (pip install nvidia-cuda-nvrtc cuda-bindings)"
        ]
    except RuntimeError as error:
        return None, [f"registers, occupancy and SASS: not known, {str(error).strip().splitlines()[0]}"]
    notes = [
        f"sm_{on.capability}: {found.registers} registers, {found.shared} bytes of shared memory, {found.spills} bytes "
        f"spilled, occupancy {found.occupancy:.0f} % in blocks of {profile.threads}"
    ]
    loop = ", ".join(f"{count} {name}" for name, count in found.loop.items())
    total = sum(found.loop.values())
    notes.append(f"main loop (SASS): {f'{total} instructions: {loop}' if loop else f'not known, {found.missing}'}")
    return found._asdict(), notes


def _file(name):
    for path in (Path(name), FOLDER / name):
        if path.is_file():
            return path.resolve()
    raise KernelError(
        f"there is no file {name}, here or in kernels/cuda/, which has {', '.join(p.name for p in _shipped())}"
    )


def _kernel(path, name):
    if name in kernels(path):
        return name
    has = ", ".join(kernels(path)) or "none: a kernel is a template <typename T> __global__ void NAME(...)"
    raise KernelError(f"{path.name}: {f'there is no kernel {name!r}' if name else 'which kernel?'}; it has {has}")


@functools.cache
def _shipped():
    """{path of a .cu file: names of its kernels}."""
    return {path: list(kernels(path)) for path in sorted(FOLDER.glob("*.cu"))}


def _sizes(option, text):
    try:
        return tuple(int(size) for size in text.split(","))
    except ValueError:
        raise KernelError(f"{option} {text}: sizes are given as 16, or 4,4,1") from None


def _nonempty(found, name):
    if not found:
        raise KernelError(f"{name} launched no kernel")
    return found


def _list():
    for what, names in [("ops", cases()), *((path.name, names) for path, names in _shipped().items())]:
        say(textwrap.fill(f"{what:24} {', '.join(names)}", 120, subsequent_indent=" " * 25))
    for gpu in peaks.GPUS.values():
        peak = f"{gpu.peak:6.1f} TFLOP/s float32, {gpu.tensor:6.1f} tensor, {gpu.bandwidth:5} GB/s"
        say(f"{gpu.name:12} {peak}: {gpu.source}")
    return 0


def _gate(update):
    table, places = gate.measure()
    worse, better = gate.compare(table, places, gate.known())
    for name, lines in (("worse", worse), ("better", better)):
        for line in lines:
            say(f"{name}: {line}")
    say(f"{len(table)} kernels, {len(worse)} lines worse, {len(better)} better than {gate.TABLE.name} says")
    if update:
        gate.update(table)
        say(f"{gate.TABLE} is written")
        return 0
    if better:
        say("to hold that: python -m minicnn.kernels.profile --gate --update")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
