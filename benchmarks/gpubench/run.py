"""A run of sections within its minutes: the versions are printed first, and what is known is kept while it goes on."""

import datetime
import hashlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

from minicnn.console import complain, say
from minicnn.emulated import emulating

from . import report, sections

ROOT = Path(__file__).parents[2]
RESERVE = 10  # seconds, of the table and of what a section takes to end
LOOKING = 60  # seconds at most for the machine


def add_arguments(parser, out, minutes):
    """--out, --minutes and --tiny."""
    parser.add_argument("--out", type=Path, default=Path("."), help=out)
    parser.add_argument("--minutes", type=float, default=minutes, help=f"the most that it takes (default: {minutes})")
    parser.add_argument("--tiny", action="store_true", help="a rehearsal: a few numbers, not real sizes")


def run(program, names, args, place):
    """Run these sections; the exit code: 1 if a kernel is wrong or fails, 2 if nothing could be measured.

    place(args.out, the GPU's name in letters, digits and _) is the path of the JSON file; the table is beside it.
    """
    began = time.monotonic()
    seconds = 60 * args.minutes - RESERVE
    machine = sections.run_section("machine", args.tiny, min(seconds, LOOKING))
    gpu = "emulated" if emulating() else report.gpu_name([machine]) or "unknown"
    path = place(args.out, re.sub(r"\W+", "_", gpu.lower()).strip("_"))
    result = about(program, args) | {"sections": [machine]}
    say("\n".join([f"{program}: {gpu}, commit {result['commit']}", *report.of_machine(machine["rows"])]))

    def keep(done):
        result["sections"], result["seconds"] = [machine, *done], time.monotonic() - began
        write(path, as_json(result))
        write(path.with_suffix(".md"), report.table(result))

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        keep([])
        left = seconds - (time.monotonic() - began)
        done = sections.run_all([n for n in names if n != "machine"], args.tiny, left, path.parent, keep)
    except OSError as error:
        complain(f"error: --out: nothing can be written to {path.parent}: {error.strerror or error}")
        return 2
    say(f"{report.table(result)}\n{report.summary(result)}\nraw figures: {path}")
    if not any(sections.have_figures(section["rows"]) for section in done):
        complain("error: nothing could be measured; the reasons stand above")
        return 2
    return 1 if report.wrong(done) else 0


def about(program, args):
    """What the result says of itself."""
    note = "a rehearsal with tiny sizes: no figures of any GPU" if args.tiny else ""
    note += "; emulated: no times" if emulating() else ""
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    told = {"program": program, "started": started, "commit": commit(), "minutes": args.minutes}
    return {**told, "tiny": args.tiny, "emulated": emulating(), "note": note}


def write(path, text):
    """As a whole, or not at all."""
    aside = path.with_name(path.name + ".part")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)


def as_json(result):
    """JSON knows neither infinity nor NaN: they become the texts "inf" and "nan"."""
    finite = json.loads(json.dumps(result), parse_constant=lambda name: str(float(name)))
    return json.dumps(finite, indent=1) + "\n"


def commit():
    """The checkout's, with "+" behind it where files differ from it; without git, "files" and a digest of the code."""
    command = ["git", "-C", ROOT, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"files {digest(ROOT)}"


def digest(root):
    """Of every file of the code, with its name: the same for the same checkout."""
    found = hashlib.sha256()
    for room in ("minicnn", "kernels", "benchmarks"):
        for path in sorted((root / room).rglob("*")):
            if path.suffix in (".py", ".cu", ".cuh", ".h", ".cpp"):
                found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]
