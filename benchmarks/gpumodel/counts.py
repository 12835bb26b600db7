"""What each shipped kernel asks of a GPU, counted without one: the emulator's counts of small runs, and machine code.

The sizes are those of kernels/cuda/profiler/cases.py. What is used of them are ratios, which hardly depend on sizes:
sectors for each that is needed, turns of memory's pipeline for each byte or multiply-add.
"""

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from minicnn.console import remark
from minicnn.kernels import check
from minicnn.kernels.cuda.emulator.counting import counting
from minicnn.kernels.cuda.launch import THREADS
from minicnn.kernels.cuda.profiler import machine_code, sass
from minicnn.kernels.cuda.profiler.cases import cases
from minicnn.kernels.cuda.profiler.profiles import profiles
from minicnn.kernels.cuda.source import FOLDER

from .products import of_pictures, products
from .work import tile

ARCHITECTURES = 75, 80, 90  # T4; A100; H100
TYPES = "float", "bfloat16"  # what T is in a step


def count(path: Path) -> None:
    """Write {kernel: its counts} as JSON to `path`; takes many minutes. Without NVIDIA's compilers nothing is known of
    machine code, and what the file says of it stays, as long as it knows the kernel."""
    before = json.loads(path.read_text(encoding="utf-8"))["kernels"] if path.is_file() else {}
    found = _emulated()
    for name in found:
        found[name]["sass"] = before.get(name, {}).get("sass", {})
    path.write_text(dumps(found), encoding="utf-8")
    for file in sorted({each["file"] for each in found.values()}):
        for sm, (name, row) in _machine_code(file, found):
            found[name]["sass"][str(sm)] = row
        path.write_text(dumps(found), encoding="utf-8")


def dumps(found: dict[str, Any]) -> str:
    """{kernel: its counts} as JSON, a line for each kernel."""
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(row, sort_keys=True)}" for name, row in sorted(found.items()))
    return f'{{"kernels": {{\n{rows}\n}}}}\n'


def _emulated():
    """Each kernel as the case that has most for it to do launches it."""
    found = {}
    for name, run in {**{name: case.run for name, case in cases().items()}, "pictures": of_pictures}.items():
        remark(f"emulating {name}")
        with counting(machine_code.options()) as launches:
            run()
        for row in (_row(profile) for profile in profiles(launches) if profile.real in TYPES):
            if _name(row) not in found or _size(row) > _size(found[_name(row)]):
                found[_name(row)] = row
    for run in products():
        for name, loop in _loops(run).items():
            if name in found and tile(name):
                found[name]["loop"] = loop
    return found


def _loops(run):
    """{kernel: what each multiply-add of its loop takes}: the difference between a run with long sums and a short one,
    so that what is done once for each result, before and after the loop, is left out."""
    short, long = ({_name(row): row for row in map(_row, _profiles(run, scale))} for scale in (1, 3))
    found = {}
    for name in short.keys() & long.keys():
        more = {key: long[name][key] - short[name][key] for key in ("fmas", "tensor", "turns", "sectors")}
        if each := more["tensor"] or (more["fmas"] if not long[name]["tensor"] else 0):
            found[name] = {key: round(more[key] / each, 6) for key in ("turns", "sectors")}
    return found


def _profiles(run, scale):
    with counting(machine_code.options()) as launches:
        run(scale)
    return profiles(launches)


def _name(row):
    return f"{row['file']} {row['kernel']}<{row['T']}>"


def _size(row):
    return row["fmas"] + row["tensor"], sum(sum(sectors[:2]) for sectors in row["arrays"].values())


def _row(profile):
    total = profile.total
    return {
        "file": profile.path.name, "kernel": profile.kernel, "T": profile.real,
        "threads": profile.threads, "shared_bytes": profile.shared,
        "reads": round(total.reads.ratio, 3), "writes": round(total.writes.ratio, 3),
        "shared": round(total.shared.ratio, 3), "lanes": round(total.lanes, 2),
        "requests": total.requests, "global_requests": total.reads.requests + total.writes.requests,
        "turns": total.reads.turns + total.writes.turns + total.shared.turns,
        "sectors": total.reads.pieces + total.writes.pieces,
        "fmas": total.fmas, "tensor": total.tensor, "warp_fmas": total.warp_fmas, "warp_others": total.warp_others,
        "arrays": {name: list(sectors) for name, sectors in sorted(profile.sectors.items())},
    }  # fmt: skip


def _machine_code(file, found):
    """(compute capability, (kernel, what the compiler makes of it)) of the kernels of a .cu file."""
    rows = {name: row for name, row in found.items() if row["file"] == file}
    path = FOLDER / file
    for sm in ARCHITECTURES:
        fit = {
            name: row for name, row in rows.items() if sm in check.architectures(path) and (sm >= 80 or not _new(row))
        }
        if not fit:
            continue
        remark(f"compiling {file} for sm_{sm}")
        names = [(row["kernel"], row["T"]) for row in fit.values()]
        try:
            compiled = check.compile_cubin(path, names, sm)
        except ImportError as error:
            remark(f"{file}: no machine code, {error}")
            return
        texts = _functions(compiled.cubin)
        for (name, row), usage, lowered in zip(
            fit.items(), check.usages(path, names, sm, compiled), compiled.lowered, strict=True
        ):
            loop = _step(texts.get(lowered, ""), tile(name)) or sass.main_loop(texts.get(lowered, ""))
            occupancy = round(usage.occupancy_of(row["threads"], row["shared_bytes"]), 1)
            yield (
                sm,
                (name, {"registers": usage.registers, "spills": usage.spills, "occupancy": occupancy, "loop": loop}),
            )


def _step(text, sizes):
    """{class: instructions} of a step of a product in float32 with tiles of these sizes, {} if it is no such product.

    Where the loop over the rows of a tile is not unrolled, it stands within the one over the tiles, whose other
    instructions are run once for all rows. How many there are is seen by what a thread puts into shared memory.
    """
    spans = sass.loops(text) if sizes else []
    inner = [span for span in spans if span[2]["FFMA"] and span[2]["LDS"]]
    if not inner or any(span[2]["tensor"] for span in spans):
        return {}
    first, end, rows = max(inner, key=lambda span: span[2]["FFMA"] / (span[1] - span[0]))
    if rows["STS"]:
        return dict(rows)  # unrolled
    around = [span for span in spans if span[0] < first and end < span[1] and span[2]["STS"] > rows["STS"]]
    if not around:
        return {}
    tiles = min(around, key=lambda span: span[1] - span[0])[2]
    depth = tiles["STS"] * THREADS // sum(sizes)
    times = sizes[0] * sizes[1] * depth // THREADS // rows["FFMA"]
    return {name: tiles[name] + (times - 1) * rows[name] for name, _ in sass.CLASSES if tiles[name]}


def _new(row):
    """Whether it multiplies numbers that only newer GPUs multiply."""
    return row["tensor"] or row["T"] == "bfloat16"


def _functions(cubin):
    """{mangled name: what nvdisasm says of it}."""
    command = sass.disassembler()
    if command is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernels.cubin")
        file.write_bytes(cubin)
        said = subprocess.run([command, "-c", str(file)], capture_output=True, text=True, check=True).stdout
    parts = re.split(r"^\s*\.section\s+\.text\.(\w+).*$", said, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))
