"""Every GPU kernel checked and timed, and whole training steps beside PyTorch's: one JSON file and one table.

    python benchmarks/gpu.py --out DIR                                  on a machine with an NVIDIA GPU
    MINICNN_EMULATE_GPU=1 python benchmarks/gpu.py --out DIR --tiny     without one: all of it runs, nothing is timed

It ends within --minutes (8): what is worth most comes first, and what there was no time for is named. CuPy is needed
for our kernels, numba-cuda for the plain tier's, PyTorch and torchvision for the comparison; what is missing is named,
and the rest is done. The exit code is 1 if a kernel is wrong or fails, 2 if nothing could be measured.
"""

import argparse
import datetime
import json
import re
import subprocess
import sys
import time
from pathlib import Path

from gpubench import report, sections

from minicnn.console import complain, say
from minicnn.emulated import emulating

RESERVE = 10  # seconds, of the table and of what a section takes to end


def main(argv=None):
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for gpu_<name of the GPU>.json and .md")
    parser.add_argument("--minutes", type=float, default=8, help="the most that it takes (default: 8)")
    parser.add_argument("--tiny", action="store_true", help="a few numbers, not real sizes: a trial of the program")
    parser.add_argument("--sections", nargs="+", choices=sections.SECTIONS, help="only these, in this order")
    args = parser.parse_args(argv)
    if not 0.5 <= args.minutes <= 600:
        parser.error(f"--minutes must be 0.5 to 600, got {args.minutes}")
    if emulating() and not args.tiny:
        complain("error: the emulated GPU is too slow for real sizes; add --tiny")
        return 2
    args.out.mkdir(parents=True, exist_ok=True)
    done = []
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    result = {"program": "benchmarks/gpu.py", "started": started, "commit": commit(), "minutes": args.minutes}
    result |= {"tiny": args.tiny, "emulated": emulating(), "note": "emulated: no times" if emulating() else ""}
    result["sections"] = done
    for section in sections.run_all(args.sections or list(sections.SECTIONS), args.tiny, 60 * args.minutes - RESERVE):
        done.append(section)
        result["seconds"] = time.monotonic() - began
        path, text = args.out / f"{file_name(done)}.json", report.table(result)
        path.write_text(as_json(result), encoding="utf-8")
        path.with_suffix(".md").write_text(text, encoding="utf-8")
    say(f"{text}\nraw figures: {path}")
    if not any(section["rows"] for section in done if section["section"] != "machine"):
        complain("error: nothing could be measured; the reasons stand above")
        return 2
    return 1 if report.wrong(done) else 0


def file_name(done):
    """gpu_nvidia_h200, say."""
    name = "emulated" if emulating() else report.gpu_name(done) or "unknown"
    return "gpu_" + re.sub(r"\W+", "_", name.lower()).strip("_")


def as_json(result):
    """JSON knows neither infinity nor NaN: they become the texts "inf" and "nan"."""
    finite = json.loads(json.dumps(result), parse_constant=lambda name: str(float(name)))
    return json.dumps(finite, indent=1) + "\n"


def commit():
    """The checkout's, with "+" behind it where files differ from it; None outside one."""
    command = ["git", "-C", Path(__file__).parent, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == "__main__":
    sys.exit(main())
