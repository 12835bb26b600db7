"""The table: what the JSON file holds, to be read, in markdown."""

import collections

import numpy as np

from .sections import have_figures

ABOUT_TIMES = (
    "Times are medians by CUDA events, for random float32 inputs, N(0, 1); in brackets the distance between the "
    "quartiles. The L2 cache is cold: a large piece of memory is written before each sample. GB/s counts the fewest "
    "bytes there can be, each input read once, each result written once. Launch is what the processor takes, which is "
    "not in the times. C++/Numba: the time in CUDA C++ over that in Numba CUDA."
)
ABOUT_SHARES = (
    "Times as above; TFLOP/s counts the operations of the formula. The shares are of speed: 100 % is as fast as cuBLAS "
    "or cuDNN through PyTorch, in the faster of its memory layouts: in strict float32 (its TF32 flags off), with them "
    "on, and in bfloat16. Ours in tf32 and float16 take and give float32 arrays: they round, and pack. In bfloat16 "
    "activations are bfloat16 and channels-last, weights float32, and rounded; on Hopper: by wgmma and TMA."
)
ABOUT_STEPS = (
    "Forward, loss, backward and update of one batch that is on the GPU already; dropout as the network has it. Times "
    "are from the end of a step to the end of the next, launching included. Peak: the most memory in use (PyTorch: "
    "max_memory_allocated, which does not see inside a graph; minicnn: CuPy's pool), and what the pool held from the "
    "GPU. minicnn's arrays are float32 in float32 and tf32, which stands beside TF32; in bfloat16, beside AMP, its "
    "activations are bfloat16 and channels-last. Numba's steps have the learner's kernels: tier plain."
)

CHECKS = {  # heading: (section, dtype)
    "CUDA C++ float32": ("check_cuda", "float32"),
    "float64": ("check_cuda", "float64"),
    "float32, sizes as timed": ("check_timed", "float32"),
    "Numba CUDA float32": ("check_numba", "float32"),
    "Numba float64": ("check_numba", "float64"),
}
TESTS = ["tests", "passed", "failed", "skipped", "which failed"]
GATE = ["file", "compute capability", "kernels", "most registers", "most bytes of static shared memory", "spills"]
ABOUT_GATE = "By NVRTC, for the GPU of this machine, as `python -m minicnn.kernels.check` does for four others."
STEPS = ["network", "ms", "images/s", "minicnn in that precision against it", "peak MiB", "pool MiB", "loss"]
NUMBA = ["Numba ms", "launch µs", "C++/Numba"]


def table(result):
    """The whole file's text."""
    sections = result["sections"]
    done = collections.defaultdict(list, {section["section"]: section["rows"] for section in sections})
    name, note = "emulated" if result["emulated"] else gpu_name(sections) or "no GPU", result["note"]
    spent = f"{result['seconds']:.0f} s of {result['minutes']} min"
    lines = [f"# {result['program']}: {name}", "", *([f"**{note}**", ""] if note else [])]
    lines += [f"{result['started']}, commit {result['commit']}, {spent}", ""]
    lines += of_machine(done["machine"])
    lines += [f"- clocks after {each['section']}: {flat(each['clocks'])}" for each in sections if each["clocks"]]
    largest = "The largest error, as a part of the largest number, over all sizes."
    lines += markdown("", "", ["section", "result", "rows", "seconds"], map(section_cells, sections))
    lines += markdown("## Correctness", largest, ["kernel", *CHECKS], correctness(done))
    lines += markdown("## The project's tests", "By `pytest --gpu`.", TESTS, tests(done))
    lines += markdown("## Compiled for this GPU", ABOUT_GATE, GATE, gate(done))
    lines += markdown("## Bound by memory", ABOUT_TIMES, *kernels(done, bound_by="memory"))
    lines += markdown("## Bound by arithmetic", ABOUT_SHARES, *kernels(done, bound_by="arithmetic"))
    lines += markdown("## Training steps", ABOUT_STEPS, STEPS, training(done))
    return "\n".join(lines + missing(sections))


def markdown(title, about, head, rows):
    """The lines of a table; none without rows."""
    grid = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return [*([title, "", about] if title else []), "", *grid, ""] if len(grid) > 2 else []


def of_machine(rows):
    """A line for each part of the machine."""
    return [f"- {row['name']}: {flat(row, without=('name', 'seconds'))}" for row in rows]


def summary(result):
    """The few lines to read if only one thing is read: what was done, and what is wrong."""
    lines = [f"{section['title']}: {', '.join(section_cells(section)[1:3])} rows" for section in result["sections"]]
    for section in result["sections"]:
        bad = [row for row in section["rows"] if row.get("ok") is False or "error_text" in row]
        lines += [f"WRONG: {row['name']}: {fault(row)}" for row in bad[:6]]
        lines += [f"WRONG: and {len(bad) - 6} more of {section['title']}"] * (len(bad) > 6)
    return "\n".join([*([result["note"]] if result["note"] else []), *lines])


def fault(row):
    """What is wrong with a row, in a line."""
    found = row.get("faults") or row.get("failures") or row.get("spilling") or [row.get("error_text", "")]
    return cell(", ".join(found[:3]))


def tests(done):
    """A row for each tier whose tests were run."""
    for row in (row for name in ("tests_fast", "tests_plain") for row in done[name]):
        numbers = [str(row[key]) for key in ("passed", "failed", "skips")]
        yield [row["name"], *numbers, cell(", ".join(row["failures"])) or "-"]


def gate(done):
    """A row for each .cu file."""
    for row in have_figures(done["gate"]):
        numbers = [str(row[key]) for key in ("architecture", "kernels", "registers", "shared")]
        yield [row["name"], *numbers, ", ".join(row["spilling"]) or "-"]


def wrong(sections):
    """Whether a kernel is wrong, or anything failed that should have worked."""
    rows = [row for section in sections for row in section["rows"]]
    failed = any(section["status"] == "failed" for section in sections)
    return failed or any(row.get("ok") is False or "error_text" in row for row in rows)


def gpu_name(sections):
    """As the machine's section has it, from whoever knew it; None if nobody did."""
    rows = [row for section in sections if section["section"] == "machine" for row in section["rows"]]
    return next((row["gpu_name"] for row in rows if row.get("gpu_name")), None)


def flat(found, without=()):
    """What there is, in a line."""
    texts = {key: flat(value) if isinstance(value, dict) else value for key, value in found.items()}
    return ", ".join(f"{key} {text}" for key, text in texts.items() if text is not None and key not in without)


def section_cells(section):
    rows, status = section["rows"], ": ".join(filter(None, (section["status"], section["reason"])))
    return section["title"], cell(status), f"{len(have_figures(rows))} of {len(rows)}", f"{section['seconds']:.0f}"


def correctness(done):
    """A row for each op and rung: the worst error in each language and dtype."""
    found = {}
    for heading, (section, dtype) in CHECKS.items():
        for row in done[section]:
            if row.get("dtype") == dtype:
                op = row["name"].partition(",")[0]
                found.setdefault(op, {heading: [] for heading in CHECKS})[heading].append(row)
    return [[op, *map(verdict, checks.values())] for op, checks in found.items()]


def verdict(rows):
    """The worst of some checks, in a cell."""
    bad = [row for row in rows if not row["ok"]]
    if not bad:
        return f"{max(row['error'] for row in rows):.0e}" if rows else "-"
    faults = sorted({fault for row in bad for fault in row["faults"]})
    return f"**WRONG** in {len(bad)} of {len(rows)}: {', '.join(faults)}"


def timed(rows):
    """{name: row} of those that have times, with their "quartiles" and the "median" of the three."""
    found = {}
    for row in rows:
        if row.get("ms"):
            three = np.quantile(row["ms"], [0.25, 0.5, 0.75]).tolist()
            found[row["name"]] = row | {"quartiles": three, "median": three[1]}
    return found


def kernels(done, bound_by):
    """The headings, and a row for each kernel that is bound by "memory" or "arithmetic"."""
    ours, numba, rivals = timed(done["time_cuda"]), timed(done["time_numba"]), collections.defaultdict(list)
    for row in timed(done["time_torch"]).values():
        rivals[row["like"], row["precision"]].append(row["median"])

    def of_memory(row):
        rate, copy = row["bytes"] / row["median"], ours.get("copy")
        share = percent(rate, copy and copy["bytes"] / copy["median"])
        return f"{rate / 1e6:.0f}", share, f"{row['launch_us']:.0f}"

    def of_arithmetic(row):
        fastest = [min(rivals[row["like"], precision], default=None) for precision in ("fp32", "TF32", "bf16")]
        return f"{row['operations'] / row['median'] / 1e9:.1f}", *[percent(ms, row["median"]) for ms in fastest]

    columns, cells = ["GB/s", "of the copy", "launch µs"], of_memory
    if bound_by == "arithmetic":
        columns, cells = ["TFLOP/s", "of cuBLAS/cuDNN fp32", "TF32", "bf16"], of_arithmetic
    rows = []
    for name in {**ours, **numba}:
        row, other = ours.get(name), numba.get(name)
        if bool((row or other)["operations"]) is (bound_by == "arithmetic"):
            mine = [milliseconds(row), *cells(row)] if row else ["-"] * (1 + len(columns))
            theirs = [milliseconds(other), f"{other['launch_us']:.0f}"] if other else ["-", "-"]
            rows.append([name, *mine, *theirs, f"{row['median'] / other['median']:.2f}" if row and other else "-"])
    return ["kernel", "ms", *columns, *NUMBA], rows


def training(done):
    ours = {(row["network"], row["precision"]): row for row in timed(done["steps_minicnn"]).values()}
    names = "steps_minicnn", "steps_numba", "steps_torch", "steps_compiled"
    steps = timed([row for name in names for row in done[name]]).values()
    for row in sorted(steps, key=lambda row: row["network"]):
        mine = ours.get((row["network"], row["precision"]))
        speed, ratio = f"{1e3 * row['batch'] / row['median']:.0f}", percent(row["median"], mine and mine["median"])
        memory = ["-" if row[key] is None else f"{row[key] / 2**20:.0f}" for key in ("peak_bytes", "pool_bytes")]
        losses = f"{row['first_loss']:.3f} to {row['last_loss']:.3f}"
        yield [row["name"], milliseconds(row), speed, ratio, *memory, losses]


def missing(sections):
    """A line for each reason why rows have no figures, with the names of six."""
    names = collections.defaultdict(list)
    for section in sections:
        for row in section["rows"]:
            if reason := row.get("error_text") or row.get("skipped"):
                names[f"- {section['section']}: {cell(reason)}"].append(row["name"])
    few = {reason: each[:6] + [f"and {len(each) - 6} more"] * (len(each) > 6) for reason, each in names.items()}
    lines = [f"{reason}: {', '.join(each)}" for reason, each in few.items()]
    return ["## Not measured", "", *lines, ""] if lines else []


def cell(text):
    return " ".join(text.split()).replace("|", "\\|")[:400]


def milliseconds(row):
    """The median, and in brackets the distance between the quartiles as a part of it."""
    low, middle, high = row["quartiles"]
    bound = ", with launching" if row.get("covered") is False else ""  # by an upper bound
    return f"{middle:.4g} ({100 * (high - low) / middle:.0f} %{bound})"


def percent(part, whole):
    return "-" if part is None or not whole else f"{100 * part / whole:.0f} %"
