"""The roofline: what a GPU's memory and arithmetic allow, and where kernels stand below it.

Across    operations for each byte of global memory. How many bytes a kernel moves depends on the caches: a bar reaches
          from what its requests ask for (no cache helps) to each sector once (perfect ones).
Upwards   operations in a second, as far as the bounds of ``peaks.py`` allow: a kernel below the roof is held back by
          something else, by shared memory or by issuing instructions.
Source    Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance model"
"""

import importlib
from pathlib import Path

import numpy as np

from .peaks import GPU, bounds, operations
from .profiles import SECTOR, Profile


def intensities(profile: Profile) -> tuple[float, float]:
    """Operations for a byte: if each request is fetched anew, and if each sector is moved once."""
    total, done = profile.total, operations(profile)
    asked = SECTOR * (total.reads.pieces + total.writes.pieces)
    least, most = sorted((max(asked, 1), max(profile.distinct_bytes, 1)), reverse=True)
    return done / least, done / most


def draw(profiles: list[Profile], on: GPU, file: Path) -> None:
    """Save the picture, in the format of the file's name. Kernels without arithmetic are left out."""
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log")
    shown = [profile for profile in profiles if operations(profile)]
    edges = [edge for profile in shown for edge in intensities(profile)] or [1.0]
    across = np.geomspace(min(edges) / 4, max(*edges, 1000 * on.tensor / on.bandwidth) * 4, 200)
    for peak, label, style in ((on.peak, "float32", "-"), (on.tensor, "tensor cores", "--")):
        roof = np.minimum(across * on.bandwidth / 1000, peak)
        axes.plot(across, roof, "black", linestyle=style, label=f"{label}: {peak:.1f} TFLOP/s, {on.bandwidth:.0f} GB/s")
    for profile in shown:
        worst, best = intensities(profile)
        slowest = bounds(profile, on)[0]
        height = operations(profile) / slowest.seconds / 1e12
        axes.plot([worst, best], [height] * 2, marker="|", linewidth=3, label=f"{profile.name}: {slowest.resource}")
    axes.set(
        xlabel="operations for a byte of global memory", ylabel="TFLOP/s, at most", title=f"{on.name}, published peaks"
    )
    axes.legend(fontsize="small")
    axes.grid(which="both", alpha=0.2)
    figure.savefig(file)
