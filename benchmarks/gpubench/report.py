"""The table: what the JSON file holds, to be read, in markdown."""

import collections

from .figures import gigabytes_per_second, spread, summary, teraflops

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


def table(result):
    """The whole file's text."""
    done = {section["section"]: section for section in result["sections"]}
    title = gpu_name(result["sections"]) or "no GPU"
    lines = [f"# benchmarks/gpu.py: {'emulated' if result['emulated'] else title}", ""]
    lines += [f"**{result['note']}**", ""] if result["note"] else []
    lines += [
        f"{result['started']}, commit {result['commit']}, {result['seconds']:.0f} s of {result['minutes']} min",
        "",
    ]
    lines += [f"- {name}: {text}" for name, text in machine_lines(done)] + [""]
    lines += grid(["section", "result", "rows", "seconds"], section_rows(result["sections"]))
    for heading, about, (head, rows) in (
        ("Correctness", "The largest error, as a part of the largest number, over all sizes.", correctness(done)),
        ("Bound by memory", ABOUT_TIMES, bound_by_memory(done)),
        ("Bound by arithmetic", ABOUT_SHARES, bound_by_arithmetic(done)),
        ("Training steps", ABOUT_STEPS, training(done)),
    ):
        if rows:
            lines += [f"## {heading}", "", about, "", *grid(head, rows)]
    left_out = missing(result["sections"])
    return "\n".join(lines + (["## Not measured", "", *left_out, ""] if left_out else []))


def grid(head, rows):
    """A table in markdown."""
    return [f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)] + [""]


def wrong(sections):
    """Whether a kernel is wrong, or anything failed that should have worked."""
    rows = [row for section in sections for row in section["rows"]]
    failed = any(section["status"] == "failed" for section in sections)
    return failed or any(row.get("ok") is False or "error_text" in row for row in rows)


def gpu_name(sections):
    """As the machine's section has it, from whoever knew it; None if nobody did."""
    rows = [row for section in sections if section["section"] == "machine" for row in section["rows"]]
    return next((row["gpu_name"] for row in rows if row.get("gpu_name")), None)


def machine_lines(done):
    """(what, text) of what the machine's section found."""
    for row in done.get("machine", {}).get("rows", ()):
        found = {key: value for key, value in row.items() if key not in ("name", "seconds") and value is not None}
        yield row["name"], ", ".join(f"{key} {flat(value)}" for key, value in found.items())
    for name, section in done.items():
        if section.get("clocks"):
            yield f"clocks after {name}", ", ".join(f"{key} {value}" for key, value in section["clocks"].items())


def flat(value):
    return ", ".join(f"{k} {v}" for k, v in value.items() if v is not None) if isinstance(value, dict) else str(value)


def section_rows(sections):
    for section in sections:
        good = [row for row in section["rows"] if "error_text" not in row and "skipped" not in row]
        status = f"{section['status']}{': ' if section['reason'] else ''}{section['reason']}"
        yield section["title"], cell(status), f"{len(good)} of {len(section['rows'])}", f"{section['seconds']:.0f}"


CHECKS = {  # heading: (section, dtype)
    "CUDA C++ float32": ("check_cuda", "float32"),
    "float64": ("check_cuda", "float64"),
    "float32, sizes as timed": ("check_timed", "float32"),
    "Numba CUDA float32": ("check_numba", "float32"),
    "Numba float64": ("check_numba", "float64"),
}


def correctness(done):
    """(headings, one row for each op and rung): the worst error in each language and dtype."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for heading, (name, dtype) in CHECKS.items():
        for row in done.get(name, {}).get("rows", ()):
            if row.get("dtype") == dtype:
                found[row["name"].partition(",")[0]][heading].append(row)
    return ["kernel", *CHECKS], [[op, *(verdict(by[heading]) for heading in CHECKS)] for op, by in found.items()]


def verdict(rows):
    """The worst of some checks, in a cell."""
    if not rows:
        return "-"
    bad = [row for row in rows if row["ok"] is False]
    if bad:
        reasons = {reason(row) for row in bad}
        return f"**WRONG** in {len(bad)} of {len(rows)}: {', '.join(sorted(reasons))}"
    return f"{max(row['error'] for row in rows):.0e}"


def reason(row):
    if row.get("keeps_dtype") is False:
        return "another dtype"
    return f"error {row['error']:.0e}" if row["error"] > row["tolerance"] else "does not repeat"


def timed(done, section):
    """{name: row} of the rows that have times."""
    return {row["name"]: row for row in done.get(section, {}).get("rows", ()) if row.get("ms")}


def bound_by_memory(done):
    ours, numba = timed(done, "time_cuda"), timed(done, "time_numba")
    copy = rate(ours["copy"]) if "copy" in ours else None
    rows = []
    for name, row in {**ours, **numba, **ours}.items():
        if row["operations"]:
            continue
        other = numba.get(name)
        mine = (
            [milliseconds(row), f"{rate(row):.0f}", percent(rate(row), copy), launch(row)]
            if name in ours
            else ["-"] * 4
        )
        rows.append([name, *mine, *numba_cells(ours.get(name), other)])
    head = ["kernel", "ms", "GB/s", "of the copy", "launch µs", "Numba ms", "launch µs", "C++/Numba"]
    return head, rows


def bound_by_arithmetic(done):
    ours, numba = timed(done, "time_cuda"), timed(done, "time_numba")
    rival = collections.defaultdict(list)
    for row in timed(done, "time_torch").values():
        rival[row["like"], row["precision"]].append(median(row))
    rows = []
    for name, row in {**ours, **numba, **ours}.items():
        if not row["operations"]:
            continue
        mine = ["-"] * 5
        if name in ours:
            rivals = [min(rival[row["like"], precision], default=None) for precision in ("fp32", "TF32", "bf16")]
            shares = [percent(other, median(row)) for other in rivals]
            mine = [milliseconds(row), f"{teraflops(row['operations'], median(row)):.1f}", *shares]
        rows.append([name, *mine, *numba_cells(ours.get(name), numba.get(name))])
    shares = "of cuBLAS/cuDNN fp32", "TF32", "bf16"
    head = ["kernel", "ms", "TFLOP/s", *shares, "Numba ms", "launch µs", "C++/Numba"]
    return head, rows


def numba_cells(row, other):
    """Milliseconds and launch of Numba's kernel, and how the one in C++ compares."""
    if other is None:
        return ["-", "-", "-"]
    return [milliseconds(other), launch(other), f"{median(row) / median(other):.2f}" if row else "-"]


def training(done):
    ours, rows = list(timed(done, "steps_minicnn").values()), []
    for section in ("steps_minicnn", "steps_torch", "steps_compiled"):
        for name, row in timed(done, section).items():
            speed = f"{1e3 * row['batch'] / median(row):.0f}"
            like = row["network"], row["precision"]
            mine = next((r for r in ours if (r["network"], r["precision"]) == like), None)
            ratio = percent(median(row), median(mine)) if mine else "-"
            losses = f"{row['first_loss']:.3f} to {row['last_loss']:.3f}"
            rows.append([row["network"], name, milliseconds(row), speed, ratio, *memory(row), losses])
    rows = [row[1:] for row in sorted(rows, key=lambda row: row[0])]
    return ["network", "ms", "images/s", "minicnn in that precision against it", "peak MiB", "pool MiB", "loss"], rows


def memory(row):
    return ["-" if row[key] is None else f"{row[key] / 2**20:.0f}" for key in ("peak_bytes", "pool_bytes")]


def missing(sections):
    """A line for each reason why rows have no figures, with their names."""
    reasons = collections.defaultdict(list)
    for section in sections:
        for row in section["rows"]:
            why = row.get("error_text") or row.get("skipped")
            if why:
                reasons[section["section"], why].append(row["name"])
    return [f"- {section}: {cell(why)}: {some(names)}" for (section, why), names in reasons.items()]


def some(names):
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def cell(text):
    return " ".join(text.split()).replace("|", "\\|")[:400]


def median(row):
    return summary(row["ms"])["median"]


def milliseconds(row):
    bound = "" if row.get("covered", True) is not False else ", with launching"
    return f"{median(row):.4g} ({100 * spread(row['ms']):.0f} %{bound})"


def rate(row):
    return gigabytes_per_second(row["bytes"], median(row))


def launch(row):
    return "-" if row["launch_us"] is None else f"{row['launch_us']:.0f}"


def percent(part, whole):
    return "-" if part is None or not whole else f"{100 * part / whole:.0f} %"
