"""What goes from GPU to GPU, checked and timed: sums, and training steps of several GPUs beside those of one.

    mpiexec -n 2 python benchmarks/two_gpus.py --out DIR                on a machine with two GPUs; -n 8 with eight
    MINICNN_EMULATE_GPU=1 mpiexec -n 2 python benchmarks/two_gpus.py --out DIR --tiny     without: nothing is timed

It begins nothing new after --minutes (8), and names what there was no time for. The extras [mpi] and [cuda12] or
[cuda13], and nvidia-nccl-cu12 or -cu13, are needed. The exit code is 1 if something is wrong, 2 if nothing could be
measured. A rank that hangs ends the job, with the line where it does.
"""

import argparse
import datetime
import faulthandler
import importlib.metadata
import json
import platform
import re
import sys
import time
from pathlib import Path

from gpubench.machine import found_or_missing, nvidia_smi
from ncclbench import sums, training

from minicnn import __version__
from minicnn.console import say
from minicnn.device import check_available
from minicnn.distributed import world
from minicnn.emulated import emulating
from minicnn.errors import SettingError
from minicnn.train import exit_code

PACKAGES = "numpy", "cupy", "nvidia-nccl", "mpi4py", "mpich", "openmpi"
LATE = 120  # seconds after --minutes: so long may what has begun still take


def main(argv=None):
    args = parsed(argv)
    w, began = world(), time.monotonic()
    if w.size == 1:
        raise SettingError("this is one process; start one for each GPU: mpiexec -n 2 python benchmarks/two_gpus.py")
    if emulating() and not args.tiny:
        raise SettingError("the emulated GPU is too slow for real sizes; add --tiny")
    faulthandler.dump_traceback_later(60 * args.minutes + LATE, exit=True)
    check_available("cuda")
    result = {"program": "benchmarks/two_gpus.py", "minutes": args.minutes, "tiny": args.tiny}
    result |= {"started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "emulated": emulating()}
    result |= {"machine": machine(), "skipped": []}
    told(json.dumps(result["machine"], indent=1))

    def left():
        """Seconds, the same on all ranks."""
        return w.share(60 * args.minutes - (time.monotonic() - began))

    def run(section, items, *seconds):
        rows = result[section] = []
        for name, function in items:
            if left() <= 0:
                result["skipped"].append(name)
                continue
            rows.append({"name": name, **function(*seconds)})
            if not (section == "collectives" and rows[-1]["ok"]):  # there are many, and seldom news
                told(line(rows[-1]))

    run("collectives", sums.checks(args.tiny))
    told(f"collectives: {sum(row['ok'] for row in result['collectives'])} of {len(result['collectives'])} are right")
    run("training", training.checks(args.tiny))
    timed = [*sums.bandwidths(args.tiny)], [*training.speeds(args.tiny)]
    run("bandwidth", timed[0], left() / 4 / len(timed[0]))
    run("weak_scaling", timed[1], left() * 0.8 / len(timed[1]))
    result["seconds"] = time.monotonic() - began
    for name in result["skipped"]:
        told(f"no time for: {name}")
    path = args.out / f"two_gpus_{file_name(result['machine'])}.json"
    w.on_rank_0(write, path, result)
    told(f"raw figures: {path}")
    checked = result["collectives"] + result["training"]
    faulthandler.cancel_dump_traceback_later()
    return 0 if checked and all(row["ok"] for row in checked) else 1


def parsed(argv):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for two_gpus_<name of the GPU>.json")
    parser.add_argument("--minutes", type=float, default=8, help="nothing new begins after so many (default: 8)")
    parser.add_argument("--tiny", action="store_true", help="a few numbers, not real sizes: a trial of the program")
    args = parser.parse_args(argv)
    if not 0.5 <= args.minutes <= 600:
        parser.error(f"--minutes must be 0.5 to 600, got {args.minutes}")
    return args


def machine():
    """Versions, and each rank's machine and GPU."""
    installed = sorted((found.name, found.version) for found in importlib.metadata.distributions())
    packages = {name: version for name, version in installed if name.startswith(PACKAGES)}
    about = {"minicnn": __version__, "python": platform.python_version(), "platform": platform.platform()}
    ranks = world().gather_values(gpu())
    return {**about, "packages": packages, "mpi": mpi(), "ranks": ranks}


def gpu():
    """Of this rank."""
    if emulating():
        return {"machine": platform.node(), "gpu": "emulated"}
    import cupy  # an optional package
    from cupy.cuda import nccl

    device, runtime = cupy.cuda.Device(), cupy.cuda.runtime
    name = runtime.getDeviceProperties(device.id)["name"].decode()
    about = {"machine": platform.node(), "gpu": name, "number": device.id, "bus": device.pci_bus_id}
    about |= {"driver_cuda": runtime.driverGetVersion(), "runtime_cuda": runtime.runtimeGetVersion()}
    return about | {"nccl": nccl.get_version(), **found_or_missing(lambda: nvidia_smi("driver_version"))}


def mpi():
    from mpi4py import MPI  # an optional package

    return MPI.Get_library_version().partition("\n")[0].strip("\0 ")


def file_name(machine):
    """nvidia_h200_x2, say."""
    name = re.sub(r"\W+", "_", machine["ranks"][0]["gpu"].lower()).strip("_")
    return f"{name}_x{len(machine['ranks'])}"


def line(row):
    """name: what was found, numbers short."""
    return f"{row['name']}: " + ", ".join(f"{key} {short(value)}" for key, value in row.items() if key != "name")


def short(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {short(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(short, value)) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def told(text):
    if world().is_main:
        say(text)


def write(path, result):
    """JSON knows neither infinity nor NaN: they become the texts "inf" and "nan"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    finite = json.loads(json.dumps(result), parse_constant=lambda name: str(float(name)))
    path.write_text(json.dumps(finite, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(exit_code(main))
