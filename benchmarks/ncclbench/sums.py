"""Every way from GPU to GPU against NumPy, and how fast sums are."""

import hashlib

import numpy as np

from minicnn.device import to_device, to_host
from minicnn.distributed import world

from .clock import together

SHAPES = [(1,), (7,), (3, 5), (1000, 33), (1 << 22,)]
TINY_SHAPES = [(1,), (3, 5)]
DTYPES = "float32", "float64", "int32", "int64", "uint8"
SIZES = [1 << power for power in range(10, 29, 2)]  # bytes: 1 KB to 256 MB
TINY_SIZES = [1 << 10, 1 << 12]
METHODS = {  # name: (given all ranks' arrays (ranks, ranks, ...) and the rank, what it should return)
    "sum": lambda all_, rank: all_.sum(0, all_.dtype),
    "start_sum": lambda all_, rank: all_.sum(0, all_.dtype),
    "gather": lambda all_, rank: all_,
    "scatter_sum": lambda all_, rank: all_[:, rank].sum(0, all_.dtype),
    "exchange": lambda all_, rank: all_[:, rank],
    "broadcast": lambda all_, rank: all_[0],
}


def checks(tiny):
    """(name, function): each returns {"error", "tolerance", "ok"}, the worst of all ranks."""
    shapes = TINY_SHAPES if tiny else SHAPES
    for shape in shapes:
        for method in METHODS:
            for dtype in DTYPES:
                yield f"{method}, {dtype} {shape}", lambda m=method, d=dtype, s=shape: check(m, d, s)
        yield f"start_sum as bfloat16, {shape}", lambda s=shape: check("start_sum", "float32", s, "bfloat16")


def check(method, dtype, shape, send="float32"):
    """A method's result against NumPy's, which knows every rank's numbers: they follow from the rank."""
    w = world()
    everything = np.stack([numbers(dtype, (w.size, *shape), rank) for rank in range(w.size)])
    array = to_device(everything[w.rank], "cuda")
    if method == "start_sum":
        w.start_sum(array, send).wait()
        found = array
    else:
        found = getattr(w, method)(array)
    found, expected = to_host(found)[0], METHODS[method](everything, w.rank)
    size = METHODS[method](np.abs(everything.astype(np.float64)), w.rank)  # what errors are measured by
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64)) / np.maximum(size, 1e-30)
    error = float(difference.max()) if found.shape == expected.shape and found.dtype == expected.dtype else np.inf
    tolerance = tolerated(dtype, send, method)
    same = "sum" not in method or method == "scatter_sum" or len(set(w.gather_values(digest([found])))) == 1
    worst = max(w.gather_values(error))
    return {"error": worst, "tolerance": tolerance, "same_bits": same, "ok": bool(worst <= tolerance and same)}


def numbers(dtype, shape, rank):
    """Random ones, positive where the dtype is."""
    rng = np.random.default_rng(1000 + rank)
    return rng.standard_normal(shape).astype(dtype) if "float" in dtype else rng.integers(0, 50, shape).astype(dtype)


def tolerated(dtype, send, method):
    """Relative to the sum of magnitudes: a rounding for each addition, and one before it for bfloat16; else nothing."""
    if "sum" not in method or "float" not in dtype:
        return 0.0
    if send == "bfloat16":
        return 1.01 * (2 * world().size - 1) * 2.0**-8
    return world().size * float(np.finfo(dtype).eps)


def digest(arrays):
    """A text that is the same for the same bits."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def bandwidths(tiny):
    """(name, function of seconds): each returns the times of a float32 sum of some size, and what of the links it uses.

    As nccl-tests count: the bus bandwidth is bytes / time * 2 (n - 1) / n, what each GPU sends and receives, in GB/s
    of 1e9 bytes. As bfloat16, packing included, the bytes are still those of the float32 array: which is quicker shows.
    Small arrays take as long as Python takes to queue the call.
    """
    for size in TINY_SIZES if tiny else SIZES:
        yield f"sum of {size} bytes", lambda seconds, s=size: bandwidth(s, seconds)


def bandwidth(size, seconds):
    """Times of one size: as float32, and as bfloat16."""
    w = world()
    # each call adds up the sums of the one before: the numbers end as infinity, which takes as long as any other
    array = to_device(np.random.default_rng(w.rank).standard_normal(size // 4).astype(np.float32), "cuda")
    ways = {send: lambda send=send: w.start_sum(array, send).wait() for send in ("float32", "bfloat16")}
    row = {"bytes": size}
    for send, ms in together(ways, seconds).items():
        row[f"{send}_ms"] = ms
        if ms:
            row[f"{send}_bus_gb_s"] = size / (1e6 * float(np.median(ms))) * 2 * (w.size - 1) / w.size
    return row
