"""The tables of docs/gpu.md ("Before and after") and the page docs/gpu-kernels.md, from the committed results."""

import re
from pathlib import Path
from typing import Any

from .tables import CASES, PRECISIONS

PAGE = Path(__file__).parents[2] / "docs" / "gpu-kernels.md"
SHOWN = {"integer": "integer", "tensor": "HMMA"}  # what classes of instructions are called


def section(before: dict[str, Any], after: dict[str, Any], kernels: dict[str, Any], host: dict[str, Any]) -> str:
    """The tables of docs/gpu.md, Markdown."""
    return "\n\n".join(
        [_counted(before, after, host), _predicted(before, after), _kinds(before, after), _loops(before, kernels)]
    )


def page(before: dict[str, Any], kernels: dict[str, Any]) -> str:
    """docs/gpu-kernels.md."""
    rows = [
        _kernel(name, row, _predecessor(name, before["kernels"])) for name, row in sorted(kernels["kernels"].items())
    ]
    head = [
        "| kernel | sectors, reading | writing | wavefronts | registers | occupancy | main loop |",
        "|---|---|---|---|---|---|---|",
    ]
    return _PAGE.format(commit=before["commit"]) + "\n".join([*head, *rows]) + "\n"


def _counted(before, after, host):
    lines = [
        "| a step, before -> now | launches | host, ms (batch 2) | GB of global memory | TFLOP |",
        "|---|---|---|---|---|",
    ]
    for network, batch in CASES:
        for precision in PRECISIONS:
            key = f"{network} {precision}"
            old, new = (results["steps"][f"{key} H100"] for results in (before, after))
            hosts = [host[when][key]["milliseconds"] for when in ("before", "after")]
            cells = [
                f"{old['launches']} -> {new['launches']}",
                f"{hosts[0]:.1f} -> {hosts[1]:.1f}",
                f"{old['gigabytes']:.1f} -> {new['gigabytes']:.1f}",
                f"{2 * old['tera_multiply_adds']:.2f} -> {2 * new['tera_multiply_adds']:.2f}",
            ]
            lines.append(f"| {_title(network, batch, precision)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _predicted(before, after):
    gpus = dict.fromkeys(step["gpu"] for step in after["steps"].values())
    lines = [f"| predicted ms, before -> now | {' | '.join(gpus)} |", "|---" * (len(gpus) + 1) + "|"]
    for network, batch in CASES:
        for precision in PRECISIONS:
            cells = []
            for gpu in gpus:
                pair = [results["steps"].get(f"{network} {precision} {gpu}") for results in (before, after)]
                cells.append(" -> ".join(f"{step['milliseconds']:.1f}" for step in pair) if all(pair) else "-")
            lines.append(f"| {_title(network, batch, precision)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _kinds(before, after):
    titles = [f"{network} {precision}" for network, _ in CASES for precision in PRECISIONS]
    lines = [f"| predicted ms on H100, before -> now | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    pairs = [[results["steps"][f"{title} H100"]["kinds"] for results in (before, after)] for title in titles]
    for kind in dict.fromkeys(kind for pair in reversed(pairs) for kinds in reversed(pair) for kind in kinds):
        cells = [
            " -> ".join(f"{kinds[kind]['milliseconds']:.2f}" if kind in kinds else "-" for kinds in pair)
            for pair in pairs
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


_LOOPS = {
    "convolution, forward, float32": ("conv.cu conv2d_forward<float>", "conv.cu conv2d_forward_128x128<float>"),
    "convolution, grad_x, float32": ("conv.cu conv2d_grad_x<float>", "conv.cu conv2d_grad_x_128x128<float>"),
    "convolution, grad_weight, float32": (
        "conv.cu conv2d_grad_weight<float>",
        "conv.cu conv2d_grad_weight_128x128<float>",
    ),
    "convolution, forward, bfloat16": ("tensor_conv.cu conv2d<bfloat16>", "tensor_conv.cu conv2d_forward<bfloat16>"),
    "convolution, grad_x, bfloat16": ("tensor_conv.cu conv2d<bfloat16>", "tensor_conv.cu conv2d_grad_x<bfloat16>"),
    "convolution, grad_weight, bfloat16": ("tensor_conv.cu conv2d_grad_weight<bfloat16>",) * 2,
    "Winograd's product": (None, "winograd.cu winograd_128x128<float>"),
}


def _loops(before, kernels):
    lines = ["| main loop, sm_90 | before | now | registers, occupancy |", "|---|---|---|---|"]
    for title, names in _LOOPS.items():
        rows = [
            table["kernels"].get(name, {"sass": {}})["sass"].get("90")
            for table, name in zip((before, kernels), names, strict=True)
        ]
        takes = " -> ".join(f"{row['registers']}, {row['occupancy']:.0f} %" for row in rows if row)
        lines.append(f"| {title} | {' | '.join(_mix(row) for row in rows)} | {takes} |")
    return "\n".join(lines)


def _title(network, batch, precision):
    return f"{ {'alexnet': 'AlexNet', 'resnet50': 'ResNet-50'}[network] } b{batch} {precision}"


def _mix(row):
    loop = row["loop"] if row else {}
    if not loop:
        return "-"
    parts = ", ".join(
        f"{count} {SHOWN.get(name, name)}"
        for name, count in loop.items()
        if name in ("FFMA", "tensor", "LDS", "integer")
    )
    return f"{sum(loop.values())}: {parts}"


def _predecessor(name, before):
    """The row of the kernel that did the same before, or None."""
    plain = re.sub(r"_\d+x\d+(?=<)|_narrow(?=<)", "", name)
    tensor = re.sub(r"conv2d_(?:forward|grad_x)(?=<)", "conv2d", plain)
    candidates = plain, tensor, plain.replace("<bfloat16>", "<float>")
    return next((before[candidate] for candidate in candidates if candidate in before), None)


def _kernel(name, row, old):
    def pair(value):
        return value(row) if old is None else f"{value(old)} -> {value(row)}"

    def machine(value):
        return lambda of: value(of["sass"]["90"]) if "90" in of["sass"] else "-"

    cells = [
        *(pair(lambda of, key=key: f"{of[key]:.2f}") for key in ("reads", "writes", "shared")),
        pair(machine(lambda sass: str(sass["registers"]))),
        pair(machine(lambda sass: f"{sass['occupancy']:.0f} %")),
        pair(machine(_mix)),
    ]
    file, _, kernel = name.partition(" ")
    return f"| `{kernel}` ({file}) | {' | '.join(cells)} |"


_PAGE = """# Every kernel, counted

What each shipped kernel asks of memory, and what NVIDIA's compiler makes of it for sm_90: at commit {commit} -> now,
one figure where there was no such kernel. Where there was one for float32 alone, or one for all sizes of tile, it is
that. All kernels but those in float64, tf32 and float16.

- **Sectors** of 32 bytes, and **wavefronts** of shared memory, for each that is needed, over the whole kernel
  ([the profiler](profiler.md) explains them, and shows them line by line). Sizes are small: edges, and numbers that all
  threads read, weigh more than in a network.
- **Main loop**: its instructions in all, and how many of them multiply (FFMA, or HMMA on tensor cores), read shared
  memory (LDS) and reckon with integers; of a product, over a whole step along the sum. Static: branches that are not
  taken are counted.

Nothing here was measured on a GPU. Made by `python benchmarks/predict.py --count benchmarks/results/gpu_model`, then
`--document`; NVIDIA's compilers were those of CUDA 13.0.

"""
