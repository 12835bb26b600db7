# %% [markdown]
# # 3. From the naive matrix product to 128 x 128 tiles
#
# Chapter 2 made a matrix product of a convolution. A fully connected layer is one, too. So nearly all that a GPU does
# for a network is this: `c = a @ b`, where `a` has I rows and K columns, `b` K rows and J columns.
#
#     c[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + ... + a[i, K - 1] * b[K - 1, j]
#
# That is I x J x K multiply-adds, on I x K + K x J numbers. Each number of `a` is needed J times, each of `b` I times.
# A GPU can multiply far faster than its memory can bring numbers. So the whole art is: **fetch a number rarely, use it
# often.** The kernels of [kernels/cuda/matmul.cu](../../kernels/cuda/matmul.cu) are a ladder of eight rungs, each the
# last with one idea more. Here every rung runs, and what it reads is *counted*: an emulator runs every thread on the
# processor and writes down every access. That takes a C++ compiler, and no GPU.

# %%
# Only where minicnn is not installed, as in Colab: write down where this page's repository is cloned from, then run.
REPOSITORY = ""  # @param {type: "string"}

import importlib.util
import subprocess
import sys

missing = [name for name in ("minicnn", "matplotlib") if importlib.util.find_spec(name) is None]
if missing:
    if not REPOSITORY:
        sys.exit(f"{missing[0]} is not installed: fill in REPOSITORY above, or run pip install -e . in its clone")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", f"git+{REPOSITORY}"], check=True)

# %%
import os

os.environ["MINICNN_EMULATE_GPU"] = "1"  # before the first kernel: device "cuda" is emulated on the processor

import matplotlib.pyplot as plt
import numpy as np

from minicnn.device import DeviceError
from minicnn.kernels.cuda.emulator.compiler import compiler

try:
    compiler()
except DeviceError as error:
    sys.exit(str(error))  # one line: no C++ compiler, and what to do

# %% [markdown]
# ## Seven kernels, one result
#
# First: are they right? For sizes that fit no tile, too. Beyond an edge the kernels fetch zeros.

# %%
from minicnn.emulated import on_device
from minicnn.kernels.cuda.matmul import LADDER, multiply

rng = np.random.default_rng(0)


def factors(I, J, K):
    return rng.standard_normal((I, K)).astype(np.float32), rng.standard_normal((K, J)).astype(np.float32)


for I, J, K in [(128, 128, 16), (70, 33, 45), (1, 130, 7)]:
    a, b = factors(I, J, K)
    for rung in LADDER:
        c = np.array(multiply(on_device(a), on_device(b), kernel=rung))
        assert np.allclose(c, a @ b, atol=1e-4), rung
    print(f"({I}, {K}) @ ({K}, {J}): all {len(LADDER)} equal NumPy's, but for rounding")

# %% [markdown]
# Now the same with a record. `launch.reads("a")` has a row for each time that a thread reads a number of `a`: which
# number, which thread, which block.

# %%
from minicnn.kernels.cuda.emulator.recording import SECTOR, WARP, loaded_bytes, recording, sectors, turns

I, J, K = 128, 128, 16
MULTIPLY_ADDS = I * J * K
a, b = map(on_device, factors(I, J, K))
launches = {}
for rung in LADDER:
    with recording() as recorded:
        multiply(a, b, kernel=rung)
    launches[rung] = recorded[0]


def asked(launch):
    """Bytes of global memory that the threads read, each for itself."""
    return sum(int(launch.reads(factor)["bytes"].sum()) for factor in "ab")


print(f"{'':17}{'grid':>10}{'block':>10}   bytes of a and b that threads read, for one multiply-add")
for rung, launch in launches.items():
    grid, block = (f"{size[0]} x {size[1]}" for size in (launch.grid, launch.block))
    print(f"{rung:17}{grid:>10}{block:>10}   {asked(launch) / MULTIPLY_ADDS:.4f}")

# %% [markdown]
# ## Rungs 1 and 2: a thread for each result
#
# Both kernels have the same loop. Each thread goes along a row of `a` and down a column of `b`: two numbers, 8 bytes,
# for one multiply-add. (`PRODUCT` in the kernels' text stands for their arguments, which are the same for all of them;
# `a_row` and `a_column` say how far apart two rows and two columns of `a` lie in memory, and are K and 1 here.)

# %%
from pathlib import Path

import minicnn.kernels

KERNELS = Path(minicnn.kernels.__file__).parent


def print_source(file, first, last):
    """The lines of a file of kernels/ from the one that begins with `first` to the next that begins with `last`."""
    lines = (KERNELS / file).read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(first))
    end = next(n for n, line in enumerate(lines) if n > start and line.startswith(last))
    print("\n".join(lines[start : end + 1]))


print_source("cuda/matmul.cu", "__global__ void matmul_coalesced", "}")

# %% [markdown]
# `matmul_naive` has `x` and `y` exchanged, nothing else. Why does that matter? 32 neighbouring threads of a block, a
# **warp**, go in step: they read at the same moment, and memory answers in **sectors** of 32 bytes, 8 numbers. If the
# 32 want neighbouring numbers, 4 sectors are enough; the reads are *coalesced*. If each wants a number of another row,
# each gets a sector of its own and uses an eighth of it.
#
# This is what the first warp reads in its first step. Blue is what it wants, orange is what comes along.

# %%
NUMBERS = SECTOR // 4  # of a sector


def first_step(launch, factor):
    """What warp 0 of block 0 reads of a factor with its first access: 2 wanted, 1 fetched with it, 0 untouched."""
    reads = launch.reads(factor)
    warp = reads[(reads["block"] == 0) & (reads["thread"] < WARP)]
    _, first_of_thread = np.unique(warp["thread"], return_index=True)
    wanted = warp["offset"][first_of_thread].astype(int) // 4
    seen = np.zeros(I * K if factor == "a" else K * J, int)
    seen.reshape(-1, NUMBERS)[wanted // NUMBERS] = 1
    seen[wanted] = 2
    return seen.reshape((I, K) if factor == "a" else (K, J))


_, axes = plt.subplots(2, 2, figsize=(9, 4.2), width_ratios=[1, 3], layout="constrained")
for (of_a, of_b), rung in zip(axes, ["matmul_naive", "matmul_coalesced"], strict=True):
    for ax, factor in ((of_a, "a"), (of_b, "b")):
        seen = first_step(launches[rung], factor)[:24, :48]
        colours = plt.matplotlib.colors.ListedColormap(["whitesmoke", "orange", "steelblue"])
        ax.pcolormesh(seen, cmap=colours, vmin=0, vmax=2, edgecolors="white", linewidth=0.5)
        ax.set(aspect="equal", xticks=[], yticks=[], title=f"{factor}: {(seen == 2).sum()} of {(seen > 0).sum()}")
        ax.invert_yaxis()
    of_a.set_ylabel(rung)
plt.show()

# %% [markdown]
# (Upper left corners; the titles count: wanted of fetched.) The naive warp uses 16 of 128 numbers of `a`. Its sister
# uses all that comes of `b`, and of `a` one number that all 32 threads share. Counted over the whole product:

# %%


def fetched(launch, factors="ab"):
    """Bytes of global memory that warps fetch, in whole sectors."""
    return SECTOR * sum(sectors(launch.reads(factor)) for factor in factors)


print(f"{'':17} a      b      together: bytes for one multiply-add")
for rung in ("matmul_naive", "matmul_coalesced"):
    of_a, of_b = (fetched(launches[rung], factor) / MULTIPLY_ADDS for factor in "ab")
    print(f"{rung:17} {of_a:<6.2f} {of_b:<6.2f} {of_a + of_b:.2f}")

# %% [markdown]
# ## Rung 3: tiles in shared memory
#
# The threads of a block read the same numbers over and over: all who stand in a row of `c` need the same row of `a`. So
# let them fetch together. **Shared memory** is small and fast, and a whole block sees it. The block fetches a *tile* of
# `a` and one of `b`, 16 x 16 numbers each, one number a thread; then every thread takes 16 steps of its sum from there;
# then come the next tiles. (`BLOCK_SIDE` is 16.)

# %%
print_source("cuda/matmul.cu", "__global__ void matmul_shared", "}")

# %% [markdown]
# `__syncthreads()` is a **barrier**: nobody goes on before all threads of the block are there. The first one says: the
# tiles are whole, now they may be read. The second: all have read, now they may be overwritten. Chapter 2 shows what
# happens without.
#
# Which numbers does one block touch, and how often does it fetch each? Counted, for a block in the middle of each grid.
# As on paper, `a` stands to the left of `c`, and `b` above it. In `c` the block's own results are black.


# %%
def of_a_block(launch):
    """How often a block reads each number of a and b from global memory, and how often it writes each of c."""
    middle = launch.grid[0] // 2 + launch.grid[0] * (launch.grid[1] // 2)
    shapes = {"a": (I, K), "b": (K, J), "c": (I, J)}
    for name, shape in shapes.items():
        accesses = launch.writes(name) if name == "c" else launch.reads(name)
        places = accesses["offset"][accesses["block"] == middle].astype(int) // 4
        yield np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape)


SHOWN = "matmul_coalesced", "matmul_shared", "matmul_register", "matmul_large"
GAP = 6
LABEL = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
figure, axes = plt.subplots(1, 4, figsize=(13, 3.9), layout="constrained")
for ax, rung in zip(axes, SHOWN, strict=True):
    times_a, times_b, results = of_a_block(launches[rung])
    sheet = np.full((K + GAP + I, K + GAP + J), np.nan)  # nothing is drawn
    sheet[K + GAP :, :K], sheet[:K, K + GAP :], sheet[K + GAP :, K + GAP :] = times_a, times_b, np.where(results, 99, 0)
    colours = plt.get_cmap("viridis_r").with_extremes(under="whitesmoke", over="black")
    image = ax.imshow(sheet, cmap=colours, vmin=1, vmax=32)
    near, far = K / 2, K + GAP + 10
    for letter, across, down in (("a", near, far), ("b", far, near), ("c", far, far)):
        ax.text(across, down, letter, ha="center", va="center", fontsize=13, bbox=LABEL)
    ax.set(title=rung, xticks=[], yticks=[], frame_on=False)
    reads = [f"{name}: {(times > 0).sum()} numbers x {times.max()}" for name, times in (("a", times_a), ("b", times_b))]
    ax.set_xlabel("\n".join(reads))
figure.colorbar(image, ax=axes, label="times read")
plt.show()

# %% [markdown]
# A block needs a strip of rows of `a` and a strip of columns of `b`, whatever the kernel. Without tiles its threads
# read each of these numbers 8 or 32 times. With tiles, once. And the wider the strips, the more products are made of
# them: 16 rows and 16 columns give 256 results, 64 and 64 give 4096. **Four times the numbers, sixteen times the
# work.** A number of `a` is used as often as the strip of `b` is wide.
#
# So `matmul_shared` fetches 16 + 16 numbers of 4 bytes for 256 multiply-adds: half a byte for each, instead of 5. Would
# larger tiles be enough? A block has at most 1024 threads, and there is a second bottleneck: each multiply-add still
# takes two numbers, 8 bytes, out of *shared* memory. Fast as it is, that is too much.
#
# ## Rung 4: tiles in registers
#
# The same idea once more, one floor down. A **register** is where a number lies while a thread computes with it;
# nothing is faster, and only its own thread sees it. Let a thread work out 4 x 4 results instead of one, a *register
# tile*. For each k it takes 4 numbers of `a` and 4 of `b` from shared memory, and makes 16 multiply-adds of them: 2
# bytes each instead of 8.

# %%
print_source("cuda/matmul.cu", "        for (int k = 0; k < DEPTH; k++)  // 8 numbers", "        __syncthreads();")

# %% [markdown]
# Count it. A number that a thread reads again before the next barrier is still in its register, and counts once:


# %%
def loaded(launch):
    """Bytes that threads load from shared memory."""
    return sum(loaded_bytes(launch.reads(name)) for name in ("a_tile", "b_tile") if name in launch.names)


for rung in ("matmul_shared", "matmul_register"):
    print(f"{rung:17} {loaded(launches[rung]) / MULTIPLY_ADDS:.2f} bytes of shared memory for one multiply-add")

# %% [markdown]
# With 16 x 16 threads of 4 x 4 results each, a block makes 64 x 64 results, so the bytes from global memory shrink as
# well: 64 + 64 numbers for 4096 multiply-adds, an eighth of a byte for each.
#
# ## Rung 5: four numbers at once
#
# `matmul_vector` loads its 4 numbers with **one** instruction of 16 bytes. The bytes are the same, but there are a
# quarter of the instructions, and those that are no multiply-adds are what is in the way now. For that, the numbers
# must lie side by side: a thread's rows become neighbours, and a tile's rows begin at multiples of 16 bytes.
#
# That has a price. Shared memory has 32 **banks**: number 0 lies in bank 0, number 31 in bank 31, number 32 in bank 0
# again. Each bank gives or takes one number in a turn. If the threads of a warp want different numbers of one bank,
# they wait for each other. A tile of `a` is put down column by column: 16 neighbouring threads write down a column, the
# next 16 down the column beside it. Where those lie depends on how long a row of the tile is. Let us count:

# %%
import tempfile

from minicnn.kernels.cuda.launch import Kernel

folder = tempfile.TemporaryDirectory()
file = Path(folder.name, "put.cu")
file.write_text("""
template <typename T>
__global__ void put(const T *a, int row) {  // row: how many numbers a row of the tile has room for
    __shared__ T tile[16 * 68];
    int t = threadIdx.x;  // [0, 32)
    tile[t % 16 * row + t / 16] = a[t];
}
""")
for row in (64, 65, 66, 68):
    with recording() as recorded:
        Kernel(file, "put")[1, WARP](on_device(np.zeros(WARP, np.float32)), row)
    print(f"rows of {row}: {turns(recorded[0].writes('tile')):2} turns for a warp to write 32 numbers")

# %% [markdown]
# With rows of 64, all numbers of a column lie in one bank. Rung 4 makes them 65 long. Rung 5 needs a multiple of 4, and
# takes 68: luckily no worse.
#
# ## Rung 6: two buffers
#
# Memory takes hundreds of steps to answer. So far all wait: fetch, barrier, multiply, barrier, fetch. With **two**
# pairs of tiles the next ones can be on their way while the present ones are multiplied. This is one thread of each
# rung, from its first access to its last; a line is a barrier.

# %%
a_long, b_long = map(on_device, factors(64, 64, 64))
timelines = {}
for rung in ("matmul_vector", "matmul_double"):
    with recording() as recorded:
        multiply(a_long, b_long, kernel=rung)
    timelines[rung] = recorded[0]

_, axes = plt.subplots(2, 1, figsize=(11, 4.6), sharex=True, layout="constrained")
for ax, (rung, launch) in zip(axes, timelines.items(), strict=True):
    mine = launch.accesses[(launch.accesses["block"] == 0) & (launch.accesses["thread"] == 5)]
    is_tile = mine["shared"]
    lane = np.where(is_tile, np.where(mine["write"], 1, 2), np.where(mine["write"], 3, 0))
    ax.scatter(np.arange(len(mine)), lane, c=lane, cmap="Dark2", vmin=0, vmax=7, marker="|", s=160)
    barriers = np.flatnonzero(np.diff(mine["epoch"].astype(int)))
    for step in barriers:
        ax.axvline(step + 0.5, color="black", linewidth=1)
    ax.set_yticks(range(4), ["fetch from a, b", "put into a tile", "load from a tile, multiply", "write c"])
    ax.set(ylim=(3.6, -0.6), title=f"{rung}: {np.ptp(mine['epoch'].astype(int))} barriers")
axes[1].set_xlabel("the thread's accesses, one after the other")
plt.show()

# %% [markdown]
# In the lower one, each fetch stands *before* the multiplications of the tile that came earlier: it has all of them to
# hide behind. And one barrier for each pair of tiles is enough, since what is written is never what is being read. (The
# last tile put down holds nothing but zeros, and is not used.)
#
# ## Rung 7: 128 x 128
#
# 8 x 8 results of a thread, 128 x 128 of a block. Half the bytes once more, from both memories: 16 numbers loaded for
# 64 multiply-adds. The price: a thread's 64 sums alone take 64 of its at most 255 registers, and a product of 512 x 512
# has only 16 blocks, while a large GPU wants more than a hundred at once. So minicnn takes this rung for large products
# alone, and rung 6 for small ones.
#
# ## Rung 8: the sum in parts
#
# A linear layer of a network has few rows, one for each picture of the batch, but its sums are long: thousands of
# terms. Rung 8, `matmul_split`, cuts K into parts, each with blocks of its own. Each block writes down what its part
# gives, and the one that finds all others done before it adds the parts up, in their order. So the result is the same
# every time, whoever comes last. Here K is too short for that: it is one part.
#
# ## The ladder, counted
#
# For each rung what a formula says, and what was counted, in bytes for one multiply-add. Without tiles, a warp fetches
# so many sectors of 32 bytes for its 32 multiply-adds. With tiles of W x W results, a block fetches W numbers of `a`
# and W of `b` for W x W multiply-adds: 8 W / (W W) = 8 / W bytes. The same holds for a thread's tile of R x R in
# registers.


# %%
def formula(sectors_of_a=0, sectors_of_b=0, W=None, R=None):
    """(bytes of global memory, bytes of shared memory) for one multiply-add."""
    return (8 / W, 8 / R) if W else (sectors_of_a + sectors_of_b, 0)


expected = {
    "matmul_naive": formula(16, 1),
    "matmul_coalesced": formula(1, 4),
    "matmul_shared": formula(W=16, R=1),
    "matmul_register": formula(W=64, R=4),
    "matmul_vector": formula(W=64, R=4),
    "matmul_double": formula(W=64, R=4),
    "matmul_large": formula(W=128, R=8),
    "matmul_split": formula(W=128, R=8),
}
counted = {r: (fetched(launch) / MULTIPLY_ADDS, loaded(launch) / MULTIPLY_ADDS) for r, launch in launches.items()}

print(f"{'':17}{'global memory':>20}{'shared memory':>20}{'operations for a byte':>24}")
print(f"{'':17}{'formula   counted':>20}{'formula   counted':>20}{'of global memory':>24}")
for rung, numbers in counted.items():
    columns = "".join(f"{p:10.4f}{c:10.4f}" for p, c in zip(expected[rung], numbers, strict=True))
    print(f"{rung:17}{columns}{2 / numbers[0]:24.1f}")

# %% [markdown]
# The last column is the **arithmetic intensity**: a multiply-add is two operations, divided by the bytes fetched for
# it. A machine has such a figure, too, its *balance*: the operations that it can make in the time in which one byte
# arrives. Take one that makes 40 million million operations a second and fetches 2 million million bytes: its balance
# is 20. (These are round figures to think with, not those of a GPU, and nothing here was timed.) A kernel below 20
# waits for memory, and reaches only intensity / 20 of the machine. Above, it can reach all of it. That bound is called
# the **roofline**.

# %%
OPERATIONS, BYTES = 40e12, 2e12  # a second, of the machine to think with

_, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained")
names = [rung.removeprefix("matmul_") for rung in counted]
places = np.arange(len(names))
for shift, which, label, colour in ((-0.2, 0, "global memory", "steelblue"), (0.2, 1, "shared memory", "orange")):
    left.bar(places + shift, [numbers[which] for numbers in counted.values()], 0.4, label=label, color=colour)
left.set_yscale("log", base=2)
left.set_yticks([2.0**n for n in range(-4, 5)], ["1/16", "1/8", "1/4", "1/2", 1, 2, 4, 8, 16])
left.set_xticks(places, names, rotation=25)
left.set(title="bytes for one multiply-add, counted", ylim=(2**-5, 32))
left.legend()

intensity = np.geomspace(1 / 16, 256)
right.loglog(intensity, np.minimum(1, intensity * BYTES / OPERATIONS), color="grey")
right.axvline(OPERATIONS / BYTES, color="grey", linestyle=":")
same = {}  # rungs of the same intensity share a point
for name, (from_global, _) in zip(names, counted.values(), strict=True):
    same.setdefault(2 / from_global, []).append(name)
for x, who in same.items():
    y = min(1, x * BYTES / OPERATIONS)
    right.plot(x, y, "o", color="firebrick")
    beside = {"xytext": (-9, 0), "ha": "right"} if 0.5 < y < 1 else {"xytext": (9, -9), "ha": "left"}
    right.annotate(", ".join(who), (x, y), textcoords="offset points", va="center", **beside)
right.set(xlim=(1 / 16, 256), ylim=(0.002, 2), title="the roof over each rung: balance 20")
right.set(xlabel="operations for one byte of global memory", ylabel="of all that the machine can do, at most")
plt.show()

# %% [markdown]
# On such a machine only the last two rungs do not wait for global memory. What the picture leaves out: caches catch
# part of what the first rungs fetch, and a roof is what a kernel *may* reach. Waiting, instructions and banks take
# their share; rungs 5 and 6 fetch no byte less than rung 4, and are there for these.
#
# [numba_cuda/matmul.py](../../kernels/numba_cuda/matmul.py) is rung 3 in Python.
# [tensor_cores.cu](../../kernels/cuda/tensor_cores.cu) goes on upwards, with an instruction that multiplies small
# matrices. And [conv.cu](../../kernels/cuda/conv.cu) is rungs 6 to 8 with the columns of im2col fetched on the fly.
#
# ## To try
#
# 1. Let K be 32 instead of 16. Which counted figures change, and why none of those for one multiply-add?
# 2. Take I = J = 130. Why do the tiled rungs now fetch more for each multiply-add, and `matmul_large` twice as much?
# 3. Multiply by a transposed `b`: `multiply(a, b, b_is_transposed=True)` with `b` of shape (J, K). Which rungs are
#    still coalesced? Look for `stride_k == 1` in matmul.cu.
# 4. Change `TILE + 2` in `matmul_register` (both lines, in matmul.cu) to `TILE`, then to `TILE + 1`, and count
#    `turns(launches["matmul_register"].writes("a_tile"))` again. The product stays right. What does it cost?
# 5. A rung with 16 x 16 results of a thread would halve the bytes again. Count its registers. What would happen?
#
# Next: [an op of your own](4_your_own_op.ipynb).
