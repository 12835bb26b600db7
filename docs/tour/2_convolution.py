# %% [markdown]
# # 2. One convolution, five times
#
# A **convolution** lays a small window of weights, a *filter*, over every place of a picture, multiplies what lies on
# top of each other, and adds up. Each place gives one number of the output. That is the work of AlexNet and ResNet,
# nearly all of it. Here it is written five times: as loops in Python, as a matrix product in NumPy, as compiled loops,
# and as a GPU kernel in two languages. The numbers are the same each time; what changes is who does them, and what it
# costs to bring them there.
#
# No GPU is needed. The GPU's threads are run by the processor, one after the other. For CUDA C++ that takes a C++
# compiler.

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

from minicnn.device import DeviceError, KernelError
from minicnn.kernels.cuda.emulator.compiler import compiler

try:
    compiler()
except DeviceError as error:
    sys.exit(str(error))  # one line: no C++ compiler, and what to do

# %% [markdown]
# ## A picture and three filters
#
# The first filter compares the right of a place with its left: it answers where brightness changes from left to right.
# The second does so from top to bottom. The third compares the middle with all around it. Nobody has to write such
# filters down for a network: it learns them. But its first layer learns filters much like these.


# %%
def picture(height, width):
    """(height, width): a house with the sun above, in brightness 0, 1/4, 1/2, 3/4 and 1."""
    h, w = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    image = np.where(h > 0.8, 0.25, 0.75)  # ground, sky
    image[(h - 0.2) ** 2 + (w - 0.8) ** 2 * 1.6 < 0.013] = 1  # sun
    image[(h > 0.45) & (h < 0.8) & (abs(w - 0.4) < 0.2)] = 0.5  # wall
    image[(h < 0.45) & (h > 0.2 + abs(w - 0.4))] = 0  # roof
    image[(h > 0.55) & (h < 0.8) & (abs(w - 0.4) < 0.05)] = 0  # door
    return image.astype(np.float32)


left_to_right = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
top_to_bottom = [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
all_around = [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
weight = np.array([[left_to_right], [top_to_bottom], [all_around]], np.float32)  # (OC, C, KH, KW): 3 filters, 1 channel

x = np.pad(picture(32, 40), 1, mode="edge")[None, None]  # (N, C, H, W): 1 picture, 1 channel, a border of 1 pixel

# %% [markdown]
# ## 1. Seven loops
#
# The formula, word by word. For each picture `n`, filter `o`, row `i` and column `j` of the output: the sum over the
# channels `c` and the window's rows `u` and columns `v`. A **channel** is one of a picture's planes: red, green and
# blue, or, deeper in a network, what each filter of the layer before gave. Ours has one. A place `(u, v)` of the window
# is called a **tap**.


# %%
def seven_loops(x, weight, y):
    N, C, _, _ = x.shape
    OC, _, KH, KW = weight.shape
    _, _, OH, OW = y.shape
    for n in range(N):
        for o in range(OC):
            for i in range(OH):
                for j in range(OW):
                    total = 0.0
                    for c in range(C):
                        for u in range(KH):
                            for v in range(KW):
                                total += x[n, c, i + u, j + v] * weight[o, c, u, v]
                    y[n, o, i, j] = total


def output(x, weight):
    """Room for the result: a window of KH rows has H - KH + 1 places."""
    (N, _, H, W), (OC, _, KH, KW) = x.shape, weight.shape
    return np.zeros((N, OC, H - KH + 1, W - KW + 1), x.dtype)


results = {}  # of the five, to be compared below
y = output(x, weight)
seven_loops(x, weight, y)
results["seven loops"] = y
print("x", x.shape, "weight", weight.shape, "y", y.shape, "multiply-adds:", y.size * weight[0].size)


# %%
def show(image, filtered):
    """The picture, and what each filter says of it."""
    _, axes = plt.subplots(1, 4, figsize=(12, 2.8), layout="constrained")
    axes[0].imshow(image, cmap="gray")
    axes[0].set_title("picture")
    for ax, plane, title in zip(axes[1:], filtered, ["left to right", "top to bottom", "all around"], strict=True):
        ax.imshow(plane, cmap="gray", vmin=-4, vmax=4)  # grey: 0
        ax.set_title(title)
    for ax in axes:
        ax.set(xticks=[], yticks=[])
    plt.show()


show(x[0, 0], y[0])

# %% [markdown]
# White says: brighter to the right (or below, or in the middle). Black says darker, grey no change. The door's sides
# appear in the first, the horizon in the second, the slopes of the roof in all.
#
# ## 2. im2col: a convolution is a matrix product
#
# Python is slow in loops, and NumPy is fast at matrix products. So write each window out as a **column** of a matrix
# `col`. A filter, written out as a row, times that matrix is one dot product for each window: all outputs at once. Here
# for a picture of 4 x 4 pixels and a window of 3 x 3, which has 2 x 2 places. Each pixel has its letter and its colour.


# %%
def im2col(image, KH, KW):
    """(C, H, W) -> (C * KH * KW, OH * OW): column (i, j) is a window, row (c, u, v) a tap in all of them."""
    C, H, W = image.shape
    OH, OW = H - KH + 1, W - KW + 1
    col = np.empty((C, KH, KW, OH, OW), image.dtype)
    for u in range(KH):
        for v in range(KW):
            col[:, u, v] = image[:, u : u + OH, v : v + OW]  # this tap in all windows at once: no loop over pixels
    return col.reshape(C * KH * KW, OH * OW)


tiny = np.arange(16).reshape(1, 4, 4)
col = im2col(tiny, 3, 3)

_, (left, right) = plt.subplots(1, 2, figsize=(9, 5), width_ratios=[4, 5], layout="constrained")
for ax, numbers in ((left, tiny[0]), (right, col)):
    ax.imshow(numbers, cmap="viridis", alpha=0.6)
    for (row, column), pixel in np.ndenumerate(numbers):
        ax.text(column, row, "abcdefghijklmnop"[pixel], ha="center", va="center", fontsize=13)
window = {"fill": False, "edgecolor": "firebrick", "linewidth": 3}
left.add_patch(plt.Rectangle((0.5, -0.5), 3, 3, **window))
left.set(title="picture (4, 4)", xticks=[], yticks=[])
right.add_patch(plt.Rectangle((0.5, -0.5), 1, 9, **window))
right.set(title="col (9, 4)", xlabel="window (i, j)", ylabel="tap (u, v)")
right.set_xticks(range(4), [f"({i}, {j})" for i in range(2) for j in range(2)])
right.set_yticks(range(9), [f"({u}, {v})" for u in range(3) for v in range(3)])
plt.show()

# %% [markdown]
# The red window is the red column. Pixels of the middle stand in `col` four times: **im2col buys a matrix product with
# memory**, up to KH x KW times that of the picture.


# %%
def by_im2col(x, weight):
    y, (OC, _, KH, KW) = output(x, weight), weight.shape
    for n, image in enumerate(x):
        y[n] = (weight.reshape(OC, -1) @ im2col(image, KH, KW)).reshape(y[n].shape)
    return y


results["im2col"] = by_im2col(x, weight)
col = im2col(x[0], 3, 3)
print("col", col.shape, f"holds {col.size / x.size:.1f} times as many numbers as x")

# %% [markdown]
# That is what [minicnn/ops/conv.py](../../minicnn/ops/conv.py) does, with padding, strides and groups.
#
# ## 3. Numba: the same loops, compiled
#
# Python is slow because it looks each number up as an object. Numba reads the function, works out that these are
# float32 arrays, and makes machine code of the very same seven loops. Then the large picture is no trouble either.

# %%
import numba

compiled_loops = numba.njit(seven_loops)

results["Numba"] = output(x, weight)
compiled_loops(x, weight, results["Numba"])

large = np.pad(picture(160, 200), 1, mode="edge")[None, None]
filtered = output(large, weight)
compiled_loops(large, weight, filtered)
print("y", filtered.shape, "multiply-adds:", filtered.size * 9)
show(large[0, 0], filtered[0])

# %% [markdown]
# In a network speed takes more than compiled loops. [kernels/cpu/conv.py](../../kernels/cpu/conv.py) looks at the
# shapes and takes another algorithm for each kind of layer. `winograd`, for instance, makes do with a quarter of the
# multiplications for windows of 3 x 3; [winograd.py](../../kernels/cpu/convolution/winograd.py) says how.
#
# ## 4. Numba CUDA: a thread for each output
#
# A GPU runs thousands of threads. They come in **blocks**, and the blocks form a **grid**. All run the same function,
# the *kernel*, and each thread asks where it stands. So the outer loops are gone: whoever stands at `(o, i, j)` works
# out that one output. (Of the only picture, `n` = 0.)
#
# `@kernel` is minicnn's; the rest is Numba's CUDA. The annotations say what the kernel takes (`T`: float32 or float64),
# and a launch checks it. At a launch the grid and the block stand in brackets, before the arguments.

# %%
from minicnn.emulated import on_device
from minicnn.kernels.numba_cuda.launch import T, cuda, int64, kernel

BLOCK = 8, 4  # threads of a block along x and y: 32 in all


@kernel
def one_output(x: T[:, :, :, :], weight: T[:, :, :, :], y: T[:, :, :, :], owner: int64[:, :, :, :, :]):
    j = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x  # [0, OW), and beyond the edge
    i = cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y  # [0, OH), and beyond the edge
    o = cuda.blockIdx.z  # [0, OC)
    if i < y.shape[2] and j < y.shape[3]:
        total = x.dtype.type(0)  # a 0 of x's own type
        for c in range(x.shape[1]):
            for u in range(weight.shape[2]):
                for v in range(weight.shape[3]):
                    total += x[0, c, i + u, j + v] * weight[o, c, u, v]
        y[0, o, i, j] = total
        owner[0, o, i, j, 0] = cuda.blockIdx.x + cuda.gridDim.x * cuda.blockIdx.y  # who was here: only for the picture
        owner[0, o, i, j, 1] = cuda.threadIdx.x + cuda.blockDim.x * cuda.threadIdx.y


def grid_for(y):
    _, OC, OH, OW = y.shape
    return -(-OW // BLOCK[0]), -(-OH // BLOCK[1]), OC  # rounded up: the last blocks stand out over the edge


y = on_device(output(x, weight))  # device "cuda", here emulated
owner = on_device(np.zeros((*y.shape, 2), np.int64))
one_output[grid_for(y), BLOCK](on_device(x), on_device(weight), y, owner)
results["Numba CUDA"] = np.array(y)
print("grid", grid_for(y), "block", BLOCK)

# %% [markdown]
# ## 5. CUDA C++
#
# The language that GPUs are programmed in most. This is the kernel `conv2d_direct` of
# [kernels/cuda/conv.cu](../../kernels/cuda/conv.cu), as it stands there, with strides, padding, dilation and groups. It
# counts its threads differently: in one long row, in which `i` is the place of an output in memory. Two words stand for
# more: `GRID_STRIDE_LOOP(i, count)` gives each thread its numbers `i`, and `GEOMETRY` is the list of the sizes.

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


print_source("cuda/conv.cu", "__global__ void conv2d_direct", "}")

# %% [markdown]
# The emulator compiles this text for the processor and runs thread by thread. And it can write down every access: the
# writes to `y` tell which thread made which output.

# %%
from minicnn.kernels.cuda import conv
from minicnn.kernels.cuda.emulator.recording import SECTOR, recording, sectors

GEOMETRY = (1, 1), ((0, 0), (0, 0)), (1, 1), 1  # stride, padding, dilation, groups
with recording() as launches:
    y = conv.conv2d_by_direct_sums(on_device(x), on_device(weight), None, *GEOMETRY)
results["CUDA C++"] = np.array(y)
writes = launches[0].writes("y")
print("grid", launches[0].grid, "block", launches[0].block, "writes:", len(writes), "of", y.size, "outputs")

# %%
block_of, thread_of = np.empty(y.size, int), np.empty(y.size, int)
places = writes["offset"] // y.itemsize  # offset: bytes from the beginning of y
block_of[places], thread_of[places] = writes["block"], writes["thread"]

o, i, j = 1, 5, 11
place = (o * y.shape[2] + i) * y.shape[3] + j
print(f"y[0, {o}, {i}, {j}]: number {place} in memory")
print("Numba CUDA: block {} of its filter, thread {}".format(*np.array(owner)[0, o, i, j]))
block, thread = block_of[place], thread_of[place]
print(f"CUDA C++:   block {block}, thread {thread}, and 256 * {block} + {thread} = {256 * block + thread}")

_, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
maps = np.array(owner)[0, 0, :, :, 0], block_of.reshape(y.shape)[0, 0]
titles = "Numba CUDA: blocks of 8 x 4", "CUDA C++: blocks of 256 in a row"
for ax, blocks, title in zip(axes, maps, titles, strict=True):
    ax.imshow(blocks % 20, cmap="tab20c", vmin=0, vmax=19, alpha=0.6)
    for block in np.unique(blocks):
        rows, columns = np.nonzero(blocks == block)
        ax.text(columns.mean(), rows.mean(), block, ha="center", va="center")
    ax.set(title=title, xlabel="column j", ylabel="row i")
plt.show()

# %% [markdown]
# Both maps are of the first filter's outputs, with the blocks' numbers. Either is right: no output depends on another.
# In both, neighbouring threads have neighbouring columns, and that matters, as chapter 3 shows.
#
# ## Five times the same
#
# Three of the outputs, each five times, and whether all the others are equal, too. They are equal to the last bit only
# because the picture holds quarters and the filters whole numbers: no sum is rounded. With other numbers the last
# digits depend on the order in which a sum is taken.

# %%
print(f"{'':14}{'y[0, 0, 20, 15]':>16}{'y[0, 1, 25, 5]':>16}{'y[0, 2, 14, 7]':>16}   all {y.size} equal")
for name, result in results.items():
    some = "".join(f"{number:16.2f}" for number in (result[0, 0, 20, 15], result[0, 1, 25, 5], result[0, 2, 14, 7]))
    print(f"{name:14}{some}   {np.array_equal(result, results['seven loops'])}")

# %% [markdown]
# And the engine's own four, by one call. The *device* says where, the *tier* whether it is written to be read or to be
# run.

# %%
import minicnn
import minicnn.functional as F
from minicnn.device import implementation
from minicnn.ops.conv import conv2d_forward

for device in ("cpu", "cuda"):
    for tier in ("plain", "fast"):
        with minicnn.tier(tier):
            y = F.conv2d(minicnn.Tensor(x).to(device), minicnn.Tensor(weight).to(device)).numpy()
        where = implementation(conv2d_forward, device, tier).__module__
        print(f"{device:5} {tier:6} {where:31} equal: {np.array_equal(y, results['seven loops'])}")

# %% [markdown]
# ## What it costs
#
# A layer of 64 filters over 4 channels. The number of multiply-adds is the same for everybody. The numbers that must be
# brought for them are not. First the loops, with an array that counts how often it is asked:


# %%
class Counting:
    """An array that counts how many of its numbers are read."""

    def __init__(self, array):
        self.array, self.shape, self.reads = array, array.shape, 0

    def __getitem__(self, index):
        self.reads += 1
        return self.array[index]


rng = np.random.default_rng(0)
layer_x = rng.standard_normal((1, 4, 18, 18)).astype(np.float32)
layer_weight = rng.standard_normal((64, 4, 3, 3)).astype(np.float32)

y = output(layer_x, layer_weight[:2])  # 2 of the 64 filters: Python is slow
counting_x, counting_weight = Counting(layer_x), Counting(layer_weight[:2])
seven_loops(counting_x, counting_weight, y)
multiply_adds = y.size * layer_weight[0].size
print("multiply-adds", multiply_adds, " reads of x", counting_x.reads, " of weight", counting_weight.reads)
print("im2col in NumPy: col has", im2col(layer_x[0], 3, 3).nbytes, "bytes, x has", layer_x.nbytes)

# %% [markdown]
# Two numbers read for each multiply-add: 8 bytes. Compiled by Numba the loops read the same, and so do the threads of
# `one_output`. NumPy's matrix product reads less, since it uses numbers again while they are near, but first `col` must
# be written. A GPU's memory brings far less in the time of one multiply-add. What helps is to fetch a number once and
# to use it often. conv.cu does it in three steps:
#
# 1. `conv2d_direct`: as above. The 32 threads of a *warp* go in step, so what one of them reads beside another comes in
#    one piece; the emulator counts those pieces, *sectors* of 32 bytes.
# 2. im2col as a kernel, then a matrix product in tiles (chapter 3): each number fetched is used for 64 outputs. But
#    `col` must be written to memory and read again.
# 3. `conv2d_forward`, which training runs: the same product, but `col` is nowhere. Each block gathers the small tile of
#    it that it needs, straight from the picture.

# %%
multiply_adds = output(layer_x, layer_weight).size * layer_weight[0].size
expected = by_im2col(layer_x, layer_weight)
print(f"{'':24}{'multiply-adds':>14}{'fetched':>12}{'written':>12}{'fetched for one':>17}")
for function in (conv.conv2d_by_direct_sums, conv.conv2d_by_im2col, conv.conv2d_forward):
    with recording() as launches:
        y = function(on_device(layer_x), on_device(layer_weight), None, *GEOMETRY)
    assert np.allclose(np.array(y), expected, atol=1e-4)
    fetched = written = 0  # bytes
    for launch in launches:
        for name in launch.names:
            if not name.endswith("_tile"):  # shared memory is chapter 3's
                fetched += sectors(launch.reads(name)) * SECTOR
                written += launch.writes(name)["bytes"].sum()
    counts = f"{multiply_adds:14,}{fetched:12,}{written:12,}{fetched / multiply_adds:12.3f} bytes"
    print(f"{function.__name__:24}{counts}")

# %% [markdown]
# `fetched` and `written` are bytes of global memory, the last column is for one multiply-add. The direct kernel stays
# below 8, because neighbouring threads see the same weight and pixels that lie side by side: for its 32 multiply-adds a
# warp fetches one sector of `weight` and about five of `x`. A GPU's caches, which are not counted here, catch a part of
# that. All three did the same multiply-adds and got the same result.
#
# ## When a kernel is wrong
#
# A GPU answers a wrong kernel with wrong numbers, or not at all. The emulator says what, where and who. Here is a
# kernel that is right, a convolution along a line: each thread fetches one number into **shared memory**, which its
# whole block sees, and then takes the mean of three, two of which its neighbours have fetched. `__syncthreads()` is the
# **barrier**: nobody goes on before all are there.

# %%
BLUR = """
template <typename T>
__global__ void blur(const T *x, T *y, int size) {
    __shared__ T tile[66];                                   // 64 numbers, and one more on either side
    int t = threadIdx.x, i = blockIdx.x * 64 + threadIdx.x;  // [0, 64); [0, size), and beyond the edge
    tile[t + 1] = i < size ? x[i] : T(0);
    if (t == 0) tile[0] = i > 0 ? x[i - 1] : T(0);
    if (t == 63) tile[65] = i + 1 < size ? x[i + 1] : T(0);
    __syncthreads();
    if (i < size) y[i] = (tile[t] + tile[t + 1] + tile[t + 2]) / 3;
}
"""
MISTAKES = {
    "blur": ("", ""),
    "forgets_the_edge": ("i > 0 ? x[i - 1] : T(0)", "x[i - 1]"),
    "forgets_the_barrier": ("    __syncthreads();\n", ""),
    "leaves_too_early": ("    tile[t + 1] =", "    if (i >= size) return;\n    tile[t + 1] ="),
}

# %%
import re
import tempfile
import textwrap

from minicnn.kernels.cuda.launch import Kernel

folder = tempfile.TemporaryDirectory()
file = Path(folder.name, "blur.cu")
file.write_text("\n".join(BLUR.replace("blur", name).replace(*change) for name, change in MISTAKES.items()))

text = file.read_text().splitlines()
line = on_device(np.arange(100, dtype=np.float32))
for name in MISTAKES:
    y = on_device(np.zeros(100, np.float32))
    try:
        Kernel(file, name)[2, 64](line, y, 100)  # 2 blocks of 64 threads
        print(f"{name}: right, y[1:99] is x[1:99]: {np.allclose(np.array(y)[1:99], np.arange(1, 99))}")
    except KernelError as error:
        print(textwrap.fill(f"{error}", 110))
        if place := re.search(r"(?:blur.cu:|line )(\d+)", str(error)):
            print(f"    line {place[1]}: {text[int(place[1]) - 1].strip()}")

# %% [markdown]
# The missing barrier is the worst of them: on a GPU it may come out right for months. The emulator remembers who read
# and wrote each number, and says so even when this once nothing went wrong.
#
# For Numba CUDA Python itself runs the threads. An index that is wrong is an error there, too, also one below 0, which
# in NumPy would silently be the end of the array:


# %%
@kernel
def shifted(x: T[:], y: T[:]):
    i = cuda.grid(1)  # blockIdx.x * blockDim.x + threadIdx.x
    y[i] = x[i - 1]


try:
    shifted[1, 8](line, on_device(np.zeros(8, np.float32)))
except KernelError as error:
    print(str(error).partition(": ")[2])  # before it: the kernel's name and its line

# %% [markdown]
# ## To try
#
# 1. Write a filter that blurs, and one that answers most to slopes like the roof's left side. Look at their output.
# 2. Give `im2col` a stride: windows only at every second row and column. Which slice changes, and how?
# 3. In `one_output`, let `j` be counted along y and `i` along x: exchange `.x` and `.y` in the first two lines, and
#    `OW` and `OH` in `grid_for`. Is the result still right? What would a warp read now?
# 4. Count again with 128 filters, and with 12 x 12 outputs. One of the two changes what `conv2d_forward` fetches for a
#    multiply-add. Which, and why? (A block works on 64 filters and 64 places.)
# 5. Make a mistake of your own in `BLUR`: `tile[64]` instead of `tile[66]`, say. What does the emulator report, and
#    whom does it name?
#
# Next: [what makes a matrix product fast](3_matmul.ipynb).
