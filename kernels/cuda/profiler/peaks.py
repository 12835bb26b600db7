"""What GPUs can do at most, as their makers publish it, and which of it a kernel would use up first.

Operations on numbers with few digits are those with sums in float32, without sparsity. The clock is the one that the
published peaks belong to: peak = multiprocessors * lanes * 2 * clock.
"""

from typing import NamedTuple

from minicnn.device import KernelError

from .profiles import WARP, Profile

SCHEDULERS = 4  # of a multiprocessor: each issues one instruction of a warp in a cycle, on all GPUs of the table


class GPU(NamedTuple):
    """One model."""

    name: str
    capability: int  # 80: sm_80
    multiprocessors: int
    lanes: int  # multiply-adds in float32 of a multiprocessor in a cycle
    clock: float  # GHz
    tensor: float  # TFLOP/s of 16-bit numbers
    bandwidth: float  # GB/s of global memory
    source: str

    @property
    def peak(self) -> float:
        """TFLOP/s in float32."""
        return self.multiprocessors * self.lanes * 2 * self.clock / 1000


GPUS = {
    gpu.name: gpu
    for gpu in (
        GPU("T4", 75, 40, 64, 1.59, 65, 320, "NVIDIA T4 datasheet (8.1 TFLOPS); Turing architecture whitepaper"),
        GPU("A100", 80, 108, 64, 1.41, 312, 1555, "NVIDIA A100 architecture whitepaper, 40 GB (19.5 TFLOPS)"),
        GPU("A100-80GB", 80, 108, 64, 1.41, 312, 2039, "NVIDIA A100 datasheet, 80 GB SXM (19.5 TFLOPS)"),
        GPU("RTX3090", 86, 82, 128, 1.695, 71, 936, "NVIDIA Ampere GA102 whitepaper (35.6 TFLOPS)"),
        GPU("RTX4090", 89, 128, 128, 2.52, 165.2, 1008, "NVIDIA Ada GPU architecture whitepaper (82.6 TFLOPS)"),
        GPU("L4", 89, 58, 128, 2.04, 121, 300, "NVIDIA L4 datasheet (30.3 TFLOPS)"),
        GPU(
            "H100",
            90,
            132,
            128,
            1.98,
            989.4,
            3352,
            "NVIDIA H100 architecture whitepaper and datasheet, SXM5 (66.9 TFLOPS)",
        ),
        GPU("H200", 90, 132, 128, 1.98, 989.4, 4800, "NVIDIA H200 datasheet, SXM (67 TFLOPS)"),
    )
}


class Bound(NamedTuple):
    """One resource and the least time that a kernel needs of it, with all multiprocessors busy."""

    resource: str
    seconds: float


def gpu(name: str) -> GPU:
    """That of the table; KernelError if there is none."""
    found = next((gpu for key, gpu in GPUS.items() if key.lower() == name.lower()), None)
    if found is None:
        raise KernelError(f"no GPU {name!r} is known; there are {', '.join(GPUS)} (kernels/cuda/profiler/peaks.py)")
    return found


def bounds(profile: Profile, on: GPU) -> list[Bound]:
    """The least times, longest first: the first is what bounds the kernel, as far as it was counted."""
    total = profile.total
    cycles = {
        "shared memory and L1": total.reads.turns + total.writes.turns + total.shared.turns,
        "issue of instructions": (total.requests + total.warp_fmas + total.warp_others) / SCHEDULERS,
        "float32 arithmetic": (total.warp_fmas + total.warp_others) * WARP / on.lanes,
    }
    busy = on.multiprocessors * on.clock * 1e9
    found = [Bound(resource, count / busy) for resource, count in cycles.items()]
    found.append(Bound("tensor cores", 2 * total.tensor / (on.tensor * 1e12)))
    found.append(Bound("global memory", profile.distinct_bytes / (on.bandwidth * 1e9)))
    return sorted(found, key=lambda bound: -bound.seconds)


def operations(profile: Profile) -> int:
    """Floating-point operations: two for each multiply-add."""
    total = profile.total
    return 2 * (total.fmas + total.tensor) + total.others


def share_of_peak(profile: Profile, on: GPU) -> float:
    """How much of its peak the GPU can reach at most in this kernel, [0, 1]: of tensor cores if it uses them."""
    seconds = bounds(profile, on)[0].seconds
    peak = on.tensor if profile.total.tensor else on.peak
    return min(1.0, operations(profile) / seconds / (peak * 1e12)) if seconds else 0.0
