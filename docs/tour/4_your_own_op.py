# %% [markdown]
# # 4. An op of your own, from a few lines to four implementations
#
# The engine knows nothing of convolutions. It knows ops, and an op is a class with two methods: what it computes, and
# what its gradient is. So whatever is missing can be added from outside, in a few lines of NumPy that work at once.
# Later, if it is worth the trouble, come the kernels: compiled for the processor, and for a GPU, in Python and in CUDA
# C++.
#
# The op of this chapter is **SiLU**, $y = x \cdot \sigma(x)$ with the sigmoid $\sigma(x) = 1 / (1 + e^{-x})$: a ReLU
# without the kink, which EfficientNet uses everywhere.

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

os.environ.setdefault("MINICNN_EMULATE_GPU", "1")  # device "cuda" is emulated; with a GPU, set it to 0 outside

import re
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minicnn
from minicnn import Tensor, gradcheck
from minicnn.device import DeviceError, KernelError
from minicnn.emulated import emulating
from minicnn.kernels.cuda.emulator.compiler import compiler

try:
    if emulating():
        compiler()
except DeviceError as error:
    sys.exit(str(error))  # one line: no C++ compiler, and what to do

# %% [markdown]
# ## A few lines
#
# By the product rule the slope is $\sigma(x) + x\, \sigma'(x)$, and the sigmoid's own is
# $\sigma'(x) = \sigma(x) (1 - \sigma(x))$. Together: $\sigma(x)\, \big(1 + x\, (1 - \sigma(x))\big)$.
#
# `forward` gets arrays and returns an array; what `backward` will need it saves. `backward` gets `grad_out`, the
# gradient with respect to the result, and returns the one with respect to the input: `grad_out` times the slope.


# %%
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class SiLU(minicnn.Function):
    def forward(self, x):
        self.save_for_backward(x)
        return x * sigmoid(x)

    def backward(self, grad_out):
        (x,) = self.saved
        return grad_out * sigmoid(x) * (1 + x * (1 - sigmoid(x)))


x = Tensor([-2.0, -1.0, 0.0, 1.0, 2.0], requires_grad=True)
y = SiLU.apply(x)
y.sum().backward()
print("y     ", y.numpy().round(4))
print("x.grad", x.grad.numpy().round(4))

# %% [markdown]
# That is all. `SiLU.apply` can stand anywhere between other ops, and gradients flow through it.
#
# ## Is the gradient right?
#
# Nobody should believe a derivative, least of all their own. [gradcheck](../../minicnn/gradcheck.py) moves each number
# of the input a little, up and down, and compares how the result moves with what `backward` says.

# %%
points = np.random.default_rng(0).normal(0, 2, (3, 4))  # float64: differences lose half of the digits
print("gradcheck:", gradcheck(SiLU.apply, [points]))


def show(array):
    """The first row, wherever the array lives."""
    print(Tensor(array).numpy()[0].round(4))


show(SiLU.apply(Tensor(points)).data)

# %% [markdown]
# A check that cannot fail is worth nothing, so here is a mistake that people make: the slope of $x \cdot \sigma(x)$
# without the product rule.


# %%
class WithoutProductRule(SiLU):
    def backward(self, grad_out):
        (x,) = self.saved
        return grad_out * sigmoid(x)


try:
    gradcheck(WithoutProductRule.apply, [points])
except AssertionError as error:
    print(re.sub(r"(\.\d{4})\d+", r"\1", str(error)))  # four digits of each number are enough here

# %% [markdown]
# ## Four places
#
# Where does this op run? An array lives on a **device**, "cpu" or "cuda", and each device has two **tiers** of
# implementations: "plain", written to be read, and "fast", written to be run.
#
# | | plain | fast |
# |---|---|---|
# | cpu | NumPy | loops that Numba compiles, all cores |
# | cuda | Numba CUDA: kernels in Python | CUDA C++ |
#
# The lines above already run on both devices, as arrays that live on a GPU answer to NumPy's functions, too.

# %%
on_gpu = Tensor(points).to("cuda")
y = SiLU.apply(on_gpu)
print(y.device)
show(y.data)

# %% [markdown]
# But count what `x * sigmoid(x)` does to memory. It makes $-x$, then $e^{-x}$, then 1 more, then one divided by it,
# then the product: five arrays are written and six read, for one that is wanted. For work like this, which has hardly
# any arithmetic, **the memory's traffic is the price**, and a kernel that goes through the array once pays for two: one
# read, one written. That is what the following three are for.
#
# ## The processor: a compiled loop
#
# `@jit` compiles a loop with Numba at its first call. `elementwise` gives it the arrays as one long row each, a chunk
# for each core, and lays the result out in memory as the input is.

# %%
from minicnn.kernels.cpu.machine import elementwise as cpu
from minicnn.kernels.cpu.machine.jit import jit


@jit
def loop_forward(x, y):
    for i in range(x.size):
        y[i] = x[i] / (1 + np.exp(-x[i]))


@jit
def loop_backward(grad_out, x, grad_x):
    for i in range(x.size):
        s = 1 / (1 + np.exp(-x[i]))
        grad_x[i] = grad_out[i] * s * (1 + x[i] * (1 - s))


show(cpu.elementwise(loop_forward, points))

# %% [markdown]
# ## The GPU, in Python
#
# A kernel says what **one thread** does, and thousands of threads run it. `cuda.grid(1)` is this thread's number and
# `cuda.gridsize(1)` how many there are: thread 5 of 1000 takes the elements 5, 1005, 2005 ... So the loop is right for
# any number of threads, and neighbouring threads touch neighbouring elements, which a GPU fetches together.
#
# The annotations say what a launch must hand over: `T` is float32 or float64, whatever the array has. `one` has that
# type, too, since a literal would make the arithmetic of a float32 kernel twice as wide.

# %%
from minicnn.kernels.numba_cuda import launch as numba_cuda
from minicnn.kernels.numba_cuda.launch import T, cuda, exp, kernel


@kernel
def thread_forward(x: T[:], y: T[:]):
    one = x.dtype.type(1)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[i] = x[i] / (one + exp(-x[i]))


@kernel
def thread_backward(grad_out: T[:], x: T[:], grad_x: T[:]):
    one = x.dtype.type(1)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        s = one / (one + exp(-x[i]))
        grad_x[i] = grad_out[i] * s * (one + x[i] * (one - s))


show(numba_cuda.elementwise(thread_forward, on_gpu.data))

# %% [markdown]
# Without a GPU, Python itself has just run every thread, one after the other
# ([simulator.py](../../kernels/numba_cuda/simulator.py)).
#
# ## The GPU, in CUDA C++
#
# The same once more, in the language that GPUs are programmed in where every percent counts. `GRID_STRIDE_LOOP` is the
# loop from above. `template <typename T>` makes a version for float32 and one for float64.

# %%
SOURCE = """\
#include "grid_stride.cuh"

template <typename T>
__global__ void silu_forward(const T *x, T *y, long long size) {
    GRID_STRIDE_LOOP(i, size)
        y[i] = x[i] / (T(1) + exp(-x[i]));
}

template <typename T>
__global__ void silu_backward(const T *grad_out, const T *x, T *grad_x, long long size) {
    GRID_STRIDE_LOOP(i, size) {
        T s = T(1) / (T(1) + exp(-x[i]));
        grad_x[i] = grad_out[i] * s * (T(1) + x[i] * (T(1) - s));
    }
}
"""

from minicnn.kernels.cuda import elementwise as cuda_cpp
from minicnn.kernels.cuda.launch import CudaFile


def compiled(source):
    path = Path(tempfile.mkdtemp(), "silu.cu")  # a new file for each version: a process reads a file once
    path.write_text(source)
    return CudaFile(path)


cu = compiled(SOURCE)
show(cuda_cpp.elementwise(cu.silu_forward, on_gpu.data))

# %% [markdown]
# On a GPU, NVIDIA's compiler makes machine code of this text. Here the C++ compiler has made a library of it for the
# processor, in which each access to memory is checked. That is worth a try. A classic: the loop goes one too far.

# %%
too_far = compiled(SOURCE.replace("GRID_STRIDE_LOOP(i, size)\n", "GRID_STRIDE_LOOP(i, size + 1)\n"))
try:
    cuda_cpp.elementwise(too_far.silu_forward, on_gpu.data)
except KernelError as error:
    print(error)

# %% [markdown]
# A GPU would have said nothing: it would have read what lies behind the array, and overwritten what lies behind the
# result. Kernel, line, thread and element are named here because every thread is run by a program that can look.
#
# ## One op
#
# What is left is to choose. An op knows where it was applied: `self.device` and `self.tier`.


# %%
def call(function, *arrays):
    return function(*arrays)


def numpy_forward(x):
    return x * sigmoid(x)


def numpy_backward(grad_out, x):
    return grad_out * sigmoid(x) * (1 + x * (1 - sigmoid(x)))


PLACES = {
    ("cpu", "plain"): (call, numpy_forward, numpy_backward),
    ("cpu", "fast"): (cpu.elementwise, loop_forward, loop_backward),
    ("cuda", "plain"): (numba_cuda.elementwise, thread_forward, thread_backward),
    ("cuda", "fast"): (cuda_cpp.elementwise, cu.silu_forward, cu.silu_backward),
}


class SiLU(minicnn.Function):
    def forward(self, x):
        self.save_for_backward(x)
        launch, forward, _ = PLACES[self.device, self.tier]
        return launch(forward, x)

    def backward(self, grad_out):
        (x,) = self.saved
        launch, _, backward = PLACES[self.device, self.tier]
        return launch(backward, grad_out, x)


def run(device, tier, values):
    """SiLU of the values, and its slope, computed there."""
    with minicnn.tier(tier):
        x = Tensor(values, requires_grad=True)
        y = SiLU.apply(x.to(device))
        y.sum().backward()
    return y.numpy(), x.grad.numpy()


values = np.array([-4.0, -1.0, 0.0, 1.0, 4.0])
print("x          ", "".join(f"{value:9.1f}" for value in values))
for device, tier in PLACES:
    for name, array in zip(("y", "slope"), run(device, tier, values), strict=True):
        print(f"{device:4} {tier:5} {name:5}", "".join(f"{value:9.5f}" for value in array))

# %% [markdown]
# Equal to the last digit that is shown, and to nearly all of the others. And each of the four has its gradient checked:

# %%
for device, tier in PLACES:
    with minicnn.tier(tier):
        equal = np.allclose(run(device, tier, points), run("cpu", "plain", points), rtol=0, atol=1e-14)
        print(f"{device:4} {tier:5} gradcheck {gradcheck(SiLU.apply, [Tensor(points).to(device)])}, as NumPy {equal}")

# %%
_, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
many = np.linspace(-6, 6, 121)
curves = run("cpu", "plain", many)
axes.plot(many, np.maximum(many, 0), color="lightgrey", linewidth=4, label="ReLU")
axes.plot(many, curves[0], color="steelblue", label="SiLU")
axes.plot(many, curves[1], color="firebrick", label="its slope")
for (device, tier), marker, start in zip(PLACES, "os^D", range(0, 12, 3), strict=True):
    some = many[start::12]
    y, slope = run(device, tier, some)
    axes.plot(some, y, marker, color="steelblue", markerfacecolor="white", label=f"{device}, {tier}")
    axes.plot(some, slope, marker, color="firebrick", markerfacecolor="white")
axes.set(xlabel="x", ylim=(-0.6, 4), title="One op, computed in four places")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
# Below 0 the curve dips, so its slope is negative there, and far out to the left it is 0. Had it been forgotten that
# $x$ stands in the sigmoid, too, the red curve would never leave the strip between 0 and 1.
#
# ## Into minicnn
#
# The ops of minicnn do the same, without a table. The op's page, `minicnn/ops/activation.py` say, calls
# `self.run(silu_forward, x)`, and [device.py](../../minicnn/device.py) finds the function *of the same name* in the
# file *of the same name*: [kernels/cpu/activation.py](../../kernels/cpu/activation.py),
# [kernels/numba_cuda/activation.py](../../kernels/numba_cuda/activation.py) and
# [kernels/cuda/activation.cu](../../kernels/cuda/activation.cu). Nothing is registered, and what is missing is an error
# that says so. What else a new op needs there, tests that must be able to fail above all, is a table in
# [CONTRIBUTING.md](../../CONTRIBUTING.md); how kernels are written is in [kernels/README.md](../../kernels/README.md).
#
# ## To try
#
# 1. Save `sigmoid(x)` as well in the first version. What does that spare `backward`, and what does it cost? Which would
#    you choose for a network whose activations hardly fit into memory?
# 2. What does the first version say to `x = -1000`, and is the result right? Write the sigmoid so that no exponential
#    overflows ([activation.py](../../minicnn/ops/activation.py) has it).
# 3. Give SiLU a parameter, $y = x\, \sigma(\beta x)$. A `Function` may take two inputs, and `backward` returns two
#    gradients. What shape has that of `beta`, if `beta` is one number?
# 4. Write `y[i + 1]` for `y[i]` in `thread_forward` and run it. What is named? Then, instead, put `1.0` for `one`.
#    Nothing is said: why not? On which machine would you notice? ([check.py](../../kernels/check.py) finds this in
#    minicnn's own kernels, with NVIDIA's compilers and no GPU.)
# 5. Make a layer of it, a subclass of `minicnn.nn.Module` with a `forward`. Put it in the place of the ReLU of
#    [first_steps.py](../../examples/first_steps.py), and train.
#
# Next: [the gradient of batch norm](5_batchnorm.ipynb).
