"""The table: what the JSON file holds, to be read, in markdown."""

import collections
import statistics

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
    "on, and in bfloat16. Ours on tensor cores (in tf32, float16, bfloat16) take and give float32: they round and pack."
)
ABOUT_STEPS = (
    "Forward, loss, backward and update of one batch that is on the GPU already; dropout as the network has it. Times "
    "are from the end of a step to the end of the next, launching included. Peak: the most memory in use (PyTorch: "
    "max_memory_allocated, which does not see inside a graph; minicnn: CuPy's pool), and what the pool held from the "
    "GPU. minicnn's arrays are float32 in every precision: tf32 beside TF32, bfloat16 beside AMP, which also halves "
    "what lies in memory."
)


CHECKS = {  # heading: (section, dtype)
    "CUDA C++ float32": ("check_cuda", "float32"),
    "float64": ("check_cuda", "float64"),
    "float32, sizes as timed": ("check_timed", "float32"),
    "Numba CUDA float32": ("check_numba", "float32"),
    "Numba float64": ("check_numba", "float64"),
}


def table(result):
    """The whole file's text."""
    sections = result["sections"]
    done = {section["section"]: section["rows"] for section in sections}
    lines = [f"# benchmarks/gpu.py: {'emulated' if result['emulated'] else gpu_name(sections) or 'no GPU'}", ""]
    lines += [f"**{result['note']}**", ""] if result["note"] else []
    spent = f"{result['seconds']:.0f} s of {result['minutes']} min"
    lines += [f"{result['started']}, commit {result['commit']}, {spent}", ""]
    lines += [f"- {row['name']}: {flat(row, without=('name', 'seconds'))}" for row in done.get("machine", ())]
    lines += [f"- clocks after {each['section']}: {flat(each['clocks'])}" for each in sections if each["clocks"]]
    for heading, about, (head, *rows) in (
        ("", "", [("section", "result", "rows", "seconds"), *map(section_cells, sections)]),
        ("## Correctness", "The largest error, as a part of the largest number, over all sizes.", correctness(done)),
        ("## Bound by memory", ABOUT_TIMES, bound_by_memory(done)),
        ("## Bound by arithmetic", ABOUT_SHARES, bound_by_arithmetic(done)),
        ("## Training steps", ABOUT_STEPS, training(done)),
    ):
        if rows:
            grid = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
            lines += [*([heading, "", about] if heading else []), "", *grid, ""]
    left_out = missing(sections)
    return "\n".join(lines + (["## Not measured", "", *left_out, ""] if left_out else []))


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
    rows, reason = section["rows"], section["reason"]
    status = cell(section["status"] + (f": {reason}" if reason else ""))
    return section["title"], status, f"{len(have_figures(rows))} of {len(rows)}", f"{section['seconds']:.0f}"


def correctness(done):
    """The headings, and a row for each op and rung: the worst error in each language and dtype."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for heading, (name, dtype) in CHECKS.items():
        for row in done.get(name, ()):
            if row.get("dtype") == dtype:
                found[row["name"].partition(",")[0]][heading].append(row)
    return ["kernel", *CHECKS], *[[op, *(verdict(by[heading]) for heading in CHECKS)] for op, by in found.items()]


def verdict(rows):
    """The worst of some checks, in a cell."""
    bad = {reason(row) for row in rows if row["ok"] is False}
    if bad:
        return f"**WRONG** in {sum(row['ok'] is False for row in rows)} of {len(rows)}: {', '.join(sorted(bad))}"
    return f"{max(row['error'] for row in rows):.0e}" if rows else "-"


def reason(row):
    if row.get("keeps_dtype") is False:
        return "another dtype"
    return f"error {row['error']:.0e}" if row["error"] > row["tolerance"] else "does not repeat"


def timed(done, section):
    """{name: row} of the rows that have times."""
    return {row["name"]: row for row in done.get(section, ()) if row.get("ms")}


def kernels(done, bound_by_arithmetic, cells):
    """A row of cells for each kernel: its name, the time in CUDA C++, what `cells(row)` says of it, Numba's time."""
    ours, numba = timed(done, "time_cuda"), timed(done, "time_numba")
    for name in dict.fromkeys([*ours, *numba]):
        row, other = ours.get(name), numba.get(name)
        if bool((row or other)["operations"]) is bound_by_arithmetic:
            mine = [milliseconds(row), *cells(row)] if row else ["-"] * (5 if bound_by_arithmetic else 4)
            theirs = [milliseconds(other), launch(other)] if other else ["-", "-"]
            yield [name, *mine, *theirs, f"{median(row) / median(other):.2f}" if row and other else "-"]


def bound_by_memory(done):
    copy = timed(done, "time_cuda").get("copy")

    def cells(row):
        return f"{rate(row):.0f}", percent(rate(row), copy and rate(copy)), launch(row)

    head = ["kernel", "ms", "GB/s", "of the copy", "launch µs", "Numba ms", "launch µs", "C++/Numba"]
    return head, *kernels(done, False, cells)


def bound_by_arithmetic(done):
    rivals = collections.defaultdict(list)
    for row in timed(done, "time_torch").values():
        rivals[row["like"], row["precision"]].append(median(row))

    def cells(row):
        fastest = [min(rivals[row["like"], precision], default=None) for precision in ("fp32", "TF32", "bf16")]
        return f"{row['operations'] / median(row) / 1e9:.1f}", *[percent(ms, median(row)) for ms in fastest]

    shares = "of cuBLAS/cuDNN fp32", "TF32", "bf16"
    head = ["kernel", "ms", "TFLOP/s", *shares, "Numba ms", "launch µs", "C++/Numba"]
    return head, *kernels(done, True, cells)


def training(done):
    ours = {(row["network"], row["precision"]): row for row in timed(done, "steps_minicnn").values()}
    steps = [row for name in ("steps_minicnn", "steps_torch", "steps_compiled") for row in timed(done, name).values()]
    head = ["network", "ms", "images/s", "minicnn in that precision against it", "peak MiB", "pool MiB", "loss"]
    rows = []
    for row in sorted(steps, key=lambda row: row["network"]):
        mine = ours.get((row["network"], row["precision"]))
        speed, ratio = f"{1e3 * row['batch'] / median(row):.0f}", percent(median(row), mine and median(mine))
        memory = ["-" if row[key] is None else f"{row[key] / 2**20:.0f}" for key in ("peak_bytes", "pool_bytes")]
        losses = f"{row['first_loss']:.3f} to {row['last_loss']:.3f}"
        rows.append([row["name"], milliseconds(row), speed, ratio, *memory, losses])
    return head, *rows


def missing(sections):
    """A line for each reason why rows have no figures, with their names."""
    reasons = collections.defaultdict(list)
    for section in sections:
        for row in section["rows"]:
            if why := row.get("error_text") or row.get("skipped"):
                reasons[section["section"], why].append(row["name"])
    more = {key: f" and {len(names) - 6} more" * (len(names) > 6) for key, names in reasons.items()}
    return [f"- {key[0]}: {cell(key[1])}: {', '.join(names[:6])}{more[key]}" for key, names in reasons.items()]


def cell(text):
    return " ".join(text.split()).replace("|", "\\|")[:400]


def quartiles(samples):
    """The lower one, the median and the upper one."""
    return statistics.quantiles(samples * (1 + (len(samples) == 1)), n=4, method="inclusive")


def median(row):
    return quartiles(row["ms"])[1]


def milliseconds(row):
    """The median, and in brackets the distance between the quartiles as a part of it."""
    low, middle, high = quartiles(row["ms"])
    bound = ", with launching" if row.get("covered") is False else ""
    return f"{middle:.4g} ({100 * (high - low) / middle:.0f} %{bound})"


def rate(row):
    """GB/s."""
    return row["bytes"] / median(row) / 1e6


def launch(row):
    return "-" if row["launch_us"] is None else f"{row['launch_us']:.0f}"


def percent(part, whole):
    return "-" if part is None or not whole else f"{100 * part / whole:.0f} %"
